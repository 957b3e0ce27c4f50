/**
 * Secrets planted on a whole stack, then looked for in everything it says and writes: REST, logs, metrics, the trail's
 * export, webhooks, every file of its folders, arguments and environments of its processes. In clear and as encodings.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accessToken } from '../../scripts/stack/rest.ts';
import { apiToken, openSql } from '../../scripts/stack/sql-client.ts';
import { eventually, truth, useStack } from './with-stack.ts';

const word = (name: string): string => `cnry${name}${randomBytes(9).toString('hex')}`;
const PLANTED = {
  password: word('password'),
  refused: word('refused'),
  maker: word('maker'),
  webhook: word('webhook'),
  provider: word('provider'),
  fetched: word('fetched'),
  vault: word('vaulttoken'),
} as const;
/** Everything that must not be found, with where each may be all the same. */
const secrets = new Map<string, { readonly text: string; readonly mayBeIn: readonly string[] }>();
const said: { readonly where: string; readonly bytes: Buffer }[] = [];
let receiver: Server;

const running = useStack({
  prepare: () => ({ controlPlaneEnv: { SALLYPORT_SECRET_FETCHED: PLANTED.fetched } }),
});
const hear = (where: string, bytes: Buffer | string): void => void said.push({ where, bytes: Buffer.from(bytes) });
const plant = (name: string, text: string, ...mayBeIn: readonly string[]): void =>
  void secrets.set(name, { text, mayBeIn });

/** In clear, and in the encodings in which a secret slips through a search. */
const formsOf = (text: string): readonly Buffer[] => {
  const bytes = Buffer.from(text);
  // The first and last letters of base64 hang on what stands beside them.
  const base64 = (shift: number): string =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(shift === 0 ? 0 : 4, -4);
  return [text, bytes.toString('hex'), base64(0), base64(1), base64(2), encodeURIComponent(text)].map((form) =>
    Buffer.from(form),
  );
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
  await admin
    .call('POST', '/v1/identity-providers', {
      name: 'canary',
      kind: 'oidc',
      config: { issuer: 'https://idp.example.com', clientId: 'sallyport' },
      secrets: { clientSecret: PLANTED.provider },
    })
    .catch((error: Error) => hear('refusal', error.message));
}, 120_000);
afterAll(() => void receiver?.close());

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
  for (const [at, line] of readFileSync(path.join(dir, 'control-plane/kek'), 'utf8').trim().split('\n').entries())
    plant(`master key ${at}`, line, 'control-plane/kek');

  await listen(dev.rest, await apiToken(dev, 'admin'));
  for (const name of ['agent.log', 'control-plane.log']) hear(name, readFileSync(path.join(dir, name)));
  await stack.agent().stop('SIGKILL');
  await stack.restartAgent();
  for (const [where, bytes] of processWords(dir)) hear(where, bytes);
  for (const [where, bytes] of filesOf(dir)) hear(where, bytes);

  const found: string[] = [];
  for (const [name, { text, mayBeIn }] of secrets) {
    expect(text.length, name).toBeGreaterThan(15);
    const forms = formsOf(text);
    for (const { where, bytes } of said) {
      if (mayBeIn.some((place) => where.includes(place))) continue;
      if (forms.some((form) => bytes.includes(form))) found.push(`${name} in ${where}`);
    }
  }
  expect([...new Set(found)]).toEqual([]);
  // The search finds what is there.
  expect(said.some(({ bytes }) => bytes.includes('customers'))).toBe(true);
  const kek = formsOf(secrets.get('master key')?.text ?? '')[0]!;
  expect(said.filter(({ bytes }) => bytes.includes(kek)).map(({ where }) => where)).toEqual(['control-plane/kek']);
  expect(said.filter(({ where }) => where === 'webhook').length).toBeGreaterThan(0);
}, 180_000);

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
      // The one variable that the operator gave a secret by.
      const others = environment
        .toString()
        .split('\0')
        .filter((entry) => !entry.startsWith('SALLYPORT_SECRET_'));
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
