import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, expect, test } from 'vitest';
import { startEmbeddedPostgres } from './server.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-pg-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function ask(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

test('a second start after a crash finds the data of the first', { timeout: 60_000 }, async () => {
  const first = await startEmbeddedPostgres({ dir });
  await ask(first.url(), 'create table kept as select 7 as n');
  process.kill(first.pid, 'SIGKILL');
  await first.stop();
  const second = await startEmbeddedPostgres({ dir });
  expect(await ask(second.url(), 'select n from kept')).toEqual([{ n: 7 }]);
  await second.stop();
});

test('a taken port is a clear error', { timeout: 60_000 }, async () => {
  const first = await startEmbeddedPostgres({ dir });
  const other = mkdtempSync(path.join(tmpdir(), 'sallyport-pg-'));
  await expect(startEmbeddedPostgres({ dir: other, port: first.port })).rejects.toMatchObject({
    code: 'config.invalid',
  });
  await first.stop();
  rmSync(other, { recursive: true, force: true });
});
