/**
 * An agent that lies, in one project, about what belongs to another: it takes nothing over and is told no name. And a
 * project's own agent: its bundle, its trail and an export of them that verifies by the root alone.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseTreeHeads } from '@sallyport/trail';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { type EnrolledAgent, enrollAgent, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { addProject } from '../testing/second-project.ts';
import { exportTrail, verifyArchive } from '../testing/trail-export.ts';
import { TestTrail, testApproval, testSession } from '../testing/trail-writer.ts';

interface Side {
  readonly token: string;
  readonly agent: EnrolledAgent;
  readonly link: TestLink;
  readonly bodies: ReadonlyMap<string, unknown>;
  readonly trail: TestTrail;
  cursors: number;
}

let plane: TestControlPlane;
let root: string;
let blueId = '';
const epoch = Math.floor(Date.now() / 1000);
const sides: Record<'ours' | 'blue', Side> = {} as never;
const person = { id: randomUUID(), name: 'carla-of-ours', kind: 'person' } as const;
const client = () => plane.controlPlane.app.get(Database, { strict: false }).client;

async function join(token: string): Promise<Side> {
  const invited = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'north' }, token);
  const agent = await enrollAgent(plane.controlPlane.ready.enroll, root, invited.body.joinToken);
  const link = new TestLink(plane.controlPlane.ready.link, root, agent);
  link.hello({ instance: 'one', chainEpoch: epoch });
  const { bodies } = await link.bundle();
  const sealKey = Buffer.from((bodies.get('settings/all') as { trailSealKey: string }).trailSealKey, 'base64url');
  const identity = { agentId: agent.identity.agentId!, instance: 'one', epoch };
  return { token, agent, link, bodies, trail: new TestTrail(identity, agent.keys.key, sealKey).start(), cursors: 0 };
}
/** Sends what was added. @returns the code of the acknowledgement; '' = taken */
const upload = (side: Side): Promise<string> => side.link.upload(side.trail.take(String(++side.cursors)));
const sessionOf = (side: Side, id: string, more: object = {}) =>
  testSession({
    id,
    projectId: side.agent.identity.projectId!,
    agentId: side.agent.identity.agentId!,
    principal: person,
    ...more,
  });

beforeAll(async () => {
  plane = await startTestControlPlane();
  root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  const blue = await addProject(plane, 'blue');
  blueId = blue.id;
  for (const [token, host] of [
    [plane.adminToken, 'ours.internal'],
    [blue.token, 'blue.internal'],
  ] as const)
    await plane.call('POST', '/v1/resources', { name: 'db', type: 'postgres', postgres: { host } }, token);
  await plane.call('POST', '/v1/resources', { name: 'crown', type: 'postgres', postgres: { host: 'crown.internal' } });
  sides.ours = await join(plane.adminToken);
  sides.blue = await join(blue.token);
}, 60_000);
afterAll(async () => {
  sides.ours.link.close();
  sides.blue.link.close();
  await plane.stop();
});

test('an agent’s bundle holds its project alone, though both have an agent and a resource of one name', () => {
  expect(sides.blue.agent.identity.projectId).toBe(blueId);
  const texts = Object.values(sides).map((side) => JSON.stringify([...side.bodies.values()]));
  expect(texts[0]).toContain('ours.internal');
  expect(texts[0]).not.toContain('blue.internal');
  expect(texts[1]).toContain('blue.internal');
  expect(texts[1]).not.toMatch(/ours\.internal|crown/);
});

test('a session of another project is not taken over by an agent that writes its id', async () => {
  const { ours, blue } = sides;
  const id = randomUUID();
  ours.trail.add({ kind: 'session.opened', session: sessionOf(ours, id) }, id).judged(id, 1, 'select 1');
  expect(await upload(ours)).toBe('');
  blue.trail.add({ kind: 'session.opened', session: sessionOf(blue, id, { resourceName: 'stolen' }) }, id);
  blue.trail.add({ kind: 'session.closed', reason: 'x', statements: 9, rows: 9, bytes: 9 }, id);
  expect(await upload(blue)).toBe('');
  const report = {
    ...sessionOf(blue, id),
    closedAt: Date.now(),
    usage: { statements: 9, writes: 0, rows: 9, bytes: 9 },
  };
  blue.link.send({ session: { session: Buffer.from(JSON.stringify(report)) } });
  await expect.poll(async () => (await plane.call('GET', `/v1/sessions/${id}`)).status).toBe(200);
  const { body } = await plane.call('GET', `/v1/sessions/${id}`);
  expect(body).toMatchObject({ live: true });
  expect(JSON.stringify(body)).not.toContain('stolen');
  expect((await plane.call('GET', `/v1/sessions/${id}`, undefined, blue.token)).status).toBe(404);
  const told = await plane.call('GET', `/v1/trail/events?session=${id}`, undefined, blue.token);
  expect(JSON.stringify(told.body)).toContain('session.opened');
  expect(JSON.stringify(told.body)).not.toContain(person.name);
});

