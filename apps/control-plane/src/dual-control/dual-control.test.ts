/** Changes that need two admins: proposed by one, agreed to by another person, made once, and by no way round. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { type Answer, startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';

type Body = Record<string, unknown> & { id: string; code?: string; state?: string };
let plane: TestControlPlane;
const tokens: Record<string, string> = {};
const call = (who: string, method: string, path: string, body?: unknown): Promise<Answer<Body>> =>
  plane.call<Body>(method, path, body, tokens[who] ?? plane.adminToken);
const client = () => plane.controlPlane.app.get(Database, { strict: false }).client;
const policy = (name: string, verdict = 'deny') => ({
  source: `kind: Policy\nname: ${name}\nrules:\n  - name: no-ddl\n    when: sql.effects.exists(e, e == "ddl")\n    verdict: ${verdict}\n`,
});
/** A principal with a token that nobody else had a hand in, as a sign-in gives. */
async function addPrincipal(name: string, kind: string, roles: readonly string[], more: object = {}): Promise<string> {
  const { body } = await plane.call<Body>('POST', '/v1/principals', { name, kind, roles, ...more });
  tokens[name] = (
    await plane.call<{ token: string }>('POST', `/v1/principals/${name}/tokens`, { name: 't' })
  ).body.token;
  await client().apiToken.updateMany({ where: { principalId: body.id }, data: { lineage: [] } });
  return body.id;
}
const propose = async (who: string, name: string): Promise<string> => {
  const { status, body } = await call(who, 'POST', '/v1/policies', policy(name));
  expect([status, body.state]).toEqual([202, 'pending']);
  return body.id;
};

beforeAll(async () => {
  plane = await startTestControlPlane();
  const roles = ['owner', 'admin'];
  await addPrincipal('ann', 'person', roles, { email: 'Ann@example.com' });
  await addPrincipal('bob', 'person', roles, { email: 'bob@example.com' });
  await addPrincipal('cat', 'person', ['auditor']);
  await addPrincipal('robot', 'ai_agent', roles);
  await addPrincipal('ann-too', 'person', roles, { email: 'other@example.com' });
  expect((await call('ann', 'PATCH', '/v1/principals/ann-too', { sameAs: 'ann' })).status).toBe(200);
  const areas = ['policy', 'master-key', 'administrators'];
  expect((await call('ann', 'PUT', '/v1/dual-control', { areas })).body).toEqual({ areas: areas.toSorted() });
}, 60_000);
afterAll(async () => await plane.stop());

test('taking two accounts of one person apart needs a second admin, joining them does not', async () => {
  expect((await call('ann', 'PATCH', '/v1/principals/ann-too', { sameAs: null })).status).toBe(202);
  expect((await call('bob', 'GET', '/v1/principals/ann-too')).body).toMatchObject({ sameAs: ['ann'] });
});

test('a change under dual control is not made, and says what it would do', async () => {
  const id = await propose('ann', 'p1');
  expect((await call('ann', 'GET', '/v1/policies/p1')).status).toBe(404);
  const { body } = await call('bob', 'GET', `/v1/change-proposals/${id}`);
  expect(body).toMatchObject({
    areas: ['policy'],
    call: 'POST /v1/policies',
    proposer: { name: 'ann' },
    changes: [{ thing: 'policy', name: 'p1', before: null }],
  });
  const done = await call('bob', 'POST', `/v1/change-proposals/${id}/approve`, { reason: 'seen' });
  expect([done.status, done.body.state]).toEqual([200, 'executed']);
  expect((await call('ann', 'GET', '/v1/policies/p1')).status).toBe(200);
  const act = await client().controlAct.findFirstOrThrow({ where: { action: 'policy.created' } });
  expect(act).toMatchObject({ principalName: 'ann', detail: { agreedBy: { name: 'bob' }, changeProposal: id } });
});

