import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { createLogger, type ErrorCode, GatewayError } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import { OWN_PERMIT, type ProtocolAdapter, type ProtocolSession, type SessionHost } from '@sallyport/protocol-kit';
import { afterEach, expect, test } from 'vitest';
import { Admission, type Connection, type HostParts, type Listener, listen, Turn, type TurnRecords } from './index.ts';

const log = createLogger('test', { level: 'error', write: () => {}, nowMs: () => 0 });
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

const dir = mkdtempSync(join(tmpdir(), 'relay-'));
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
    '/CN=localhost',
    '-addext',
    'subjectAltName=DNS:localhost',
    '-keyout',
    join(dir, 'key.pem'),
    '-out',
    join(dir, 'cert.pem'),
  ],
  { stdio: 'ignore' },
);
const cert = readFileSync(join(dir, 'cert.pem'), 'utf8');
const key = readFileSync(join(dir, 'key.pem'), 'utf8');
rmSync(dir, { recursive: true });
const context = tls.createSecureContext({ cert, key, minVersion: 'TLSv1.2', sessionIdContext: 'sallyport' });

const resource = (port: number, extra: Partial<Resource> = {}, target: object = {}): Resource =>
  ({
    id: 'r',
    name: 'r',
    kind: 'postgres',
    durability: 'standard',
    postgres: { host: '127.0.0.1', port, databases: [], tls: 'disable', auth: [], ...target },
    ...extra,
  }) as unknown as Resource;

interface Seen {
  readonly ends: ErrorCode[];
  readonly closed: (ErrorCode | '')[];
  readonly connections: Connection[];
  secured: number;
}

/** A protocol without words: the first bytes open the upstream, all bytes are passed on as they are. */
function passing(to: Resource, seen: Seen, options: { readonly upstreamTls?: boolean } = {}): ProtocolAdapter {
  return {
    name: 'postgres',
    transport: 'relay',
    defaultPort: 0,
    alpn: ['postgresql'],
    openSession(host: SessionHost): ProtocolSession {
      let open = false;
      let opening = false;
      const early: Buffer[] = [];
      const ready = (): void => {
        open = true;
        for (const chunk of early) host.upstream.send(OWN_PERMIT, chunk);
      };
      return {
        clientBytes(chunk) {
          if (chunk.toString() === 'break') throw new Error('an invariant');
          if (open) {
            host.upstream.send(OWN_PERMIT, chunk);
            return;
          }
          early.push(Buffer.from(chunk));
          if (opening) return;
          opening = true;
          host.upstream.connect(to).then(
            () => {
              if (options.upstreamTls)
                host.upstream.startTls(to, { username: 'u', secret: undefined, certificate: false });
              else ready();
            },
            (error: GatewayError) => this.end(error.code),
          );
        },
        clientSecured: () => seen.secured++,
        clientClosed: () => {},
        clientDrained: () => {},
        upstreamBytes: (chunk) => void host.client.write(chunk),
        upstreamSecured: ready,
        upstreamClosed(error) {
          if (error !== undefined) seen.ends.push(error.code);
          host.client.end();
        },
        upstreamDrained: () => {},
        timer: () => {},
        end(code) {
          seen.ends.push(code);
          host.client.end();
          host.upstream.end();
        },
        bundleChanged: () => {},
      };
    },
  };
}

const quiet: TurnRecords = { flush: () => {}, flushStrict: () => Promise.resolve() };

async function start(
  to: Resource,
  options: {
    records?: TurnRecords;
    admission?: Admission;
    tlsOn?: boolean;
    plaintext?: boolean;
    upstreamTls?: boolean;
    load?: (adapter: ProtocolAdapter) => Promise<ProtocolAdapter>;
  } = {},
): Promise<{ listener: Listener; seen: Seen }> {
  const seen: Seen = { ends: [], closed: [], connections: [], secured: 0 };
  const turn = new Turn(options.records ?? quiet);
  const { load } = options;
  const adapter = passing(to, seen, options);
  const listener = await listen({
    adapter: load === undefined ? adapter : () => load(adapter),
    host: '127.0.0.1',
    port: 0,
    plaintext: options.plaintext ?? !options.tlsOn,
    tlsContext: options.tlsOn ? () => context : undefined,
    turn,
    admission: options.admission ?? new Admission(),
    log,
    parts: (connection) => {
      seen.connections.push(connection);
      return {
        log,
        closed: (code: ErrorCode | '') => seen.closed.push(code),
        nowMs: () => 0,
        monotonicUs: () => 0,
      } as unknown as HostParts;
    },
  });
  cleanUps.push(() => listener.close());
  return { listener, seen };
}

