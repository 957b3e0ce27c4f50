/**
 * What earlier processes left in a spool directory: checks every segment, cuts torn tails, closes open segments.
 * Refuses to lose evidence: a segment with damage that a crash does not explain is kept beside as `.damaged`.
 */
import { copyFileSync, readdirSync, readFileSync, renameSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError, type Logger } from '@sallyport/core';
import {
  appendRecord,
  ByteBatch,
  type ChainPosition,
  RECORD_CHECKPOINT,
  type RecoveredSegment,
  recoverSegment,
  type SyncSigner,
  signCheckpoint,
} from '@sallyport/trail';
import { readPosition } from './position-file.ts';
import { SegmentFile } from './segment-file.ts';
import { isSegmentFileName, type SpooledSegment, unsent } from './spooled-segment.ts';

export interface RecoveryOptions {
  readonly signer: SyncSigner;
  readonly nowMs: number;
  readonly log: Logger;
}

export interface Recovered {
  readonly segments: readonly SpooledSegment[];
  /** The last epoch that ran here and its end; undefined in a fresh directory. */
  readonly last: { readonly epoch: number; readonly position: ChainPosition } | undefined;
}

/** Call only while holding the directory's lock. */
export function recoverDirectory(dir: string, options: RecoveryOptions): Recovered {
  const segments: SpooledSegment[] = [];
  let last = readPosition(dir);
  for (const name of readdirSync(dir).filter(isSegmentFileName).sort()) {
    const segment = recoverFile(join(dir, name), options);
    if (segment === undefined) continue;
    segments.push(segment);
    const { epoch } = segment.identity;
    const newer =
      last === undefined ||
      epoch > last.epoch ||
      (epoch === last.epoch && segment.position.sequence > last.position.sequence);
    if (newer) last = { epoch, position: segment.position };
  }
  return { segments, last };
}

function recoverFile(path: string, options: RecoveryOptions): SpooledSegment | undefined {
  const { log } = options;
  const bytes = readFileSync(path);
  const found = sound(bytes);
  if (found === undefined) {
    log.error('a segment has no readable header and was set aside', { path, bytes: bytes.length });
    if (bytes.length === 0) unlinkSync(path);
    else renameSync(path, `${path}.damaged`);
    return undefined;
  }
  if (found.damage !== undefined) {
    const lost = bytes.length - found.validLength;
    log.warn('a segment was cut after its last whole record', { path, damage: found.damage, lost });
    if (found.damage !== 'torn') copyFileSync(path, `${path}.damaged`);
  }
  if (found.position.sequence < found.header.firstSequence) {
    unlinkSync(path);
    return undefined;
  }
  const segment: SpooledSegment = {
    path,
    identity: found.header.identity,
    firstSequence: found.header.firstSequence,
    prev: Buffer.from(found.header.prev),
    header: Buffer.from(bytes.subarray(0, found.header.length)),
    file: undefined,
    size: found.validLength,
    sendable: found.validLength,
    position: found.position,
    closed: found.checkpoint !== undefined,
    sent: unsent(found.header.length, found.header.firstSequence),
    acked: unsent(found.header.length, found.header.firstSequence),
  };
  if (!segment.closed || statSync(path).size > segment.size) closeRecovered(segment, options);
  return segment;
}

/** Leaves the segment open when the disk is full; its owner tries again. */
export function closeRecovered(segment: SpooledSegment, options: RecoveryOptions): void {
  try {
    const file = SegmentFile.reopen(segment.path, segment.size);
    try {
      if (!segment.closed) {
        const claim = {
          identity: segment.identity,
          firstSequence: segment.firstSequence,
          lastSequence: segment.position.sequence,
          timeMs: options.nowMs,
          prev: segment.prev,
          head: segment.position.head,
          recovered: true,
        };
        const batch = new ByteBatch(512);
        appendRecord(batch, RECORD_CHECKPOINT, signCheckpoint(claim, options.signer));
        file.append(batch.view);
        segment.size = file.size;
        segment.sendable = file.size;
        segment.closed = true;
      }
    } finally {
      file.finishSync();
    }
  } catch (error) {
    options.log.error('a recovered segment could not be closed', { path: segment.path, error });
  }
}

function sound(bytes: Buffer): RecoveredSegment | undefined {
  try {
    return recoverSegment(bytes);
  } catch (error) {
    if (error instanceof GatewayError) return undefined;
    throw error;
  }
}
