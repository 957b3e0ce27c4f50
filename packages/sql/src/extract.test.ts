import { LIMITS } from '@sallyport/core';
import type { SqlStatementFacts } from '@sallyport/model';
import { beforeAll, describe, expect, test } from 'vitest';
import { extractSqlFacts } from './extract.ts';
import { loadSqlParser } from './parser.ts';
import { effectsOf, isUnknownSql } from './reading.ts';

beforeAll(loadSqlParser);

function read(text: string): readonly SqlStatementFacts[] {
  const reading = extractSqlFacts(text);
  if (isUnknownSql(reading)) throw new Error(`${reading.unknown}: ${text}`);
  return reading.statements;
}
const one = (text: string): SqlStatementFacts => read(text)[0]!;
const uses = (text: string): string[] => one(text).columns.map((use) => `${use.use} ${use.relation}.${use.column}`);

describe('what is not understood is unknown', () => {
  test.each([
    ['select\0 1', 'nul'],
    ['selec 1', 'syntax'],
    ['select 1 \\ 2', 'syntax'],
    [`select '${'x'.repeat(LIMITS.statementBytesMax)}'`, 'too_large'],
    ['select 1;'.repeat(LIMITS.statementsPerStringMax + 1), 'too_many_statements'],
    [`select ${'1+'.repeat(5_000)}1`, 'too_deep'],
    [`select 1${' union select 1'.repeat(5_000)}`, 'too_deep'],
    [`select ${'('.repeat(50_000)}1${')'.repeat(50_000)}`, 'syntax'],
    [`select ${'not '.repeat(2_000)}true`, 'too_deep'],
  ])('%#', (text, unknown) => {
    const reading = extractSqlFacts(text);
    expect(isUnknownSql(reading) && reading.unknown).toBe(unknown);
    // The parser still works after each of them.
    expect(one('select 1').kind).toBe('select');
  });

  test('a text of comments alone has no statements', () => {
    for (const text of ['', '  ', '-- nothing', '/* /* nothing */ */', ';;']) expect(read(text)).toEqual([]);
  });
});

test('references that multiply are followed once each, or refused; never without end', () => {
  const doubling = Array.from({ length: 40 }, (_, at) => `a${at + 1} as (select * from a${at}, a${at} b)`).join(', ');
  const start = performance.now();
  expect(one(`with a0 as (select x, y from t), ${doubling} select * from a40`).kind).toBe('select');
  const wide = Array.from({ length: 900 }, (_, at) => `c${at}`).join('||');
  const layer = Array.from({ length: 900 }, () => 'a').join(', ');
  const reading = extractSqlFacts(
    `select ${layer.replaceAll('a', 's.a')} from (select ${layer} from (select ${wide} as a from t) s) s`,
  );
  expect(isUnknownSql(reading) && reading.unknown).toBe('too_large');
  expect(performance.now() - start).toBeLessThan(2_000);
});

