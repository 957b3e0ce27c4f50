import { createHash } from 'node:crypto';
import net, { type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { ByteSocket } from './byte-socket.ts';

const servers: net.Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A peer that reads a little now and then, and says what it got once all of it came. */
async function slowPeer(bytes: number): Promise<{ readonly port: number; readonly digest: Promise<string> }> {
  const { promise: digest, resolve } = Promise.withResolvers<string>();
  const server = net.createServer((socket) => {
    const hash = createHash('sha256');
    let got = 0;
    socket.on('data', (chunk) => {
      hash.update(chunk);
      got += chunk.length;
      if (got >= bytes) resolve(`${got} ${hash.digest('hex')}`);
      socket.pause();
      setTimeout(() => socket.resume(), 1);
    });
    socket.on('error', () => undefined);
  });
  servers.push(server);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { port: (server.address() as AddressInfo).port, digest };
}

test('what several slow peers have not taken yet is not written over, of whatever size it is', async () => {
  const sizes = [100, 5_000, 40_000, 70_000, 131_300, 163_840, 200_000];
  const total = 12_000_000;
  const socketFor = async (seed: number) => {
    const wanted = createHash('sha256');
    const plan: Buffer[] = [];
    let planned = 0;
    for (let i = 0; planned < total; i++) {
      const bytes = Buffer.alloc(sizes[(i * 3 + seed) % sizes.length]!, `${seed} ${i} `);
      wanted.update(bytes);
      planned += bytes.length;
      plan.push(bytes);
    }
    const peer = await slowPeer(planned);
    let drained: (() => void) | undefined;
    const socket = await ByteSocket.connect(
      { host: '127.0.0.1', port: peer.port },
      { bytes: () => undefined, secured: () => undefined, drained: () => drained?.(), closed: () => undefined },
      { willSecure: false, timeoutMs: 30_000 },
    );
    const send = async (): Promise<string> => {
      for (const [i, bytes] of plan.entries()) {
        // Memory of whoever writes is its own again at once.
        const lent = Buffer.from(bytes);
        const mayGoOn = socket.write(lent);
        lent.fill(0);
        if (!mayGoOn) await new Promise<void>((resolve) => (drained = resolve));
        else if (i % 7 === 0) await sleep(1);
      }
      return await peer.digest;
    };
    return { send, socket, wanted: `${planned} ${wanted.digest('hex')}` };
  };
  const all = await Promise.all([1, 2, 3].map(socketFor));
  expect(await Promise.all(all.map(({ send }) => send()))).toEqual(all.map(({ wanted }) => wanted));
  for (const { socket } of all) socket.destroy();
}, 60_000);
