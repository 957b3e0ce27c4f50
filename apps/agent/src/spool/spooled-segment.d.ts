/**
 * What the spool knows of one segment on its disk, and how files are named. Refuses to read or write them.
 */
import type { ChainIdentity, ChainPosition } from '@sallyport/trail';
export interface SpooledSegment {
  readonly path: string;
  readonly identity: ChainIdentity;
  readonly firstSequence: number;
  /** Head before the first event. */
  readonly prev: Buffer;
  /** Length of the segment's header: where records begin. */
  readonly headerLength: number;
  /** Bytes that are in the kernel. */
  size: number;
  /** Bytes that are on the disk: the control plane never has what a power loss could take from here. */
  sendable: number;
  /** After the last event. */
  position: ChainPosition;
  /** Ends in a checkpoint. */
  closed: boolean;
  /** Read for sending up to here, and the last event before it. */
  sent: SentPlace;
  /** Committed at the control plane up to here. */
  acked: SentPlace;
}
export interface SentPlace {
  readonly offset: number;
  readonly sequence: number;
}
/** Nothing of the segment was sent. */
export declare const unsent: (headerLength: number, firstSequence: number) => SentPlace;
export declare const segmentFileName: (epoch: number, firstSequence: number) => string;
/** Names sort as chains grow. */
export declare const isSegmentFileName: (name: string) => boolean;
/** A place in the spool as the control plane returns it. */
export declare const cursorOf: (segment: SpooledSegment, place: SentPlace) => string;
export interface Cursor extends SentPlace {
  readonly epoch: number;
  readonly firstSequence: number;
}
export declare function parseCursor(cursor: string): Cursor | undefined;
