/** Passwords that are no token, or not one for this: all are refused in the same words, and nobody reaches the server. */
import { createHmac, createPrivateKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import type { Seen } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { accessToken, clientToken, restClient } from '../../scripts/stack/rest.ts';
import { apiToken } from '../../scripts/stack/sql-client.ts';
import { gatewayTo } from '../wire/gateway.ts';

const dev = inject('dev');
const gateway = gatewayTo(dev, inject('serverLog'));
let good = '';
beforeAll(async () => {
  good = await gateway.token('payments-bot');
});
afterAll(() => gateway.close());

async function tryWith(secret: string, user = 'payments-db'): Promise<Seen> {
  const wire = await gateway.wire();
  const seen = await wire.signIn({ user, secret, database: dev.demo.database });
  wire.destroy();
  return seen;
}

type Json = Record<string, unknown>;
const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const parts = (token: string): [Json, Json, string] => {
  const [header, claims, signature] = token.split('.') as [string, string, string];
  const json = (part: string): Json => JSON.parse(Buffer.from(part, 'base64url').toString()) as Json;
  return [json(header), json(claims), signature];
};
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
function signed(header: Json, claims: Json, key = stranger): string {
  const head = `${b64(header)}.${b64(claims)}`;
  return `${head}.${sign('sha256', Buffer.from(head), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** Each makes a password out of a good token. */
const FORGED: Readonly<Record<string, (token: string) => string | Promise<string>>> = {
  'no password': () => '',
  'a word': () => 'letmein',
  'a password of 4 KiB': () => 'x'.repeat(4096),
  'the API token itself': () => apiToken(dev, 'ana'),
  'the database’s own password': () => dev.demo.password,
  'a token without its signature': (token) => token.slice(0, token.lastIndexOf('.') + 1),
  'a token cut short': (token) => token.slice(0, -4),
  'a token with a space behind it': (token) => `${token} `,
  'a token with a fourth part': (token) => `${token}.x`,
  'alg none': (token) => `${b64({ ...parts(token)[0], alg: 'none' })}.${b64(parts(token)[1])}.`,
  'alg none, the signature kept': (token) =>
    `${b64({ ...parts(token)[0], alg: 'none' })}.${token.split('.')[1]}.${parts(token)[2]}`,
  'another key under the same id': (token) => signed(parts(token)[0], parts(token)[1]),
  'another key under an id of its own': (token) => signed({ ...parts(token)[0], kid: 'mine' }, parts(token)[1]),
  'a key that the token brings itself': (token) => {
    const jwk = createPrivateKey(stranger.export({ type: 'pkcs8', format: 'pem' })).export({ format: 'jwk' });
    return signed({ ...parts(token)[0], jwk: { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y } }, parts(token)[1]);
  },
  'HMAC with the public key as its secret': async (token) => {
    const keys = (await (await fetch(`${dev.rest}/v1/keys`)).json()) as { keys: Json[] };
    const head = `${b64({ ...parts(token)[0], alg: 'HS256' })}.${token.split('.')[1]}`;
    return `${head}.${createHmac('sha256', JSON.stringify(keys.keys[0])).update(head).digest('base64url')}`;
  },
  'a later end': (token) =>
    `${token.split('.')[0]}.${b64({ ...parts(token)[1], exp: Number(parts(token)[1]['exp']) + 600 })}.${parts(token)[2]}`,
  'another subject': (token) =>
    `${token.split('.')[0]}.${b64({ ...parts(token)[1], sub: randomUUID() })}.${parts(token)[2]}`,
  'another type': (token) =>
    `${b64({ ...parts(token)[0], typ: 'sallyport-approval+jwt' })}.${token.split('.')[1]}.${parts(token)[2]}`,
  'a token of another issuer that looks like a cluster’s': (token) =>
    signed(
      { alg: 'ES256', kid: 'one' },
      { ...parts(token)[1], iss: 'https://kubernetes.default.svc', sub: 'system:serviceaccount:payments:worker' },
    ),
  'claims of ours under another issuer’s name': (token) =>
    `${token.split('.')[0]}.${b64({ ...parts(token)[1], iss: 'https://kubernetes.default.svc' })}.${parts(token)[2]}`,
  'a signature of zeros': (token) =>
    `${token.slice(0, token.lastIndexOf('.'))}.${Buffer.alloc(64).toString('base64url')}`,
  'a signature in DER': (token) => {
    const head = token.slice(0, token.lastIndexOf('.'));
    return `${head}.${sign('sha256', Buffer.from(head), stranger).toString('base64url')}`;
  },
};

describe('forged', () => {
  test('the good one is let in', async () => expect((await tryWith(good)).ready).toBe('I'));

  test.each(Object.entries(FORGED))('%s: refused, in the same words', async (_, forge) => {
    const from = gateway.logPosition();
    const seen = await tryWith(await forge(good));
    expect(seen.ready).toBe('');
    if (seen.errors.length > 0)
      expect([seen.errors[0]?.sqlstate, seen.errors[0]?.message]).toEqual([
        '28P01',
        'Sallyport: Authentication failed.',
      ]);
    expect(await gateway.serverRan(from)).toBe('');
  });
});

describe('real, but not for this', () => {
  const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
  const name = `mallory-${Date.now()}`;
  const other = `other-${Date.now()}`;
  let mallory = '';

  beforeAll(async () => {
    const resource = await admin.call<Json>('GET', '/v1/resources/payments-db');
    const { postgres, type } = resource as { postgres: Json; type: string };
    await admin.call('POST', '/v1/resources', {
      name: other,
      type,
      labels: { env: 'dev' },
      credential: 'payments-app',
      postgres,
    });
    await admin.call('POST', '/v1/principals', { name, kind: 'service', displayName: 'Mallory', roles: ['member'] });
    await admin.call('POST', '/v1/grants', { name, principal: name, resource: other, effects: ['read'] });
    const made = await admin.call<{ clientId: string; clientSecret: string }>(
      'POST',
      `/v1/principals/${name}/secrets`,
      {},
    );
    mallory = await clientToken(dev.rest, made.clientId, made.clientSecret);
  });
  afterAll(async () => {
    for (const path of [`/v1/grants/${name}`, `/v1/principals/${name}`, `/v1/resources/${other}`])
      await admin.call('DELETE', path).catch(() => undefined);
  });

  const eventuallySeen = async (secret: string, user: string, wanted: (seen: Seen) => boolean): Promise<Seen> => {
    let seen = await tryWith(secret, user);
    for (let i = 0; i < 40 && !wanted(seen); i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      seen = await tryWith(secret, user);
    }
    return seen;
  };

  test('a token for another resource, and one without a grant here', async () => {
    const token = await accessToken(dev.rest, mallory, other);
    expect((await eventuallySeen(token, other, (seen) => seen.ready === 'I')).ready).toBe('I');
    expect((await tryWith(token)).errors[0]?.sqlstate).toBe('28P01');
    await expect(accessToken(dev.rest, mallory, 'payments-db')).rejects.toThrow();
    // The bot's token, at the resource the bot has no grant for.
    expect((await tryWith(good, other)).errors[0]?.sqlstate).toBe('28P01');
  });

  test('a revoked grant ends the open session and refuses its token', async () => {
    const token = await accessToken(dev.rest, mallory, other);
    const wire = await gateway.wire();
    await wire.signIn({ user: other, secret: token, database: dev.demo.database });
    expect(wire.seen().ready).toBe('I');
    await admin.call('POST', `/v1/grants/${name}/revoke`, {});
    const seen = await wire.until(() => false, { ms: 3_000 });
    expect(wire.isClosed()).toBe(true);
    expect(seen.errors.at(-1)?.sqlstate).toBe('57P01');
    expect((await tryWith(token, other)).ready).toBe('');
  });
});
