import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { settle, type Town } from '../testing/people.ts';
import { addProject } from '../testing/second-project.ts';
import type { AccessRequestView } from './access-requests.dto.ts';

let plane: TestControlPlane;
let town: Town;
const HOUR_MS = 3_600_000;

beforeAll(async () => {
  plane = await startTestControlPlane();
  town = await settle(plane);
  await town.policy('orders', { extensions: { times: 1, durationMax: '1h' }, startWithin: '2d' });
  await town.policy('pair', {
    resources: { labels: { env: 'prod' } },
    effects: ['ddl'],
    approve: { count: 2, groups: ['dba', 'security'], all: [{ group: 'dba' }, { group: 'security' }] },
  });
}, 60_000);
afterAll(async () => await plane.stop());
beforeEach(() => {
  plane.clock.offsetMs = 0;
});

const wish = { resource: 'orders', effects: ['read', 'write'], duration: '1h', reason: 'a customer waits' };
async function ask(who = 'carla', more: object = {}): Promise<AccessRequestView> {
  const answer = await town.as<AccessRequestView>(who, 'POST', '/v1/access-requests', { ...wish, ...more });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
}
const to = (id: string, verb: string) => `/v1/access-requests/${id}/${verb}`;
const approve = (id: string, who: string, body?: object) =>
  town.as<AccessRequestView & { code: string }>(who, 'POST', to(id, 'approve'), body ?? {});
const deny = (id: string, who: string, reason = 'no') =>
  town.as<AccessRequestView & { code: string }>(who, 'POST', to(id, 'deny'), { reason });
const refusal = async (answer: Promise<{ body: object }>): Promise<unknown> =>
  ((await answer).body as { code?: string }).code;
const grantsOf = async (id: string) =>
  (
    await plane.call<{ items: { requestId: string | null; name: string }[] }>('GET', '/v1/grants?limit=200')
  ).body.items.filter((grant) => grant.requestId === id);

test('a yes makes a grant that counts from the answer, names its request, and ends by itself', async () => {
  const made = await ask();
  expect(made).toMatchObject({ state: 'pending', policy: 'orders', answerable: false, groups: ['dba'] });
  plane.clock.offsetMs = 10 * 60_000;
  const before = plane.clock.nowMs();
  const { body } = await approve(made.id, 'ben', { reason: 'go on' });
  expect(body).toMatchObject({ state: 'approved', answer: 'go on', votes: [{ principal: 'ben', granted: true }] });
  const [grant] = await grantsOf(made.id);
  expect(grant).toMatchObject({ kind: 'jit', source: 'request', principal: 'carla', effects: ['read', 'write'] });
  const from = Date.parse(body.grant!.notBefore!);
  expect(from).toBeGreaterThanOrEqual(before);
  expect(Date.parse(body.grant!.notAfter!) - from).toBe(HOUR_MS);
  const token = () => town.as('carla', 'GET', '/v1/resources');
  expect(JSON.stringify((await token()).body)).toContain('orders');
  plane.clock.offsetMs += HOUR_MS + 1_000;
  expect(JSON.stringify((await token()).body)).not.toContain('orders');
});

test('an approver gives less: fewer effects and a shorter time, of several the least, and never more', async () => {
  const made = await ask();
  expect(await refusal(approve(made.id, 'ben', { effects: ['read', 'ddl'] }))).toBe('request.invalid');
  expect(await refusal(approve(made.id, 'ben', { duration: '2h' }))).toBe('request.invalid');
  const { body } = await approve(made.id, 'ben', { effects: ['read'], duration: '10m' });
  expect(body.grant).toMatchObject({ effects: ['read'] });
  expect(Date.parse(body.grant!.notAfter!) - Date.parse(body.grant!.notBefore!)).toBe(600_000);
});