test('a request that is wrong is refused at once, and makes no proposal', async () => {
  const before = await client().changeProposal.count();
  expect((await call('ann', 'POST', '/v1/policies', { source: 'kind: Policy\nname: x\nrules: 7' })).status).toBe(422);
  expect((await call('cat', 'POST', '/v1/policies', policy('p9'))).status).toBe(403);
  expect(await client().changeProposal.count()).toBe(before);
});

test('nobody agrees to their own change, by no account, no agent and no token of theirs', async () => {
  const id = await propose('ann', 'p2');
  const agree = async (who: string) => (await call(who, 'POST', `/v1/change-proposals/${id}/approve`)).body.code;
  expect(await agree('ann')).toBe('proposal.not_yours');
  expect(await agree('robot')).toBe('proposal.not_yours');
  expect(await agree('ann-too')).toBe('proposal.not_yours');
  expect(await agree('cat')).toBe('auth.forbidden');
  // A token of bob's that ann made, and one made with that.
  const made = async (who: string) =>
    (await call(who, 'POST', '/v1/principals/bob/tokens', { name: 'x' })).body['token'] as string;
  tokens['bob-by-ann'] = await made('ann');
  expect(await agree('bob-by-ann')).toBe('proposal.not_yours');
  tokens['bob-by-bob'] = await made('bob-by-ann');
  expect(await agree('bob-by-bob')).toBe('proposal.not_yours');
  expect((await call('ann', 'GET', '/v1/policies/p2')).status).toBe(404);
});

test('nobody agrees to what was proposed by a token that they made, nor does a token agree to what another of the same hand proposed', async () => {
  const made = async (by: string, of: string) =>
    (await call(by, 'POST', `/v1/principals/${of}/tokens`, { name: 'x' })).body['token'] as string;
  tokens['bob-of-ann'] = await made('ann', 'bob');
  await addPrincipal('eli', 'person', ['member']);
  await client().principal.updateMany({ where: { name: 'eli' }, data: { roles: ['owner', 'admin'] } });
  const [own, byAnn] = [tokens['eli']!, await made('ann', 'eli')];
  const id = await propose('bob-of-ann', 'p2-by-ann');
  const agree = async (who: string) => (await call(who, 'POST', `/v1/change-proposals/${id}/approve`)).body.code;
  expect(await agree('ann')).toBe('proposal.not_yours');
  expect(await agree('ann-too')).toBe('proposal.not_yours');
  tokens['eli'] = byAnn;
  expect(await agree('eli')).toBe('proposal.not_yours');
  tokens['eli'] = own;
  expect(await agree('eli')).toBeUndefined();
  expect((await call('ann', 'GET', '/v1/policies/p2-by-ann')).status).toBe(200);
});

test('two accounts joined by an identity, here or through another project, are one person', async () => {
  const [here, there, elsewhere] = [await addedMember('dan'), await addedMember('dan-two'), randomUUID()];
  const other = await plane.call<Body>('POST', '/v1/projects', { name: 'other' });
  const projectId = (await client().principal.findUniqueOrThrow({ where: { id: here } })).projectId;
  await client().principal.create({
    data: { id: elsewhere, projectId: other.body.id, name: 'dan', kind: 'person', roles: ['member'] },
  });
  const join = (principalId: string, project: string, provider: string, subject: string) =>
    client().identity.create({ data: { id: randomUUID(), projectId: project, principalId, provider, subject } });
  await join(here, projectId, 'okta', 'dan-1');
  await join(elsewhere, other.body.id, 'okta', 'dan-1');
  await join(elsewhere, other.body.id, 'saml', 'dan-2');
  await join(there, projectId, 'saml', 'dan-2');
  const id = await propose('dan', 'p3');
  const { body } = await call('dan-two', 'POST', `/v1/change-proposals/${id}/approve`);
  expect(body.code).toBe('proposal.not_yours');
});

/** Added below dual control: administrators are under it by then. */
async function addedMember(name: string): Promise<string> {
  const id = await addPrincipal(name, 'person', ['member']);
  await client().principal.update({ where: { id }, data: { roles: ['owner', 'admin'] } });
  return id;
}

