import type { Logger } from '@sallyport/core';
import type { DiskBudget } from './disk-budget.ts';
import { type SpooledSegment } from './spooled-segment.ts';
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
export declare class UploadQueue {
  #private;
  /** @param segments oldest first */
  constructor(segments: readonly SpooledSegment[], budget: DiskBudget, log: Logger);
  get segments(): readonly SpooledSegment[];
  /** Changes with every rewind. */
  get round(): number;
  add(segment: SpooledSegment): void;
  /** Bytes of it were written. */
  grow(segment: SpooledSegment, size: number): void;
  /**
   * What comes next, or undefined when all is sent. One call at a time.
   * @param bytesMax of records; a single larger record comes alone
   * @param round when the caller began to wait for this batch
   */
  nextBatch(bytesMax: number, round: number): Promise<SpoolBatch | undefined>;
  /** Everything up to the cursor is committed; batches were sent in order, so what is older is too. */
  acknowledge(instance: string, epoch: number, cursor: string): void;
  /** Sends again from what was acknowledged: after the link was lost. */
  rewind(): void;
}
