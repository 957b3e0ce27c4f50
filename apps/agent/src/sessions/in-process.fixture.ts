/**
 * One agent's rules, road, recorder and spool in one process, for the benches beside it, and what empties the caches between
 * two steps. Dev-only. Refuses to open sockets, to send the record anywhere, and to hold or refuse a statement.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { createLogger, newSealKeyPair } from '@sallyport/core';
import { createMaskKey } from '@sallyport/mask';
import type { Bundle, Effect, Resource, SessionInfo } from '@sallyport/model';
import { loadBundlePolicies, parsePolicyDocument } from '@sallyport/policy';
import type { SessionHost, UpstreamCredential, UpstreamOwner, UpstreamPort } from '@sallyport/protocol-kit';
import { keySigner, SessionKey } from '@sallyport/trail';
import { SessionRecorder } from '../recording/recorder.ts';
import { RecordingStore } from '../recording/recording-store.ts';
import { openSpool } from '../spool/spool.ts';
import { Trail } from '../trail.ts';
import { type RoadPorts, SessionRoad } from './road.ts';
import { WatchableRecorder } from './watch.ts';

const POLICIES = path.join(import.meta.dirname, '../../../../policies');
const ID = '0190b3a4-0000-7000-8000-00000000000';
const nowMs = (): number => Date.now();
const log = createLogger('bench', { level: 'error', write: (line) => void process.stderr.write(line), nowMs });

/** What every resource here has. */
export const RESOURCE = {
  id: `${ID}1`,
  projectId: 'default',
  labels: { env: 'bench' },
  durability: 'standard',
  approval: 'wait',
  exceeded: 'deny',
  holdInTransactionMsMax: 30_000,
  offline: { sessionsMs: 0, newSessionsMs: 0 },
} as const;
const who = { id: `${ID}2`, name: 'bencher', kind: 'service' } as const;

export interface InProcess {
  /** The record of this turn into the kernel. */
  flush(): void;
  /** A session with its record. */
  open(
    number: number,
    said: Pick<SessionInfo, 'database' | 'application'>,
  ): {
    readonly info: SessionInfo;
    readonly road: SessionRoad;
    readonly recorder: WatchableRecorder;
    readonly host: (ends: Ends) => SessionHost;
  };
  close(): void;
}

/** What a session is between: what leaves it is counted, and goes nowhere. */
export interface Ends {
  /** Bytes that left so far, by either side. */
  readonly passed: { sent: number; shown: number };
  readonly signIn: SessionHost['signIn'];
  /** Is told what goes to the service. */
  readonly seen?: (bytes: Uint8Array) => void;
  /** Is given who takes what a service answers, where the session opens connections of its own. */
  readonly service?: (owner: UpstreamOwner) => void;
}

