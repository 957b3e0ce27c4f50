/**
 * Runs the forward-only SQL migrations at start: one transaction each, under an advisory lock, so that several replicas
 * starting at once apply each exactly once. Refuses a migration that was edited after it was applied.
 * Writes the table that Prisma's own tools read (`_prisma_migrations`), under the lock id they use.
 */
import { createHash, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { GatewayError } from '@sallyport/core';
import pg from 'pg';

const LOCK = 72_707_369;
export const MIGRATIONS_DIR = path.join(import.meta.dirname, '../../prisma/migrations');
/** Partitions of the trail's index are made this many months ahead. */
export const MONTHS_AHEAD = 3;

const HISTORY = `create table if not exists _prisma_migrations (
  id varchar(36) primary key, checksum varchar(64) not null, finished_at timestamptz, migration_name varchar(255) not null,
  logs text, rolled_back_at timestamptz, started_at timestamptz not null default now(), applied_steps_count integer not null default 0)`;

async function applyOne(client: pg.Client, name: string, sql: string, checksum: string): Promise<void> {
  await client.query('begin');
  try {
    await client.query(sql);
    await client.query(
      'insert into _prisma_migrations (id, checksum, finished_at, migration_name, applied_steps_count) values ($1, $2, now(), $3, 1)',
      [randomUUID(), checksum, name],
    );
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

/**
 * @param now whose month is the first of those that get a partition
 * @returns names of the migrations applied by this call
 * @throws GatewayError `config.invalid` when the database is unreachable, or holds an edited or unknown migration
 */
export async function migrate(
  url: string,
  now: Date = new Date(),
  dir: string = MIGRATIONS_DIR,
): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'sallyport-migrate' });
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (cause) {
    throw new GatewayError(
      'config.invalid',
      { name: 'DATABASE_URL', remedy: 'the database cannot be reached' },
      { cause },
    );
  }
  const applied: string[] = [];
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK]);
    await client.query(HISTORY);
    const history = await client.query<{ migration_name: string; checksum: string }>(
      'select migration_name, checksum from _prisma_migrations where rolled_back_at is null and finished_at is not null',
    );
    const had = new Map(history.rows.map((row) => [row.migration_name, row.checksum]));
    const names = readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
    const newer = [...had.keys()].find((name) => !names.includes(name));
    if (newer !== undefined) {
      throw new GatewayError('config.invalid', {
        migration: newer,
        remedy: 'the database belongs to a newer version of this program',
      });
    }
    for (const name of names) {
      const sql = readFileSync(path.join(dir, name, 'migration.sql'), 'utf8');
      const checksum = createHash('sha256').update(sql).digest('hex');
      const known = had.get(name);
      if (known === checksum) continue;
      if (known !== undefined)
        throw new GatewayError('config.invalid', { migration: name, remedy: 'it was edited after it was applied' });
      await applyOne(client, name, sql, checksum);
      applied.push(name);
    }
    await client.query('select partitions.ensure_trail_events($1, $2)', [now, MONTHS_AHEAD]);
  } finally {
    await client.end();
  }
  return applied;
}
