/** Results of SQL as tables for people. Refuses to cut a value: a table is as wide as what is in it. */
import { safeText, textWidth } from '../output/safe-text.ts';

export interface ResultTable {
  readonly columns: readonly string[];
  /** `null` is SQL NULL. */
  readonly rows: readonly (readonly (string | null)[])[];
}

const EXPANDED_RULE = '─';
const cell = (value: string | null): string =>
  value === null ? '∅' : safeText(value).replaceAll('\n', '⏎').replaceAll('\t', ' ');
const pad = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - textWidth(text)));

/** Aligned rows without titles. */
export function renderCells(rows: readonly (readonly (string | null)[])[]): readonly string[] {
  const shown = rows.map((row) => row.map(cell));
  const widths = widthsOf(shown);
  return shown.map((row) => joined(row, widths));
}

/** Titles, a rule, rows, and their count. */
export function renderResult(table: ResultTable): readonly string[] {
  if (table.columns.length === 0) return [countText(table.rows.length)];
  const titles = table.columns.map(safeText);
  const shown = table.rows.map((row) => row.map(cell));
  const widths = widthsOf([titles, ...shown]);
  return [
    joined(titles, widths),
    widths.map((width) => '─'.repeat(width)).join('─┼─'),
    ...shown.map((row) => joined(row, widths)),
    countText(shown.length),
  ];
}

/** One column a line, for wide rows. */
export function renderExpanded(table: ResultTable): readonly string[] {
  const titles = table.columns.map(safeText);
  const width = Math.max(0, ...titles.map(textWidth));
  const lines = table.rows.flatMap((row, i) => [
    `${EXPANDED_RULE.repeat(2)} row ${i + 1} ${EXPANDED_RULE.repeat(10)}`,
    ...row.map((value, j) => `${pad(titles[j] ?? '', width)} │ ${cell(value)}`),
  ]);
  return [...lines, countText(table.rows.length)];
}

const countText = (count: number): string => `(${count} ${count === 1 ? 'row' : 'rows'})`;
const joined = (cells: readonly string[], widths: readonly number[]): string =>
  cells
    .map((text, i) => pad(text, widths[i] ?? 0))
    .join(' │ ')
    .trimEnd();

function widthsOf(rows: readonly (readonly string[])[]): number[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, text] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, textWidth(text));
  return widths;
}