test('nobody answers their own request, nor by a second account, nor their AI agent, nor for it', async () => {
  const own = await ask('dora');
  expect(await refusal(approve(own.id, 'dora'))).toBe('access.not_yours');
  expect(await refusal(approve(own.id, 'dora-too'))).toBe('access.not_yours');
  expect(await refusal(approve(own.id, 'bot'))).toBe('access.not_yours');
  const forBot = await ask('dora', { for: 'bot' });
  expect(forBot).toMatchObject({ principal: { name: 'bot' }, requestedBy: { name: 'dora' } });
  expect(await refusal(approve(forBot.id, 'dora'))).toBe('access.not_yours');
  expect((await approve(forBot.id, 'ben')).body).toMatchObject({ state: 'approved' });
  expect(await grantsOf(forBot.id)).toMatchObject([{ principal: 'bot' }]);
  expect(await refusal(town.as('carla', 'POST', '/v1/access-requests', { ...wish, for: 'dora' }))).toBe(
    'access.not_eligible',
  );
  await deny(own.id, 'ben');
});

test('a person whom an AI agent has acted for does not answer what that agent asks', async () => {
  await actedFor('bot', 'ben');
  const made = await ask('bot');
  expect(await refusal(approve(made.id, 'ben'))).toBe('access.not_yours');
  expect((await approve(made.id, 'ana')).body).toMatchObject({ state: 'approved' });
  await database().session.deleteMany({});
});

test('a token that the requester made for another account approves nothing of theirs', async () => {
  const made = await ask();
  await plane.call('PATCH', '/v1/principals/carla', { roles: ['member', 'admin'] });
  const { body } = await town.as('carla', 'POST', '/v1/principals/ben/tokens', { name: 'borrowed' });
  const answer = await plane.call('POST', to(made.id, 'approve'), {}, String(body['token']));
  expect(answer.body['code']).toBe('access.not_yours');
  await plane.call('PATCH', '/v1/principals/carla', { roles: ['member'] });
  expect((await approve(made.id, 'ben')).body).toMatchObject({ state: 'approved' });
});

test('two quorums take two persons, and one of two answers at once is counted', async () => {
  const made = await ask('carla', { effects: ['ddl'] });
  expect((await approve(made.id, 'ana')).body).toMatchObject({ state: 'pending' });
  expect(await refusal(approve(made.id, 'ana'))).toBe('access.answered');
  expect(await refusal(approve(made.id, 'carla'))).toBe('auth.forbidden');
  expect((await approve(made.id, 'ben')).body).toMatchObject({ state: 'approved' });

  const raced = await ask();
  const answers = await Promise.all([approve(raced.id, 'ben'), approve(raced.id, 'ana'), deny(raced.id, 'dora-too')]);
  expect(answers.filter((one) => one.status === 200)).toHaveLength(1);
  expect(answers.filter((one) => one.body.code === 'access.answered')).toHaveLength(2);
  const { body } = await town.as<AccessRequestView>('carla', 'GET', `/v1/access-requests/${raced.id}`);
  expect(body.votes).toHaveLength(1);
  expect(await grantsOf(raced.id)).toHaveLength(body.state === 'approved' ? 1 : 0);
});

test('a yes of someone who may not answer any more counts no more, and the grant does not name them', async () => {
  const patch = (body: object) => plane.call('PATCH', '/v1/principals/leo', body);
  await plane.call('POST', '/v1/principals', { name: 'leo', kind: 'person', roles: [] });
  const { body } = await plane.call('POST', '/v1/principals/leo/tokens', { name: 'test' });
  const leaves: readonly (() => Promise<{ readonly status: number }>)[] = [
    () => plane.call('DELETE', '/v1/groups/dba/members/leo'),
    () => patch({ roles: ['member'] }),
    () => patch({ disabled: true }),
  ];
  for (const leave of leaves) {
    await patch({ roles: ['member', 'approver'] });
    await plane.call('PUT', '/v1/groups/dba/members/leo');
    const made = await ask('carla', { effects: ['ddl'] });
    expect((await plane.call('POST', to(made.id, 'approve'), {}, String(body['token']))).status).toBe(200);
    expect((await leave()).status).toBeLessThan(300);
    expect((await approve(made.id, 'sue')).body).toMatchObject({ state: 'pending' });
    expect((await approve(made.id, 'ana')).body).toMatchObject({ state: 'approved' });
    const [granted] = await database().controlAct.findMany({
      where: { action: 'access-request.granted', target: `access-request/${made.id}` },
    });
    expect(['ana, sue', 'sue, ana']).toContain((granted!.detail as { by?: unknown }).by);
  }
});

