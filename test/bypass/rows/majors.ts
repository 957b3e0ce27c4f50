/**
 * Texts that a server of an older major reads otherwise than the grammar they are judged by, both accepting them.
 * Each was allowed as a plain read once, and did there what the table's other columns say.
 */

export interface MajorRow {
  readonly name: string;
  /** The last major that reads it otherwise. */
  readonly until: number;
  /** The first one, where that is not the oldest supported. */
  readonly since?: number;
  readonly sql: string;
  /** Past the gateway, before it. */
  readonly setup?: string;
  /** What it does past the gateway, where that is not to run: an error of types, which comes after reading it. */
  readonly past?: string;
}

/** A function of the database's own that deletes, under the name of a built-in one that comes later. */
const wiping = (name: string, parameters: string, returns = 'int'): string =>
  `create or replace function public.${name}(${parameters}) returns ${returns} language plpgsql as
   $$ begin delete from ledger; return null; end $$`;

const SYSTEM_USER = `create table if not exists "system_user" (login text, "system_user" text);
  insert into "system_user" values ('root', '123-45-6789')`;

export const MAJORS: readonly MajorRow[] = [
  { name: 'a table named system_user', until: 15, sql: 'select * from system_user', setup: SYSTEM_USER },
  {
    name: 'a masked column named system_user',
    until: 15,
    sql: 'select upper(system_user) from (select * from system_user) as s',
    setup: SYSTEM_USER,
  },
  {
    name: 'a function named json_value',
    until: 16,
    sql: `select json_value('1', 'x')`,
    setup: wiping('json_value', 'text, text'),
  },
  {
    name: 'a function named json_query',
    until: 16,
    sql: `select json_query('1', 'x')`,
    setup: wiping('json_query', 'text, text'),
  },
  {
    name: 'a function named json_exists',
    until: 16,
    sql: `select 1 where json_exists('1', 'x') is null`,
    setup: wiping('json_exists', 'text, text'),
  },
  {
    name: 'a function named json_scalar',
    until: 16,
    sql: 'select json_scalar(1)',
    setup: wiping('json_scalar', 'int'),
  },
  {
    name: 'a function named json_serialize',
    until: 16,
    sql: `select json_serialize('1')`,
    setup: wiping('json_serialize', 'text'),
  },
  { name: 'a function named json', until: 16, sql: 'select json(1)', setup: wiping('json', 'int') },
  {
    name: 'a function named merge_action',
    until: 16,
    sql: 'select merge_action()',
    setup: wiping('merge_action', ''),
  },
  {
    name: 'a function named json_array',
    until: 15,
    sql: 'select json_array(1, 2)',
    setup: wiping('json_array', 'int, int'),
  },
  {
    name: 'a function named json_array in FROM',
    until: 15,
    sql: 'select * from json_array(1, 2) as t',
    setup: wiping('json_array', 'int, int'),
  },
  { name: 'a function named json_object', until: 15, sql: 'select json_object()', setup: wiping('json_object', '') },
  {
    name: 'a function named json_arrayagg',
    until: 15,
    sql: 'select json_arrayagg(1)',
    setup: wiping('json_arrayagg', 'int'),
  },
  { name: 'a function named uuidv7', until: 17, sql: 'select uuidv7()', setup: wiping('uuidv7', '') },
  {
    name: 'a function named array_sort',
    until: 17,
    sql: `select array_sort('{1}')`,
    setup: wiping('array_sort', 'int[]'),
  },
  { name: 'a function named to_bin', until: 16, sql: 'select to_bin(1)', setup: wiping('to_bin', 'int') },
  { name: 'a function named any_value', until: 15, sql: 'select any_value(1)', setup: wiping('any_value', 'int') },
  {
    name: 'a function named regexp_count',
    until: 14,
    sql: `select regexp_count('a', 'b')`,
    setup: wiping('regexp_count', 'text, text'),
  },
  {
    name: 'a function named string_to_table',
    until: 13,
    sql: `select string_to_table('a', 'b')`,
    setup: wiping('string_to_table', 'text, text'),
  },
  {
    name: 'a function named as one that is gone',
    since: 18,
    until: 18,
    sql: 'select pg_timezone_abbrevs()',
    setup: wiping('pg_timezone_abbrevs', ''),
  },
  { name: 'a hexadecimal number: 0 named x1f', until: 14, sql: 'select 0x1f' },
  { name: 'an octal number: 0 named o17', until: 14, sql: 'select 0o17' },
  { name: 'a binary number: 0 named b11', until: 14, sql: 'select * from (select 0b11) as t(n)' },
  { name: 'a number with underscores: 1 named _000', until: 14, sql: 'select 1_000, (select 1.5_0)' },
  { name: 'such a number behind a comment', until: 14, sql: 'select /* 1 */ 1_000 -- x' },
  { name: 'an operator behind its operand, before BETWEEN', until: 13, sql: 'select 5 ! between - 1 and 200' },
  {
    name: 'an operator behind its operand, before LIKE',
    until: 13,
    sql: `select 5 operator(pg_catalog.!) /* x */ like '1'`,
    past: '42883',
  },
];
