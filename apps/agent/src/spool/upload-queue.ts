/**
 * Segments on their way to the control plane, oldest first: what is sent, what is acknowledged, what may be deleted.
 * Refuses to write: it reads files that the spool filled. A file goes only after its last byte was acknowledged.
 */
import { rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Logger } from '@sallyport/core';
import { eventSequence, recordEnd } from '@sallyport/trail';
import type { DiskBudget } from './disk-budget.ts';
import { cursorOf, parseCursor, type SpooledSegment } from './spooled-segment.ts';

/** Consecutive records of one chain, as they stand on the disk. */
export interface SpoolBatch {
  readonly instance: string;
  readonly epoch: number;
  /** Of the events inside; without any, `firstSequence` is `lastSequence` + 1. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** To be returned by the acknowledgement. */
  readonly cursor: string;
  /** The header of the segment that the records belong to. */
  readonly segmentHeader: Buffer;
  readonly records: Buffer;
}

/** The largest record: an event with a payload of 1 MiB. */
const RECORD_BYTES_MAX = 1024 * 1024 + 256;

export class UploadQueue {
  readonly #budget: DiskBudget;
  readonly #log: Logger;
  #segments: SpooledSegment[];
  #round = 0;
  /** @param segments oldest first */
  constructor(segments: readonly SpooledSegment[], budget: DiskBudget, log: Logger) {
    this.#segments = [...segments];
    this.#budget = budget;
    this.#log = log;
    for (const segment of segments) budget.add(segment.size);
  }
  get segments(): readonly SpooledSegment[] {
    return this.#segments;
  }
  /** Changes with every rewind. */
  get round(): number {
    return this.#round;
  }
  add(segment: SpooledSegment): void {
    this.#segments.push(segment);
    this.#budget.add(segment.size);
  }
  /** Bytes of it were written. */
  grow(segment: SpooledSegment, size: number): void {
    this.#budget.add(size - segment.size);
    segment.size = size;
  }

  /**
   * What comes next, or undefined when all is sent. One call at a time.
   * @param bytesMax of records; a single larger record comes alone
   * @param round when the caller began to wait for this batch
   */
  async nextBatch(bytesMax: number, round: number): Promise<SpoolBatch | undefined> {
    const segment = this.#segments.find((one) => one.sent.offset < one.sendable);
    if (segment === undefined) return undefined;
    const { file, sent: from, path, header } = segment;
    const left = segment.sendable - from.offset;
    const wanted = Math.min(bytesMax, left);
    // To what is being written few bytes are added at a time: threads that open, read and close it would be most of the work.
    let bytes = file === undefined ? await readAt(path, from.offset, wanted) : file.read(from.offset, wanted);
    if (recordEnd(bytes, 0) === undefined) {
      bytes = await readAt(path, from.offset, Math.min(RECORD_BYTES_MAX, left));
      bytes = bytes.subarray(0, recordEnd(bytes, 0) ?? 0);
    }
    const { length, first, last } = measure(bytes);
    const place = { offset: from.offset + length, sequence: last ?? from.sequence };
    // After a rewind in between this batch is sent twice rather than never.
    if (round === this.#round) segment.sent = place;
    return {
      instance: segment.identity.instance,
      epoch: segment.identity.epoch,
      firstSequence: first ?? place.sequence + 1,
      lastSequence: place.sequence,
      cursor: cursorOf(segment, place),
      segmentHeader: header,
      records: bytes.subarray(0, length),
    };
  }

  /** Everything up to the cursor is committed; batches were sent in order, so what is older is too. */
  acknowledge(instance: string, epoch: number, cursor: string): void {
    const place = parseCursor(cursor);
    const index = this.#segments.findIndex(
      ({ identity, firstSequence }) =>
        identity.instance === instance && identity.epoch === epoch && firstSequence === place?.firstSequence,
    );
    const segment = this.#segments[index];
    if (place === undefined || segment === undefined || place.epoch !== epoch || place.offset > segment.sent.offset) {
      this.#log.warn('an acknowledgement names nothing that was sent', { instance, epoch, cursor });
      return;
    }
    if (place.offset > segment.acked.offset) segment.acked = { offset: place.offset, sequence: place.sequence };
    for (const older of this.#segments.slice(0, index)) older.acked = older.sent;
    this.#segments = this.#segments.filter((one) => !this.#removed(one));
  }

  /** Sends again from what was acknowledged: after the link was lost. */
  rewind(): void {
    this.#round++;
    for (const segment of this.#segments) segment.sent = segment.acked;
  }

  #removed(segment: SpooledSegment): boolean {
    if (!segment.closed || segment.acked.offset < segment.size) return false;
    rmSync(segment.path, { force: true });
    this.#budget.remove(segment.size);
    return true;
  }
}

/** Whole records from the start of `bytes`, and the events among them. */
function measure(bytes: Buffer): { readonly length: number; readonly first?: number; readonly last?: number } {
  let length = 0;
  let first: number | undefined;
  let last: number | undefined;
  for (let end = recordEnd(bytes, 0); end !== undefined; end = recordEnd(bytes, length)) {
    const sequence = eventSequence(bytes, length);
    first ??= sequence;
    last = sequence ?? last;
    length = end;
  }
  return first === undefined || last === undefined ? { length } : { length, first, last };
}

async function readAt(path: string, position: number, length: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    // Of its own, and not cleared: it is read into at once, and what was not is left out.
    const buffer = Buffer.allocUnsafeSlow(length);
    const { bytesRead } = await file.read(buffer, 0, length, position);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
