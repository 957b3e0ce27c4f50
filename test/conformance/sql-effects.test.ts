/**
 * Our reading of a statement against the servers' own: every statement of the corpus runs in a read-only transaction of a real
 * PostgreSQL. What we call a read must succeed there; what we call a change must be refused by the server as one.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import {
  effectsOf,
  extractSqlFacts,
  HARMLESS_FUNCTIONS,
  HARMLESS_OPERATORS,
  HARMLESS_VOLATILE_FUNCTIONS,
  isShippedBy,
  isUnknownSql,
  loadSqlParser,
} from '@sallyport/sql';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isHere, SUPPORTED_SERVERS } from '../servers/servers.ts';

/** The server's answer to a change in a read-only transaction. */
const READ_ONLY_SQL_TRANSACTION = '25006';

const SETUP = `
  create table customers (id int primary key, name text, email text, ssn text, data jsonb default '{}', tags text[]);
  insert into customers select i, 'n' || i, 'e' || i || '@example.com', 's' || i from generate_series(1, 20) i;
  create table payments (id int primary key, customer_id int references customers, amount numeric, note text);
  insert into payments select i, i, i * 10, 'p' from generate_series(1, 20) i;
  create view names as select id, name from customers;
  create materialized view totals as select count(*) as n from payments;
  create sequence numbers;
  create index customers_email on customers (email);
  create function touch() returns int language sql as 'insert into payments values (999) returning 1';
  create procedure work() language sql as 'insert into payments values (998)';
  create role other;
`;

