/** Test-only: runs a command line in this process and keeps what it said. Real files, real sockets; only the streams are caught. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { afterAll } from 'vitest';
import { runProgram } from '../program.ts';
import type { Terminal } from '../terminal.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A terminal that collects; `env` has a home of its own. */
export function collectingTerminal(
  env: Readonly<Record<string, string>> = {},
  input?: string,
): Terminal & { out(): string; err(): string } {
  const out: string[] = [];
  const err: string[] = [];
  const into = (lines: string[]): Writable =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(chunk.toString());
        done();
      },
    });
  const stdin = new PassThrough();
  stdin.end(input ?? '');
  return {
    env: { HOME: newHome(), SALLYPORT_DEV_FILE: '/nonexistent', ...env },
    nowMs: () => Date.now(),
    stdin: stdin as unknown as NodeJS.ReadStream,
    stdout: into(out),
    stderr: into(err),
    columns: () => undefined,
    out: () => out.join(''),
    err: () => err.join(''),
  };
}

const homes: string[] = [];
afterAll(() => {
  for (const home of homes.splice(0)) rmSync(home, { recursive: true, force: true });
});

/** Gone when the file's tests are over. */
export function newHome(): string {
  const home = mkdtempSync(path.join(tmpdir(), 'sallyport-cli-'));
  homes.push(home);
  return home;
}

export async function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input?: string,
): Promise<Ran> {
  const terminal = collectingTerminal(env, input);
  const code = await runProgram(args, terminal);
  return { code, out: terminal.out(), err: terminal.err() };
}
