import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { accessTokens } from '../proxy/access-tokens.ts';
import { caBundle, environmentFor, variableOf } from './environment.ts';
import { openRunProxy, type RunProxy } from './run-proxy.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'run-proxy-'));
execFileSync(
  'openssl',
  [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=agent',
    '-addext',
    'subjectAltName=IP:127.0.0.1',
    '-keyout',
    path.join(dir, 'key.pem'),
    '-out',
    path.join(dir, 'cert.pem'),
  ],
  { stdio: 'ignore' },
);
const cert = readFileSync(path.join(dir, 'cert.pem'), 'utf8');
const key = readFileSync(path.join(dir, 'key.pem'), 'utf8');
const closing: (() => unknown)[] = [];
const PASSWORD = 'right-password';

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}
const seen: Seen[] = [];
let agentPort: number;
let proxy: RunProxy;
/** What was said beside the program's own output. */
const told: string[] = [];

/** A peer that stands where the agent's listener is: it keeps what it was asked. */
beforeAll(async () => {
  const agent = https.createServer({ key, cert, ALPNProtocols: ['http/1.1'] });
  agent.on('request', (request, response) => void answer(request, response));
  const answer = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const body = Buffer.concat(await request.toArray()).toString();
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body });
    if (request.url?.endsWith('/moved')) response.writeHead(302, { location: '/r/crm-api/there?x=1' }).end();
    else if (request.url?.endsWith('/cut')) {
      response.writeHead(200, { 'content-length': '100' });
      response.write('some');
      setTimeout(() => response.destroy(), 20);
    } else {
      response.writeHead(200, ['X-Twice', 'a', 'X-Twice', 'b', 'Content-Type', 'text/plain', 'Trailer', 'x-end']);
      response.write('hello');
      response.addTrailers([['x-end', 'yes']]);
      response.end();
    }
  };
  agent.on('connect', (request: http.IncomingMessage, socket: Duplex) => {
    seen.push({ method: 'CONNECT', url: request.url ?? '', headers: request.headers, body: '' });
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.end());
  });
  agent.on('upgrade', (request: http.IncomingMessage, socket: Duplex) => {
    seen.push({ method: 'UPGRADE', url: request.url ?? '', headers: request.headers, body: '' });
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((done) => agent.listen(0, '127.0.0.1', done));
  agentPort = (agent.address() as net.AddressInfo).port;
  closing.push(() => {
    agent.closeAllConnections();
    agent.close();
  });
  proxy = await open();
});
afterAll(async () => {
  for (const close of closing.reverse()) await close();
  rmSync(dir, { recursive: true });
});
afterEach(() => {
  seen.length = 0;
});

async function open(direct = false, port = agentPort): Promise<RunProxy> {
  const made = await openRunProxy({
    resources: [
      {
        name: 'crm-api',
        endpoints: [{ host: '127.0.0.1', port }],
        tokens: accessTokens(
          () => Promise.resolve({ access_token: 'tok', token_type: 'N_A', expires_in: 60 }),
          () => 0,
        ),
        hosts: ['crm.example.com', 'plain.example.com:8080'],
      },
    ],
    root: cert,
    password: PASSWORD,
    direct,
    onProblem: (problem) => told.push(problem),
  });
  closing.push(() => made[Symbol.asyncDispose]());
  return made;
}

function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    const got: Buffer[] = [];
    socket.on('data', (chunk) => got.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(got).toString()));
    socket.write(text);
  });
}
/** Writes, waits for what is expected, answers, and so on; then hangs up. */
async function talk(port: number, ...turns: readonly (readonly [say: string, until: string])[]): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  let got = '';
  socket.on('data', (chunk) => {
    got += chunk.toString();
  });
  socket.on('error', () => socket.destroy());
  for (const [say, until] of turns) {
    socket.write(say);
    while (!got.includes(until) && !socket.destroyed) await new Promise((next) => setTimeout(next, 5));
  }
  socket.destroy();
  return got;
}
const basic = (password: string): string =>
  `proxy-authorization: Basic ${Buffer.from(`run:${password}`).toString('base64')}\r\n`;

