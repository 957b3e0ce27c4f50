import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { AgentMessage } from '@sallyport/contract';
import {
  ByteBatch,
  FrameWriter,
  parseTreeHeads,
  recordingDigest,
  sealRecordingChunk,
  type TreeHead,
} from '@sallyport/trail';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { type EnrolledAgent, enrollAgent, newAgentKey, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { exportTrail, verifyArchive } from '../testing/trail-export.ts';
import { TestTrail, testSession } from '../testing/trail-writer.ts';

let plane: TestControlPlane;
let root: string;
let agent: EnrolledAgent;
let link: TestLink;
let sealKey: Uint8Array;
let epoch = Math.floor(Date.now() / 1000);
let cursors = 0;
const bot = { id: '0190b3a4-0000-7000-8000-0000000000b1', name: 'payments-bot', kind: 'ai_agent' as const };

beforeAll(async () => {
  plane = await startTestControlPlane();
  root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  const join = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'north' });
  agent = await enrollAgent(plane.controlPlane.ready.enroll, root, join.body.joinToken);
  link = connect();
  const { bodies } = await link.bundle();
  sealKey = Buffer.from(bodies.get('settings/all')!['trailSealKey'] as string, 'base64url');
});
afterAll(async () => {
  link.close();
  await plane.stop();
});

function connect(): TestLink {
  const made = new TestLink(plane.controlPlane.ready.link, root, agent);
  made.hello({ instance: 'main', chainEpoch: epoch });
  return made;
}
const newTrail = (instance = 'main', at = ++epoch): TestTrail =>
  new TestTrail({ agentId: agent.identity.agentId!, instance, epoch: at }, agent.keys.key, sealKey);

/** @returns the code of the acknowledgement; '' = taken */
const upload = (trail: TestTrail, message = trail.take(String(++cursors))): Promise<string> => link.upload(message);
const session = (id = randomUUID()) =>
  testSession({ id, projectId: agent.identity.projectId!, agentId: agent.identity.agentId!, principal: bot });
const chainOf = async (trail: TestTrail) => {
  const chains = await plane.call<{
    items: { instance: string; epoch: number; sequence: number; missing: number; alarm: string | null }[];
  }>('GET', '/v1/trail/chains');
  return chains.body.items.find(
    (chain) => chain.instance === trail.identity.instance && chain.epoch === trail.identity.epoch,
  );
};
const exported = (query = ''): Promise<Buffer> => exportTrail(plane, query);
const verified = (archive: Buffer, knownHeads: readonly TreeHead[] = [], since = 0) =>
  verifyArchive(archive, root, knownHeads, since);

test('a session’s statements come back from the trail, with what the detectors know hidden', async () => {
  const info = session();
  const trail = newTrail().start();
  trail.add({ kind: 'session.opened', session: info }, info.id);
  trail
    .judged(info.id, 1, "select * from customers where email = 'ada@example.com'")
    .judged(info.id, 2, 'drop table customers', 'deny')
    .finished(info.id, 1, 3);
  expect(await upload(trail)).toBe('');
  trail.add({ kind: 'session.closed', reason: '', statements: 2, rows: 3, bytes: 30 }, info.id).checkpoint();
  expect(await upload(trail)).toBe('');
  expect((await plane.call('GET', `/v1/sessions/${info.id}`)).body).toMatchObject({
    live: false,
    statements: 2,
    rows: 3,
    principal: bot,
    resource: { name: 'payments-db' },
  });
  const page = await plane.call<{
    items: { text: string; verdict: string; outcome: { rows: number } | null; parameters: (string | null)[] }[];
  }>('GET', `/v1/sessions/${info.id}/statements`);
  expect(page.body.items.map((item) => item.verdict)).toEqual(['allow', 'deny']);
  expect(page.body.items[0]!.outcome?.rows).toBe(3);
  expect(JSON.stringify(page.body)).not.toContain('ada@example.com');
  const clear = await plane.call('GET', `/v1/sessions/${info.id}/statements?clear=true`);
  expect(JSON.stringify(clear.body)).toContain('ada@example.com');
  const first = await plane.call<{ items: unknown[]; nextCursor: string }>(
    'GET',
    `/v1/sessions/${info.id}/statements?limit=1`,
  );
  const second = await plane.call<{ items: { verdict: string }[]; nextCursor: string | null }>(
    'GET',
    `/v1/sessions/${info.id}/statements?limit=1&cursor=${first.body.nextCursor}`,
  );
  expect(second.body.items.map((item) => item.verdict)).toEqual(['deny']);
  await expect
    .poll(
      async () =>
        (
          await plane.call<{ items: { action: string }[] }>(
            'GET',
            `/v1/trail/events?session=${info.id}&kind=control.act`,
          )
        ).body.items.map((item) => item.action),
      { timeout: 5_000 },
    )
    .toEqual(expect.arrayContaining(['statements.viewed']));
  const events = await plane.call<{ items: { kind: string; principal: string; rule: string }[] }>(
    'GET',
    `/v1/trail/events?principal=payments-bot&verdict=deny`,
  );
  expect(events.body.items[0]).toMatchObject({
    kind: 'statement.judged',
    principal: 'payments-bot',
    rule: 'payments/no-ddl',
  });
});

