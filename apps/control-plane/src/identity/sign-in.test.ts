/** Signing in by the embedded provider, end to end over HTTP with cookies, and the device flow on top of it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { safeReturnTo } from './sign-in.service.ts';

let plane: TestControlPlane;
let passwords: Record<string, string>;
beforeAll(async () => {
  plane = await startTestControlPlane({ SALLYPORT_DEMO_IDP: 'on' });
  passwords = (
    JSON.parse(readFileSync(path.join(plane.dir, 'data/demo-idp.json'), 'utf8')) as { persons: Record<string, string> }
  ).persons;
  await plane.call('POST', '/v1/groups', { name: 'dba' });
  await plane.call('POST', '/v1/principals', { name: 'ana', kind: 'person', roles: ['member', 'approver'] });
}, 60_000);
afterAll(async () => await plane.stop());

/** A browser without scripts: cookies by origin, redirects by hand. */
class Browser {
  readonly #cookies = new Map<string, Map<string, string>>();
  cookies(url: string): Map<string, string> {
    const { origin } = new URL(url);
    const jar = this.#cookies.get(origin) ?? new Map<string, string>();
    this.#cookies.set(origin, jar);
    return jar;
  }
  async open(start: string, form?: Record<string, string>): Promise<{ url: string; status: number; html: string }> {
    let url = start;
    let body = form;
    for (let hops = 0; hops < 15; hops++) {
      const jar = this.cookies(url);
      const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
      const response = await fetch(url, {
        redirect: 'manual',
        headers: { cookie },
        ...(body === undefined ? {} : { method: 'POST', body: new URLSearchParams(body) }),
      });
      for (const line of response.headers.getSetCookie()) {
        const [name, value] = line.split(';')[0]!.split(/=(.*)/s) as [string, string];
        if (/max-age=0|expires=thu, 01 jan 1970/i.test(line)) jar.delete(name);
        else jar.set(name, value);
      }
      const location = response.headers.get('location');
      if (location === null) return { url, status: response.status, html: await response.text() };
      url = new URL(location, url).href;
      body = undefined;
    }
    throw new Error('too many redirects');
  }
}

async function signIn(
  browser: Browser,
  name: string,
  returnTo = '/device',
): Promise<{ url: string; status: number; html: string }> {
  const page = await browser.open(`${plane.url}/v1/login?return_to=${encodeURIComponent(returnTo)}`);
  expect(page.html).toContain('Demo sign-in');
  return await browser.open(page.url, { name, password: passwords[name]! });
}

test('a person signs in by OpenID Connect, is the principal of that name, and gets the groups of the claim', async () => {
  const browser = new Browser();
  const page = await signIn(browser, 'ana');
  expect(page.status).toBe(200);
  expect(page.html).toContain('Signed in as ana');
  const session = browser.cookies(plane.url).get('sallyport_session')!;
  const who = await plane.call<{ principal: { name: string }; groups: string[]; roles: string[] }>(
    'GET',
    '/v1/whoami',
    undefined,
    session,
  );
  expect(who.body.principal.name).toBe('ana');
  expect(who.body.groups).toEqual(['dba']);
  expect(who.body.roles).toEqual(['member', 'approver']);
});

test('a person nobody knows yet becomes a member without groups', async () => {
  const browser = new Browser();
  await signIn(browser, 'carla');
  const session = browser.cookies(plane.url).get('sallyport_session')!;
  const who = await plane.call<{ principal: { name: string; kind: string }; groups: string[]; roles: string[] }>(
    'GET',
    '/v1/whoami',
    undefined,
    session,
  );
  expect(who.body).toMatchObject({ principal: { name: 'carla', kind: 'person' }, groups: [], roles: ['member'] });
});

test('a membership the provider no longer gives goes at the next sign-in, and a manual one stays', async () => {
  await plane.call('POST', '/v1/groups', { name: 'analysts' });
  await plane.call('PUT', '/v1/groups/dba/members/carla');
  const browser = new Browser();
  await signIn(browser, 'carla');
  expect((await plane.call<{ groups: string[] }>('GET', '/v1/principals/carla')).body.groups).toEqual([
    'analysts',
    'dba',
  ]);
  await plane.call('DELETE', '/v1/groups/analysts');
  const again = new Browser();
  await signIn(again, 'carla');
  expect((await plane.call<{ groups: string[] }>('GET', '/v1/principals/carla')).body.groups).toEqual(['dba']);
});

