import { type Logger } from '@sallyport/core';
import { type ChainPosition, type SyncSigner } from '@sallyport/trail';
import { type SpooledSegment } from './spooled-segment.ts';
export interface RecoveryOptions {
  readonly signer: SyncSigner;
  readonly nowMs: number;
  readonly log: Logger;
}
export interface Recovered {
  readonly segments: readonly SpooledSegment[];
  /** The last epoch that ran here and its end; undefined in a fresh directory. */
  readonly last:
    | {
        readonly epoch: number;
        readonly position: ChainPosition;
      }
    | undefined;
}
/** Call only while holding the directory's lock. */
export declare function recoverDirectory(dir: string, options: RecoveryOptions): Recovered;
/** Leaves the segment open when the disk is full; its owner tries again. */
export declare function closeRecovered(segment: SpooledSegment, options: RecoveryOptions): void;
