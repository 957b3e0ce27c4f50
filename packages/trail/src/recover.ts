/**
 * What is sound in a segment file that a process left behind. Refuses to repair: the caller cuts the file and closes it.
 * A torn tail is expected after a crash; a break with whole records behind it is not, and is told apart.
 */
import { GatewayError } from '@sallyport/core';
import type { ChainPosition } from './chain.ts';
import { ChainChecker } from './chain-check.ts';
import type { Checkpoint } from './checkpoint.ts';
import { readRecord } from './record.ts';
import { parseSegmentHeader, type SegmentHeader } from './segment.ts';

export interface RecoveredSegment {
  readonly header: SegmentHeader;
  /** Bytes from the start that are sound: cut the file here. */
  readonly validLength: number;
  /** After the last sound event. */
  readonly position: ChainPosition;
  /** Set when the segment was closed. */
  readonly checkpoint: Checkpoint | undefined;
  /** Why reading stopped before the end; undefined when all bytes are sound. */
  readonly damage: string | undefined;
}

/** @throws GatewayError `trail.broken` when not even the segment's header is whole */
export function recoverSegment(bytes: Buffer): RecoveredSegment {
  const header = parseSegmentHeader(bytes);
  const checker = new ChainChecker(header.identity, { sequence: header.firstSequence - 1, head: header.prev });
  let validLength = header.length;
  let checkpoint: Checkpoint | undefined;
  let damage: string | undefined;
  while (validLength < bytes.length && checkpoint === undefined) {
    try {
      const record = readRecord(bytes, validLength);
      if (record === undefined) {
        damage = 'torn';
        break;
      }
      const checked = checker.accept(record);
      if (checked.kind === 'checkpoint') checkpoint = checked.checkpoint;
      validLength = record.end;
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      damage = String(error.detail['reason'] ?? 'broken');
      break;
    }
  }
  if (checkpoint !== undefined && validLength < bytes.length) damage = 'after-checkpoint';
  const { sequence, head } = checker.position;
  return { header, validLength, position: { sequence, head: Buffer.from(head) }, checkpoint, damage };
}
