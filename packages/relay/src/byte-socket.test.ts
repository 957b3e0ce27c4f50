import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import tls from 'node:tls';
import { afterEach, expect, test, vi } from 'vitest';
import { ByteSocket } from './byte-socket.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanUps.splice(0).reverse()) await undo();
});

const dir = mkdtempSync(join(tmpdir(), 'byte-socket-'));
execFileSync(
  'openssl',
  // biome-ignore format: one argument behind another
  ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')],
  { stdio: 'ignore' },
);
const cert = readFileSync(join(dir, 'cert.pem'), 'utf8');
const context = tls.createSecureContext({ cert, key: readFileSync(join(dir, 'key.pem'), 'utf8') });
rmSync(dir, { recursive: true });

interface Seen {
  readonly socket: ByteSocket;
  readonly got: Buffer[];
  ended: boolean;
}

/** The server's end of a TLS connection, as the relay has it. */
async function secured(
  onBytes: (seen: Seen) => void,
): Promise<{ readonly seen: Seen; readonly client: tls.TLSSocket }> {
  const { promise, resolve } = Promise.withResolvers<Seen>();
  const server = net.createServer({ pauseOnConnect: true }, (raw) => {
    const got: Buffer[] = [];
    let first = true;
    const seen: Seen = {
      socket: ByteSocket.accept(
        raw,
        {
          bytes: (chunk) => {
            if (first) {
              first = false;
              seen.socket.startServerTls(context, [], Buffer.from(chunk));
              return;
            }
            got.push(Buffer.from(chunk));
            onBytes(seen);
          },
          secured: () => resolve(seen),
          drained: () => undefined,
          closed: () => (seen.ended = true),
        },
        true,
      ),
      got,
      ended: false,
    };
    seen.socket.resume();
    cleanUps.push(() => seen.socket.destroy());
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  cleanUps.push(() => new Promise((done) => server.close(done)));
  const client = tls.connect({
    port: (server.address() as net.AddressInfo).port,
    host: '127.0.0.1',
    ca: cert,
    servername: 'localhost',
  });
  client.on('error', () => undefined);
  cleanUps.push(() => client.destroy());
  return { client, seen: await promise };
}

const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((next) => setTimeout(next, 5));
};
const body = Buffer.alloc(2 * 1024 * 1024);
for (let i = 0; i < body.length; i += 4) body.writeUInt32LE((i * 2654435761) >>> 0, i);
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const sizeOf = (seen: Seen): number => seen.got.reduce((sum, { length }) => sum + length, 0);

test('nothing is told of a TLS stream that was paused in the middle of a read, and all of it in order later', async () => {
  let late = 0;
  let isPaused = false;
  const { client, seen } = await secured(({ socket }) => {
    if (isPaused) late++;
    isPaused = true;
    socket.pause();
    setTimeout(() => {
      isPaused = false;
      socket.resume();
    }, 2);
  });
  client.write(body);
  await until(() => sizeOf(seen) === body.length);
  expect(late).toBe(0);
  expect(digest(Buffer.concat(seen.got))).toBe(digest(body));
});

test('what a peer said before it left is told once its reader goes on, then its end', async () => {
  const { client, seen } = await secured(({ socket, got }) => {
    if (got.length === 1) socket.pause();
  });
  client.end(body.subarray(0, 48 * 1024));
  await until(() => seen.got.length === 1);
  await new Promise((next) => setTimeout(next, 100));
  expect(seen.ended).toBe(false);
  seen.socket.resume();
  await until(() => seen.ended);
  expect(sizeOf(seen)).toBe(48 * 1024);
});

test('what waits for a slow client of TLS comes whole and in order, in pieces of whatever size it was written', async () => {
  const { client, seen } = await secured(() => undefined);
  let at = 0;
  let room = true;
  for (let i = 0; at < body.length && (room || at < body.length / 2); i++) {
    const size = [700, 150_000, 16_384, 3_000][i % 4]!;
    // Lent: it is written over right after.
    const piece = Buffer.from(body.subarray(at, at + size));
    room = seen.socket.write(piece);
    piece.fill(0);
    at += size;
  }
  expect(seen.socket.queuedBytes).toBeGreaterThan(0);
  const sent = body.subarray(0, at);
  const got: Buffer[] = [];
  let size = 0;
  client.on('data', (chunk: Buffer) => {
    got.push(chunk);
    size += chunk.length;
  });
  await until(() => size === sent.length);
  expect(digest(Buffer.concat(got))).toBe(digest(sent));
});

test('a stream that is given up while it holds bytes back is closed all the same', async () => {
  const { client, seen } = await secured(({ socket, got }) => {
    if (got.length === 1) socket.pause();
  });
  client.end(body.subarray(0, 48 * 1024));
  await until(() => seen.got.length === 1);
  await new Promise((next) => setTimeout(next, 100));
  seen.socket.destroy();
  await until(() => seen.ended);
  expect(seen.got.length).toBe(1);
});

test('of a connection that has closed no deadline is left, which would keep its memory', async () => {
  const { client, seen } = await secured(() => undefined);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  cleanUps.push(() => vi.useRealTimers());
  const isClosed = new Promise((done) => client.once('close', done));
  client.end();
  await isClosed;
  for (let turns = 0; turns < 1_000 && (!seen.ended || vi.getTimerCount() > 0); turns++) await turn();
  expect(seen.ended).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});
