import { createHmac, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ApprovalRequest } from '@sallyport/model';
import { parseApproval } from '@sallyport/model';
import { compactVerify, createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { isWebhookSigned, SIGNATURE_HEADER, TIMESTAMP_HEADER } from '../notify/signature.ts';
import { type EnrolledAgent, enrollAgent, TestLink } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { addSessionOf } from '../testing/session-row.ts';

const SECRET = 'a webhook secret of ours';
let plane: TestControlPlane;
let root: string;
let agent: EnrolledAgent;
let link: TestLink;
let receiver: Server;
const hooks: { event: string; body: string; signature: string; timestamp: string }[] = [];
let failures = 1;
const tokens: Record<string, string> = {};
const ids: Record<string, string> = {};
let counter = 0;

async function person(name: string, kind: string, roles: string[], groups: string[]): Promise<void> {
  const made = await plane.call<{ id: string }>('POST', '/v1/principals', { name, kind, roles });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  ids[name] = made.body.id;
  for (const group of groups) await plane.call('PUT', `/v1/groups/${group}/members/${name}`);
  const token = await plane.call<{ token: string }>('POST', `/v1/principals/${name}/tokens`, { name: 'test' });
  tokens[name] = token.body.token;
}

beforeAll(async () => {
  plane = await startTestControlPlane();
  root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  for (const group of ['dba', 'sre']) await plane.call('POST', '/v1/groups', { name: group });
  await person('ana', 'person', ['approver'], ['dba', 'sre']);
  await person('ben', 'person', ['approver'], ['dba']);
  await person('cleo', 'person', ['approver'], []);
  await person('bot', 'ai_agent', ['approver'], ['dba']);
  receiver = createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => {
      body += part.toString();
    });
    request.on('end', () => {
      response.statusCode = failures-- > 0 ? 503 : 200;
      const header = (name: string): string => String(request.headers[name] ?? '');
      if (response.statusCode === 200)
        hooks.push({
          event: header('sallyport-event'),
          body,
          signature: header(SIGNATURE_HEADER),
          timestamp: header(TIMESTAMP_HEADER),
        });
      response.end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
  const hook = await plane.call('POST', '/v1/webhooks', {
    name: 'hook',
    url,
    secret: SECRET,
    events: ['approval.requested', 'approval.answered'],
  });
  expect(hook.status, JSON.stringify(hook.body)).toBe(201);
  const join = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'north' });
  agent = await enrollAgent(plane.controlPlane.ready.enroll, root, join.body.joinToken);
  link = connect();
  await addSessionOf(plane, request());
});
afterAll(async () => {
  link.close();
  await new Promise((resolve) => receiver.close(resolve));
  await plane.stop();
});

function connect(chainEpoch = 1, instance = 'main'): TestLink {
  const made = new TestLink(plane.controlPlane.ready.link, root, agent);
  made.hello({ chainEpoch, instance });
  return made;
}

function request(more: Partial<ApprovalRequest> = {}): ApprovalRequest {
  return {
    id: `apr-test${String(++counter).padStart(6, '0')}`,
    projectId: agent.identity.projectId!,
    agentId: agent.identity.agentId!,
    sessionId: '0190b3a4-0000-7000-8000-000000000001',
    resourceId: '0190b3a4-0000-7000-8000-0000000000aa',
    principal: { id: ids['bot']!, name: 'bot', kind: 'ai_agent' },
    digest: 'd'.repeat(64),
    scope: 'once',
    mode: 'wait',
    text: "delete from customers where email = 'ada@example.com'",
    parameters: [],
    effects: ['write'],
    rule: 'payments/bulk-delete',
    reason: 'needs a second pair of eyes',
    approval: { groups: ['dba', 'sre'], count: 1, expiresMs: 60_000 },
    database: 'payments',
    clientAddress: '127.0.0.1:5000',
    inTransaction: false,
    wroteInTransaction: false,
    statementsBefore: 3,
    writesBefore: 0,
    recentStatements: [],
    requestedAt: Date.now(),
    expiresAt: Date.now() + 60_000,
    ...more,
  };
}

