/** What a session was given serves all its connections, until there is something else to give. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLogger, newSealKeyPair, seal } from '@sallyport/core';
import { parseResource, type Resource, type SessionInfo } from '@sallyport/model';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { BundleStore } from '../bundle/store.ts';
import { Credentials } from './credentials.ts';

const NOW = 1_800_000_000_000;
let now = NOW;
let dir: string;
let credentials: Credentials;
const keys = newSealKeyPair();
const log = createLogger('test', { level: 'error', write: () => undefined, nowMs: () => NOW });
const session = (id: string): SessionInfo => ({ id }) as SessionInfo;
const box = (id: string, secret: string, notAfter?: number) => ({
  id,
  box: seal(Buffer.from(secret), keys.publicKey, `credential/${id}`),
  ...(notAfter === undefined ? {} : { notAfter: String(notAfter) }),
});
const made = (): Resource =>
  parseResource(
    {
      id: 'r-1',
      projectId: 'p',
      name: 'api',
      kind: 'kubernetes',
      labels: {},
      kubernetes: {
        url: 'https://api.example.com',
        identity: { mode: 'stored' },
        execRecorded: true,
        inject: { as: 'bearer' },
      },
      credential: { kind: 'stored', username: '', reference: 'c' },
      recording: 'results',
      durability: 'standard',
      approval: 'wait',
      exceeded: 'deny',
      holdInTransactionMsMax: 0,
      offline: { sessionsMs: 0, newSessionsMs: 0 },
    },
    '',
  );
const resource = made();

beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'held-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});
beforeEach(() => {
  now = NOW;
  credentials = new Credentials({
    agentId: 'a',
    instance: 'i',
    dataDir: dir,
    sdkDir: dir,
    store: new BundleStore(dir),
    keys,
    log,
    nowMs: () => now,
    send: () => true,
    resource: () => resource,
    resources: () => [resource],
    endSession: () => undefined,
  });
  credentials.replace({ credentials: [box('c', 'one'), box('c/next', 'two')] });
});
const secretFor = async (id: string, of = resource): Promise<string | undefined> =>
  (await credentials.forSession(of, session(id))).secret?.reveal();

test('connections of one session are given the same, another session its own', async () => {
  const first = await credentials.forSession(resource, session('s-1'));
  expect(await credentials.forSession(resource, session('s-1'))).toBe(first);
  expect(await credentials.forSession(resource, session('s-2'))).not.toBe(first);
  credentials.returned('s-1');
  expect(await credentials.forSession(resource, session('s-1'))).not.toBe(first);
});

test('the next connection has what came meanwhile: another value, other settings of its resource', async () => {
  const first = await credentials.forSession(resource, session('s-1'));
  expect(await credentials.forSession(made(), session('s-1'))).not.toBe(first);
  credentials.replace({ credentials: [box('c', 'three')] });
  expect(await secretFor('s-1')).toBe('three');
});

test('a value whose time is over is given to nobody', async () => {
  credentials.replace({ credentials: [box('c', 'one', NOW + 1_000)] });
  expect(await secretFor('s-1')).toBe('one');
  now += 1_000;
  await expect(secretFor('s-1')).rejects.toMatchObject({ code: 'credential.unavailable' });
});

test('connections that carry a refused value go on with the one that was found for the first of them', async () => {
  const given = await credentials.forSession(resource, session('s-1'));
  expect((await credentials.refused(resource, session('s-1'), given))?.secret?.reveal()).toBe('two');
  expect((await credentials.refused(resource, session('s-1'), given))?.secret?.reveal()).toBe('two');
});
