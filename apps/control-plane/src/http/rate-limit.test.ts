/** Whose attempts count, seen from outside: with and without a proxy in front. */
import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';

let proxied: TestControlPlane;
let direct: TestControlPlane;
beforeAll(async () => {
  [proxied, direct] = await Promise.all([
    startTestControlPlane({ SALLYPORT_HTTP_PLAINTEXT: 'behind-proxy' }),
    startTestControlPlane(),
  ]);
}, 90_000);
afterAll(async () => {
  await proxied.stop();
  await direct.stop();
});

const signIn = async (plane: TestControlPlane, forwarded: string): Promise<number> =>
  (await fetch(`${plane.url}/v1/login`, { headers: { 'x-forwarded-for': forwarded } })).status;

test('behind a proxy the address it saw counts, whatever the client wrote before it', async () => {
  for (let i = 0; i < 60; i++) expect(await signIn(proxied, `198.51.100.${i}, 203.0.113.9`)).toBe(404);
  expect(await signIn(proxied, '198.51.100.200, 203.0.113.9')).toBe(429);
  expect(await signIn(proxied, '203.0.113.10')).toBe(404);
});

test('an IPv6 network counts as one', async () => {
  for (let i = 0; i < 60; i++) expect(await signIn(proxied, `2001:db8::${i + 1}`)).toBe(404);
  expect(await signIn(proxied, '2001:db8::ffff:9')).toBe(429);
  expect(await signIn(proxied, '2001:db8:0:1::1')).toBe(404);
});

test('without a proxy the header is nobody’s', async () => {
  for (let i = 0; i < 60; i++) expect(await signIn(direct, `198.51.100.${i}`)).toBe(404);
  expect(await signIn(direct, '198.51.100.99')).toBe(429);
});

test('who is refused is told when to come back, at the token endpoint in its own words too', async () => {
  const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: 'nobody', client_secret: 'x' });
  const ask = (body: URLSearchParams): Promise<Response> =>
    fetch(`${direct.url}/v1/oauth/token`, { method: 'POST', body });
  expect(await (await ask(new URLSearchParams())).json()).toMatchObject({ error: 'invalid_request', status: 400 });
  for (let i = 0; i < 20; i++) expect((await ask(form)).status).toBe(401);
  const refused = await ask(form);
  expect(refused.status).toBe(429);
  const seconds = Number(refused.headers.get('retry-after'));
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThanOrEqual(60);
  expect(await refused.json()).toMatchObject({ code: 'auth.throttled', error: 'temporarily_unavailable' });
});

test('an attempt too many uses nothing up: the same sign-in goes on from where there is room', async () => {
  const database = proxied.controlPlane.app.get(Database, { strict: false }).client;
  const { id: projectId } = await database.project.findFirstOrThrow({ where: { name: 'default' } });
  const state: string = randomUUID();
  const id = randomUUID();
  const secretHash = Uint8Array.from(createHash('sha256').update(state).digest());
  const expiresAt = new Date(Date.now() + 600_000);
  await database.loginAttempt.create({
    data: { id, projectId, provider: 'nobody', kind: 'browser', secretHash, expiresAt },
  });
  const comeBack = async (from: string, said = state): Promise<number> => {
    const headers = { 'x-forwarded-for': from, cookie: `sallyport_sign_in=${said}` };
    return (await fetch(`${proxied.url}/v1/login/callback?code=x&state=${said}`, { headers, redirect: 'manual' }))
      .status;
  };
  for (let i = 0; i < 60; i++) expect(await comeBack('203.0.113.77', `none-${i}`)).toBe(401);
  expect(await comeBack('203.0.113.77')).toBe(429);
  const isUsed = async (): Promise<boolean> =>
    (await database.loginAttempt.findUniqueOrThrow({ where: { id } })).consumedAt !== null;
  expect(await isUsed()).toBe(false);
  // No provider is called so, and that is found out after the attempt was taken.
  expect(await comeBack('203.0.113.78')).toBe(401);
  expect(await isUsed()).toBe(true);
});
