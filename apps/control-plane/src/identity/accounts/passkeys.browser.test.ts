/**
 * Passkeys in a real browser: Debian's Chromium with its virtual authenticator (WebAuthn's own CDP domain), on the real
 * pages, under the real Content-Security-Policy. Skipped by name where there is no Chromium.
 */
import { existsSync } from 'node:fs';
import { type Browser, type CDPSession, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Database } from '../../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';

const CHROMIUM = '/usr/bin/chromium';

describe.skipIf(!existsSync(CHROMIUM))('with Chromium', () => {
  let plane: TestControlPlane;
  let browser: Browser;
  beforeAll(async () => {
    // Browsers give passkeys to names, not to addresses; localhost is one.
    plane = await startTestControlPlane({ SALLYPORT_HTTP: 'localhost:0' });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  }, 90_000);
  afterAll(async () => {
    await browser?.close();
    await plane.stop();
  });

  interface Seat {
    readonly page: Page;
    readonly cdp: CDPSession;
    readonly authenticatorId: string;
    readonly trouble: string[];
  }
  async function seat(verified = true): Promise<Seat> {
    const context = await browser.newContext();
    const page = await context.newPage();
    const trouble: string[] = [];
    page.on('console', (line) => line.type() === 'error' && trouble.push(line.text()));
    page.on('pageerror', (error) => trouble.push(error.message));
    const cdp = await context.newCDPSession(page);
    await cdp.send('WebAuthn.enable');
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: verified,
        automaticPresenceSimulation: true,
      },
    });
    return { page, cdp, authenticatorId, trouble };
  }
  const database = () => plane.controlPlane.app.get(Database, { strict: false }).client;
  const text = (page: Page) => page.locator('#message').textContent();
  async function register({ page }: Seat, link: string): Promise<void> {
    await page.goto(link);
    await page.locator('#ways').waitFor({ state: 'visible' });
    // The secret is gone from the address bar, and so from the history.
    expect(page.url()).toBe(`${plane.url}/login/link`);
    await page.click('#passkey');
    await page.getByText('The passkey is set up').waitFor();
  }
  async function whoami(page: Page): Promise<string> {
    const cookie = (await page.context().cookies()).find(({ name }) => name === 'sallyport_session');
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Lax' });
    return (await plane.call<{ principal: { name: string } }>('GET', '/v1/whoami', undefined, cookie!.value)).body
      .principal.name;
  }

  test('the first administrator sets one up from the printed link and signs in with it, without typing a name', async () => {
    const one = await seat();
    await register(one, plane.controlPlane.adminLink!);
    expect(await whoami(one.page)).toBe('admin');
    await one.page.context().clearCookies();
    await one.page.goto(`${plane.url}/login?return_to=/device`);
    await one.page.click('#passkey');
    await one.page.waitForURL(`${plane.url}/device`);
    expect(await one.page.locator('h1').textContent()).toBe('Signed in as admin');
    expect(one.trouble).toEqual([]);
    const session = await database().personSession.findFirstOrThrow({ orderBy: { createdAt: 'desc' } });
    expect(session).toMatchObject({ provider: 'local', amr: ['pop', 'user', 'mfa'] });
    const again = await seat();
    await again.page.goto(plane.controlPlane.adminLink!);
    await again.page.getByText('This link is used').waitFor();
  }, 60_000);

  test('a password with a one-time code is set up and used on the same pages', async () => {
    await plane.call('POST', '/v1/principals', { name: 'paula', kind: 'person' });
    const { body } = await plane.call<{ link: string }>('POST', '/v1/accounts/paula/links', {});
    const { page, trouble } = await seat();
    await page.goto(body.link);
    await page.locator('#ways').waitFor({ state: 'visible' });
    const { totpAt, stepOf } = await import('./one-time-codes.ts');
    const shown = ((await page.locator('#secret').textContent()) ?? '').replaceAll(' ', '');
    const bits = shown
      .split('')
      .map((char) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(char).toString(2).padStart(5, '0'))
      .join('');
    const secret = Buffer.from(bits.match(/.{8}/g)!.map((byte) => Number.parseInt(byte, 2)));
    await page.fill('[name=password]', 'correct horse battery');
    await page.fill('[name=code]', totpAt(secret, stepOf(plane.clock.nowMs())));
    await page.click('#password button');
    await page.locator('#recovery').waitFor({ state: 'visible' });
    const codes = ((await page.locator('#codes').textContent()) ?? '').split('\n');
    expect(codes).toHaveLength(10);
    await page.context().clearCookies();
    await page.goto(`${plane.url}/v1/login?return_to=/device`);
    await page.fill('[name=username]', 'paula');
    await page.fill('[name=password]', 'correct horse battery');
    await page.fill('[name=code]', codes[0]!);
    await page.click('#password button');
    await page.waitForURL(`${plane.url}/device`);
    expect(await whoami(page)).toBe('paula');
    expect(trouble).toEqual([]);
  }, 60_000);

  test('one that does not know who touches it, one that went back in time, and another’s challenge are refused', async () => {
    await plane.call('POST', '/v1/principals', { name: 'petra', kind: 'person' });
    const { body } = await plane.call<{ link: string }>('POST', '/v1/accounts/petra/links', {});
    const one = await seat();
    await register(one, body.link);
    const login = async () => {
      await one.page.context().clearCookies();
      await one.page.goto(`${plane.url}/login`);
      await one.page.click('#passkey');
    };
    // A cloned authenticator: what is kept is ahead of what it counts.
    await database().passkey.updateMany({
      data: { counter: 1_000_000n },
      where: { account: { principal: { name: 'petra' } } },
    });
    await login();
    await one.page.getByText('Authentication failed.').waitFor();
    await database().passkey.updateMany({
      data: { counter: 0n },
      where: { account: { principal: { name: 'petra' } } },
    });
    // The challenge of another browser.
    await one.page.route('**/v1/login/local/passkey', async (route) => {
      const begun = await fetch(`${plane.url}/v1/login/local/passkey/begin`, {
        method: 'POST',
        body: '{}',
        headers: { 'content-type': 'application/json' },
      });
      const [name, value] = begun.headers.get('set-cookie')!.split(';')[0]!.split('=') as [string, string];
      await one.page.context().addCookies([{ name, value, domain: 'localhost', path: '/v1/login/local' }]);
      await route.continue();
    });
    await login();
    await one.page.getByText('Authentication failed.').waitFor();
    await one.page.unroute('**/v1/login/local/passkey');
    await one.cdp.send('WebAuthn.setUserVerified', { authenticatorId: one.authenticatorId, isUserVerified: false });
    await login();
    await expect.poll(() => text(one.page)).not.toBe('');
    expect((await one.page.context().cookies()).some(({ name }) => name === 'sallyport_session')).toBe(false);
    await one.cdp.send('WebAuthn.setUserVerified', { authenticatorId: one.authenticatorId, isUserVerified: true });
    await login();
    await one.page.waitForURL(`${plane.url}/device`);
    expect(await whoami(one.page)).toBe('petra');
  }, 60_000);

  test('an answer that is sent twice is good once, and a removed passkey never', async () => {
    await plane.call('POST', '/v1/principals', { name: 'pia', kind: 'person' });
    const { body } = await plane.call<{ link: string }>('POST', '/v1/accounts/pia/links', {});
    const one = await seat();
    await register(one, body.link);
    await one.page.goto(`${plane.url}/login`);
    const sent = one.page.waitForRequest('**/v1/login/local/passkey');
    await one.page.click('#passkey');
    const request = await sent;
    await one.page.waitForURL(`${plane.url}/device`);
    const again = await fetch(request.url(), {
      method: 'POST',
      body: request.postData()!,
      headers: await request.allHeaders(),
    });
    expect(await again.json()).toMatchObject({ code: 'auth.failed' });
    const account = await plane.call<{ passkeys: { id: string }[] }>('GET', '/v1/accounts/pia');
    expect((await plane.call('DELETE', `/v1/accounts/pia/passkeys/${account.body.passkeys[0]!.id}`)).status).toBe(204);
    await one.page.goto(`${plane.url}/login`);
    await one.page.click('#passkey');
    await one.page.getByText('Authentication failed.').waitFor();
  }, 60_000);
});
