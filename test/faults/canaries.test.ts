/**
 * Secrets planted on a whole stack, then looked for in everything it says and writes: REST, logs, metrics, the trail's
 * export and its payloads opened, recordings, a dump of the database, the command line, notifications by webhook, Slack and
 * mail, every file of its folders, arguments, environments and heaps of its processes. In clear and as encodings.
 */
import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcp, type Server as TcpServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accessToken } from '../../scripts/stack/rest.ts';
import { apiToken, openSql } from '../../scripts/stack/sql-client.ts';
import { openCli } from '../e2e/cli-process.ts';
import { dumped, openedRecord, privateKeys } from './canary-openings.ts';
import { eventually, ownDatabase, truth, useStack } from './with-stack.ts';

const word = (name: string): string => `cnry${name}${randomBytes(9).toString('hex')}`;
const PLANTED = {
  password: word('password'),
  refused: word('refused'),
  maker: word('maker'),
  webhook: word('webhook'),
  provider: word('provider'),
  fetched: word('fetched'),
  vault: word('vaulttoken'),
  botToken: `xoxb-${word('bot')}`,
  signingSecret: word('signing'),
  smtp: word('smtp'),
  typed: word('typed'),
  local: word('local'),
} as const;
/** Everything that must not be found, with where each may be all the same. */
const secrets = new Map<string, { readonly text: string; readonly mayBeIn: readonly string[] }>();
const said: { readonly where: string; readonly bytes: Buffer }[] = [];
let receiver: Server;
let mail: TcpServer;
let mailed = 0;
let heaps = '';

const running = useStack({
  prepare: async () => {
    mail = await startMail();
    const { port } = mail.address() as AddressInfo;
    heaps = mkdtempSync('/var/tmp/sallyport-heaps-');
    const NODE_OPTIONS = `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${heaps}`;
    return {
      agentEnv: { NODE_OPTIONS },
      controlPlaneEnv: {
        NODE_OPTIONS,
        SALLYPORT_SECRET_FETCHED: PLANTED.fetched,
        SALLYPORT_SMTP_URL: `smtp://canary:${PLANTED.smtp}@127.0.0.1:${port}`,
        SALLYPORT_SMTP_FROM: 'sallyport@example.com',
      },
    };
  },
});
const hear = (where: string, bytes: Buffer | string): void => void said.push({ where, bytes: Buffer.from(bytes) });
const plant = (name: string, text: string, ...mayBeIn: readonly string[]): void =>
  void secrets.set(name, { text, mayBeIn });

/** In clear, and in the encodings in which a secret slips through a search. */
const formsOf = (text: string, name: string): readonly Buffer[] => {
  // Keys are bytes and no text.
  const isRaw = /raw|private key/.test(name);
  const bytes = Buffer.from(text, isRaw ? 'latin1' : 'utf8');
  // The first and last letters of base64 hang on what stands beside them.
  const base64 = (shift: number): string =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(shift === 0 ? 0 : 4, -4);
  const shown = [bytes.toString('hex'), base64(0), base64(1), base64(2), bytes.toString('base64url')];
  if (!isRaw) shown.push(encodeURIComponent(text));
  return [bytes, ...shown.map((form) => Buffer.from(form))];
};

