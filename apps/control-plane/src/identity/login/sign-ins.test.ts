/** What becomes of a sign-in: ended by the person, by the provider, by a refresh; used by programs; made fresher on demand. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Database } from '../../db/database.ts';
import { Browser, formOf } from '../../testing/browser.ts';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';
import { CLIENT_SECRET, CrookedIdp } from '../../testing/crooked-idp.ts';
import { addSessionOf } from '../../testing/session-row.ts';
import { PersonSessions } from './person-sessions.ts';
import { Refresher } from './refresher.ts';

let plane: TestControlPlane;
let idp: CrookedIdp;
let other: CrookedIdp;
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

beforeAll(async () => {
  plane = await startTestControlPlane({ SALLYPORT_HTTP_PLAINTEXT: 'behind-proxy' });
  idp = await new CrookedIdp().start();
  other = await new CrookedIdp().start();
  for (const [name, issuer] of [
    ['corp', idp.issuer],
    ['other', other.issuer],
  ])
    await plane.call('POST', '/v1/identity-providers', {
      name,
      kind: 'oidc',
      config: { issuer, clientId: 'sallyport', refreshSeconds: 60 },
      secrets: { clientSecret: CLIENT_SECRET },
    });
  for (const name of ['dba', 'analysts']) await plane.call('POST', '/v1/groups', { name });
}, 60_000);
afterEach(() => {
  idp.crooked = {};
  other.crooked = {};
  plane.clock.offsetMs = 0;
});
afterAll(async () => {
  await idp.stop();
  await other.stop();
  await plane.stop();
});

const database = () => plane.controlPlane.app.get(Database, { strict: false }).client;
const seconds = (): number => Math.floor(Date.now() / 1000);
const signIn = async (name: string, more: Record<string, unknown> = {}, by = idp, browser = new Browser()) => {
  by.crooked = { ...by.crooked, claims: { sub: `sub-${name}`, preferred_username: name, sid: `sid-${name}`, ...more } };
  await browser.open(`${plane.url}/v1/login?provider=${by === idp ? 'corp' : 'other'}&return_to=%2Fdevice`);
  return { browser, session: browser.cookies(plane.url).get('sallyport_session') ?? 'none' };
};
const statusOf = async (token: string): Promise<number> =>
  (await plane.call('GET', '/v1/whoami', undefined, token)).status;
const order = async (claims: Record<string, unknown> = {}, typ = 'logout+jwt'): Promise<string> => {
  const honest = { iss: idp.issuer, aud: 'sallyport', iat: seconds(), exp: seconds() + 120, jti: randomUUID() };
  const all = { ...honest, events: { [EVENT]: {} }, ...claims };
  return await idp.sign(Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)), typ);
};
const send = async (token: string, provider = 'corp'): Promise<Response> =>
  await fetch(`${plane.url}/v1/oidc/${provider}/backchannel-logout`, {
    method: 'POST',
    headers: { 'x-forwarded-for': `10.9.0.${Math.floor(Math.random() * 250)}` },
    body: new URLSearchParams({ logout_token: token }),
  });

/** One sign-in each, whose answers of the provider come back at the same time. */
async function comeBackAtOnce(people: readonly Record<string, unknown>[]): Promise<string[]> {
  const waiting = [];
  for (const claims of people) {
    const browser = new Browser();
    idp.crooked = { claims };
    const { url } = await browser.open(
      `${plane.url}/v1/login?provider=corp&return_to=%2Fdevice`,
      undefined,
      `${plane.url}/v1/login/callback`,
    );
    waiting.push({ browser, url });
  }
  // What the codes are worth is the provider's to say when they are redeemed.
  await Promise.all(waiting.map(({ browser, url }) => browser.open(url)));
  return waiting.map(({ browser }) => browser.cookies(plane.url).get('sallyport_session') ?? 'none');
}
const namesOf = async (sessions: readonly string[]): Promise<(string | undefined)[]> =>
  await Promise.all(
    sessions.map(
      async (session) =>
        (await plane.call<{ principal?: { name: string } }>('GET', '/v1/whoami', undefined, session)).body.principal
          ?.name,
    ),
  );

