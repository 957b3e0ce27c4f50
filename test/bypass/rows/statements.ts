/** Writes and definitions hidden in a statement's text. The bot may read, write and define by its grant; rules say no. */
import type { Attempt } from '../../wire/attempt.ts';

export const STATEMENTS: readonly Attempt[] = [
  // --- what the rules are about, said plainly
  { name: 'a table is dropped', sql: 'drop table ledger', expect: 'denied', rule: 'destructive-ddl/no-drop' },
  {
    name: 'a table is dropped if it exists',
    sql: 'drop table if exists ledger cascade',
    expect: 'denied',
    rule: 'destructive-ddl/no-drop',
  },
  {
    name: 'a column is dropped',
    sql: 'alter table ledger drop column note',
    expect: 'denied',
    rule: 'destructive-ddl/no-drop',
  },
  { name: 'a schema is dropped', sql: 'drop schema public cascade', expect: 'denied', rule: 'destructive-ddl/no-drop' },
  { name: 'all that is owned is dropped', sql: 'drop owned by current_user', expect: 'denied' },
  { name: 'a view is dropped', sql: 'drop view ledger_view', expect: 'denied', rule: 'destructive-ddl/no-drop' },
  { name: 'an index is dropped', sql: 'drop index ledger_pkey', expect: 'held' },
  { name: 'a table is emptied', sql: 'truncate ledger', expect: 'held' },
  {
    name: 'a table is emptied with others',
    sql: 'truncate only customers, payments, ledger restart identity cascade',
    expect: 'held',
  },
  { name: 'every row is deleted', sql: 'delete from ledger', expect: 'held' },
  { name: 'payments are deleted, filtered or not', sql: 'delete from payments where id = 1', expect: 'held' },
  { name: 'every row is updated', sql: 'update ledger set amount = 0', expect: 'held' },

  // --- a WHERE that says nothing
  { name: 'WHERE true', sql: 'delete from ledger where true', expect: 'held' },
  { name: 'WHERE 1 = 1', sql: 'delete from ledger where 1 = 1', expect: 'held' },
  { name: "WHERE 'a' = 'a'", sql: "delete from ledger where 'a' = 'a'", expect: 'held' },
  { name: 'WHERE a column equals itself', sql: 'delete from ledger where id = id', expect: 'held' },
  { name: 'WHERE not false', sql: 'delete from ledger where not false', expect: 'held' },
  { name: 'WHERE something or true', sql: 'delete from ledger where id = 3 or true', expect: 'held' },
  { name: 'WHERE something or 1 = 1', sql: "delete from ledger where note = 'x' or 1 = 1", expect: 'held' },
  { name: 'WHERE a list of constants has one', sql: 'delete from ledger where 1 in (1, 2)', expect: 'held' },
  { name: 'WHERE a constant is not null', sql: 'delete from ledger where 1 is not null', expect: 'held' },
  {
    name: 'WHERE a constant is between two',
    sql: 'update ledger set amount = 0 where 2 between 1 and 3',
    expect: 'held',
  },
  { name: 'WHERE a text is like itself', sql: "delete from ledger where 'a' like '%'", expect: 'held' },
  { name: 'WHERE a casted constant', sql: "delete from ledger where 't'::boolean", expect: 'held' },
  {
    name: 'WHERE CASE of constants',
    sql: 'delete from ledger where case when 1 = 1 then true else false end',
    expect: 'held',
  },
  { name: 'WHERE coalesce of constants', sql: 'delete from ledger where coalesce(null, true)', expect: 'held' },
  { name: 'WHERE exists a constant', sql: 'delete from ledger where exists (select 1)', expect: 'held' },
  {
    name: 'WHERE a column is null or is not',
    sql: 'delete from ledger where id is null or id is not null',
    expect: 'held',
  },

  // --- comments, spaces, letters
  { name: 'a block comment stands before', sql: '/* select 1 */ drop table ledger', expect: 'denied' },
  { name: 'a line comment stands before', sql: '-- select 1\ndrop table ledger', expect: 'denied' },
  { name: 'a line comment ends with a carriage return', sql: '-- harmless\rdrop table ledger', expect: 'denied' },
  { name: 'comments nest', sql: '/* /* */ select 1; */ drop table ledger', expect: 'denied' },
  { name: 'a comment splits the words', sql: 'drop/**/table/* x */ledger', expect: 'denied' },
  { name: 'a quote opens inside a comment', sql: "select 1 /* ' */; drop table ledger -- '", expect: 'denied' },
  {
    name: 'a comment opens inside a string',
    sql: "select '/*'; drop table ledger; select '*/'",
    how: 'query',
    expect: 'denied',
  },
  { name: 'letters are mixed', sql: 'dRoP TaBlE LeDgEr', expect: 'denied' },
  { name: 'tabs, form feeds and line feeds part the words', sql: 'drop\t\f\n\rtable\nledger', expect: 'denied' },
  { name: 'a vertical tab parts the words', sql: 'drop\vtable ledger', expect: 'denied' },
  { name: 'a no-break space is no space', sql: 'drop\u00a0table ledger', expect: 'denied', rule: 'none' },
  { name: 'full-width letters are no letters', sql: 'ｄｒｏｐ table ledger', expect: 'denied' },
  { name: 'a byte order mark stands before', sql: '\ufeffdrop table ledger', expect: 'denied' },
  { name: 'semicolons stand before', sql: ';;; drop table ledger', expect: 'denied' },

  // --- names
  { name: 'the name is quoted', sql: 'drop table "ledger"', expect: 'denied' },
  { name: 'the name is escaped in unicode', sql: 'drop table U&"\\006cedger"', expect: 'denied' },
  { name: 'the name is escaped with another sign', sql: `delete from U&"!006cedger" uescape '!'`, expect: 'held' },
  { name: 'the name has its schema', sql: 'drop table public.ledger', expect: 'denied' },
  { name: 'the name has its database and schema', sql: 'drop table payments.public.ledger', expect: 'denied' },
  { name: 'payments under its schema', sql: 'delete from public.payments where id = 2', expect: 'held' },
  {
    name: 'payments under another name',
    sql: 'delete from payments as harmless where harmless.id = 2',
    expect: 'held',
  },
  { name: 'payments in a unicode name', sql: 'delete from U&"p\\0061yments" where id = 2', expect: 'held' },
  { name: 'only payments', sql: 'delete from only payments where id = 2', expect: 'held' },

  // --- strings
  {
    name: 'dollar quotes close before',
    sql: 'select $$ $$; drop table ledger; select $$ $$',
    how: 'query',
    expect: 'denied',
  },
  {
    name: 'tagged dollar quotes hold others',
    sql: 'select $a$ $$ $a$; drop table ledger --$$',
    how: 'query',
    expect: 'denied',
  },
  {
    name: 'an E string ends in a backslash',
    sql: "select E'\\''; drop table ledger; --'",
    how: 'query',
    expect: 'denied',
  },
  {
    name: 'a plain string ends in a backslash',
    sql: "select '\\'; drop table ledger; --'",
    how: 'query',
    expect: 'denied',
  },
  { name: 'strings go on over lines', sql: "select 'a'\n'b'; drop table ledger; --'", how: 'query', expect: 'denied' },
  { name: 'a bit string stands before', sql: "select B'1'; drop table ledger", how: 'query', expect: 'denied' },
  {
    name: 'a unicode string holds a quote',
    sql: "select U&'\\0027'; drop table ledger; --'",
    how: 'query',
    expect: 'denied',
  },

  // --- more than one
  { name: 'a write follows a read', sql: 'select 1; drop table ledger', how: 'query', expect: 'denied' },
  { name: 'a write stands before a read', sql: 'drop table ledger; select 1', how: 'query', expect: 'denied' },
  {
    name: 'a write stands among many reads',
    sql: `${'select 1; '.repeat(60)}drop table ledger; select 1`,
    how: 'query',
    expect: 'denied',
    never: ['drop table ledger'],
  },
  {
    name: 'the string commits before it drops',
    sql: 'begin; select 1; commit; drop table ledger',
    how: 'query',
    expect: 'denied',
  },
  {
    name: 'the string has more statements than are read',
    sql: 'select 1;'.repeat(101),
    how: 'query',
    expect: 'denied',
  },
  { name: 'two statements in one Parse', sql: 'select 1; drop table ledger', how: 'extended', expect: 'denied' },

  // --- a write inside something that reads
  {
    name: 'a CTE deletes',
    sql: 'with gone as (delete from ledger returning *) select count(*) from gone',
    expect: 'held',
  },
  { name: 'a CTE that nobody reads deletes', sql: 'with gone as (delete from ledger) select 1', expect: 'held' },
  {
    name: 'a CTE in a CTE deletes',
    sql: 'with a as (with b as (delete from ledger returning *) select * from b) select * from a',
    expect: 'held',
  },
  {
    name: 'a CTE of an insert deletes',
    sql: 'with gone as (delete from ledger returning *) insert into ledger_in select id from gone where false',
    expect: 'held',
  },
  { name: 'EXPLAIN ANALYZE deletes', sql: 'explain analyze delete from ledger', expect: 'held' },
  { name: 'EXPLAIN (ANALYZE) deletes', sql: 'explain (costs off, analyze) delete from ledger', expect: 'held' },
  { name: 'EXPLAIN ANALYZE with a word for on', sql: 'explain (analyze 1) delete from ledger', expect: 'held' },
  { name: 'COPY of a query deletes', sql: 'copy (delete from ledger returning *) to stdout', expect: 'held' },
  {
    name: 'a MERGE deletes',
    sql: 'merge into ledger using (select 1) as one on true when matched then delete',
    expect: 'held',
  },
  {
    name: 'a MERGE returns what it deletes',
    sql: 'merge into ledger using (select 1) as one on true when matched then delete returning *',
    expect: 'held',
  },
  {
    name: 'an insert overwrites on conflict',
    sql: "insert into ledger values (1, 'x', 0) on conflict (id) do update set amount = 0",
    expect: 'harmless',
    changes: true,
  },
  { name: 'DELETE USING reaches every row', sql: 'delete from ledger using (select 1) as one', expect: 'held' },
  ...[
    'insert into ledger select * from ledger on conflict (id) do update set amount = 0',
    'insert into ledger table ledger on conflict (id) do update set amount = excluded.amount',
    'insert into ledger (id) select generate_series(1, 1000) on conflict (id) do update set amount = 0 where true',
    'with w as (insert into ledger select * from ledger on conflict (id) do update set amount = 0 returning 1) select count(*) from w',
    'explain analyze insert into ledger select * from ledger on conflict (id) do update set amount = 0',
  ].map(
    (sql): Attempt => ({
      name: `every row is overwritten by what a query finds: ${sql.slice(0, 60)}`,
      sql,
      expect: 'held',
    }),
  ),
  { name: 'UPDATE FROM reaches every row', sql: 'update ledger set amount = 0 from (select 1) as one', expect: 'held' },
  {
    name: 'DELETE WHERE CURRENT OF a cursor',
    before: ['begin', 'declare c cursor for select * from ledger for update', 'fetch 1 from c'],
    sql: 'delete from payments where current of c',
    expect: 'held',
  },
  {
    name: 'a table is created under the write',
    sql: 'create table stolen as with gone as (delete from ledger returning *) select * from gone',
    expect: 'held',
  },
  { name: 'SELECT INTO copies masked columns', sql: 'select * into stolen from customers', expect: 'denied' },

  // --- as somebody who may only read
  { name: 'a reader deletes', as: 'carla', sql: 'delete from ledger where id = 1', expect: 'denied', rule: 'grant' },
  {
    name: 'a reader deletes in a CTE',
    as: 'carla',
    sql: 'with gone as (delete from ledger where id = 1 returning *) select * from gone',
    expect: 'denied',
    rule: 'grant',
  },
  { name: 'a reader creates a temporary table', as: 'carla', sql: 'create temp table t (a int)', expect: 'denied' },
  { name: 'a reader locks', as: 'carla', sql: 'lock table ledger in access exclusive mode', expect: 'denied' },
  { name: 'a reader locks rows', as: 'carla', sql: 'select * from ledger for update', expect: 'denied' },
  { name: 'a reader takes a number', as: 'carla', sql: "select setval('x', 1)", expect: 'denied' },
  { name: 'a reader notifies', as: 'carla', sql: "notify shout, 'hello'", expect: 'denied' },
  { name: 'a reader notifies by a function', as: 'carla', sql: "select pg_notify('shout', 'hello')", expect: 'denied' },
  { name: 'a reader analyzes', as: 'carla', sql: 'analyze ledger', expect: 'denied' },
  { name: 'a reader comments', as: 'carla', sql: "comment on table ledger is 'x'", expect: 'denied' },
  { name: 'a reader refreshes', as: 'carla', sql: 'refresh materialized view customer_snapshot', expect: 'denied' },
  { name: 'a reader prepares a delete', as: 'carla', sql: 'prepare p as delete from ledger', expect: 'denied' },
  {
    name: 'a view runs a function that deletes, for a reader',
    as: 'carla',
    sql: 'select * from wiping_view',
    expect: 'denied',
  },
];