test('a batch sent again is acknowledged and stored once', async () => {
  const info = session();
  const trail = newTrail()
    .start()
    .add({ kind: 'session.opened', session: info }, info.id)
    .judged(info.id, 1, 'select 1');
  const message = trail.take(String(++cursors));
  expect(await upload(trail, message)).toBe('');
  expect(await upload(trail, { ...message, cursor: String(++cursors) })).toBe('');
  trail.judged(info.id, 2, 'select 2').checkpoint();
  const second = trail.take(String(++cursors));
  expect(await upload(trail, second)).toBe('');
  expect(await upload(trail, { ...message, cursor: String(++cursors) })).toBe('');
  expect(await upload(trail, { ...second, cursor: String(++cursors) })).toBe('');
  const joined = {
    ...second,
    firstSequence: '1',
    records: Buffer.concat([message.records!, second.records!]),
    cursor: String(++cursors),
  };
  expect(await upload(trail, joined)).toBe('');
  expect(await chainOf(trail)).toMatchObject({ sequence: 4, alarm: null });
});

test('batches of statements alone are stored, counted and searched as any, and refused as any', async () => {
  const info = session();
  const trail = newTrail().start().add({ kind: 'session.opened', session: info }, info.id);
  expect(await upload(trail)).toBe('');
  const used = () =>
    plane.controlPlane.app
      .get(Database, { strict: false })
      .client.usageDay.findMany({ where: { resourceId: info.resourceId, kind: 'total' } });
  const [before] = await used();
  const alone: NonNullable<AgentMessage['trail']>[] = [];
  for (const number of [1, 2, 3]) {
    trail.judged(info.id, number, `select ${number}`).finished(info.id, number, 1);
    alone.push(trail.take(String(++cursors)));
  }
  trail.judged(info.id, 4, 'drop table customers', 'deny');
  alone.push(trail.take(String(++cursors)));
  for (const message of alone) expect(await upload(trail, message)).toBe('');
  for (const message of [alone[0]!, alone[3]!])
    expect(await upload(trail, { ...message, cursor: String(++cursors) })).toBe('');
  const { position } = trail;
  expect(await chainOf(trail)).toMatchObject({ sequence: position.sequence, alarm: null });
  const page = await plane.call<{ items: { text: string; outcome: unknown }[] }>(
    'GET',
    `/v1/sessions/${info.id}/statements`,
  );
  expect(page.body.items.map(({ text, outcome }) => [text, outcome !== null])).toEqual([
    ['select 1', true],
    ['select 2', true],
    ['select 3', true],
    ['drop table customers', false],
  ]);
  const events = await plane.call<{ items: { kind: string; verdict: string | null; count: number }[] }>(
    'GET',
    `/v1/trail/events?session=${info.id}&kind=statement.judged`,
  );
  expect(events.body.items.map(({ verdict, count }) => `${verdict} ${count}`).toSorted()).toEqual([
    'allow 1',
    'allow 1',
    'allow 1',
    'deny 1',
  ]);
  const [now] = await used();
  expect(now).toMatchObject({ allowed: (before?.allowed ?? 0) + 3, denied: (before?.denied ?? 0) + 1 });
  expect(Number(now?.sequence)).toBe(position.sequence);

  trail.judged(info.id, 5, 'select 5');
  const altered = trail.take(String(++cursors));
  const bytes = Buffer.from(altered.records!);
  bytes[bytes.length - 1]! ^= 1;
  expect(await upload(trail, { ...altered, records: bytes })).toBe('trail.broken');
  expect((await chainOf(trail))?.alarm).toContain('payload-digest');
  expect(await upload(trail, { ...altered, cursor: String(++cursors) })).toBe('');
  trail.judged(info.id, 6, 'select 6').take('lost');
  trail.judged(info.id, 7, 'select 7');
  expect(await upload(trail)).toBe('trail.broken');
  expect(await chainOf(trail)).toMatchObject({ sequence: position.sequence + 1 });
});