async function server(onSocket: (socket: net.Socket) => void): Promise<number> {
  const made = net.createServer((socket) => {
    socket.on('error', () => socket.destroy());
    cleanUps.push(() => socket.destroy());
    onSocket(socket);
  });
  await new Promise<void>((done) => made.listen(0, '127.0.0.1', done));
  cleanUps.push(() => new Promise((done) => made.close(done)));
  return (made.address() as net.AddressInfo).port;
}

function dial(port: number): net.Socket {
  const socket = net.connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  cleanUps.push(() => socket.destroy());
  return socket;
}
async function dialTls(port: number): Promise<net.Socket> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    ca: cert,
    servername: 'localhost',
    ALPNProtocols: ['postgresql'],
  });
  socket.on('error', () => {});
  cleanUps.push(() => socket.destroy());
  await new Promise((done) => socket.once('secureConnect', done));
  return socket;
}
const closed = (socket: net.Socket): Promise<void> => new Promise((done) => socket.once('close', () => done()));
const firstData = (socket: net.Socket): Promise<Buffer> => new Promise((done) => socket.once('data', done));
const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((next) => setTimeout(next, 5));
};
const echo = (socket: net.Socket): void => void socket.on('data', (chunk) => socket.write(chunk));

test('bytes pass both ways and the close is told once', async () => {
  const { listener, seen } = await start(resource(await server(echo)));
  const client = dial(listener.port);
  client.write('hello');
  expect((await firstData(client)).toString()).toBe('hello');
  client.end();
  await until(() => seen.closed.length === 1);
  expect(seen.closed).toEqual(['']);
});

test.each(['plain', 'TLS'])(
  'a slow reader over %s gets every byte as it was sent, and the server is made to wait',
  async (kind) => {
    const size = 24 * 1024 * 1024;
    const body = Buffer.alloc(size);
    for (let i = 0; i < size; i += 4) body.writeUInt32LE((i * 2654435761) >>> 0, i);
    let unsent = 0;
    const port = await server((socket) => {
      socket.once('data', () => {
        socket.write(body);
        unsent = 1;
      });
      socket.once('drain', () => (unsent = 0));
    });
    const { listener } = await start(resource(port), { tlsOn: kind === 'TLS' });
    const client = kind === 'TLS' ? await dialTls(listener.port) : dial(listener.port);
    client.write('go');
    client.pause();
    await until(() => unsent === 1);
    await new Promise((next) => setTimeout(next, 300));
    expect(unsent).toBe(1);
    const hash = createHash('sha256');
    let got = 0;
    client.on('data', (chunk) => {
      hash.update(chunk);
      got += chunk.length;
      client.pause();
      setTimeout(() => client.resume(), 1);
    });
    client.resume();
    await until(() => got === size);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(body).digest('hex'));
  },
  20_000,
);

test('a failed flush forwards nothing and ends the sessions of that turn with trail.unavailable', async () => {
  let full = false;
  const got: Buffer[] = [];
  const port = await server((socket) => socket.on('data', (chunk) => got.push(chunk)));
  const flush = (): void => {
    if (full) throw new GatewayError('trail.unavailable');
  };
  const { listener, seen } = await start(resource(port), { records: { flush, flushStrict: async () => flush() } });
  const client = dial(listener.port);
  client.write('one');
  await until(() => got.length === 1);
  full = true;
  client.write('two');
  await closed(client);
  expect(seen.ends).toContain('trail.unavailable');
  expect(Buffer.concat(got).toString()).toBe('one');
});