describe('effects', () => {
  test.each([
    ['select 1', 'select', 'read'],
    ['/* select */ delete from t', 'delete', 'write'],
    ['select 1; drop table t', 'select', 'read ddl'],
    ['with d as (delete from t returning *) select * from d', 'select', 'read write'],
    ['select * from t for update', 'select', 'read write'],
    ['select * into u from t', 'select_into', 'read write ddl'],
    ['create table u as select * from t', 'create_table_as', 'read write ddl'],
    ['explain analyze delete from t', 'explain', 'write'],
    ['explain (analyze off) delete from t', 'explain', 'write'],
    ['explain delete from t', 'explain', 'read'],
    ['explain select evil()', 'explain', 'read exec'],
    ['prepare p as delete from t', 'prepare', 'write'],
    ['execute p', 'execute', 'exec'],
    ['declare c cursor for select f(x) from t', 'declare', 'read exec'],
    ['insert into t select * from u', 'insert', 'read write'],
    ['insert into t values (evil())', 'insert', 'write exec'],
    ['update t set a = (select evil())', 'update', 'write exec'],
    ['delete from t where a in (select b from evil(), u)', 'delete', 'read write exec'],
    ['select * from t limit evil()', 'select', 'read exec'],
    ['select * from t order by evil()', 'select', 'read exec'],
    ['select count(*) over (partition by evil()) from t', 'select', 'read exec'],
    ['select sum(a) filter (where evil()) from t', 'select', 'read exec'],
    ['values (evil())', 'select', 'read exec'],
    ['select 1 operator(public.+) 2', 'select', 'read exec'],
    ['select 1 <<<< 2', 'select', 'read exec'],
    ['select 1 where 1 <<<< any(array[1])', 'select', 'read exec'],
    ['select 1 where 1 <<<< any(select 2)', 'select', 'read exec'],
    ['select 1 from t order by a using <<<<', 'select', 'read exec'],
    ["select a <@ b, -a, a ->> 'x', a != b from t where a ~~ 'x' order by a using <", 'select', 'read'],
    ['select public.lower(a) from t', 'select', 'read exec'],
    ['select pg_catalog.lower(a) from t', 'select', 'read'],
    ['select pg_sleep(10)', 'select', 'read exec'],
    ["select nextval('s')", 'select', 'read write'],
    ['create table t (a int default evil())', 'create_table', 'ddl exec'],
    ['create index on t (evil(a))', 'create', 'ddl exec'],
    ['create schema s create table t (a int default evil())', 'create', 'ddl exec'],
    ['create view v as select * from t', 'create', 'read ddl'],
    ['create rule r as on insert to t do also delete from u', 'create', 'write ddl exec'],
    ['create rule r as on insert to t do nothing', 'create', 'ddl exec'],
    ["create function f() returns int language sql as 'select 1'", 'create', 'ddl exec'],
    ["create or replace procedure f() language sql as 'select 1'", 'create', 'ddl exec'],
    ['alter function f() set search_path = x', 'alter', 'ddl exec'],
    ['create trigger g before insert on t for each row execute function f()', 'create', 'ddl exec'],
    ['create schema s create trigger g before insert on t for each row execute function f()', 'create', 'ddl exec'],
    ['create event trigger g on ddl_command_end execute function f()', 'create', 'ddl exec admin'],
    ['create cast (a as b) with function f(a)', 'create', 'ddl exec'],
    ['create operator = (leftarg = a, rightarg = b, function = f)', 'create', 'ddl exec'],
    ['create operator class c for type a using btree as operator 1 <', 'create', 'ddl exec admin'],
    ['create aggregate g(int) (sfunc = f, stype = int)', 'create', 'ddl exec'],
    ['create type r as range (subtype = float8, subtype_diff = f)', 'create', 'ddl exec'],
    ['create table t (a int check (a <<<< 1))', 'create_table', 'ddl exec'],
    ['create table t (a int default 1 operator(public.+) 2)', 'create_table', 'ddl exec'],
    ['create table t (a int check (a > 1) default 1 + 1)', 'create_table', 'ddl'],
    ['alter table t add check (a <<<< any(array[1]))', 'alter', 'ddl exec'],
    ['create index on t ((a <<<< b))', 'create', 'ddl exec'],
    ["create collation c (locale = 'de')", 'create', 'ddl'],
    ['alter table t owner to x', 'alter_owner', 'ddl admin'],
    ['alter table t disable row level security', 'alter', 'ddl admin'],
    ['alter table t drop column a', 'drop', 'ddl'],
    ['alter table t alter a type text', 'alter', 'write ddl'],
    ["alter type e rename value 'a' to 'b'", 'alter', 'write ddl'],
    ['grant select on t to x', 'grant', 'admin'],
    ['revoke select on t from x', 'revoke', 'admin'],
    ['create role x', 'create', 'admin'],
    ['truncate t', 'truncate', 'write ddl'],
    ['copy t to stdout', 'copy', 'read'],
    ['copy t from stdin', 'copy', 'write'],
    ["copy t from program 'id'", 'copy', 'write exec admin'],
    ['copy (delete from t returning *) to stdout', 'copy', 'read write'],
    ['vacuum t', 'vacuum', 'write'],
    ['analyze', 'analyze', 'write'],
    ['refresh materialized view v', 'refresh', 'write'],
    ['lock table t', 'lock', 'write'],
    ['do $$begin end$$', 'do', 'exec'],
    ['call p()', 'call', 'exec'],
    ['listen c', 'listen', 'exec'],
    ["load 'x'", 'load', 'exec admin'],
    ['begin', 'begin', ''],
    ['begin read write', 'begin', 'write'],
    ['start transaction read only', 'begin', ''],
    ['commit', 'commit', ''],
    ["prepare transaction 'x'", 'prepare_transaction', 'write'],
    ['set statement_timeout = 1', 'set', ''],
    ['set role x', 'set', 'admin'],
    ['reset role', 'reset', 'admin'],
    ['set session_replication_role = replica', 'set', 'admin'],
    ["set app.tenant = '1'", 'set', 'exec'],
    ['set search_path = evil, pg_catalog', 'set', 'exec'],
    ['set transaction read write', 'set', 'write'],
    ['show all', 'show', 'read'],
    ['discard all', 'discard', ''],
    ["select set_config('role', 'x', false)", 'select', 'read admin'],
    ["select set_config('r' || 'ole', 'x', false)", 'select', 'read admin'],
    ["update pg_settings set setting = 'x'", 'update', 'write admin'],
    ['delete from pg_catalog.pg_class', 'delete', 'write admin'],
  ])('%s', (text, kind, effects) => {
    const reading = extractSqlFacts(text);
    if (isUnknownSql(reading)) throw new Error(reading.unknown);
    expect(reading.statements[0]!.kind).toBe(kind);
    expect(effectsOf(reading).join(' ')).toBe(effects);
  });
});