test('it is made once, however many agree at once', async () => {
  const id = await propose('ann', 'p4');
  const answers = await Promise.all([1, 2, 3].map(() => call('bob', 'POST', `/v1/change-proposals/${id}/approve`)));
  expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([200, 409, 409]);
  expect(await client().controlAct.count({ where: { action: 'policy.created', target: 'policy/p4' } })).toBe(1);
});

test('a proposal and its answer are told: names of what would change, and no value', async () => {
  const hook = { name: 'changes', url: 'http://127.0.0.1:9/x', events: ['change.proposed', 'change.answered'] };
  expect((await call('ann', 'POST', '/v1/webhooks', hook)).status).toBe(201);
  const told = async (event: string, id: string) =>
    (await client().outboxMessage.findMany({ where: { event } }))
      .map((one) => one.body as Body)
      .find((one) => one.id === id);
  const yes = await propose('ann', 'told1');
  expect(await told('change.proposed', yes)).toMatchObject({
    proposer: 'ann',
    call: 'POST /v1/policies',
    areas: ['policy'],
    changes: ['policy told1'],
  });
  await call('bob', 'POST', `/v1/change-proposals/${yes}/approve`, { reason: 'seen' });
  expect(await told('change.answered', yes)).toMatchObject({ state: 'executed', by: 'bob', reason: 'seen' });
  const no = await propose('ann', 'told2');
  await call('bob', 'POST', `/v1/change-proposals/${no}/reject`, { reason: 'not now' });
  expect(await told('change.answered', no)).toMatchObject({ state: 'rejected', reason: 'not now' });
  const stale = [await propose('ann', 'told3'), await propose('ann', 'told3')];
  for (const id of stale) await call('bob', 'POST', `/v1/change-proposals/${id}/approve`);
  expect(await told('change.answered', stale[1]!)).toMatchObject({ state: 'failed' });
  const all = JSON.stringify((await client().outboxMessage.findMany()).map((one) => one.body));
  expect(all).not.toContain('no-ddl');
  expect((await call('ann', 'DELETE', '/v1/webhooks/changes')).status).toBe(204);
});

test('what changed meanwhile makes it stale, and nothing of it is made', async () => {
  const first = await call('ann', 'PUT', '/v1/policies/p1', policy('p1', 'deny\n    message: No.'));
  const second = await call('ann', 'PUT', '/v1/policies/p1', policy('p1', 'allow'));
  expect((await call('bob', 'POST', `/v1/change-proposals/${second.body.id}/approve`)).status).toBe(200);
  const late = await call('bob', 'POST', `/v1/change-proposals/${first.body.id}/approve`);
  expect([late.status, late.body.code]).toEqual([409, 'proposal.stale']);
  expect((await call('bob', 'GET', `/v1/change-proposals/${first.body.id}`)).body.state).toBe('stale');
  expect(String((await call('ann', 'GET', '/v1/policies/p1')).body['source'])).toContain('allow');
  const twice = [await propose('ann', 'p5'), await propose('ann', 'p5')];
  expect((await call('bob', 'POST', `/v1/change-proposals/${twice[0]}/approve`)).status).toBe(200);
  expect((await call('bob', 'POST', `/v1/change-proposals/${twice[1]}/approve`)).body.code).toBe('proposal.failed');
});

