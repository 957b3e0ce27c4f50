/**
 * The first rows of an answer as text, for people: as the client got them, after masks and detectors. Long values are cut.
 * Refuses to gather: a row in pieces is left out. PostgreSQL protocol message formats, DataRow.
 */
import type { RowSample } from '@sallyport/model';
import { binaryText, textOf } from './classify/parameters.ts';
import { HEAD_BYTES, int32 } from './codec.ts';
import type { FieldDescription } from './messages.ts';

const ROWS_MAX = 5;
const COLUMNS_MAX = 30;
const CELL_MAX = 64;

export class RowSampler {
  #columns: readonly string[] = [];
  readonly #rows: (string | undefined)[][] = [];

  /** @param bytes whole DataRow messages, lent @param formats of a Bind message @returns how many rows it kept */
  take(bytes: Uint8Array, columns: readonly FieldDescription[], formats: readonly number[], max: number): number {
    const lent = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    let kept = 0;
    while (at + HEAD_BYTES <= lent.length && kept < max && this.#rows.length < ROWS_MAX) {
      const end = at + 1 + int32(lent, at + 1);
      if (end > lent.length) break;
      this.#columns = columns.slice(0, COLUMNS_MAX).map(({ name }) => name);
      this.#rows.push(cellsOf(lent, at + HEAD_BYTES, columns, formats));
      kept++;
      at = end;
    }
    return kept;
  }

  get sample(): RowSample | undefined {
    return this.#rows.length === 0 ? undefined : { columns: this.#columns, rows: this.#rows };
  }
}

function cellsOf(
  bytes: Buffer,
  from: number,
  columns: readonly FieldDescription[],
  formats: readonly number[],
): (string | undefined)[] {
  const count = Math.min(bytes.readUInt16BE(from), columns.length, COLUMNS_MAX);
  const cells: (string | undefined)[] = [];
  let at = from + 2;
  for (let i = 0; i < count; i++) {
    const length = int32(bytes, at);
    at += 4;
    if (length < 0) {
      cells.push(undefined);
      continue;
    }
    const format = formats.length === 0 ? 0 : formats.length === 1 ? formats[0]! : (formats[i] ?? 0);
    const value = bytes.subarray(at, at + length);
    const text = format === 0 ? textOf(value) : binaryText(value, columns[i]!.typeOid);
    cells.push(text.length <= CELL_MAX ? text : `${text.slice(0, CELL_MAX)}…`);
    at += length;
  }
  return cells;
}
