/**
 * What services get instead of a client's own word, on a whole stack with curl: every form a credential has over HTTP, a token
 * that ends before its time, a client certificate, and `credentials test`. The client's own values never arrive.
 * FAKE token endpoints of Google and Microsoft Entra stand for the real ones: they verify what they are asked with, as those do.
 */
import { execFile } from 'node:child_process';
import { generateKeyPairSync, verify } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { accessToken, restClient } from '../../scripts/stack/rest.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const carla = dev.principals['carla']?.token ?? '';
const program = promisify(execFile);
const CANARY = 'what-the-client-says';
const AWS = { username: 'AKIDEXAMPLEEXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };

const CLOUD_SECRET = 'entra~s3cret';
const GOOGLE_ACCOUNT = 'bot@project.iam.gserviceaccount.com';
const GOOGLE_KEY = { type: 'service_account', client_email: GOOGLE_ACCOUNT, private_key_id: 'k1' };

interface Tested {
  readonly items: readonly { readonly outcome: string; readonly code: string; readonly reason?: string }[];
}
interface Seen {
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly subject: string;
}

describe('credentials over HTTP', () => {
  let dir: string;
  let service: http.Server;
  let secure: https.Server;
  let clientPem: string;
  let serverCa: string;
  let seen: Seen[] = [];
  /** Whether the service takes a token; all when undefined. */
  let takes: ((token: string) => boolean) | undefined;
  let tokens = 0;
  const made: string[] = [];
  /** Of the last answer. */
  let said = '';
  const google = generateKeyPairSync('rsa', { modulusLength: 2048 });
  /** Of the clouds' tokens: when they end, ms. */
  const ends = new Map<string, number>();
  /** Seconds that a cloud's tokens live; 0 = its endpoint refuses, and quotes what it was asked with. */
  let cloudLifeS = 3_600;

  /** What Google (RFC 7523) and Entra (client credentials, v2.0) verify before they hand out a token. */
  function isGoodAsk(url: string, form: URLSearchParams): boolean {
    if (url === '/entra/token')
      return (
        form.get('grant_type') === 'client_credentials' &&
        form.get('client_id') === 'app-id' &&
        form.get('client_secret') === CLOUD_SECRET &&
        form.get('scope') === 'https://management.azure.com/.default'
      );
    const [header = '', claims = '', signature = ''] = (form.get('assertion') ?? '').split('.');
    const granted = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>;
    return (
      form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer' &&
      verify('sha256', Buffer.from(`${header}.${claims}`), google.publicKey, Buffer.from(signature, 'base64url')) &&
      granted['iss'] === GOOGLE_ACCOUNT &&
      granted['aud'] === `http://127.0.0.1:${portOf(service)}${url}` &&
      granted['scope'] === 'https://www.googleapis.com/auth/devstorage.read_only' &&
      Math.abs(Number(granted['iat']) - Date.now() / 1000) < 300
    );
  }

  const cloud = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    let text = '';
    request.on('data', (part: Buffer) => (text += part.toString()));
    request.on('end', () => {
      const isGood = cloudLifeS > 0 && isGoodAsk(request.url ?? '', new URLSearchParams(text));
      const token = `cloud-token-${(tokens += isGood ? 1 : 0)}`;
      if (isGood) ends.set(token, Date.now() + cloudLifeS * 1000);
      response.writeHead(isGood ? 200 : 400, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify(
          isGood
            ? { access_token: token, token_type: 'Bearer', expires_in: cloudLifeS }
            : { error: 'invalid_grant', error_description: `refused: ${text} ${CANARY}` },
        ),
      );
    });
  };

  const answer = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    if (request.url?.endsWith('/token') === true && request.url !== '/oauth/token') {
      cloud(request, response);
      return;
    }
    request.resume().on('end', () => {
      response.setHeader('content-type', 'application/json');
      if (request.url === '/oauth/token') {
        tokens += 1;
        response.end(JSON.stringify({ access_token: `token-${tokens}`, token_type: 'Bearer', expires_in: 3_600 }));
        return;
      }
      const socket = request.socket as Partial<TLSSocket>;
      const subject = socket.getPeerCertificate?.().subject?.CN ?? '';
      seen.push({ url: request.url ?? '', headers: request.headers, subject: String(subject) });
      const isRefused = takes?.(request.headers.authorization?.slice('Bearer '.length) ?? '') === false;
      response.statusCode = isRefused || request.headers['x-key'] === 'wrong' ? 401 : 200;
      response.end('{}');
    });
  };
  const portOf = (server: http.Server): number => (server.address() as AddressInfo).port;
  const listening = (server: http.Server): Promise<void> =>
    new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

  beforeAll(async () => {
    dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-e2e-credentials-'));
    const file = (name: string): string => path.join(dir, name);
    const certificate = async (name: string, extra: readonly string[]): Promise<void> => {
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file(`${name}.key`)];
      await program('openssl', [
        'req',
        '-x509',
        ...key,
        '-out',
        file(`${name}.pem`),
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
        ...extra,
      ]);
    };
    await certificate('service', ['-addext', 'subjectAltName=IP:127.0.0.1']);
    await certificate('payouts-agent', []);
    const text = (name: string): string => readFileSync(file(name), 'utf8');
    serverCa = text('service.pem');
    clientPem = text('payouts-agent.pem') + text('payouts-agent.key');
    service = http.createServer(answer);
    secure = https.createServer(
      { key: text('service.key'), cert: serverCa, ca: text('payouts-agent.pem'), requestCert: true },
      answer,
    );
    await Promise.all([listening(service), listening(secure)]);
  }, 30_000);
  afterAll(async () => {
    for (const name of made) {
      await admin.call('DELETE', `/v1/grants/${name}`).catch(() => undefined);
      await admin.call('DELETE', `/v1/resources/${name}`).catch(() => undefined);
      await admin.call('DELETE', `/v1/credentials/${name}`).catch(() => undefined);
    }
    for (const server of [service, secure]) {
      server.closeAllConnections();
      server.close();
    }
    rmSync(dir, { recursive: true, force: true });
  });

  /** A resource with its credential and a grant; curl with its token. */
  async function resource(name: string, target: object, secret: string, username = ''): Promise<Curl> {
    made.push(name);
    await admin.call('POST', '/v1/credentials', { name, kind: 'stored', username, secret });
    await admin.call('POST', '/v1/resources', {
      name,
      type: 'http',
      credential: name,
      http: { url: `http://127.0.0.1:${portOf(service)}`, private: true, ...target },
    });
    await admin.call('POST', '/v1/grants', { name, principal: 'carla', resource: name, effects: ['read', 'write'] });
    const token = await accessToken(dev.rest, carla, name);
    const curl: Curl = async (target_, ...args) => {
      const url = `https://127.0.0.1:${dev.agent.https}/r/${name}${target_}`;
      const options = ['-s', '--cacert', dev.ca, '-w', '\n%{http_code}', '-H', `authorization: Bearer ${token}`];
      const { stdout } = await program('curl', [...options, ...args, url]);
      const end = stdout.lastIndexOf('\n');
      said = stdout.slice(0, end);
      return stdout.slice(end + 1);
    };
    await expect.poll(() => curl('/in-force'), { timeout: 20_000, interval: 100 }).toBe('200');
    seen = [];
    return curl;
  }
  type Curl = (target: string, ...args: string[]) => Promise<string>;

  test.each([
    ['bearer', {}, (one: Seen) => one.headers.authorization, 'Bearer s3cret'],
    ['basic', {}, (one: Seen) => one.headers.authorization, `Basic ${Buffer.from('app:s3cret').toString('base64')}`],
    ['header', { name: 'x-key', prefix: 'Key ' }, (one: Seen) => one.headers['x-key'], 'Key s3cret'],
    ['query', { name: 'key' }, (one: Seen) => one.url, '/v1/me?a=1&key=s3cret'],
    ['cookie', { name: 'sid' }, (one: Seen) => one.headers.cookie, 'sid=s3cret'],
  ] as const)('%s: the service gets ours, and nothing of the client’s own', async (as, more, read, expected) => {
    const curl = await resource(`e2e-as-${as}`, { inject: { as, ...more } }, 's3cret', 'app');
    const theirs = [
      '-H',
      `x-key: ${CANARY}`,
      '-H',
      `cookie: sid=${CANARY}`,
      '-H',
      `proxy-authorization: Bearer ${CANARY}`,
    ];
    const own = as === 'header' ? theirs.slice(0, 2) : as === 'cookie' ? theirs.slice(2, 4) : [];
    expect(await curl(`/v1/me?a=1${as === 'query' ? `&k%65y=${CANARY}` : ''}`, ...own)).toBe('200');
    expect(seen).toHaveLength(1);
    expect(read(seen[0]!)).toBe(expected);
    expect(JSON.stringify(seen)).not.toContain(CANARY);
  });

  test('an AWS signature is made for each request, whatever the client signed', async () => {
    const aws = { inject: { as: 'sigv4', region: 'eu-west-1', service: 'execute-api' } };
    const curl = await resource('e2e-as-sigv4', aws, AWS.secret, AWS.username);
    expect(await curl('/prod/x?b=2&a=1', '-H', `x-amz-security-token: ${CANARY}`, '--json', '{"a":1}')).toBe('200');
    expect(seen[0]?.url).toBe('/prod/x?a=1&b=2');
    expect(seen[0]?.headers.authorization).toMatch(
      new RegExp(
        `^AWS4-HMAC-SHA256 Credential=${AWS.username}/\\d{8}/eu-west-1/execute-api/aws4_request, SignedHeaders=`,
      ),
    );
    expect(JSON.stringify(seen)).not.toContain(CANARY);
  });

  test('a client certificate is shown to a service that asks for one', async () => {
    const target = { url: `https://127.0.0.1:${portOf(secure)}`, ca: serverCa, inject: { as: 'mtls' } };
    const curl = await resource('e2e-as-mtls', target, clientPem);
    expect(await curl('/v1/me')).toBe('200');
    expect(seen[0]?.subject).toBe('payouts-agent');
  });

  test('an OAuth token is asked for once, and anew when the service takes it no more', async () => {
    const tokenUrl = `http://127.0.0.1:${portOf(service)}/oauth/token`;
    const curl = await resource(
      'e2e-as-oauth',
      { inject: { as: 'oauth', tokenUrl, scope: 'payouts' } },
      's3cret',
      'bot',
    );
    const before = tokens;
    expect([await curl('/a'), await curl('/b')]).toEqual(['200', '200']);
    expect(tokens).toBe(before);
    expect(seen.map(({ headers }) => headers.authorization)).toEqual([
      `Bearer token-${before}`,
      `Bearer token-${before}`,
    ]);
    takes = (token) => token === `token-${before + 1}`;
    try {
      // One connection: what it was refused is asked for anew behind it.
      await expect.poll(() => curl('/c'), { timeout: 20_000, interval: 200 }).toBe('200');
      expect(tokens).toBeGreaterThan(before);
    } finally {
      takes = undefined;
    }
  });

  test.each([
    [
      'google',
      { as: 'google', scope: 'https://www.googleapis.com/auth/devstorage.read_only' },
      (): string =>
        JSON.stringify({ ...GOOGLE_KEY, private_key: google.privateKey.export({ type: 'pkcs8', format: 'pem' }) }),
      '',
    ],
    [
      'entra',
      { as: 'azure', tenant: 'contoso', scope: 'https://management.azure.com/.default' },
      (): string => CLOUD_SECRET,
      'app-id',
    ],
  ])(
    'a token of %s is asked for, renewed when it runs out, and a refusal is told without its words',
    async (...one) => {
      const [cloudName, form, secret, username] = one;
      const name = `e2e-as-${cloudName}`;
      const tokenUrl = `http://127.0.0.1:${portOf(service)}/${cloudName}/token`;
      cloudLifeS = 6;
      takes = (token) => (ends.get(token) ?? 0) > Date.now();
      try {
        const curl = await resource(name, { inject: { ...form, tokenUrl }, probe: '/v1/me' }, secret(), username);
        const before = tokens;
        expect(await curl('/a', '-H', 'x-goog-user-project: a')).toBe('200');
        await sleep(6_500);
        cloudLifeS = 3_600;
        expect([await curl('/b'), await curl('/c')]).toEqual(['200', '200']);
        expect(tokens).toBeGreaterThan(before);
        const authorization = seen.map(({ headers }) => headers.authorization);
        expect(authorization.slice(1)).toEqual([`Bearer cloud-token-${tokens}`, `Bearer cloud-token-${tokens}`]);
        expect(authorization[0]).not.toBe(authorization[1]);

        // The service takes it no more, and the endpoint gives no other.
        cloudLifeS = 0;
        ends.clear();
        await expect.poll(() => curl('/d'), { timeout: 20_000, interval: 300 }).toBe('503');
        expect(JSON.parse(said)).toMatchObject({ sallyport: { reason: 'credential.unavailable', retry: 'later' } });
        const { items } = await admin.call<Tested>('POST', `/v1/credentials/${name}/test`, {});
        expect(items[0]).toMatchObject({
          outcome: 'failed',
          code: 'credential.unavailable',
          reason: expect.stringContaining('the token endpoint answered 400 (invalid_grant)'),
        });
        const log = readFileSync(path.join(path.dirname(dev.agent.dataDir), 'agent.log'), 'utf8');
        for (const told of [said, JSON.stringify(items), log])
          for (const hidden of [CANARY, CLOUD_SECRET, 'PRIVATE KEY', 'cloud-token-', 'assertion='])
            expect(told).not.toContain(hidden);
        cloudLifeS = 3_600;
        await expect.poll(() => curl('/e'), { timeout: 20_000, interval: 300 }).toBe('200');
      } finally {
        [cloudLifeS, takes] = [3_600, undefined];
      }
    },
  );

  test('a credential is tried with the path its resource names, and one that is refused is said to be', async () => {
    const target = { inject: { as: 'header', name: 'x-key' }, probe: '/v1/whoami?full=1' };
    await resource('e2e-probe', target, 'right');
    const tested = async () => {
      const { items } = await admin.call<Tested>('POST', '/v1/credentials/e2e-probe/test', {});
      return items[0];
    };
    expect(await tested()).toMatchObject({ outcome: 'done' });
    expect(seen.at(-1)).toMatchObject({ url: '/v1/whoami?full=1', headers: { 'x-key': 'right' } });
    await admin.call('PUT', '/v1/credentials/e2e-probe/secret', { secret: 'wrong' });
    await expect
      .poll(tested, { timeout: 20_000, interval: 300 })
      .toMatchObject({ outcome: 'failed', code: 'upstream.auth' });
  });
});
