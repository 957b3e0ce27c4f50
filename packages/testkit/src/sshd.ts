/**
 * A real sshd (Debian's) on a free loopback port, run as the tests' own user, with keys of its own and nothing of the
 * machine's; and a real ssh beside it. Dev-only. Where there is no sshd, `sshdMissing` says so.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

const SSHD = '/usr/sbin/sshd';
export const sshdMissing = !existsSync(SSHD) || !existsSync('/usr/bin/ssh');

export interface SshServer {
  readonly port: number;
  readonly dir: string;
  /** Account that may sign in: the tests' own. */
  readonly login: string;
  /** `ssh-ed25519 AAAA…` */
  readonly hostKey: string;
  /** OpenSSH private key that it takes. */
  readonly clientKey: string;
  /** What it has logged. */
  log(): string;
  /** It reads its settings again (SIGHUP). */
  reload(): Promise<void>;
  stop(): Promise<void>;
}

export function makeKey(
  file: string,
  ...options: readonly string[]
): { readonly file: string; readonly publicLine: string } {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', file, ...options]);
  return { file, publicLine: readFileSync(`${file}.pub`, 'utf8').trim() };
}

export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** @param more lines for sshd_config, before the defaults: the first of a keyword counts */
export async function startSshd(more: readonly string[] = []): Promise<SshServer> {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'sallyport-sshd-'));
  const host = makeKey(path.join(dir, 'host_key'));
  const client = makeKey(path.join(dir, 'client_key'));
  writeFileSync(path.join(dir, 'authorized_keys'), `${client.publicLine}\n`, { mode: 0o600 });
  // A privileged sshd separates itself and wants this to exist.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  for (let attempt = 0; ; attempt++) {
    const port = await freePort();
    const config = path.join(dir, 'sshd_config');
    const lines = [
      ...more.map((line) => line.replaceAll('$DIR', dir)),
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${host.file}`,
      `AuthorizedKeysFile ${path.join(dir, 'authorized_keys')}`,
      `PidFile ${path.join(dir, 'sshd.pid')}`,
      'UsePAM no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin yes',
      'StrictModes no',
      'UseDNS no',
      'MaxStartups 1000',
      'MaxSessions 200',
      'PrintMotd no',
      'PrintLastLog no',
      'AcceptEnv LC_* SALLYPORT_TEST_*',
      'Subsystem sftp internal-sftp',
      'LogLevel VERBOSE',
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    const log = path.join(dir, 'log');
    const child = spawn(SSHD, ['-D', '-f', config, '-E', log], { stdio: 'ignore', env: { PATH: process.env['PATH'] } });
    if (await answers(port, child)) {
      return {
        port,
        dir,
        login: os.userInfo().username,
        hostKey: host.publicLine.split(' ').slice(0, 2).join(' '),
        clientKey: readFileSync(client.file, 'utf8'),
        log: () => (existsSync(log) ? readFileSync(log, 'utf8') : ''),
        reload: async () => {
          child.kill('SIGHUP');
          await new Promise((next) => setTimeout(next, 300));
          await answers(port, child);
        },
        stop: async () => {
          await stopped(child);
          rmSync(dir, { recursive: true, force: true });
        },
      };
    }
    if (attempt < 3) continue;
    const why = existsSync(log) ? readFileSync(log, 'utf8') : '';
    rmSync(dir, { recursive: true, force: true });
    throw new Error(`sshd does not start: ${why}`);
  }
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await gone;
}

/** Listening, or given up. */
async function answers(port: number, child: ChildProcess): Promise<boolean> {
  for (const until = Date.now() + 20_000; Date.now() < until; ) {
    if (child.exitCode !== null) return false;
    const socket = net.connect(port, '127.0.0.1');
    const up = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (up) return true;
    await new Promise((next) => setTimeout(next, 50));
  }
  return false;
}

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface RunOptions {
  /** For its stdin; none = closed. */
  readonly input?: Uint8Array;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** Killed then. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (chunk: Buffer) => void out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => void err.push(chunk));
    child.once('error', reject);
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? Buffer.alloc(0));
    const late = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 55_000);
    child.once('close', (code, signal) => {
      clearTimeout(late);
      resolve({ code, signal, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString('utf8') });
    });
  });
}

/** A program one talks to. */
export interface Talk {
  /** Everything it has said on both streams. */
  readonly said: string;
  say(text: string): void;
  /** Resolves when it has said that. */
  heard(text: string): Promise<void>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  kill(signal?: NodeJS.Signals): void;
}

export function talk(program: string, args: readonly string[], env: Readonly<Record<string, string>>): Talk {
  const child = spawn(program, args, { env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...env } });
  let said = '';
  const hear = (chunk: Buffer): void => {
    said += chunk.toString('latin1');
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  child.stdin.on('error', () => undefined);
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  return {
    get said() {
      return said;
    },
    say: (text) => void child.stdin.write(text),
    heard: async (text) => {
      for (const until = Date.now() + 20_000; !said.includes(text); ) {
        if (Date.now() > until) throw new Error(`not heard: ${text}; but: ${said}`);
        await new Promise((next) => setTimeout(next, 10));
      }
    },
    ended,
    kill: (signal) => void child.kill(signal),
  };
}

/**
 * Options of ssh, scp and sftp that reach a gateway on loopback with a token as password, and touch nothing of the user's.
 * `SSH_ASKPASS` prints the token: give `sshEnv` as environment.
 */
export const sshOptions = (port: number, knownHosts = '/dev/null'): readonly string[] => [
  '-F',
  '/dev/null',
  '-o',
  `Port=${port}`,
  '-o',
  `UserKnownHostsFile=${knownHosts}`,
  '-o',
  'GlobalKnownHostsFile=/dev/null',
  '-o',
  `StrictHostKeyChecking=${knownHosts === '/dev/null' ? 'no' : 'yes'}`,
  '-o',
  'LogLevel=ERROR',
  '-o',
  'NumberOfPasswordPrompts=1',
  // `sftp -b` would forbid passwords; what stands first counts.
  '-o',
  'BatchMode=no',
];

/** @param dir where the helper that prints the token is written */
export function sshEnv(dir: string, token: string): Record<string, string> {
  const file = path.join(dir, 'askpass');
  writeFileSync(file, `#!/bin/sh\nprintf '%s\\n' "$TEST_TOKEN"\n`, { mode: 0o700 });
  return { SSH_ASKPASS: file, SSH_ASKPASS_REQUIRE: 'force', TEST_TOKEN: token, DISPLAY: ':0' };
}
