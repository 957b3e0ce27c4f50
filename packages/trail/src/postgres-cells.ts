/**
 * Cells of a PostgreSQL row as text for people: of a DataRow's body, and of a tuple of binary COPY, which has the same form.
 * Refuses to decode binary values: they show as \x hex. PostgreSQL protocol-message-formats, DataRow.
 */
import { broken } from './bytes.ts';

/** `undefined` is SQL NULL. */
export type Cell = string | undefined;

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @param row count of cells (2), then length (4) and bytes of each @throws GatewayError `trail.broken` (`rows`) */
export function readTuple(row: Buffer): readonly Cell[] {
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

export function cellText(bytes: Buffer): string {
  const hex = (): string => `\\x${bytes.toString('hex')}`;
  try {
    const text = UTF8.decode(bytes);
    // Binary integers are often valid UTF-8: control characters give them away.
    return /[\x00-\x08\x0e-\x1f]/.test(text) ? hex() : text;
  } catch {
    return hex();
  }
}
