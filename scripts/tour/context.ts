/** What chapters share: the running stack and a few ways to look at it. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../stack/build.ts';
import { type Rest, restClient } from '../stack/rest.ts';
import { apiToken, openSql, type SqlSession } from '../stack/sql-client.ts';
import type { Stack } from '../stack/stack.ts';

export interface PendingApproval {
  readonly id: string;
  readonly state: string;
  readonly rule: string;
}

export interface CliResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface TourContext {
  readonly stack: Stack;
  readonly dir: string;
  /** A count on the demo database itself, past Sallyport: the truth. */
  truth(sql: string): Promise<string>;
  as(principal: string): Promise<Rest>;
  sql(principal: string): Promise<SqlSession>;
  /** Waits until somebody's held statement shows in `principal`'s inbox. */
  pending(principal: string): Promise<PendingApproval>;
  cli(principal: string, ...args: string[]): Promise<CliResult>;
  /** What the command line reads of who one is; for programs that call it. */
  cliEnv(principal: string): Promise<NodeJS.ProcessEnv>;
}

export function tourContext(stack: Stack, dir: string, truth: (sql: string) => Promise<string>): TourContext {
  const as = async (principal: string): Promise<Rest> =>
    restClient(stack.dev.rest, await apiToken(stack.dev, principal));
  const cliEnv = async (principal: string): Promise<NodeJS.ProcessEnv> => ({
    ...process.env,
    SALLYPORT_URL: stack.dev.rest,
    SALLYPORT_TOKEN: await apiToken(stack.dev, principal),
    SALLYPORT_CONFIG: path.join(dir, 'cli.json'),
    NO_COLOR: '1',
  });
  return {
    stack,
    dir,
    truth,
    as,
    cliEnv,
    sql: (principal) => openSql(stack.dev, principal),
    pending: async (principal) => {
      const rest = await as(principal);
      for (let i = 0; i < 100; i++) {
        const { items } = await rest.call<{ items: PendingApproval[] }>(
          'GET',
          '/v1/approvals?state=pending&answerable=true',
        );
        if (items[0] !== undefined) return items[0];
        await sleep(50);
      }
      throw new Error(`Nothing came to ${principal}'s inbox within 5 seconds.`);
    },
    cli: async (principal, ...args) => {
      const env = await cliEnv(principal);
      return new Promise((resolve) => {
        execFile(
          process.execPath,
          ['--disable-warning=ExperimentalWarning', path.join(ROOT, 'apps/cli/dist/sallyport.mjs'), ...args],
          { env, maxBuffer: 64 * 1024 * 1024 },
          (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, err }),
        );
      });
    },
  };
}

/** What a driver's error carries of a refusal: SQLSTATE, text, and the one line of JSON in DETAIL. */
export interface Refused {
  readonly sqlstate: string;
  readonly message: string;
  readonly detail: {
    readonly rule?: string;
    readonly reason?: string;
    readonly requestId?: string;
    readonly retry?: unknown;
  };
}

/** @throws Error when the statement is not refused */
export async function refused(statement: Promise<unknown>): Promise<Refused> {
  try {
    await statement;
  } catch (error) {
    const { code, message, detail } = error as { code?: string; message: string; detail?: string };
    return {
      sqlstate: code ?? '',
      message,
      detail: detail === undefined ? {} : (JSON.parse(detail) as Refused['detail']),
    };
  }
  throw new Error('The statement was not refused.');
}

/** Waits until `check` gives something, at most `withinMs`. */
export async function eventually<T>(
  check: () => Promise<T | undefined> | T | undefined,
  withinMs: number,
  what: string,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const value = await check();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`);
    await sleep(20);
  }
}

/** Until every agent has what was changed so far: nobody in the story is that quick, and a program is. */
export async function inForce(admin: Rest): Promise<void> {
  const { revision } = await admin.call<{ revision: number }>('GET', '/v1/bundles');
  const reached = async (): Promise<true | undefined> => {
    const { items } = await admin.call<{ items: { bundle: { revision: number } }[] }>('GET', '/v1/agents');
    return items.every(({ bundle }) => bundle.revision >= revision) ? true : undefined;
  };
  await eventually(reached, 5_000, 'the change in force at the agents');
}