test('a grant ends when those who said yes turn out to be too few persons, or the requester; others stay', async () => {
  const two = async () => {
    const { id } = await ask('carla', { effects: ['ddl'] });
    await approve(id, 'ana');
    expect((await approve(id, 'sue')).body).toMatchObject({ state: 'approved' });
    return id;
  };
  const own = await ask('dora');
  expect((await approve(own.id, 'ben')).body).toMatchObject({ state: 'approved' });
  const pair = await two();
  const read = async (id: string) => (await plane.call<AccessRequestView>('GET', `/v1/access-requests/${id}`)).body;
  const same = (who: string, sameAs: string | null) => plane.call('PATCH', `/v1/principals/${who}`, { sameAs });
  expect((await same('sue', 'ana')).status).toBe(200);
  const ended = await read(pair);
  expect(ended).toMatchObject({ state: 'revoked', answer: expect.stringContaining('one person’s') });
  expect((await plane.call('GET', `/v1/grants/jit-${pair}`)).body['revokedAt']).not.toBeNull();
  expect((await read(own.id)).state).toBe('approved');
  const acts = await database().controlAct.findMany({ where: { target: `access-request/${pair}` } });
  expect(acts.map(({ action }) => action)).toContain('access-request.revoked');
  for (const who of ['sue', 'ana']) await same(who, null);
  expect((await same('ben', 'dora')).status).toBe(200);
  expect(await read(own.id)).toMatchObject({ state: 'revoked' });
  for (const who of ['ben', 'dora']) await same(who, null);
  // One of them has left the group since, which is nobody's account joined.
  const left = await two();
  await plane.call('DELETE', '/v1/groups/security/members/sue');
  expect((await same('carla', 'bot')).status).not.toBe(200);
  expect((await same('ben', 'dora-too')).status).toBe(200);
  expect((await read(left)).state).toBe('approved');
  for (const who of ['ben', 'dora-too']) await same(who, null);
  await same('dora-too', 'dora');
  await plane.call('PUT', '/v1/groups/security/members/sue');
});

test('an approver ends the grant before its time, with a reason that the requester hears', async () => {
  const revoke = (id: string, who: string, body: object = { reason: 'the incident is over' }) =>
    town.as<AccessRequestView & { code: string }>(who, 'POST', to(id, 'revoke'), body);
  const url = 'http://127.0.0.1:9/x';
  await plane.call('POST', '/v1/webhooks', { name: 'told', url, events: ['access.answered'] });
  const made = await ask();
  expect(await refusal(revoke(made.id, 'ben'))).toBe('access.ended');
  await approve(made.id, 'ben');
  expect(await refusal(revoke(made.id, 'carla'))).toBe('auth.forbidden');
  expect(await refusal(revoke(made.id, 'sue'))).toBe('access.not_yours');
  expect((await revoke(made.id, 'ben', {})).status).toBe(400);
  const { body } = await revoke(made.id, 'ana');
  expect(body).toMatchObject({ state: 'revoked', answer: 'the incident is over' });
  expect(body.grant!.revokedAt).not.toBeNull();
  expect(await refusal(revoke(made.id, 'ana'))).toBe('access.ended');
  const told = await database().outboxMessage.findMany({ where: { event: 'access.answered' } });
  expect(JSON.stringify(told.map((one) => one.body))).toContain('the incident is over');
  const acts = await database().controlAct.findMany({ where: { target: `access-request/${made.id}` } });
  expect(acts.map((act) => act.action)).toContain('access-request.revoked');

  // Who said yes may take it back after leaving the group; who asked may not by this way, in the group or not.
  const again = await ask('dora');
  expect(await refusal(revoke(again.id, 'dora'))).toBe('access.not_yours');
  await approve(again.id, 'ben');
  expect(await refusal(revoke(again.id, 'dora'))).toBe('access.not_yours');
  await plane.call('DELETE', '/v1/groups/dba/members/ben');
  expect((await revoke(again.id, 'ben')).body).toMatchObject({ state: 'revoked' });
  await plane.call('PUT', '/v1/groups/dba/members/ben');
});

