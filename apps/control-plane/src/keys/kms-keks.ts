/**
 * Key-encryption keys that a KMS wraps: they lie wrapped in the database, beside what they seal, and are unwrapped once by
 * each process that starts. The KMS is asked at no other time, so that one that is away stops no session.
 * Refuses a row whose key is another one than it says. Speaks to PostgreSQL itself: it is needed before anything is up.
 */
import { GatewayError, type Secret } from '@sallyport/core';
import { type Kms, openKms } from '@sallyport/credentials';
import pg from 'pg';
import type { Config } from '../config.ts';
import { type KekSource, newKek, plainKekSource } from './kek-sources.ts';
import { kekId } from './key-ring.ts';
import { kmsHost } from './kms-host.ts';

const LOCK = [7070, 1] as const;

/** As the configuration says: KMSs in the order given, then the variable or the file. */
export function kekSources(config: Config, databaseUrl: string, nowMs: () => number): readonly KekSource[] {
  const host = kmsHost(nowMs, config.sdkDir);
  return [
    ...config.kms.map(({ name, kind, settings }) => kmsSource(openKms(name, kind, settings, host), databaseUrl)),
    plainKekSource(config),
  ];
}

interface WrappedKey {
  readonly id: string;
  readonly wrapped: string;
}

function kmsSource(kms: Kms, databaseUrl: string): KekSource {
  const unwrapped = new Map<string, Secret<Buffer>>();
  const rows = async (client: pg.Client): Promise<readonly WrappedKey[]> =>
    (
      await client.query<WrappedKey>(
        'select id, wrapped from wrapped_keys where kms = $1 order by created_at desc, id',
        [kms.name],
      )
    ).rows;
  const insert = async (client: pg.Client): Promise<void> => {
    const key = newKek();
    const wrapped = await kms.wrap(key);
    // Nothing is sealed under a key that cannot be had again.
    if (!(await kms.unwrap(wrapped)).reveal().equals(key.reveal())) throw untrue(kms);
    await client.query('insert into wrapped_keys (id, kms, wrapped) values ($1, $2, $3)', [
      kekId(key),
      kms.name,
      wrapped,
    ]);
  };
  return {
    name: kms.name,
    read: async () => {
      const known = await withClient(databaseUrl, rows);
      for (const { id, wrapped } of known) {
        if (unwrapped.has(id)) continue;
        const key = await kms.unwrap(wrapped);
        if (key.reveal().length !== 32 || kekId(key) !== id) throw untrue(kms);
        unwrapped.set(id, key);
      }
      return known.map(({ id }) => unwrapped.get(id)!);
    },
    addFirst: () =>
      withClient(databaseUrl, async (client) => {
        await client.query('begin');
        await client.query('select pg_advisory_xact_lock($1, $2)', [...LOCK]);
        if ((await rows(client)).length === 0) await insert(client);
        await client.query('commit');
      }),
    add: () => withClient(databaseUrl, insert),
    drop: async (id) => {
      await withClient(databaseUrl, (client) =>
        client.query('delete from wrapped_keys where id = $1 and kms = $2', [id, kms.name]),
      );
      unwrapped.delete(id);
    },
  };
}

const untrue = (kms: Kms): GatewayError =>
  new GatewayError('credential.unavailable', { kind: kms.name, reason: 'it unwraps to another key than it wrapped' });

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000, query_timeout: 20_000 });
  // A line that breaks between two queries is the next query's error.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
