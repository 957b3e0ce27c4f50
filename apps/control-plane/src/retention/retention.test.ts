/** Retention by age on a control plane of its own: what is past its time goes, what proves the record stays. */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseEventRecord, RECORD_ERASED_EVENT, RECORD_EVENT, readRecords, sealRecordingChunk } from '@sallyport/trail';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { type EnrolledAgent, enrollAgent, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { addProject } from '../testing/second-project.ts';
import { exportTrail, verifyArchive } from '../testing/trail-export.ts';
import { TestTrail, testSession } from '../testing/trail-writer.ts';
import { RetentionKeeper } from './retention-keeper.ts';

const DAY_MS = 86_400_000;
let plane: TestControlPlane;
let root: string;
let agent: EnrolledAgent;
let link: TestLink;
let trail: TestTrail;
let cursors = 0;
const bot = { id: '0190b3a4-0000-7000-8000-0000000000b1', name: 'payments-bot', kind: 'ai_agent' as const };
const client = () => plane.controlPlane.app.get(Database, { strict: false }).client;
const keeper = () => plane.controlPlane.app.get(RetentionKeeper, { strict: false });

beforeAll(async () => {
  plane = await startTestControlPlane();
  root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  const join = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'north' });
  agent = await enrollAgent(plane.controlPlane.ready.enroll, root, join.body.joinToken);
  link = new TestLink(plane.controlPlane.ready.link, root, agent);
  const epoch = Math.floor(Date.now() / 1000);
  link.hello({ instance: 'keeping', chainEpoch: epoch });
  const { bodies } = await link.bundle();
  const sealKey = Buffer.from(bodies.get('settings/all')!['trailSealKey'] as string, 'base64url');
  const identity = { agentId: agent.identity.agentId!, instance: 'keeping', epoch };
  trail = new TestTrail(identity, agent.keys.key, sealKey).start();
});
afterAll(async () => {
  link.close();
  await plane.stop();
});

async function upload(): Promise<void> {
  expect(await link.upload(trail.take(String(++cursors)))).toBe('');
}

/** @returns its id; recorded, and closed unless `live` */
async function held(text: string, live = false): Promise<string> {
  const info = testSession({
    id: randomUUID(),
    projectId: agent.identity.projectId!,
    agentId: agent.identity.agentId!,
    principal: bot,
  });
  trail.add({ kind: 'session.opened', session: info }, info.id).judged(info.id, 1, text);
  const key = trail.keys.get(info.id)!;
  const { bytes, digest } = await sealRecordingChunk(
    { sessionId: info.id, keyId: key.keyId, index: 0, fromMs: 0, toMs: 1 },
    Buffer.from([0, 4, 2, 1, 0x78]),
    key.recordingKey(),
  );
  trail.add({ kind: 'recording.chunk', index: 0, bytes: bytes.length, digest, fromMs: 0, toMs: 1 }, info.id);
  if (!live) trail.add({ kind: 'session.closed', reason: '', statements: 1, rows: 0, bytes: 0 }, info.id);
  trail.checkpoint();
  await upload();
  trail.nextSegment();
  const acked = link.next('recordingAck');
  link.send({
    recording: { sessionId: info.id, index: 0, digest: Buffer.from(digest, 'hex'), offset: 0, part: bytes, last: true },
  });
  await acked;
  return info.id;
}

const verified = async () => await verifyArchive(await exportTrail(plane, '?recordings=true'), root);
const files = (id: string) =>
  readdirSync(path.join(plane.dir, 'data/recordings'), { recursive: true })
    .map(String)
    .filter((name) => name.includes(id) && name.endsWith('.rec'));
const read = (id: string) => plane.call(`GET`, `/v1/sessions/${id}/statements`);
/** Sessions and batches as if they were that much older. */
async function age(days: number, ids: readonly string[]): Promise<void> {
  const past = new Date(Date.now() - days * DAY_MS);
  await client().session.updateMany({
    where: { id: { in: [...ids] }, closedAt: { not: null } },
    data: { closedAt: past },
  });
}

test('nothing goes until a project says so; the setting is an act, and no matter of an auditor', async () => {
  expect((await plane.call('GET', '/v1/retention')).body).toEqual({ sessionsDays: null, eventsDays: null });
  const id = await held('select everlasting');
  await age(4_000, [id]);
  await keeper().run();
  expect((await read(id)).status).toBe(200);
  await plane.call('POST', '/v1/principals', { name: 'kim', kind: 'person', roles: ['auditor'] });
  const { token } = (await plane.call<{ token: string }>('POST', '/v1/principals/kim/tokens', { name: 't' })).body;
  const wanted = { sessionsDays: 30, eventsDays: 30 };
  expect((await plane.call('PUT', '/v1/retention', wanted, token)).status).toBe(403);
  for (const bad of [{ sessionsDays: 0, eventsDays: null }, { sessionsDays: 30 }, { ...wanted, more: 1 }])
    expect((await plane.call('PUT', '/v1/retention', bad)).status, JSON.stringify(bad)).toBe(400);
  expect((await plane.call('PUT', '/v1/retention', wanted)).body).toEqual(wanted);
  const act = await client().controlAct.findFirstOrThrow({ where: { action: 'retention.updated' } });
  expect(act.detail).toMatchObject({
    sessionsDays: 30,
    changes: [{ before: { retainSessionsDays: null }, after: { retainSessionsDays: 30 } }],
  });
});