test('a person who comes for the first time in many browsers at once is one person, signed in in all of them', async () => {
  const claims = { sub: 'sub-nora', preferred_username: 'nora', groups: ['dba'] };
  const names = await namesOf(await comeBackAtOnce(Array.from({ length: 12 }, () => claims)));
  expect(names).toEqual(Array.from({ length: 12 }, () => 'nora'));
  const principals = await database().principal.findMany({
    where: { name: { startsWith: 'nora' } },
    include: { identities: true, memberships: true, personSessions: true },
  });
  expect(principals).toHaveLength(1);
  expect(principals[0]!.identities).toHaveLength(1);
  expect(principals[0]!.memberships).toHaveLength(1);
  expect(principals[0]!.personSessions).toHaveLength(12);
});

test('what a first sign-in makes stands in its acts, and a change of groups in one of its own after it', async () => {
  const { session } = await signIn('olga', { groups: ['dba', 'no such group'] });
  expect(await statusOf(session)).toBe(200);
  await signIn('olga', { groups: ['analysts'] });
  const acts = await database().controlAct.findMany({ where: { target: 'principal/olga' }, orderBy: { id: 'asc' } });
  expect(acts.map(({ action }) => action)).toEqual([
    'session.signed_in',
    'group.members_synced',
    'session.signed_in',
    'group.members_synced',
  ]);
  const principal = await database().principal.findFirstOrThrow({ where: { name: 'olga' } });
  expect(acts[0]!.detail).toMatchObject({
    by: 'oidc:corp',
    changes: [
      { thing: 'principal', name: 'olga', before: null, after: { name: 'olga', kind: 'person', roles: ['member'] } },
      { thing: 'identity', before: null, after: { principalId: principal.id, provider: 'corp', subject: '[hidden]' } },
    ],
  });
  expect(acts[1]!.detail).toMatchObject({
    added: ['dba'],
    removed: [],
    changes: [{ thing: 'membership', before: null, after: { principalId: principal.id, source: 'oidc:corp' } }],
  });
  expect(acts[2]!.detail).not.toHaveProperty('changes');
  expect(acts[3]!.detail).toMatchObject({
    added: ['analysts'],
    removed: ['dba'],
    changes: [
      { thing: 'membership', before: null },
      { thing: 'membership', after: null },
    ],
  });
  // What the lost group had opened ends.
  expect(await database().revocation.count({ where: { kind: 'principal', targetId: principal.id } })).toBe(1);
});

test('a change of groups at a sign-in counts as one of the project, and a sign-in without one does not', async () => {
  const revision = async (): Promise<number> => (await database().bundleState.findFirstOrThrow()).revision;
  const before = await revision();
  await signIn('pia', { groups: ['dba'] });
  expect(await revision()).toBe(before + 1);
  await signIn('pia', { groups: ['dba'] });
  expect(await revision()).toBe(before + 1);
});

test('the provider ends one session by its id, and the person’s other sessions stay', async () => {
  const one = await signIn('eva', { sid: 'first' });
  const two = await signIn('eva', { sid: 'second' });
  const answer = await send(await order({ sid: 'first' }));
  expect(answer.status).toBe(200);
  expect(answer.headers.get('cache-control')).toContain('no-store');
  expect(await statusOf(one.session)).toBe(401);
  expect(await statusOf(two.session)).toBe(200);
});

test('the provider ends all of a person’s sessions by their subject, with what they opened', async () => {
  const { session } = await signIn('fred', {});
  await plane.call('POST', '/v1/resources', { name: 'pay', type: 'postgres', postgres: { host: 'db.internal' } });
  await plane.call('POST', '/v1/grants', { name: 'fred-pay', principal: 'fred', resource: 'pay', effects: ['read'] });
  const access = await plane.oauth<{ access_token: string }>({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: session,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    resource: 'pay',
  });
  const claims = JSON.parse(Buffer.from(access.body.access_token.split('.')[1]!, 'base64url').toString()) as {
    jti: string;
  };
  expect(claims).toMatchObject({ idp: 'corp', amr: ['pwd'] });
  expect((await send(await order({ sub: 'sub-fred' }))).status).toBe(200);
  expect(await statusOf(session)).toBe(401);
  const revoked = await database().revocation.findMany({ where: { kind: 'token', targetId: claims.jti } });
  expect(revoked).toHaveLength(1);
});

