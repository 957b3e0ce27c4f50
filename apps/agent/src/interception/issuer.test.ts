import { execFile, execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { promisify } from 'node:util';
import type { AgentMessage } from '@sallyport/contract';
import { createLogger } from '@sallyport/core';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { InterceptionIssuer } from './issuer.ts';
import { makeLeaf } from './leaf.ts';

const run = promisify(execFile);
const log = createLogger('test', { level: 'error', write: () => {}, nowMs: () => 0 });
const dir = mkdtempSync(path.join(tmpdir(), 'interception-'));
afterAll(() => rmSync(dir, { recursive: true }));
const at = (name: string): string => path.join(dir, name);
const openssl = (...args: string[]): string =>
  execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
const HOSTS = ['api.example.com', 'hooks.example.net'];

/** As the control plane certifies: root → the agent's issuer with critical constraints. */
function certify(csr: Uint8Array, hosts: readonly string[]): string {
  writeFileSync(at('csr.der'), csr);
  const constraints = [
    ...hosts.map((host) => `permitted;DNS:${host}`),
    'excluded;IP:0.0.0.0/0.0.0.0',
    'excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0',
  ];
  writeFileSync(
    at('ext'),
    `basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nextendedKeyUsage=serverAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nnameConstraints=critical,${constraints.join(',')}\n`,
  );
  openssl(
    'x509',
    '-req',
    '-inform',
    'DER',
    '-in',
    at('csr.der'),
    '-CA',
    at('root.pem'),
    '-CAkey',
    at('root.key'),
    '-days',
    '30',
    '-extfile',
    at('ext'),
    '-out',
    at('issuer.pem'),
    '-set_serial',
    '7',
  );
  return `${readFileSync(at('issuer.pem'), 'utf8').trim()}\n${readFileSync(at('root.pem'), 'utf8')}`;
}

openssl(
  'req',
  '-x509',
  '-newkey',
  'ec',
  '-pkeyopt',
  'ec_paramgen_curve:P-256',
  '-nodes',
  '-days',
  '60',
  '-subj',
  '/CN=Interception',
  '-addext',
  'keyUsage=critical,keyCertSign',
  '-keyout',
  at('root.key'),
  '-out',
  at('root.pem'),
);

let sent: AgentMessage[];
let hosts: readonly string[];
let nowMs: number;
let data: string;
const open = (): InterceptionIssuer =>
  new InterceptionIssuer({
    dataDir: data,
    hosts: () => hosts,
    send: (message) => sent.push(message) > 0,
    nowMs: () => nowMs,
    log,
  });
const csr = (): Uint8Array => {
  const asked = sent.findLast((message) => message.body === 'interceptionKey');
  if (asked?.body !== 'interceptionKey') throw new Error('nothing was asked');
  return asked.interceptionKey.csr ?? new Uint8Array();
};

beforeEach(() => {
  sent = [];
  hosts = HOSTS;
  nowMs = Date.now();
  data = mkdtempSync(path.join(dir, 'data-'));
});

async function serve(context: tls.SecureContext): Promise<{ port: number; close(): void }> {
  const server = tls.createServer({ SNICallback: (_name, done) => done(null, context) }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { port: (server.address() as net.AddressInfo).port, close: () => server.close() };
}
const curl = (host: string, port: number) =>
  run(
    'curl',
    [
      '-sS',
      '--noproxy',
      '*',
      '--cacert',
      at('root.pem'),
      '--resolve',
      `${host}:${port}:127.0.0.1`,
      `https://${host}:${port}/`,
    ],
    { timeout: 10_000 },
  );

test('curl believes what the agent shows for a registered host, with the issuer above as its only trust', async () => {
  const issuer = open();
  issuer.linkOpened();
  issuer.certified({ chain: certify(csr(), HOSTS), hosts: HOSTS });
  const context = issuer.contextFor('api.example.com');
  expect(context).toBeDefined();
  expect(issuer.contextFor('api.example.com')).toBe(context);
  const server = await serve(context!);
  expect((await curl('api.example.com', server.port)).stdout).toBe('ok');
  server.close();
});

test('no leaf is made for a host that is not registered, or not any more', () => {
  const issuer = open();
  issuer.linkOpened();
  issuer.certified({ chain: certify(csr(), HOSTS), hosts: HOSTS });
  for (const host of ['example.com', 'www.api.example.com', '127.0.0.1', 'API.example.com', ''])
    expect(issuer.contextFor(host), host).toBeUndefined();
  hosts = ['hooks.example.net'];
  expect(issuer.contextFor('api.example.com')).toBeUndefined();
});

test('with the agent’s own key in hand, a leaf for any other host is refused by openssl, curl and Node', async () => {
  const issuer = open();
  issuer.linkOpened();
  issuer.certified({ chain: certify(csr(), HOSTS), hosts: HOSTS });
  const stolen = {
    certificate: readFileSync(at('issuer.pem'), 'utf8'),
    key: createPrivateKey(readFileSync(path.join(data, 'interception_key.pem'))),
  };
  const leafKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const verify = (host: string): string => {
    writeFileSync(at('leaf.pem'), makeLeaf(host, stolen, leafKey, nowMs, nowMs + 86_400_000));
    try {
      return execFileSync(
        'openssl',
        [
          'verify',
          '-x509_strict',
          '-purpose',
          'sslserver',
          '-CAfile',
          at('root.pem'),
          '-untrusted',
          at('issuer.pem'),
          at('leaf.pem'),
        ],
        { encoding: 'utf8', stdio: 'pipe' },
      );
    } catch (error) {
      return (error as { stderr: string }).stderr;
    }
  };
  expect(verify('api.example.com')).toContain(': OK');
  for (const host of ['bank.example.org', 'example.com', 'xapi.example.com', '10.0.0.1', '::1', 'localhost'])
    expect(verify(host), host).toMatch(/permitted subtree violation|excluded subtree violation/);
  const leaf = makeLeaf('bank.example.org', stolen, leafKey, nowMs, nowMs + 86_400_000);
  const context = tls.createSecureContext({
    cert: `${leaf}${stolen.certificate}`,
    key: leafKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  });
  const server = await serve(context);
  await expect(curl('bank.example.org', server.port)).rejects.toMatchObject({ code: 60 });
  const refused = await new Promise<string>((resolve) => {
    const socket = tls.connect({
      port: server.port,
      host: '127.0.0.1',
      servername: 'bank.example.org',
      ca: readFileSync(at('root.pem')),
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.on('secureConnect', () => resolve('believed'));
  });
  expect(refused).not.toBe('believed');
  server.close();
});

test('it is asked for once, and again when hosts change, when its end nears, and on another link', () => {
  const issuer = open();
  const asked = (): number => sent.filter((message) => message.body === 'interceptionKey').length;
  issuer.tick();
  issuer.tick();
  expect(asked()).toBe(1);
  issuer.certified({ chain: certify(csr(), HOSTS), hosts: HOSTS });
  issuer.tick();
  issuer.linkOpened();
  expect(asked()).toBe(1);
  hosts = [...HOSTS, 'new.example.org'];
  issuer.tick();
  expect(asked()).toBe(2);
  expect(issuer.contextFor('api.example.com')).toBeDefined();
  expect(issuer.contextFor('new.example.org')).toBeUndefined();
  issuer.linkOpened();
  expect(asked()).toBe(3);
  hosts = HOSTS;
  nowMs += 25 * 86_400_000;
  issuer.tick();
  expect(asked()).toBe(4);
  hosts = [];
  nowMs += 86_400_000;
  issuer.tick();
  expect(asked()).toBe(4);
});

test('key and certificate outlive the process, for its owner alone, and another agent’s certificate is not taken', () => {
  const first = open();
  first.linkOpened();
  const chain = certify(csr(), HOSTS);
  first.certified({ chain, hosts: HOSTS });
  expect(open().contextFor('api.example.com')).toBeDefined();
  expect(statSync(path.join(data, 'interception_key.pem')).mode & 0o077).toBe(0);
  data = mkdtempSync(path.join(dir, 'data-'));
  const other = open();
  other.certified({ chain, hosts: HOSTS });
  expect(other.contextFor('api.example.com')).toBeUndefined();
  other.certified({ chain: '', hosts: [], code: 'interception.off' });
  expect(other.contextFor('api.example.com')).toBeUndefined();
});
