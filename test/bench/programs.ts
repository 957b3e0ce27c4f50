/**
 * HAProxy and pgbench from Debian, the yardsticks of the bench: installed when we may, otherwise absent by name.
 * Refuses any other source.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const HAPROXY = '/usr/sbin/haproxy';
const PGBENCH = '/usr/bin/pgbench';

export interface BenchPrograms {
  readonly haproxy: boolean;
  readonly pgbench: boolean;
  /** What is missing and why, for the table. */
  readonly missing: readonly string[];
}

/** Installs `haproxy` and `postgresql-contrib` (pgbench) when they are absent and we are root on Debian. */
export function findPrograms(): BenchPrograms {
  const wanted = [...(existsSync(HAPROXY) ? [] : ['haproxy']), ...(existsSync(PGBENCH) ? [] : ['postgresql-contrib'])];
  if (wanted.length > 0 && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    // RUNLEVEL=1 keeps the packages' own services from starting.
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    const apt = (...args: readonly string[]) => spawnSync('apt-get', args, { stdio: 'ignore', env }).status === 0;
    const install = () => apt('install', '-y', '--no-install-recommends', ...wanted);
    if (!install() && apt('update')) install();
  }
  const missing: string[] = [];
  if (!existsSync(HAPROXY)) missing.push('haproxy (Debian package haproxy): its column is left out');
  if (!existsSync(PGBENCH))
    missing.push('pgbench (Debian package postgresql-contrib): the throughput table is left out');
  return { haproxy: existsSync(HAPROXY), pgbench: existsSync(PGBENCH), missing };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { readonly port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** @throws Error when nobody listens on the port within five seconds */
async function waitListening(port: number): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const socket = connect({ host: '127.0.0.1', port });
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await sleep(50);
  }
  throw new Error(`nothing listens on port ${port}`);
}

export interface Haproxy {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** HAProxy as a plain TCP proxy with one thread, in front of a port of this machine. */
export async function startHaproxy(targetPort: number): Promise<Haproxy> {
  const port = await freePort();
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-'));
  const file = path.join(dir, 'haproxy.cfg');
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 2000
defaults
  mode tcp
  timeout connect 5s
  timeout client 10m
  timeout server 10m
listen bench
  bind 127.0.0.1:${port}
  server target 127.0.0.1:${targetPort}
`,
  );
  const child: ChildProcess = spawn(HAPROXY, ['-f', file, '-db'], { stdio: 'ignore' });
  await once(child, 'spawn');
  await waitListening(port);
  return {
    port,
    pid: child.pid!,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export interface PgbenchRun {
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password?: string;
  readonly mode: 'simple' | 'prepared';
  readonly clients: number;
  /** Transactions of each client. */
  readonly each: number;
}
export interface PgbenchResult {
  readonly tps: number;
  readonly transactions: number;
}

/** `pgbench -S`; its rate leaves out the time that opening connections takes. @throws Error with what it said when a client failed */
export async function runPgbench(run: PgbenchRun): Promise<PgbenchResult> {
  const args = [
    '-h',
    '127.0.0.1',
    '-p',
    run.port,
    '-U',
    run.user,
    '-n',
    '-S',
    '-M',
    run.mode,
    '-c',
    run.clients,
    '-j',
    1,
    '-t',
    run.each,
  ];
  const child = spawn(PGBENCH, [...args.map(String), run.database], {
    env: { PATH: process.env['PATH'], PGSSLMODE: 'disable', PGPASSWORD: run.password ?? '', PGGSSENCMODE: 'disable' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout.on('data', (data: Buffer) => (said += data.toString()));
  child.stderr.on('data', (data: Buffer) => (said += data.toString()));
  await once(child, 'close');
  const tps = Number(/^tps = ([\d.]+)/m.exec(said)?.[1]);
  const transactions = Number(/transactions actually processed: (\d+)/.exec(said)?.[1]);
  const failed = Number(/number of failed transactions: (\d+)/.exec(said)?.[1] ?? 0);
  if (child.exitCode !== 0 || !(transactions > 0) || failed > 0)
    throw new Error(`pgbench on port ${run.port}: ${said.slice(-1_000)}`);
  return { tps, transactions };
}