const WRONG_ORDERS: readonly (readonly [string, () => Promise<string>])[] = [
  ['nothing', async () => 'x'],
  ['an id token', async (): Promise<string> => await idp.sign(idp.honestClaims('n'))],
  ['a nonce', async () => await order({ sub: 'sub-gil', nonce: 'x' })],
  ['no event', async () => await order({ sub: 'sub-gil', events: undefined })],
  ['another event', async () => await order({ sub: 'sub-gil', events: { 'urn:x': {} } })],
  ['neither subject nor session', async () => await order()],
  ['no jti', async () => await order({ sub: 'sub-gil', jti: undefined })],
  ['another audience', async () => await order({ sub: 'sub-gil', aud: 'another' })],
  ['another issuer', async () => await order({ sub: 'sub-gil', iss: other.issuer })],
  ['an old iat', async () => await order({ sub: 'sub-gil', iat: seconds() - 900 })],
  ['a future iat', async () => await order({ sub: 'sub-gil', iat: seconds() + 900 })],
  ['an end that is over', async () => await order({ sub: 'sub-gil', exp: seconds() - 100 })],
  ['another type', async () => await order({ sub: 'sub-gil' }, 'at+jwt')],
  [
    'no signature',
    async () => {
      idp.crooked = { signature: 'none' };
      return await order({ sub: 'sub-gil' });
    },
  ],
  [
    'a key nobody published',
    async () => {
      idp.crooked = { signature: 'another-key' };
      return await order({ sub: 'sub-gil' });
    },
  ],
];
test.each(WRONG_ORDERS)('an order to end sessions with %s ends none', async (_what, make) => {
  const { session } = await signIn('gil');
  idp.crooked = {};
  const token = await make();
  expect((await send(token)).status).toBe(400);
  expect(await statusOf(session)).toBe(200);
});

test('an order counts once, and only for the provider that signed it', async () => {
  const token = await order({ sub: 'sub-hal' });
  const { session } = await signIn('hal');
  expect((await send(token, 'other')).status).toBe(400);
  expect(await statusOf(session)).toBe(200);
  expect((await send(token)).status).toBe(200);
  expect(await statusOf(session)).toBe(401);
  const again = await signIn('hal');
  expect((await send(token)).status).toBe(400);
  expect(await statusOf(again.session)).toBe(200);
});

test('a person signs out here and is sent on to sign out at the provider', async () => {
  const { browser, session } = await signIn('ida');
  const page = await browser.open(`${plane.url}/v1/logout`, {});
  expect(page.status).toBe(200);
  expect(await statusOf(session)).toBe(401);
  expect(browser.cookies(plane.url).has('sallyport_session')).toBe(false);
  const to = new URL(page.headers.get('refresh')!.replace('0; url=', ''));
  expect(to.origin + to.pathname).toBe(`${idp.issuer}/logout`);
  expect(to.searchParams.get('id_token_hint')).toMatch(/^ey/);
  expect(to.searchParams.get('post_logout_redirect_uri')).toBe(`${plane.url}/v1/logout/done`);
});

test('another site’s form signs nobody out', async () => {
  const { session } = await signIn('jan');
  const answer = await fetch(`${plane.url}/v1/logout`, {
    method: 'POST',
    headers: { cookie: `sallyport_session=${session}`, origin: 'https://evil.example' },
  });
  expect(answer.status).toBe(403);
  expect(await statusOf(session)).toBe(200);
});

