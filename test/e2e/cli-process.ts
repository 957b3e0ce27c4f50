/** The bundled command line as a process of its own, with a home of its own, on the running stack. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { DevFile } from '../../scripts/stack/dev-file.ts';

export const PROGRAM = path.join(import.meta.dirname, '../../apps/cli/dist/sallyport.mjs');

export interface Ran {
  /** -2 when a signal ended it. */
  readonly code: number;
  readonly out: string;
  readonly err: string;
}
export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ran>;
  err(): string;
  out(): string;
}
export interface Cli {
  readonly home: string;
  /** What the program needs to find the demo's principals, and nothing of this machine's own settings. */
  readonly env: NodeJS.ProcessEnv;
  /** @param input all of stdin */
  readonly start: (args: readonly string[], input?: string, more?: { readonly cwd?: string }) => Running;
  readonly run: (args: readonly string[], input?: string, more?: { readonly cwd?: string }) => Promise<Ran>;
  readonly runJson: <T>(args: readonly string[]) => Promise<T>;
  /** Another program in the same surroundings, its stdin left open. */
  readonly spawn: (program: string, args: readonly string[]) => Running;
  readonly end: () => void;
}

export function openCli(dev: DevFile): Cli {
  const home = mkdtempSync(path.join(tmpdir(), 'sallyport-cli-e2e-'));
  const devFile = path.join(home, 'dev.json');
  writeFileSync(devFile, JSON.stringify(dev), { mode: 0o600 });
  const env = { PATH: process.env['PATH'], HOME: home, TMPDIR: home, SALLYPORT_DEV_FILE: devFile };
  const spawned = (program: string, args: readonly string[], cwd?: string): Running =>
    watched(spawn(program, [...args], { env, ...(cwd === undefined ? {} : { cwd }), stdio: ['pipe', 'pipe', 'pipe'] }));
  const start: Cli['start'] = (args, input, more) => {
    const running = spawned(process.execPath, [PROGRAM, ...args], more?.cwd);
    running.child.stdin?.end(input ?? '');
    return running;
  };
  const run: Cli['run'] = (args, input, more) => start(args, input, more).ended;
  return {
    home,
    env,
    start,
    run,
    runJson: async <T>(args: readonly string[]) => {
      const ran = await run(['--json', ...args]);
      expect(ran.code, ran.err).toBe(0);
      return JSON.parse(ran.out) as T;
    },
    spawn: (program, args) => spawned(program, args),
    end: () => rmSync(home, { recursive: true, force: true }),
  };
}

function watched(child: ChildProcess): Running {
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  child.stdin?.on('error', () => undefined);
  const ended = new Promise<Ran>((resolve) =>
    child.on('close', (code, signal) => resolve({ code: code ?? (signal === null ? -1 : -2), out, err })),
  );
  return { child, ended, out: () => out, err: () => err };
}

/** Looks every 100 ms until there is something. */
export async function until<T>(look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (let i = 0; i < 150; i++) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(100);
  }
  throw new Error('it did not happen within 15 seconds');
}