test('with strict durability bytes leave in order, and only after the disk has the records', async () => {
  const waiting: (() => void)[] = [];
  const got: Buffer[] = [];
  const port = await server((socket) => socket.on('data', (chunk) => got.push(chunk)));
  const records: TurnRecords = { flush: () => {}, flushStrict: () => new Promise((done) => waiting.push(done)) };
  const { listener } = await start(resource(port, { durability: 'strict' }), { records });
  const client = dial(listener.port);
  client.write('a');
  await until(() => waiting.length === 1);
  client.write('b');
  await until(() => waiting.length === 2);
  expect(got.length).toBe(0);
  waiting[0]?.();
  waiting[1]?.();
  await until(() => Buffer.concat(got).length === 2);
  expect(Buffer.concat(got).toString()).toBe('ab');
});

test('TLS works on a listener that also lets plaintext in', async () => {
  const { listener, seen } = await start(resource(await server(echo)), { tlsOn: true, plaintext: true });
  const secure = await dialTls(listener.port);
  secure.write('x');
  expect((await firstData(secure)).toString()).toBe('x');
  const plain = dial(listener.port);
  plain.write('y');
  expect((await firstData(plain)).toString()).toBe('y');
  expect(seen.secured).toBe(1);
});

test('direct TLS is told from its first byte and needs the protocol name', async () => {
  const { listener, seen } = await start(resource(await server(echo)), { tlsOn: true });
  const options = { port: listener.port, host: '127.0.0.1', ca: cert, servername: 'localhost' };
  const good = tls.connect({ ...options, ALPNProtocols: ['postgresql'] });
  cleanUps.push(() => good.destroy());
  await new Promise((done) => good.once('secureConnect', done));
  good.write('x'.repeat(100_000));
  let got = 0;
  good.on('data', (chunk) => (got += chunk.length));
  await until(() => got === 100_000);
  expect(seen.secured).toBe(1);
  const nameless = tls.connect(options);
  nameless.on('error', () => {});
  await closed(nameless);
  expect(seen.secured).toBe(1);
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)(
  'a client certificate is known by its digest, at a resumed %s session too, and none is asked for in vain',
  async (version) => {
    const { listener, seen } = await start(resource(await server(echo)), { tlsOn: true });
    const options = {
      port: listener.port,
      host: '127.0.0.1',
      ca: cert,
      servername: 'localhost',
      ALPNProtocols: ['postgresql'],
      minVersion: version,
      maxVersion: version,
    };
    const dialled = async (more: tls.ConnectionOptions): Promise<tls.TLSSocket> => {
      const socket = tls.connect({ ...options, ...more });
      cleanUps.push(() => socket.destroy());
      await new Promise((done, fail) => socket.once('secureConnect', done).once('error', fail));
      socket.write('x');
      await firstData(socket);
      return socket;
    };
    const sessions: Buffer[] = [];
    const first = tls.connect({ ...options, cert, key });
    cleanUps.push(() => first.destroy());
    first.on('session', (session) => sessions.push(session));
    await new Promise((done) => first.once('secureConnect', done));
    first.write('x');
    await firstData(first);
    await until(() => sessions.length > 0);
    const digest = createHash('sha256').update(new X509Certificate(cert).raw).digest('base64url');
    expect(seen.connections.at(-1)?.clientCertificateSha256).toBe(digest);
    const again = await dialled({ session: sessions.at(-1)! });
    // What a resumed session stands on was proven when it began; without that it must stand on nothing.
    expect([digest, undefined]).toContain(seen.connections.at(-1)?.clientCertificateSha256);
    expect(again.authorized).toBe(true);
    await dialled({});
    expect(seen.connections.at(-1)?.clientCertificateSha256).toBeUndefined();
  },
);

test('the server side of TLS verifies by the mode of the resource', async () => {
  const upstream = tls.createServer({ cert, key }, echo);
  await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', done));
  cleanUps.push(() => upstream.close());
  const { port } = upstream.address() as net.AddressInfo;
  for (const [target, outcome] of [
    [{ tls: 'verify-full', ca: cert, serverName: 'localhost' }, 'pong'],
    [{ tls: 'verify-full', ca: cert, serverName: 'other.example' }, 'upstream.tls'],
    [{ tls: 'verify-full', serverName: 'localhost' }, 'upstream.tls'],
    [{ tls: 'verify-ca', ca: cert, serverName: 'other.example' }, 'pong'],
    [{ tls: 'require' }, 'pong'],
  ] as const) {
    const { listener, seen } = await start(resource(port, {}, target), { upstreamTls: true });
    const client = dial(listener.port);
    client.write('pong');
    if (outcome === 'pong') expect((await firstData(client)).toString()).toBe('pong');
    else {
      await closed(client);
      expect(seen.ends).toEqual([outcome]);
    }
  }
});

test('too many connections of one address are closed before a byte is read', async () => {
  const admission = new Admission({ sessionsMax: 10, halfOpenSessionsMax: 10, halfOpenSessionsPerAddressMax: 2 });
  const { listener, seen } = await start(resource(1), { admission });
  const first = [dial(listener.port), dial(listener.port)];
  await until(() => seen.connections.length === 2);
  await closed(dial(listener.port));
  expect(seen.connections.length).toBe(2);
  seen.connections[0]?.established();
  const next = dial(listener.port);
  await until(() => seen.connections.length === 3);
  for (const socket of [...first, next]) socket.destroy();
  await until(() => admission.all === 0);
  expect(admission.halfOpen).toBe(0);
});

test('a resource that is not there is upstream.unreachable, and others go on', async () => {
  const good = await start(resource(await server(echo)));
  const bad = await start(resource(1));
  const other = dial(good.listener.port);
  other.write('1');
  await firstData(other);
  const client = dial(bad.listener.port);
  client.write('x');
  await closed(client);
  expect(bad.seen.ends).toEqual(['upstream.unreachable']);
  other.write('2');
  expect((await firstData(other)).toString()).toBe('2');
});

test('an end from outside closes both sides within the close deadline', async () => {
  let upstreamClosed = 0;
  const port = await server((socket) => {
    echo(socket);
    socket.on('close', () => upstreamClosed++);
  });
  const { listener, seen } = await start(resource(port));
  const client = dial(listener.port);
  client.write('x');
  await firstData(client);
  seen.connections[0]?.end('session.killed');
  await closed(client);
  await until(() => upstreamClosed === 1 && seen.closed.length === 1);
  expect(seen.closed).toEqual(['session.killed']);
});

test('all connections end together, also those that never said a word', async () => {
  const { listener, seen } = await start(resource(await server(echo)));
  const [silent, busy] = [dial(listener.port), dial(listener.port)];
  busy.write('x');
  await firstData(busy);
  await until(() => seen.connections.length === 2);
  listener.endAll('agent.stopping');
  await Promise.all([closed(silent), closed(busy)]);
  await listener.close();
  expect(seen.closed.sort()).toEqual(['agent.stopping', 'agent.stopping']);
});

test('a kill gets through to a client that reads nothing', async () => {
  const port = await server((socket) => socket.once('data', () => socket.write(Buffer.alloc(8 * 1024 * 1024))));
  const { listener, seen } = await start(resource(port));
  const client = dial(listener.port);
  client.write('go');
  client.pause();
  await new Promise((next) => setTimeout(next, 200));
  const at = performance.now();
  seen.connections[0]?.end('session.killed');
  await until(() => seen.closed.length === 1);
  expect(performance.now() - at).toBeLessThan(1_000);
});

test('what one connection does wrong is its own: a broken session ends alone', async () => {
  const { listener, seen } = await start(resource(await server(echo)));
  const good = dial(listener.port);
  good.write('1');
  await firstData(good);
  const bad = dial(listener.port);
  await until(() => seen.connections.length === 2);
  bad.write('break');
  await closed(bad);
  good.write('2');
  expect((await firstData(good)).toString()).toBe('2');
  expect(seen.closed).toEqual(['internal']);
});

test('a protocol is loaded with its first connections, and what they sent meanwhile is read when it is there', async () => {
  const loading = Promise.withResolvers<void>();
  let asked = 0;
  const load = async (adapter: ProtocolAdapter): Promise<ProtocolAdapter> => {
    asked++;
    await loading.promise;
    return adapter;
  };
  const admission = new Admission();
  const { listener, seen } = await start(resource(await server(echo)), { load, admission });
  expect(asked).toBe(0);
  const first = dial(listener.port);
  first.write('1');
  const second = dial(listener.port);
  second.write('2');
  await until(() => admission.halfOpen === 2);
  expect(seen.connections).toEqual([]);
  loading.resolve();
  expect((await firstData(first)).toString()).toBe('1');
  expect((await firstData(second)).toString()).toBe('2');
  const asks = asked;
  const third = dial(listener.port);
  third.write('3');
  expect((await firstData(third)).toString()).toBe('3');
  expect(asked).toBe(asks);
});

test('connections of a protocol that cannot be loaded, or whose agent stops meanwhile, are closed and give their places back', async () => {
  const admission = new Admission();
  const failing = await start(resource(await server(echo)), {
    load: () => Promise.reject(new Error('gone')),
    admission,
  });
  await closed(dial(failing.listener.port));
  await until(() => admission.all === 0);
  const loading = Promise.withResolvers<ProtocolAdapter>();
  const stopping = await start(resource(await server(echo)), { load: () => loading.promise, admission });
  const waiting = dial(stopping.listener.port);
  await until(() => admission.all === 1);
  stopping.listener.endAll('agent.stopping');
  await closed(waiting);
  loading.reject(new Error('gone'));
  await until(() => admission.all === 0);
  expect([...failing.seen.connections, ...stopping.seen.connections]).toEqual([]);
});

test('plaintext off the loopback is refused', () => {
  const options = { host: '0.0.0.0', port: 0, plaintext: true } as unknown as Parameters<typeof listen>[0];
  expect(() => listen(options)).toThrow(GatewayError);
});

test('TLS inside the TLS of a connection carries bytes both ways, in large pieces too, and only for hosts that have a certificate', async () => {
  const asked: string[] = [];
  const inner: boolean[] = [];
  const listener = await listen({
    adapter: {
      name: 'postgres',
      transport: 'relay',
      defaultPort: 0,
      alpn: ['postgresql'],
      openSession(host: SessionHost): ProtocolSession {
        let inside = false;
        let secured = 0;
        return {
          clientBytes(chunk) {
            if (inside) return void host.client.write(chunk);
            const name = chunk.toString().trim();
            const can = host.client.startInnerTls !== undefined && name === 'localhost';
            host.client.write(Buffer.from(can ? 'yes' : 'no'));
            if (!can) return;
            inside = true;
            inner.push(host.client.startInnerTls?.(name, ['http/1.1', 'h2']) ?? false);
            inner.push(host.client.startInnerTls?.(name, []) ?? true);
          },
          clientSecured: ({ alpn }) => void asked.push(`${secured++} ${alpn}`),
          clientClosed: () => {},
          clientDrained: () => {},
          upstreamBytes: () => {},
          upstreamSecured: () => {},
          upstreamClosed: () => {},
          upstreamDrained: () => {},
          timer: () => {},
          end: () => host.client.end(),
          bundleChanged: () => {},
        };
      },
    },
    host: '127.0.0.1',
    port: 0,
    plaintext: false,
    tlsContext: () => context,
    innerTlsContext: (name) => (name === 'localhost' ? context : undefined),
    turn: new Turn(quiet),
    admission: new Admission(),
    log,
    parts: () => ({ log, closed: () => {}, nowMs: () => 0, monotonicUs: () => 0 }) as unknown as HostParts,
  });
  cleanUps.push(() => listener.close());
  const outer = await dialTls(listener.port);
  outer.write('elsewhere');
  expect((await firstData(outer)).toString()).toBe('no');
  outer.write('localhost');
  expect((await firstData(outer)).toString()).toBe('yes');
  const secure = tls.connect({ socket: outer, ca: cert, servername: 'localhost', ALPNProtocols: ['http/1.1'] });
  secure.on('error', () => {});
  await new Promise((done) => secure.once('secureConnect', done));
  const sent = Buffer.alloc(3_000_000, 'abcdefghij');
  const got = createHash('sha256');
  let bytes = 0;
  secure.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    got.update(chunk);
  });
  secure.write(sent);
  await until(() => bytes >= sent.length);
  expect(got.digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'));
  expect(inner).toEqual([true, false]);
  expect(asked).toEqual(['0 postgresql', '1 http/1.1']);
});
