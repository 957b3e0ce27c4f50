/** Later connections take up the TLS session of an earlier one, with a server that was proven and with that one alone. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo, LookupFunction } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { createLogger, Secret } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import type { UpstreamCredential } from '@sallyport/protocol-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ByteSocket } from '../byte-socket.ts';
import { Turn } from '../turn.ts';
import { UpstreamSide } from '../upstream-side.ts';
import { upstreamTlsStart } from './upstream-tls.ts';

const NOBODY: UpstreamCredential = { username: '', secret: undefined, certificate: false };
const log = createLogger('test', { level: 'error', write: () => undefined, nowMs: () => 0 });

describe('the TLS session of an upstream', () => {
  let dir: string;
  let server: tls.Server;
  /** Of each connection: whether it took up an earlier one, and the client's certificate. */
  const seen: { readonly resumed: boolean; readonly client: string }[] = [];
  const pem = (name: string): string => readFileSync(path.join(dir, name), 'utf8');
  const resource = (more: object = {}): Resource =>
    ({
      kind: 'kubernetes',
      name: 'x',
      kubernetes: { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, private: true, ...more },
    }) as unknown as Resource;

  /** Opens a connection and reads a byte on it, so that a ticket has come. @returns the code that ended it, '' for none */
  async function connect(to: Resource, credential = NOBODY): Promise<string> {
    const over = Promise.withResolvers<string>();
    const side = new UpstreamSide(
      new Turn({ flush: () => undefined, flushStrict: () => Promise.resolve() }),
      {
        upstreamBytes: () => over.resolve(''),
        upstreamSecured: () => undefined,
        upstreamClosed: (error) => over.resolve(error?.code ?? 'closed'),
        upstreamDrained: () => undefined,
        upstreamPaused: () => undefined,
        unrecorded: () => undefined,
      },
      [],
      log,
    );
    await side.connect(to, credential);
    const code = await over.promise;
    side.destroy();
    return code;
  }

  function listen(name: string, port = 0): Promise<tls.Server> {
    const made = tls.createServer(
      { cert: pem(`${name}.pem`), key: pem(`${name}.key`), requestCert: true, rejectUnauthorized: false },
      (socket) => {
        const client = socket.getPeerX509Certificate()?.subject ?? '';
        seen.push({ resumed: socket.isSessionReused(), client });
        socket.on('error', () => undefined);
        // Behind the tickets.
        setImmediate(() => socket.write('x'));
      },
    );
    made.on('tlsClientError', () => undefined);
    return new Promise((resolve) => made.listen(port, '127.0.0.1', () => resolve(made)));
  }

  beforeAll(async () => {
    dir = mkdtempSync(path.join(tmpdir(), 'upstream-tls-'));
    for (const name of ['server', 'other', 'carla', 'dora']) {
      const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
      const rest = [
        '-out',
        `${name}.pem`,
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
        '-addext',
        'subjectAltName=IP:127.0.0.1',
      ];
      execFileSync('openssl', ['req', '-x509', ...key, ...rest], { cwd: dir, stdio: 'ignore' });
    }
    server = await listen('server');
  });
  afterAll(() => {
    server.close();
    rmSync(dir, { recursive: true });
  });

  test('is taken up by later connections to the same resource, and by no other resource', async () => {
    const to = resource({ ca: pem('server.pem') });
    seen.length = 0;
    for (let i = 0; i < 3; i++) expect(await connect(to)).toBe('');
    expect(await connect(resource({ ca: pem('server.pem') }))).toBe('');
    expect(seen.map(({ resumed }) => resumed)).toEqual([false, true, true, false]);
  });

  test('is taken up, too, where the first address of a name does not answer', async () => {
    const to = resource({ ca: pem('server.pem') });
    const { port } = server.address() as AddressInfo;
    const lookup: LookupFunction = (_name, _options, found) =>
      found(null, [
        { address: '::1', family: 6 },
        { address: '127.0.0.1', family: 4 },
      ]);
    const shown: string[] = [];
    seen.length = 0;
    for (let i = 0; i < 3; i++) {
      const read = Promise.withResolvers<void>();
      const socket = await ByteSocket.connect(
        { host: 'somewhere.invalid', port, lookup },
        {
          bytes: (chunk) => {
            shown.push(chunk.toString());
            read.resolve();
          },
          secured: () => undefined,
          drained: () => undefined,
          closed: (error) => read.reject(error ?? new Error('closed')),
        },
        { willSecure: false, secure: upstreamTlsStart(to, NOBODY, []), timeoutMs: 10_000 },
      );
      await read.promise;
      socket.destroy();
    }
    expect(shown).toEqual(['x', 'x', 'x']);
    expect(seen.map(({ resumed }) => resumed)).toEqual([false, true, true]);
  });

  test('of a server that is not the one named is never kept', async () => {
    const to = resource({ ca: pem('other.pem') });
    seen.length = 0;
    for (let i = 0; i < 2; i++) expect(await connect(to)).toBe('upstream.tls');
    expect(seen.filter(({ resumed }) => resumed)).toEqual([]);
  });

  test('that the server has forgotten is begun anew, and then taken up again', async () => {
    const to = resource({ ca: pem('server.pem') });
    expect(await connect(to)).toBe('');
    server.setTicketKeys(randomBytes(48));
    seen.length = 0;
    for (let i = 0; i < 4; i++) expect(await connect(to)).toBe('');
    // Of the one that was offered too little nothing is kept.
    expect(seen.map(({ resumed }) => resumed)).toEqual([false, false, true, true]);
  });

  test('does not open a server that another has taken the place of', async () => {
    const to = resource({ ca: pem('server.pem') });
    expect(await connect(to)).toBe('');
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    server = await listen('other', port);
    expect(await connect(to)).toBe('upstream.tls');
    await new Promise((resolve) => server.close(resolve));
    server = await listen('server', port);
    expect(await connect(to)).toBe('');
  });

  test('belongs to the client certificate it was opened with', async () => {
    const to = resource({ ca: pem('server.pem') });
    const credential = (name: string): UpstreamCredential => ({
      username: '',
      secret: new Secret(pem(`${name}.pem`) + pem(`${name}.key`)),
      certificate: true,
    });
    const [carla, dora] = [credential('carla'), credential('dora')];
    seen.length = 0;
    for (const one of [carla, carla, dora, NOBODY]) expect(await connect(to, one)).toBe('');
    expect(seen).toEqual([
      { resumed: false, client: 'CN=carla' },
      { resumed: true, client: 'CN=carla' },
      { resumed: false, client: 'CN=dora' },
      { resumed: false, client: '' },
    ]);
  });
});