describe('characters a COPY parts its data with', () => {
  test.each([
    "copy t to stdout delimiter '-'",
    "copy t to stdout (delimiter '1')",
    "copy t to stdout (format csv, quote '@')",
    "copy t to stdout (format csv, escape '4')",
    "copy t from stdin (delimiter ' ')",
    "copy t to stdout (encoding 'sjis')",
    "copy (select 1) to stdout delimiters '.'",
  ])('that would cut values are not understood: %s', (text) => {
    expect(isUnknownSql(extractSqlFacts(text))).toBe(true);
  });
  test.each([
    "copy t to stdout delimiter '|'",
    "copy t to stdout (format csv, delimiter ';', quote '\"', escape '\\')",
    "copy t from stdin (delimiter E'\\t', null '-', encoding 'UTF8', header true)",
  ])('that are usual are: %s', (text) => {
    expect(isUnknownSql(extractSqlFacts(text))).toBe(false);
  });
});

describe('opaque constructs', () => {
  test.each([
    ['do $$begin end$$', 'do'],
    ['call p()', 'call'],
    ['execute p', 'execute'],
    ["copy t to program 'x'", 'copy_program'],
    ["copy t from '/etc/passwd'", 'copy_file'],
    ["select pg_read_file('x')", 'file_function'],
    ['select * from t where a = (select lo_get(1))', 'large_object'],
    ["select * from dblink('x', 'y') as t(a int)", 'dblink'],
    ["select ext.dblink_exec('x', 'y')", 'dblink'],
    ["select query_to_xml('x', true, true, '')", 'execute_text'],
    ['set role x', 'set_role'],
    ['set session authorization x', 'set_session_authorization'],
    ["alter system set a = 'b'", 'alter_system'],
    ['notify c', 'notify'],
    ['create server s foreign data wrapper w', 'foreign_data'],
    ["create subscription s connection 'x' publication p", 'replication'],
    ["create function f() returns int language sql security definer as 'x'", 'security_definer'],
    ['alter function f() security definer', 'security_definer'],
    ['select pg_terminate_backend(1)', 'server_function'],
    ['discard all', 'reset_all'],
    ['reset all', 'reset_all'],
    ["commit prepared 'x'", 'two_phase'],
    ["select set_config('a', 'b', false), set_config('c', 'd', false)", 'set_config'],
    ["select set_config('search_path', 'x', false) from t", 'set_config'],
    ["insert into t values (set_config('search_path', 'x', false))", 'set_config'],
  ])('%s', (text, opaque) => {
    expect(one(text).opaque).toContain(opaque);
  });
});

test.each([
  ['insert into t select * from u on conflict (a) do update set b = 1', true],
  ['insert into t (table u) on conflict (a) do update set b = 1', true],
  ['insert into t select 1 union values (2) on conflict (a) do update set b = 1', true],
  ['insert into t values (1), (2) on conflict (a) do update set b = 1', undefined],
  ['insert into t default values on conflict (a) do update set b = 1', undefined],
  ['insert into t select * from u on conflict do nothing', undefined],
  ['insert into t select * from u', undefined],
  ["alter table t alter a type text using ''", true],
  ['alter table t add b int, alter a type int, drop c', true],
  ['alter table t alter a set expression as (b)', true],
  ["alter type e rename value 'a' to 'b'", true],
  ["alter type e add value 'a'", undefined],
  ['alter table t alter a drop expression, alter a set storage plain, set unlogged', undefined],
  ['alter table t add b int generated always as (a) stored', undefined],
])('what it overwrites is in its text, or a query or a definition finds it: %s', (text, overwrites) => {
  expect(one(text).overwrites).toBe(overwrites);
});

