import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { changeTimes, type EnrolledAgent, enrollAgent, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { TestTrail, testSession } from '../testing/trail-writer.ts';
import { SessionKeys } from '../trail/session-keys.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-replicas-'));
let server: EmbeddedPostgres;
let one: TestControlPlane;
let two: TestControlPlane;
let root: string;
let agent: EnrolledAgent;
let link: TestLink;

beforeAll(async () => {
  chmodSync(dir, 0o711);
  server = await startEmbeddedPostgres({ dir: path.join(dir, 'postgres') });
  const kek = Buffer.alloc(32, 1).toString('base64url');
  const env = (name: string) => ({
    DATABASE_URL: server.url(),
    SALLYPORT_KEK: kek,
    SALLYPORT_DATA_DIR: path.join(dir, name),
  });
  one = await startTestControlPlane(env('one'), dir);
  const token = readFileSync(path.join(dir, 'one/admin-token'), 'utf8');
  mkdirSync(path.join(dir, 'two'), { recursive: true });
  writeFileSync(path.join(dir, 'two/admin-token'), token, { mode: 0o600 });
  two = await startTestControlPlane(env('two'), dir);
  root = readFileSync(one.controlPlane.ready.ca, 'utf8');
  // The token is made by one replica and used at the other.
  const join = await one.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'north' });
  agent = await enrollAgent(two.controlPlane.ready.enroll, root, join.body.joinToken);
  link = new TestLink(two.controlPlane.ready.link, root, agent);
  link.hello({ instance: 'main', chainEpoch: 1_795_000_001 });
  await link.bundle();
});
afterAll(async () => {
  link.close();
  await two.controlPlane.stop();
  await one.controlPlane.stop();
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

test('changes made at one replica are pushed to an agent of the other', async () => {
  const times = await changeTimes(link, (name) => one.call('POST', '/v1/groups', { name }));
  // Half of them: a busy machine may hold some up, and without the push three of four would take five seconds.
  expect(times[1]).toBeLessThan(1_000);
  expect(times.at(-1)).toBeLessThan(5_000);
});

test('two agents at two replicas lease no more of a budget than there is', async () => {
  const join = await one.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'south' });
  const south = await enrollAgent(one.controlPlane.ready.enroll, root, join.body.joinToken);
  const other = new TestLink(one.controlPlane.ready.link, root, south);
  other.hello({ instance: 'main', chainEpoch: 1_795_000_002 });
  const source =
    'kind: Policy\nname: loops\nbudgets:\n  - { name: hourly, per: principal, every: 1h, statements: 50 }\n';
  const policy = await one.call<{ id: string }>('POST', '/v1/policies', { source });
  const { body } = await two.call<{ id: string }>('POST', '/v1/principals', { name: 'looper', kind: 'ai_agent' });
  const lease = async (over: TestLink, n: number): Promise<number> => {
    const id = `lease-${n}`;
    over.send({ budgetAsk: { id, budget: `${policy.body.id}/hourly`, principalId: body.id } });
    const got = await over.until(
      () => over.received.map((message) => message.budgetLease).find((one) => one?.id === id) ?? undefined,
    );
    return got.granted?.statements ?? 0;
  };
  const all = await Promise.all(Array.from({ length: 24 }, (_, n) => lease(n % 2 === 0 ? link : other, n)));
  expect(all.reduce((sum, share) => sum + share, 0)).toBe(50);
  other.close();
});

test('a key that one replica made is at the agents of the other before it signs', async () => {
  // Fills the other replica's memory of the keys, so that only being told can make it look again.
  expect((await two.call('GET', '/v1/keys', undefined, '')).status).toBe(200);
  const { body } = await one.call<{ id: string }>('POST', '/v1/keys/rotate', { purpose: 'access_token' });
  await expect
    .poll(async () =>
      JSON.stringify([...(await link.bundle()).bodies.entries()].filter(([name]) => name.startsWith('key'))),
    )
    .toContain(body.id);
});