test('a refresh brings groups up to date, and keeps a token that the provider rotates', async () => {
  idp.crooked = { refreshToken: 'first' };
  const { session } = await signIn('kim', { groups: ['dba', 'analysts'] });
  const groups = async () =>
    (await plane.call<{ groups: string[] }>('GET', '/v1/whoami', undefined, session)).body.groups;
  expect(await groups()).toEqual(['analysts', 'dba']);
  idp.crooked = {
    refreshToken: 'canary-second',
    claims: { ...idp.crooked.claims, groups: ['analysts'], nonce: undefined },
  };
  const refresher = plane.controlPlane.app.get(Refresher, { strict: false });
  await refresher.run();
  expect(await groups()).toEqual(['analysts', 'dba']);
  plane.clock.offsetMs = 61_000;
  idp.crooked.claims = { ...idp.crooked.claims, exp: seconds() + 900 };
  await refresher.run();
  expect(await groups()).toEqual(['analysts']);
  const revoked = await database().revocation.count({ where: { kind: 'principal' } });
  expect(revoked).toBeGreaterThan(0);
  const rows = await database().personSession.findMany({ where: { subject: 'sub-kim' } });
  expect(rows[0]!.sealed).not.toBeNull();
  expect(Buffer.from(rows[0]!.sealed!).toString('latin1')).not.toContain('canary-second');
  expect(plane.controlPlane.app.get(PersonSessions, { strict: false }).kept(rows[0]!).refreshToken).toBe(
    'canary-second',
  );
});

test('a person removed at the provider loses their sign-in at the next refresh; a provider that is away ends nothing', async () => {
  idp.crooked = { refreshToken: 'r' };
  const { session } = await signIn('lea');
  const refresher = plane.controlPlane.app.get(Refresher, { strict: false });
  idp.crooked = { ...idp.crooked, refresh: 'away' };
  plane.clock.offsetMs = 61_000;
  await refresher.run();
  expect(await statusOf(session)).toBe(200);
  idp.crooked = { ...idp.crooked, refresh: 'invalid_grant' };
  plane.clock.offsetMs = 130_000;
  await refresher.run();
  expect(await statusOf(session)).toBe(401);
});

test('a refresh that speaks of another person ends the sign-in', async () => {
  idp.crooked = { refreshToken: 'r' };
  const { session } = await signIn('mia');
  idp.crooked = { ...idp.crooked, claims: { ...idp.crooked.claims, sub: 'sub-somebody-else', exp: seconds() + 900 } };
  plane.clock.offsetMs = 61_000;
  await plane.controlPlane.app.get(Refresher, { strict: false }).run();
  expect(await statusOf(session)).toBe(401);
});

const challengeOf = (verifier: string): string => createHash('sha256').update(verifier).digest('base64url');
const authorizeUrl = (verifier: string, more: Record<string, string> = {}): string =>
  `${plane.url}/v1/oauth/authorize?${new URLSearchParams({
    response_type: 'code',
    client_id: 'sallyport-cli',
    redirect_uri: 'http://127.0.0.1:40001/callback',
    code_challenge: challengeOf(verifier),
    code_challenge_method: 'S256',
    state: 'state-of-the-program',
    provider: 'corp',
    ...more,
  }).toString()}`;
const consent = async (browser: Browser, verifier: string, answer: string, more: Record<string, string> = {}) => {
  const page = await browser.open(authorizeUrl(verifier, more));
  const { action, fields } = formOf(page.html, page.url);
  return await browser.open(action, { ...fields, answer }, 'http://127.0.0.1:40001/');
};
const redeem = (code: string, verifier: string, more: Record<string, string> = {}) =>
  plane.oauth<{ access_token: string; error: string }>({
    grant_type: 'authorization_code',
    client_id: 'sallyport-cli',
    redirect_uri: 'http://127.0.0.1:40001/callback',
    code,
    code_verifier: verifier,
    ...more,
  });

