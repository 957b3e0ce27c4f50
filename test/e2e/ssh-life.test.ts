/**
 * A session over SSH from the verdict to the record, on a whole stack: refused, held, approved, ticketed, forwarded or not,
 * revoked, killed, exported. Machines without sshd leave these out by name.
 */
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { freePort, sshdMissing } from '@sallyport/testkit';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Host, openBed, type SshBed, until } from './ssh-bed.ts';

const dev = inject('dev');
const RULES = `rules:
  - name: never
    when: shell.programs.exists(p, p == "never-this")
    verdict: deny
    message: Not on this host.
  - name: ask
    when: shell.programs.exists(p, p == "touch")
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 5m }
`;
interface SessionRow {
  readonly id: string;
  readonly live: boolean;
  readonly protocol: string;
  readonly closeReason: string | null;
}

describe.skipIf(sshdMissing)('a session over SSH', () => {
  let bed: SshBed;
  let host: Host;
  beforeAll(async () => {
    bed = await openBed(dev);
    host = await bed.host('life-1', { policy: RULES, resource: { recording: 'results' } });
  }, 60_000);
  afterAll(() => bed?.stop());

  const sessions = async (name: string): Promise<readonly SessionRow[]> =>
    (await bed.admin.call<{ items: SessionRow[] }>('GET', `/v1/sessions?resource=${name}&sort=-openedAt&limit=50`))
      .items;

  test('what a rule denies never runs, with the reason and a status of its own', async () => {
    for (const line of ['never-this', 'sh -c "never-this"', "n'e'ver-this; touch /nowhere/x"]) {
      const ran = await bed.ssh(host, [line]);
      expect(ran.code, line).toBe(126);
      expect(ran.stderr).toContain('Not on this host.');
    }
  });

  test('what is held runs once it is approved, and not when it is denied', async () => {
    const file = path.join(bed.dir, 'approved');
    const held = bed.ssh(host, [`touch ${file}; echo done`]);
    const id = await bed.pending(file);
    expect(existsSync(file)).toBe(false);
    await bed.answer(id, 'approve');
    const ran = await held;
    expect(ran.stdout.toString(), ran.stderr).toBe('done\n');
    expect(ran.stderr).toContain(id);
    expect(existsSync(file)).toBe(true);
    const other = path.join(bed.dir, 'denied');
    const refused = bed.ssh(host, [`touch ${other}`]);
    await bed.answer(await bed.pending(other), 'deny');
    expect((await refused).code).toBe(126);
    expect(existsSync(other)).toBe(false);
  });

  test('Ctrl-C gives up what waits, on a terminal and without, and the request with it', async () => {
    const file = path.join(bed.dir, 'given-up');
    const onTerminal = bed.talk(host, ['-tt', host.name, `touch ${file}`]);
    const first = await bed.pending(file);
    onTerminal.say('\x03');
    expect((await onTerminal.ended).code).not.toBe(0);
    const plain = bed.talk(host, [host.name, `touch ${file}-2`]);
    const second = await bed.pending(`${file}-2`);
    plain.kill('SIGINT');
    await plain.ended;
    for (const id of [first, second])
      await until(async () => {
        const { state } = await bed.rest('ana').call<{ state: string }>('GET', `/v1/approvals/${id}`);
        return state === 'pending' ? undefined : true;
      });
    expect(existsSync(file)).toBe(false);
    expect(existsSync(`${file}-2`)).toBe(false);
  });

  test('where nobody waits, a ticket is given, and passes the same line once', async () => {
    const ticketed = await bed.host('life-ticket', { policy: RULES, resource: { approval: 'ticket' } });
    const file = path.join(bed.dir, 'by-ticket');
    const denied = await bed.ssh(ticketed, [`touch ${file}`]);
    expect(denied.code).toBe(126);
    const id = /apr-\w+/.exec(denied.stderr)?.[0] ?? '';
    expect(id, denied.stderr).not.toBe('');
    await until(async () => (await bed.pending(file)) || undefined);
    await bed.answer(id, 'approve');
    await until(async () => {
      const ran = await bed.ssh(ticketed, [`touch ${file}`]);
      return ran.code === 0 ? true : undefined;
    });
    expect(existsSync(file)).toBe(true);
    expect((await bed.ssh(ticketed, [`touch ${file}`])).code).toBe(126);
  });

  test('nothing is forwarded that no grant gives: ports, other hosts, agents, displays', async () => {
    let arrived = 0;
    const target = net.createServer((socket) => {
      arrived++;
      socket.destroy();
    });
    await new Promise((resolve) => target.listen(0, '127.0.0.1', () => resolve(undefined)));
    const { port } = target.address() as net.AddressInfo;
    try {
      expect((await bed.program('ssh', host, ['-W', `127.0.0.1:${port}`, host.name])).code).toBe(255);
      const remote = ['-o', 'ExitOnForwardFailure=yes', '-N', '-R', `${await freePort()}:127.0.0.1:${port}`];
      expect((await bed.program('ssh', host, [...remote, host.name])).code).toBe(255);
      // A free port may be taken by somebody's way out before ssh has it: then another one is tried.
      await until(async () => {
        const local = await freePort();
        const listens = ['-o', 'ExitOnForwardFailure=yes', '-N', '-L', `${local}:127.0.0.1:${port}`];
        const forwarding = bed.talk(host, [...listens, host.name]);
        try {
          return await until(async () => ((await knock(local)) === 'closed' ? true : undefined), 8_000);
        } finally {
          forwarding.kill();
        }
      }, 40_000);
      expect(arrived).toBe(0);
      const carried = await bed.program('ssh', host, ['-A', '-X', host.name, 'echo "-$SSH_AUTH_SOCK-$DISPLAY-"']);
      expect(carried.stdout.toString(), carried.stderr).toBe('---\n');
    } finally {
      target.close();
    }
  });

  test('what is granted is forwarded, and a jump to another host of ours is judged at our own door', async () => {
    const giving = await bed.host('life-forward', { effects: ['exec', 'forward'] });
    const target = net.createServer((socket) => socket.end('from the target'));
    await new Promise((resolve) => target.listen(0, '127.0.0.1', () => resolve(undefined)));
    try {
      const { port } = target.address() as net.AddressInfo;
      const local = await freePort();
      const forwarding = bed.talk(giving, ['-N', '-L', `${local}:127.0.0.1:${port}`, giving.name]);
      await until(async () => ((await knock(local)) === 'from the target' ? true : undefined));
      forwarding.kill();
    } finally {
      target.close();
    }
    const proxy = `ssh -F ${giving.config} -W ${host.name}:22 ${giving.name}`;
    const jumped = await bed.program('ssh', host, [
      '-o',
      `ProxyCommand=${proxy}`,
      host.name,
      'echo jumped; never-this',
    ]);
    expect(jumped.code, jumped.stderr).toBe(126);
    expect(jumped.stderr).toContain('Not on this host.');
    const fine = await bed.program('ssh', host, ['-o', `ProxyCommand=${proxy}`, host.name, 'echo jumped']);
    expect(fine.stdout.toString(), fine.stderr).toBe('jumped\n');
  });

  test('a kill ends a running session at once, and the list says so', async () => {
    const talking = bed.talk(host, ['-tt', host.name]);
    talking.say('echo up-$((1+1))\n');
    await talking.heard('up-2');
    const live = await until(async () => (await sessions(host.name)).find((session) => session.live));
    expect(live.protocol).toBe('ssh');
    const listed = await bed.cli.run(['--as', 'admin', 'sessions', 'ls', '--live', '--resource', host.name]);
    expect(listed.out).toContain(live.id);
    const began = Date.now();
    const killed = await bed.cli.run(['--as', 'admin', 'sessions', 'kill', live.id, '--reason', 'test']);
    expect(killed.code, killed.err).toBe(0);
    expect((await talking.ended).code).toBe(255);
    expect(Date.now() - began).toBeLessThan(10_000);
    await until(async () =>
      (await sessions(host.name)).find(({ id }) => id === live.id)?.live === false ? true : undefined,
    );
  });

  test('the trail verifies with all of it, and the session is played again', async () => {
    const ran = await bed.ssh(host, ['echo on-the-film']);
    expect(ran.code).toBe(0);
    const id = await until(async () => {
      const [last] = await sessions(host.name);
      return last === undefined || last.live ? undefined : last.id;
    });
    const played = await until(async () => {
      const replay = await bed.cli.run(['--as', 'admin', 'sessions', 'replay', id, '--speed', '0']);
      return replay.out.includes('on-the-film') ? replay : undefined;
    });
    expect(played.code).toBe(0);
    const file = path.join(bed.dir, 'trail');
    expect((await bed.cli.run(['--as', 'admin', 'trail', 'export', '-o', file, '--recordings'])).code).toBe(0);
    const verified = await bed.cli.run(['trail', 'verify', file, '--root', dev.ca]);
    expect(verified.code, verified.out + verified.err).toBe(0);
    expect(readFileSync(file).length).toBeGreaterThan(1_000);
  });
});

/** What a port says first. */
function knock(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('hello'));
    socket.once('data', (chunk: Buffer) => {
      resolve(chunk.toString());
      socket.destroy();
    });
    socket.once('error', () => resolve('nobody'));
    socket.once('close', () => resolve('closed'));
  });
}
