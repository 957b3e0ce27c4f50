/**
 * Real shells that can do no harm: dash and bash in a root of their own (chroot in a user and process namespace), where every
 * program but a few that only start or print is a stub that logs its name and arguments. Refuses to exist where it cannot be built.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export type SandboxShell = 'dash' | 'bash';
export interface Ran {
  readonly program: string;
  readonly arguments: readonly string[];
}
export interface Sandbox {
  run(shell: SandboxShell, text: string): Promise<readonly Ran[]>;
  close(): void;
}

/** Programs that the stubs stand for. */
export const STUBS = [
  'rm',
  'ls',
  'cp',
  'mv',
  'dd',
  'curl',
  'wget',
  'foo',
  'bar',
  'qux',
  'reboot',
  'mkfs',
  'systemctl',
  'tee',
  'touch',
  'chmod',
  'python3',
  'ssh',
  'sudo',
  'git',
  'x',
  'a',
  'b',
] as const;
const REAL = [
  'env',
  'xargs',
  'timeout',
  'nohup',
  'nice',
  'setsid',
  'find',
  'cat',
  'base64',
  'tr',
  'head',
  'sed',
  'mawk',
];
/** Nobody's: the shells and stubs own nothing but their log. */
const UID = 61_234;

const isolated = (root: string, own: string | undefined): readonly string[] => [
  '--user',
  '--map-root-user',
  '--pid',
  '--fork',
  '--kill-child',
  '--net',
  '--ipc',
  '/usr/sbin/chroot',
  root,
  ...(own === undefined ? [] : [own]),
];

/** @returns undefined where the machine cannot isolate them */
export function openSandbox(): Sandbox | undefined {
  if (
    ![
      '/bin/dash',
      '/bin/bash',
      '/usr/bin/unshare',
      '/usr/sbin/chroot',
      ...REAL.map((name) => `/usr/bin/${name}`),
    ].every((file) => existsSync(file))
  )
    return undefined;
  const root = mkdtempSync(path.join(tmpdir(), 'sallyport-shells-'));
  chmodSync(root, 0o755);
  for (const folder of ['bin', 'log', 'home', 'tmp', 'etc', 'dev', 'srv'])
    mkdirSync(path.join(root, folder), { mode: 0o755 });
  const programs = ['/bin/dash', '/bin/bash', ...REAL.map((name) => `/usr/bin/${name}`)];
  for (const file of programs) bring(realpathSync(file), path.join(root, 'bin', path.basename(file)), root);
  bring(realpathSync('/bin/dash'), path.join(root, 'bin/sh'), root);
  bring(realpathSync('/usr/bin/mawk'), path.join(root, 'bin/awk'), root);
  const stub = '#!/bin/dash\nprintf \'\\037%s\' "@@${0##*/}" "$@" >> /log/out\n';
  for (const name of STUBS) writeFileSync(path.join(root, 'bin', name), stub, { mode: 0o755 });
  const log = path.join(root, 'log/out');
  const own = process.getuid?.() === 0;
  const identity = own ? { uid: UID, gid: UID } : {};
  if (own) for (const folder of ['log', 'home', 'tmp']) chownSync(path.join(root, folder), UID, UID);
  const probe = spawnSync('/usr/bin/unshare', [...isolated(root, '/bin/dash'), '-c', 'foo bar'], {
    ...identity,
    env: { PATH: '/bin' },
    timeout: 10_000,
  });
  const close = (): void => rmSync(root, { recursive: true, force: true });
  if (probe.status !== 0 || !existsSync(log)) {
    close();
    return undefined;
  }
  return {
    close,
    run: (shell, text) =>
      new Promise((resolve) => {
        for (const folder of ['log', 'home', 'tmp']) {
          mkdirSync(path.join(root, folder), { recursive: true, mode: 0o755 });
          if (own) chownSync(path.join(root, folder), UID, UID);
        }
        writeFileSync(log, '');
        if (own) chownSync(log, UID, UID);
        const limits = ['--nproc=40', '--fsize=2000000', '--cpu=2', '--as=1000000000', '/usr/bin/unshare'];
        const child = spawn('/usr/bin/prlimit', [...limits, ...isolated(root, `/bin/${shell}`), '-c', text], {
          ...identity,
          cwd: '/',
          env: { PATH: '/bin', HOME: '/home', LANG: 'C' },
          stdio: 'ignore',
        });
        const timer = setTimeout(() => child.kill('SIGKILL'), 3_000);
        child.once('close', () => {
          clearTimeout(timer);
          // A line may remove what is its own, the log too.
          resolve(existsSync(log) ? parseLog(readFileSync(log, 'latin1')) : []);
        });
      }),
  };
}

function bring(file: string, to: string, root: string): void {
  copyFileSync(file, to);
  chmodSync(to, 0o755);
  const { stdout } = spawnSync('/usr/bin/ldd', [file], { encoding: 'utf8' });
  for (const [library] of stdout.matchAll(/\/\S+\.so\S*/g)) {
    const target = path.join(root, library);
    if (existsSync(target)) continue;
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(realpathSync(library), target);
    chmodSync(target, 0o755);
  }
}

function parseLog(log: string): readonly Ran[] {
  const ran: { program: string; arguments: string[] }[] = [];
  for (const piece of log.split('\x1f').slice(1)) {
    if (piece.startsWith('@@')) ran.push({ program: piece.slice(2), arguments: [] });
    else ran.at(-1)?.arguments.push(piece);
  }
  return ran;
}
