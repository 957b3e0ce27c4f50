/**
 * One private stack for the suites that attack it, with a database server that writes down every statement it gets.
 * `SALLYPORT_TEST_PG_BIN=<folder>` has the server of another major. `SALLYPORT_TEST_STACK=<folder>` uses the stack an earlier run left standing there (or starts one and leaves it).
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { buildAll } from '../../scripts/stack/build.ts';
import { type DevFile, readDevFile } from '../../scripts/stack/dev-file.ts';
import { type Rest, restClient } from '../../scripts/stack/rest.ts';
import { ANY_PORTS, startStack } from '../../scripts/stack/stack.ts';
import { BROKEN_INDEX, MASKED_NAMES, SETUP } from './objects.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The demo server's log of statements. */
    serverLog: string;
    /** The demo server's major version. */
    serverMajor: number;
  }
}

const loggingTo = (folder: string): Record<string, string> => ({
  logging_collector: 'on',
  log_directory: folder,
  log_filename: 'server.log',
  log_file_mode: '0644',
  log_rotation_age: '0',
  log_rotation_size: '0',
  log_statement: 'all',
  log_line_prefix: '%p ',
});

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const kept = process.env['SALLYPORT_TEST_STACK'];
  const dir = kept ?? mkdtempSync('/var/tmp/sallyport-wire-');
  const logs = path.join(dir, 'server-logs');
  const provide = (dev: DevFile, major: number): void => {
    project.provide('dev', dev);
    project.provide('serverMajor', major);
    project.provide('serverLog', path.join(logs, 'server.log'));
  };
  const standing = kept === undefined ? undefined : running(dir);
  if (standing !== undefined) {
    provide(standing, await prepare(standing));
    return () => Promise.resolve();
  }
  await buildAll(() => undefined);
  mkdirSync(logs, { recursive: true });
  chmodSync(dir, 0o711);
  chmodSync(logs, 0o777);
  const stack = await startStack({
    dir,
    fresh: false,
    ports: ANY_PORTS,
    say: () => undefined,
    demoSettings: loggingTo(logs),
    demoBinDir: process.env['SALLYPORT_TEST_PG_BIN'],
  }).catch((error: unknown) => {
    if (kept === undefined) rmSync(dir, { recursive: true, force: true });
    throw error;
  });
  try {
    provide(stack.dev, await prepare(stack.dev));
  } catch (error) {
    await stack.stop();
    if (kept === undefined) rmSync(dir, { recursive: true, force: true });
    throw error;
  }
  return async () => {
    await stack.stop();
    rmSync(dir, { recursive: true, force: true });
  };
}

/**
 * No detector knows a name: what shows one has got past the masks by origin. The demo's own masked columns have detectors
 * behind them, which would hide such a hole.
 */
async function maskNames(admin: Rest): Promise<void> {
  const revision = async (): Promise<number> => {
    const { items } = await admin.call<{ items: { bundleRevision: number }[] }>('GET', '/v1/agents');
    return items[0]?.bundleRevision ?? 0;
  };
  const before = await revision();
  const applied = await admin.call<{ changes: { action: string }[] }>('POST', '/v1/apply', {
    documents: [{ file: 'masked-names.yaml', text: MASKED_NAMES }],
    dryRun: false,
    prune: false,
  });
  if (applied.changes.every((change) => change.action === 'none')) return;
  for (let i = 0; i < 200 && (await revision()) === before; i++) await sleep(50);
}

function running(dir: string): DevFile | undefined {
  const dev = readDevFile(path.join(dir, 'dev.json'));
  return dev !== undefined && existsSync(`/proc/${dev.agent.pid}`) ? dev : undefined;
}

/** Objects the attacks lean on, made past the gateway by the resource's own role. @returns the server's major */
async function prepare(dev: DevFile): Promise<number> {
  const { host, port, database, username, password, ca } = dev.demo;
  await maskNames(restClient(dev.rest, dev.principals['admin']?.token ?? ''));
  const client = new pg.Client({
    host,
    port,
    database,
    user: username,
    password,
    ssl: { ca: readFileSync(ca, 'utf8') },
  });
  await client.connect();
  try {
    await client.query(SETUP);
    await client.query(BROKEN_INDEX).catch(() => undefined);
    const { rows } = await client.query<{ major: number }>(
      `select current_setting('server_version_num')::int / 10000 as major`,
    );
    return rows[0]?.major ?? 0;
  } finally {
    await client.end();
  }
}
