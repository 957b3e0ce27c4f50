/**
 * What recording costs on the path of a statement: microseconds per event, in memory and with one write per turn.
 * Run: `node apps/agent/src/spool/spool.bench.ts`. Aim: LIMITS goal 12, at most 3 µs of CPU per event and 100,000 events a second.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createLogger, newSealKeyPair } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import { ByteBatch, ChainWriter, keySigner, SessionKey } from '@sallyport/trail';
import { openSpool } from './spool.ts';

const EVENTS = 200_000;
const AGENT = '0190b3a4-0000-7000-8000-00000000000a';
const EFFECTS = Object.freeze(['read'] as const);
const judged = (number: number): TrailEvent => ({
  kind: 'statement.judged',
  number,
  verdict: 'allow',
  rule: 'grant',
  code: '',
  digest: 'ab'.repeat(32),
  effects: EFFECTS,
  text: 'SELECT abalance FROM pgbench_accounts WHERE aid = $1',
  parameters: [{ text: '12345', type: 23 }],
  approvalId: '',
  shadow: [],
});

function inMemory(): number {
  const writer = new ChainWriter({ agentId: AGENT, instance: 'bench', epoch: 1 });
  const batch = new ByteBatch();
  const key = new SessionKey('');
  const start = performance.now();
  for (let i = 1; i <= EVENTS; i++) {
    writer.append(batch, judged(i), i, key);
    if (batch.length > 60_000) batch.clear();
  }
  return ((performance.now() - start) * 1000) / EVENTS;
}

async function onDisk(perTurn: number): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'trail-bench-'));
  const nowMs = () => Date.now();
  const spool = openSpool({
    dir,
    agentId: AGENT,
    instance: 'bench',
    version: 'bench',
    signer: keySigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
    trailSealKey: newSealKeyPair().publicKey,
    nowMs,
    log: createLogger('bench', { level: 'error', write: (line) => void process.stderr.write(line), nowMs }),
  });
  const key = new SessionKey('');
  const start = performance.now();
  for (let i = 1; i <= EVENTS; i++) {
    spool.record(judged(i), key);
    if (i % perTurn === 0) spool.flush();
  }
  spool.flush();
  const took = performance.now() - start;
  await spool.close('bench');
  rmSync(dir, { recursive: true });
  return (took * 1000) / EVENTS;
}

const show = (what: string, us: number): void =>
  void process.stdout.write(`${what.padEnd(34)} ${us.toFixed(2)} µs/event  ${Math.round(1e6 / us)} events/s\n`);

inMemory();
show('encode, encrypt, chain', inMemory());
for (const perTurn of [1, 8, 32]) show(`… and written, ${perTurn} a turn`, await onDisk(perTurn));
