/** Lists for people: aligned columns under upper-case titles. Refuses to know what is listed. */
import { clip, safeLine, textWidth } from './safe-text.ts';

export interface Column<T> {
  readonly title: string;
  readonly show: (item: T) => string | number | undefined | null;
  /** Columns this may be cut to when the terminal is too narrow; never cut when left out. */
  readonly least?: number;
}

const GAP = '  ';

/**
 * @param width columns of the terminal; undefined when it is none, then nothing is cut
 * @returns lines without a newline; for no items, only what `empty` says
 */
export function renderTable<T>(
  items: readonly T[],
  columns: readonly Column<T>[],
  width: number | undefined,
  empty = 'Nothing.',
): readonly string[] {
  if (items.length === 0) return [empty];
  const rows = items.map((item) => columns.map((column) => safeLine(String(column.show(item) ?? '-'))));
  const widths = columns.map((column, i) =>
    Math.max(textWidth(column.title), ...rows.map((row) => textWidth(row[i]!))),
  );
  if (width !== undefined) narrow(widths, columns, width);
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => pad(clip(cell, widths[i]!), widths[i]!))
      .join(GAP)
      .trimEnd();
  return [line(columns.map((column) => column.title.toUpperCase())), ...rows.map(line)];
}

function narrow<T>(widths: number[], columns: readonly Column<T>[], width: number): void {
  for (let over = total(widths) - width; over > 0; over = total(widths) - width) {
    const widest = columns
      .map((column, i) => ({ i, spare: column.least === undefined ? 0 : widths[i]! - column.least }))
      .reduce((best, next) => (next.spare > best.spare ? next : best), { i: -1, spare: 0 });
    if (widest.i < 0) return;
    widths[widest.i] = widths[widest.i]! - Math.min(over, widest.spare);
  }
}

const total = (widths: readonly number[]): number =>
  widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length);
const pad = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - textWidth(text)));

/** `name  value` lines; undefined values are left out, further lines of a value are indented under it. */
export function renderFields(
  fields: readonly (readonly [string, string | number | undefined | null])[],
): readonly string[] {
  const shown = fields.filter(
    (field): field is readonly [string, string | number] =>
      field[1] !== undefined && field[1] !== null && field[1] !== '',
  );
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown.map(
    ([name, value]) => `${name.padEnd(width)}${GAP}${String(value).replaceAll('\n', `\n${' '.repeat(width)}${GAP}`)}`,
  );
}
