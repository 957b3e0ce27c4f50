/**
 * What the spool knows of one segment on its disk, and how files are named. Refuses to read or write them.
 */
import type { ChainIdentity, ChainPosition } from '@sallyport/trail';
import type { SegmentFile } from './segment-file.ts';

export interface SpooledSegment {
  readonly path: string;
  readonly identity: ChainIdentity;
  readonly firstSequence: number;
  /** Head before the first event. */
  readonly prev: Buffer;
  /** The segment's header: records begin behind it. */
  readonly header: Buffer;
  /** While it is open for writing here. */
  file: SegmentFile | undefined;
  /** Bytes that are in the kernel. */
  size: number;
  /** Bytes that are on the disk: the control plane never has what a power loss could take from here. */
  sendable: number;
  /** After the last event; of the segment that is being written it goes along with it. */
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
export const unsent = (headerLength: number, firstSequence: number): SentPlace => ({
  offset: headerLength,
  sequence: firstSequence - 1,
});

export const segmentFileName = (epoch: number, firstSequence: number): string =>
  `${String(epoch).padStart(10, '0')}-${String(firstSequence).padStart(16, '0')}.seg`;

/** Names sort as chains grow. */
export const isSegmentFileName = (name: string): boolean => /^\d{10}-\d{16}\.seg$/.test(name);

/** A place in the spool as the control plane returns it. */
export const cursorOf = (segment: SpooledSegment, place: SentPlace): string =>
  [segment.identity.epoch, segment.firstSequence, place.offset, place.sequence].join('.');

export interface Cursor extends SentPlace {
  readonly epoch: number;
  readonly firstSequence: number;
}

export function parseCursor(cursor: string): Cursor | undefined {
  const match = /^(\d{1,10})\.(\d{1,16})\.(\d{1,16})\.(\d{1,16})$/.exec(cursor);
  if (match === null) return undefined;
  const [epoch = 0, firstSequence = 0, offset = 0, sequence = 0] = match.slice(1).map(Number);
  return { epoch, firstSequence, offset, sequence };
}