/** Statements that only read: they succeed in a read-only transaction, and our facts say `read` or nothing. */
const READS = [
  'select 1',
  'select * from customers where id = 3',
  'select c.name, p.amount from customers c join payments p on p.customer_id = c.id order by 2 desc limit 3',
  'select count(*), count(email) filter (where id > 3) from customers group by name having count(*) > 0',
  'with x as (select * from customers) select * from x union all select * from x',
  'with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) select * from t',
  'select id, row_number() over (partition by name order by id) from customers window w as (order by id)',
  'select * from customers natural join names',
  'select * from customers join names using (id)',
  'select (select max(amount) from payments where customer_id = c.id) from customers c',
  'select * from customers where exists (select 1 from payments p where p.customer_id = customers.id)',
  "select data->>'a', tags[1], data @> '{}' from customers",
  'select * from generate_series(1, 3) as g(n), lateral (select n * 2) as s(m)',
  'select distinct on (name) name, id from customers order by name, id',
  'select grouping(name), name, count(*) from customers group by rollup (name)',
  'select case when id > 5 then upper(name) else coalesce(name, $$none$$) end from customers',
  'select row_to_json(c), array_agg(c.id) from customers c group by c.*',
  "select now(), current_user, current_setting('search_path'), version()",
  "select extract(year from now()), date_trunc('day', now()), interval '1 day'",
  "select string_agg(name, ',' order by id), percentile_disc(0.5) within group (order by id) from customers",
  "select xmlelement(name a, 1), xmlforest(1 as b), '<a/>'::xml is document",
  'values (1, 2), (3, 4)',
  'table customers',
  'select * from customers tablesample bernoulli (50)',
  'select name collate "C" from customers order by name collate "C"',
  'select array[1, 2] || 3, row(1, 2) = row(1, 2), 1 between 0 and 2, 1 in (1, 2), 1 = any(array[1])',
  'select * from json_to_recordset(\'[{"a":1}]\') as x(a int)',
  "select * from xmltable('/r/c' passing ('<r><c>1</c></r>'::xml) columns c int path '.')",
  'select * from rows from (generate_series(1, 2), generate_series(1, 3)) with ordinality',
  'select random(), gen_random_uuid(), clock_timestamp()',
  'select pg_relation_size($$customers$$), pg_get_viewdef($$names$$::regclass), has_table_privilege($$customers$$, $$select$$)',
  'select relname from pg_class where relkind = $$r$$',
  "select trim(both ' ' from name), position('a' in name), overlay(name placing 'x' from 1), substring(name from 1 for 2) from customers",
  "select name similar to 'a%', name like 'a!%' escape '!', name ~* 'a', name ilike any (array['a', 'b']) from customers",
  "select now() at time zone 'UTC', current_date, current_timestamp(3), localtime, (now(), now()) overlaps (now(), now())",
  'select greatest(1, 2), least(1, 2), nullif(1, 2), coalesce(null, 1), collation for ($$a$$), $$a$$ is nfc normalized',
  'select array(select id from customers), array[[1, 2], [3, 4]], (array[1, 2, 3])[1:2], row(1, 2)',
  'select id from customers intersect select id from payments except select 3 order by id fetch first 2 rows with ties',
  'select sum(amount) over w, lag(amount) over w from payments window w as (partition by customer_id order by id rows between 1 preceding and current row exclude ties)',
  'select * from customers c cross join lateral (select * from payments p where p.customer_id = c.id order by id limit 1) x full join payments q on q.id = c.id',
  'select * from customers where (id, name) in (values (1, $$a$$)) or id = all (array[1]) or id is distinct from 3',
  'select i.relname, (information_schema._pg_expandarray(x.indkey)).n from pg_index x join pg_class i on i.oid = x.indexrelid limit 3',
  'select table_name, column_name from information_schema.columns limit 3',
  'select * from information_schema.table_constraints limit 3',
  'select xmlparse(document $$<a/>$$), xmlserialize(content $$<a/>$$ as text), xmlconcat($$<a/>$$, $$<b/>$$)',
  'with x as materialized (select 1 as a), y as not materialized (select 2 as b) select * from x, y',
  'select jsonb_path_query(data, $$$.a$$), data #>> $${a}$$, jsonb_agg(data), data ? $$a$$ from customers group by data',
  'select to_tsvector($$english$$, name) @@ to_tsquery($$a$$), ts_rank(to_tsvector(name), to_tsquery($$a$$)) from customers',
  'select int4range(1, 5) @> 3, cidr $$10.0.0.0/8$$ >> inet $$10.1.1.1$$, point(1, 2) <-> point(3, 4)',
  'select pg_get_functiondef(oid) from pg_proc where proname = $$touch$$',
  'explain select * from customers',
  'explain delete from customers',
  'explain (analyze, costs off, timing off, summary off) select * from customers',
  'prepare p1 as select * from customers where id = $1',
  'declare c1 cursor for select * from customers',
  'show server_version',
  "set statement_timeout = '10s'",
  'set local work_mem = 1024',
  "select set_config('application_name', 'x', true)",
  'reset statement_timeout',
  'lock table customers in access share mode',
  'savepoint s1',
  'copy (select * from customers) to stdout',
  'set constraints all immediate',
  'deallocate all',
  'unlisten *',
] as const;

/** Statements that change something: the server refuses each in a read-only transaction, and our facts say more than `read`. */
const CHANGES = [
  'insert into payments values (100)',
  'insert into payments select id + 100 from payments',
  'insert into payments values (1) on conflict (id) do update set note = excluded.note',
  'update payments set amount = 0 where id = 1',
  'delete from payments',
  'with d as (delete from payments returning id) select * from d',
  'with i as (insert into payments values (101) returning id) select 1',
  'explain (analyze, costs off, timing off, summary off) delete from payments',
  'select * from customers for update',
  'select * from customers for key share',
  'select * into copied from customers',
  'create table copied as select * from customers',
  'create temp table scratch (id int)',
  'create table fresh (id int)',
  'create view fresh as select 1',
  'create index on customers (name)',
  'create schema fresh',
  'create sequence fresh',
  'create type fresh as enum ($$a$$)',
  "create function fresh() returns int language sql as 'select 1'",
  'create role fresh',
  'create extension pgcrypto',
  'alter table customers add column note text',
  'alter table customers rename to clients',
  'alter table customers disable trigger all',
  'alter role other createdb',
  'drop table payments',
  'drop view names',
  'drop role other',
  'truncate payments',
  'grant select on customers to other',
  'revoke select on customers from other',
  'comment on table customers is $$c$$',
  'refresh materialized view totals',
  "select nextval('numbers')",
  "select setval('numbers', 5)",
  'select touch()',
  'select name from customers where id = touch()',
  'call work()',
  "do 'begin insert into payments values (102); end'",
  'copy payments from stdin',
  'security label on table customers is $$x$$',
  'create rule r as on insert to payments do instead nothing',
  'create policy p on customers using (true)',
  'alter default privileges grant select on tables to other',
  'reassign owned by other to current_user',
  'import foreign schema s from server t into public',
] as const;

