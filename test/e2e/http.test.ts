/**
 * HTTP on a whole stack: curl over HTTP/1.1 and HTTP/2, Python, and Node, unchanged, against a real service: credentials put
 * in, answers masked, holds, revocation. Uploads and downloads are whole.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { accessToken, clientToken, restClient } from '../../scripts/stack/rest.ts';
import { openStream, soonestCut } from './cut.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const ana = restClient(dev.rest, dev.principals['ana']?.token ?? '');
const carla = dev.principals['carla']?.token ?? '';
const program = promisify(execFile);
const API_KEY = 'the-key-of-the-service-itself';

const POLICY = `kind: Policy
name: e2e-http
resources: { names: [people-api] }
rules:
  - name: no-exports
    when: http.path.startsWith("/v1/export")
    verdict: deny
    message: Exports go through the data team.
  - name: payments-wait
    when: http.method == "POST" && http.path == "/v1/payments" && body.fields.exists(f, f.path == "amount" && f.number > 100)
    verdict: hold
    message: Payments above 100 need a second person.
    approval: { groups: [dba], count: 1, expires: 5m }
masks:
  - { json: ["people[].ssn"], with: redact }
`;

interface Seen {
  readonly line: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly size: number;
  readonly digest: string;
  readonly body: string;
}
interface Item {
  readonly id: string;
  readonly resource: string;
}

describe('HTTP on a stack', () => {
  let service: http.Server;
  let dir: string;
  let token: string;
  const seen: Seen[] = [];
  const base = `https://127.0.0.1:${dev.agent.https}/r/people-api`;

  beforeAll(async () => {
    dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-e2e-http-'));
    service = http.createServer(serve);
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    const { port } = service.address() as AddressInfo;
    await admin.call('POST', '/v1/credentials', { name: 'people-key', kind: 'stored', username: '' });
    await admin.call('PUT', '/v1/credentials/people-key/secret', { secret: API_KEY });
    await admin.call('POST', '/v1/resources', {
      name: 'people-api',
      type: 'http',
      credential: 'people-key',
      http: { url: `http://127.0.0.1:${port}/base`, private: true, inject: { as: 'header', name: 'x-service-key' } },
    });
    await admin.call('POST', '/v1/grants', {
      name: 'e2e-http',
      principal: 'carla',
      resource: 'people-api',
      effects: ['read', 'write'],
    });
    await admin.call('POST', '/v1/apply', {
      documents: [{ file: 'http.yaml', text: POLICY }],
      dryRun: false,
      prune: false,
    });
    token = await accessToken(dev.rest, carla, 'people-api');
    // The resource is in force a moment after it was made.
    for (let i = 0; i < 200; i++) {
      if ((await curl(['-o', '/dev/null', '-w', '%{http_code}', `${base}/v1/ok`])).stdout === '200') return;
      await new Promise((next) => setTimeout(next, 100));
    }
    throw new Error('people-api did not come into force');
  }, 60_000);
  afterAll(async () => {
    await admin.call('DELETE', '/v1/policies/e2e-http').catch(() => undefined);
    for (const grant of ['e2e-http', 'e2e-http-brief'])
      await admin.call('DELETE', `/v1/grants/${grant}`).catch(() => undefined);
    await admin.call('DELETE', '/v1/resources/people-api').catch(() => undefined);
    await admin.call('DELETE', '/v1/credentials/people-key').catch(() => undefined);
    service.closeAllConnections();
    service.close();
    rmSync(dir, { recursive: true, force: true });
  });

  function serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const digest = createHash('sha256');
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      digest.update(chunk);
      size += chunk.length;
      if (size < 100_000) chunks.push(chunk);
    });
    request.on('end', () => {
      const line = `${request.method} ${request.url}`;
      seen.push({
        line,
        headers: request.headers,
        size,
        digest: digest.digest('hex'),
        body: Buffer.concat(chunks).toString(),
      });
      const target = request.url ?? '';
      if (target.startsWith('/base/v1/people'))
        return json(response, { people: [{ name: 'Ada', ssn: '123-45-6789' }] });
      if (target.startsWith('/base/v1/big')) return big(response);
      if (target.startsWith('/base/v1/ticks')) return ticks(response);
      if (target.startsWith('/base/v1/moved')) {
        response.writeHead(302, { location: `http://${request.headers.host ?? ''}/base/v1/ok` });
        response.end();
        return;
      }
      json(response, { line, size });
    });
  }
  const json = (response: http.ServerResponse, value: unknown): void => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(value));
  };
  const big = (response: http.ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'image/png' });
    // It begins as a picture does: with bytes that no text has.
    let left = 640;
    const more = (): void => {
      while (left-- > 0)
        if (!response.write(Buffer.alloc(64 * 1024, (left + 128) & 255))) return void response.once('drain', more);
      response.end();
    };
    more();
  };
  const ticks = (response: http.ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const timer = setInterval(() => response.write('data: tick\n\n'), 50);
    response.on('close', () => clearInterval(timer));
  };

  const curl = (args: readonly string[], by = token): Promise<{ stdout: string; stderr: string }> =>
    program('curl', ['-sS', '-m', '30', '--cacert', dev.ca, '-H', `authorization: Bearer ${by}`, ...args], {
      maxBuffer: 1 << 28,
    });

  test.each(['--http1.1', '--http2'])(
    'curl %s: the key is put in, the token is not sent on, an answer is masked',
    async (version) => {
      seen.length = 0;
      const { stdout } = await curl([version, '-w', ' %{http_version}', `${base}/v1/people?page=1`]);
      const at = stdout.lastIndexOf(' ');
      expect(JSON.parse(stdout.slice(0, at))).toEqual({
        people: [{ name: 'Ada', ssn: expect.not.stringContaining('6789') }],
      });
      expect(stdout.slice(at + 1)).toBe(version === '--http2' ? '2' : '1.1');
      expect(seen[0]?.line).toBe('GET /base/v1/people?page=1');
      expect(seen[0]?.headers['x-service-key']).toBe(API_KEY);
      expect(seen[0]?.headers.authorization).toBeUndefined();
    },
  );

  test.each(['--http1.1', '--http2'])(
    'curl %s: a denial is read by people and programs, and nothing arrives',
    async (version) => {
      seen.length = 0;
      const { stdout } = await curl([version, '-w', '\n%{http_code} %{content_type}', `${base}/v1/export/all`]);
      const [body = '', line] = stdout.trim().split(/\n(?=\d)/);
      expect(line).toBe('403 application/problem+json');
      expect(JSON.parse(body)).toMatchObject({
        title: 'Exports go through the data team.',
        code: 'policy.denied',
        sallyport: { rule: 'e2e-http/no-exports', reason: 'policy.denied', retry: 'no' },
      });
      expect(seen).toEqual([]);
    },
  );

  test.each(['--http1.1', '--http2'])('curl %s: uploads and downloads of many megabytes are whole', async (version) => {
    const file = path.join(dir, 'upload');
    const bytes = Buffer.alloc(20 * 1024 * 1024, 'sallyport ');
    writeFileSync(file, bytes);
    seen.length = 0;
    await curl([
      version,
      '--data-binary',
      `@${file}`,
      '-H',
      'content-type: application/octet-stream',
      `${base}/v1/upload`,
    ]);
    expect(seen[0]).toMatchObject({ size: bytes.length, digest: createHash('sha256').update(bytes).digest('hex') });
    const out = path.join(dir, 'download');
    await curl([version, '-o', out, `${base}/v1/big`]);
    const expected = createHash('sha256');
    for (let left = 639; left >= 0; left--) expected.update(Buffer.alloc(64 * 1024, (left + 128) & 255));
    expect(createHash('sha256').update(readFileSync(out)).digest('hex')).toBe(expected.digest('hex'));
  });

  test('without a token, with a wrong one and for what is not there: one answer', async () => {
    const answers = new Set<string>();
    const cases: readonly (readonly string[])[] = [
      ['-H', 'authorization:', `${base}/v1/ok`],
      ['-H', 'authorization: Bearer nonsense', `${base}/v1/ok`],
      [`${base.replace('people-api', 'nothing-here')}/v1/ok`],
      [`${base.replace('people-api', 'payments-db')}/v1/ok`],
      [`https://127.0.0.1:${dev.agent.https}/`],
    ];
    for (const more of cases) {
      const { stdout } = await program('curl', [
        '-sS',
        '-m',
        '30',
        '--cacert',
        dev.ca,
        '-i',
        '--http1.1',
        ...(more.length > 1 ? [] : ['-H', `authorization: Bearer ${token}`]),
        ...more,
      ]);
      answers.add(stdout);
    }
    expect(answers.size).toBe(1);
    expect([...answers][0]).toContain('auth.failed');
  });

  test('a held request waits, and is answered once a person said yes', async () => {
    seen.length = 0;
    const payment = curl(['-d', '{"amount":250}', '-H', 'content-type: application/json', `${base}/v1/payments`]);
    await approve();
    expect(JSON.parse((await payment).stdout)).toMatchObject({ line: 'POST /base/v1/payments' });
    expect(seen.filter(({ line }) => line.startsWith('POST'))).toHaveLength(1);
    const small = await curl(['-d', '{"amount":50}', '-H', 'content-type: application/json', `${base}/v1/payments`]);
    expect(JSON.parse(small.stdout)).toMatchObject({ line: 'POST /base/v1/payments' });
  });

  test('respond-async gives an address at which the answer comes, once', async () => {
    seen.length = 0;
    const asked = await curl([
      '-i',
      '--http1.1',
      '-d',
      '{"amount":300}',
      '-H',
      'content-type: application/json',
      '-H',
      'prefer: respond-async',
      `${base}/v1/payments`,
    ]);
    expect(asked.stdout).toMatch(/^HTTP\/1\.1 202/);
    expect(JSON.parse(asked.stdout.slice(asked.stdout.indexOf('{')))).toMatchObject({
      title: 'Waiting for somebody in dba to approve this, at most 5 min. Payments above 100 need a second person.',
      sallyport: { rule: 'e2e-http/payments-wait', reason: 'approval.wait' },
    });
    const location = /\nlocation: (\S+)/i.exec(asked.stdout)?.[1] ?? '';
    expect(location).toMatch(/^\/r\/people-api\/\.sallyport\/held\/apr/);
    const poll = (): Promise<{ stdout: string }> =>
      curl(['-w', '\n%{http_code}', `https://127.0.0.1:${dev.agent.https}${location}`]);
    expect((await poll()).stdout).toMatch(/\n202$/);
    await approve();
    await expect
      .poll(async () => (await poll()).stdout, { timeout: 20_000 })
      .toMatch(/POST \/base\/v1\/payments[^]*\n200$/);
    expect(seen.filter(({ line }) => line.startsWith('POST'))).toHaveLength(1);
    expect((await poll()).stdout).toMatch(/\n404$/);
  });

  async function approve(): Promise<void> {
    let id = '';
    await expect
      .poll(
        async () => {
          const { items } = await ana.call<{ items: Item[] }>('GET', '/v1/approvals?state=pending');
          // Other tests' requests wait in the same inbox.
          id = items.find(({ resource }) => resource === 'people-api')?.id ?? '';
          return id;
        },
        { timeout: 20_000 },
      )
      .not.toBe('');
    await ana.call('POST', `/v1/approvals/${id}/approve`, {});
  }

  test('a redirect of the service to itself leads through the agent, and is never followed by it', async () => {
    seen.length = 0;
    const { stdout } = await curl(['-i', '--http1.1', `${base}/v1/moved`]);
    expect(stdout).toMatch(/^HTTP\/1\.1 302/);
    expect(stdout).toContain(`location: https://127.0.0.1:${dev.agent.https}/r/people-api/v1/ok`);
    expect(seen.map(({ line }) => line)).toEqual(['GET /base/v1/moved']);
  });

  test('Python and Node, unchanged', async () => {
    const script = `import json, ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[1])
request = urllib.request.Request(sys.argv[2], headers={'Authorization': 'Bearer ' + sys.argv[3]})
print(json.load(urllib.request.urlopen(request, context=context))['line'])`;
    const python = await program('python3', ['-c', script, dev.ca, `${base}/v1/py`, token]);
    expect(python.stdout.trim()).toBe('GET /base/v1/py');
    const node = await new Promise<string>((resolve, reject) => {
      const request = https.request(
        `${base}/v1/node`,
        { ca: readFileSync(dev.ca), headers: { authorization: `Bearer ${token}` } },
        (answer) => {
          let text = '';
          answer.on('data', (chunk: Buffer) => {
            text += chunk.toString();
          });
          answer.on('end', () => resolve(text));
        },
      );
      request.on('error', reject);
      request.end();
    });
    expect(JSON.parse(node)).toMatchObject({ line: 'GET /base/v1/node' });
  });

  test('one token is one session, whatever connections it uses', async () => {
    const fresh = await accessToken(dev.rest, carla, 'people-api');
    for (let i = 0; i < 3; i++) await curl([`${base}/v1/session-${i}`], fresh);
    await expect
      .poll(async () => {
        const { items } = await admin.call<{ items: { resource: { name: string }; statements: number }[] }>(
          'GET',
          '/v1/sessions?resource=people-api&limit=5',
        );
        return JSON.stringify(items[0]);
      })
      .toContain('"statements":3');
  });

  test('a revoked grant cuts a running stream within a second', async () => {
    const bot = dev.principals['payments-bot'];
    const api = await clientToken(dev.rest, bot?.clientId ?? '', bot?.clientSecret ?? '');
    let botToken = '';
    const ms = await soonestCut(
      1_000,
      async () => {
        await admin.call('POST', '/v1/grants', {
          name: 'e2e-http-brief',
          principal: 'payments-bot',
          resource: 'people-api',
          effects: ['read'],
        });
        botToken = await accessToken(dev.rest, api, 'people-api');
        for (const end = Date.now() + 20_000; ; await new Promise((next) => setTimeout(next, 50))) {
          const stream = await openStream(`${base}/v1/ticks`, botToken).catch((error: unknown) => String(error));
          if (typeof stream !== 'string') return stream;
          if (Date.now() > end) throw new Error(stream);
        }
      },
      () => admin.call('DELETE', '/v1/grants/e2e-http-brief'),
    );
    expect(ms).toBeLessThanOrEqual(1_000);
    expect((await curl(['-o', '/dev/null', '-w', '%{http_code}', `${base}/v1/ok`], botToken)).stdout).toBe('401');
  }, 180_000);
});