test('a payload larger than one event is read whole, also when its parts came in other batches', async () => {
  const info = session();
  const trail = newTrail().start().add({ kind: 'session.opened', session: info }, info.id);
  expect(await upload(trail)).toBe('');
  const long = `select '${'x'.repeat(2_500_000)}' -- the end`;
  trail.judged(info.id, 1, long);
  const { records, ...rest } = trail.take(String(++cursors));
  for (let at = 0, bytes = Buffer.from(records!); at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at);
    expect(await upload(trail, { ...rest, records: bytes.subarray(at, end), cursor: String(++cursors) })).toBe('');
    at = end;
  }
  const page = await plane.call<{ items: { text: string }[] }>('GET', `/v1/sessions/${info.id}/statements`);
  expect(page.body.items[0]!.text.endsWith('-- the end')).toBe(true);
});

test('what does not fit its chain is refused aloud and raises an alarm', async () => {
  const gap = newTrail().start();
  gap.take('dropped');
  gap.add({ kind: 'epoch.ended', reason: 'x' });
  expect(await upload(gap)).toBe('trail.broken');
  expect((await chainOf(gap))?.alarm).toContain('gap');

  const altered = newTrail().start().add({ kind: 'bundle.applied', epoch: 1, revision: 1, digest: 'x' });
  const message = altered.take(String(++cursors));
  const bytes = Buffer.from(message.records!);
  bytes[bytes.length - 1]! ^= 1;
  expect(await upload(altered, { ...message, records: bytes })).toBe('trail.broken');
  expect((await chainOf(altered))?.alarm).toContain('payload-digest');

  const first = newTrail().start();
  const fork = newTrail('main', epoch);
  fork.add({ kind: 'epoch.started', version: 'other', recoveredEpoch: 0, recoveredSequence: 0, recoveredHead: '' });
  expect(await upload(first)).toBe('');
  expect(await upload(fork)).toBe('trail.broken');
  expect((await chainOf(first))?.alarm).toContain('fork');

  const unsigned = new TestTrail(
    { agentId: agent.identity.agentId!, instance: 'main', epoch: ++epoch },
    (await newAgentKey()).key,
    sealKey,
  )
    .start()
    .checkpoint();
  expect(await upload(unsigned)).toBe('trail.broken');
  expect((await chainOf(unsigned))?.alarm).toContain('unknown-signer');
});

test('heartbeats show a lost tail as missing and another head as a fork', async () => {
  const trail = newTrail('beats').start();
  expect(await upload(trail)).toBe('');
  const beat = (sequence: number, head: Buffer) =>
    link.send({
      heartbeat: {
        instance: 'beats',
        epoch: trail.identity.epoch,
        sequence: String(sequence),
        head,
        sessions: 0,
        bundleEpoch: 1,
        bundleRevision: 1,
        now: String(Date.now()),
      },
    });
  beat(5, Buffer.alloc(32, 3));
  await expect.poll(async () => (await chainOf(trail))?.missing).toBe(4);
  expect((await chainOf(trail))?.alarm).toBeNull();
  beat(1, Buffer.alloc(32, 4));
  await expect.poll(async () => (await chainOf(trail))?.alarm).toContain('fork');
});

