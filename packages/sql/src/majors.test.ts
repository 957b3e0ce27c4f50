import { LIMITS } from '@sallyport/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { extractSqlFacts } from './extract.ts';
import { SUPPORTED_SERVER_MAJORS } from './majors.ts';
import { createParsePool } from './parse-pool.ts';
import { loadSqlParser } from './parser.ts';
import { effectsOf, isUnknownSql, type SqlReading } from './reading.ts';

beforeAll(loadSqlParser);

const shown = (reading: SqlReading): string =>
  isUnknownSql(reading) ? reading.unknown : effectsOf(reading).join(' ') || 'nothing';
/** What each supported major makes of a text, from the oldest. */
const read = (text: string): readonly string[] =>
  SUPPORTED_SERVER_MAJORS.map((major) => shown(extractSqlFacts(text, major)));
/** `before` for every major up to the one given, `after` from there on. */
const changing = (since: number, before: string, after: string): readonly string[] =>
  SUPPORTED_SERVER_MAJORS.map((major) => (major < since ? before : after));

describe('a text that an older server reads otherwise is unknown for it', () => {
  test.each([
    [16, 'select 0x1f'],
    [16, 'select 0X_1f, 1'],
    [16, 'select 1_000'],
    [16, 'select 1.5e1_0'],
    [16, 'with x as (delete from t returning 0b1) select 1 from x', 'read write'],
    [16, 'select system_user'],
    [16, 'select * from system_user as s'],
    [16, 'create view v as select system_user', 'ddl'],
    [16, 'select json_array(1)'],
    [16, 'select json_array(select 1)'],
    [16, 'select json_object()'],
    [16, 'select json_arrayagg(a) from t'],
    [16, `select json_objectagg('k': a) from t`],
    [16, `select a is json from t`],
    [17, `select json_value(a, 'b') from t`],
    [17, `select upper(json_query(a, 'b')) from t`],
    [17, 'select json_scalar(1)'],
    [17, 'select json(a) from t'],
    [17, 'select json_serialize(a) from t'],
    [17, 'select merge_action()'],
    [17, `select * from json_table(a, '$' columns (n int)) as j`],
    [17, `create index on t (json_value(a, 'b'))`, 'ddl'],
    [17, `prepare p as select json_exists(a, 'b') from t`],
    [14, 'select 5 operator(pg_catalog.+) between - 1 and 2'],
    [14, 'select 5 operator(pg_catalog.!) -- then\n like $$a$$'],
    [14, `select 5 @ /* then */ similar 'a'`],
    [14, `select 5 @ ilike('a')`, 'read exec'],
  ])('before %i: %s', (since, text, after = 'read') => {
    expect(read(text)).toEqual(changing(since, 'construct', after));
  });
});

test.each([
  'select a_1_0, "1_0", t1_2.c0x10 from t1_2',
  `select '0x10', $$ 1_000 $$, E'1_0' -- 0x10`,
  `select lower(a) like 'x', count(*) is null, 5 + 1 between - 1 and 2 from t -- by like`,
  `select a - 1 is null, a -- like\n from t where a > "like"`,
  'select extract(year from now()), overlay(a placing b from 1), normalize(a), json_object(a, b) from t',
  'select 1e5, 1.5, .5, 1.',
])('what merely looks like it is read by all: %s', (text) => {
  expect(read(text)).toEqual(changing(0, '', 'read'));
});

test.each([
  [18, 'select uuidv7()'],
  [18, 'select array_sort(a) from t'],
  [17, 'select pg_catalog.to_bin(1)'],
  [16, 'select any_value(a) from t'],
  [15, `select regexp_count(a, 'b') from t`],
  [14, `select string_to_table(a, 'b') from t`],
  [14, `select "extract"('year', a) from t`],
])('a function is harmless from the major that ships it, %i: %s', (since, text) => {
  expect(read(text)).toEqual(changing(since, 'read exec', 'read'));
});

test('a function that is gone is somebody’s own', () => {
  expect(read('select pg_timezone_abbrevs()')).toEqual(changing(18, 'read', 'read exec'));
});

test('facts kept for one major are not another’s, and the worker knows the major', async () => {
  const pool = createParsePool();
  try {
    for (let round = 0; round < 2; round++) {
      expect(shown(await pool.read('select uuidv7()', undefined, 17))).toBe('read exec');
      expect(shown(await pool.read('select uuidv7()', undefined, 18))).toBe('read');
      expect(shown(await pool.read('select uuidv7()'))).toBe('read');
    }
    const large = `select uuidv7(), '${'x'.repeat(LIMITS.inlineParseBytesMax)}'`;
    expect(shown(await pool.read(large, undefined, 17))).toBe('read exec');
    expect(shown(await pool.read(large, undefined, 18))).toBe('read');
  } finally {
    await pool.close();
  }
});
