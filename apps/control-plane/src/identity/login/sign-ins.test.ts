/** What becomes of a sign-in: kept once, ended by the person, by the provider, by a refresh. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Browser } from '../../testing/browser.ts';
import type { TestControlPlane } from '../../testing/control-plane.ts';
import type { CrookedIdp } from '../../testing/crooked-idp.ts';
import { type SignIns, startSignIns } from '../../testing/sign-ins.ts';
import { PersonSessions } from './person-sessions.ts';
import { Refresher } from './refresher.ts';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
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
const statusOf = (token: string): Promise<number> => bed.statusOf(token);
const seconds = (): number => Math.floor(Date.now() / 1000);
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
  const principals = await bed.database.principal.findMany({
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
  const acts = await bed.database.controlAct.findMany({ where: { target: 'principal/olga' }, orderBy: { id: 'asc' } });
  expect(acts.map(({ action }) => action)).toEqual([
    'session.signed_in',
    'group.members_synced',
    'session.signed_in',
    'group.members_synced',
  ]);
  const principal = await bed.database.principal.findFirstOrThrow({ where: { name: 'olga' } });
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
  expect(await bed.database.revocation.count({ where: { kind: 'principal', targetId: principal.id } })).toBe(1);
});

test('a change of groups at a sign-in counts as one of the project, and a sign-in without one does not', async () => {
  const revision = async (): Promise<number> => (await bed.database.bundleState.findFirstOrThrow()).revision;
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
  const revoked = await bed.database.revocation.findMany({ where: { kind: 'token', targetId: claims.jti } });
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
  const revoked = await bed.database.revocation.count({ where: { kind: 'principal' } });
  expect(revoked).toBeGreaterThan(0);
  const rows = await bed.database.personSession.findMany({ where: { subject: 'sub-kim' } });
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