beforeAll(async () => {
  const { stack, dir } = running();
  const { admin, dev } = stack;
  receiver = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => hear('webhook', chunk));
    request.on('end', () => response.end());
  });
  await new Promise<void>((done) => receiver.listen(0, '127.0.0.1', done));
  for (const [name, text] of Object.entries(PLANTED)) plant(name, text);
  plant('demo password', stack.database.password, 'dev.json', 'demo/');
  plant('master key', readFileSync(path.join(dir, 'control-plane/kek'), 'utf8').trim(), 'control-plane/kek');
  plant(
    'admin token',
    readFileSync(path.join(dir, 'control-plane/admin-token'), 'utf8').trim(),
    'admin-token',
    'dev.json',
  );
  for (const [name, { token, clientSecret }] of Object.entries(dev.principals))
    plant(`credentials of ${name}`, token ?? clientSecret ?? '', 'dev.json', 'admin-token');
  plant('access token', await accessToken(dev.rest, await apiToken(dev, 'carla'), 'payments-db'));
  const joined = await admin.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name: 'never' });
  plant('join token', joined.joinToken);

  await truth(
    stack,
    `alter role payments_app password '${PLANTED.password}'; create role lent_template nologin;
     grant select on all tables in schema public to lent_template;
     create role lent_maker login createrole password '${PLANTED.maker}'; grant lent_template to lent_maker with admin option; select 1`,
  );
  await admin.call('PUT', '/v1/credentials/payments-app/secret', { secret: PLANTED.password });
  await admin.call('PATCH', '/v1/credentials/payments-app', { fallback: '1h' });
  await admin.call('POST', '/v1/credentials', {
    name: 'maker',
    kind: 'stored',
    username: 'lent_maker',
    secret: PLANTED.maker,
  });
  await admin.call('POST', '/v1/credentials', {
    name: 'lent',
    kind: 'ephemeral',
    admin: 'maker',
    settings: { template: 'lent_template' },
  });
  await admin.call('POST', '/v1/credentials', {
    name: 'fetched',
    kind: 'env',
    username: 'x',
    reference: 'SALLYPORT_SECRET_FETCHED',
    resolveAt: 'control_plane',
  });
  await admin.call('POST', '/v1/credentials', {
    name: 'vaulted',
    kind: 'vault',
    secret: PLANTED.vault,
    settings: { address: 'http://127.0.0.1:1', engine: 'kv2', path: 'a', auth: 'token' },
  });
  const known = await admin.call<Record<string, unknown>>('GET', '/v1/resources/payments-db');
  for (const name of ['lent', 'vaulted'])
    await admin.call('POST', '/v1/resources', {
      name: `db-${name}`,
      type: 'postgres',
      labels: { env: 'prod' },
      credential: name,
      postgres: known['postgres'],
    });
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  await admin.call('POST', '/v1/webhooks', { name: 'canary', url, secret: PLANTED.webhook });
  await admin.call('POST', '/v1/webhooks', {
    name: 'canary-slack',
    format: 'slack_app',
    url: url.slice(0, -1),
    channel: 'C0CANARY',
    botToken: PLANTED.botToken,
    signingSecret: PLANTED.signingSecret,
  });
  await admin.call('POST', '/v1/webhooks', { name: 'canary-mail', format: 'email', to: ['desk@example.com'] });
  await admin.call('POST', '/v1/identity-providers', {
    name: 'canary',
    kind: 'oidc',
    config: { issuer: 'https://idp.example.com', clientId: 'sallyport' },
    secrets: { clientSecret: PLANTED.provider },
  });
  await plantPeople();
  await plantMachines();
}, 120_000);
afterAll(() => {
  receiver?.close();
  mail?.close();
  rmSync(heaps, { recursive: true, force: true });
});

const post = async (at: string, body: string | URLSearchParams, type = 'application/json'): Promise<Response> =>
  await fetch(running().stack.dev.rest + at, {
    method: 'POST',
    body,
    headers: { 'content-type': typeof body === 'string' ? type : 'application/x-www-form-urlencoded' },
    redirect: 'manual',
  });

