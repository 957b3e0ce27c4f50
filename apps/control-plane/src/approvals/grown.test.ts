/** Approvals beyond a plain yes and no: shapes, seats, escalation, comments, reasons. A real control plane and link. */
import { readFileSync } from 'node:fs';
import { type ApprovalRequest, parseApproval } from '@sallyport/model';
import { compactVerify, createLocalJWKSet, type JSONWebKeySet } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { type EnrolledAgent, enrollAgent, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { addSessionOf } from '../testing/session-row.ts';

let plane: TestControlPlane;
let agent: EnrolledAgent;
let link: TestLink;
const tokens: Record<string, string> = {};
const ids: Record<string, string> = {};
let counter = 0;

async function person(name: string, kind: string, roles: string[], groups: string[]): Promise<void> {
  const made = await plane.call<{ id: string }>('POST', '/v1/principals', { name, kind, roles });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  ids[name] = made.body.id;
  for (const group of groups) await plane.call('PUT', `/v1/groups/${group}/members/${name}`);
  tokens[name] = (
    await plane.call<{ token: string }>('POST', `/v1/principals/${name}/tokens`, { name: 'test' })
  ).body.token;
}

beforeAll(async () => {
  plane = await startTestControlPlane();
  const root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  for (const group of ['dba', 'sre']) await plane.call('POST', '/v1/groups', { name: group });
  await person('ana', 'person', ['approver'], ['dba']);
  await person('ben', 'person', ['approver'], ['dba']);
  await person('sara', 'person', ['approver'], ['sre']);
  await person('dora', 'person', ['approver'], []);
  await person('eve', 'person', ['approver'], []);
  await person('mona', 'person', ['member'], []);
  await person('bot', 'ai_agent', ['member'], []);
  const join = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'north' });
  agent = await enrollAgent(plane.controlPlane.ready.enroll, root, join.body.joinToken);
  link = new TestLink(plane.controlPlane.ready.link, root, agent);
  link.hello();
  await link.last('welcome');
  await addSessionOf(plane, request());
});
afterAll(async () => {
  link.close();
  await plane.stop();
});

const SHAPE = {
  digest: 'e'.repeat(64),
  text: 'delete from payments where id = ?',
  tables: ['payments'],
  bound: 'undone',
};
const SPEC = { groups: ['dba'], count: 1, expiresMs: 60_000 };
const SHAPED = { ...SPEC, shape: { forMsMax: 30 * 60_000, rowsMax: 100 } };

function request(more: object = {}): ApprovalRequest {
  return {
    id: `apr-grown${String(++counter).padStart(6, '0')}`,
    projectId: agent.identity.projectId!,
    agentId: agent.identity.agentId!,
    sessionId: '0190b3a4-0000-7000-8000-000000000001',
    resourceId: '0190b3a4-0000-7000-8000-0000000000aa',
    principal: { id: ids['bot']!, name: 'bot', kind: 'ai_agent' },
    digest: 'd'.repeat(64),
    scope: 'once',
    mode: 'wait',
    text: 'delete from payments where id = 17',
    parameters: [],
    effects: ['write'],
    rule: 'payments/bulk-delete',
    reason: '',
    approval: SPEC,
    database: 'payments',
    clientAddress: '127.0.0.1:5000',
    inTransaction: true,
    wroteInTransaction: false,
    statementsBefore: 0,
    writesBefore: 0,
    recentStatements: [],
    requestedAt: Date.now(),
    expiresAt: Date.now() + 60_000,
    ...more,
  } as ApprovalRequest;
}

async function ask(more: object = {}): Promise<ApprovalRequest> {
  const made = request(more);
  link.send({ approval: { request: Buffer.from(JSON.stringify(made)) } });
  await expect.poll(async () => (await plane.call('GET', `/v1/approvals/${made.id}`)).status).toBe(200);
  return made;
}
const post = (who: string, path: string, body: object = {}) =>
  plane.call<Record<string, unknown>>('POST', path, body, tokens[who]);
const approve = (id: string, who: string, body: object = {}) => post(who, `/v1/approvals/${id}/approve`, body);
const inbox = async (who: string): Promise<string[]> =>
  (
    await plane.call<{ items: { id: string }[] }>(
      'GET',
      '/v1/approvals?state=pending&answerable=true&limit=100',
      undefined,
      tokens[who],
    )
  ).body.items.map(({ id }) => id);