test('a session is killed, watched and answered at whichever replica is asked', async () => {
  const principal = { id: '0190b3a4-0000-7000-8000-0000000000b1', name: 'bot', kind: 'ai_agent' as const };
  const info = testSession({
    id: randomUUID(),
    projectId: agent.identity.projectId!,
    agentId: agent.identity.agentId!,
    principal,
  });
  link.send({ session: { session: Buffer.from(JSON.stringify(info)) } });
  await expect.poll(async () => (await one.call('GET', `/v1/sessions/${info.id}`)).status).toBe(200);
  const watched = link.next('watch');
  const left = new AbortController();
  const response = await fetch(`${one.url}/v1/sessions/${info.id}/watch`, {
    headers: { authorization: `Bearer ${one.adminToken}` },
    signal: left.signal,
  });
  expect(response.status).toBe(200);
  expect(await watched).toMatchObject({ on: true, sessionId: info.id });
  const stopped = link.next('watch');
  left.abort();
  expect(await stopped).toMatchObject({ on: false });
  const end = link.next('end');
  expect((await one.call('POST', `/v1/sessions/${info.id}/kill`, { reason: 'test' })).status).toBe(200);
  expect(await end).toMatchObject({ sessionId: info.id, code: 'session.killed' });
});

test('an agent revoked at one replica is cut at the other', async () => {
  await one.call('POST', '/v1/agents/north/revoke');
  await link.until(() => link.ended);
});

test('the control plane’s acts are chained once, whichever replica does it', async () => {
  await expect
    .poll(async () => {
      const chains = await two.call<{ items: { instance: string; agent: string; alarm: string | null }[] }>(
        'GET',
        '/v1/trail/chains',
      );
      return chains.body.items.filter((chain) => chain.instance === 'control-plane').length;
    })
    .toBe(1);
  const revoked = await two.call<{ items: unknown[] }>('GET', '/v1/trail/events?action=agent.revoked');
  await expect
    .poll(
      async () =>
        (await two.call<{ items: unknown[] }>('GET', '/v1/trail/events?action=agent.revoked')).body.items.length,
      { timeout: 5_000 },
    )
    .toBe(1);
  expect(revoked.status).toBe(200);
});

test('a burst of 12,000 events of one agent is taken whole and in order', { timeout: 30_000 }, async () => {
  const join = await one.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'fast' });
  const fast = await enrollAgent(one.controlPlane.ready.enroll, root, join.body.joinToken);
  const busy = new TestLink(one.controlPlane.ready.link, root, fast);
  busy.hello({ instance: 'main', chainEpoch: 1_795_000_001 });
  const { bodies } = await busy.bundle();
  const seal = Buffer.from(bodies.get('settings/all')!['trailSealKey'] as string, 'base64url');
  const trail = new TestTrail(
    { agentId: fast.identity.agentId!, instance: 'main', epoch: 1_795_000_001 },
    fast.keys.key,
    seal,
  ).start();
  const info = testSession({
    id: randomUUID(),
    projectId: fast.identity.projectId!,
    agentId: fast.identity.agentId!,
    principal: { id: randomUUID(), name: 'b', kind: 'service' },
  });
  trail.add({ kind: 'session.opened', session: info }, info.id);
  const messages = Array.from({ length: 240 }, (_, batch) => {
    for (let i = 0; i < 50; i++) trail.judged(info.id, batch * 50 + i + 1, 'select * from accounts where aid = $1');
    return trail.take(String(batch));
  });
  for (const trailMessage of messages) busy.send({ trail: trailMessage });
  await busy.until(() => busy.received.map((message) => message.trailAck).find((ack) => ack?.cursor === '239'), 25_000);
  const acks = busy.received.flatMap((message) => (message.trailAck == null ? [] : [message.trailAck]));
  busy.close();
  expect(acks.map((ack) => ack.cursor)).toEqual(messages.map((message) => message.cursor));
  expect(acks.filter((ack) => ack.code)).toEqual([]);
});

