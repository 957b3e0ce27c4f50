/**
 * Reads the row messages of a PostgreSQL session's recording into cells, for people and for the console.
 * DataRow has its cells; CopyData is read by replay-copy.ts. Refuses any other message.
 * PostgreSQL protocol-message-formats, DataRow and CopyData.
 */
import { LIMITS } from '@sallyport/core';
import { broken } from './bytes.ts';
import { type Cell, readTuple } from './postgres-cells.ts';
import { CopyReader } from './replay-copy.ts';

const DATA_ROW = 0x44;
const COPY_DATA = 0x64;
const HEAD_BYTES = 5;

/** @param bytes whole messages, as a `rows` frame holds them @throws GatewayError `trail.broken` (`rows`) */
export function readPostgresRows(bytes: Buffer): readonly (readonly Cell[])[] {
  const reader = new PostgresRowReader();
  const rows = reader.push(bytes);
  if (reader.pending > 0) throw broken('rows');
  return [...rows, ...reader.end()];
}

/** Rows from frames: a row may begin in one frame and end in the next of the same statement. */
export class PostgresRowReader {
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes to come of a row that is too large to be gathered. */
  #skip = 0;
  readonly #copy = new CopyReader();
  /** Bytes of a row that has not ended; a `cut` frame explains them. */
  get pending(): number {
    return this.#rest.length + this.#skip;
  }
  /** Forgets an unfinished row: call at another statement. */
  reset(): void {
    this.#rest = Buffer.alloc(0);
    this.#skip = 0;
    this.#copy.end();
  }
  /** Call where an answer is complete or cut: the last line of a COPY may lack its end. */
  end(): readonly (readonly Cell[])[] {
    this.#rest = Buffer.alloc(0);
    this.#skip = 0;
    return this.#copy.end();
  }
  /** A message larger than `replayedRowBytesMax` is one cell that says its size. @throws GatewayError `trail.broken` (`rows`) */
  push(bytes: Buffer): readonly (readonly Cell[])[] {
    const skipped = Math.min(this.#skip, bytes.length);
    this.#skip -= skipped;
    const more = bytes.subarray(skipped);
    const all = this.#rest.length === 0 ? more : Buffer.concat([this.#rest, more]);
    const rows: (readonly Cell[])[] = [];
    let at = 0;
    while (all.length - at >= HEAD_BYTES) {
      const length = 1 + all.readInt32BE(at + 1);
      const isRow = all[at] === DATA_ROW;
      if (!isRow && all[at] !== COPY_DATA) throw broken('rows');
      if (length < (isRow ? HEAD_BYTES + 2 : HEAD_BYTES)) throw broken('rows');
      if (length > LIMITS.replayedRowBytesMax) {
        rows.push([`(${length} bytes)`]);
        this.#skip = Math.max(0, length - (all.length - at));
        at = Math.min(at + length, all.length);
        continue;
      }
      if (length > all.length - at) break;
      const body = all.subarray(at + HEAD_BYTES, at + length);
      if (isRow) rows.push(readTuple(body));
      else for (const row of this.#copy.push(body)) rows.push(row);
      at += length;
    }
    this.#rest = Buffer.from(all.subarray(at));
    return rows;
  }
}