test('an expired request cannot be answered, and says so by itself', async () => {
  const made = await ask();
  plane.clock.offsetMs = 8 * HOUR_MS + 1_000;
  expect(['access.expired', 'access.answered']).toContain(await refusal(approve(made.id, 'ben')));
  await expect
    .poll(async () => (await town.as('carla', 'GET', `/v1/access-requests/${made.id}`)).body['state'])
    .toBe('expired');
  expect(await grantsOf(made.id)).toEqual([]);
});

test('what is no longer allowed when it is answered is not granted', async () => {
  const left = await ask();
  await plane.call('DELETE', '/v1/groups/developers/members/carla');
  expect(await refusal(approve(left.id, 'ben'))).toBe('access.not_eligible');
  await plane.call('PUT', '/v1/groups/developers/members/carla');
  expect((await approve(left.id, 'ben')).status).toBe(200);
  const disabled = await ask('drone');
  await plane.call('PATCH', '/v1/principals/drone', { disabled: true });
  expect(await refusal(approve(disabled.id, 'ana'))).toBe('access.not_eligible');
  await deny(disabled.id, 'ana');
  await town.policy('brief', { resources: { names: ['sandbox'] } });
  const orphan = await ask('carla', { resource: 'sandbox' });
  await plane.call('DELETE', '/v1/access-policies/brief');
  expect(await refusal(approve(orphan.id, 'ben'))).toBe('access.not_yours');
  expect((await town.as('carla', 'POST', to(orphan.id, 'withdraw'))).body).toMatchObject({ state: 'withdrawn' });
});

test('a start that was asked for is kept, and the time counts from it', async () => {
  const startAt = new Date(plane.clock.nowMs() + 3 * HOUR_MS).toISOString();
  const made = await ask('carla', { startAt });
  const { body } = await approve(made.id, 'ben');
  expect(body.grant).toMatchObject({ notBefore: startAt });
  expect(Date.parse(body.grant!.notAfter!)).toBe(Date.parse(startAt) + HOUR_MS);
  expect(
    await refusal(town.as('carla', 'POST', '/v1/access-requests', { ...wish, startAt: new Date(0).toISOString() })),
  ).toBe('request.invalid');
  const far = new Date(plane.clock.nowMs() + 90 * 24 * HOUR_MS).toISOString();
  expect(await refusal(town.as('carla', 'POST', '/v1/access-requests', { ...wish, startAt: far }))).toBe(
    'request.invalid',
  );
});

