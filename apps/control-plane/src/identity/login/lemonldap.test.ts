/** Signing in by a provider that nobody here wrote: LemonLDAP::NG of Debian, through its own forms. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Browser, formOf } from '../../testing/browser.ts';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';
import { HAS_LEMONLDAP, type Lemonldap, startLemonldap } from '../../testing/lemonldap.ts';

const CLIENT = { id: 'sallyport', secret: 'a-secret-for-lemonldap-1234' };

// Skipped by name where Debian's liblemonldap-ng-portal-perl is not installed.
describe.skipIf(!HAS_LEMONLDAP)('LemonLDAP::NG', () => {
  let plane: TestControlPlane;
  let lemon: Lemonldap;
  beforeAll(async () => {
    plane = await startTestControlPlane({ SALLYPORT_HTTP_PLAINTEXT: 'behind-proxy' });
    lemon = await startLemonldap(`${plane.url}/v1/login/callback/lemon`, `${plane.url}/v1/logout/done`, CLIENT);
    for (const name of ['timelords', 'everybody']) await plane.call('POST', '/v1/groups', { name });
    const made = await plane.call('POST', '/v1/identity-providers', {
      name: 'lemon',
      kind: 'oidc',
      config: {
        issuer: lemon.issuer,
        clientId: CLIENT.id,
        clientAuth: 'client_secret_post',
        scopes: ['openid', 'profile', 'email', 'groups'],
      },
      secrets: { clientSecret: CLIENT.secret },
      mapping: { groupsClaim: 'groups', separator: ';' },
    });
    expect(made.status).toBe(201);
  }, 120_000);
  afterAll(async () => {
    await lemon?.stop();
    await plane?.stop();
  });

  const signIn = async (name: string, password = name, more = '') => {
    const browser = new Browser();
    const page = await browser.open(`${plane.url}/v1/login?provider=lemon&return_to=%2Fdevice${more}`);
    const { action, fields } = formOf(page.html, page.url);
    const done = await browser.open(action, { ...fields, user: name, password });
    return { browser, done, session: browser.cookies(plane.url).get('sallyport_session') };
  };

  test('its metadata, keys and clock are in order', async () => {
    const { body } = await plane.call<{ ok: boolean; checks: { check: string; ok: boolean }[] }>(
      'POST',
      '/v1/identity-providers/lemon/test',
    );
    expect(body.checks.filter((one) => !one.ok)).toEqual([]);
  });

  test('a person signs in through its form and gets the groups it gives', async () => {
    const { done, session } = await signIn('dwho');
    expect(done.html).toContain('Signed in as dwho');
    const who = await plane.call<{ principal: { name: string }; groups: string[] }>(
      'GET',
      '/v1/whoami',
      undefined,
      session,
    );
    expect(who.body).toMatchObject({ principal: { name: 'dwho' }, groups: ['everybody', 'timelords'] });
  });

  test('a wrong password gets nobody in', async () => {
    const { session } = await signIn('rtyler', 'wrong');
    expect(session).toBeUndefined();
  });

  test('signing out here leads to its sign-out, and back', async () => {
    const { browser, session } = await signIn('msmith');
    const page = await browser.open(`${plane.url}/v1/logout`, {});
    const there = await browser.open(page.headers.get('refresh')!.replace('0; url=', ''));
    expect(there.url + there.html).toContain('/v1/logout/done');
    expect((await plane.call('GET', '/v1/whoami', undefined, session)).status).toBe(401);
    const again = await browser.open(`${plane.url}/v1/login?provider=lemon&return_to=%2Fdevice`);
    expect(new URL(again.url).origin).toBe(new URL(lemon.issuer).origin);
  });
});