async function answerOf(id: string) {
  const signed = await link.until(
    () => link.received.map((message) => message.answer).find((answer) => answer?.id === id)?.signed ?? undefined,
  );
  const jwks = (await plane.call<JSONWebKeySet>('GET', '/v1/keys', undefined, '')).body;
  const { payload } = await compactVerify(signed, createLocalJWKSet(jwks));
  return parseApproval(JSON.parse(Buffer.from(payload).toString()), '');
}

describe('shapes', () => {
  test('a yes to a shape is signed with all it is bound to, and ends when it was said to', async () => {
    const { id } = await ask({ approval: SHAPED, shape: SHAPE, role: 'ops' });
    const view = await approve(id, 'ana', { scope: 'shape', minutes: 5, rowsMax: 10 });
    expect(view.body).toMatchObject({ state: 'approved', granted: { scope: 'shape', rowsMax: 10 } });
    const approval = await answerOf(id);
    expect(approval).toMatchObject({
      scope: 'shape',
      shape: {
        digest: SHAPE.digest,
        rowsMax: 10,
        database: 'payments',
        role: 'ops',
        sessionId: '0190b3a4-0000-7000-8000-000000000001',
      },
    });
    expect(approval.expiresAt - approval.answeredAt).toBe(5 * 60_000);
  });

  test('for all sessions only when that was said', async () => {
    const { id } = await ask({ approval: SHAPED, shape: SHAPE });
    await approve(id, 'ana', { scope: 'shape', sessions: 'all' });
    const { shape } = await answerOf(id);
    expect(shape).toEqual({ digest: SHAPE.digest, rowsMax: 100, database: 'payments', role: '' });
  });

  test.each([
    ['a rule that allows none', { shape: SHAPE }, {}, 409, 'approval.shape'],
    ['a statement that has none', { approval: SHAPED }, {}, 409, 'approval.shape'],
    ['more rows than the rule allows', { approval: SHAPED, shape: SHAPE }, { rowsMax: 101 }, 400, 'request.invalid'],
    ['a longer time than the rule allows', { approval: SHAPED, shape: SHAPE }, { minutes: 31 }, 400, 'request.invalid'],
  ])('%s is refused, and nothing is counted', async (_what, request, body, status, code) => {
    const { id } = await ask(request);
    expect(await approve(id, 'ana', { scope: 'shape', ...body })).toMatchObject({ status, body: { code } });
    expect((await plane.call('GET', `/v1/approvals/${id}`)).body).toMatchObject({ state: 'pending', votes: [] });
  });

  test('two yeses go as far as the narrower; with one that says once, the statement passes once', async () => {
    const two = { ...SHAPED, count: 2 };
    const first = await ask({ approval: two, shape: SHAPE });
    await approve(first.id, 'ana', { scope: 'shape', rowsMax: 50, minutes: 10, sessions: 'all' });
    await approve(first.id, 'ben', { scope: 'shape', rowsMax: 70, minutes: 3 });
    const narrow = await answerOf(first.id);
    expect(narrow.shape).toMatchObject({ rowsMax: 50, sessionId: first.sessionId });
    expect(narrow.expiresAt - narrow.answeredAt).toBe(3 * 60_000);
    const second = await ask({ approval: two, shape: SHAPE });
    await approve(second.id, 'ana', { scope: 'shape' });
    await approve(second.id, 'ben');
    expect(await answerOf(second.id)).toMatchObject({ scope: 'once' });
  });

  test('one that is taken back is in the next bundle, with the capability it takes', async () => {
    const { id } = await ask({ approval: SHAPED, shape: SHAPE });
    await approve(id, 'ana', { scope: 'shape' });
    expect(await post('mona', `/v1/approvals/${id}/revoke`, { reason: 'no' })).toMatchObject({ status: 403 });
    expect((await post('ben', `/v1/approvals/${id}/revoke`, { reason: 'enough' })).body).toMatchObject({
      state: 'revoked',
    });
    expect((await post('ben', `/v1/approvals/${id}/revoke`, { reason: 'again' })).status).toBe(409);
    await expect
      .poll(async () => JSON.stringify((await link.bundle()).bodies.get('revocations/all')))
      .toContain(`"kind":"approval"`);
    expect((await link.bundle()).manifest.requires).toContain('approval.shape.1');
  });
});