test('a chain goes on at whichever replica its agent is linked to', async () => {
  const join = await one.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'roaming' });
  const made = await enrollAgent(one.controlPlane.ready.enroll, root, join.body.joinToken);
  const links = [one, two].map((plane) => new TestLink(plane.controlPlane.ready.link, root, made));
  const identity = { agentId: made.identity.agentId!, instance: 'main', epoch: 1_795_000_001 };
  for (const at of links) at.hello({ instance: 'main', chainEpoch: identity.epoch });
  const { bodies } = await links[0]!.bundle();
  const seal = Buffer.from(bodies.get('settings/all')!['trailSealKey'] as string, 'base64url');
  const trail = new TestTrail(identity, made.keys.key, seal).start();
  const principal = { id: randomUUID(), name: 'b', kind: 'service' as const };
  const info = testSession({ ...made.identity, id: randomUUID(), principal } as Parameters<typeof testSession>[0]);
  trail.add({ kind: 'session.opened', session: info }, info.id);
  expect(await links[0]!.upload(trail.take('0'))).toBe('');
  // Each is left, and found again, where the other has moved the chain on meanwhile.
  const sent = [0, 0, 1, 1, 0, 1, 0].map((at, i) => {
    trail.judged(info.id, i + 1, `select ${i + 1}`);
    return { at: links[at]!, message: trail.take(String(i + 1)) };
  });
  for (const { at, message } of sent) expect(await at.upload(message)).toBe('');
  // The old link of an agent may still be at it when the new one begins.
  for (let i = 0; i < 20; i++) {
    trail.judged(info.id, 100 + i, `select ${100 + i}`);
    const message = trail.take(String(100 + i));
    expect(await Promise.all(links.map((at) => at.upload(message)))).toEqual(['', '']);
  }
  const { allowed } = await two.controlPlane.app
    .get(Database, { strict: false })
    .client.usageDay.findFirstOrThrow({ where: { principalId: principal.id, kind: 'total' } });
  expect(allowed).toBe(27);
  const chains = await two.call<{ items: { agent: string; sequence: number; alarm: string | null }[] }>(
    'GET',
    '/v1/trail/chains',
  );
  expect(chains.body.items.filter(({ agent: name }) => name === 'roaming')).toMatchObject([
    { sequence: trail.position.sequence, alarm: null },
  ]);
  for (const at of links) at.close();
});

test('a session erased at one replica is forgotten by the other, which had its key in memory', async () => {
  const join = await one.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'erased' });
  const made = await enrollAgent(one.controlPlane.ready.enroll, root, join.body.joinToken);
  const at = new TestLink(two.controlPlane.ready.link, root, made);
  at.hello({ instance: 'main', chainEpoch: 1_795_000_001 });
  const { bodies } = await at.bundle();
  const seal = Buffer.from(bodies.get('settings/all')!['trailSealKey'] as string, 'base64url');
  const trail = new TestTrail(
    { agentId: made.identity.agentId!, instance: 'main', epoch: 1_795_000_001 },
    made.keys.key,
    seal,
  ).start();
  const info = testSession({
    id: randomUUID(),
    projectId: made.identity.projectId!,
    agentId: made.identity.agentId!,
    principal: { id: randomUUID(), name: 'b', kind: 'service' },
  });
  trail.add({ kind: 'session.opened', session: info }, info.id).judged(info.id, 1, 'select 1');
  trail.add({ kind: 'session.closed', reason: '', statements: 1, rows: 0, bytes: 0 }, info.id);
  at.send({ trail: trail.take('1') });
  await at.until(() => at.received.map((message) => message.trailAck).find((ack) => ack?.cursor === '1'));
  at.close();
  const { keyId } = trail.keys.get(info.id)!;
  const held = () => two.controlPlane.app.get(SessionKeys, { strict: false }).find(keyId);
  expect(held()).toBeDefined();
  expect((await one.call('POST', `/v1/sessions/${info.id}/erase`, { reason: 'test' })).status).toBe(200);
  await expect.poll(held).toBeUndefined();
  expect((await two.call('GET', `/v1/sessions/${info.id}/statements`)).body).toMatchObject({
    code: 'recording.erased',
  });
});

test('attempts at two replicas count together, at sign-in and at the token endpoint', async () => {
  const replicas = [one, two];
  const signIn = async (at: TestControlPlane) => (await at.call('GET', '/v1/login', undefined, '')).status;
  const secret = async (at: TestControlPlane) =>
    (await at.oauth({ grant_type: 'client_credentials', client_id: 'nobody', client_secret: 'wrong' })).status;
  for (let i = 0; i < 60; i++) expect(await signIn(replicas[i % 2]!)).toBe(404);
  for (let i = 0; i < 20; i++) expect(await secret(replicas[i % 2]!)).toBe(401);
  for (const at of replicas) {
    expect(await signIn(at)).toBe(429);
    expect(await secret(at)).toBe(429);
    // Who has a good token is not kept out.
    expect((await at.call('GET', '/v1/whoami')).status).toBe(200);
  }
});
