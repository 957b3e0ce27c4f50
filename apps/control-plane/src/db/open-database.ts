/**
 * Where the database is: a given one, or a PostgreSQL of our own in the data folder. The only reader of its password.
 * Refuses to know tables, but for the one that says whether secrets are in it.
 */
import path from 'node:path';
import { startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import pg from 'pg';
import type { Config } from '../config.ts';

export interface OpenedDatabase {
  readonly url: string;
  /** Stops our own; leaves a given one alone. */
  stop(): Promise<void>;
}

/** @throws GatewayError `config.invalid` when our own cannot start */
export async function openDatabase(config: Config): Promise<OpenedDatabase> {
  if (config.databaseUrl !== undefined) return { url: config.databaseUrl.reveal(), stop: () => Promise.resolve() };
  const server = await startEmbeddedPostgres({ dir: path.join(config.dataDir, 'postgres') });
  return { url: server.url(), stop: () => server.stop() };
}

/** True once a key-encryption key has sealed something in it. */
export async function holdsKeys(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query('select 1 from signing_keys limit 1')).rowCount === 1;
  } finally {
    await client.end();
  }
}