describe('filtered', () => {
  test.each([
    'a = 1',
    'a = $1',
    'a > 0',
    'a is null',
    'a = b',
    'a in (1, 2)',
    'a in (select b from u)',
    'a = 1 or b = 2',
    'not (a = 1)',
    'exists (select 1 from u where u.a = t.a)',
    "a like 'x%'",
    'a = 1 and true',
    '(a = 1) is true',
  ])('%s chooses rows', (where) => {
    expect(one(`delete from t where ${where}`).filtered).toBe(true);
  });
  test.each([
    '1 = 1',
    'true',
    'not false',
    "'a' = 'a'",
    '$1',
    'a = a',
    't.a = a',
    'a >= a',
    'a between a and a',
    'a is not distinct from a',
    'a in (a)',
    'a = 1 or true',
    'a = 1 or 1 = 1',
    'a is null or a is not null',
    'a = 1 or a <> 1',
    'a < 5 or a >= 5',
    'b or not b',
    'not (a <> a)',
    'not (a = 1 and false)',
    "a like '%'",
    "a ilike '%%'",
    "a ~ '.*'",
    'random() >= 0',
    '(select true)',
    'exists (select 1)',
    'exists (select 1 from u)',
    '(1 = 1) is true',
  ])('%s chooses none', (where) => {
    expect(one(`delete from t where ${where}`).filtered).toBe(false);
  });
});

describe('columns and what they are used for', () => {
  test.each([
    ['select ssn from c', ['output c.ssn']],
    ['select x.ssn as y from public.c x', ['output public.c.ssn']],
    ['select * from c', ['output c.*']],
    ['select upper(ssn) from c', ['expression c.ssn']],
    ['select ssn::text from c', ['expression c.ssn']],
    ['select count(ssn), count(*) from c', ['filter c.ssn']],
    ['select ssn is null from c', ['filter c.ssn']],
    ['select exists (select ssn from c)', ['filter c.ssn']],
    ['select (select ssn from c)', ['expression c.ssn']],
    ['select id from c where ssn = $1', ['filter c.ssn', 'output c.id']],
    ['select id from c order by ssn', ['output c.id', 'order c.ssn']],
    ['select id, ssn from c order by 1', ['output c.id', 'output c.ssn', 'order c.id']],
    ['select ssn as x from c order by x', ['output c.ssn', 'order c.ssn', 'order c.x']],
    ['select distinct ssn from c', ['output c.ssn', 'group c.ssn']],
    ['select distinct on (id) ssn from c', ['output c.ssn', 'group c.id']],
    ['select ssn from c group by 1', ['output c.ssn', 'group c.ssn']],
    ['select ssn from c union select a from d', ['expression c.ssn', 'expression d.a']],
    ['select x from (select ssn as x from c) s', ['output c.ssn']],
    ['select upper(x) from (select ssn as x from c) s', ['output c.ssn', 'expression c.ssn']],
    ['with s(x) as (select ssn from c) select upper(x) from s', ['output c.ssn', 'expression c.ssn']],
    ['select upper(b) from c as c(a, b)', ['expression c.*', 'expression c.b']],
    ['select to_json(c) from c', ['expression c.c', 'expression c.*']],
    ['select c from c', ['expression c.c', 'expression c.*']],
    ['select c.to_json from c', ['expression c.*', 'output c.to_json']],
    ['select to_json(s) from (select ssn from c) s', ['output c.ssn', 'expression .s', 'expression c.ssn']],
    ['select percentile_disc(0.5) within group (order by ssn) from c', ['expression c.ssn']],
    ['select string_agg(id, $$,$$ order by ssn) from c', ['expression c.id', 'order c.ssn']],
    ['select * from a join b using (ssn)', ['join .ssn', 'output a.*', 'output b.*']],
    ['insert into d (x) select ssn from c', ['source c.ssn', 'assign d.x']],
    [
      'update c set x = ssn where id = 1 returning ssn, upper(ssn)',
      ['assign c.x', 'source c.ssn', 'filter c.id', 'returning c.ssn', 'expression c.ssn'],
    ],
    ['create table d as select ssn from c', ['source c.ssn']],
    ['create view v as select ssn from c', ['source c.ssn']],
    ['copy c to stdout', ['expression c.*']],
    ['copy c (id, ssn) to stdout', ['expression c.id', 'expression c.ssn']],
    ['copy (select ssn from c) to stdout', ['expression c.ssn']],
    ['explain select ssn from c', ['filter c.ssn']],
  ])('%s', (text, expected) => {
    expect(uses(text)).toEqual(expected);
  });

  test('a correlated name reaches outwards, and a name of two tables belongs to neither', () => {
    expect(uses('select 1 from a where exists (select 1 from b where ssn = 1)')).toContain('filter .ssn');
    expect(uses('select ssn from a, b')).toEqual(['output .ssn']);
  });

  test('recursion hides nothing: its plain columns count as expressions', () => {
    expect(uses('with recursive a as (select upper(x) from b), b(x) as (select ssn from c) select 1')).toContain(
      'expression c.ssn',
    );
  });
});

