/**
 * Where the last epoch of a spool directory ended, for when all its segments are uploaded and gone. Always 256 bytes,
 * written in place: a full disk can still take it. Refuses to matter: without it an epoch names no predecessor.
 */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ChainPosition } from '@sallyport/trail';

const NAME = 'position';
const BYTES = 256;

export interface EpochEnd {
  readonly epoch: number;
  readonly position: ChainPosition;
}

export function writePosition(dir: string, end: EpochEnd): void {
  const { epoch, position } = end;
  const text = JSON.stringify({ epoch, sequence: position.sequence, head: position.head.toString('hex') });
  const fd = openSync(join(dir, NAME), constants.O_CREAT | constants.O_WRONLY, 0o600);
  try {
    writeSync(fd, text.padEnd(BYTES - 1).concat('\n'), 0, 'latin1');
  } finally {
    closeSync(fd);
  }
}

/** Undefined when there is none, or when a crash tore it. */
export function readPosition(dir: string): EpochEnd | undefined {
  try {
    const value = JSON.parse(readFileSync(join(dir, NAME), 'latin1')) as Record<string, unknown>;
    const { epoch, sequence, head } = value;
    if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(sequence) || typeof head !== 'string') return undefined;
    if (!/^[0-9a-f]{64}$/.test(head)) return undefined;
    return { epoch: epoch as number, position: { sequence: sequence as number, head: Buffer.from(head, 'hex') } };
  } catch {
    return undefined;
  }
}