test('a wrong password stays at the provider and opens nothing', async () => {
  const browser = new Browser();
  const page = await browser.open(`${plane.url}/v1/login`);
  const wrong = await browser.open(page.url, { name: 'ana', password: 'wrong' });
  expect(wrong.html).toContain('Name or password is wrong');
  expect(browser.cookies(plane.url).has('sallyport_session')).toBe(false);
});

test('a callback in another browser than the one that began is refused', async () => {
  const victim = new Browser();
  const page = await victim.open(`${plane.url}/v1/login`);
  const stolen = await fetch(`${plane.url}/v1/login/callback?code=x&state=${'y'.repeat(43)}`, { redirect: 'manual' });
  expect(stolen.status).toBe(401);
  expect(page.status).toBe(200);
});

test.each([
  'https://evil.example/',
  '//evil.example',
  '/\\evil.example',
  '\\\\evil.example',
  '/\t/evil.example',
  '\t//evil.example',
  '/\n/evil.example',
  ' //evil.example',
  'evil.example',
  'javascript:alert(1)',
  'https:evil.example',
  '/%0d%0alocation:%20https://evil.example',
  '/.//evil.example',
  '/..//evil.example',
  '/@evil.example',
  `/${'x'.repeat(600)}`,
  '',
])('no browser leaves this origin for %j', (target) => {
  const to = new URL(safeReturnTo(target), 'https://gate.example/v1/login/callback');
  expect(to.origin).toBe('https://gate.example');
  expect(safeReturnTo(target)).not.toMatch(/[\0-\x20\\]/);
});

test.each(['https://evil.example/', '//evil.example', '/\\evil.example'])(
  'after sign-in nobody is sent to %s',
  async (target) => {
    const browser = new Browser();
    const page = await signIn(browser, 'ben', target);
    expect(new URL(page.url).origin).toBe(plane.url);
  },
);

const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
interface DeviceCodes {
  readonly device_code: string;
  readonly user_code: string;
  readonly verification_uri_complete: string;
}
const startDevice = async (): Promise<DeviceCodes> =>
  (await (
    await fetch(`${plane.url}/v1/oauth/device_authorization`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: 'sallyport-cli' }),
    })
  ).json()) as DeviceCodes;
const fieldsOf = (html: string): { user_code: string; proof: string } => ({
  user_code: /name="user_code" value="([^"]+)"/.exec(html)![1]!,
  proof: /name="proof" value="([^"]+)"/.exec(html)![1]!,
});

test('a device waits, the person confirms its code after signing in, and the device gets a session once', async () => {
  const codes = await startDevice();
  const poll = () =>
    plane.oauth<{ error?: string; access_token?: string }>({ grant_type: DEVICE, device_code: codes.device_code });
  expect((await poll()).body.error).toBe('authorization_pending');
  expect((await poll()).body.error).toBe('slow_down');
  const browser = new Browser();
  const page = await signIn(
    browser,
    'ana',
    new URL(codes.verification_uri_complete).pathname + new URL(codes.verification_uri_complete).search,
  );
  expect(page.html).toContain(codes.user_code);
  const done = await browser.open(`${plane.url}/device`, { ...fieldsOf(page.html), answer: 'approve' });
  expect(done.html).toContain('signed in');
  const token = (await poll()).body.access_token!;
  expect(
    (await plane.call<{ principal: { name: string } }>('GET', '/v1/whoami', undefined, token)).body.principal.name,
  ).toBe('ana');
  expect((await poll()).body.error).toBe('expired_token');
});

