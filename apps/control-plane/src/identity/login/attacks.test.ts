/** What a lying provider, a lying answer, or another site may try at sign-in: each gets nobody in. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Browser } from '../../testing/browser.ts';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';
import { CLIENT_SECRET, CrookedIdp } from '../../testing/crooked-idp.ts';

let plane: TestControlPlane;
let idp: CrookedIdp;
let other: CrookedIdp;
const addProvider = (name: string, issuer: string, config: object = {}, more: object = {}) =>
  plane.call('POST', '/v1/identity-providers', {
    name,
    kind: 'oidc',
    config: { issuer, clientId: 'sallyport', clockSkewSeconds: 30, ...config },
    secrets: { clientSecret: CLIENT_SECRET },
    ...more,
  });

beforeAll(async () => {
  plane = await startTestControlPlane({ SALLYPORT_HTTP_PLAINTEXT: 'behind-proxy' });
  idp = await new CrookedIdp().start();
  other = await new CrookedIdp().start();
  expect((await addProvider('corp', idp.issuer)).status).toBe(201);
  expect((await addProvider('other', other.issuer)).status).toBe(201);
  await plane.call('POST', '/v1/groups', { name: 'dba' });
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

const signIn = async (browser = new Browser(), provider = 'corp', more = '') => {
  const page = await browser.open(`${plane.url}/v1/login?provider=${provider}&return_to=%2Fdevice${more}`);
  return { page, session: browser.cookies(plane.url).get('sallyport_session') };
};
const whoIs = async (session: string | undefined) =>
  (
    await plane.call<{ principal: { name: string }; groups: string[] }>(
      'GET',
      '/v1/whoami',
      undefined,
      session ?? 'none',
    )
  ).body;

test('an honest provider gets a person in', async () => {
  const { page, session } = await signIn();
  expect(page.status).toBe(200);
  expect((await whoIs(session)).principal.name).toBe('ana');
});

test.each([
  ['no signature (alg none)', { signature: 'none' }],
  ['alg none written None', { signature: 'none', header: { alg: 'None' } }],
  ['an HMAC with the public key as the secret', { signature: 'hmac-with-public-key' }],
  ['an HMAC with the client secret', { signature: 'hmac-with-client-secret' }],
  ['a key nobody published', { signature: 'another-key' }],
  ['the signature cut off', { signature: 'cut' }],
  ['another key named by the known key’s id', { signature: 'another-key', header: {} }],
  ['a key id that is a path', { signature: 'another-key', header: { kid: '../../../../dev/null' } }],
  ['a key id that is SQL', { signature: 'another-key', header: { kid: "x' or '1'='1" } }],
  ['a critical header nobody knows', { header: { crit: ['x'], x: 1 } }],
  ['wrong iss', { claims: { iss: 'https://evil.example' } }],
  ['iss of the other provider', { claims: { iss: 'http://127.0.0.1:1' } }],
  ['iss with a slash more', { claims: { iss: 'slash' } }],
  ['wrong aud', { claims: { aud: 'another-client' } }],
  ['no aud', { claims: { aud: undefined } }],
  ['several aud and no azp', { claims: { aud: ['sallyport', 'another-client'] } }],
  ['azp of another client', { claims: { azp: 'another-client' } }],
  ['several aud and azp of another', { claims: { aud: ['sallyport', 'x'], azp: 'x' } }],
  ['wrong nonce', { claims: { nonce: 'of-another-sign-in' } }],
  ['no nonce', { claims: { nonce: undefined } }],
  ['no sub', { claims: { sub: undefined } }],
  ['an empty sub', { claims: { sub: '' } }],
  ['a sub that is no text', { claims: { sub: { $ne: 1 } } }],
  ['a sub without end', { claims: { sub: 'x'.repeat(10_000) } }],
  ['no exp', { claims: { exp: undefined } }],
  ['expired', { times: { exp: -31, iat: -400 } }],
  ['issued in the future', { times: { iat: 90, exp: 300 } }],
  ['not valid yet', { times: { nbf: 90 } }],
  ['an exp that is text', { claims: { exp: '9999999999' } }],
  ['an answer of another issuer (mix-up)', { answerIss: 'https://evil.example' }],
  ['an answer without the issuer it promised', { answerIss: null }],
] as const)('%s gets nobody in, and reads like any other failure', async (_what, crooked) => {
  idp.crooked = { ...crooked };
  if ('claims' in crooked && 'iss' in crooked.claims && crooked.claims.iss === 'slash')
    idp.crooked.claims = { iss: `${idp.issuer}/` };
  const { page, session } = await signIn();
  expect(session).toBeUndefined();
  expect(page.status).toBe(401);
  const { requestId, ...problem } = JSON.parse(page.html) as Record<string, unknown>;
  expect(requestId).toMatch(/^req-/);
  expect(problem).toEqual({
    type: 'https://sallyport.dev/errors#auth.failed',
    title: 'Authentication failed.',
    status: 401,
    code: 'auth.failed',
  });
});

test.each(['jku', 'x5u'])('a key at an address in the header (%s) is never fetched', async (name) => {
  other.seen.length = 0;
  idp.crooked = { signature: 'another-key', header: { [name]: `${other.issuer}/keys` } };
  expect((await signIn()).session).toBeUndefined();
  expect(other.seen).toEqual([]);
});

test('a key in the header itself is not believed', async () => {
  const jwk = ((await (await fetch(`${other.issuer}/keys`)).json()) as { keys: object[] }).keys[0]!;
  idp.crooked = { signature: 'another-key', header: { jwk } };
  expect((await signIn()).session).toBeUndefined();
});

test.each([
  ['expired 20 s ago', { exp: -20, iat: -100 }],
  ['issued 20 s ahead', { iat: 20, exp: 300 }],
])('within the clock skew that is set, %s still signs in', async (_what, times) => {
  idp.crooked = { times: { ...times } as Record<string, number> };
  expect((await signIn()).session).toBeDefined();
});

test('with no skew allowed, a clock a few seconds ahead gets nobody in', async () => {
  await addProvider('strict', idp.issuer, { clockSkewSeconds: 0 });
  idp.crooked = { times: { iat: 10, exp: 300 } };
  expect((await signIn(new Browser(), 'strict')).session).toBeUndefined();
});

test('the answer of one provider at another’s address is refused, whatever the state', async () => {
  const browser = new Browser();
  const answer = await browser.open(
    `${plane.url}/v1/login?provider=corp&return_to=%2Fdevice`,
    undefined,
    `${plane.url}/v1/login/callback`,
  );
  const moved = answer.url.replace('/callback/corp', '/callback/other');
  expect(moved).not.toBe(answer.url);
  expect((await browser.open(moved)).status).toBe(401);
  expect(browser.cookies(plane.url).has('sallyport_session')).toBe(false);
});

test('an answer counts once', async () => {
  const browser = new Browser();
  const answer = await browser.open(
    `${plane.url}/v1/login?provider=corp&return_to=%2Fdevice`,
    undefined,
    `${plane.url}/v1/login/callback`,
  );
  const state = browser.cookies(plane.url).get('sallyport_sign_in')!;
  expect((await browser.open(answer.url)).status).toBe(200);
  browser.cookies(plane.url).set('sallyport_sign_in', state);
  expect((await browser.open(answer.url)).status).toBe(401);
});

test('an answer that was made for the attacker’s browser signs the victim in as nobody (CSRF on login)', async () => {
  const attacker = new Browser();
  const answer = await attacker.open(
    `${plane.url}/v1/login?provider=corp&return_to=%2Fdevice`,
    undefined,
    `${plane.url}/v1/login/callback`,
  );
  const victim = new Browser();
  await victim.open(`${plane.url}/v1/login?provider=corp&return_to=%2Fdevice`, undefined, idp.issuer);
  expect((await victim.open(answer.url)).status).toBe(401);
  expect(victim.cookies(plane.url).has('sallyport_session')).toBe(false);
});

test('a session cookie that was there before is not the session afterwards (fixation)', async () => {
  const planted = `sp_${'A'.repeat(43)}`;
  const browser = new Browser();
  browser.cookies(plane.url).set('sallyport_session', planted);
  const { session } = await signIn(browser);
  expect(session).toBeDefined();
  expect(session).not.toBe(planted);
  expect((await plane.call('GET', '/v1/whoami', undefined, planted)).status).toBe(401);
});

test('an old sign-in that runs out cannot be finished', async () => {
  const browser = new Browser();
  const answer = await browser.open(
    `${plane.url}/v1/login?provider=corp&return_to=%2Fdevice`,
    undefined,
    `${plane.url}/v1/login/callback`,
  );
  plane.clock.offsetMs = 601_000;
  expect((await browser.open(answer.url)).status).toBe(401);
});

test.each([
  'https://evil.example',
  '//evil.example',
  '/\\evil.example',
  '/%5Cevil.example',
  '/v1/logout/../..//evil.example',
])('return_to %s leads nowhere else', async (target) => {
  const browser = new Browser();
  await browser.open(`${plane.url}/v1/login?provider=corp&return_to=${encodeURIComponent(target)}`);
  for (const hop of browser.hops) expect([plane.url, idp.issuer]).toContain(new URL(hop).origin);
});

test('keys that were rotated without notice are found', async () => {
  expect((await signIn()).session).toBeDefined();
  await idp.rotate();
  // The library's own pause between two looks is on the system's clock.
  await expect.poll(async () => (await signIn()).session, { timeout: 15_000, interval: 1_000 }).toBeDefined();
});

test('unknown key ids do not make us flood the provider', async () => {
  idp.seen.length = 0;
  idp.crooked = { signature: 'another-key', header: { kid: 'nobody' } };
  for (let i = 0; i < 5; i++) expect((await signIn()).session).toBeUndefined();
  expect(idp.seen.filter((path) => path === '/keys').length).toBeLessThanOrEqual(2);
});

test('ten thousand groups are mapped whole, and ten thousand and one are an error with its own name', async () => {
  const groups = Array.from({ length: 10_000 }, (_, i) => `g-${i}`);
  idp.crooked = { claims: { sub: 'many', preferred_username: 'many', groups: [...groups.slice(1), 'dba'] } };
  const { session } = await signIn();
  expect((await whoIs(session)).groups).toEqual(['dba']);
  idp.crooked = { claims: { groups: [...groups, 'dba'] } };
  const { page } = await signIn();
  expect(JSON.parse(page.html)).toMatchObject({ status: 403, code: 'auth.groups_overage' });
});

test('Entra’s link in place of groups is an error with its own name and opens nothing', async () => {
  idp.crooked = { claims: { _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: 'http://x' } } } };
  const { page, session } = await signIn();
  expect(JSON.parse(page.html)).toMatchObject({ code: 'auth.groups_overage' });
  expect(session).toBeUndefined();
});

test('a claim the settings require decides', async () => {
  await addProvider('tenant', idp.issuer, { requiredClaims: { hd: 'corp.example' } });
  expect((await signIn(new Browser(), 'tenant')).session).toBeUndefined();
  idp.crooked = { claims: { hd: 'corp.example' } };
  expect((await signIn(new Browser(), 'tenant')).session).toBeDefined();
});

test('a sign-in that was asked to be fresh is refused when it is not, or does not say', async () => {
  idp.crooked = { times: { auth_time: -3_600 } };
  expect((await signIn(new Browser(), 'corp', '&max_age=60')).session).toBeUndefined();
  idp.crooked = { claims: { auth_time: undefined } };
  expect((await signIn(new Browser(), 'corp', '&max_age=60')).session).toBeUndefined();
  idp.crooked = {};
  expect((await signIn(new Browser(), 'corp', '&max_age=60')).session).toBeDefined();
});

test('another provider’s person of the same name is another person', async () => {
  const mine = await whoIs((await signIn()).session);
  const theirs = await whoIs((await signIn(new Browser(), 'other')).session);
  expect(mine.principal.name).toBe('ana');
  expect(theirs.principal.name).toMatch(/^ana-[0-9a-f]{4}$/);
});

test('a provider that is away at login says so, and one that comes back is used without a restart', async () => {
  const late = new CrookedIdp();
  const probe = await new CrookedIdp().start();
  const { issuer } = probe;
  await probe.stop();
  await addProvider('late', issuer);
  const browser = new Browser();
  const away = await browser.open(`${plane.url}/v1/login?provider=late`);
  expect(JSON.parse(away.html)).toMatchObject({ status: 503, code: 'auth.provider_unavailable' });
  await late.start(Number(new URL(issuer).port));
  expect((await signIn(new Browser(), 'late')).session).toBeDefined();
  await late.stop();
});

test('a disabled provider signs nobody in, and ends what it had signed in', async () => {
  await addProvider('soon-off', idp.issuer);
  const { session } = await signIn(new Browser(), 'soon-off');
  expect((await plane.call('GET', '/v1/whoami', undefined, session)).status).toBe(200);
  await plane.call('PATCH', '/v1/identity-providers/soon-off', { enabled: false });
  expect((await plane.call('GET', '/v1/whoami', undefined, session)).status).toBe(401);
  expect((await new Browser().open(`${plane.url}/v1/login?provider=soon-off`)).status).toBe(404);
});

test('a provider removed and made anew does not open the accounts of the old one', async () => {
  await addProvider('again', idp.issuer);
  idp.crooked = { claims: { sub: 'stable', preferred_username: 'dora' } };
  expect((await whoIs((await signIn(new Browser(), 'again')).session)).principal.name).toBe('dora');
  await plane.call('DELETE', '/v1/identity-providers/again');
  await addProvider('again', other.issuer);
  other.crooked = { claims: { sub: 'stable', preferred_username: 'dora' } };
  expect((await whoIs((await signIn(new Browser(), 'again')).session)).principal.name).not.toBe('dora');
});
