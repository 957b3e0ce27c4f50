/** Back-pressure of the server's side: whoever was told to stop is told to go on. */
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLogger, LIMITS } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import { OWN_PERMIT } from '@sallyport/protocol-kit';
import { expect, test, vi } from 'vitest';
import { Turn } from './turn.ts';
import { UpstreamSide, type UpstreamSideOwner } from './upstream-side.ts';

test('a queue that emptied while its records were on their way to the disk is said to be empty', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'upstream-side-'));
  let received = 0;
  const accepted = Promise.withResolvers<net.Socket>();
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('data', (chunk) => {
      received += chunk.length;
    });
    socket.pause();
    accepted.resolve(socket);
  });
  await new Promise<void>((resolve) => server.listen(path.join(dir, '.s.PGSQL.5432'), resolve));
  let safe = Promise.resolve();
  const turn = new Turn({ flush: () => undefined, flushStrict: () => safe });
  let drained = 0;
  const owner: UpstreamSideOwner = {
    upstreamBytes: () => undefined,
    upstreamSecured: () => undefined,
    upstreamClosed: () => undefined,
    upstreamDrained: () => {
      drained++;
    },
    upstreamPaused: () => undefined,
    unrecorded: () => undefined,
  };
  const log = createLogger('test', { level: 'error', write: () => undefined, nowMs: () => 0 });
  const side = new UpstreamSide(turn, owner, [], log);
  const postgres = { socket: dir, host: '', port: 5432, tls: 'disable' };
  await side.connect({ kind: 'postgres', name: 'x', durability: 'strict', postgres } as unknown as Resource);
  const peer = await accepted.promise;
  const wholeTurn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

  // The kernel takes a part; the rest waits in the socket, and is less than would stop anybody.
  const first = LIMITS.writeQueueBytesMax;
  expect(side.send(OWN_PERMIT, Buffer.alloc(first))).toBe(true);
  await wholeTurn();
  const held = Promise.withResolvers<void>();
  safe = held.promise;
  expect(side.send(OWN_PERMIT, Buffer.alloc(first))).toBe(false);
  await wholeTurn();
  // Meanwhile the server reads all that was sent.
  peer.resume();
  await vi.waitFor(() => expect(received).toBe(first), { timeout: 20_000 });
  expect(side.full).toBe(false);
  peer.pause();
  drained = 0;
  held.resolve();
  await vi.waitFor(() => expect(drained).toBe(1), { timeout: 20_000 });

  side.destroy();
  peer.destroy();
  await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true });
});