test('an approval request that names another project’s resource shows no name of it', async () => {
  const { blue } = sides;
  const crown = await plane.call<{ id: string }>('GET', '/v1/resources/crown');
  const now = Date.now();
  const info = sessionOf(blue, randomUUID(), { resourceId: crown.body.id });
  const approval = testApproval(info, { text: 'delete from t', requestedAt: now, expiresAt: now + 60_000 });
  blue.link.send({ approval: { request: Buffer.from(JSON.stringify(approval)) } });
  const path = `/v1/approvals/${approval.id}`;
  await expect.poll(async () => (await plane.call('GET', path, undefined, blue.token)).status).toBe(200);
  expect(JSON.stringify((await plane.call('GET', path, undefined, blue.token)).body)).not.toContain('crown');
  expect((await plane.call('GET', path)).status).toBe(404);
  // One of ours, answered for by the other's agent.
  const ours = testApproval(sessionOf(sides.ours, randomUUID()), {
    text: 'delete from t',
    requestedAt: now,
    expiresAt: now + 60_000,
  });
  sides.ours.link.send({ approval: { request: Buffer.from(JSON.stringify(ours)) } });
  await expect.poll(async () => (await plane.call('GET', `/v1/approvals/${ours.id}`)).status).toBe(200);
  blue.link.send({ withdrawn: { id: ours.id, reason: 'gone' } });
  blue.link.send({ consumed: { id: ours.id, sessionId: randomUUID() } });
  const forged = { ...ours, projectId: blueId };
  blue.link.send({ approval: { request: Buffer.from(JSON.stringify(forged)) } });
  // A message that is answered shows that those before it were handled.
  blue.trail.judged(randomUUID(), 1, 'select 1');
  await upload(blue);
  expect((await plane.call('GET', `/v1/approvals/${ours.id}`)).body).toMatchObject({ state: 'pending' });
});

test('a project’s export verifies by the root alone, and tells of that project alone', async () => {
  const { blue } = sides;
  blue.trail.checkpoint();
  expect(await upload(blue)).toBe('');
  const archive = await exportTrail(plane, '', blue.token);
  const heads = await plane.call<{ items: object[] }>('GET', '/v1/trail/heads', undefined, blue.token);
  const known = parseTreeHeads(heads.body.items.map((item) => JSON.stringify(item)).join('\n'));
  expect(known.length).toBeGreaterThan(0);
  const report = await verifyArchive(archive, root, known);
  expect(report.findings).toEqual([]);
  expect(report.ok).toBe(true);
  const agents = new Set(report.chains.map((chain) => chain.agentId));
  expect(agents).toEqual(new Set([blueId, blue.agent.identity.agentId]));
  const certificates = await client().signingKey.count({ where: { purpose: 'trail' } });
  expect(certificates).toBe(2);
});

test('a name that another project’s agent has is given to no other, however it is written; private addresses repeat', async () => {
  const other = await addProject(plane, 'names', 'names-admin');
  const invite = (body: object, token?: string) =>
    plane.call<{ errors?: { field: string }[] }>('POST', '/v1/agents/join-tokens', body, token);
  expect(await invite({ name: 'edge', names: ['edge.example.net', '10.7.7.7', '198.51.100.7'] })).toMatchObject({
    status: 201,
  });
  for (const names of [['edge.example.net'], ['EDGE.example.net'], ['own.example.net', '198.51.100.7']])
    expect(await invite({ name: 'edge', names }, other.token)).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'names' }] },
    });
  expect(await invite({ name: 'edge', names: ['10.7.7.7', 'own.example.net'] }, other.token)).toMatchObject({
    status: 201,
  });
  // In its own project a name may move to the next agent.
  expect(await invite({ name: 'edge-2', names: ['edge.example.net'] })).toMatchObject({ status: 201 });
});
