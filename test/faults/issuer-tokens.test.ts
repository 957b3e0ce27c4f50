/**
 * A cluster's own tokens at a real agent whose control plane is gone: kill -9, real psql driver. The issuer is a server of
 * ours that speaks a cluster's discovery and signs service-account tokens as Kubernetes documents them.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { eventually, useStack } from './with-stack.ts';

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
let server: Server | undefined;
let issuer = '';
const running = useStack({
  prepare: async () => {
    server = createServer((request, response) => {
      const jwk = { ...pair.publicKey.export({ format: 'jwk' }), kid: 'cluster-1', use: 'sig', alg: 'ES256' };
      const discovery = { issuer, jwks_uri: `${issuer}/openid/v1/jwks` };
      response.end(JSON.stringify(request.url === '/openid/v1/jwks' ? { keys: [jwk] } : discovery));
    });
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return { controlPlaneEnv: { SALLYPORT_ISSUER_LOOPBACK: 'on' } };
  },
});
afterAll(() => {
  server?.closeAllConnections();
  server?.close();
});

const AUDIENCE = 'https://sallyport.example';
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
function serviceAccount(name: string, more: object = {}, key: KeyObject = pair.privateKey): string {
  const now = Math.floor(Date.now() / 1000);
  const input = `${part({ alg: 'ES256', kid: 'cluster-1' })}.${part({
    iss: issuer,
    aud: [AUDIENCE],
    sub: `system:serviceaccount:payments:${name}`,
    iat: now,
    nbf: now,
    exp: now + 600,
    'kubernetes.io': { namespace: 'payments', serviceaccount: { name, uid: 'u-1' }, pod: { name: 'p-1', uid: 'u-2' } },
    ...more,
  })}`;
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

async function open(password: string, user = 'payments-db'): Promise<{ client: pg.Client; ended: () => boolean }> {
  const { dev } = running().stack;
  const { host, postgres: port } = dev.agent;
  const ssl = { ca: readFileSync(dev.ca, 'utf8') };
  const client = new pg.Client({ host, port, user, password, database: dev.demo.database, ssl });
  let ended = false;
  client.on('error', () => undefined);
  client.on('end', () => {
    ended = true;
  });
  await client.connect();
  return { client, ended: () => ended };
}
const REFUSED = { code: '28P01', message: expect.stringContaining('Authentication failed') };

/** Which account's rule names which principal. */
const rule = (name: string, principal: string) => ({
  name,
  kind: 'kubernetes',
  issuer,
  audiences: [AUDIENCE],
  claims: { 'kubernetes.io/namespace': 'payments', 'kubernetes.io/serviceaccount/name': name },
  principal,
});
const setIssuerTokens = async (issuerTokens: string): Promise<void> => {
  const { admin } = running().stack;
  const shown = await admin.call<Record<string, unknown>>('GET', '/v1/resources/payments-db');
  const { name, type, description, labels, postgres, credential, recording, approval } = shown;
  const document = { name, type, description, labels, postgres, credential, recording, approval, issuerTokens };
  await admin.call('PUT', '/v1/resources/payments-db', document);
};
/** Until the agent has what was just changed: a token that must open does. */
const opens = (token: string) => eventually(() => open(token), 30_000);

test('while the link stands a resource takes a cluster’s token only where it says always', async () => {
  const { stack } = running();
  for (const [account, principal] of [
    ['etl', 'nightly-etl'],
    ['bot', 'payments-bot'],
  ] as const)
    await stack.admin.call('POST', '/v1/trust-rules', rule(account, principal));
  await expect(open(serviceAccount('etl'))).rejects.toMatchObject(REFUSED);
  await setIssuerTokens('always');
  const session = await opens(serviceAccount('etl'));
  expect((await session.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await session.client.end();
  await setIssuerTokens('offline');
  await eventually(async () => {
    const still = await open(serviceAccount('etl')).catch(() => undefined);
    await still?.client.end();
    return still === undefined ? true : undefined;
  }, 30_000);
});

test('with the control plane killed it opens a session, judged as ever; a forged, foreign, old or unknown one does not', async () => {
  const { stack } = running();
  await stack.controlPlane().stop('SIGKILL');
  try {
    const session = await opens(serviceAccount('bot'));
    expect((await session.client.query('select count(*)::int as n from customers')).rows[0].n).toBe(60_000);
    await expect(session.client.query('drop table payments')).rejects.toMatchObject({ code: '42501' });
    await session.client.end();
    const now = Math.floor(Date.now() / 1000);
    for (const [what, token] of Object.entries({
      'another audience': serviceAccount('bot', { aud: ['https://kubernetes.default.svc'] }),
      'another issuer': serviceAccount('bot', { iss: 'https://evil.example' }),
      'an account without a rule': serviceAccount('other'),
      'another namespace': serviceAccount('bot', {
        'kubernetes.io': { namespace: 'x', serviceaccount: { name: 'bot' } },
      }),
      expired: serviceAccount('bot', { iat: now - 700, nbf: now - 700, exp: now - 60 }),
      'not yet valid': serviceAccount('bot', { nbf: now + 300 }),
      'a long life': serviceAccount('bot', { exp: now + 90_000 }),
      'a stranger’s key': serviceAccount('bot', {}, stranger.privateKey),
      'no signature': `${part({ alg: 'none' })}.${serviceAccount('bot').split('.')[1]}.`,
    }))
      await expect(open(token), what).rejects.toMatchObject(REFUSED);
    // A right of one resource is none of another.
    await expect(open(serviceAccount('bot'), 'nowhere-db')).rejects.toMatchObject(REFUSED);
  } finally {
    await stack.restartControlPlane();
  }
});

test('whose token opened a session, and why one was refused, stand on the trail', async () => {
  const { stack } = running();
  const shown = await eventually(async () => {
    const { items } = await stack.admin.call<{ items: { issuer: object | null }[] }>(
      'GET',
      '/v1/sessions?principal=payments-bot&sort=-openedAt',
    );
    return items.find(({ issuer }) => issuer !== null);
  }, 30_000);
  expect(shown.issuer).toEqual({ rule: 'bot', issuer, subject: 'system:serviceaccount:payments:bot' });
  await eventually(async () => {
    const { items } = await stack.admin.call<{ items: { why?: string }[] }>('GET', '/v1/trail/events?kind=auth.failed');
    return items.length >= 10 ? true : undefined;
  }, 30_000);
});

test('a rule that is removed cuts what its tokens opened, and opens nothing when the control plane is gone again', async () => {
  const { stack } = running();
  await setIssuerTokens('always');
  const [etl, bot] = [await opens(serviceAccount('etl')), await opens(serviceAccount('bot'))];
  await stack.admin.call('DELETE', '/v1/trust-rules/etl');
  await eventually(() => (etl.ended() ? true : undefined), 20_000);
  expect(bot.ended()).toBe(false);
  await stack.controlPlane().stop('SIGKILL');
  try {
    await expect(open(serviceAccount('etl'))).rejects.toMatchObject(REFUSED);
    await (await opens(serviceAccount('bot'))).client.end();
  } finally {
    await stack.restartControlPlane();
  }
  await bot.client.end();
});

test('a disabled principal’s sessions end, and its token opens none', async () => {
  const { stack } = running();
  const bot = await opens(serviceAccount('bot'));
  await stack.admin.call('PATCH', '/v1/principals/payments-bot', { disabled: true });
  await eventually(() => (bot.ended() ? true : undefined), 20_000);
  await expect(open(serviceAccount('bot'))).rejects.toMatchObject(REFUSED);
});