test('a grant is prolonged as often as the policy says, by a new answer, and not once it has ended', async () => {
  const made = await ask();
  const first = (await approve(made.id, 'ben')).body;
  const extend = (duration: string) =>
    town.as<AccessRequestView & { code: string }>('carla', 'POST', to(made.id, 'extend'), { duration, reason: 'more' });
  expect((await extend('2h')).body).toMatchObject({ code: 'request.invalid' });
  const more = (await extend('30m')).body;
  expect(more).toMatchObject({ state: 'pending', extends: made.id });
  const after = (await approve(more.id, 'ben')).body;
  expect(Date.parse(after.grant!.notAfter!) - Date.parse(first.grant!.notAfter!)).toBe(30 * 60_000);
  expect((await extend('30m')).body).toMatchObject({ code: 'request.invalid' });
  const other = await ask();
  await approve(other.id, 'ben');
  const late = (
    await town.as<AccessRequestView>('carla', 'POST', to(other.id, 'extend'), { duration: '30m', reason: 'more' })
  ).body;
  await plane.call('POST', `/v1/grants/${(await grantsOf(other.id))[0]!.name}/revoke`);
  expect(['access.ended', 'access.answered']).toContain(await refusal(approve(late.id, 'ben')));
  // It is no request to answer any more, and who asked is told why.
  const view = async () => (await town.as<AccessRequestView>('carla', 'GET', `/v1/access-requests/${late.id}`)).body;
  await expect.poll(async () => (await view()).state, { timeout: 10_000 }).toBe('expired');
  expect((await view()).answer).toBe('the grant it would prolong has ended');
});

test('who asked withdraws: while it waits, and afterwards, which ends the grant', async () => {
  const waiting = await ask();
  expect(await refusal(town.as('ben', 'POST', to(waiting.id, 'withdraw')))).toBe('access.not_yours');
  expect((await town.as('carla', 'POST', to(waiting.id, 'withdraw'))).body).toMatchObject({ state: 'withdrawn' });
  expect(await refusal(approve(waiting.id, 'ben'))).toBe('access.answered');
  const used = await ask();
  await approve(used.id, 'ben');
  const { body } = await town.as<AccessRequestView>('carla', 'POST', to(used.id, 'withdraw'), { reason: 'done' });
  expect(body).toMatchObject({ state: 'withdrawn', answer: 'done' });
  expect(body.grant?.revokedAt).not.toBeNull();
});

test('what no policy gives is refused alike, whether the resource is there or not', async () => {
  for (const resource of ['sandbox', 'nowhere'])
    expect(await refusal(town.as('carla', 'POST', '/v1/access-requests', { ...wish, resource }))).toBe(
      'access.not_eligible',
    );
  expect(await refusal(town.as('sue', 'POST', '/v1/access-requests', wish))).toBe('access.not_eligible');
  for (const more of [
    { duration: '3h' },
    { effects: ['admin'] },
    { roles: ['postgres'] },
    { reason: ' ' },
    { labels: {} },
  ])
    expect(await refusal(town.as('carla', 'POST', '/v1/access-requests', { ...wish, ...more }))).toBe(
      'request.invalid',
    );
});

test('where several policies fit, one is named', async () => {
  await town.policy('again', {});
  expect(await refusal(town.as('carla', 'POST', '/v1/access-requests', wish))).toBe('request.invalid');
  const made = await ask('carla', { policy: 'again' });
  expect(made.policy).toBe('again');
  await plane.call('DELETE', '/v1/access-policies/again');
  const options = await town.as<{ items: { policy: string; resources: string[] }[] }>(
    'carla',
    'GET',
    '/v1/access-requests/options',
  );
  expect(options.body.items).toMatchObject([{ policy: 'orders', resources: ['orders'] }, { policy: 'pair' }]);
  await town.as('carla', 'POST', to(made.id, 'withdraw'));
});

test('a policy that grows stricter is the one that answers are counted by', async () => {
  await town.policy('tight', { resources: { names: ['sandbox'] } });
  const made = await ask('carla', { resource: 'sandbox' });
  const { body } = await plane.call('GET', '/v1/access-policies/tight');
  const { id: _, createdAt: __, updatedAt: ___, ...document } = body;
  const changed = await plane.call('PUT', '/v1/access-policies/tight', {
    ...document,
    approve: { count: 2, groups: ['dba'] },
  });
  expect(changed.status, JSON.stringify(changed.body)).toBe(200);
  expect((await approve(made.id, 'ben')).body).toMatchObject({ state: 'pending' });
  expect((await approve(made.id, 'ana')).body).toMatchObject({ state: 'approved' });
});