/** A local account with its one-time link, password, seed of codes, recovery codes and browser session. */
async function plantPeople(): Promise<void> {
  const { admin } = running().stack;
  await admin.call('POST', '/v1/principals', { name: 'canary-person', kind: 'person' });
  const { link } = await admin.call<{ link: string }>('POST', '/v1/accounts/canary-person/links', {});
  const token = link.slice(link.indexOf('#') + 1);
  plant('one-time link', token);
  const begun = (await (await post('/v1/login/link/begin', JSON.stringify({ token }))).json()) as {
    totp: { secret: string };
  };
  const { secret } = begun.totp;
  plant('seed of codes', secret);
  const seed = unbase32(secret);
  plant('seed of codes, hex', seed.toString('hex'));
  const code = codeOf(seed, Math.floor(Date.now() / 30_000));
  const made = await post('/v1/login/link/password', JSON.stringify({ token, password: PLANTED.local, code }));
  expect(made.status).toBe(200);
  const { recoveryCodes } = (await made.json()) as { recoveryCodes: readonly string[] };
  // Written with a dash; as entered they may have none.
  for (const [at, one] of recoveryCodes.entries()) if (one.length > 15) plant(`recovery code ${at}`, one);
  plant('browser session', /sallyport_session=([^;]+)/.exec(made.headers.get('set-cookie') ?? '')?.[1] ?? '');
  for (const password of [PLANTED.typed, PLANTED.local]) {
    const answer = await post(
      '/v1/login/local/password',
      JSON.stringify({ username: 'canary-person', password, code: '000000' }),
    );
    hear('refused sign-in', await answer.text());
  }
}

/** A service's client secret, a directory's token, and tokens of an issuer that a trust rule believes. */
async function plantMachines(): Promise<void> {
  const { admin, dev } = running().stack;
  await admin.call('POST', '/v1/principals', { name: 'canary-service', kind: 'service' });
  const made = await admin.call<{ clientId: string; clientSecret: string }>(
    'POST',
    '/v1/principals/canary-service/secrets',
    {},
  );
  plant('client secret', made.clientSecret);
  for (const [name, secret] of [
    ['session of a service', made.clientSecret],
    ['', PLANTED.typed],
  ] as const) {
    const form = { grant_type: 'client_credentials', client_id: made.clientId, client_secret: secret };
    const answer = await post('/v1/oauth/token', new URLSearchParams(form));
    expect(answer.status).toBe(name === '' ? 401 : 200);
    const text = await answer.text();
    if (name === '') hear('refused sign-in', text);
    else plant(name, (JSON.parse(text) as { access_token: string }).access_token);
  }
  await admin.call('POST', '/v1/principals', {
    name: 'canary-directory',
    kind: 'service',
    roles: ['provisioner'],
  });
  const scim = await admin.call<{ token: string }>('POST', '/v1/principals/canary-directory/tokens', {
    name: 'scim',
    scopes: ['scim:write'],
    scim: { provider: 'canary' },
  });
  plant('directory token', scim.token);
  const users = await fetch(`${dev.rest}/scim/v2/Users`, { headers: { authorization: `Bearer ${scim.token}` } });
  expect(users.status).toBe(200);
  hear('SCIM', await users.text());
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = 'https://issuer.example.com';
  await admin.call('POST', '/v1/trust-rules', {
    name: 'canary-trust',
    issuer,
    audiences: ['sallyport'],
    claims: { sub: 'canary-7' },
    principal: 'canary-service',
    keys: {
      from: 'upload',
      keys: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' }] },
    },
  });
  for (const [sub, status] of [
    ['canary-7', 200],
    ['nobody', 400],
  ] as const) {
    const subject = await new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: 'one', typ: 'JWT' })
      .setIssuer(issuer)
      .setSubject(sub)
      .setAudience('sallyport')
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(privateKey);
    plant(`trusted token of ${sub}`, subject.split('.')[2] ?? '');
    const answer = await post(
      '/v1/oauth/token',
      new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: subject,
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      }),
    );
    const text = await answer.text();
    expect(answer.status, text).toBe(status);
    if (status === 200) plant('session by trust', (JSON.parse(text) as { access_token: string }).access_token);
    else hear('refused exchange', text);
  }
}

const unbase32 = (text: string): Buffer => {
  const bits = text
    .split('')
    .map((char) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(char).toString(2).padStart(5, '0'))
    .join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
};

