/** Which sessions share a token, and what becomes of one that is refused. The endpoint counts; the forms have tests of their own. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { GatewayError, Secret } from '@sallyport/core';
import { parseResource, type Resource } from '@sallyport/model';
import type { UncredentialedRequest, UpstreamCredential } from '@sallyport/protocol-kit';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { HttpCredentials } from './http-credentials.ts';

let endpoint: http.Server;
let url: string;
let asks = 0;
let now = 1_000_000;

beforeAll(async () => {
  endpoint = http.createServer((request, response) => {
    request.resume().on('end', () => {
      asks += 1;
      const account = request.url?.includes('/serviceaccounts/') === true;
      response.writeHead(account ? 201 : 200, { 'content-type': 'application/json' });
      const expirationTimestamp = new Date(now + 3_600_000).toISOString();
      const answer = account
        ? { status: { token: `sa-${asks}`, expirationTimestamp } }
        : { access_token: `token-${asks}`, token_type: 'bearer', expires_in: 600 };
      response.end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}`;
});
afterAll(() => {
  endpoint.close();
});
beforeEach(() => {
  asks = 0;
});

const resourceWith = (kind: 'http' | 'kubernetes', target: object, id = 'r-1'): Resource =>
  parseResource(
    {
      id,
      projectId: 'p',
      name: 'api',
      kind,
      labels: {},
      [kind]: { url: 'https://api.example.com', ...target },
      credential: { kind: 'stored', username: 'bot', reference: 'c' },
      recording: 'results',
      durability: 'standard',
      approval: 'wait',
      exceeded: 'deny',
      holdInTransactionMsMax: 0,
      offline: { sessionsMs: 0, newSessionsMs: 0 },
    },
    '',
  );
const value = (secret: string | undefined = 's3cret'): UpstreamCredential => ({
  username: 'bot',
  secret: secret === undefined ? undefined : new Secret(secret),
  certificate: false,
});
const REQUEST: UncredentialedRequest = {
  method: 'GET',
  authority: 'api.example.com',
  target: '/',
  headers: [],
  body: 'none',
};
const carried = async (credential: UpstreamCredential): Promise<string | undefined> => {
  await credential.http!.ready();
  return credential.http!.into(REQUEST).headers.find(([name]) => name === 'authorization')?.[1];
};
const reasonOf = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return error instanceof GatewayError ? error.detail['reason'] : error;
  }
  return undefined;
};

test('sessions of one credential share a token, and another secret or resource has its own', async () => {
  const credentials = new HttpCredentials(() => now);
  const oauth = resourceWith('http', { inject: { as: 'oauth', tokenUrl: `${url}/token` } });
  const [a, b] = [credentials.of(value(), oauth, 's-1'), credentials.of(value(), oauth, 's-2')];
  expect(await Promise.all([carried(a), carried(b)])).toEqual(['Bearer token-1', 'Bearer token-1']);
  expect(await carried(credentials.of(value('rotated'), oauth, 's-3'))).toBe('Bearer token-2');
  const other = resourceWith('http', { inject: { as: 'oauth', tokenUrl: `${url}/token` } }, 'r-2');
  expect(await carried(credentials.of(value(), other, 's-4'))).toBe('Bearer token-3');
  // A running session goes on with what it signed in with.
  expect(await carried(a)).toBe('Bearer token-1');
});

test('a service account’s token is made for one session', async () => {
  const credentials = new HttpCredentials(() => now);
  const identity = { mode: 'service_account', namespace: 'ci', serviceAccount: 'deployer' };
  const cluster = resourceWith('kubernetes', {
    url,
    private: true,
    inject: { as: 'bearer' },
    identity,
    execRecorded: true,
  });
  const a = credentials.of(value(), cluster, 's-1');
  expect([await carried(a), await carried(a)]).toEqual(['Bearer sa-1', 'Bearer sa-1']);
  expect(await carried(credentials.of(value(), cluster, 's-2'))).toBe('Bearer sa-2');
});

test('a refused token is asked for once more; a fresh one that is refused at once is the credential’s fault', async () => {
  const credentials = new HttpCredentials(() => now);
  const oauth = resourceWith('http', { inject: { as: 'oauth', tokenUrl: `${url}/token` } });
  const first = credentials.of(value(), oauth, 's-1');
  expect(await carried(first)).toBe('Bearer token-1');
  const second = credentials.again(first, oauth, 's-1')!;
  expect(await carried(second)).toBe('Bearer token-2');
  // The other session of the credential sees the new one, too.
  expect(await carried(first)).toBe('Bearer token-2');
  expect(credentials.again(second, oauth, 's-1')).toBeUndefined();
  // Nothing is asked again for one that is no token.
  const plain = resourceWith('http', { inject: { as: 'bearer' } });
  expect(credentials.again(credentials.of(value(), plain, 's-1'), plain, 's-1')).toBeUndefined();
  // Hours later it is a token that ended before its time, again.
  const third = credentials.of(value(), oauth, 's-2');
  const fourth = credentials.again(third, oauth, 's-2')!;
  now += 3_600_000;
  expect(credentials.again(fourth, oauth, 's-2')).toBeDefined();
});

test('a certificate goes with mtls alone, and what does not fit is refused at sign-in with a reason', () => {
  const credentials = new HttpCredentials(() => now);
  const mtls = resourceWith('http', { inject: { as: 'mtls' } });
  const pem =
    '-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----';
  expect(credentials.of(value(pem), mtls, 's')).toMatchObject({ certificate: true });
  expect(credentials.of(value(pem), mtls, 's').http).toBeUndefined();
  const bearer = resourceWith('http', { inject: { as: 'bearer' } });
  expect(reasonOf(() => credentials.of(value(pem), bearer, 's'))).toMatch(/certificate/);
  expect(reasonOf(() => credentials.of({ ...value(), secret: undefined }, bearer, 's'))).toMatch(/has none/);
  const none = resourceWith('http', { inject: { as: 'none' } });
  expect(reasonOf(() => credentials.of(value(), none, 's'))).toMatch(/puts it nowhere/);
  expect(credentials.of({ ...value(), secret: undefined }, none, 's').http).toBeUndefined();
});
