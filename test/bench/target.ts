/**
 * The database that is measured: a real server with pgbench's tables and one wide table of texts.
 * Settings keep the disk out of the picture. Its direct user is trusted on loopback; the agent's user is not.
 */
import { randomBytes } from 'node:crypto';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import pg from 'pg';

export const DATABASE = 'bench';
/** Trusted, for pgbench and the driver without anything between, or through HAProxy. */
export const DIRECT_USER = 'bench_direct';
/** The agent signs in with this one, by SCRAM. */
export const UPSTREAM_USER = 'bench_upstream';

export interface BenchTarget {
  readonly server: EmbeddedPostgres;
  readonly upstreamPassword: string;
  readonly wideRows: number;
}

const HBA = `host ${DATABASE} ${DIRECT_USER} 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
`;

// pgbench's own tables at scale 10, made by the server: `pgbench -i` without pgbench.
const TABLES = `
create table pgbench_branches (bid int primary key, bbalance int, filler char(88));
create table pgbench_tellers (tid int primary key, bid int, tbalance int, filler char(84));
create table pgbench_accounts (aid int, bid int, abalance int, filler char(84));
insert into pgbench_branches select i, 0, '' from generate_series(1, 10) i;
insert into pgbench_tellers select i, (i - 1) / 10 + 1, 0, '' from generate_series(1, 100) i;
insert into pgbench_accounts select i, (i - 1) / 100000 + 1, 0, '' from generate_series(1, 1000000) i;
alter table pgbench_accounts add primary key (aid);
create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
`;

/** Six columns of about 105 bytes of text a row; e-mail and card are what masks and detectors look for. */
const wide = (rows: number): string => `
create table wide as select i::text as id, 'Customer Name ' || i as name, 'user' || i || '@example.com' as email,
  case when i % 2 = 0 then '4111111111111111' else '5555555555554444' end as card,
  'Street ' || (i % 977) || ', City' as address, 'a note of some words, ' || i as note
from generate_series(1, ${rows}) i;
`;

/** Starts and fills the server. @param dir a fresh folder that others may enter */
export async function startTarget(dir: string, wideRows: number): Promise<BenchTarget> {
  const server = await startEmbeddedPostgres({
    dir,
    hba: HBA,
    settings: {
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      shared_buffers: '512MB',
      jit: 'off',
      max_connections: '400',
      max_parallel_workers_per_gather: '0',
      autovacuum: 'off',
    },
  });
  const upstreamPassword = randomBytes(18).toString('base64url');
  const run = async (database: string, ...statements: readonly string[]): Promise<void> => {
    const client = new pg.Client({ connectionString: server.url(database) });
    await client.connect();
    try {
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  };
  await run('postgres', `create database ${DATABASE}`, `create role ${DIRECT_USER} login`);
  await run('postgres', `create role ${UPSTREAM_USER} login password '${upstreamPassword}'`);
  await run(
    DATABASE,
    TABLES,
    wide(wideRows),
    `grant select on all tables in schema public to ${DIRECT_USER}, ${UPSTREAM_USER}`,
  );
  await run(DATABASE, 'vacuum analyze');
  return { server, upstreamPassword, wideRows };
}
