/**
 * What runs over SSH on a whole stack, by OpenSSH's own client: streams, ends, terminals, many channels, new keys; and peers
 * that do not keep to the protocol. Machines without sshd leave these out by name.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { type Ran, run, sshdMissing, talk } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Host, openBed, residentBytes, type SshBed, until } from './ssh-bed.ts';

const dev = inject('dev');
const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const MB = 1024 * 1024;

/** Runs ssh on a terminal of its own, makes the window larger when it says `ready`, and prints what was shown. */
const ON_A_TERMINAL = `
import fcntl, os, pty, struct, sys, termios
size = lambda fd, rows, columns: fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
pid, fd = pty.fork()
if pid == 0:
    size(0, 24, 80)
    os.execvp(sys.argv[1], sys.argv[1:])
shown, resized = b'', False
while True:
    try:
        chunk = os.read(fd, 4096)
    except OSError:
        break
    if not chunk:
        break
    shown += chunk
    if not resized and b'ready' in shown:
        resized = True
        size(fd, 47, 131)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

describe.skipIf(sshdMissing)('what runs over SSH', () => {
  let bed: SshBed;
  let host: Host;
  beforeAll(async () => {
    bed = await openBed(dev);
    host = await bed.host('exec-1', {
      resource: { recording: 'results' },
      policy:
        'masks:\n  - { detect: [email, payment_card, national_id, iban, phone, ip_address, secret_key, jwt], with: partial }\n',
    });
  }, 60_000);
  afterAll(() => bed?.stop());

  test('megabytes of random bytes pass unchanged both ways, recorded and with masks in force, over changing keys', async () => {
    const bytes = randomBytes(16 * MB);
    const ran = await bed.ssh(host, ['cat'], { input: bytes });
    expect(ran.code, ran.stderr).toBe(0);
    expect(sha(ran.stdout)).toBe(sha(bytes));
    const rekeyed = await bed.program('ssh', host, ['-o', 'RekeyLimit=1M', host.name, 'cat'], {
      input: bytes.subarray(0, 6 * MB),
    });
    expect(sha(rekeyed.stdout), rekeyed.stderr).toBe(sha(bytes.subarray(0, 6 * MB)));
    for (const [cipher, mac] of [
      ['aes256-gcm@openssh.com'],
      ['chacha20-poly1305@openssh.com', 'hmac-sha2-512-etm@openssh.com'],
    ] as const) {
      const one = await bed.program(
        'ssh',
        host,
        ['-o', `Ciphers=${cipher}`, ...(mac === undefined ? [] : ['-o', `MACs=${mac}`]), host.name, 'sha256sum'],
        { input: bytes },
      );
      expect(one.stdout.toString(), one.stderr).toBe(`${sha(bytes)}  -\n`);
    }
  });

  test('stdout, stderr and stdin are apart, and an end of input is one', async () => {
    const ran = await bed.ssh(host, ['wc -c; head -c 300000 /dev/zero >&2; echo end'], { input: Buffer.alloc(12_345) });
    expect(ran.stdout.toString()).toBe('12345\nend\n');
    expect(ran.stderr).toHaveLength(300_000);
    expect((await bed.program('ssh', host, ['-n', host.name, 'cat; echo none'])).stdout.toString()).toBe('none\n');
  });

  test('statuses and signals come back as they are', async () => {
    for (const status of [0, 1, 77, 255]) expect((await bed.ssh(host, [`exit ${status}`])).code).toBe(status);
    const direct = await bed.ssh(host, ['kill -KILL $$']);
    expect(direct.code).toBe(255);
    expect((await bed.ssh(host, ['no-such-program-here'])).code).toBe(127);
  });

  test('a terminal has its size, and hears when it changes', async () => {
    const watch = "trap 'stty size; exit 4' WINCH; stty size; echo ready; while :; do sleep 0.1; done";
    const ran = await run('python3', ['-c', ON_A_TERMINAL, 'ssh', '-F', host.config, '-t', host.name, watch], {
      env: { ...bed.env, TERM: 'xterm' },
    });
    expect(ran.stdout.toString().replaceAll('\r', '')).toContain('24 80\nready\n47 131\n');
    expect(ran.code).toBe(4);
  });

  test('Ctrl-C ends the program and not the shell', async () => {
    const talking = bed.talk(host, ['-tt', host.name]);
    talking.say("echo be'gins'; sleep 300\n");
    await talking.heard('begins');
    talking.say('\x03');
    talking.say('echo sti"ll" here; exit 6\n');
    await talking.heard('still here');
    expect((await talking.ended).code).toBe(6);
  });

  test('many channels run at once in one connection, which is one session', async () => {
    const socket = path.join(bed.dir, 'mux');
    const master = bed.talk(host, ['-M', '-N', '-o', `ControlPath=${socket}`, host.name]);
    await until(async () => (existsSync(socket) ? true : undefined));
    const ran = await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        bed.program('ssh', host, ['-o', `ControlPath=${socket}`, host.name, `seq ${i} 20000 | sha256sum; exit ${i}`]),
      ),
    );
    expect(ran.map(({ code }) => code)).toEqual(Array.from({ length: 24 }, (_, i) => i));
    expect(new Set(ran.map(({ stdout }) => stdout.toString())).size).toBe(24);
    master.kill();
    await master.ended;
    const last = await until(async () => {
      const { items } = await bed.admin.call<{ items: { statements: number; closedAt: string | null }[] }>(
        'GET',
        `/v1/sessions?resource=${host.name}&sort=-openedAt&limit=1`,
      );
      return items[0]?.closedAt == null ? undefined : items[0];
    });
    expect(last.statements).toBe(24);
  });

  test('a client that asks whether we are there hears so, and variables of the resource alone are set', async () => {
    const ran = await bed.program('ssh', host, [
      '-o',
      'ServerAliveInterval=1',
      '-o',
      'ServerAliveCountMax=1',
      '-o',
      'SetEnv=SALLYPORT_TEST_X=x',
      host.name,
      'sleep 3; echo "alive-$SALLYPORT_TEST_X-"',
    ]);
    expect(ran.stdout.toString(), ran.stderr).toBe('alive--\n');
  });

  test('a client that stops reading stops the host, and the agent keeps little of what waits', async () => {
    const talking = talk('ssh', ['-F', host.config, host.name, 'head -c 200000000 /dev/zero | tee /dev/null'], bed.env);
    await until(async () => (talking.said.length > MB ? true : undefined));
    const before = residentBytes(dev.agent.pid);
    talking.kill('SIGSTOP');
    const stopped = talking.said.length;
    await new Promise((next) => setTimeout(next, 1_500));
    expect(residentBytes(dev.agent.pid) - before).toBeLessThan(80 * MB);
    expect(talking.said.length - stopped).toBeLessThan(20 * MB);
    // Others are not held up.
    expect((await bed.ssh(host, ['echo fine'])).stdout.toString()).toBe('fine\n');
    talking.kill('SIGKILL');
    await talking.ended;
  });

  describe('peers that do not keep to the protocol', () => {
    const connect = (): net.Socket =>
      net
        .connect(dev.agent.ssh, '127.0.0.1')
        .on('error', () => undefined)
        .resume();
    const gone = (socket: net.Socket): Promise<void> =>
      new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())));
    const fine = async (): Promise<void> =>
      expect((await bed.ssh(host, ['echo fine'])).stdout.toString()).toBe('fine\n');

    test('half a handshake is not waited for without end, and holds nobody up', async () => {
      const sockets = Array.from({ length: 45 }, (_, i) => {
        const socket = connect();
        if (i % 3 === 1) socket.write('SSH-2.0-half');
        if (i % 3 === 2) socket.write('SSH-2.0-half\r\n');
        return socket;
      });
      await fine();
      await Promise.all(sockets.map(gone));
      await fine();
    }, 45_000);

    test('a packet that says it is huge, and noise, are sent away', async () => {
      const before = residentBytes(dev.agent.pid);
      const sockets = Array.from({ length: 40 }, (_, i) => {
        const socket = connect();
        const noise = createHash('shake256', { outputLength: 3_000 }).update(`noise ${i}`).digest();
        if (i % 3 !== 0) socket.write('SSH-2.0-OpenSSH_9.2\r\n');
        if (i % 3 === 1) socket.write(Buffer.from('7ffffff0', 'hex'));
        if (i % 3 === 2) socket.write(Buffer.from('0000000104', 'hex'));
        socket.write(noise);
        return socket;
      });
      await Promise.all(sockets.map(gone));
      expect(residentBytes(dev.agent.pid) - before).toBeLessThan(100 * MB);
      await fine();
    }, 45_000);

    test('bytes changed on the way end the connection, whichever they are', async () => {
      for (let seed = 0; seed < 24; seed++) {
        const ran = await throughATamperer(host, bed, seed);
        // What was changed behind the last byte that mattered changes nothing.
        if (ran.code === 0) expect(ran.stdout.toString()).toBe(`${seed}\n`);
        else expect(ran.code).toBe(255);
      }
      await fine();
    });
  });

  test('ssh-audit finds nothing red, and no Terrapin', async (context) => {
    if (!existsSync('/usr/bin/ssh-audit')) return context.skip('ssh-audit is not installed');
    const ran = await run('ssh-audit', ['-n', '-l', 'warn', '-p', String(dev.agent.ssh), '127.0.0.1']);
    const said = ran.stdout.toString();
    expect(said).not.toContain('[fail]');
    expect(said.toLowerCase()).not.toContain('terrapin');
    const all = (await run('ssh-audit', ['-n', '-p', String(dev.agent.ssh), '127.0.0.1'])).stdout.toString();
    expect(all).toContain('kex-strict-s-v00@openssh.com');
    expect(all).toContain('(kex) curve25519-sha256');
  });
});

/** ssh through a proxy that changes one byte, at a place and in a direction that the seed says. */
async function throughATamperer(host: Host, bed: SshBed, seed: number): Promise<Ran> {
  const [up, place, bit] = createHash('sha256').update(`tamper ${seed}`).digest();
  const at = 25 + ((place! * 31) % 5_200);
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const agent = net.connect(dev.agent.ssh, '127.0.0.1');
    let passed = 0;
    const tamper = (chunk: Buffer): Buffer => {
      const index = at - passed;
      passed += chunk.length;
      if (index >= 0 && index < chunk.length) chunk[index] = chunk[index]! ^ (1 << (bit! & 7));
      return chunk;
    };
    const isUp = (up! & 1) === 1;
    client.on('data', (chunk: Buffer) => agent.write(isUp ? tamper(chunk) : chunk));
    agent.on('data', (chunk: Buffer) => client.write(isUp ? chunk : tamper(chunk)));
    for (const [one, other] of [
      [client, agent],
      [agent, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => undefined);
      one.on('close', () => other.destroy());
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = server.address() as net.AddressInfo;
  try {
    // A length that was changed makes the other side wait for more: it is asked whether it is there.
    const impatient = ['-o', 'ServerAliveInterval=1', '-o', 'ServerAliveCountMax=1', '-o', 'ConnectTimeout=2'];
    return await bed.program('ssh', host, ['-p', String(port), ...impatient, host.name, `echo ${seed}`], {
      timeoutMs: 20_000,
    });
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}