test('documents as code are no way round, nor are keys and administrators', async () => {
  const file = { file: 'p6.yaml', text: policy('p6').source };
  const applied = await call('ann', 'POST', '/v1/apply', { documents: [file] });
  expect(applied.body).toMatchObject({ areas: ['policy'], call: 'POST /v1/apply' });
  expect((await call('ann', 'POST', '/v1/apply', { documents: [file], dryRun: true })).status).toBe(200);
  expect((await call('bob', 'POST', `/v1/change-proposals/${applied.body.id}/approve`)).status).toBe(200);
  expect((await call('ann', 'GET', '/v1/policies/p6')).status).toBe(200);
  expect((await call('ann', 'POST', '/v1/keys/rotate', { purpose: 'approval' })).body.areas).toEqual(['master-key']);
  const sock = { name: 'sock', kind: 'person', roles: ['admin'] };
  expect((await call('ann', 'POST', '/v1/principals', sock)).body.areas).toEqual(['administrators']);
  expect((await call('ann', 'POST', '/v1/principals', { ...sock, roles: ['member'] })).status).toBe(201);
  expect((await call('ann', 'PATCH', '/v1/principals/sock', { roles: ['admin'] })).body.areas).toEqual([
    'administrators',
  ]);
  expect((await call('ann', 'PUT', '/v1/dual-control', { areas: [] })).body.areas).toEqual(['dual-control']);
  expect((await call('ann', 'POST', '/v1/groups', { name: 'free' })).status).toBe(201);
});

test('a proposal ends: refused with a reason, taken back, or by its time', async () => {
  const path = async () => `/v1/change-proposals/${await propose('ann', `q${randomUUID().slice(0, 8)}`)}`;
  const refused = await path();
  expect((await call('bob', 'POST', `${refused}/reject`, {})).status).toBe(400);
  expect((await call('bob', 'POST', `${refused}/reject`, { reason: 'no' })).body.state).toBe('rejected');
  expect((await call('bob', 'POST', `${refused}/approve`)).body.code).toBe('approval.answered');
  const back = await path();
  expect((await call('bob', 'POST', `${back}/withdraw`)).body.code).toBe('proposal.not_yours');
  expect((await call('ann', 'POST', `${back}/withdraw`)).body.state).toBe('withdrawn');
  const old = await path();
  plane.clock.offsetMs += 8 * 86_400_000;
  expect((await call('bob', 'POST', `${old}/approve`)).body.code).toBe('approval.expired');
  expect((await call('bob', 'GET', old)).body.state).toBe('expired');
  plane.clock.offsetMs -= 8 * 86_400_000;
});

test('a proposer who is disabled or has lost the right changes nothing any more', async () => {
  const eve = await addedMember('eve');
  const [one, two] = [await propose('eve', 'r1'), await propose('eve', 'r2')];
  await client().principal.update({ where: { id: eve }, data: { roles: ['member'] } });
  expect((await call('bob', 'POST', `/v1/change-proposals/${one}/approve`)).body.code).toBe('proposal.failed');
  await client().principal.update({ where: { id: eve }, data: { roles: ['admin'], disabledAt: new Date() } });
  expect((await call('bob', 'POST', `/v1/change-proposals/${two}/approve`)).body.code).toBe('proposal.failed');
  expect(await client().policy.count({ where: { name: { in: ['r1', 'r2'] } } })).toBe(0);
});

test('a secret in the body is sealed while it waits', async () => {
  await client().project.updateMany({ data: { dualControl: ['administrators'] } });
  const canary = 'canary-77aa';
  const input = { name: 'fay', kind: 'person', roles: ['admin'], email: `${canary}@example.com` };
  expect((await call('ann', 'POST', '/v1/principals', input)).status).toBe(202);
  const rows = await client().$queryRaw<
    { text: string }[]
  >`select change_proposals::text as text from change_proposals`;
  expect(rows.map((row) => row.text).join()).not.toContain(canary);
  expect(rows.map((row) => row.text).join()).not.toContain(Buffer.from(canary).toString('hex'));
});

test('without two admins it cannot be switched on', async () => {
  await client().project.updateMany({ data: { dualControl: [] } });
  const made = await plane.call<Body>('POST', '/v1/projects', { name: 'small' });
  expect(made.status).toBe(201);
  const given = await plane.call<{ token: string }>('POST', '/v1/projects/small/admins', { name: 'solo' });
  const answer = await plane.call('PUT', '/v1/dual-control', { areas: ['policy'] }, given.body.token);
  expect(answer.status).toBe(409);
});
