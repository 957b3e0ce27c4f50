/** What an approver's sign-in has to be: recent and strong as the rule says, and another person's. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { TestControlPlane } from '../../testing/control-plane.ts';
import type { CrookedIdp } from '../../testing/crooked-idp.ts';
import { addSessionOf } from '../../testing/session-row.ts';
import { type SignIns, startSignIns } from '../../testing/sign-ins.ts';

let bed: SignIns;
let plane: TestControlPlane;
let idp: CrookedIdp;
let other: CrookedIdp;
beforeAll(async () => {
  bed = await startSignIns();
  ({ plane, idp, other } = bed);
}, 60_000);
afterEach(() => bed.calm());
afterAll(() => bed?.stop());

const signIn: SignIns['signIn'] = (...args) => bed.signIn(...args);
const seconds = (): number => Math.floor(Date.now() / 1000);

const hold = async (approval: object, by: string): Promise<string> => {
  const id = `apr-${randomUUID()}`;
  const { body: project } = await plane.call<{ project: { id: string } }>('GET', '/v1/whoami');
  const principal = await plane.call<{ id: string }>('GET', `/v1/principals/${by}`);
  const ids = {
    projectId: project.project.id,
    agentId: randomUUID(),
    sessionId: randomUUID(),
    resourceId: randomUUID(),
  };
  const at = Date.now();
  const body = {
    ...ids,
    id,
    principal: { id: principal.body.id, name: by, kind: 'person' },
    digest: 'd',
    scope: 'once',
    mode: 'wait',
    text: 'delete from x',
    parameters: [],
    effects: ['write'],
    rule: 'p/r',
    reason: '',
    approval: { groups: ['dba'], count: 2, expiresMs: 600_000, ...approval },
    database: 'd',
    clientAddress: '127.0.0.1:1',
    inTransaction: false,
    wroteInTransaction: false,
    statementsBefore: 0,
    writesBefore: 0,
    recentStatements: [],
    requestedAt: at,
    expiresAt: at + 600_000,
  };
  await addSessionOf(plane, body);
  await bed.database.approvalRequest.create({
    data: {
      ...ids,
      id,
      principalId: principal.body.id,
      digest: 'd',
      mode: 'wait',
      rule: 'p/r',
      body,
      groups: ['dba'],
      count: 2,
      requestedAt: new Date(at),
      expiresAt: new Date(at + 600_000),
    },
  });
  return id;
};
const approver = async (name: string, more: Record<string, unknown> = {}, by = idp) => {
  const made = await signIn(name, { groups: ['dba'], ...more }, by);
  const who = await plane.call<{ principal: { name: string } }>('GET', '/v1/whoami', undefined, made.session);
  await plane.call('PATCH', `/v1/principals/${who.body.principal.name}`, { roles: ['member', 'approver'] });
  return made;
};
const approve = (id: string, session: string) =>
  plane.call<{ code: string; stepUp: { url: string }; state: string }>(
    'POST',
    `/v1/approvals/${id}/approve`,
    {},
    session,
  );

test('an approver whose sign-in is too old is sent to sign in again, and may then approve', async () => {
  await signIn('asker');
  const { session, browser } = await approver('uma', { auth_time: seconds() - 3_600 });
  const id = await hold({ stepUp: { maxAgeMs: 300_000, amr: ['mfa'], acr: ['gold'] } }, 'asker');
  const refused = await approve(id, session);
  expect(refused).toMatchObject({ status: 401, body: { code: 'auth.step_up', stepUp: { maxAgeSeconds: 300 } } });
  expect(refused.headers.get('www-authenticate')).toBe(
    'Bearer error="insufficient_user_authentication", acr_values="gold", max_age="300"',
  );
  idp.crooked.claims = { ...idp.crooked.claims, auth_time: seconds(), amr: ['pwd', 'mfa'], acr: 'gold' };
  await browser.open(refused.body.stepUp.url);
  const fresh = browser.cookies(plane.url).get('sallyport_session')!;
  expect((await approve(id, fresh)).status).toBe(200);
});

test.each([
  ['fresh, with another method', { amr: ['pwd'], acr: 'gold' }],
  ['fresh, at another level', { amr: ['mfa'], acr: 'silver' }],
  ['fresh, at no level', { amr: ['mfa'], acr: undefined }],
])('an approver signed in %s has not proven enough', async (_what, claims) => {
  await signIn('asker');
  const { session } = await approver('vic', claims);
  const id = await hold({ stepUp: { maxAgeMs: 300_000, amr: ['mfa'], acr: ['gold'] } }, 'asker');
  expect((await approve(id, session)).body.code).toBe('auth.step_up');
});

test('an API token proves no sign-in', async () => {
  await approver('wes');
  await signIn('asker');
  const made = await plane.call<{ token: string }>('POST', '/v1/principals/wes/tokens', { name: 't' });
  const id = await hold({ stepUp: { maxAgeMs: 300_000 } }, 'asker');
  expect((await approve(id, made.body.token)).body.code).toBe('auth.step_up');
});

test('saying no needs no step-up', async () => {
  await signIn('asker');
  const { session } = await approver('xia', { auth_time: seconds() - 3_600 });
  const id = await hold({ stepUp: { maxAgeMs: 1_000 } }, 'asker');
  const denied = await plane.call('POST', `/v1/approvals/${id}/deny`, { reason: 'no' }, session);
  expect(denied.status).toBe(200);
});

test('the requester’s second account, by another provider with the same verified address, approves nothing of theirs', async () => {
  const email = { email: 'Yan@corp.example', email_verified: true };
  await approver('yan', email);
  const second = await approver('yan2', { email: 'yan@corp.example', email_verified: true }, other);
  const id = await hold({}, 'yan');
  expect((await approve(id, second.session)).body.code).toBe('approval.not_yours');
});

test('two accounts of one person count as one approver', async () => {
  await signIn('asker');
  const one = await approver('zoe', { email: 'zoe@corp.example', email_verified: true });
  const two = await approver('zoe2', { email: 'zoe@corp.example', email_verified: true }, other);
  const id = await hold({}, 'asker');
  expect((await approve(id, one.session)).status).toBe(200);
  expect((await approve(id, two.session)).body.code).toBe('approval.answered');
  const third = await approver('aron', { email: 'aron@corp.example', email_verified: true }, other);
  expect((await approve(id, third.session)).body.state).toBe('approved');
});
