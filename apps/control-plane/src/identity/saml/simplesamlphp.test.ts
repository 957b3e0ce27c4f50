/** Sign-in and sign-out at SimpleSAMLphp, a provider that nobody here wrote, through its own pages. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Browser, formOf, type Page } from '../../testing/browser.ts';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';
import { HAS_SIMPLESAMLPHP, type Simplesamlphp, startSimplesamlphp } from '../../testing/simplesamlphp.ts';
import { makeKey } from './saml-keys.ts';

describe.skipIf(!HAS_SIMPLESAMLPHP)('SimpleSAMLphp of Debian', () => {
  let plane: TestControlPlane;
  let idp: Simplesamlphp;
  beforeAll(async () => {
    const key = await makeKey('idp', new Date());
    idp = await startSimplesamlphp({ certificate: key.certificate, privateKey: key.privateKey.toString() });
    plane = await startTestControlPlane();
    for (const name of ['dba', 'everybody']) await plane.call('POST', '/v1/groups', { name });
    const config = { entityId: idp.entityId, metadataUrl: idp.metadataUrl, signed: 'both', usernameAttribute: 'uid' };
    const made = await plane.call('POST', '/v1/identity-providers', { name: 'ssp', kind: 'saml', config });
    expect(made.status).toBe(201);
  }, 90_000);
  afterAll(async () => {
    await plane.stop();
    await idp.stop();
  });

  async function trust(encrypted: boolean): Promise<void> {
    const base = `${plane.url}/v1/saml/ssp`;
    const metadata = await (await fetch(`${base}/metadata`)).text();
    const certificate = /<ds:X509Certificate>([^<]+)/.exec(metadata)![1]!;
    idp.trust({ entityId: `${base}/metadata`, acsUrl: `${base}/acs`, sloUrl: `${base}/slo`, certificate, encrypted });
  }
  /** From our sign-in through its login form to its page that posts the answer. */
  async function answerPage(browser: Browser, username: string, password: string): Promise<Page> {
    const login = await browser.open(`${plane.url}/v1/login?provider=ssp&return_to=/after`);
    expect(login.html).toContain('password');
    const { action, fields } = formOf(login.html, login.url);
    return await browser.open(action === '' ? login.url : action, { ...fields, username, password });
  }
  async function signIn(browser: Browser, username: string) {
    const page = await answerPage(browser, username, `${username}-secret`);
    const { action, fields } = formOf(page.html, page.url);
    expect(action).toBe(`${plane.url}/v1/saml/ssp/acs`);
    await browser.open(action, fields, `${plane.url}/after`);
    const token = browser.cookies(plane.url).get('sallyport_session');
    return { token, action, fields };
  }
  const whoami = async (token: string | undefined) =>
    (await plane.call<{ principal?: { name: string }; groups?: string[] }>('GET', '/v1/whoami', undefined, token ?? ''))
      .body;

  test('its metadata is read, and the settings hold', async () => {
    const tried = await plane.call<{ ok: boolean }>('POST', '/v1/identity-providers/ssp/test');
    expect(tried.body.ok).toBe(true);
  });

  test('a person signs in by its pages, and its answer counts once', async () => {
    await trust(false);
    const browser = new Browser();
    const { token, action, fields } = await signIn(browser, 'ada');
    expect(await whoami(token)).toMatchObject({ principal: { name: 'ada' }, groups: ['dba', 'everybody'] });
    expect((await new Browser().open(action, fields)).status).toBe(401);
  });

  test('a person signs in with an encrypted assertion', async () => {
    await trust(true);
    const browser = new Browser();
    const page = await answerPage(browser, 'bob', 'bob-secret');
    const { action, fields } = formOf(page.html, page.url);
    expect(Buffer.from(fields['SAMLResponse']!, 'base64').toString()).toContain('EncryptedAssertion');
    await browser.open(action, fields, `${plane.url}/after`);
    const token = browser.cookies(plane.url).get('sallyport_session');
    expect(await whoami(token)).toMatchObject({ principal: { name: 'bob' }, groups: ['everybody'] });
  });

  test('one letter of its answer changed is no sign-in', async () => {
    await trust(false);
    const browser = new Browser();
    const page = await answerPage(browser, 'bob', 'bob-secret');
    const { action, fields } = formOf(page.html, page.url);
    const xml = Buffer.from(fields['SAMLResponse']!, 'base64').toString().replaceAll('bob@', 'ada@');
    const back = await browser.open(action, { ...fields, SAMLResponse: Buffer.from(xml).toString('base64') });
    expect([back.status, browser.cookies(plane.url).get('sallyport_session')]).toEqual([401, undefined]);
  });

  test('signing out here signs out there, and signing out there signs out here', async () => {
    await trust(false);
    const browser = new Browser();
    const { token } = await signIn(browser, 'ada');
    const page = await browser.open(`${plane.url}/v1/logout`);
    const { action, fields } = formOf(page.html, page.url);
    const left = await browser.open(action, fields);
    const onward = left.headers.get('refresh')!.replace('0; url=', '');
    expect(onward).toContain(idp.entityId.replace('metadata.php', 'SingleLogoutService.php'));
    const done = await browser.open(onward);
    expect(done.url).toBe(`${plane.url}/v1/logout/done`);
    expect((await plane.call('GET', '/v1/whoami', undefined, token ?? '')).status).toBe(401);
    // Signed out there: its form is shown again.
    const again = await signIn(browser, 'ada');
    expect(again.token).toBeDefined();
    const there = idp.entityId.replace('metadata.php', 'initSLO.php');
    await browser.open(`${there}?RelayState=${encodeURIComponent(`${idp.entityId}`)}`);
    expect((await plane.call('GET', '/v1/whoami', undefined, again.token ?? '')).status).toBe(401);
  });

  test('a wrong password is its business, and brings nobody back', async () => {
    await trust(false);
    const page = await answerPage(new Browser(), 'ada', 'wrong');
    expect(page.html).not.toContain('SAMLResponse');
  });
});