async function ask(more: Partial<ApprovalRequest> = {}, over = link): Promise<ApprovalRequest> {
  const made = request(more);
  over.send({ approval: { request: Buffer.from(JSON.stringify(made)) } });
  await expect.poll(async () => (await plane.call('GET', `/v1/approvals/${made.id}`)).status).toBe(200);
  return made;
}
const answerOf = async (id: string, over = link): Promise<string> =>
  await over.until(
    () => over.received.map((message) => message.answer).find((answer) => answer?.id === id)?.signed ?? undefined,
  );
const approve = (id: string, who: string, body: object = {}) =>
  plane.call('POST', `/v1/approvals/${id}/approve`, body, tokens[who]);
const deny = (id: string, who: string, body: object = { reason: 'no' }) =>
  plane.call('POST', `/v1/approvals/${id}/deny`, body, tokens[who]);

async function read(signed: string) {
  const jwks = (await plane.call<JSONWebKeySet>('GET', '/v1/keys', undefined, '')).body;
  expect(decodeProtectedHeader(signed).typ).toBe('sallyport-approval+jwt');
  const { payload } = await compactVerify(signed, createLocalJWKSet(jwks));
  return parseApproval(JSON.parse(Buffer.from(payload).toString()), '');
}

test('an answer that is quicker than the agent’s announcement waits for it, and one for nothing does not wait long', async () => {
  const made = request();
  const answering = approve(made.id, 'ana');
  await new Promise((next) => setTimeout(next, 300));
  link.send({ approval: { request: Buffer.from(JSON.stringify(made)) } });
  expect((await answering).body).toMatchObject({ state: 'approved' });
  expect((await approve('apr-nobody00000', 'ana')).body).toMatchObject({ code: 'request.not_found' });
});

test('an approver’s yes reaches the agent signed, bound to the statement', async () => {
  const { id, digest } = await ask();
  const inbox = await plane.call<{ items: { id: string; statement: string }[] }>(
    'GET',
    '/v1/approvals?state=pending&answerable=true',
    undefined,
    tokens['ana'],
  );
  expect(inbox.body.items.map((item) => item.id)).toEqual([id]);
  expect(inbox.body.items[0]!.statement).not.toContain('ada@example.com');
  expect((await approve(id, 'ana')).body).toMatchObject({ state: 'approved' });
  const approval = await read(await answerOf(id));
  expect(approval).toMatchObject({ id, digest, granted: true, agentId: agent.identity.agentId, by: [{ name: 'ana' }] });
});

test('a request whose texts were cut in the middle of a character can be answered', async () => {
  const half = `${'x'.repeat(200)}\ud83d…`;
  const { id } = await ask({
    recentStatements: [half],
    approval: { ...request().approval, groups: ['dba'] },
  });
  expect((await approve(id, 'ana')).body).toMatchObject({ state: 'approved' });
});

test('announcing a request again changes nothing', async () => {
  const made = await ask();
  link.send({ approval: { request: Buffer.from(JSON.stringify(made)) } });
  const list = await plane.call<{ items: unknown[] }>(
    'GET',
    '/v1/approvals?state=pending&answerable=true',
    undefined,
    tokens['ben'],
  );
  expect(list.body.items).toHaveLength(1);
  await deny(made.id, 'ben');
});

test('two yeses need two persons: one in two groups counts once', async () => {
  const { id } = await ask({ approval: { groups: ['dba', 'sre'], count: 2, expiresMs: 60_000 } });
  expect((await approve(id, 'ana')).body).toMatchObject({
    state: 'pending',
    votes: [{ principalId: ids['ana'], principal: 'ana', granted: true }],
  });
  expect((await approve(id, 'ana')).body).toMatchObject({ code: 'approval.answered' });
  expect((await approve(id, 'ben')).body).toMatchObject({ state: 'approved' });
  expect((await read(await answerOf(id))).by.map((one) => one.name)).toEqual(['ana', 'ben']);
});

