/** Ports and sockets forwarded through a real sshd, refused, and the way to a resource of ours through our own door. */
import { existsSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import type { Statement, Verdict } from '@sallyport/model';
import { deny, freePort, hold, run, sshdMissing, sshOptions } from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Bench, openBench } from '../test/bench.fixture.ts';
import { ExecClient } from '../test/exec-client.fixture.ts';
import { bool, byte, encode, MSG, string, uint32 } from './messages.ts';

const allowed: Verdict = { kind: 'allow', rule: 'test/allow', masks: { columns: [], detect: [] } };
const unless =
  (wrong: (statement: Statement) => boolean) =>
  (statement: Statement): Verdict =>
    wrong(statement) ? deny('No tunnels to there.') : allowed;

/** Says back what it hears. */
async function echo(): Promise<{ readonly port: number; close(): void }> {
  const server = net.createServer((socket) => socket.pipe(socket).on('error', () => undefined)).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return { port: (server.address() as net.AddressInfo).port, close: () => server.close() };
}

/** What comes back of `text`; '' when the other side closes first. */
const ask = (port: number, text: string): Promise<string> =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
    socket.once('data', (chunk: Buffer) => {
      resolve(chunk.toString());
      socket.destroy();
    });
    socket.once('error', () => resolve(''));
    socket.once('close', () => resolve(''));
  });

/** Until something listens there. */
async function until(port: number): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end; await new Promise((next) => setTimeout(next, 30))) {
    const up = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (up) return;
  }
  throw new Error(`nothing listens on ${port}`);
}