test('live reports make a session, kill ends it and leaves a revocation', async () => {
  const info = session();
  const usage = { statements: 1, writes: 0, rows: 5, bytes: 50 };
  link.send({ session: { session: Buffer.from(JSON.stringify({ ...info, usage })) } });
  await expect
    .poll(async () => (await plane.call('GET', `/v1/sessions/${info.id}`)).body)
    .toMatchObject({ live: true, rows: 5 });
  const end = link.next('end');
  const killed = await plane.call('POST', `/v1/sessions/${info.id}/kill`, { reason: 'looks wrong' });
  expect(killed.status).toBe(200);
  expect(await end).toMatchObject({ sessionId: info.id, code: 'session.killed' });
  await expect.poll(async () => JSON.stringify((await link.bundle()).bodies.get('revocations/all'))).toContain(info.id);
  link.send({
    session: {
      session: Buffer.from(JSON.stringify({ ...info, usage, closedAt: Date.now(), reason: 'session.killed' })),
    },
  });
  await expect
    .poll(async () => (await plane.call('GET', `/v1/sessions/${info.id}`)).body)
    .toMatchObject({ live: false, closeReason: 'session.killed' });
});

test('who watches a live session gets its frames until it closes', async () => {
  const info = session();
  link.send({ session: { session: Buffer.from(JSON.stringify(info)) } });
  await expect.poll(async () => (await plane.call('GET', `/v1/sessions/${info.id}`)).status).toBe(200);
  const asked = link.next('watch');
  const response = await fetch(`${plane.url}/v1/sessions/${info.id}/watch`, {
    headers: { authorization: `Bearer ${plane.adminToken}` },
  });
  expect(await asked).toMatchObject({ sessionId: info.id, on: true });
  const batch = new ByteBatch();
  new FrameWriter(batch).text('statement', 12, 1, `select '${'y'.repeat(9_000)}'`);
  const stopped = link.next('watch');
  link.send({ watch: { sessionId: info.id, frame: Buffer.from(batch.view) } });
  setTimeout(
    () =>
      link.send({ session: { session: Buffer.from(JSON.stringify({ ...info, closedAt: Date.now(), reason: '' })) } }),
    300,
  );
  const lines = (await response.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string; text: string });
  expect(lines.map((line) => line.kind)).toEqual(['notice', 'statement']);
  expect(lines[1]).toMatchObject({ kind: 'statement', atMs: 12, number: 1 });
  expect(await stopped).toMatchObject({ sessionId: info.id, on: false });
});

test('who begins to watch in the middle of a row is told so, and sees what follows', async () => {
  const info = session();
  link.send({ session: { session: Buffer.from(JSON.stringify(info)) } });
  await expect.poll(async () => (await plane.call('GET', `/v1/sessions/${info.id}`)).status).toBe(200);
  const asked = link.next('watch');
  const response = await fetch(`${plane.url}/v1/sessions/${info.id}/watch`, {
    headers: { authorization: `Bearer ${plane.adminToken}` },
  });
  expect(await asked).toMatchObject({ sessionId: info.id, on: true });
  const show = (write: (frames: FrameWriter) => void): void => {
    const batch = new ByteBatch();
    write(new FrameWriter(batch));
    link.send({ watch: { sessionId: info.id, frame: Buffer.from(batch.view) } });
  };
  show((frames) => frames.rows(1, 1, 1, Buffer.from('the end of a row')));
  show((frames) => frames.text('complete', 2, 1, 'SELECT 1'));
  setTimeout(
    () =>
      link.send({ session: { session: Buffer.from(JSON.stringify({ ...info, closedAt: Date.now(), reason: '' })) } }),
    300,
  );
  const lines = (await response.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string; text: string });
  expect(lines.map((line) => line.kind).sort()).toEqual(['complete', 'notice', 'notice']);
  expect(JSON.stringify(lines)).not.toContain('the end of a row');
});

