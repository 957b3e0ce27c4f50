/** The migrations on a real PostgreSQL: applied once by several at once, refused when edited, and equal to the schema. */
import { appendFileSync, chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MIGRATIONS_DIR, migrate } from './migrate.ts';

interface SchemaEngine {
  drift(): Promise<string | undefined>;
  close(): void;
}
/** A development tool outside this app, so it is loaded by path and not part of its types. */
const TOOL = path.join(import.meta.dirname, '../../../../scripts/schema-engine.ts');

let dir: string;
let server: EmbeddedPostgres;
beforeAll(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'sallyport-migrate-'));
  chmodSync(dir, 0o711);
  server = await startEmbeddedPostgres({ dir: path.join(dir, 'postgres') });
}, 60_000);
afterAll(async () => {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function query(database: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.url(database) });
  await client.connect();
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}
async function freshDatabase(name: string): Promise<string> {
  await query('postgres', `create database ${name}`);
  return server.url(name);
}

test('three replicas that start at once apply each migration exactly once', async () => {
  const url = await freshDatabase('together');
  const applied = await Promise.all([migrate(url), migrate(url), migrate(url)]);
  const all = applied.flat();
  expect(all.length).toBeGreaterThan(0);
  expect(new Set(all).size).toBe(all.length);
  expect(await migrate(url)).toEqual([]);
});

test('what the migrations make is what the schema says', async () => {
  const url = await freshDatabase('drift');
  await migrate(url);
  const tool = (await import(TOOL)) as { openSchemaEngine(schema: string, url: string): Promise<SchemaEngine> };
  const engine = await tool.openSchemaEngine(path.join(MIGRATIONS_DIR, '../schema.prisma'), url);
  try {
    expect(await engine.drift()).toBeUndefined();
  } finally {
    engine.close();
  }
});

test('a migration that was edited after it was applied stops the start', async () => {
  const url = await freshDatabase('edited');
  const copy = path.join(dir, 'migrations');
  cpSync(MIGRATIONS_DIR, copy, { recursive: true });
  await migrate(url, new Date(), copy);
  appendFileSync(path.join(copy, '20261121000000_first/migration.sql'), '\n-- changed');
  await expect(migrate(url, new Date(), copy)).rejects.toMatchObject({ code: 'config.invalid' });
});

test('a migration that fails leaves nothing behind and stops the start', async () => {
  const url = await freshDatabase('failing');
  const copy = path.join(dir, 'failing');
  cpSync(MIGRATIONS_DIR, copy, { recursive: true });
  mkdirSync(path.join(copy, '99990101000000_bad'));
  writeFileSync(path.join(copy, '99990101000000_bad/migration.sql'), 'create table half (id int); select nonsense;');
  await expect(migrate(url, new Date(), copy)).rejects.toThrow();
  expect(await query('failing', "select to_regclass('half') as half")).toEqual([{ half: null }]);
});

test('a database of a newer version is left alone', async () => {
  const url = await freshDatabase('newer');
  await migrate(url);
  await query(
    'newer',
    "insert into _prisma_migrations (id, checksum, finished_at, migration_name) values ('x', 'x', now(), '99990101000000_later')",
  );
  await expect(migrate(url)).rejects.toMatchObject({
    code: 'config.invalid',
    detail: { migration: '99990101000000_later' },
  });
});

test('events fall into the partition of their month, and those of a clock far off into the default one', async () => {
  const url = await freshDatabase('parts');
  await migrate(url);
  const insert = (time: string): string =>
    `insert into trail_events (time, chain_id, sequence, project_id, kind) values (${time}, gen_random_uuid(), 1, gen_random_uuid(), 'x')`;
  await query('parts', insert('now()'));
  await query('parts', insert("'1999-01-01'"));
  const rows = await query('parts', 'select tableoid::regclass::text as part from trail_events order by time');
  expect(rows[0]!['part']).toBe('partitions.trail_events_default');
  expect(rows[1]!['part']).toMatch(/^partitions\.trail_events_\d{4}_\d{2}$/);
});

test('rows of a clock that was months ahead do not keep their month from being made, and move into it', async () => {
  const url = await freshDatabase('ahead');
  await migrate(url);
  const insert = (time: string): string =>
    `insert into trail_events (time, chain_id, sequence, project_id, kind) values (${time}, gen_random_uuid(), 1, gen_random_uuid(), 'x')`;
  await query('ahead', insert("'2099-05-31T23:59:59.999Z'"));
  await query('ahead', insert("'2099-06-30T23:59:59.999Z'"));
  await query('ahead', insert("'2099-07-01T00:00:00Z'"));
  const parts = async () =>
    (await query('ahead', 'select tableoid::regclass::text as part from trail_events order by time')).map(
      (row) => row['part'],
    );
  expect(new Set(await parts())).toEqual(new Set(['partitions.trail_events_default']));
  // Two replicas that start in that month.
  const then = new Date('2099-06-15T12:00:00Z');
  await Promise.all([migrate(url, then), migrate(url, then)]);
  expect(await parts()).toEqual([
    'partitions.trail_events_default',
    'partitions.trail_events_2099_06',
    'partitions.trail_events_2099_07',
  ]);
  const indexes = await query(
    'ahead',
    "select count(*)::int as n from pg_indexes where schemaname = 'partitions' group by tablename",
  );
  expect(new Set(indexes.map((row) => row['n']))).toEqual(new Set([3]));
});
