/**
 * Reads the row messages of a PostgreSQL session's recording into cells, for people and for the console.
 * Refuses to decode binary values: they show as \x hex. PostgreSQL protocol-message-formats, DataRow.
 */
import { broken } from './bytes.ts';

/** `undefined` is SQL NULL. */
export type Cell = string | undefined;

const DATA_ROW = 0x44;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @param bytes whole DataRow messages, as a `rows` frame holds them @throws GatewayError `trail.broken` (`rows`) */
export function* readPostgresRows(bytes: Buffer): Generator<readonly Cell[]> {
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < 7 || bytes[at] !== DATA_ROW) throw broken('rows');
    const end = at + 1 + bytes.readInt32BE(at + 1);
    if (end > bytes.length || end < at + 7) throw broken('rows');
    yield readCells(bytes.subarray(at + 5, end));
    at = end;
  }
}

/** Rows from frames: a row may begin in one frame and end in the next of the same statement. */
export class PostgresRowReader {
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes of a row that has not ended; a `cut` frame explains them. */
  get pending(): number {
    return this.#rest.length;
  }
  /** Forgets an unfinished row: call at another statement. */
  reset(): void {
    this.#rest = Buffer.alloc(0);
  }
  /** @throws GatewayError `trail.broken` (`rows`) */
  push(bytes: Buffer): readonly (readonly Cell[])[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let end = 0;
    while (all.length - end >= 5) {
      const length = 1 + all.readInt32BE(end + 1);
      if (length < 7 || all[end] !== DATA_ROW) throw broken('rows');
      if (length > all.length - end) break;
      end += length;
    }
    this.#rest = Buffer.from(all.subarray(end));
    return [...readPostgresRows(all.subarray(0, end))];
  }
}

function readCells(row: Buffer): readonly Cell[] {
  const cells: Cell[] = [];
  const count = row.readUInt16BE(0);
  let at = 2;
  for (let i = 0; i < count; i++) {
    if (at + 4 > row.length) throw broken('rows');
    const length = row.readInt32BE(at);
    at += 4;
    if (length < 0) {
      cells.push(undefined);
      continue;
    }
    if (at + length > row.length) throw broken('rows');
    cells.push(cellText(row.subarray(at, at + length)));
    at += length;
  }
  return cells;
}

function cellText(bytes: Buffer): string {
  const hex = (): string => `\\x${bytes.toString('hex')}`;
  try {
    const text = UTF8.decode(bytes);
    // Binary integers are often valid UTF-8: control characters give them away.
    return /[\x00-\x08\x0e-\x1f]/.test(text) ? hex() : text;
  } catch {
    return hex();
  }
}