test('what is past its time can be read by nobody and takes no room; the younger, the live and the proof stay', async () => {
  await plane.call('PUT', '/v1/retention', { sessionsDays: 30, eventsDays: null });
  const old = await held('select forgotten');
  const young = await held('select remembered');
  const live = await held('select still_going', true);
  await age(31, [old]);
  await age(29, [young]);
  const past = new Date(Date.now() - 31 * DAY_MS);
  // The batch of the young session too: only a key that is gone lets go of a payload.
  await client().trailBatch.updateMany({ data: { firstTime: past, lastTime: past } });
  const { id: chainId } = await client().trailChain.findFirstOrThrow({ where: { instance: 'keeping' } });
  const bytes = async () =>
    (await client().trailBatch.findMany({ where: { chainId } })).reduce((sum, { records }) => sum + records.length, 0);
  const before = await bytes();
  await keeper().run();
  expect(await read(old)).toMatchObject({ status: 410, body: { code: 'recording.erased' } });
  expect(await client().sessionKey.count({ where: { sessionId: old } })).toBe(0);
  expect(files(old)).toEqual([]);
  for (const [id, text] of [
    [young, 'select remembered'],
    [live, 'select still_going'],
  ] as const) {
    expect((await read(id)).body).toMatchObject({ items: [{ text }] });
    expect(files(id)).toHaveLength(1);
  }
  expect(await bytes()).toBeLessThan(before);
  const kept = (await client().trailBatch.findMany())
    .flatMap((batch) => [...readRecords(Buffer.from(batch.records))])
    .filter(({ type }) => type === RECORD_EVENT || type === RECORD_ERASED_EVENT)
    .map(({ type, body }) => parseEventRecord(body, type === RECORD_ERASED_EVENT))
    .filter((event) => event.sessionId === old);
  expect(kept.length).toBeGreaterThan(2);
  expect(kept.filter((event) => event.payload !== undefined).map(({ kind }) => kind)).toEqual(['recording.chunk']);
  const acts = () => client().trailEvent.count({ where: { sessionId: old, action: 'session.erased' } });
  await expect.poll(acts).toBe(1);
  const report = await verified();
  expect(report.findings).toEqual([]);
  expect(report).toMatchObject({ ok: true });
  expect(report.erased).toBeGreaterThan(2);
});

test('what came late of an erased session is removed in the next round', async () => {
  const id = await held('select late');
  await age(31, [id]);
  await keeper().run();
  await client().recordingChunk.updateMany({
    where: { sessionId: id },
    data: { object: `${agent.identity.projectId}/${id}/00000000-00.rec` },
  });
  await keeper().run();
  expect(await client().recordingChunk.count({ where: { sessionId: id, object: { not: '' } } })).toBe(0);
});

test('a session without an end goes when its agent was not heard of for as long; one of an agent that is there stays', async () => {
  await plane.call('PUT', '/v1/retention', { sessionsDays: 30, eventsDays: null });
  const live = await held('select long_running', true);
  const join = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'sunk' });
  const sunk = await enrollAgent(plane.controlPlane.ready.enroll, root, join.body.joinToken);
  const [lost, recent] = [randomUUID(), randomUUID()];
  const row = await client().session.findUniqueOrThrow({ where: { id: live } });
  const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS);
  const copy = { ...row, proof: {}, agentId: sunk.identity.agentId! };
  await client().session.createMany({
    data: [
      { ...copy, id: lost, openedAt: daysAgo(40) },
      { ...copy, id: recent, openedAt: daysAgo(10) },
    ],
  });
  await client().session.update({ where: { id: live }, data: { openedAt: daysAgo(40) } });
  const heardOf = async (days: number) => {
    await client().agent.update({
      where: { id: sunk.identity.agentId! },
      data: { lastSeenAt: daysAgo(days), createdAt: daysAgo(50) },
    });
    await keeper().run();
    return await client().session.findUniqueOrThrow({ where: { id: lost } });
  };
  expect(await heardOf(29)).toMatchObject({ closedAt: null, erasedAt: null });
  expect(await heardOf(31)).toMatchObject({ closeReason: 'agent.lost', erasedAt: expect.any(Date) });
  for (const id of [live, recent])
    expect(await client().session.findUnique({ where: { id } })).toMatchObject({ closedAt: null, erasedAt: null });
  expect(await client().controlAct.count({ where: { action: 'session.lost', target: `session/${lost}` } })).toBe(1);
});

test('old events leave the index with an act; administrative acts and the record do not, nor does another project’s', async () => {
  const blue = await addProject(plane, 'blue');
  await plane.call('POST', '/v1/groups', { name: 'seen' });
  const past = new Date(Date.now() - 11 * DAY_MS);
  await expect.poll(() => client().trailEvent.count({ where: { target: 'group/seen' } })).toBe(1);
  // The partitions are by month: rows are moved by being written again.
  await client().$executeRaw`update trail_events set time = ${past}`;
  const others = await client().trailEvent.count({ where: { projectId: blue.id } });
  const acts = await client().trailEvent.count({ where: { kind: 'control.act' } });
  expect(await client().trailEvent.count({ where: { kind: 'session.opened' } })).toBeGreaterThan(0);
  await plane.call('PUT', '/v1/retention', { sessionsDays: null, eventsDays: 10 });
  await keeper().run();
  const projectId = agent.identity.projectId!;
  const rest = { projectId, kind: { not: 'control.act' }, time: { lte: past } };
  expect(await client().trailEvent.count({ where: rest })).toBe(0);
  expect(await client().trailEvent.count({ where: { kind: 'control.act' } })).toBeGreaterThanOrEqual(acts);
  expect(await client().trailEvent.count({ where: { projectId: blue.id } })).toBeGreaterThanOrEqual(others);
  expect(await client().controlAct.count({ where: { action: 'retention.events_forgotten' } })).toBe(1);
  expect((await verified()).ok).toBe(true);
});