/** Before 16, a read-only transaction lets large objects be written: only our own reading stops it there. */
const CHANGES_16 = ['select lo_create(0)', "select lo_from_bytea(0, 'x')"] as const;
/** A read-only transaction lets these through, and a read grant does not: pinning a session read-only is not enough by itself. */
const BEYOND_READ_ONLY = [
  'lock table customers in access exclusive mode',
  'select pg_advisory_xact_lock(1)',
  'select pg_sleep(0)',
  'notify channel',
  "select pg_notify('channel', 'payload')",
  'set role other',
  'set local session_replication_role = replica',
  'set transaction read write',
  'set session characteristics as transaction read write',
  'set default_transaction_read_only = off',
  "select set_config('default_transaction_read_only', 'off', false)",
  'reindex table customers',
  'analyze customers',
  "select pg_read_file('PG_VERSION')",
  "select pg_ls_dir('.')",
  "select query_to_xml('select 1', true, true, '')",
  "copy (select 1) to program 'cat > /dev/null'",
  "do 'begin end'",
] as const;
/** MERGE has RETURNING from 17 on and exists from 15 on. */
const CHANGES_15 = [
  'merge into payments p using customers c on p.id = c.id when matched then update set note = c.name when not matched then do nothing',
] as const;
const READS_14 = [
  'with recursive t(id) as (select 1 union all select id + 1 from t where id < 3) search depth first by id set o cycle id set c using p select * from t',
  'select * from unnest(array[1, 2], array[3, 4]) as u(a, b), string_to_table($$a,b$$, $$,$$) s',
] as const;
const READS_16 = [
  "select json_object('a': 1), json_array(1, 2), json_arrayagg(id) from customers",
  "select '{}' is json",
] as const;
const READS_17 = [
  "select * from json_table('[{\"a\":1}]'::jsonb, '$[*]' columns (a int path '$.a'))",
  "select json_value('{\"a\":1}'::jsonb, '$.a'), json_exists('{}'::jsonb, '$.a')",
] as const;
const CHANGES_18 = ['update payments set amount = 1 where id = 1 returning old.amount, new.amount'] as const;

beforeAll(loadSqlParser);

