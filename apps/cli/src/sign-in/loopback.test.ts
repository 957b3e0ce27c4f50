/** Sign-in on loopback: over real sockets, with a REST edge that checks what it gets. */
import { createHash } from 'node:crypto';
import { createApiClient } from '@sallyport/api-client';
import { expect, test } from 'vitest';
import { CliError } from '../exit-codes.ts';
import { serveRest } from '../testing/control-plane.fixture.ts';
import { signInOnLoopback } from './loopback.ts';

const TOKEN = { access_token: 'sp_fresh', token_type: 'Bearer', expires_in: 60 };

/** Signs in; the "browser" answers what `back` makes of the address it was shown. */
async function signIn(back: (shown: URL, to: URL) => void) {
  await using rest = await serveRest({ 'POST /v1/oauth/token': [200, TOKEN] });
  const { oauth } = createApiClient({ baseUrl: rest.url });
  const shown = Promise.withResolvers<URL>();
  const signedIn = signInOnLoopback(oauth, { baseUrl: rest.url, provider: 'okta', maxAgeS: 60 }, (address) =>
    shown.resolve(new URL(address)),
  ).catch((error: unknown) => error);
  const url = await shown.promise;
  const to = new URL(url.searchParams.get('redirect_uri')!);
  expect((await fetch(new URL('/other', to))).status).toBe(404);
  to.searchParams.set('code', 'the-code');
  to.searchParams.set('state', url.searchParams.get('state')!);
  to.searchParams.set('iss', rest.url);
  back(url, to);
  expect((await fetch(to)).status).toBe(200);
  const answer = await signedIn;
  return { url, answer, form: new URLSearchParams(rest.seen[0]?.body ?? '') };
}

test('the code comes to loopback and is redeemed with the verifier of the challenge that was shown', async () => {
  const { url, answer, form } = await signIn(() => undefined);
  expect(answer).toEqual(TOKEN);
  expect(new URL(form.get('redirect_uri')!).hostname).toBe('127.0.0.1');
  expect(form.get('code')).toBe('the-code');
  const challenge = createHash('sha256').update(form.get('code_verifier')!).digest('base64url');
  expect(url.searchParams.get('code_challenge')).toBe(challenge);
  expect(Object.fromEntries(url.searchParams)).toMatchObject({
    response_type: 'code',
    code_challenge_method: 'S256',
    provider: 'okta',
    max_age: '60',
  });
});

test.each([
  ['another state', (to: URL) => to.searchParams.set('state', 'x'.repeat(43))],
  ['no state', (to: URL) => to.searchParams.delete('state')],
  ['another issuer', (to: URL) => to.searchParams.set('iss', 'https://evil.example')],
  ['no issuer', (to: URL) => to.searchParams.delete('iss')],
  ['no code', (to: URL) => to.searchParams.delete('code')],
])('an answer with %s is refused and nothing is redeemed', async (_what, change) => {
  const { answer, form } = await signIn((_shown, to) => change(to));
  expect(answer).toBeInstanceOf(CliError);
  expect(form.has('code')).toBe(false);
});
