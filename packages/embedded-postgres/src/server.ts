/**
 * A real PostgreSQL server of our own: initialised once, started, stopped, taken over after a crash.
 * Refuses to listen anywhere but loopback; passwords are SCRAM. One server per folder.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayError } from '@sallyport/core';
import pg from 'pg';
import { type Binaries, binariesIn, findBinaries, makeOwnedDir, type ServerUser } from './binaries.ts';

export interface EmbeddedPostgresOptions {
  /** Folder for data and password; made when absent; kept by `stop()`. As root, its parents must let others enter. */
  readonly dir: string;
  /** TCP port on 127.0.0.1; a free one when absent (kept in `dir` for the next start when it is still free). */
  readonly port?: number;
  /** Superuser to create at the first start. */
  readonly superuser?: string;
  /** PEM of certificate chain and key: turns TLS on. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Further `-c name=value` settings. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Replaces pg_hba.conf; the default is SCRAM for everyone on loopback. */
  readonly hba?: string;
  /** Folder of another installation's programs (Debian's `/usr/lib/postgresql/15/bin`) instead of npm's. */
  readonly binDir?: string;
}

export interface EmbeddedPostgres {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly superuser: string;
  readonly password: string;
  /** Postmaster's process id. */
  readonly pid: number;
  url(database?: string): string;
  /** Fast shutdown; resolves when the process is gone. */
  stop(): Promise<void>;
}

const TRIES = 5;

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => probe.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new GatewayError('internal');
  return address.port;
}

const environment = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8', TZ: 'UTC' };

function runToEnd(program: string, args: readonly string[], cwd: string, user: ServerUser | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...user, cwd, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    const collect = (data: Buffer): void => {
      said = (said + data.toString()).slice(-4_000);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${path.basename(program)}: ${said}`))));
  });
}

function writeOwned(file: string, text: string, user: ServerUser | undefined): void {
  writeFileSync(file, text, { mode: 0o600 });
  chmodSync(file, 0o600);
  if (user !== undefined) chownSync(file, user.uid, user.gid);
}

/**
 * A postmaster that outlived its parent is stopped before its folder is used again, or removed.
 * @param dir as in the options @throws GatewayError `config.invalid` when it does not end
 */
export async function stopLeftover(dir: string): Promise<void> {
  const data = path.join(path.resolve(dir), 'data');
  const file = path.join(data, 'postmaster.pid');
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0]);
  const isPostgres = (): boolean => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(data);
    } catch {
      return false;
    }
  };
  if (pid > 1 && isPostgres()) {
    process.kill(pid, 'SIGINT');
    for (let i = 0; i < 100 && isPostgres(); i++) await sleep(50);
    if (isPostgres())
      throw new GatewayError('config.invalid', { pid, remedy: 'a PostgreSQL server is using this folder' });
  }
  rmSync(file, { force: true });
}

async function initialise(binaries: Binaries, dir: string, data: string, superuser: string): Promise<string> {
  const password = randomBytes(18).toString('base64url');
  const passwordFile = path.join(dir, 'password');
  writeOwned(passwordFile, password, binaries.user);
  const args = [
    '-D',
    data,
    '-U',
    superuser,
    '-A',
    'scram-sha-256',
    '--pwfile',
    passwordFile,
    '-E',
    'UTF8',
    '--locale=C.UTF-8',
    '--no-sync',
  ];
  await runToEnd(binaries.initdb, args, dir, binaries.user);
  return password;
}

async function waitReady(child: ChildProcess, config: pg.ClientConfig, said: () => string): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (child.exitCode !== null) throw new Error(said());
    const client = new pg.Client({ ...config, connectionTimeoutMillis: 2_000 });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      await client.end().catch(() => undefined);
      if ((error as { code?: string }).code === '28P01') throw error;
      await sleep(50);
    }
  }
  throw new Error(`not ready in time: ${said()}`);
}

/**
 * Starts (and at first initialises) the server in `dir`.
 * @throws GatewayError `config.invalid` with what the server said when it cannot start (port taken, folder unreadable, …)
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const binaries: Binaries = options.binDir === undefined ? findBinaries() : binariesIn(options.binDir);
  const dir = path.resolve(options.dir);
  const data = path.join(dir, 'data');
  makeOwnedDir(dir, binaries.user);
  const superuser = options.superuser ?? 'postgres';
  const passwordFile = path.join(dir, 'password');
  const ready = path.join(dir, 'initialised');
  let password: string;
  if (existsSync(ready)) {
    await stopLeftover(dir);
    password = readFileSync(passwordFile, 'utf8');
  } else {
    rmSync(data, { recursive: true, force: true });
    password = await initialise(binaries, dir, data, superuser);
    writeFileSync(ready, '');
  }
  if (options.hba !== undefined) writeOwned(path.join(data, 'pg_hba.conf'), options.hba, binaries.user);
  if (options.tls !== undefined) {
    writeOwned(path.join(data, 'server.crt'), options.tls.cert, binaries.user);
    writeOwned(path.join(data, 'server.key'), options.tls.key, binaries.user);
  }
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    shared_buffers: '64MB',
    max_connections: '200',
    ...(options.tls === undefined ? {} : { ssl: 'on' }),
    ...options.settings,
  };
  let lastError: unknown;
  for (let attempt = 0; attempt < (options.port === undefined ? TRIES : 1); attempt++) {
    const port = options.port ?? (await freePort());
    const args = ['-D', data, '-p', String(port), ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])];
    const child = spawn(binaries.postgres, args, {
      ...binaries.user,
      cwd: dir,
      env: environment,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000);
    });
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    try {
      await waitReady(child, { host: '127.0.0.1', port, user: superuser, password, database: 'postgres' }, () => said);
      return {
        host: '127.0.0.1',
        port,
        superuser,
        password,
        pid: child.pid!,
        url: (database = 'postgres') =>
          `postgres://${superuser}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`,
        stop: async () => {
          if (child.exitCode === null) child.kill('SIGINT');
          await gone;
        },
      };
    } catch (error) {
      lastError = error;
      if (child.exitCode === null) child.kill('SIGKILL');
      await gone;
    }
  }
  throw new GatewayError(
    'config.invalid',
    { dir, said: lastError instanceof Error ? lastError.message : '' },
    { cause: lastError },
  );
}