for (const server of SUPPORTED_SERVERS) {
  const { major, binDir } = server;
  describe.skipIf(!isHere(server))(`PostgreSQL ${major}`, () => {
    let dir: string;
    let running: EmbeddedPostgres;
    let client: pg.Client;
    beforeAll(async () => {
      dir = mkdtempSync(join(tmpdir(), 'sallyport-conformance-'));
      running = await startEmbeddedPostgres({ dir, ...(binDir === undefined ? {} : { binDir }) });
      client = new pg.Client({ connectionString: running.url() });
      await client.connect();
      await client.query(SETUP);
    }, 60_000);
    afterAll(async () => {
      await client?.end();
      await running?.stop();
      if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
    });

    /** The SQLSTATE of the server's refusal in a read-only transaction; '' when it went through. */
    const runReadOnly = async (statement: string): Promise<string> => {
      await client.query('begin read only');
      try {
        await client.query(statement);
        return '';
      } catch (error) {
        return (error as { code?: string }).code ?? String(error);
      } finally {
        await client.query('rollback');
      }
    };

    const reads = [
      ...READS,
      ...(major >= 14 ? READS_14 : []),
      ...(major >= 16 ? READS_16 : []),
      ...(major >= 17 ? READS_17 : []),
    ];
    const changes = [
      ...CHANGES,
      ...(major >= 15 ? CHANGES_15 : []),
      ...(major >= 16 ? CHANGES_16 : []),
      ...(major >= 18 ? CHANGES_18 : []),
    ];

    test.each(reads)('reads, says the server too: %s', async (statement) => {
      const facts = extractSqlFacts(statement, major);
      if (isUnknownSql(facts)) throw new Error(facts.unknown);
      expect(effectsOf(facts).filter((effect) => effect !== 'read')).toEqual([]);
      expect(await runReadOnly(statement)).toBe('');
    });

    test.each(changes)('changes something, says the server too: %s', async (statement) => {
      const facts = extractSqlFacts(statement, major);
      if (isUnknownSql(facts)) throw new Error(facts.unknown);
      expect(effectsOf(facts).some((effect) => effect !== 'read')).toBe(true);
      expect(await runReadOnly(statement)).toBe(READ_ONLY_SQL_TRANSACTION);
    });

    test.each(BEYOND_READ_ONLY)(
      'does more than a read, though a read-only transaction allows it: %s',
      async (statement) => {
        const facts = extractSqlFacts(statement, major);
        if (isUnknownSql(facts)) throw new Error(facts.unknown);
        expect(effectsOf(facts).some((effect) => effect !== 'read')).toBe(true);
        expect(await runReadOnly(statement)).toBe('');
      },
    );

    test('no function we call harmless is volatile in the catalog, but for those listed as such', async () => {
      const { rows } = await client.query<{ proname: string }>(
        `select distinct proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace and provolatile = 'v'
         and not (proargtypes::regtype[]::text[] && array['internal', 'cstring'])`,
      );
      const wrong = rows
        .map((row) => row.proname)
        .filter((name) => HARMLESS_FUNCTIONS.has(name) && !HARMLESS_VOLATILE_FUNCTIONS.has(name));
      expect(wrong).toEqual([]);
    });

    test('a function we call harmless is one that this major ships, or counts as somebody’s own', async () => {
      const { rows } = await client.query<{ proname: string }>(
        "select distinct proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace",
      );
      const shipped = new Set(rows.map((row) => row.proname));
      expect([...HARMLESS_FUNCTIONS].filter((name) => isShippedBy(name, major) !== shipped.has(name))).toEqual([]);
    });

    test('every operator of the catalog is known', async () => {
      const { rows } = await client.query<{ oprname: string }>(
        "select distinct oprname from pg_operator where oprnamespace = 'pg_catalog'::regnamespace",
      );
      // 13 alone has one that stands behind its operand.
      const unknown = major < 14 ? ['!'] : [];
      expect(rows.map((row) => row.oprname).filter((name) => !HARMLESS_OPERATORS.has(name))).toEqual(unknown);
    });

    test('every volatile function that is not listed is exec or write', async () => {
      const { rows } = await client.query<{ proname: string }>(
        `select distinct proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace and provolatile = 'v' and prokind = 'f'
         and prorettype <> 'trigger'::regtype and prorettype <> 'event_trigger'::regtype`,
      );
      const quiet = rows
        .map((row) => row.proname)
        .filter((name) => !HARMLESS_VOLATILE_FUNCTIONS.has(name) && name !== 'set_config')
        .filter((name) => {
          const facts = extractSqlFacts(`select pg_catalog."${name}"()`, major);
          return isUnknownSql(facts) || effectsOf(facts).every((effect) => effect === 'read');
        });
      expect(quiet).toEqual([]);
    });
  });
}