/** @param policy a document beside those that are shipped; '' = none */
export function openInProcess(
  resource: Resource,
  effects: readonly Effect[],
  policy: string,
  credential: UpstreamCredential,
): InProcess {
  const shipped = readdirSync(POLICIES).filter((name) => name.endsWith('.yaml'));
  const texts = shipped.map((name) => readFileSync(path.join(POLICIES, name), 'utf8'));
  const bundle: Bundle = {
    epoch: 1,
    revision: 1,
    projectId: 'default',
    createdAt: 0,
    resources: [resource],
    policies: (policy === '' ? texts : [...texts, policy]).map((text, i) =>
      parsePolicyDocument(text, `${i}.yaml`, { id: `p${i}`, projectId: 'default' }),
    ),
    grants: [
      {
        id: 'g',
        projectId: 'default',
        principal: who.id,
        resource: resource.name,
        effects,
        roles: [],
        kind: 'standing',
      },
    ],
    groups: [],
    keys: [],
    revocations: [],
    settings: { trailSealKey: '', trailSealKeyId: '', issuer: '', domain: '', heartbeatMs: 0 },
  };
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-path-'));
  const spool = openSpool({
    dir,
    agentId: `${ID}a`,
    instance: 'bench',
    version: 'bench',
    signer: keySigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
    trailSealKey: newSealKeyPair().publicKey,
    nowMs,
    log,
  });
  const trail = new Trail(spool, log, () => process.exit(1));
  const store = new RecordingStore(spool.dir, spool.budget, log);
  const engine = loadBundlePolicies(bundle);
  const nothing: unknown = undefined;
  const ports = {
    engine: () => engine,
    resource: () => resource,
    fresh: () => true,
    credential: () => Promise.resolve(credential),
    refused: () => Promise.resolve(undefined),
    consumed: () => undefined,
    hostKeyRemembered: () => true,
    // Nothing here is held: a call would be a defect of the bench.
    holds: nothing,
    tickets: nothing,
    shapes: nothing,
    ledger: nothing,
    approvalRevoked: () => false,
    maskKey: createMaskKey(Buffer.alloc(32, 7)),
    nowMs,
  } as Omit<RoadPorts, 'record' | 'recordOutcome'>;
  return {
    flush: () => spool.flush(),
    open: (number, said) => {
      const info: SessionInfo = {
        id: `${ID.slice(0, -1)}${number.toString(16).padStart(2, '0')}`,
        projectId: 'default',
        agentId: `${ID}a`,
        resourceId: resource.id,
        resourceName: resource.name,
        protocol: resource.kind,
        principal: who,
        onBehalfOf: undefined,
        tokenId: 't',
        grantIds: ['*'],
        clientAddress: '127.0.0.1:5',
        role: '',
        openedAt: nowMs(),
        ...said,
      };
      const key = new SessionKey(info.id);
      const recorder = new WatchableRecorder(nowMs);
      const behind = new SessionRecorder({
        sessionId: info.id,
        key,
        level: resource.recording,
        openedAtMs: info.openedAt,
        nowMs,
        store,
        log,
        recordChunk: (event) => trail.recordOutcome(event, key),
      });
      recorder.bind(behind, info.openedAt);
      const road = new SessionRoad(info, resource, undefined, {
        ...ports,
        record: (event) => trail.record(event, key),
        recordOutcome: (event) => trail.recordOutcome(event, key),
      });
      return { info, road, recorder, host: (ends) => hostOf(ends, info, recorder) };
    },
    close: () => rmSync(dir, { recursive: true, force: true }),
  };
}

const quiet = (): void => undefined;

function hostOf({ passed, signIn, seen, service }: Ends, info: SessionInfo, recorder: WatchableRecorder): SessionHost {
  const upstream: UpstreamPort = {
    connect: () => Promise.resolve(),
    abandon: quiet,
    startTls: quiet,
    send: (_permit, bytes) => {
      passed.sent += bytes.length;
      seen?.(bytes);
      return true;
    },
    pause: quiet,
    resume: quiet,
    end: quiet,
    destroy: quiet,
    outOfBand: quiet,
  };
  return {
    client: {
      address: info.clientAddress,
      plaintextAllowed: true,
      write: (bytes) => {
        passed.shown += bytes.length;
        return true;
      },
      startTls: quiet,
      pause: quiet,
      resume: quiet,
      end: quiet,
      destroy: quiet,
    },
    upstream,
    openUpstream: (owner) => {
      service?.(owner);
      return upstream;
    },
    timers: { set: quiet, clear: quiet },
    signIn,
    cancel: { issue: () => ({ processId: 1, secret: Buffer.alloc(4) }), request: quiet, onCancel: undefined },
    recorder,
    log,
    failed: (code) => {
      throw new Error(`a session failed: ${code}`);
    },
    nowMs,
    monotonicUs: () => performance.now() * 1000,
    randomBytes: (size) => Buffer.alloc(size, 1),
  };
}

/** What the others on the machine do to the caches in between: all that a step needs comes from memory again. */
export class Caches {
  readonly #elsewhere: Float64Array;
  isCold = false;
  seen = 0;

  constructor(megabytes: number) {
    this.#elsewhere = new Float64Array(megabytes * 131_072);
  }

  leave(): void {
    if (!this.isCold) return;
    const elsewhere = this.#elsewhere;
    let seen = 0;
    for (let i = 0; i < elsewhere.length; i += 8) seen += elsewhere[i]!;
    this.seen = seen;
  }
}

/** Runs it, tells best and median of its CPU microseconds, and lets full chunks of the record be written in between. */
export async function timed(name: string, runs: number, count: number, run: () => Promise<void> | void): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const started = process.threadCpuUsage();
    await run();
    const { user, system } = process.threadCpuUsage(started);
    times.push((user + system) / count);
    for (let n = 0; n < 20; n++) await turn();
  }
  times.sort((a, b) => a - b);
  const [best, median] = [times[0]!, times[Math.floor(times.length / 2)]!];
  process.stdout.write(`${name.padEnd(9)} best ${best.toFixed(2)} µs, median ${median.toFixed(2)} µs\n`);
}
