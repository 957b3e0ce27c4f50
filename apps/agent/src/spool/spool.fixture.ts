/**
 * Test-only: a spool in a temporary directory with a clock one can move, and a control plane that checks what it gets.
 * Refuses to mock the disk: failures are made by limits of the process or by a small file system.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger, type SealKeyPair } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import {
  ChainChecker,
  checkpointHolds,
  EventReader,
  keySigner,
  openSessionKey,
  parseSegmentHeader,
  readRecords,
  type SessionKeyReader,
} from '@sallyport/trail';
import { openSpool, type Spool, type SpoolBatch, type SpoolOptions } from './spool.ts';

export const AGENT = '0190b3a4-0000-7000-8000-00000000000a';
export const SESSION = '0190b3a4-5c6d-7e8f-9a0b-1c2d3e4f5061';
// Fixed, because processes that write and processes that read share them. DER prefixes of RFC 8410.
const fixedKey = (prefix: string): KeyObject =>
  createPrivateKey({
    key: Buffer.concat([Buffer.from(prefix, 'hex'), Buffer.alloc(32, 9)]),
    format: 'der',
    type: 'pkcs8',
  });
export const signingKey: KeyObject = fixedKey('302e020100300506032b657004220420');
export const sealKeys: SealKeyPair = {
  privateKey: Buffer.alloc(32, 9),
  publicKey: createPublicKey(fixedKey('302e020100300506032b656e04220420'))
    .export({ type: 'spki', format: 'der' })
    .subarray(-32),
};

export interface SpoolBench {
  readonly options: SpoolOptions;
  readonly logged: string[];
  nowMs: number;
  open(more?: Partial<SpoolOptions>): Spool;
}

const made: string[] = [];
/** Give it to `afterAll`. */
export const removeTemporary = (): void => {
  for (const one of made) rmSync(one, { recursive: true, force: true });
};
function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'spool-'));
  made.push(dir);
  return dir;
}

export function spoolBench(dir = temporaryDirectory()): SpoolBench {
  const bench = { nowMs: Date.UTC(2026, 10, 21), logged: [] as string[] };
  const nowMs = () => bench.nowMs;
  const log = createLogger('test', { level: 'debug', write: (line) => void bench.logged.push(line), nowMs });
  const options: SpoolOptions = {
    dir,
    agentId: AGENT,
    instance: 'main',
    version: '0.1.0',
    signer: keySigner(signingKey),
    trailSealKey: sealKeys.publicKey,
    nowMs,
    log,
    lingerMs: 0,
  };
  return Object.assign(bench, { options, open: (more = {}) => openSpool({ ...options, ...more }) });
}

export const judged = (number: number, text = 'select 1'): TrailEvent => ({
  kind: 'statement.judged',
  number,
  verdict: 'allow',
  rule: 'grant',
  code: '',
  digest: '',
  effects: ['read'],
  text,
  parameters: [],
  approvalId: '',
  shadow: [],
});
export const finished = (number: number): TrailEvent => ({
  kind: 'statement.finished',
  outcomes: [{ number, rows: 1, bytes: 1, error: '', durationUs: 5, masked: 0 }],
});

/** What a control plane does with uploads: checks chains and checkpoints, opens payloads. */
export class Ingest {
  readonly #checkers = new Map<string, ChainChecker>();
  readonly #keys = new Map<string, SessionKeyReader>();
  readonly events: { readonly epoch: number; readonly sequence: number; readonly event: TrailEvent }[] = [];
  checkpoints = 0;
  recovered = 0;
  /** @throws GatewayError `trail.broken` for anything that does not follow */
  take(batch: SpoolBatch): void {
    const header = parseSegmentHeader(batch.segmentHeader);
    const id = `${batch.instance}/${batch.epoch}`;
    const checker = this.#checkers.get(id) ?? new ChainChecker(header.identity);
    this.#checkers.set(id, checker);
    const reader = new EventReader((keyId) => this.#keys.get(keyId.toString('hex')));
    for (const record of readRecords(batch.records)) {
      const checked = checker.accept(record);
      if (checked.kind === 'key')
        this.#keys.set(checked.key.keyId.toString('hex'), openSessionKey(checked.key, sealKeys));
      if (checked.kind === 'checkpoint') {
        if (!checkpointHolds(checked.checkpoint, createPublicKey(signingKey)))
          throw new Error('a checkpoint does not hold');
        this.checkpoints++;
        if (checked.checkpoint.recovered) this.recovered++;
      }
      if (checked.kind !== 'event') continue;
      const read = reader.read(checked.event);
      if (read?.kind !== 'event') throw new Error('an event cannot be read');
      this.events.push({ epoch: batch.epoch, sequence: checked.event.sequence, event: read.event });
    }
  }
  numbers(kind: 'statement.judged' | 'statement.finished' = 'statement.judged'): number[] {
    return this.events.flatMap(({ event }) => {
      if (event.kind === 'statement.judged' && kind === event.kind) return [event.number];
      if (event.kind === 'statement.finished' && kind === event.kind) return event.outcomes.map((one) => one.number);
      return [];
    });
  }
}

/** Uploads all there is. */
export async function drain(spool: Spool, ingest: Ingest, bytesMax?: number): Promise<readonly SpoolBatch[]> {
  const batches: SpoolBatch[] = [];
  for (let batch = await spool.nextBatch(bytesMax); batch !== undefined; batch = await spool.nextBatch(bytesMax)) {
    ingest.take(batch);
    batches.push(batch);
    spool.acknowledge(batch.instance, batch.epoch, batch.cursor);
  }
  return batches;
}
