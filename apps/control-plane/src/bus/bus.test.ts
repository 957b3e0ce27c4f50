import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '@sallyport/core';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Bus } from './bus.ts';
import { MessageJoiner, splitMessage } from './frames.ts';
import { PgBus, publishWithin } from './pg.bus.ts';
import { RedisBus } from './redis.bus.ts';

const log = createLogger('test', { level: 'error', write: () => undefined, nowMs: () => Date.now() });
const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-bus-'));
let server: EmbeddedPostgres;

beforeAll(async () => {
  chmodSync(dir, 0o711);
  server = await startEmbeddedPostgres({ dir: path.join(dir, 'postgres') });
});
afterAll(async () => {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function open(): Promise<PgBus> {
  const bus = new PgBus(server.url(), log);
  await bus.open();
  return bus;
}
const frames = (bus: Bus): string[] => {
  const heard: string[] = [];
  bus.subscribe('frame', ({ frame }) => heard.push(frame));
  return heard;
};

test('a message of any length is put together from parts that arrive mixed with others', () => {
  const joiner = new MessageJoiner();
  const long = splitMessage('frame', { frame: 'é"\\'.repeat(5_000) });
  const other = splitMessage('frame', { frame: 'z'.repeat(9_000) });
  for (const text of [...long, ...other]) expect(Buffer.byteLength(text)).toBeLessThan(8_000);
  const mixed = long.flatMap((text, i) => (other[i] === undefined ? [text] : [text, other[i]]));
  const whole = mixed.map((text) => joiner.take(text)).filter((one) => one !== undefined);
  expect(whole.map((one) => (one.message as { frame: string }).frame)).toEqual(
    expect.arrayContaining(['é"\\'.repeat(5_000), 'z'.repeat(9_000)]),
  );
});

test('every replica hears a message, the sender too', async () => {
  const [a, b] = [await open(), await open()];
  const heard = [frames(a), frames(b)];
  await a.publish('frame', { sessionId: 's', agentId: 'a', frame: 'x'.repeat(20_000) });
  await expect.poll(() => heard.map((list) => list.length)).toEqual([1, 1]);
  await Promise.all([a.close(), b.close()]);
});

test('what is said inside a transaction is heard if, and only when, it commits', async () => {
  const bus = await open();
  const heard: string[] = [];
  bus.subscribe('bundle', ({ projectId }) => heard.push(projectId));
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  const tx = {
    $executeRawUnsafe: async (sql: string, ...values: unknown[]) => (await client.query(sql, values)).rowCount ?? 0,
  };
  await client.query('begin');
  await publishWithin(tx, 'bundle', { projectId: 'rolled back' });
  await client.query('rollback');
  await client.query('begin');
  await publishWithin(tx, 'bundle', { projectId: 'committed' });
  await sleep(100);
  expect(heard).toEqual([]);
  await client.query('commit');
  await expect.poll(() => heard).toEqual(['committed']);
  await client.end();
  await bus.close();
});

test('a lost connection comes back and says that something may have been missed', async () => {
  const bus = await open();
  const heard = frames(bus);
  let gaps = 0;
  bus.onGap(() => gaps++);
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  await client.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sallyport bus'");
  await expect.poll(() => gaps, { timeout: 5_000 }).toBe(1);
  await bus.publish('frame', { sessionId: 's', agentId: 'a', frame: 'after' });
  await expect.poll(() => heard).toContain('after');
  await client.end();
  await bus.close();
});

const redisServer = ['/usr/bin/redis-server', '/usr/local/bin/redis-server'].find((file) => existsSync(file));

describe.skipIf(redisServer === undefined)('with Redis (skipped where redis-server is not installed)', () => {
  test('messages go through Redis, and what is said inside a transaction still comes from PostgreSQL', async () => {
    const probe = createServer();
    await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
    const { port } = probe.address() as AddressInfo;
    await new Promise((resolve) => probe.close(resolve));
    const child = spawn(redisServer!, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', dir], {
      stdio: 'ignore',
    });
    try {
      await sleep(300);
      const url = `redis://127.0.0.1:${port}`;
      const [a, b] = [new RedisBus(url, await open(), log), new RedisBus(url, await open(), log)];
      await Promise.all([a.open(), b.open()]);
      const heard = frames(b);
      const changes: string[] = [];
      b.subscribe('bundle', ({ projectId }) => changes.push(projectId));
      await a.publish('frame', { sessionId: 's', agentId: 'a', frame: 'through redis' });
      await expect.poll(() => heard).toEqual(['through redis']);
      const client = new pg.Client({ connectionString: server.url() });
      await client.connect();
      await publishWithin(
        { $executeRawUnsafe: async (sql, ...values) => (await client.query(sql, values)).rowCount ?? 0 },
        'bundle',
        { projectId: 'p' },
      );
      await expect.poll(() => changes).toEqual(['p']);
      await client.end();
      await Promise.all([a.close(), b.close()]);
    } finally {
      child.kill();
    }
  });
});
