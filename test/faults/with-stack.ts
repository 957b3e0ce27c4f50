/** A private stack for one file of fault tests, and ways to wait and to look. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { buildAll } from '../../scripts/stack/build.ts';
import { type Rest, restClient } from '../../scripts/stack/rest.ts';
import { apiToken } from '../../scripts/stack/sql-client.ts';
import { ANY_PORTS, type Stack, type StackOptions, startStack } from '../../scripts/stack/stack.ts';

export interface FaultStack {
  readonly stack: Stack;
  readonly dir: string;
  readonly as: (principal: string) => Promise<Rest>;
  /** First request in somebody's inbox. */
  readonly pending: (principal: string) => Promise<{ readonly id: string }>;
}

/** Starts before the file's tests, stops after them. `prepare` gets the folder before anything starts. */
export function useStack(options: {
  readonly prepare?: (dir: string) => Promise<Partial<StackOptions>> | Partial<StackOptions>;
  readonly cleanUp?: (dir: string) => Promise<void> | void;
}): () => FaultStack {
  let running: FaultStack | undefined;
  let dir = '';
  beforeAll(async () => {
    dir = mkdtempSync('/var/tmp/sallyport-faults-');
    await buildAll(() => undefined);
    const more = (await options.prepare?.(dir)) ?? {};
    const stack = await startStack({ dir, fresh: false, ports: ANY_PORTS, say: () => undefined, ...more });
    const as = async (principal: string): Promise<Rest> =>
      restClient(stack.dev.rest, await apiToken(stack.dev, principal));
    running = {
      stack,
      dir: path.resolve(dir),
      as,
      pending: async (principal) => {
        const rest = await as(principal);
        return eventually(async () => {
          const page = await rest.call<{ items: { id: string }[] }>(
            'GET',
            '/v1/approvals?state=pending&answerable=true',
          );
          return page.items[0];
        }, 10_000);
      },
    };
  }, 600_000);
  afterAll(async () => {
    await running?.stack.stop();
    await options.cleanUp?.(dir);
    rmSync(dir, { recursive: true, force: true });
  }, 180_000);
  return () => {
    if (running === undefined) throw new Error('the stack is not running');
    return running;
  };
}

/** Waits until `check` gives something; an error of `check` counts as not yet. */
export async function eventually<T>(check: () => Promise<T | undefined> | T | undefined, withinMs: number): Promise<T> {
  const deadline = Date.now() + withinMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value !== undefined) return value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms`, { cause: last });
    await sleep(50);
  }
}

/** A query past Sallyport, as the demo database's superuser: the truth. */
export async function truth(stack: Stack, sql: string): Promise<string> {
  const client = new pg.Client({
    connectionString: stack.database.server.url(stack.database.database),
    ssl: { rejectUnauthorized: false },
  });
  await client.connect();
  try {
    // Several statements give several results; the last one is the answer.
    const results = [await client.query({ text: sql, rowMode: 'array' })].flat();
    const rows = (results.at(-1)?.rows ?? []) as unknown[][];
    return String(rows[0]?.[0]);
  } finally {
    await client.end();
  }
}

/** The control plane's own PostgreSQL, past it: for what no interface says, and for time that has to have passed. */
export async function ownDatabase<T>(dir: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const folder = path.join(dir, 'control-plane/postgres');
  const [, , , port] = readFileSync(path.join(folder, 'data/postmaster.pid'), 'utf8').split('\n');
  const client = new pg.Client({
    host: '127.0.0.1',
    port: Number(port),
    user: 'postgres',
    password: readFileSync(path.join(folder, 'password'), 'utf8'),
    database: 'postgres',
  });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
