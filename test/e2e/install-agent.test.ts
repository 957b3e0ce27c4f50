/**
 * The one command that `agents join-token` prints, run as printed: under a real systemd in a copy of this machine's files
 * (an overlay in namespaces of its own, gone with them), and where there is none.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '@sallyport/testkit';
import { afterAll, describe, expect, inject, test } from 'vitest';
import type { DevFile } from '../../scripts/stack/dev-file.ts';
import { restClient } from '../../scripts/stack/rest.ts';
import { openSql } from '../../scripts/stack/sql-client.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const dir = mkdtempSync('/var/tmp/sallyport-install-');
const BARE = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: process.env['HOME'] ?? '/' };

/** A machine within this one, with systemd as its first process; its files are lost with it. */
const MACHINE = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs ${dir} && mkdir ${dir}/upper ${dir}/work ${dir}/root
mount -t overlay overlay -o lowerdir=/,upperdir=${dir}/upper,workdir=${dir}/work ${dir}/root
cd ${dir}/root
mount -t proc proc proc && mount --rbind /dev dev && mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run && mount -t tmpfs tmpfs tmp
rm -rf etc/systemd/system/*.wants
[ "$1" != probe ] || exit 0
exec chroot . /usr/bin/env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target --show-status=0
`;
const NAMESPACES = ['--pid', '--fork', '--kill-child', '--mount', '--cgroup', '--uts', '--ipc'];
const hasSystemd =
  process.getuid?.() === 0 &&
  existsSync('/lib/systemd/systemd') &&
  spawnSync('unshare', [...NAMESPACES, 'sh', '-c', MACHINE, 'machine', 'probe'], { stdio: 'ignore' }).status === 0;

const joinCommand = async (name: string): Promise<string> => {
  const made = await admin.call<{ command: string }>('POST', '/v1/agents/join-tokens', { name, names: ['127.0.0.1'] });
  return made.command;
};
const at = (port: number): DevFile => ({ ...dev, agent: { ...dev.agent, postgres: port } });
async function readsMasked(port: number): Promise<void> {
  const read = async (): Promise<string | undefined> => {
    const sql = await openSql(at(port), 'carla', 'payments-db');
    try {
      const answer = await sql.client.query<{ national_id: string }>('select national_id from customers limit 1');
      return answer.rows[0]?.national_id;
    } finally {
      await sql.close();
    }
  };
  // Until the agent has heard that it serves the resource.
  await expect.poll(() => read().catch(() => undefined), { timeout: 60_000 }).toMatch(/^\*\*\*-\*\*-\d{4}$/);
}

afterAll(async () => {
  for (const name of ['systemd-host', 'plain-host'])
    await admin.call('POST', `/v1/agents/${name}/revoke`, {}).catch(String);
  rmSync(dir, { recursive: true, force: true });
});

describe.skipIf(!hasSystemd)('on a host with systemd', () => {
  let machine: ChildProcess;
  let first = 0;
  const port = freePort();
  const sshPort = freePort();
  const inside = (command: string, env: Record<string, string> = {}): string =>
    execFileSync('nsenter', ['-t', String(first), '-p', '-m', '-C', '-u', '-i', '-r', '-w', '/bin/sh', '-c', command], {
      env: { ...BARE, ...env },
      encoding: 'utf8',
      timeout: 180_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const settings = (): string => inside('cat /var/lib/sallyport-agent/agent.env');
  const mainPid = (): number => Number(inside('systemctl show -p MainPID --value sallyport-agent'));

  const boot = async (): Promise<void> => {
    machine = spawn('unshare', [...NAMESPACES, 'sh', '-c', MACHINE], { stdio: 'ignore' });
    await expect
      .poll(
        () => {
          first = Number(
            readFileSync(`/proc/${machine.pid}/task/${machine.pid}/children`, 'utf8').trim().split(' ')[0] ?? '0',
          );
          return spawnSync('nsenter', ['-t', String(first), '-p', '-m', '-r', 'systemctl', 'is-system-running'], {
            encoding: 'utf8',
          }).stdout.trim();
        },
        { timeout: 60_000 },
      )
      .toMatch(/^(running|degraded)$/);
  };
  afterAll(() => {
    machine?.kill('SIGKILL');
  });

  test('the printed command installs a unit that serves, comes back after a kill, and keeps its settings when it is run again', {
    timeout: 400_000,
  }, async () => {
    await boot();
    const command = await joinCommand('systemd-host');
    const said = inside(`${command} --listen 127.0.0.1:${await port}`, {
      SALLYPORT_LISTEN_SSH: `127.0.0.1:${await sshPort}`,
    });
    expect(said).toContain('systemctl status sallyport-agent');
    await readsMasked(await port);
    expect(inside('ps -o user= -p $(systemctl show -p MainPID --value sallyport-agent)').trim()).toMatch(/^sallypor/);
    expect(inside('ls /var/lib/sallyport-agent')).not.toContain('join-token');

    const killed = mainPid();
    inside(`kill -9 ${killed}`);
    await expect.poll(() => mainPid(), { timeout: 30_000 }).not.toBe(killed);
    await readsMasked(await port);

    const before = settings();
    expect(before).toContain(`SALLYPORT_LISTEN_SSH='127.0.0.1:${await sshPort}'`);
    inside('echo SALLYPORT_LOG_LEVEL=debug >> /var/lib/sallyport-agent/agent.env');
    const old = mainPid();
    inside(`curl -fsSL ${dev.rest}/install-agent.sh | sh -s -- --url ${dev.rest}`);
    expect(mainPid()).not.toBe(old);
    const kept = before
      .replace(/^SALLYPORT_JOIN_TOKEN_FILE=.*\n/m, '')
      .trim()
      .split('\n');
    expect(settings().trim().split('\n').sort()).toEqual([...kept, 'SALLYPORT_LOG_LEVEL=debug'].sort());
    await readsMasked(await port);
  });
});

test.skipIf(existsSync('/run/systemd/system'))(
  'on a host without systemd the printed command starts a process, and says why when it cannot',
  { timeout: 300_000 },
  async () => {
    const port = await freePort();
    const places = `--dir ${path.join(dir, 'app')} --data-dir ${path.join(dir, 'data')} --listen 127.0.0.1:${port}`;
    const env = { ...BARE, PATH: `${path.dirname(process.execPath)}:${BARE.PATH}` };
    const run = (command: string, more: Record<string, string> = {}) =>
      spawnSync('sh', ['-c', command], { env: { ...env, ...more }, encoding: 'utf8', timeout: 180_000 });

    // In two pieces: no file names a setting that there is not (test/settings.test.ts).
    const misspelt = `SALLYPORT_${'LISTEN_SHH'}`;
    const wrong = run(`${await joinCommand('plain-host')} ${places}`, { [misspelt]: '127.0.0.1:0' });
    expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining(misspelt)]);
    // What was kept is what is wrong: it is mended where it stands.
    const file = path.join(dir, 'data/agent.env');
    writeFileSync(file, readFileSync(file, 'utf8').replace(new RegExp(`^${misspelt}=.*\\n`, 'm'), ''));

    const done = run(`${await joinCommand('plain-host')} ${places}`);
    expect([done.status, done.stderr]).toEqual([0, '']);
    const pid = Number(readFileSync(path.join(dir, 'data/agent.pid'), 'utf8'));
    try {
      await readsMasked(port);
    } finally {
      process.kill(pid);
    }
  },
);
