/**
 * People who sign in, as far as a real agent's session: by the real command line and its loopback, judged by how they proved
 * who they are, and cut when their provider says so.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { accessToken } from '../../scripts/stack/rest.ts';
import { browse, formOf, type Jars } from '../../scripts/tour/browse.ts';
import { OpenIdProvider } from '../wire/openid-provider.ts';
import { eventually, useStack } from './with-stack.ts';

const PROGRAM = path.join(import.meta.dirname, '../../apps/cli/dist/sallyport.mjs');
const op = new OpenIdProvider();
const homes: string[] = [];
const running = useStack({
  prepare: async () => {
    await op.start();
    return {};
  },
});
afterAll(() => {
  op.stop();
  for (const home of homes) rmSync(home, { recursive: true, force: true });
});

interface SignedIn {
  readonly said: string;
  /** The token that the program keeps in its profile. */
  readonly token: string;
}

/** `sallyport login --browser` in a home of its own; `person` is who sits at the browser. */
async function login(
  more: readonly string[],
  person: (address: string, jars: Jars) => Promise<void>,
): Promise<SignedIn> {
  const home = mkdtempSync('/var/tmp/sallyport-login-');
  homes.push(home);
  // No program that could open a browser is found: the test is the browser.
  const env = { PATH: '/nonexistent', HOME: home, TMPDIR: home };
  const args = ['login', '--browser', '--url', running().stack.dev.rest, ...more];
  const child = spawn(process.execPath, [PROGRAM, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  try {
    const address = await eventually(() => /http:\S+\/v1\/oauth\/authorize\S+/.exec(`${out}${err}`)?.[0], 30_000);
    await person(address, new Map());
    expect(await ended, err).toBe(0);
  } finally {
    child.kill();
  }
  const config = JSON.parse(readFileSync(path.join(home, '.config/sallyport/config.json'), 'utf8')) as {
    profiles: Record<string, { token: string }>;
  };
  return { said: out, token: Object.values(config.profiles)[0]!.token };
}

/** Through our own OpenID provider, which asks nothing; then the page that asks whether the program may. */
const atOnce = async (address: string, jars: Jars): Promise<void> => {
  const consent = formOf(await browse(jars, address));
  const done = await browse(jars, consent.action, { ...consent.fields, answer: 'approve' });
  expect([done.status, new URL(done.url).pathname]).toEqual([200, '/callback']);
};

async function open(token: string): Promise<{ client: pg.Client; ended: () => number }> {
  const { dev } = running().stack;
  const { host, postgres: port } = dev.agent;
  const password = await accessToken(dev.rest, token, 'payments-db');
  const ssl = { ca: readFileSync(dev.ca, 'utf8') };
  const client = new pg.Client({ host, port, user: 'payments-db', password, database: dev.demo.database, ssl });
  let endedAt = 0;
  client.on('error', () => undefined);
  client.on('end', () => {
    endedAt = performance.now();
  });
  await client.connect();
  return { client, ended: () => endedAt };
}

test('the command line signs a person in by the browser, through the embedded provider’s form and our own question', async () => {
  const { stack } = running();
  const { persons } = JSON.parse(readFileSync(path.join(stack.dev.controlPlane.dataDir, 'demo-idp.json'), 'utf8')) as {
    persons: Record<string, string>;
  };
  const { said, token } = await login(['--provider', 'demo'], async (address, jars) => {
    const form = await browse(jars, address);
    const consent = formOf(await browse(jars, form.url, { name: 'ana', password: persons['ana'] ?? '' }));
    // The question is not answered by looking at it.
    expect(consent.fields['code_challenge_method']).toBe('S256');
    await browse(jars, consent.action, { ...consent.fields, answer: 'approve' });
  });
  expect(said).toContain('as ana (person)');
  expect(said).not.toContain(token);
  const me = await stack.admin.as(token).call<{ principal: { name: string } }>('GET', '/v1/whoami');
  expect(me.principal.name).toBe('ana');
  const session = await open(token);
  expect((await session.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await session.client.end();
});

test('rules about how somebody signed in hold at the agent, and the session says how', async () => {
  const { stack } = running();
  await stack.admin.call('POST', '/v1/identity-providers', {
    name: 'corp',
    kind: 'oidc',
    config: { issuer: op.issuer, clientId: 'sallyport', clientAuth: 'none' },
  });
  await stack.admin.call('POST', '/v1/policies', {
    source: `kind: Policy
name: proven
subjects: { principals: [paula] }
rules:
  - name: second-factor
    when: '!("otp" in auth.amr)'
    verdict: deny
    message: Sign in with a second factor.
  - name: level-for-writing
    when: sql.effects.exists(e, e == "write") && !("urn:level:high" == auth.acr)
    verdict: deny
    message: Sign in at the high level.
  - name: of-corp
    when: auth.provider != "corp" || auth.age > 3600
    verdict: deny
    message: Sign in at corp.
`,
  });
  op.says = { sub: 'p-1', preferred_username: 'paula', amr: ['pwd'] };
  const weak = await login(['--provider', 'corp'], atOnce);
  await stack.admin.call('POST', '/v1/grants', {
    name: 'paula',
    principal: 'paula',
    resource: 'payments-db',
    effects: ['read', 'write'],
  });
  const WRITE = 'update payments set note = note where id = 1';
  // The grant and the rule are on their way to the agent.
  const denied = await eventually(() => open(weak.token), 30_000);
  await expect(denied.client.query('select 1')).rejects.toMatchObject({
    code: '42501',
    message: expect.stringContaining('second factor'),
  });
  await denied.client.end();
  op.says = { ...op.says, amr: ['pwd', 'otp'] };
  const strong = await open((await login(['--provider', 'corp'], atOnce)).token);
  expect((await strong.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await expect(strong.client.query(WRITE)).rejects.toMatchObject({
    code: '42501',
    message: expect.stringContaining('high level'),
  });
  await strong.client.end();
  op.says = { ...op.says, acr: 'urn:level:high' };
  const high = await open((await login(['--provider', 'corp'], atOnce)).token);
  expect((await high.client.query(WRITE)).rowCount).toBe(1);
  await high.client.end();
  // An API token proves no sign-in: such rules deny it.
  const { token } = await stack.admin.call<{ token: string }>('POST', '/v1/principals/paula/tokens', { name: 't' });
  const silent = await open(token);
  await expect(silent.client.query('select 1')).rejects.toMatchObject({ code: '42501' });
  await silent.client.end();
  const shown = await eventually(async () => {
    const { items } = await stack.admin.call<{ items: { auth: { amr: string[] } | null }[] }>(
      'GET',
      '/v1/sessions?principal=paula&sort=openedAt&live=false',
    );
    return items.length >= 4 ? items.map(({ auth }) => auth) : undefined;
  }, 30_000);
  const at = expect.any(String);
  expect(shown).toEqual([
    { provider: 'corp', amr: ['pwd'], acr: '', at },
    { provider: 'corp', amr: ['pwd', 'otp'], acr: '', at },
    { provider: 'corp', amr: ['pwd', 'otp'], acr: 'urn:level:high', at },
    null,
  ]);
});

test('a session with such facts stands in the live table while it is open', async () => {
  const { stack } = running();
  op.says = { sub: 'p-1', preferred_username: 'paula', amr: ['pwd', 'otp'] };
  const session = await open((await login(['--provider', 'corp'], atOnce)).token);
  await session.client.query('select 1');
  await eventually(async () => {
    const { items } = await stack.admin.call<{ items: { statements: number }[] }>(
      'GET',
      '/v1/sessions?principal=paula&live=true',
    );
    // Counters of a live session come by its reports alone: the trail counts at the end.
    return items.some(({ statements }) => statements > 0) ? true : undefined;
  }, 30_000);
  await session.client.end();
});

test('a membership that is taken away ends the session that rested on it, and opens none', async () => {
  const { stack } = running();
  await stack.admin.call('POST', '/v1/groups', { name: 'guests' });
  await stack.admin.call('POST', '/v1/principals', { name: 'gus', kind: 'person' });
  await stack.admin.call('PUT', '/v1/groups/guests/members/gus');
  await stack.admin.call('POST', '/v1/grants', {
    name: 'guests',
    group: 'guests',
    resource: 'payments-db',
    effects: ['read'],
  });
  const { token } = await stack.admin.call<{ token: string }>('POST', '/v1/principals/gus/tokens', { name: 't' });
  const session = await eventually(() => open(token), 30_000);
  expect((await session.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await stack.admin.call('DELETE', '/v1/groups/guests/members/gus');
  await eventually(() => (session.ended() > 0 ? true : undefined), 20_000);
  await expect(open(token)).rejects.toThrow();
});

test('the provider’s order to log out cuts a session at the agent', async ({ annotate }) => {
  const { stack } = running();
  op.says = { sub: 'p-1', preferred_username: 'paula', amr: ['pwd', 'otp'] };
  const { token } = await login(['--provider', 'corp'], atOnce);
  const session = await open(token);
  await session.client.query('select 1');
  const order = async (sub: string): Promise<number> =>
    (
      await fetch(`${stack.dev.rest}/v1/oidc/corp/backchannel-logout`, {
        method: 'POST',
        body: new URLSearchParams({ logout_token: op.logoutToken(sub) }),
      })
    ).status;
  // Somebody else's order ends nothing here.
  expect(await order('p-2')).toBe(200);
  expect((await session.client.query('select 2 as two')).rows).toEqual([{ two: 2 }]);
  const from = performance.now();
  expect(await order('p-1')).toBe(200);
  await eventually(() => (session.ended() > 0 ? true : undefined), 20_000);
  await annotate(`cut ${Math.round(session.ended() - from)} ms after the order`);
  await expect(stack.admin.as(token).call('GET', '/v1/whoami')).rejects.toMatchObject({ code: 'auth.required' });
});
