/**
 * Child processes of a stack: started with a ready file to wait for, stopped in order, never left behind.
 * Refuses to guess: a child that ends before it is ready is an error that carries what it said last.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProcessPlan {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Written by the child when it is ready; removed before the start. */
  readonly readyFile: string;
  readonly readyWithinMs: number;
  /** Ends the wait, and the child. */
  readonly signal?: AbortSignal | undefined;
}

export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  /** What the ready file says. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** Resolves when it has ended, with its exit code or signal. */
  readonly ended: Promise<string>;
  /** SIGTERM, then SIGKILL after a while; resolves when it is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const STOP_WITHIN_MS = 15_000;

function lastWords(logFile: string): string {
  return existsSync(logFile) ? readFileSync(logFile, 'utf8').split('\n').slice(-15).join('\n') : '';
}

/** Starts a Node program. Its stdin is a pipe of ours: when we are gone, however, it closes and the child ends itself. */
export async function startProcess(plan: ProcessPlan): Promise<RunningProcess> {
  rmSync(plan.readyFile, { force: true });
  const log = openSync(plan.logFile, 'a', 0o600);
  const child: ChildProcess = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...plan.args], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...plan.env },
    stdio: ['pipe', log, log],
    // Its own group: Ctrl-C reaches the supervisor alone, which then stops its children in order.
    detached: true,
  });
  closeSync(log);
  const ended = new Promise<string>((resolve) =>
    child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`)),
  );
  child.once('error', () => undefined);
  const deadline = Date.now() + plan.readyWithinMs;
  while (!existsSync(plan.readyFile)) {
    if (plan.signal?.aborted === true) {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
      await ended;
      clearTimeout(timer);
      plan.signal.throwIfAborted();
    }
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`The ${plan.name} did not start. It said last (${plan.logFile}):\n${lastWords(plan.logFile)}`);
    }
    await sleep(25);
  }
  const ready = JSON.parse(readFileSync(plan.readyFile, 'utf8')) as Record<string, unknown>;
  return {
    name: plan.name,
    pid: child.pid!,
    ready,
    ended,
    stop: async (signal = 'SIGTERM') => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}