test('relations are those the text names, and a CTE is none', () => {
  const facts = one('with x as (select * from s.t) insert into u select * from x join v on true');
  expect(facts.relations).toEqual([
    { schema: 's', name: 't', access: 'read' },
    { schema: '', name: 'v', access: 'read' },
    { schema: '', name: 'u', access: 'write' },
  ]);
  expect(one('with t as (select * from t) select * from t').relations).toEqual([
    { schema: '', name: 't', access: 'read' },
  ]);
});

test('a statement inside another is seen by its own kind, and its filter is its own', () => {
  const facts = one('with d as (delete from t), u as (update t set a = 1 where a = 2) select 1');
  expect(facts.nested?.map(({ kind, filtered }) => ({ kind, filtered }))).toEqual([
    { kind: 'delete', filtered: false },
    { kind: 'update', filtered: true },
  ]);
});

test('settings say their name and value', () => {
  expect(one('set local search_path = a, "B"')).toMatchObject({
    setting: 'search_path',
    settingValue: 'a, B',
    settingLocal: true,
  });
  expect(one("set names 'latin1'")).toMatchObject({ setting: 'client_encoding', settingValue: 'latin1' });
  expect(one("select set_config('Search_Path', '', true)")).toMatchObject({
    setting: 'search_path',
    settingValue: '',
    settingLocal: true,
  });
  expect(one('reset timezone')).toMatchObject({ kind: 'reset', setting: 'timezone' });
  expect(one('set session characteristics as transaction read write')).toMatchObject({
    setting: 'default_transaction_read_only',
    settingValue: 'off',
  });
});

test('byte ranges cut the text into its statements', () => {
  const text = 'select 1; select $$ü;$$ ; delete from t';
  const bytes = Buffer.from(text);
  expect(read(text).map(({ start, end }) => bytes.subarray(start, end).toString().trim())).toEqual([
    'select 1',
    'select $$ü;$$',
    'delete from t',
  ]);
});

test('a constant LIMIT is a fact, and so is read from a literal', () => {
  expect(one('select 1 limit 5').limit).toBe(5);
  expect(one('select 1 limit $1').limit).toBeUndefined();
  expect(one('select 1 limit all').limit).toBeUndefined();
  expect(extractSqlFacts('select 1 limit 5')).toMatchObject({ literalFree: false });
  expect(extractSqlFacts('select 1 from t where a = 5')).toMatchObject({ literalFree: true });
});

describe('what a cast or a clause makes of a constant', () => {
  test.each([
    ["select 1 from t limit '1'::bit(40)::bigint", undefined],
    ['select 1 from t limit \'1\'::"char"::int', undefined],
    ['select 1 from t order by 1 fetch first 1 rows with ties', undefined],
    ['select 1 from t fetch first 5 rows only', 5],
    ["select 1 from t limit '7'", 7],
  ])('%s has the limit %s', (text, limit) => {
    expect(one(text).limit).toBe(limit);
  });

  test.each([
    "select set_config('transaction_read_only', '1'::numeric(3, -2)::text, true)",
    "select set_config('search_path', '99'::oid::regnamespace::text, false)",
    "select set_config('role_and_more'::varchar(4), 'postgres', false)",
    "select set_config('role_and_more'::char(4), 'postgres', false)",
  ])('%s changes a setting that nobody reads', (text) => {
    expect(one(text).opaque).toContain('set_config');
    expect(one(text).setting).toBeUndefined();
  });

  test('a cast to text leaves it as it is', () => {
    expect(one("select set_config('bytea_output'::text, 'hex'::text, false)").setting).toBe('bytea_output');
  });
});