test('a yes counts no more once who gave it may not answer, and the answer says how many are missing', async () => {
  const two = { approval: { groups: ['dba'], count: 2, expiresMs: 60_000 } };
  const leaves: readonly (() => Promise<{ readonly status: number }>)[] = [
    () => plane.call('PATCH', '/v1/principals/guest', { roles: [] }),
    () => plane.call('DELETE', '/v1/groups/dba/members/guest'),
    () => plane.call('PATCH', '/v1/principals/guest', { disabled: true }),
  ];
  await person('guest', 'person', ['approver'], []);
  for (const leave of leaves) {
    await plane.call('PATCH', '/v1/principals/guest', { roles: ['approver'] });
    await plane.call('PUT', '/v1/groups/dba/members/guest');
    const { id } = await ask(two);
    expect((await approve(id, 'guest')).body).toMatchObject({ state: 'pending', missing: 1 });
    expect((await leave()).status).toBeLessThan(300);
    expect((await approve(id, 'ben')).body).toMatchObject({ state: 'pending', missing: 1, count: 2 });
    expect((await plane.call('GET', `/v1/approvals/${id}`)).body).toMatchObject({ missing: 1 });
    expect((await approve(id, 'ana')).body).toMatchObject({ state: 'approved', missing: 0 });
    expect((await read(await answerOf(id))).by.map((one) => one.name)).toEqual(['ben', 'ana']);
  }
});

test('of two answers that come in at once one counts, and the agent hears that one alone', async () => {
  for (let i = 0; i < 5; i++) {
    const { id } = await ask();
    const answers = await Promise.all([approve(id, 'ana'), deny(id, 'ben'), approve(id, 'ana')]);
    const counted = answers.filter(({ status }) => status === 200);
    expect(counted).toHaveLength(1);
    for (const { status, body } of answers)
      if (status !== 200) expect(body).toMatchObject({ code: 'approval.answered' });
    const told = await read(await answerOf(id));
    expect(told.granted).toBe(counted[0]?.body['state'] === 'approved');
    expect(told.by).toHaveLength(1);
    expect(link.received.filter(({ answer }) => answer?.id === id)).toHaveLength(1);
  }
});

test('neither the requester, nor whom they act for, nor a stranger to the groups, nor a machine may answer', async () => {
  const own = await ask({ principal: { id: ids['ana']!, name: 'ana', kind: 'person' } });
  expect((await approve(own.id, 'ana')).body).toMatchObject({ code: 'approval.not_yours' });
  const behalf = await ask({ onBehalfOf: { id: ids['ben']!, name: 'ben', kind: 'person' } });
  expect((await approve(behalf.id, 'ben')).body).toMatchObject({ code: 'approval.not_yours' });
  expect((await approve(behalf.id, 'cleo')).body).toMatchObject({ code: 'approval.not_yours' });
  const others = await ask({ principal: { id: ids['cleo']!, name: 'cleo', kind: 'person' } });
  expect((await approve(others.id, 'bot')).body).toMatchObject({ code: 'approval.not_yours' });
  for (const { id } of [own, others]) await deny(id, 'ben');
  await deny(behalf.id, 'ana');
});

test('a token that the requester made for another account answers nothing of theirs', async () => {
  const { body: me } = await plane.call<{ principal: { id: string } }>('GET', '/v1/whoami');
  const own = await ask({ principal: { id: me.principal.id, name: 'admin', kind: 'person' } });
  // Ana's token of this test was made by the administrator.
  expect((await approve(own.id, 'ana')).body).toMatchObject({ code: 'approval.not_yours' });
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  await client.apiToken.updateMany({ where: { principalId: ids['ana']! }, data: { lineage: [] } });
  expect((await approve(own.id, 'ana')).body).toMatchObject({ state: 'approved' });
});