/** RFC 6238 with SHA-1 and six digits. */
function codeOf(seed: Buffer, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const mac = createHmac('sha1', seed).update(counter).digest();
  const at = mac[19]! & 0xf;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

/** Takes every mail; what a sender signs in with is the one thing it does not repeat. */
async function startMail(): Promise<TcpServer> {
  const server = createTcp((socket) => {
    let isData = false;
    let rest = '';
    const say = (line: string): void => void socket.write(`${line}\r\n`);
    say('220 canary ESMTP');
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      rest += chunk.toString();
      for (let at = rest.indexOf('\r\n'); at >= 0; at = rest.indexOf('\r\n')) {
        const line = rest.slice(0, at);
        rest = rest.slice(at + 2);
        if (isData) {
          hear('mail', `${line}\n`);
          if (line !== '.') continue;
          isData = false;
          mailed++;
          say('250 taken');
        } else if (/^EHLO/i.test(line)) {
          say('250-canary');
          say('250 AUTH PLAIN');
        } else if (/^AUTH/i.test(line)) say('235 in');
        else if (/^DATA/i.test(line)) {
          isData = true;
          say('354 go on');
        } else say(/^QUIT/i.test(line) ? '221 bye' : '250 ok');
      }
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return server;
}

test('nothing of a planted secret is in anything the stack says or writes', async () => {
  const { stack, dir } = running();
  const { admin, dev } = stack;
  await sleep(1_500);
  // Sessions that work, one by the value before, one by an account, one by a store that is away; a wrong token; a rotation.
  for (const resource of ['payments-db', 'db-lent', 'db-vaulted']) {
    const session = await openSql(dev, 'carla', resource).catch((error: Error) => {
      hear(`client of ${resource}`, error.message);
      return undefined;
    });
    await session?.client
      .query('select id, name from customers limit 3')
      .catch((error: Error) => hear('client', error.message));
    await session?.client.query('select nothing_here').catch((error: Error) => hear('client', error.message));
    for (const notice of session?.notices ?? []) hear('client', notice);
    await session?.close();
  }
  await admin.call('PUT', '/v1/credentials/payments-app/secret', { secret: PLANTED.refused });
  await sleep(1_500);
  await (await eventually(() => openSql(dev, 'carla').catch(() => undefined), 10_000)).close();
  for (const name of ['maker', 'vaulted', 'lent'])
    hear(
      'test',
      JSON.stringify(await admin.call('POST', `/v1/credentials/${name}/test`).catch((error: Error) => error.message)),
    );
  await admin.call('PUT', '/v1/credentials/payments-app/secret', { secret: PLANTED.password });
  await sleep(1_500);
  hear('rotation', JSON.stringify(await admin.call('POST', '/v1/credentials/payments-app/rotate')));
  hear('master key', JSON.stringify(await admin.call('POST', '/v1/keys/master/rotate')));
  const keks = readFileSync(path.join(dir, 'control-plane/kek'), 'utf8').trim().split('\n');
  for (const [at, line] of keks.entries()) {
    plant(`master key ${at}`, line, 'control-plane/kek');
    plant(`master key ${at}, raw`, Buffer.from(line, 'base64url').toString('latin1'), 'control-plane/kek');
  }

  for (const name of ['canary', 'canary-slack', 'canary-mail'])
    await admin
      .call('POST', `/v1/webhooks/${name}/test`, {})
      .catch((error: Error) => hear('webhook test', error.message));
  await eventually(() => (mailed > 0 ? true : undefined), 20_000);
  await askCommandLine();
  await listen(dev.rest, await apiToken(dev, 'admin'));
  let opened = 0;
  await ownDatabase(dir, async (client) => {
    const keys = await privateKeys(
      client,
      keks.map((line) => Buffer.from(line, 'base64url')),
    );
    expect(keys.map(({ purpose }) => purpose)).toContain('trail_seal');
    for (const [at, { purpose, bytes }] of keys.entries())
      plant(`private key ${at}, ${purpose}`, bytes.toString('latin1'));
    for await (const [where, bytes] of openedRecord(client, keys, path.join(dir, 'control-plane/recordings'))) {
      hear(where, bytes);
      if (where.includes('opened')) opened++;
    }
    for await (const [where, bytes] of dumped(client)) hear(where, bytes);
  });
  await hearHeap('heap of the agent', stack.agent().pid);
  await hearHeap('heap of the control plane', stack.controlPlane().pid);
  for (const name of ['agent.log', 'control-plane.log']) hear(name, readFileSync(path.join(dir, name)));
  await stack.agent().stop('SIGKILL');
  await stack.restartAgent();
  for (const [where, bytes] of processWords(dir)) hear(where, bytes);
  for (const [where, bytes] of filesOf(dir)) hear(where, bytes);

  for (const [name, { text }] of secrets) expect(text.length, name).toBeGreaterThan(15);
  expect([...new Set(secretsIn(said))]).toEqual([]);
  // The search finds what is there.
  expect(opened).toBeGreaterThan(10);
  // A heap is read at all: the name of an account that is signed in with stands in it.
  expect(said.some(({ where, bytes }) => where === 'heap of the agent' && bytes.includes('payments_app'))).toBe(true);
  expect(said.some(({ where, bytes }) => where.startsWith('trail, opened') && bytes.includes('customers'))).toBe(true);
  expect(said.some(({ where, bytes }) => where === 'dump of credentials' && bytes.includes('payments_app'))).toBe(true);
  for (const where of ['mail', 'command line']) expect(said.some((heard) => heard.where.startsWith(where))).toBe(true);
  expect(said.some(({ bytes }) => bytes.includes('customers'))).toBe(true);
  const kek = formsOf(secrets.get('master key')?.text ?? '', '')[0]!;
  expect(said.filter(({ bytes }) => bytes.includes(kek)).map(({ where }) => where)).toEqual(['control-plane/kek']);
  expect(said.filter(({ where }) => where === 'webhook').length).toBeGreaterThan(0);
}, 300_000);

/** Which secrets are where they may not be. */
function secretsIn(heard: readonly { readonly where: string; readonly bytes: Buffer }[]): readonly string[] {
  const found: string[] = [];
  for (const [name, { text, mayBeIn }] of secrets) {
    const forms = formsOf(text, name);
    for (const { where, bytes } of heard) {
      if (mayBeIn.some((place) => where.includes(place)) || isOfNow(name, where)) continue;
      if (forms.some((form) => bytes.includes(form))) found.push(`${name} in ${where}`);
    }
  }
  return found;
}

/** What is used at the moment, by a message that is sent again, is gone a little later; what is kept is not. */
async function hearHeap(where: string, pid: number): Promise<void> {
  let bytes = await heapOf(pid);
  for (let again = 0; again < 2 && secretsIn([{ where, bytes }]).length > 0; again++) {
    await sleep(5_000);
    bytes = await heapOf(pid);
  }
  hear(where, bytes);
}

/** The strings that a heap dump of a process would show, after it was collected. */
async function heapOf(pid: number): Promise<Buffer> {
  const before = new Set(readdirSync(heaps));
  process.kill(pid, 'SIGUSR2');
  const file = await eventually(() => {
    const name = readdirSync(heaps).find(
      (one) => !before.has(one) && one.includes(`.${pid}.`) && one.endsWith('.heapsnapshot'),
    );
    if (name === undefined) return undefined;
    const at = path.join(heaps, name);
    const tail = readFileSync(at).subarray(-4).toString().trimEnd();
    return tail.endsWith('}') ? at : undefined;
  }, 90_000);
  return readFileSync(file);
}

/**
 * What a dump of the control plane's heap may show: what the operator gave by a variable, what its client of a provider
 * keeps to sign in with, and what the last requests bore. Nothing that is stored sealed, and no key.
 */
const isOfNow = (name: string, where: string): boolean =>
  where === 'heap of the control plane' &&
  (['smtp', 'provider', 'typed', 'local'].includes(name) ||
    /token|session|credentials of|client secret|link/.test(name));

/** What the command line prints of all that has a secret, for people and for programs. */
async function askCommandLine(): Promise<void> {
  const cli = openCli(running().stack.dev);
  try {
    for (const args of [
      ['credentials', 'ls'],
      ['credentials', 'show', 'payments-app'],
      ['credentials', 'show', 'vaulted'],
      ['credentials', 'test', 'maker'],
      ['leases', 'ls'],
      ['leases', 'ls', '--ended'],
      ['leases', 'show', '00000000-0000-4000-8000-000000000000'],
      ['providers', 'show', 'canary'],
      ['accounts', 'ls'],
      ['trust', 'ls'],
      ['resources', 'ls'],
      ['trail', 'acts'],
      ['sessions', 'ls'],
      ['credentials', 'show', 'not-there'],
    ])
      for (const more of [[], ['--json']]) {
        const { out, err } = await cli.run([...more, ...args]);
        hear(`command line: ${args.join(' ')}`, `${out}\n${err}`);
      }
  } finally {
    cli.end();
  }
}

/** Every address of the REST API that can be read, the trail's export and the metrics. */
async function listen(rest: string, token: string): Promise<void> {
  const get = async (at: string): Promise<Buffer> => {
    const answer = await fetch(rest + at, {
      headers: { authorization: `Bearer ${token}` },
      redirect: 'manual',
      signal: AbortSignal.timeout(10_000),
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    hear(`GET ${at}`, bytes);
    hear(`headers of ${at}`, JSON.stringify([...answer.headers]));
    return bytes;
  };
  const { paths } = JSON.parse((await get('/openapi.json')).toString()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  const plain = Object.entries(paths).filter(([at, methods]) => 'get' in methods && !at.includes('{'));
  expect(plain.length).toBeGreaterThan(20);
  for (const [at] of plain) await get(at);
  for (const [list, one] of Object.entries({
    credentials: 'credentials',
    webhooks: 'webhooks',
    sessions: 'sessions',
    resources: 'resources',
    leases: 'leases',
  })) {
    const { items } = JSON.parse((await get(`/v1/${list}`)).toString()) as { items: { id: string }[] };
    for (const { id } of items.slice(0, 20)) {
      await get(`/v1/${one}/${id}`);
      if (one === 'sessions') for (const more of ['statements', 'recording']) await get(`/v1/sessions/${id}/${more}`);
      if (one === 'webhooks') await get(`/v1/webhooks/${id}/deliveries`);
    }
  }
  const exported = await get('/v1/trail/export');
  if (exported[0] === 0x1f && exported[1] === 0x8b) hear('trail export', gunzipSync(exported));
  await get('/metrics');
}

/** Arguments of all processes of the stack, and environments of those that are not given a secret on purpose. */
function* processWords(dir: string): Generator<readonly [string, Buffer]> {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`);
      const environment = readFileSync(`/proc/${pid}/environ`);
      if (!words.includes(dir) && !environment.includes(dir)) continue;
      yield [`arguments of ${pid}`, words];
      // The variables that the operator gave a secret by.
      const others = environment
        .toString()
        .split('\0')
        .filter((entry) => !/^SALLYPORT_(SECRET_|SMTP_URL=)/.test(entry));
      if (!words.includes('vitest')) yield [`environment of ${pid}`, Buffer.from(others.join('\0'))];
    } catch {
      // Gone meanwhile.
    }
  }
}

function* filesOf(dir: string): Generator<readonly [string, Buffer]> {
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (!entry.isFile() || !existsSync(file) || statSync(file).size > 256 * 1024 * 1024) continue;
    yield [path.relative(dir, file), readFileSync(file)];
  }
}