test('a resource’s own URL leads to it with the token, and what the program says of itself is passed on', async () => {
  const answer = await fetch(`${proxy.urlOf('crm-api')}/v1/x%20y?q=1`, {
    method: 'POST',
    body: '{"a":1}',
    headers: { 'x-mine': '1', authorization: 'Bearer own' },
  });
  expect(await answer.text()).toBe('hello');
  expect(answer.headers.get('x-twice')).toBe('a, b');
  expect(seen).toMatchObject([
    {
      method: 'POST',
      url: '/r/crm-api/v1/x%20y?q=1',
      body: '{"a":1}',
      headers: {
        'proxy-authorization': 'Bearer tok',
        'x-mine': '1',
        host: `127.0.0.1:${agentPort}`,
        authorization: 'Bearer own',
      },
    },
  ]);
  await (await fetch(proxy.urlOf('crm-api'))).text();
  expect(seen[1]!.url).toBe('/r/crm-api/');
});

test('a wrong password or another resource in the URL is answered 404, and nothing is sent', async () => {
  const base = `http://127.0.0.1:${proxy.port}`;
  for (const where of ['/', '/wrong/crm-api/x', `/${PASSWORD}/other/x`, `/${PASSWORD}`, `//${PASSWORD}/crm-api`])
    expect((await fetch(base + where)).status, where).toBe(404);
  expect(seen).toEqual([]);
});

test('a redirect to the agent’s own paths stays in the program’s reach, and an answer that is cut short is not taken for whole', async () => {
  const moved = await fetch(`${proxy.urlOf('crm-api')}/moved`, { redirect: 'manual' });
  expect(moved.headers.get('location')).toBe(`/${PASSWORD}/crm-api/there?x=1`);
  await expect(fetch(`${proxy.urlOf('crm-api')}/cut`).then((answer) => answer.text())).rejects.toThrow();
});

test('a tunnel to a registered host is asked of the agent with the token, and bytes pass both ways', async () => {
  const got = await talk(
    proxy.port,
    [`CONNECT crm.example.com:443 HTTP/1.1\r\nhost: x\r\n${basic(PASSWORD)}\r\n`, '200'],
    ['ping', 'ping'],
  );
  expect(got).toMatch(/^HTTP\/1\.1 200 /);
  expect(seen).toMatchObject([
    { method: 'CONNECT', url: 'crm.example.com:443', headers: { 'proxy-authorization': 'Bearer tok' } },
  ]);
});

test('without this run’s password there is no tunnel and no proxying, and an unknown host is refused by name', async () => {
  for (const wrong of ['', basic('wrong'), basic('')])
    expect(await raw(proxy.port, `CONNECT crm.example.com:443 HTTP/1.1\r\nhost: x\r\n${wrong}\r\n`)).toMatch(
      /^HTTP\/1\.1 407 [\s\S]*proxy-authenticate: Basic/,
    );
  expect(
    await raw(
      proxy.port,
      'GET http://plain.example.com:8080/ HTTP/1.1\r\nhost: plain.example.com:8080\r\nconnection: close\r\n\r\n',
    ),
  ).toMatch(/^HTTP\/1\.1 407 /);
  for (const host of ['evil.example.com:443', '169.254.169.254:80', 'plain.example.com:443', 'xcrm.example.com:443'])
    expect(await raw(proxy.port, `CONNECT ${host} HTTP/1.1\r\nhost: x\r\n${basic(PASSWORD)}\r\n`), host).toMatch(
      /^HTTP\/1\.1 403 [\s\S]*--direct/,
    );
  expect(
    await raw(
      proxy.port,
      `GET http://evil.example.com/ HTTP/1.1\r\nhost: evil.example.com\r\nconnection: close\r\n${basic(PASSWORD)}\r\n`,
    ),
  ).toMatch(/^HTTP\/1\.1 403 /);
  expect(seen).toEqual([]);
});

test('of a host whose tunnel is refused it is said once what to do, since clients show a number alone', async () => {
  told.length = 0;
  for (const host of ['one.example.com:443', 'one.example.com:443', 'two.example.com:443'])
    await raw(proxy.port, `CONNECT ${host} HTTP/1.1\r\nhost: x\r\n${basic(PASSWORD)}\r\n`);
  // Nobody is told of what came without the password of this run.
  await raw(proxy.port, 'CONNECT three.example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n');
  expect(told).toEqual([
    expect.stringMatching(/^sallyport run: one\.example\.com:443 is no host of crm-api\. .*--direct/),
    expect.stringContaining('two.example.com:443'),
  ]);
});

