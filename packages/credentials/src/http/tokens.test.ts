/** OAuth against a real authorization server (oidc-provider); Google's and Kubernetes' endpoints against what their documents say. */
import { generateKeyPairSync, verify } from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { Secret } from '@sallyport/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { HttpForm } from './form.ts';
import { TokenSlot } from './token-slot.ts';
import { fetchToken, serviceAccountToken } from './tokens.ts';

const CLIENT = { id: 'payments bot', secret: 'c+nary/ secret=%' };
const host = { nowMs: () => Date.now() };
let issuer: http.Server;
let issuerUrl: string;
/** A token endpoint that answers what a test says; it keeps what it was asked. */
let fake: http.Server;
let fakeUrl: string;
let asked: { url: string; headers: http.IncomingHttpHeaders; body: string }[] = [];
let answer: { status: number; body: unknown; headers?: Record<string, string> };

const listening = async (server: http.Server): Promise<string> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

beforeAll(async () => {
  const control = createRequire(path.join(import.meta.dirname, '../../../../apps/control-plane/package.json'));
  const { default: Provider } = (await import(control.resolve('oidc-provider'))) as {
    default: new (issuer: string, configuration: object) => { callback(): http.RequestListener };
  };
  issuer = http.createServer();
  issuerUrl = await listening(issuer);
  const client = (id: string, method: string) => ({
    client_id: id,
    client_secret: CLIENT.secret,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    token_endpoint_auth_method: method,
  });
  const provider = new Provider(issuerUrl, {
    clients: [client(CLIENT.id, 'client_secret_basic'), client('by-body', 'client_secret_post')],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    scopes: ['payouts'],
    ttl: { ClientCredentials: 600 },
  });
  issuer.on('request', provider.callback());
  fake = http.createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => {
      asked.push({ url: request.url ?? '', headers: request.headers, body });
      response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
      response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
    });
  });
  fakeUrl = await listening(fake);
}, 30_000);
afterAll(() => {
  issuer.close();
  fake.close();
});

const known = (username: string, secret: string) => ({ username, secret: new Secret(secret) });
const unavailable = expect.objectContaining({ code: 'credential.unavailable' });

test('a real authorization server gives a client its token, whichever way the client proves itself', async () => {
  const form: HttpForm = { as: 'oauth', tokenUrl: `${issuerUrl}/token`, scope: 'payouts' };
  const before = Date.now();
  const token = await fetchToken(form, known(CLIENT.id, CLIENT.secret), host);
  expect(token.token.reveal().length).toBeGreaterThan(20);
  expect(token.expiresAtMs).toBeGreaterThanOrEqual(before + 599_000);
  expect(token.expiresAtMs).toBeLessThanOrEqual(Date.now() + 600_000);
  await fetchToken({ ...form, clientAuth: 'body' }, known('by-body', CLIENT.secret), host);
  await fetchToken(
    { as: 'azure', tenant: 't', scope: 'payouts', tokenUrl: form.tokenUrl },
    known('by-body', CLIENT.secret),
    host,
  );
});

test('a refusal names the endpoint’s word and holds no secret', async () => {
  const form: HttpForm = { as: 'oauth', tokenUrl: `${issuerUrl}/token` };
  const error = await fetchToken(form, known(CLIENT.id, 'canary-wrong'), host).catch((cause: unknown) => cause);
  expect(error).toEqual(unavailable);
  expect((error as { detail: { reason: string } }).detail.reason).toBe(
    'the token endpoint answered 401 (invalid_client)',
  );
  expect(JSON.stringify(error) + String(error)).not.toContain('canary');
});

test.each([
  ['a redirect', { status: 302, body: {}, headers: { location: '/elsewhere' } }],
  ['no JSON', { status: 200, body: 'token=x' }],
  ['no token', { status: 200, body: { expires_in: 5 } }],
  ['another kind of token', { status: 200, body: { access_token: 'x', token_type: 'mac' } }],
  ['a token that would end a header', { status: 200, body: { access_token: 'x\r\ny: z', token_type: 'Bearer' } }],
  ['a token that has run out', { status: 200, body: { access_token: 'x', expires_in: 0 } }],
  ['a token without end', { status: 200, body: { access_token: 'x', expires_in: 'soon' } }],
])('%s is no token', async (_, said) => {
  answer = said;
  asked = [];
  await expect(fetchToken({ as: 'oauth', tokenUrl: `${fakeUrl}/t` }, known('a', 'b'), host)).rejects.toEqual(
    unavailable,
  );
  expect(asked.map(({ url }) => url)).toEqual(['/t']);
});

