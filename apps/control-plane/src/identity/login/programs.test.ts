/** Programs that get a session of a person who signs in: by code and PKCE, after the person says yes. */
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Browser, formOf } from '../../testing/browser.ts';
import type { TestControlPlane } from '../../testing/control-plane.ts';
import type { CrookedIdp } from '../../testing/crooked-idp.ts';
import { type SignIns, startSignIns } from '../../testing/sign-ins.ts';

let bed: SignIns;
let plane: TestControlPlane;
let idp: CrookedIdp;

beforeAll(async () => {
  bed = await startSignIns();
  ({ plane, idp } = bed);
}, 60_000);
afterEach(() => bed.calm());
afterAll(() => bed?.stop());

const signIn: SignIns['signIn'] = (...args) => bed.signIn(...args);
const statusOf = (token: string): Promise<number> => bed.statusOf(token);
const seconds = (): number => Math.floor(Date.now() / 1000);

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