describe('seats', () => {
  test('an approver hands one seat to a person who may answer; the answer names both', async () => {
    const { id } = await ask();
    expect((await approve(id, 'dora')).body).toMatchObject({ code: 'approval.not_yours' });
    expect((await post('ana', `/v1/approvals/${id}/delegate`, { to: 'dora', reason: 'I am on a train' })).status).toBe(
      200,
    );
    expect(await inbox('dora')).toContain(id);
    expect((await approve(id, 'dora')).body).toMatchObject({
      state: 'approved',
      votes: [{ principal: 'dora', seatOf: 'ana' }],
    });
    expect(await answerOf(id)).toMatchObject({
      by: [{ name: 'dora' }],
      seats: [{ by: ids['dora'], of: { name: 'ana' } }],
    });
    const other = await ask();
    expect((await approve(other.id, 'dora')).body).toMatchObject({ code: 'approval.not_yours' });
  });

  test('a seat has one voice: its owner cannot answer beside whom they gave it to', async () => {
    const { id } = await ask({ approval: { ...SPEC, count: 2 } });
    await post('ana', `/v1/approvals/${id}/delegate`, { to: 'dora' });
    expect((await approve(id, 'dora')).body).toMatchObject({ state: 'pending' });
    expect(await inbox('ana')).not.toContain(id);
    expect((await approve(id, 'ana')).body).toMatchObject({ code: 'approval.not_yours' });
    expect((await approve(id, 'ben')).body).toMatchObject({ state: 'approved' });
  });

  test('who handed their seat over answers no more, goes on seeing the request, and may take it back', async () => {
    const { id } = await ask();
    await post('ana', `/v1/approvals/${id}/delegate`, { to: 'dora' });
    expect(await inbox('ana')).not.toContain(id);
    expect((await approve(id, 'ana')).body).toMatchObject({ code: 'approval.not_yours' });
    expect((await post('ana', `/v1/approvals/${id}/deny`, { reason: 'too late' })).body).toMatchObject({
      code: 'approval.not_yours',
    });
    expect((await plane.call('GET', `/v1/approvals/${id}`, undefined, tokens['ana'])).status).toBe(200);
    expect((await post('ana', `/v1/approvals/${id}/delegate`, { to: 'ana' })).status).toBe(200);
    expect((await approve(id, 'dora')).body).toMatchObject({ code: 'approval.not_yours' });
    expect((await approve(id, 'ana')).body).toMatchObject({ state: 'approved' });
  });

  test('a seat that is with somebody who may answer no more is its owner’s again', async () => {
    const { id } = await ask();
    await plane.call('POST', '/v1/principals', { name: 'fay', kind: 'person', roles: ['approver'] });
    expect((await post('ana', `/v1/approvals/${id}/delegate`, { to: 'fay' })).status).toBe(200);
    expect((await approve(id, 'ana')).body).toMatchObject({ code: 'approval.not_yours' });
    await plane.call('PATCH', '/v1/principals/fay', { disabled: true });
    expect((await approve(id, 'ana')).body).toMatchObject({ state: 'approved' });
  });

  test('accounts that became one person’s after both had answered are one voice', async () => {
    const { id } = await ask({ approval: { ...SPEC, count: 3, groups: ['dba', 'sre'] } });
    await approve(id, 'ana');
    await approve(id, 'sara');
    expect((await plane.call('PATCH', '/v1/principals/sara', { sameAs: 'ana' })).status).toBe(200);
    expect((await approve(id, 'ben')).body).toMatchObject({ state: 'pending' });
    await plane.call('PATCH', '/v1/principals/sara', { sameAs: null });
    await plane.call('PATCH', '/v1/principals/ana', { sameAs: null });
  });

  test('what two accounts had allowed is revoked when they turn out to be one person’s, and what is enough without stays', async () => {
    const two = { ...SPEC, count: 2, groups: ['dba', 'sre'] };
    const shaped = await ask({ approval: { ...two, shape: SHAPED.shape }, shape: SHAPE });
    const ticket = await ask({ approval: two, mode: 'ticket' });
    const other = await ask({ approval: two, mode: 'ticket' });
    const own = await ask({
      approval: { ...SPEC, groups: ['sre'] },
      mode: 'ticket',
      principal: { id: ids['ana']!, name: 'ana', kind: 'person' },
    });
    for (const who of ['ana', 'sara']) {
      await approve(shaped.id, who, { scope: 'shape' });
      await approve(ticket.id, who);
    }
    for (const who of ['ben', 'sara']) await approve(other.id, who);
    await approve(own.id, 'sara');
    const states = () =>
      Promise.all(
        [shaped, ticket, other, own].map(
          async ({ id }) => (await plane.call<{ state: string }>('GET', `/v1/approvals/${id}`)).body.state,
        ),
      );
    expect(await states()).toEqual(['approved', 'approved', 'approved', 'approved']);
    expect((await plane.call('PATCH', '/v1/principals/sara', { sameAs: 'ana' })).status).toBe(200);
    expect(await states()).toEqual(['revoked', 'revoked', 'approved', 'revoked']);
    const { client } = plane.controlPlane.app.get(Database, { strict: false });
    const revoked = await client.revocation.findMany({ where: { kind: 'approval' }, select: { targetId: true } });
    const targets = revoked.map(({ targetId }) => targetId);
    expect(targets).toEqual(expect.arrayContaining([shaped.id, ticket.id, own.id]));
    expect(targets).not.toContain(other.id);
    for (const who of ['sara', 'ana']) await plane.call('PATCH', `/v1/principals/${who}`, { sameAs: null });
  });

  test('two seats in one hand are one person', async () => {
    const { id } = await ask({ approval: { ...SPEC, count: 2 } });
    await post('ana', `/v1/approvals/${id}/delegate`, { to: 'dora' });
    await post('ben', `/v1/approvals/${id}/delegate`, { to: 'dora' });
    expect((await approve(id, 'dora')).body).toMatchObject({ state: 'pending' });
    expect((await approve(id, 'dora')).body).toMatchObject({ code: 'approval.answered' });
  });

  test('never to the requester or whom they act for, to a machine, to somebody who may not answer, to oneself, or onwards', async () => {
    const own = await ask({ principal: { id: ids['dora']!, name: 'dora', kind: 'person' } });
    const to = (id: string, who: string, whom: string) => post(who, `/v1/approvals/${id}/delegate`, { to: whom });
    expect((await to(own.id, 'ana', 'dora')).body).toMatchObject({ code: 'approval.delegate' });
    const behalf = await ask({ onBehalfOf: { id: ids['dora']!, name: 'dora', kind: 'person' } });
    expect((await to(behalf.id, 'ana', 'dora')).body).toMatchObject({ code: 'approval.delegate' });
    for (const whom of ['bot', 'mona', 'ana', 'nobody'])
      expect((await to(own.id, 'ana', whom)).body).toMatchObject({ code: 'approval.delegate' });
    const third = await ask();
    await to(third.id, 'ana', 'dora');
    expect((await to(third.id, 'dora', 'eve')).body).toMatchObject({ code: 'approval.not_yours' });
    expect((await to(third.id, 'sara', 'eve')).body).toMatchObject({ code: 'approval.not_yours' });
  });

  test('for a time: at every request, until it ends or is ended, and not at the giver’s own', async () => {
    const endsAt = new Date(Date.now() + 3_600_000).toISOString();
    const made = await post('ben', '/v1/approver-delegations', { to: 'eve', endsAt });
    expect(made.status, JSON.stringify(made.body)).toBe(201);
    const { id } = await ask();
    expect(await inbox('eve')).toContain(id);
    expect(await inbox('ben')).not.toContain(id);
    expect((await approve(id, 'ben')).body).toMatchObject({ code: 'approval.not_yours' });
    const bens = await ask({ principal: { id: ids['ben']!, name: 'ben', kind: 'person' } });
    expect(await inbox('eve')).not.toContain(bens.id);
    expect((await approve(bens.id, 'eve')).body).toMatchObject({ code: 'approval.not_yours' });
    expect((await approve(id, 'eve')).body).toMatchObject({ state: 'approved' });
    expect(
      (await plane.call('DELETE', `/v1/approver-delegations/${String(made.body['id'])}`, undefined, tokens['sara']))
        .status,
    ).toBe(404);
    expect(
      (await plane.call('DELETE', `/v1/approver-delegations/${String(made.body['id'])}`, undefined, tokens['ben']))
        .status,
    ).toBe(204);
    const later = await ask();
    expect((await approve(later.id, 'eve')).body).toMatchObject({ code: 'approval.not_yours' });
    expect(await inbox('ben')).toContain(later.id);
  });

  test('a seat is worth nothing once its owner may not answer any more', async () => {
    const endsAt = new Date(Date.now() + 3_600_000).toISOString();
    await post('ben', '/v1/approver-delegations', { to: 'eve', endsAt });
    const { id } = await ask();
    await plane.call('DELETE', '/v1/groups/dba/members/ben');
    expect((await approve(id, 'eve')).body).toMatchObject({ code: 'approval.not_yours' });
    await plane.call('PUT', '/v1/groups/dba/members/ben');
  });
});