test('a Google service account proves itself with an assertion for the scope, or for an audience', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = JSON.stringify({
    type: 'service_account',
    client_email: 'bot@project.iam.gserviceaccount.com',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    private_key_id: 'k1',
    // An address in a key file is nobody's to choose.
    token_uri: 'http://169.254.169.254/token',
  });
  const tokenUrl = `${fakeUrl}/google`;
  const claimsOf = (): Record<string, unknown> => {
    const form = new URLSearchParams(asked.at(-1)!.body);
    expect(form.get('grant_type')).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer');
    const [header = '', claims = '', signature = ''] = form.get('assertion')!.split('.');
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'k1' });
    expect(verify('sha256', Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, 'base64url'))).toBe(
      true,
    );
    return JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>;
  };
  answer = { status: 200, body: { access_token: 'at', id_token: 'it', token_type: 'Bearer', expires_in: 3599 } };
  const access = await fetchToken(
    { as: 'google', scope: 'https://www.googleapis.com/auth/devstorage.read_only', tokenUrl },
    known('', key),
    host,
  );
  expect(access.token.reveal()).toBe('at');
  expect(claimsOf()).toMatchObject({ aud: tokenUrl, scope: 'https://www.googleapis.com/auth/devstorage.read_only' });
  const identity = await fetchToken({ as: 'google', audience: 'https://run.example', tokenUrl }, known('', key), host);
  expect(identity.token.reveal()).toBe('it');
  expect(claimsOf()).toMatchObject({ target_audience: 'https://run.example' });
  await expect(fetchToken({ as: 'google', scope: 'x', tokenUrl }, known('', '{"type":"user"}'), host)).rejects.toEqual(
    unavailable,
  );
});

test('a service account’s token is asked for as kubectl asks, and ends when the cluster says', async () => {
  const until = new Date(Date.now() + 3_600_000).toISOString();
  answer = { status: 201, body: { status: { token: 'sa-token', expirationTimestamp: until } } };
  asked = [];
  const ask = { url: `${fakeUrl}/k8s/`, namespace: 'ci', name: 'deployer', headers: { authorization: 'Bearer admin' } };
  const token = await serviceAccountToken(ask, () => Date.now());
  expect(token.token.reveal()).toBe('sa-token');
  expect(token.expiresAtMs).toBe(Date.parse(until));
  expect(asked[0]).toMatchObject({
    url: '/k8s/api/v1/namespaces/ci/serviceaccounts/deployer/token',
    headers: { authorization: 'Bearer admin' },
  });
  expect(JSON.parse(asked[0]!.body)).toMatchObject({ kind: 'TokenRequest', spec: { expirationSeconds: 3_600 } });
  answer = { status: 403, body: { kind: 'Status', message: 'canary' } };
  const error = await serviceAccountToken(ask, () => Date.now()).catch((cause: unknown) => cause);
  expect(error).toEqual(unavailable);
  expect(JSON.stringify(error)).not.toContain('canary');
});

test('a slot asks once for all who wait, renews before the end, and waits after a failure', async () => {
  let now = 0;
  let asks = 0;
  let fails = false;
  let release: (() => void) | undefined;
  const slot = new TokenSlot(
    async () => {
      asks += 1;
      await new Promise<void>((resolve) => (release = resolve));
      if (fails) throw new Error('away');
      return { token: new Secret(`t${asks}`), expiresAtMs: now + 600_000 };
    },
    () => now,
  );
  expect(() => slot.token).toThrow(unavailable);
  const waits = [slot.ready(), slot.ready()];
  release!();
  for (const wait of waits) await wait;
  expect([asks, slot.token.reveal(), slot.ready()]).toEqual([1, 't1', undefined]);
  // Close to its end it still serves while the next one is fetched.
  now = 545_000;
  expect([slot.ready(), slot.ready(), asks, slot.token.reveal()]).toEqual([undefined, undefined, 2, 't1']);
  release!();
  await expect.poll(() => slot.token.reveal()).toBe('t2');
  // Past it nothing is handed out.
  now = 545_000 + 600_000;
  expect(() => slot.token).toThrow(unavailable);
  fails = true;
  const failing = slot.ready();
  release!();
  await expect(failing).rejects.toThrow('away');
  await expect(slot.ready()).rejects.toThrow('away');
  expect(asks).toBe(3);
  fails = false;
  now += 3_000;
  const again = slot.ready();
  release!();
  await again;
  const token = slot.token;
  expect(slot.refused(new Secret('another'))).toBe(false);
  expect(slot.refused(token)).toBe(true);
  expect(() => slot.token).toThrow(unavailable);
});
