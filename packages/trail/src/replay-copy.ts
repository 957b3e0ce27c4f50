/**
 * Reads the bytes of a PostgreSQL COPY, of either direction, into rows for people: a line of text or CSV is one cell, a
 * binary tuple has its cells. Refuses to part lines into columns: delimiters stand in a statement's options.
 * PostgreSQL, COPY, "File Formats". Limit: LIMITS.recordedLineBytesMax, beyond which a line or tuple is only named.
 */
import { LIMITS } from '@sallyport/core';
import { type Cell, cellText, readTuple } from './postgres-cells.ts';

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** Signature, flags, length of the extension. */
const HEADER_BYTES = SIGNATURE.length + 8;
const NEWLINE = 10;
const NONE: Buffer = Buffer.alloc(0);

/** One per COPY; pieces may end anywhere. */
export class CopyReader {
  #rest: Buffer = NONE;
  #form: 'unknown' | 'text' | 'binary' | 'unreadable' = 'unknown';
  /** Inside a line that is too long to show. */
  #skipping = false;

  /** Rows that end in these bytes. */
  push(bytes: Buffer): readonly (readonly Cell[])[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#rest = NONE;
    if (this.#form === 'unknown') {
      const count = Math.min(all.length, SIGNATURE.length);
      const mayBeBinary = all.subarray(0, count).equals(SIGNATURE.subarray(0, count));
      if (mayBeBinary && all.length < HEADER_BYTES) return this.#keep(all, []);
      this.#form = mayBeBinary ? 'binary' : 'text';
      if (mayBeBinary) {
        // No server writes a header extension.
        if (all.readUInt32BE(HEADER_BYTES - 4) !== 0) this.#form = 'unreadable';
        else return this.#tuples(all, HEADER_BYTES);
      }
    }
    if (this.#form === 'unreadable') return [];
    return this.#form === 'text' ? this.#lines(all) : this.#tuples(all, 0);
  }

  /** A last line may lack its end; what follows is another COPY, or another part of this one. */
  end(): readonly (readonly Cell[])[] {
    const rest = this.#form === 'binary' ? NONE : this.#rest;
    this.#rest = NONE;
    this.#form = 'unknown';
    this.#skipping = false;
    return rest.length === 0 ? [] : [[cellText(rest)]];
  }

  #lines(all: Buffer): readonly (readonly Cell[])[] {
    const rows: (readonly Cell[])[] = [];
    let at = 0;
    for (let end = all.indexOf(NEWLINE); end >= 0; end = all.indexOf(NEWLINE, at)) {
      const line = all.subarray(at, all[end - 1] === 13 && end > at ? end - 1 : end);
      if (!this.#skipping) rows.push([cellText(line)]);
      this.#skipping = false;
      at = end + 1;
    }
    return this.#skipping ? rows : this.#keep(all.subarray(at), rows);
  }

  #tuples(all: Buffer, from: number): readonly (readonly Cell[])[] {
    const rows: (readonly Cell[])[] = [];
    let at = from;
    while (at < all.length) {
      const end = tupleEnd(all, at);
      if (end === undefined) return this.#keep(all.subarray(at), rows);
      // The trailer, or bytes that are no tuple: nothing behind them can be read.
      if (end <= at) {
        this.#form = 'unreadable';
        return rows;
      }
      rows.push(readTuple(all.subarray(at, end)));
      at = end;
    }
    return rows;
  }

  #keep(rest: Buffer, rows: (readonly Cell[])[]): readonly (readonly Cell[])[] {
    if (rest.length > LIMITS.recordedLineBytesMax) {
      rows.push([`[more than ${LIMITS.recordedLineBytesMax} bytes]`]);
      if (this.#form === 'binary') this.#form = 'unreadable';
      else this.#skipping = true;
    } else this.#rest = Buffer.from(rest);
    return rows;
  }
}

/** Where the tuple at `at` ends; undefined when it is not all there; -1 when it is none. */
function tupleEnd(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < 2) return undefined;
  const count = bytes.readInt16BE(at);
  if (count < 0) return -1;
  let end = at + 2;
  for (let i = 0; i < count; i++) {
    if (bytes.length - end < 4) return undefined;
    const length = bytes.readInt32BE(end);
    if (length < -1) return -1;
    end += 4 + Math.max(0, length);
    if (end > bytes.length) return undefined;
  }
  return end;
}
