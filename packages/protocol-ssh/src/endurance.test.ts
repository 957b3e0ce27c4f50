/** What goes on for long, or not at all: peers that are dead, windows that are small, lines that are too long, passwords. */
import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { LIMITS, Secret } from '@sallyport/core';
import { privateKeyOf } from '@sallyport/ssh-certificates';
import { freePort, sshdMissing } from '@sallyport/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Bench, openBench } from '../test/bench.fixture.ts';
import { ExecClient } from '../test/exec-client.fixture.ts';
import { algorithmsNamed, createSshAdapter } from './index.ts';

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe.skipIf(sshdMissing)('over SSH', () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench();
  });
  afterEach(() => bench.tidy());
  afterAll(() => bench?.stop());

  test('a client that is dead is asked three times and let go; one that is silent and answers is not', async () => {
    const limits = LIMITS as { sshAliveMs: number };
    const before = limits.sshAliveMs;
    limits.sshAliveMs = 1_500;
    try {
      const at = await bench.gateway();
      // Its kernel goes on taking bytes; it itself says nothing any more.
      const dead = bench.talk(at, ['web-1@127.0.0.1', 'echo up; sleep 40']);
      const silent = bench.talk(at, ['web-1@127.0.0.1', 'echo up; sleep 9; echo still there']);
      await Promise.all([dead.heard('up'), silent.heard('up')]);
      dead.kill('SIGSTOP');
      try {
        await expect.poll(() => at.closed, { timeout: 25_000 }).toEqual(['session.idle']);
      } finally {
        dead.kill('SIGCONT');
      }
      expect((await dead.ended).code).toBe(255);
      await silent.heard('still there');
      expect((await silent.ended).code).toBe(0);
    } finally {
      limits.sshAliveMs = before;
    }
  });

  test('a line that one packet cannot hold is refused with the reason', async () => {
    const at = await bench.gateway();
    const fits = await bench.ssh(at, [`echo ${'x'.repeat(33_000)} | wc -c`]);
    expect(fits.stdout.toString(), fits.stderr).toBe('33001\n');
    const ran = await bench.ssh(at, [`echo ${'x'.repeat(40_000)}`]);
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('statement.too_large');
    await expect.poll(() => at.closed).toContain('statement.too_large');
    // The same by stdin is no line.
    const script = await bench.ssh(at, ['cat | wc -c'], Buffer.alloc(400_000, 'x'));
    expect(script.stdout.toString()).toBe('400000\n');
  });

  test.skipIf(process.getuid?.() !== 0)('a password signs in at the host, and a wrong one is not told', async () => {
    const login = `slp${process.pid}`;
    const password = 'a password of a host';
    const hash = execFileSync('openssl', ['passwd', '-6', password]).toString().trim();
    execFileSync('useradd', ['-M', '-d', '/tmp', '-s', '/bin/sh', '-p', hash, login]);
    try {
      const asked = await openBench(['PasswordAuthentication yes']);
      try {
        const resource = { logins: [login] };
        const credential = (secret: string) => ({ username: login, secret: new Secret(secret), certificate: false });
        const at = await asked.gateway({ credential: credential(password), role: login }, resource);
        const ran = await asked.ssh(at, ['id -un']);
        expect(ran.stdout.toString(), ran.stderr).toBe(`${login}\n`);
        const wrong = await asked.gateway({ credential: credential('not the one'), role: login }, resource);
        const refused = await asked.ssh(wrong, ['id -un']);
        expect(refused.code).toBe(255);
        expect(refused.stderr).toContain('upstream.auth');
        expect(refused.stderr).not.toContain('not the one');
      } finally {
        await asked.tidy();
        await asked.stop();
      }
    } finally {
      execFileSync('userdel', [login]);
    }
  });

  test('a client with a window of 256 KiB gets no byte beyond it, and all of them', async () => {
    const at = await bench.gateway();
    const data = randomBytes(6_000_001);
    writeFileSync(path.join(bench.dir, 'data'), data);
    const window = 256 * 1024;
    const client = new ExecClient(at.port, { window });
    await client.ready;
    const ran = await client.begin(`cat ${path.join(bench.dir, 'data')}`);
    expect(sha(ran.rows)).toBe(sha(data));
    expect(client.mostUnasked).toBeLessThanOrEqual(window);
    expect(client.mostUnasked).toBeGreaterThan(window / 2);
    client.destroy();
  });

  test('VS Code’s way: a script by stdin into a bare shell where it is let in by name, and a way to its server', async () => {
    const serverPort = await freePort();
    const server = net.createServer((socket) => socket.end('from its server')).listen(serverPort, '127.0.0.1');
    try {
      const at = await bench.gateway({}, { opaque: ['vscode'] });
      // Its server is started through `sh`; then -D or -L reach it on a port that only the host knows.
      const started = await bench.ssh(at, ['sh'], Buffer.from('echo installed-$((40+2))\nexit 0\n'));
      expect(started.stdout.toString(), started.stderr).toBe('installed-42\n');
      expect(at.judged.at(-1)?.statement.facts.shell?.opaque).toEqual([]);
      const local = await freePort();
      const talking = bench.talk(at, ['-N', '-D', `127.0.0.1:${local}`, 'web-1@127.0.0.1']);
      await expect.poll(() => bySocks(local, serverPort), { timeout: 20_000 }).toBe('from its server');
      talking.kill();
      const without = await bench.gateway();
      await bench.ssh(without, ['sh'], Buffer.from('echo installed\n'));
      expect(without.judged.at(-1)?.statement.facts.shell?.opaque).not.toEqual([]);
    } finally {
      server.close();
    }
  });

  test('clients choose from what the agent is told to take, and from nothing else', async () => {
    const key = privateKeyOf(generateKeyPairSync('ed25519').privateKey);
    const algorithms = algorithmsNamed(['aes256-gcm@openssh.com', 'ecdh-sha2-nistp256']);
    const at = await bench.gateway({
      adapter: createSshAdapter({ hostKey: () => ({ key, certificate: undefined }), algorithms }),
    });
    expect((await bench.ssh(at, ['echo in'])).stdout.toString()).toBe('in\n');
    for (const other of ['Ciphers=aes128-gcm@openssh.com', 'KexAlgorithms=curve25519-sha256']) {
      const ran = await bench.program(at, 'ssh', ['-o', other, 'web-1@127.0.0.1', 'echo in']);
      expect(ran.code, other).toBe(255);
      expect(ran.stdout.toString(), other).toBe('');
    }
    for (const wrong of ['aes128-cbc', 'ssh-rsa', 'hmac-sha1', 'none'])
      expect(() => algorithmsNamed(['aes256-gcm@openssh.com', wrong]), wrong).toThrow(
        expect.objectContaining({ code: 'config.invalid' }),
      );
  });

  test('bytes of many windows pass both ways at once, whole', async () => {
    const at = await bench.gateway();
    const data = randomBytes(9_000_001);
    const ran = await bench.ssh(at, ['tee /dev/stderr'], data);
    expect(sha(ran.stdout)).toBe(sha(data));
  });
});

/** What a port of the host says first, through a SOCKS 4 proxy. */
function bySocks(proxy: number, port: number): Promise<string> {
  return new Promise((resolve) => {
    let said = '';
    const socket = net.connect(proxy, '127.0.0.1', () =>
      socket.write(Buffer.from([4, 1, port >> 8, port & 255, 127, 0, 0, 1, 0])),
    );
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1');
    });
    socket.once('error', () => resolve('nobody'));
    socket.once('close', () => resolve(said.slice(8)));
  });
}
