/**
 * Records: what stands one after another in a segment, a spool file and an upload. Length (4) | type (1) | body.
 * Refuses to know what bodies mean. docs/reference/trail-format.md, Segment file.
 */
import { LIMITS } from '@sallyport/core';
import { type ByteBatch, broken, readU64 } from './bytes.ts';
import { EVENT_HEADER_BYTES, SEQUENCE_AT } from './event.ts';

export const RECORD_EVENT = 1;
export const RECORD_KEY = 2;
export const RECORD_CHECKPOINT = 3;
export const RECORD_ERASED_EVENT = 4;
export type RecordType = 1 | 2 | 3 | 4;

/** Length and type. */
export const RECORD_PREFIX_BYTES = 5;
const BODY_BYTES_MAX = LIMITS.eventPayloadBytesMax + EVENT_HEADER_BYTES;

export interface TrailRecord {
  readonly type: RecordType;
  /** A view into the bytes it was read from. */
  readonly body: Buffer;
  /** Offset of the record and of the byte after it, in what was given. */
  readonly start: number;
  readonly end: number;
}

export function appendRecord(batch: ByteBatch, type: RecordType, body: Uint8Array): void {
  const at = batch.length;
  const into = batch.reserve(RECORD_PREFIX_BYTES + body.length);
  into.writeUInt32BE(1 + body.length, at);
  into[at + 4] = type;
  into.set(body, at + RECORD_PREFIX_BYTES);
}

/**
 * The record at `at`, or undefined when it is not whole yet.
 * @throws GatewayError `trail.broken` (`record`) for a length or type that no version 1 writer makes
 */
export function readRecord(bytes: Buffer, at: number): TrailRecord | undefined {
  const end = recordEnd(bytes, at);
  if (end === undefined) return undefined;
  return { type: bytes[at + 4] as RecordType, body: bytes.subarray(at + RECORD_PREFIX_BYTES, end), start: at, end };
}

/**
 * Where the record at `at` ends, or undefined when it is not whole yet.
 * @throws GatewayError `trail.broken` (`record`) for a length or type that no version 1 writer makes
 */
export function recordEnd(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < RECORD_PREFIX_BYTES) return undefined;
  const length = bytes.readUInt32BE(at);
  const type = bytes[at + 4]!;
  if (length < 1 || length - 1 > BODY_BYTES_MAX || type < 1 || type > 4) throw broken('record', { offset: at });
  const end = at + 4 + length;
  return end > bytes.length ? undefined : end;
}

/** The number of the event whose record stands at `at`, whole; undefined for a record of another kind. */
export function eventSequence(bytes: Buffer, at: number): number | undefined {
  const type = bytes[at + 4];
  return type === RECORD_EVENT || type === RECORD_ERASED_EVENT
    ? readU64(bytes, at + RECORD_PREFIX_BYTES + SEQUENCE_AT)
    : undefined;
}

/** All whole records of `bytes`. @throws GatewayError `trail.broken` (`record`), also when the last one is cut short */
export function* readRecords(bytes: Buffer, from = 0): Generator<TrailRecord> {
  let at = from;
  while (at < bytes.length) {
    const record = readRecord(bytes, at);
    if (record === undefined) throw broken('record', { offset: at });
    yield record;
    at = record.end;
  }
}

/** Cuts a stream that arrives in any pieces into records; holds at most one unfinished record. */
export class RecordReader {
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes of an unfinished record. */
  get pending(): number {
    return this.#rest.length;
  }
  /** Bodies are views; copy what is kept. @throws GatewayError `trail.broken` (`record`) */
  push(chunk: Buffer): readonly TrailRecord[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const records: TrailRecord[] = [];
    let at = 0;
    for (let record = readRecord(bytes, at); record !== undefined; record = readRecord(bytes, at)) {
      records.push(record);
      at = record.end;
    }
    this.#rest = Buffer.from(bytes.subarray(at));
    return records;
  }
}
