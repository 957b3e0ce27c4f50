import { expect, test } from 'vitest';
import { statementReader } from './statement-reader.ts';

const CASES: readonly (readonly [text: string, statements: readonly string[], pending: string])[] = [
  ['select 1;', ['select 1;'], ''],
  ['select 1; select 2;\n', ['select 1;', 'select 2;'], ''],
  ['select 1', [], 'select 1'],
  [';;', [], ''],
  ["select ';';", ["select ';';"], ''],
  ["select 'it''s; here';", ["select 'it''s; here';"], ''],
  ["select E'a\\';b';", ["select E'a\\';b';"], ''],
  ["select 'a\\';", ["select 'a\\';"], ''],
  ["select note'x\\';", ["select note'x\\';"], ''],
  ['select ";" from t;', ['select ";" from t;'], ''],
  ['-- a; b\nselect 1;', ['-- a; b\nselect 1;'], ''],
  ['/* a /* ; */ ; */ select 1;', ['/* a /* ; */ ; */ select 1;'], ''],
  ['do $$ begin; end $$;', ['do $$ begin; end $$;'], ''],
  ['do $a$ $$ ; $$ $a$;', ['do $a$ $$ ; $$ $a$;'], ''],
  ['select a$1;', ['select a$1;'], ''],
  ['select $1;', ['select $1;'], ''],
  [
    'create rule r as on insert to t do (delete from a; delete from b);',
    ['create rule r as on insert to t do (delete from a; delete from b);'],
    '',
  ],
  ["select 'open;", [], "select 'open;"],
  ['select $$ open;', [], 'select $$ open;'],
];

test('a statement ends at a semicolon outside of quotes, comments and parentheses', () => {
  for (const [text, statements, pending] of CASES) {
    const reader = statementReader();
    expect(reader.push(text), text).toEqual(statements);
    expect(reader.pending(), text).toBe(pending);
  }
});

test('where lines are cut does not matter', () => {
  for (const [text, statements] of CASES) {
    for (let cut = 0; cut <= text.length; cut++) {
      const reader = statementReader();
      const got = [...reader.push(text.slice(0, cut)), ...reader.push(text.slice(cut))];
      // A cut inside of `--`, `/*` or a tag can only end a statement earlier where one part alone is whole.
      if (!/--|\/\*|\$/.test(text)) expect(got, `${text} at ${cut}`).toEqual(statements);
    }
  }
});

test('clear forgets what was typed', () => {
  const reader = statementReader();
  reader.push('select 1');
  reader.clear();
  expect(reader.push('select 2;')).toEqual(['select 2;']);
});
