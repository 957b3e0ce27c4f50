/** Starting and stopping as a process, and two replicas on one database. */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ReadyFile, startControlPlane } from './boot.ts';
import { parseConfig } from './config.ts';

const MAIN = path.join(import.meta.dirname, '../dist/main.js');
const FREE = { SALLYPORT_HTTP: '127.0.0.1:0', SALLYPORT_LINK: '127.0.0.1:0', SALLYPORT_ENROLL: '127.0.0.1:0' };

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'sallyport-boot-'));
  chmodSync(dir, 0o711);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function start(env: Record<string, string>, args: readonly string[] = []) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...FREE, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  return { child, said: () => said, ended };
}
async function ready(data: string): Promise<ReadyFile> {
  const file = path.join(data, 'ready.json');
  for (let i = 0; i < 400 && !existsSync(file); i++) await sleep(100);
  await sleep(50);
  return JSON.parse(readFileSync(file, 'utf8')) as ReadyFile;
}
const isRunning = (pid: number): boolean => existsSync(`/proc/${pid}`);

test.each([
  ['SIGTERM', (child: ReturnType<typeof start>['child']) => child.kill('SIGTERM')],
  ['the end of its parent', (child: ReturnType<typeof start>['child']) => child.stdin.end()],
])(
  'it says where it listens, and %s stops it with its own PostgreSQL',
  async (_name, end) => {
    const data = path.join(dir, 'data');
    const { child, said, ended } = start({ SALLYPORT_DATA_DIR: data }, ['--exit-with-parent']);
    const file = await ready(data);
    expect(statSync(path.join(data, 'ready.json')).mode & 0o777).toBe(0o600);
    expect(file.pid).toBe(child.pid);
    expect((await fetch(`${file.http}/ready`)).status).toBe(200);
    expect(said()).toContain('admin-token');
    const postmaster = Number(readFileSync(path.join(data, 'postgres/data/postmaster.pid'), 'utf8').split('\n')[0]);
    expect(isRunning(postmaster)).toBe(true);
    end(child);
    expect(await ended).toBe(0);
    expect(isRunning(postmaster)).toBe(false);
    expect(existsSync(path.join(data, 'ready.json'))).toBe(false);
  },
  90_000,
);

test('a wrong setting ends the start at once, with its name and what to do', async () => {
  const { said, ended } = start({ SALLYPORT_DATA_DIR: path.join(dir, 'data'), SALLYPORT_HTTP: '0.0.0.0:0' });
  expect(await ended).toBe(1);
  expect(said()).toMatch(/SALLYPORT_HTTP[\s\S]*behind-proxy/);
});

test('an unreachable database ends the start with its setting’s name and not its password', async () => {
  const { said, ended } = start({
    SALLYPORT_DATA_DIR: path.join(dir, 'data'),
    DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/x',
  });
  expect(await ended).toBe(1);
  expect(said()).toContain('DATABASE_URL');
  expect(said()).not.toContain('hunter2');
});

test('two replicas that start at once on an empty database make one project, one admin and one set of keys', async () => {
  const server = await startEmbeddedPostgres({ dir: path.join(dir, 'postgres') });
  try {
    const kek = Buffer.alloc(32, 3).toString('base64url');
    const replicas = await Promise.all(
      ['a', 'b'].map((name) =>
        startControlPlane(
          parseConfig([], {
            ...FREE,
            SALLYPORT_DATA_DIR: path.join(dir, name),
            DATABASE_URL: server.url(),
            SALLYPORT_KEK: kek,
          }),
          () => undefined,
        ),
      ),
    );
    try {
      expect(replicas.filter((replica) => replica.adminTokenFile !== undefined)).toHaveLength(1);
      const token = readFileSync(
        replicas.find((replica) => replica.adminTokenFile !== undefined)!.adminTokenFile!,
        'utf8',
      ).trim();
      const [one, two] = await Promise.all(
        replicas.map(async ({ ready: { http } }) => await (await fetch(`${http}/v1/keys`)).json()),
      );
      expect(one).toEqual(two);
      for (const {
        ready: { http },
      } of replicas)
        expect((await fetch(`${http}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(200);
    } finally {
      await Promise.all(replicas.map((replica) => replica.stop()));
    }
  } finally {
    await server.stop();
  }
}, 90_000);