test('a recording is acknowledged once stored, replays, and a chunk that the trail does not name is not replayed', async () => {
  const info = session();
  const trail = newTrail().start().add({ kind: 'session.opened', session: info }, info.id);
  const key = trail.keys.get(info.id)!;
  const frames = new ByteBatch();
  const writer = new FrameWriter(frames);
  writer.text('statement', 5, 1, 'select email from customers');
  writer.columns(6, 1, ['email']);
  writer.text('complete', 9, 1, 'SELECT 0');
  const { bytes, digest } = await sealRecordingChunk(
    { sessionId: info.id, keyId: key.keyId, index: 0, fromMs: 5, toMs: 9 },
    Buffer.from(frames.view),
    key.recordingKey(),
  );
  trail.add({ kind: 'recording.chunk', index: 0, bytes: bytes.length, digest, fromMs: 5, toMs: 9 }, info.id);
  expect(await upload(trail)).toBe('');
  const acked = link.next('recordingAck');
  const half = Math.floor(bytes.length / 2);
  const piece = { sessionId: info.id, index: 0, digest: Buffer.from(digest, 'hex') };
  link.send({ recording: { ...piece, offset: 0, part: bytes.subarray(0, half), last: false } });
  link.send({ recording: { ...piece, offset: half, part: bytes.subarray(half), last: true } });
  expect(await acked).toMatchObject({ sessionId: info.id, index: 0 });
  const replay = await fetch(`${plane.url}/v1/sessions/${info.id}/recording`, {
    headers: { authorization: `Bearer ${plane.adminToken}` },
  });
  const lines = (await replay.text()).trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { kind: string }).kind)).toEqual([
    'statement',
    'columns',
    'complete',
  ]);
  expect(recordingDigest(bytes)).toBe(digest);
  expect((await plane.call('GET', `/v1/sessions/${randomUUID()}/recording`)).status).toBe(404);
});

test('an export verifies offline against the root and the heads file, and a tampered or cut one does not', async () => {
  const trail = newTrail('exporting').start();
  const info = session();
  trail.add({ kind: 'session.opened', session: info }, info.id).judged(info.id, 1, 'select 1').checkpoint();
  expect(await upload(trail)).toBe('');
  trail.nextSegment().judged(info.id, 2, 'select 2').checkpoint();
  expect(await upload(trail)).toBe('');
  trail.nextSegment().judged(info.id, 3, 'select 3');
  expect(await upload(trail)).toBe('');
  const archive = await exported('?recordings=true');
  const heads = parseTreeHeads(readFileSync(path.join(plane.dir, 'data/heads.jsonl'), 'utf8'));
  const report = await verified(archive, heads);
  expect(report.findings).toEqual([]);
  expect(report).toMatchObject({ ok: true });
  expect(report.recordings).toBeGreaterThan(0);
  expect(report.chains.find((chain) => chain.instance === 'exporting')?.lastSequence).toBe(5);
  expect(report.chains.find((chain) => chain.instance === 'control-plane')?.lastSequence).toBeGreaterThan(3);
  const seen = (report.head?.size ?? 0) - 1;
  const since = await exported(`?since=${seen}`);
  expect((await verified(since, heads, seen)).findings).toEqual([]);
  expect(since.length).toBeLessThan(archive.length);
  const at = archive.indexOf('SLYTRAIL') + 500;
  const tampered = Buffer.from(archive);
  tampered[at]! ^= 1;
  expect((await verified(tampered)).ok).toBe(false);
});

test('every act is chained, and only those who may export can', async () => {
  const auditor = await plane.call<{ id: string }>('POST', '/v1/principals', {
    name: 'mira',
    kind: 'person',
    roles: ['member'],
  });
  expect(auditor.status).toBe(201);
  const token = (await plane.call<{ token: string }>('POST', '/v1/principals/mira/tokens', { name: 't' })).body.token;
  expect((await plane.call('GET', '/v1/trail/export', undefined, token)).status).toBe(403);
  expect((await plane.call('GET', '/v1/trail/events', undefined, token)).status).toBe(403);
  await expect
    .poll(
      async () =>
        (await plane.call<{ items: unknown[] }>('GET', '/v1/trail/events?action=principal.created')).body.items.length,
      { timeout: 5_000 },
    )
    .toBeGreaterThan(1);
});

test('a process that starts again ends the sessions of its former life, and says what it recovered', async () => {
  const info = session();
  const former = newTrail('again').start().add({ kind: 'session.opened', session: info }, info.id);
  expect(await upload(former)).toBe('');
  expect((await plane.call('GET', `/v1/sessions/${info.id}`)).body).toMatchObject({ live: true });
  const { sequence, head } = former.position;
  const later = newTrail('again').start({
    epoch: former.identity.epoch,
    sequence: sequence + 2,
    head: head.toString('hex'),
  });
  expect(await upload(later)).toBe('');
  expect((await plane.call('GET', `/v1/sessions/${info.id}`)).body).toMatchObject({
    live: false,
    closeReason: 'agent.stopping',
  });
  expect((await chainOf(former))?.missing).toBe(2);
});
