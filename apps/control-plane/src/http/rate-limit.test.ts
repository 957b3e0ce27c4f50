/** Whose attempts count, seen from outside: with and without a proxy in front. */
import { afterAll, beforeAll, expect, test } from 'vitest';
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