test('whoever made the token of a session that is not on record may be anybody: a yes waits for it, and a no does not', async () => {
  const asking = { principal: { id: ids['cleo']!, name: 'cleo', kind: 'person' } } as const;
  const never = await ask({ ...asking, sessionId: randomUUID() });
  expect((await approve(never.id, 'ana')).body).toMatchObject({ code: 'approval.early' });
  expect((await deny(never.id, 'ana')).body).toMatchObject({ state: 'denied' });
  const soon = await ask({ ...asking, sessionId: randomUUID() });
  const answered = approve(soon.id, 'ana');
  await addSessionOf(plane, soon);
  expect((await answered).body).toMatchObject({ state: 'approved' });
});

test('a refusal needs a reason and refuses at once', async () => {
  const { id } = await ask({ approval: { groups: ['dba'], count: 2, expiresMs: 60_000 } });
  expect((await deny(id, 'ana', {})).status).toBe(400);
  expect((await deny(id, 'ana', { reason: '  ' })).status).toBe(400);
  expect((await deny(id, 'ana', { reason: 'not on a Friday' })).body).toMatchObject({ state: 'denied' });
  expect(await read(await answerOf(id))).toMatchObject({ granted: false, reason: 'not on a Friday' });
  expect((await approve(id, 'ben')).body).toMatchObject({ code: 'approval.answered' });
});

test('a value that an approver copies into a reason is hidden from the client, from others and from notifiers', async () => {
  const { id } = await ask();
  const value = 'ada@example.com';
  const view = (await deny(id, 'ben', { reason: `this is ${value}, look` })).body;
  expect(JSON.stringify(view)).not.toContain(value);
  expect(JSON.stringify(view)).toContain('this is a***@');
  expect((await read(await answerOf(id))).reason).not.toContain(value);
  await expect
    .poll(() => hooks.some((one) => one.event === 'approval.answered' && one.body.includes(id)), { timeout: 10_000 })
    .toBe(true);
  expect(hooks.map((one) => one.body).join()).not.toContain(value);
});

test('nobody’s answer is a denial when the time is over', async () => {
  const { id } = await ask({ expiresAt: Date.now() + 300 });
  expect(await read(await answerOf(id))).toMatchObject({ granted: false, by: [] });
  expect((await approve(id, 'ana')).body).toMatchObject({ code: 'approval.answered' });
});

test('a withdrawn request cannot be answered', async () => {
  const { id } = await ask();
  link.send({ withdrawn: { id, reason: 'the client left' } });
  await expect.poll(async () => (await plane.call('GET', `/v1/approvals/${id}`)).body['state']).toBe('withdrawn');
  expect((await approve(id, 'ana')).body).toMatchObject({ code: 'approval.answered' });
  const told = () => hooks.find((hook) => hook.event === 'approval.answered' && hook.body.includes(id))?.body;
  await expect.poll(told, { timeout: 10_000 }).toContain('withdrawn');
});

test('an answer given while the agent was away comes with its next announcement, and once', async () => {
  const made = await ask();
  link.close();
  expect((await approve(made.id, 'ben')).status).toBe(200);
  link = connect();
  await link.last('welcome');
  expect(link.received.some((message) => message.answer?.id === made.id)).toBe(false);
  link.send({ approval: { request: Buffer.from(JSON.stringify(made)) } });
  await answerOf(made.id);
  link.send({ approval: { request: Buffer.from(JSON.stringify(made)) } });
  const other = await ask();
  await approve(other.id, 'ana');
  await answerOf(other.id);
  expect(link.received.filter((message) => message.answer?.id === made.id)).toHaveLength(1);
});

test('a ticket that was approved while the agent was away comes with the greeting until it is used', async () => {
  const made = await ask({ mode: 'ticket' });
  link.close();
  await approve(made.id, 'ben');
  link = connect();
  const approval = await read(await answerOf(made.id));
  expect(approval.expiresAt).toBeGreaterThan(Date.now() + 30_000);
  link.send({ consumed: { id: made.id, sessionId: made.sessionId } });
  await expect.poll(async () => (await plane.call('GET', `/v1/approvals/${made.id}`)).body['state']).toBe('consumed');
  link.close();
  link = connect();
  await link.last('welcome');
  const other = await ask();
  await approve(other.id, 'ana');
  await answerOf(other.id);
  expect(link.received.some((message) => message.answer?.id === made.id)).toBe(false);
});

