/** Erasure on a control plane of its own, so that the whole export must verify: nothing else here breaks a chain. */
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseTreeHeads, sealRecordingChunk, type TreeHead } from '@sallyport/trail';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { type EnrolledAgent, enrollAgent, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { exportTrail, verifyArchive } from '../testing/trail-export.ts';
import { TestTrail, testApproval, testSession } from '../testing/trail-writer.ts';

let plane: TestControlPlane;
let root: string;
let agent: EnrolledAgent;
let link: TestLink;
let sealKey: Uint8Array;
const epoch = Math.floor(Date.now() / 1000);
let cursors = 0;
const bot = { id: '0190b3a4-0000-7000-8000-0000000000b1', name: 'payments-bot', kind: 'ai_agent' as const };

beforeAll(async () => {
  plane = await startTestControlPlane();
  root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  const join = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'north' });
  agent = await enrollAgent(plane.controlPlane.ready.enroll, root, join.body.joinToken);
  link = new TestLink(plane.controlPlane.ready.link, root, agent);
  link.hello({ instance: 'erasing', chainEpoch: epoch });
  const { bodies } = await link.bundle();
  sealKey = Buffer.from(bodies.get('settings/all')!['trailSealKey'] as string, 'base64url');
});
afterAll(async () => {
  link.close();
  await plane.stop();
});

/** @returns the code of the acknowledgement; '' = taken */
const upload = (trail: TestTrail, message = trail.take(String(++cursors))): Promise<string> => link.upload(message);
const session = (id = randomUUID()) =>
  testSession({ id, projectId: agent.identity.projectId!, agentId: agent.identity.agentId!, principal: bot });
const exported = (query = ''): Promise<Buffer> => exportTrail(plane, query);
const verified = (archive: Buffer, knownHeads: readonly TreeHead[] = [], since = 0) =>
  verifyArchive(archive, root, knownHeads, since);

test('an erased session can be read by nobody, its approvals neither, and the export still verifies', async () => {
  const info = session();
  const kept = session();
  const trail = new TestTrail({ agentId: agent.identity.agentId!, instance: 'erasing', epoch }, agent.keys.key, sealKey)
    .start()
    .add({ kind: 'session.opened', session: kept }, kept.id)
    .judged(kept.id, 1, 'select remembered from customers')
    .add({ kind: 'session.opened', session: info }, info.id)
    .judged(info.id, 1, 'select unforgettable from customers');
  const withKey = trail.take(String(++cursors));
  expect(await upload(trail, withKey)).toBe('');
  const now = Date.now();
  const approval = testApproval(info, { text: 'delete unforgettable', requestedAt: now, expiresAt: now + 60_000 });
  link.send({ approval: { request: Buffer.from(JSON.stringify(approval)) } });
  await expect.poll(async () => (await plane.call('GET', `/v1/approvals/${approval.id}`)).status).toBe(200);
  const erase = (token?: string) =>
    plane.call<{ code?: string; erasedAt?: string }>(
      'POST',
      `/v1/sessions/${info.id}/erase`,
      { reason: 'asked for by the customer' },
      token,
    );
  expect((await erase()).body.code).toBe('session.open');
  trail.add({ kind: 'session.closed', reason: '', statements: 1, rows: 0, bytes: 0 }, info.id).checkpoint();
  expect(await upload(trail)).toBe('');
  expect((await plane.call('GET', `/v1/sessions/${info.id}/statements`)).status).toBe(200);

  await plane.call('POST', '/v1/principals', { name: 'kim', kind: 'person', roles: ['auditor'] });
  const { token } = (await plane.call<{ token: string }>('POST', '/v1/principals/kim/tokens', { name: 't' })).body;
  expect((await erase(token)).status).toBe(403);
  expect((await plane.call('POST', `/v1/sessions/${info.id}/erase`, {})).status).toBe(400);
  const erased = await erase();
  expect(erased.status).toBe(200);
  expect((await plane.call('POST', `/v1/sessions/${info.id}/kill`, { reason: 'late' })).body['code']).toBe(
    'session.closed',
  );
  expect(erased.body.erasedAt).toMatch(/^\d{4}-/);
  for (const what of ['statements', 'statements?clear=true', 'recording']) {
    const answer = await plane.call(`GET`, `/v1/sessions/${info.id}/${what}`);
    expect(answer).toMatchObject({ status: 410, body: { code: 'recording.erased' } });
  }
  expect(JSON.stringify((await plane.call('GET', `/v1/approvals/${approval.id}`)).body)).not.toContain('unforgettable');
  // The agent did not hear of the acknowledgement and sends everything again, the key too.
  expect(await upload(trail, { ...withKey, cursor: String(++cursors) })).toBe('');
  const database = plane.controlPlane.app.get(Database);
  expect(await database.client.sessionKey.count({ where: { sessionId: info.id } })).toBe(0);
  const file = path.join(plane.dir, 'data/heads.jsonl');
  await expect.poll(() => existsSync(file)).toBe(true);
  const heads = parseTreeHeads(readFileSync(file, 'utf8'));
  const report = await verified(await exported('?recordings=true'), heads);
  expect(report.findings).toEqual([]);
  expect(report.ok).toBe(true);
  expect(report.chains.map((chain) => chain.instance).toSorted()).toEqual(['control-plane', 'erasing']);
  expect((await plane.call('GET', `/v1/sessions/${kept.id}/statements`)).body).toMatchObject({
    items: [{ text: 'select remembered from customers' }],
  });
  const acts = await plane.call<{ items: unknown[] }>(
    'GET',
    `/v1/trail/events?session=${info.id}&action=session.erased`,
  );
  expect(acts.body.items).toHaveLength(1);
});

test('the recording of an erased session is removed, and exports say that it is absent', async () => {
  const info = session();
  const trail = new TestTrail(
    { agentId: agent.identity.agentId!, instance: 'removing', epoch },
    agent.keys.key,
    sealKey,
  )
    .start()
    .add({ kind: 'session.opened', session: info }, info.id);
  const key = trail.keys.get(info.id)!;
  const { bytes, digest } = await sealRecordingChunk(
    { sessionId: info.id, keyId: key.keyId, index: 0, fromMs: 0, toMs: 1 },
    Buffer.from([0, 4, 2, 1, 0x78]),
    key.recordingKey(),
  );
  trail
    .add({ kind: 'recording.chunk', index: 0, bytes: bytes.length, digest, fromMs: 0, toMs: 1 }, info.id)
    .add({ kind: 'session.closed', reason: '', statements: 0, rows: 0, bytes: 0 }, info.id)
    .checkpoint();
  expect(await upload(trail)).toBe('');
  const acked = link.next('recordingAck');
  const piece = { sessionId: info.id, index: 0, digest: Buffer.from(digest, 'hex') };
  link.send({ recording: { ...piece, offset: 0, part: bytes, last: true } });
  await acked;
  const files = () => readdirSync(path.join(plane.dir, 'data/recordings'), { recursive: true }).map(String);
  expect(files().filter((name) => name.includes(info.id) && name.endsWith('.rec'))).toHaveLength(1);
  expect(await verified(await exported('?recordings=true'))).toMatchObject({
    ok: true,
    recordings: 1,
    recordingsAbsent: 0,
  });
  expect((await plane.call('POST', `/v1/sessions/${info.id}/erase`, { reason: 'asked for' })).status).toBe(200);
  expect(files().filter((name) => name.includes(info.id) && name.endsWith('.rec'))).toEqual([]);
  expect(await verified(await exported('?recordings=true'))).toMatchObject({
    ok: true,
    recordings: 0,
    recordingsAbsent: 1,
  });
});
