/** Runs somebody else's client in this terminal and passes signals on. Refuses to judge how it ends: the caller gets its code. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Context } from './context.ts';
import { CliError, EXIT } from './exit-codes.ts';

export interface RunOptions {
  /** This program's own environment when left out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What to do when there is no such program. */
  readonly missing?: string | undefined;
}

/** @returns its exit code, or 128 and the number of the signal that ended it, as shells say it @throws CliError usage when there is no such program */
export function spawnClient(
  context: Context,
  command: string,
  args: readonly string[],
  { env = context.terminal.env, missing }: RunOptions,
): Promise<number> {
  const child = spawn(command, [...args], { stdio: 'inherit', env: { ...env } });
  // The terminal sends Ctrl-C to the client too; it decides what that means.
  const ignore = (): void => undefined;
  process.on('SIGINT', ignore);
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGTERM', pass);
  process.on('SIGHUP', pass);
  return new Promise<number>((resolve, reject) => {
    child.on('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ENOENT' ? new CliError('usage', `There is no program ${command}.`, missing) : error),
    );
    child.on('exit', (code, signal) =>
      resolve(code ?? (signal === null ? EXIT.failure : 128 + constants.signals[signal])),
    );
  }).finally(() => {
    process.off('SIGINT', ignore);
    process.off('SIGTERM', pass);
    process.off('SIGHUP', pass);
  });
}
