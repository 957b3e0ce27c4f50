/**
 * The row masker in plain JavaScript: the reference that the kernel must equal, and its fallback for what it leaves
 * (long rows, rare types, rare detectors). Refuses to be fast where that costs clarity.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import { maskCell, maskDetectedCell } from './cell.ts';
import { familyOf } from './families.ts';
import type { MaskedRows, RowColumn, RowMasker, RowPlan } from './rows.ts';

export const DATA_ROW = 68;
const NULL_LENGTH = -1;
/** Type byte, length, number of columns. */
const HEAD_BYTES = 7;

const int32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;

/**
 * Bytes of the message at `at`, its type byte included; 0 when fewer than five bytes are there.
 * @throws GatewayError `protocol.malformed`, `frame.too_large`
 */
export function messageBytes(chunk: Uint8Array, at: number): number {
  if (at + 5 > chunk.length) return 0;
  const length = int32(chunk, at + 1);
  if (length < 6) throw new GatewayError('protocol.malformed', { message: 'DataRow', length });
  if (length + 1 > LIMITS.maskedRowBytesMax) throw new GatewayError('frame.too_large', { message: 'DataRow', length });
  return length + 1;
}

/** True when no cell of the plan can change. */
export const isClearPlan = (plan: RowPlan): boolean =>
  plan.columns.every(
    (column) => column.method === undefined && (plan.detect.length === 0 || familyOf(column.typeOid) === 'plain'),
  );

export interface MaskedRow {
  /** The same bytes when nothing changed. */
  readonly bytes: Uint8Array;
  readonly maskedCells: number;
}

function maskedCell(cell: Uint8Array, column: RowColumn, plan: RowPlan): Uint8Array | null {
  const options = {
    typeOid: column.typeOid,
    format: column.format,
    ...(plan.key === undefined ? {} : { key: plan.key }),
  };
  return column.method === undefined
    ? maskDetectedCell(cell, plan.detect, options)
    : maskCell(cell, column.method, options);
}

/** One whole DataRow message, masked. @throws GatewayError as RowMasker.mask */
export function maskRow(row: Uint8Array, plan: RowPlan): MaskedRow {
  const count = (row[5]! << 8) | row[6]!;
  if (count !== plan.columns.length) {
    throw new GatewayError('mask.unvouched', { columns: count, planned: plan.columns.length });
  }
  const parts: Uint8Array[] = [];
  let maskedCells = 0;
  let at = HEAD_BYTES;
  let from = 0;
  let size = row.length;
  for (const column of plan.columns) {
    if (at + 4 > row.length) throw new GatewayError('protocol.malformed', { message: 'DataRow' });
    const length = int32(row, at);
    const end = at + 4 + Math.max(0, length);
    if (length < NULL_LENGTH || end > row.length) throw new GatewayError('protocol.malformed', { message: 'DataRow' });
    if (length >= 0) {
      const cell = row.subarray(at + 4, end);
      const shown = maskedCell(cell, column, plan);
      if (shown !== cell) {
        const head = Buffer.allocUnsafe(4);
        head.writeInt32BE(shown === null ? NULL_LENGTH : shown.length);
        parts.push(row.subarray(from, at), head);
        if (shown !== null) parts.push(shown);
        size += (shown?.length ?? 0) - length;
        from = end;
        maskedCells++;
      }
    }
    at = end;
  }
  if (at !== row.length) throw new GatewayError('protocol.malformed', { message: 'DataRow' });
  if (maskedCells === 0) return { bytes: row, maskedCells };
  parts.push(row.subarray(from));
  const bytes = Buffer.concat(parts, size);
  bytes.writeInt32BE(size - 1, 1);
  return { bytes, maskedCells };
}

/** A masker that never uses the kernel. */
export function createReferenceMasker(plan: RowPlan): RowMasker {
  const mask = (chunk: Uint8Array): MaskedRows => {
    const parts: Uint8Array[] = [];
    let consumed = 0;
    let rows = 0;
    let maskedCells = 0;
    while (chunk[consumed] === DATA_ROW) {
      const bytes = messageBytes(chunk, consumed);
      if (bytes === 0 || consumed + bytes > chunk.length) break;
      const row = maskRow(chunk.subarray(consumed, consumed + bytes), plan);
      parts.push(row.bytes);
      maskedCells += row.maskedCells;
      consumed += bytes;
      rows++;
    }
    return {
      consumed,
      output: maskedCells === 0 ? chunk.subarray(0, consumed) : Buffer.concat(parts),
      rows,
      maskedCells,
    };
  };
  return { isClear: isClearPlan(plan), mask, maskShared: mask };
}
