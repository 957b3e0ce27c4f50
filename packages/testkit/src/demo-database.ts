/**
 * A real PostgreSQL with a few tables worth guarding, for tests. One per test file; dropped with it. Dev-only.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from '@sallyport/embedded-postgres';
import pg from 'pg';

/** Values that may never come out of a masked column. */
export const SECRET_IDS = ['123-45-6789', '987-65-4321', '555-66-7777'] as const;
export const SECRET_CARD = '4111111111111111';

const SCHEMA = `
create table customers (id int primary key, name text not null, email text, ssn text, card text, note text,
  ssn_tail text generated always as (right(ssn, 4)) stored);
insert into customers (id, name, email, ssn, card, note) values
  (1, 'Ana', 'ana@example.com', '123-45-6789', '${SECRET_CARD}', 'one'),
  (2, 'Ben', 'ben@example.com', '987-65-4321', '5500005555555559', 'two'),
  (3, 'Cleo', null, '555-66-7777', null, 'card ${SECRET_CARD} on file');
create table payments (id int primary key, customer_id int references customers, amount numeric(10,2));
insert into payments select i, 1 + i % 3, i * 1.5 from generate_series(1, 100) i;
create view customer_names as select id, name from customers;
create view customer_ids as select id, ssn as identity from customers;
create view customer_hash as select id, md5(ssn) as h from customers;
create view customer_broken as select id from customers where ssn::int > 0;
create view customer_deep as select identity as again from customer_ids;
create materialized view customer_copy as select id, ssn from customers;
create table people (id int, ssn text) partition by range (id);
create table people_low partition of people for values from (0) to (100);
insert into people values (1, '123-45-6789'), (2, '987-65-4321');
create function customer_ssn(int) returns text language sql stable as 'select ssn from public.customers where id = $1';
create procedure touch(int) language sql as 'update payments set amount = amount where id = $1';
create type pair as (a int, b text);
`;

export interface DemoDatabase {
  readonly server: EmbeddedPostgres;
  /** A connection of the superuser, past any gateway. */
  direct(): Promise<pg.Client>;
  /** Rows by a connection of its own. */
  ask(sql: string): Promise<Record<string, unknown>[]>;
  stop(): Promise<void>;
}

/** Starts it in a fresh folder. @param options as for the server; `binDir` for another installation */
export async function startDemoDatabase(options: Partial<EmbeddedPostgresOptions> = {}): Promise<DemoDatabase> {
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-demo-'));
  // Another server's programs for a whole run, as /usr/lib/postgresql/15/bin.
  const binDir = process.env['SALLYPORT_TEST_PG_BIN'];
  const server = await startEmbeddedPostgres({
    settings: { fsync: 'off', shared_buffers: '32MB' },
    ...(binDir === undefined ? {} : { binDir }),
    ...options,
    dir,
  });
  const direct = async (): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: server.url() });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const ask = async (sql: string): Promise<Record<string, unknown>[]> => {
    const client = await direct();
    try {
      const result: unknown = await client.query(sql);
      return (Array.isArray(result) ? result.at(-1) : (result as { rows: Record<string, unknown>[] })).rows ?? [];
    } finally {
      await client.end();
    }
  };
  await ask(SCHEMA);
  return {
    server,
    direct,
    ask,
    stop: async () => {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