describe('escalation', () => {
  test('further groups are asked after a time, once, and the answer says so', async () => {
    const escalate = { afterMs: 5_000, groups: ['sre'] };
    const { id } = await ask({ approval: { ...SPEC, escalate } });
    expect((await approve(id, 'sara')).body).toMatchObject({ code: 'approval.not_yours' });
    await expect.poll(() => inbox('sara'), { timeout: 20_000 }).toContain(id);
    expect((await approve(id, 'sara')).body).toMatchObject({ state: 'approved' });
    expect(await answerOf(id)).toMatchObject({ escalatedTo: ['sre'], by: [{ name: 'sara' }] });
  });

  test('in quiet hours at once', async () => {
    const { id } = await ask({ approval: { ...SPEC, escalate: { afterMs: 0, groups: ['sre'] } } });
    expect(await inbox('sara')).toContain(id);
    expect(await inbox('ana')).toContain(id);
  });
});

describe('words', () => {
  test('a comment is shown to requester and approvers, with detected values hidden, and is an act', async () => {
    const { id } = await ask({ principal: { id: ids['mona']!, name: 'mona', kind: 'person' } });
    expect((await post('mona', `/v1/approvals/${id}/comments`, { text: 'for ada@example.com, please' })).status).toBe(
      200,
    );
    const view = await post('ana', `/v1/approvals/${id}/comments`, { text: 'which ticket?' });
    expect(view.body['comments']).toMatchObject([{ principal: 'mona' }, { principal: 'ana', text: 'which ticket?' }]);
    expect(JSON.stringify(view.body)).not.toContain('ada@example.com');
    const stranger = await ask();
    expect((await post('mona', `/v1/approvals/${stranger.id}/comments`, { text: 'hello' })).status).toBe(404);
    expect((await post('ana', `/v1/approvals/${id}/comments`, { text: 'x'.repeat(2_001) })).status).toBe(400);
  });

  test('the requester’s reason reaches the approver with detected values hidden', async () => {
    const { id } = await ask({ askedReason: 'refund for ada@example.com' });
    const { body } = await plane.call('GET', `/v1/approvals/${id}`, undefined, tokens['ana']);
    expect(body['askedReason']).toContain('refund for a***@');
  });

  test('a reason given at the exchange is in the token; a longer one than a reason may be is refused', async () => {
    await plane.call('POST', '/v1/resources', { name: 'db', type: 'postgres', postgres: { host: 'db.internal' } });
    await plane.call('POST', '/v1/grants', { name: 'bot-db', principal: 'bot', resource: 'db', effects: ['read'] });
    const exchange = (reason: string) =>
      plane.oauth<{ access_token: string; code?: string }>({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: tokens['bot']!,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        resource: 'db',
        reason,
      });
    const made = await exchange('T-1');
    const claims = JSON.parse(Buffer.from(made.body.access_token.split('.')[1]!, 'base64url').toString()) as {
      rsn: string;
    };
    expect(claims.rsn).toBe('T-1');
    expect((await exchange('x'.repeat(200))).status).toBe(200);
    expect((await exchange('x'.repeat(201))).status).toBe(400);
  });
});
