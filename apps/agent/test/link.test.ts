/** Where and when a link dials while nobody answers as the control plane would. Real sockets; time measured, never faked. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Identity, keyPem } from '../src/link/identity.ts';
import { Link } from '../src/link/link.ts';
import { issue } from './certificates.fixture.ts';

/** Takes connections and hangs up. */
let servers: Server[];
let dialled: number[];
let links: Link[];
beforeEach(async () => {
  dialled = [];
  links = [];
  servers = [0, 1, 2].map((index) =>
    createServer((socket) => {
      dialled.push(index);
      socket.on('error', () => undefined).destroy();
    }).listen(0, '127.0.0.1'),
  );
  await Promise.all(servers.map((server) => once(server, 'listening')));
});
afterEach(async () => {
  await Promise.all(links.map((link) => link.stop()));
  for (const server of servers) server.close();
});

/** @param random what the link is given for chance @returns instants of its dials, ms */
function dialling(random: () => number): number[] {
  const root = issue({ subject: 'root', ca: true });
  const leaf = issue({ subject: 'agent', issuer: root });
  const pem = (certificate: { toString(): string }): string => certificate.toString();
  const identity = new Identity({
    agentId: 'a',
    agentName: 'a',
    projectId: 'p',
    identityKey: keyPem(leaf.key),
    listenerKey: keyPem(leaf.key),
    sealPublicKey: '',
    sealPrivateKey: '',
    identityChain: pem(leaf.certificate),
    listenerChain: pem(leaf.certificate),
    root: pem(root.certificate),
    endpoints: servers.map((server) => `127.0.0.1:${(server.address() as { port: number }).port}`),
    enrollEndpoints: [],
  });
  const at: number[] = [];
  const quiet = (): void => undefined;
  const link = new Link({
    identity: () => {
      at.push(performance.now());
      return identity;
    },
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    random,
    hello: () => ({}),
    opened: quiet,
    closed: quiet,
    refused: quiet,
    message: quiet,
  });
  links.push(link);
  link.start();
  return at;
}
const gapsOf = (at: readonly number[]): number[] => at.slice(1).map((time, index) => time - at[index]!);

test.each([0, 0.5, 0.99])(
  'every endpoint is tried in turn, from a first one that chance picks (%d)',
  async (chance) => {
    dialling(() => chance);
    await expect.poll(() => new Set(dialled).size).toBe(3);
    const order = dialled.filter((index, at) => dialled[at - 1] !== index).slice(0, 3);
    const first = Math.floor(chance * 3);
    expect(order).toEqual([first, (first + 1) % 3, (first + 2) % 3]);
  },
);

test('the waits between dials grow twofold, and chance moves them between half and whole', async () => {
  const soon = dialling(() => 0);
  const late = dialling(() => 0.999);
  await expect.poll(() => Math.min(soon.length, late.length)).toBeGreaterThan(3);
  // A timer may be late on a busy machine and is never early, so the lower bounds say it all.
  for (const [index, wait] of [200, 400, 800].entries()) {
    expect(gapsOf(soon)[index]).toBeGreaterThan((wait / 2) * 0.95);
    expect(gapsOf(late)[index]).toBeGreaterThan(wait * 0.95);
  }
  expect(late[3]! - late[0]!).toBeGreaterThan(soon[3]! - soon[0]!);
});