test('where a policy wants a fresh sign-in, a token that no sign-in made says no and nothing else', async () => {
  const stepUp = { maxAge: '5m', amr: ['mfa'] };
  await town.policy('careful', {
    resources: { names: ['sandbox'] },
    effects: ['exec'],
    approve: { groups: ['dba'], stepUp },
  });
  const made = await ask('carla', { resource: 'sandbox', effects: ['exec'] });
  expect((await approve(made.id, 'ben')).body).toMatchObject({ code: 'auth.step_up', stepUp: { maxAgeSeconds: 300 } });
  expect((await deny(made.id, 'ben')).body).toMatchObject({ state: 'denied' });
});

test('the inbox holds what one may answer; others see nothing of it, in other projects neither', async () => {
  const made = await ask();
  const inbox = async (who: string) =>
    (
      await town.as<{ items: { id: string }[] }>(who, 'GET', '/v1/access-requests?answerable=true&state=pending')
    ).body.items.map((item) => item.id);
  expect(await inbox('ben')).toContain(made.id);
  expect(await inbox('carla')).toEqual([]);
  expect(await inbox('bot')).toEqual([]);
  expect((await town.as('bot', 'GET', `/v1/access-requests/${made.id}`)).status).toBe(200); // an approver by role reads grants
  const blue = await addProject(plane, 'blue');
  for (const verb of ['', '/approve', '/deny', '/withdraw', '/extend']) {
    const body = verb === '/extend' ? { duration: '1h', reason: 'x' } : verb === '' ? undefined : { reason: 'x' };
    const answer = await plane.call(
      verb === '' ? 'GET' : 'POST',
      `/v1/access-requests/${made.id}${verb}`,
      body,
      blue.token,
    );
    expect(answer.status, verb).toBe(404);
  }
  expect((await plane.call('GET', '/v1/access-policies/orders', undefined, blue.token)).status).toBe(404);
});

test('values that the detectors know stand in no reason, and every step is an act on the trail', async () => {
  const made = await ask('carla', { reason: 'asked by ada.lovelace@example.com' });
  expect(made.reason).not.toContain('ada.lovelace@example.com');
  await deny(made.id, 'ben', 'ask bob.builder@example.com first');
  const { body } = await town.as('carla', 'GET', `/v1/access-requests/${made.id}`);
  expect(JSON.stringify(body)).not.toContain('bob.builder@example.com');
  await expect
    .poll(async () => {
      const { items } = (
        await plane.call<{ items: { action: string; target: string }[] }>(
          'GET',
          '/v1/trail/events?kind=control.act&limit=200',
        )
      ).body;
      return items.filter((item) => item.target === `access-request/${made.id}`).map((item) => item.action);
    })
    .toEqual(expect.arrayContaining(['access-request.created', 'access-request.denied']));
});

test('one requester’s open requests are counted', async () => {
  let refused: unknown;
  for (let i = 0; i < 25 && refused === undefined; i++)
    refused = await refusal(town.as('bot', 'POST', '/v1/access-requests', wish));
  expect(refused).toBe('request.throttled');
});

const database = () => plane.controlPlane.app.get(Database, { strict: false }).client;
async function actedFor(agent: string, person: string): Promise<void> {
  const { projectId } = await database().principal.findUniqueOrThrow({ where: { id: town.ids[agent]! } });
  await database().session.create({
    data: {
      id: '0190b3a4-0000-7000-8000-0000000000c1',
      projectId,
      agentId: '0190b3a4-0000-7000-8000-0000000000c2',
      resourceId: '0190b3a4-0000-7000-8000-0000000000c3',
      resourceName: 'orders',
      protocol: 'postgres',
      principalId: town.ids[agent]!,
      principalName: agent,
      principalKind: 'ai_agent',
      onBehalfOfId: town.ids[person]!,
      onBehalfOfName: person,
      tokenId: 't',
      clientAddress: '127.0.0.1:1',
      database: 'orders',
      role: '',
      application: '',
      openedAt: new Date(),
    },
  });
}