test('plain HTTP by proxy goes to the agent as it is written, without the password of this run', async () => {
  const answer = await raw(
    proxy.port,
    `GET http://plain.example.com:8080/v1?x=1 HTTP/1.1\r\nhost: other\r\nconnection: close, x-hop\r\nx-hop: 1\r\n${basic(PASSWORD)}\r\n`,
  );
  expect(answer).toContain('hello');
  expect(seen).toMatchObject([
    {
      url: 'http://plain.example.com:8080/v1?x=1',
      headers: { host: 'plain.example.com:8080', 'proxy-authorization': 'Bearer tok' },
    },
  ]);
  expect(seen[0]!.headers).not.toHaveProperty('x-hop');
});

test('an upgrade by a resource’s own URL passes both ways', async () => {
  const got = await talk(
    proxy.port,
    [`GET /${PASSWORD}/crm-api/ws HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n`, '101'],
    ['ping', 'ping'],
  );
  expect(got).toContain('101 Switching Protocols');
  expect(seen).toMatchObject([
    { method: 'UPGRADE', url: '/r/crm-api/ws', headers: { upgrade: 'websocket', 'proxy-authorization': 'Bearer tok' } },
  ]);
});

test('with --direct other hosts are reached past the agent, and without the token', async () => {
  const elsewhere = http.createServer((request, response) => response.end(JSON.stringify(request.headers)));
  await new Promise<void>((done) => elsewhere.listen(0, '127.0.0.1', done));
  closing.push(() => elsewhere.close());
  const { port } = elsewhere.address() as net.AddressInfo;
  const direct = await open(true);
  const answer = await raw(
    direct.port,
    `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${basic(PASSWORD)}\r\n`,
  );
  expect(answer).toContain('200 OK');
  expect(answer).not.toContain('tok');
  const tunnel = await talk(
    direct.port,
    [`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nhost: x\r\n${basic(PASSWORD)}\r\n`, '200'],
    ['GET / HTTP/1.1\r\nhost: y\r\n\r\n', '{"host"'],
  );
  expect(tunnel).toContain('{"host":"y"}');
  expect(seen).toEqual([]);
});

test('an agent that is not there is said as 502, for a request and for a tunnel', async () => {
  const lost = await open(false, 1);
  expect((await fetch(`${lost.urlOf('crm-api')}/`)).status).toBe(502);
  expect(await raw(lost.port, `CONNECT crm.example.com:443 HTTP/1.1\r\nhost: x\r\n${basic(PASSWORD)}\r\n`)).toMatch(
    /^HTTP\/1\.1 502 /,
  );
});

test('a program gets proxy, CAs, URLs and tokens, and nothing this program signs in with', () => {
  const env = environmentFor(
    {
      PATH: '/bin',
      SALLYPORT_TOKEN: 'own',
      SALLYPORT_CLIENT_SECRET: 'own',
      ALL_PROXY: 'x',
      NO_PROXY: '*',
      SALLYPORT_URL: 'http://cp',
    },
    {
      proxyPort: 9,
      password: 'pw',
      caFile: '/x/ca.pem',
      extraCaFile: '/x/extra.pem',
      resources: [{ name: 'crm-api', url: 'http://u', token: 't' }],
    },
  );
  expect(env).toMatchObject({
    PATH: '/bin',
    HTTPS_PROXY: 'http://run:pw@127.0.0.1:9',
    http_proxy: 'http://run:pw@127.0.0.1:9',
    NO_PROXY: 'localhost,127.0.0.1,::1',
    SSL_CERT_FILE: '/x/ca.pem',
    NODE_EXTRA_CA_CERTS: '/x/extra.pem',
    SALLYPORT_CRM_API_URL: 'http://u',
    SALLYPORT_CRM_API_TOKEN: 't',
    SALLYPORT_URL: 'http://cp',
  });
  expect(Object.values(env)).not.toContain('own');
  expect(env).not.toHaveProperty('ALL_PROXY');
  expect(variableOf('a-b2')).toBe(['SALLYPORT', 'A', 'B2'].join('_'));
  const bundle = caBundle({}, cert);
  expect(bundle.all.endsWith(bundle.extra)).toBe(true);
  expect(bundle.all.match(/BEGIN CERTIFICATE/g)!.length).toBeGreaterThan(50);
});