describe.skipIf(sshdMissing)('forwards', () => {
  let bench: Bench;
  const closing: (() => void)[] = [];
  beforeAll(async () => {
    bench = await openBench();
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) close();
    await bench.tidy();
  });
  afterAll(() => bench?.stop());

  test('a port is forwarded where it is granted, and its address is a fact', async () => {
    const at = await bench.gateway();
    const target = await echo();
    closing.push(() => target.close());
    const port = await freePort();
    bench.talk(at, ['-N', '-L', `${port}:127.0.0.1:${target.port}`, 'web-1@127.0.0.1']);
    await until(port);
    expect(await ask(port, 'hello')).toBe('hello');
    const [judged] = at.judged;
    expect(judged?.statement).toMatchObject({
      effects: ['forward'],
      facts: { ssh: { channel: 'forward', forward: { kind: 'local', host: '127.0.0.1', port: target.port } } },
    });
  });

  test('a server that speaks first, and leaves at once, is heard', async () => {
    const at = await bench.gateway();
    const target = net.createServer((socket) => socket.end('first')).listen(0, '127.0.0.1');
    closing.push(() => target.close());
    await new Promise((resolve) => target.once('listening', resolve));
    const port = await freePort();
    bench.talk(at, ['-N', '-L', `${port}:127.0.0.1:${(target.address() as net.AddressInfo).port}`, 'web-1@127.0.0.1']);
    await until(port);
    for (let i = 0; i < 5; i++) expect(await ask(port, 'hello')).toBe('first');
  });

  test('a port that is not granted is refused with the reason, and nothing arrives', async () => {
    const at = await bench.gateway({ decide: unless(({ effects }) => effects.includes('forward')) });
    let arrived = 0;
    const target = net.createServer(() => arrived++).listen(0, '127.0.0.1');
    closing.push(() => target.close());
    await new Promise((resolve) => target.once('listening', resolve));
    const loud = sshOptions(at.port).map((word) => (word === 'LogLevel=ERROR' ? 'LogLevel=INFO' : word));
    const ran = await run(
      'ssh',
      [...loud, '-W', `127.0.0.1:${(target.address() as net.AddressInfo).port}`, 'web-1@127.0.0.1'],
      { env: bench.env },
    );
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('No tunnels to there.');
    expect(arrived).toBe(0);
  });

  test('a remote port is opened where it is granted, and its clients arrive', async () => {
    const at = await bench.gateway();
    const target = await echo();
    closing.push(() => target.close());
    const port = await freePort();
    bench.talk(at, ['-N', '-R', `127.0.0.1:${port}:127.0.0.1:${target.port}`, 'web-1@127.0.0.1']);
    await until(port);
    expect(await ask(port, 'from afar')).toBe('from afar');
    expect(at.judged[0]?.statement.facts.ssh?.forward).toEqual({ kind: 'remote', host: '127.0.0.1', port });
  });

  test('a client whose remote forward is held keeps its connection, though its keep-alives wait for an answer', async () => {
    const at = await bench.gateway({
      decide: ({ facts }, approval) =>
        facts.ssh?.forward?.kind === 'remote' && approval === undefined ? hold('Ask first.') : allowed,
    });
    const target = await echo();
    closing.push(() => target.close());
    const port = await freePort();
    const forwarding = bench.talk(at, [
      '-o',
      'ServerAliveInterval=1',
      '-o',
      'ServerAliveCountMax=2',
      '-o',
      'ExitOnForwardFailure=yes',
      '-N',
      '-R',
      `127.0.0.1:${port}:127.0.0.1:${target.port}`,
      'web-1@127.0.0.1',
    ]);
    await expect.poll(() => at.holds, { timeout: 20_000 }).toHaveLength(1);
    const ended = forwarding.ended.then(() => 'gone');
    expect(await Promise.race([ended, new Promise((resolve) => setTimeout(() => resolve('there'), 6_000))])).toBe(
      'there',
    );
    at.holds[0]?.approve();
    await until(port);
    expect(await ask(port, 'from afar')).toBe('from afar');
  });

  test('a client that asks without end behind a held forward is sent away', async () => {
    const at = await bench.gateway({ decide: () => hold('Ask first.') });
    const client = new ExecClient(at.port);
    await client.ready;
    const listen = encode(byte(MSG.globalRequest), string('tcpip-forward'), bool(true), string('127.0.0.1'), uint32(0));
    for (let i = 0; i < 200; i++) client.send(listen);
    await client.closed();
  });

  test('a remote port that is not granted is not opened', async () => {
    const at = await bench.gateway({ decide: unless(({ facts }) => facts.ssh?.forward?.kind === 'remote') });
    const port = await freePort();
    const ran = await bench.program(at, 'ssh', [
      '-o',
      'ExitOnForwardFailure=yes',
      '-N',
      '-R',
      `${port}:127.0.0.1:1`,
      'web-1@127.0.0.1',
    ]);
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('remote port forwarding failed');
  });

  test('unix sockets are forwards, too', async () => {
    const at = await bench.gateway({
      decide: unless(({ facts }) => facts.ssh?.forward?.host.endsWith('.closed') === true),
    });
    const socket = path.join(bench.dir, 'echo.sock');
    const server = net.createServer((peer) => peer.pipe(peer)).listen(socket);
    closing.push(() => server.close());
    const port = await freePort();
    bench.talk(at, ['-N', '-L', `${port}:${socket}`, 'web-1@127.0.0.1']);
    await until(port);
    expect(await ask(port, 'by socket')).toBe('by socket');
    const remote = path.join(bench.dir, 'remote.closed');
    const ran = await bench.program(at, 'ssh', [
      '-o',
      'ExitOnForwardFailure=yes',
      '-N',
      '-R',
      `${remote}:127.0.0.1:1`,
      'web-1@127.0.0.1',
    ]);
    expect(ran.code).toBe(255);
    expect(existsSync(remote)).toBe(false);
  });

  test('a jump to a resource of ours comes to our own server, whose sessions are judged', async () => {
    const at = await bench.gateway();
    const proxy = `ssh ${sshOptions(at.port).join(' ')} -W web-1:22 web-1@127.0.0.1`;
    const ran = await run(
      'ssh',
      [...sshOptions(22), '-o', `ProxyCommand=${proxy}`, 'web-1@web-1', 'head -c 3000000 /dev/zero | md5sum; cat'],
      { env: bench.env, input: Buffer.from('inner') },
    );
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.stdout.toString()).toMatch(/ -\ninner$/);
    expect(at.judged.map(({ statement }) => statement.facts.ssh?.channel)).toEqual(['exec']);
    await expect.poll(() => at.closed).toHaveLength(2);
  });
});