test('a program on loopback gets a session by code and PKCE, after the person says yes', async () => {
  const { browser, session } = await signIn('ned');
  const verifier = randomBytes(32).toString('base64url');
  const back = new URL((await consent(browser, verifier, 'approve')).url);
  expect(back.searchParams.get('state')).toBe('state-of-the-program');
  expect(back.searchParams.get('iss')).toBe(plane.url);
  const made = await redeem(back.searchParams.get('code')!, verifier);
  expect(await statusOf(made.body.access_token)).toBe(200);
  // It hangs on the browser's sign-in.
  await browser.open(`${plane.url}/v1/logout`, {});
  expect(await statusOf(session)).toBe(401);
  expect(await statusOf(made.body.access_token)).toBe(401);
});

test('a code used twice ends everything that came of the sign-in', async () => {
  const { browser } = await signIn('oda');
  const verifier = randomBytes(32).toString('base64url');
  const code = new URL((await consent(browser, verifier, 'approve')).url).searchParams.get('code')!;
  const made = await redeem(code, verifier);
  expect((await redeem(code, verifier)).body.error).toBe('invalid_grant');
  expect(await statusOf(made.body.access_token)).toBe(401);
});

test.each([
  ['another verifier', { code_verifier: 'x'.repeat(43) }],
  ['another redirect', { redirect_uri: 'http://127.0.0.1:40002/callback' }],
  ['another client', { client_id: 'another' }],
  ['a verifier that is none', { code_verifier: '' }],
])('a code with %s gives nothing', async (_what, more) => {
  const { browser } = await signIn('pia');
  const verifier = randomBytes(32).toString('base64url');
  const code = new URL((await consent(browser, verifier, 'approve')).url).searchParams.get('code')!;
  expect((await redeem(code, verifier, more)).status).toBeGreaterThanOrEqual(400);
});

test('a code is good for a minute', async () => {
  const { browser } = await signIn('pia');
  const verifier = randomBytes(32).toString('base64url');
  const code = new URL((await consent(browser, verifier, 'approve')).url).searchParams.get('code')!;
  plane.clock.offsetMs = 61_000;
  expect((await redeem(code, verifier)).body.error).toBe('invalid_grant');
});

test('no means no', async () => {
  const { browser } = await signIn('quin');
  const back = new URL((await consent(browser, 'x'.repeat(43), 'deny')).url);
  expect(back.searchParams.get('error')).toBe('access_denied');
  expect(back.searchParams.has('code')).toBe(false);
});

test('a consent form that was not made for this browser and request is refused', async () => {
  const { browser } = await signIn('rob');
  const page = await browser.open(authorizeUrl('x'.repeat(43)));
  const { action, fields } = formOf(page.html, page.url);
  const changes: readonly Record<string, string>[] = [
    { proof: 'x' },
    { redirect_uri: 'http://127.0.0.1:9/x' },
    { code_challenge: 'y'.repeat(43) },
  ];
  for (const change of changes)
    expect((await browser.open(action, { ...fields, ...change, answer: 'approve' })).status).toBe(403);
});

test.each([
  'https://evil.example/callback',
  'http://127.0.0.1.evil.example:1/callback',
  'http://localhost:1/callback',
  'http://127.0.0.1/callback',
  'http://user@127.0.0.1:1/callback',
  'http://127.0.0.1:1/callback?x=1',
  'http://127.0.0.1:1/#x',
  'javascript:alert(1)',
])('a code is never sent to %s', async (redirect) => {
  const { browser } = await signIn('sam');
  expect((await browser.open(authorizeUrl('x'.repeat(43), { redirect_uri: redirect }))).status).toBe(400);
});

test('a program can ask for a fresh sign-in, and one too old is asked for again', async () => {
  const { browser } = await signIn('tom', { auth_time: seconds() - 3_600 });
  idp.crooked.claims = { ...idp.crooked.claims, auth_time: seconds() };
  idp.seen.length = 0;
  const page = await browser.open(authorizeUrl('x'.repeat(43), { max_age: '300' }));
  expect(page.html).toContain('Sign in a program');
  expect(idp.seen).toContain('/authorize');
});

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
  await database().approvalRequest.create({
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
