import { beforeAll, describe, expect, test } from 'vitest';
import { extractSqlFacts } from './extract.ts';
import { loadSqlParser } from './parser.ts';
import { isUnknownSql } from './reading.ts';
import { statementShape } from './statement-shape.ts';

beforeAll(() => loadSqlParser());

const shapeOf = (text: string, more: { undoable?: boolean; types?: number[]; session?: string[] } = {}) => {
  const facts = extractSqlFacts(text);
  if (isUnknownSql(facts)) throw new Error(`not understood: ${text}`);
  return statementShape({ text, facts, types: [], undoable: true, session: ['db', 'role', ''], ...more });
};
const digest = (text: string): string | undefined => shapeOf(text)?.digest;

describe('one shape', () => {
  test.each([
    ['delete from payments where id = 1', 'delete from payments where id = 2'],
    ["update t set a = 'x' where id = 5", "update t set a = 'it''s' where id = 50"],
    ["select * from customers where city = 'Bern' limit 10", "select * from customers where city = 'Oslo' limit 10"],
    ["insert into t (a, b) values (1, 'x')", "insert into t (a, b) values (2, 'y')"],
    ['select lower(name) from t where id = $1', 'select lower(name) from t where id = $1'],
  ])('%s and %s', (a, b) => {
    expect(digest(a)).toBeDefined();
    expect(digest(a)).toBe(digest(b));
  });

  test('shows its text without the literals, its tables, and how a bound is kept', () => {
    expect(shapeOf("delete from app.payments where id = 17 and note = 'söme'")).toMatchObject({
      text: 'delete from app.payments where id = ? and note = ?',
      tables: ['app.payments'],
      bound: 'undone',
    });
    expect(shapeOf('select * from t where id = 1')?.bound).toBe('cut');
  });
});

describe('another shape', () => {
  test.each([
    ['another table', 'delete from a where id = 1', 'delete from b where id = 1'],
    ['the same table of another schema', 'delete from x.a where id = 1', 'delete from y.a where id = 1'],
    ['a schema that was not named', 'delete from a where id = 1', 'delete from y.a where id = 1'],
    ['another column', 'update a set x = 1 where id = 1', 'update a set y = 1 where id = 1'],
    ['a larger LIMIT', 'select * from a limit 10', 'select * from a limit 1000'],
    ['a pattern that matches everything', "delete from a where n like 'x%'", "delete from a where n like '%'"],
    ['a number of another type', 'delete from a where id = 1', 'delete from a where id = 3000000000'],
    ['a fraction', 'delete from a where id = 1', 'delete from a where id = 1.5'],
    ['one more row', 'insert into a values (1)', 'insert into a values (1), (2)'],
    ['another position to sort by', 'select x, y from a order by 1', 'select x, y from a order by 2'],
    ['another operator', 'delete from a where id = 1', 'delete from a where id > 1'],
    ['a cast', "delete from a where id = '1'", "delete from a where id = '1'::bigint"],
    ['a number in place of a text', "delete from a where id = '1'", 'delete from a where id = 1'],
  ])('%s', (_what, a, b) => {
    expect(digest(a)).toBeDefined();
    expect(digest(b)).not.toBe(digest(a));
  });

  test('another role, database or search path', () => {
    const text = 'delete from a where id = 1';
    const all = [
      ['db', 'role', ''],
      ['db', 'other', ''],
      ['db2', 'role', ''],
      ['db', 'role', 'evil'],
    ].map((session) => shapeOf(text, { session })?.digest);
    expect(new Set(all).size).toBe(4);
  });

  test('parts of the session cannot be shifted into one another', () => {
    const text = 'delete from a where id = 1';
    expect(shapeOf(text, { session: ['ab', 'c', ''] })?.digest).not.toBe(
      shapeOf(text, { session: ['a', 'bc', ''] })?.digest,
    );
  });

  test('another declared type of a parameter', () => {
    const text = 'delete from a where id = $1';
    expect(shapeOf(text, { types: [23] })?.digest).not.toBe(shapeOf(text, { types: [25] })?.digest);
  });
});

describe('no shape at all', () => {
  test.each([
    ['a comment', 'delete from a /* x */ where id = 1'],
    ['a line comment', 'delete from a where id = 1 -- x'],
    ['an escape string', "delete from a where n = E'x'"],
    ['a dollar quote', 'delete from a where n = $$x$$'],
    ['a backslash', "delete from a where n = 'x\\'"],
    ['a change of every row', 'delete from a'],
    ['a condition over constants', 'update a set x = 1 where 1 = 2'],
    ['several statements', 'delete from a where id = 1; select 1'],
    ['set_config', "select set_config('search_path', 'x', false) from a"],
    ['a setting', "select current_setting('x') from a"],
    ['a function nobody listed', 'delete from a where f(1) = 2'],
    ['a function of a schema', "select evil.lower('x') from a"],
    ['a sequence', "insert into a values (nextval('s'))"],
    ['a file', "select pg_read_file('/etc/passwd') from a"],
    ['a look at a relation by its name', "select pg_relation_size('secret') from a"],
    ['a text that is run', "select query_to_xml('drop table a', true, true, '') from a"],
    ['a write inside', 'with d as (delete from a returning *) select * from d'],
    ['a temporary table', 'delete from pg_temp.a where id = 1'],
    ['a table made', 'create table x as select * from a'],
    ['TRUNCATE', 'truncate a'],
    ['EXECUTE', 'execute x(1)'],
    ['a cursor', 'declare c cursor for select * from a'],
    ['COPY', 'copy a to stdout'],
    ['DO', 'do $$begin delete from a; end$$'],
    ['EXPLAIN ANALYZE', 'explain analyze delete from a where id = 1'],
    ['no table', 'select 1'],
  ])('%s', (_what, text) => {
    expect(shapeOf(text)).toBeUndefined();
  });

  test('a change that is committed before its rows are counted', () => {
    expect(shapeOf('delete from a where id = 1', { undoable: false })).toBeUndefined();
    expect(shapeOf('select * from a where id = 1', { undoable: false })).toBeDefined();
  });
});