test('what a process of the agent held is lost with it: the next one of its slot ends it, and who asked is told', async () => {
  const held = await ask();
  const ticket = await ask({ mode: 'ticket' });
  link.close();
  const again = connect(2);
  await again.last('welcome');
  const state = async (id: string) => (await plane.call('GET', `/v1/approvals/${id}`)).body['state'];
  await expect.poll(() => state(held.id), { timeout: 10_000 }).toBe('lost');
  expect((await approve(held.id, 'ana')).body).toMatchObject({ code: 'approval.answered' });
  const told = () => hooks.find((hook) => hook.event === 'approval.answered' && hook.body.includes(held.id))?.body;
  await expect.poll(told, { timeout: 10_000 }).toContain('"state":"lost"');
  // A ticket is for a later run: it is still asked for, and its answer finds the process that did not ask.
  expect(await state(ticket.id)).toBe('pending');
  await approve(ticket.id, 'ana');
  await again.until(() => again.received.find((message) => message.answer?.id === ticket.id));
  // The same process, and one of another slot, take nothing away.
  const kept = await ask({}, again);
  const beside = connect(9, 'other');
  await beside.last('welcome');
  again.close();
  link = connect(2);
  await link.last('welcome');
  await ask();
  expect(await state(kept.id)).toBe('pending');
  await deny(kept.id, 'ana', { reason: 'done' });
  beside.close();
});

test('a request in another agent’s name, or that nobody can read, changes nothing', async () => {
  const stray = connect();
  await stray.last('welcome');
  const foreign = request();
  stray.send({ approval: { request: Buffer.from('{"half":') } });
  stray.send({
    approval: {
      request: Buffer.from(JSON.stringify({ ...foreign, agentId: '0190b3a4-0000-7000-8000-0000000000ff' })),
    },
  });
  await ask({}, stray);
  expect((await plane.call('GET', `/v1/approvals/${foreign.id}`)).status).toBe(404);
  stray.close();
});

test('webhooks are signed, tried again after a failure, and carry no detected value', async () => {
  await expect
    .poll(() => hooks.filter((hook) => hook.event === 'approval.requested').length, { timeout: 10_000 })
    .toBeGreaterThan(3);
  const [hook] = hooks.filter((one) => one.event === 'approval.requested');
  // As docs/how-to/receive-webhooks.md tells a receiver, without our code.
  expect(hook!.signature).toBe(
    `v1=${createHmac('sha256', SECRET).update(`${hook!.timestamp}.${hook!.body}`).digest('hex')}`,
  );
  expect(isWebhookSigned(Buffer.from(SECRET), hook!, Math.floor(Date.now() / 1000))).toBe(true);
  expect(
    isWebhookSigned(Buffer.from(SECRET), { ...hook!, body: `${hook!.body} ` }, Math.floor(Date.now() / 1000)),
  ).toBe(false);
  expect(hooks.map((one) => one.body).join()).not.toContain('ada@example.com');
  const { data } = JSON.parse(hook!.body) as { data: Record<string, unknown> };
  expect(data).toMatchObject({ parameters: [], effects: ['write'], inTransaction: false, statementsBefore: 3 });
  const deliveries = await plane.call<{ items: { attempts: number }[] }>('GET', '/v1/webhooks/hook/deliveries');
  expect(deliveries.body.items.length).toBeGreaterThan(3);
});

test('answers are acts on the trail', async () => {
  await expect
    .poll(
      async () =>
        (
          await plane.call<{ items: { principal: string }[] }>(
            'GET',
            '/v1/trail/events?kind=control.act&action=approval.approved',
          )
        ).body.items.map((item) => item.principal),
      { timeout: 5_000 },
    )
    .toContain('ana');
});