test.each([
  ['what an agent asks for', 'ssh web-1 from 10.1.2.3'],
  ['a sentence', 'Your administrator'],
  ['turned text', 'cli\u202eevil'],
  ['a zero byte', 'cli\0'],
  ['nothing', ''],
])('a device whose name is %s gets no code', async (_what, name) => {
  const answer = await fetch(`${plane.url}/v1/oauth/device_authorization`, {
    method: 'POST',
    body: new URLSearchParams({ client_id: name }),
  });
  expect(answer.status).toBe(400);
});

test('a refused code and a form without the right proof sign nothing in', async () => {
  const codes = await startDevice();
  const browser = new Browser();
  await signIn(browser, 'ana');
  const page = await browser.open(codes.verification_uri_complete);
  expect(
    (await browser.open(`${plane.url}/device`, { ...fieldsOf(page.html), proof: 'forged', answer: 'approve' })).status,
  ).toBe(403);
  expect(
    (await plane.oauth<{ error: string }>({ grant_type: DEVICE, device_code: codes.device_code })).body.error,
  ).toBe('authorization_pending');
  await browser.open(`${plane.url}/device`, { ...fieldsOf(page.html), answer: 'deny' });
  expect(
    (await plane.oauth<{ error: string }>({ grant_type: DEVICE, device_code: codes.device_code })).body.error,
  ).toBe('access_denied');
});

// projects
const projectOf = async (browser: Browser): Promise<string | undefined> => {
  const session = browser.cookies(plane.url).get('sallyport_session');
  if (session === undefined) return undefined;
  const { body } = await plane.call<{ project: { name: string } }>('GET', '/v1/whoami', undefined, session);
  return body.project.name;
};
const signInTo = async (browser: Browser, project: string, name: string) => {
  const page = await browser.open(`${plane.url}/v1/login?project=${project}`);
  return await browser.open(page.url, { name, password: passwords[name]! });
};

test('a person signs in to the projects they were joined to, and to no other, and is told nothing of those', async () => {
  await plane.call('POST', '/v1/projects', { name: 'payments' });
  await plane.call('POST', '/v1/projects', { name: 'secret-one' });
  const given = await plane.call<{ signsIn: boolean }>('POST', '/v1/projects/payments/admins', { name: 'ana' });
  expect(given.body.signsIn).toBe(true);
  const ana = new Browser();
  await signInTo(ana, 'payments', 'ana');
  expect(await projectOf(ana)).toBe('payments');
  const session = ana.cookies(plane.url).get('sallyport_session')!;
  const seen = await plane.call<{ items: { name: string }[] }>('GET', '/v1/projects', undefined, session);
  expect(seen.body.items.map((project) => project.name)).toEqual(['default', 'payments']);
  const said = [];
  for (const project of ['secret-one', 'no-such-project']) {
    const stranger = new Browser();
    const page = await signInTo(stranger, project, 'ben');
    expect(await projectOf(stranger)).toBeUndefined();
    said.push([page.status, page.html.replace(/req-\w+/g, '')]);
  }
  expect(said[0]).toEqual(said[1]);
});

test('a device signs in to the project it asked for, by a person of that project alone', async () => {
  const ask = async (project: string): Promise<{ user_code: string; verification_uri_complete: string }> => {
    const response = await fetch(`${plane.url}/v1/oauth/device_authorization`, {
      method: 'POST',
      body: new URLSearchParams({ project }),
    });
    expect(response.status).toBe(200);
    return (await response.json()) as { user_code: string; verification_uri_complete: string };
  };
  const browser = new Browser();
  await signIn(browser, 'ana');
  expect(await projectOf(browser)).toBe('default');
  const codes = await ask('payments');
  // Sent to sign in to the project that the device asks for, which the provider's own session does without a question.
  const page = await browser.open(codes.verification_uri_complete);
  expect(page.html).toContain('Yes, sign it in');
  expect(await projectOf(browser)).toBe('payments');
  const ben = new Browser();
  await signIn(ben, 'ben');
  const refused = await ben.open(codes.verification_uri_complete);
  expect(refused.html).not.toContain('Yes, sign it in');
  expect(await projectOf(ben)).toBe('default');
  const nowhere = await ask('no-such-project');
  expect((await browser.open(nowhere.verification_uri_complete)).status).toBe(404);
});
