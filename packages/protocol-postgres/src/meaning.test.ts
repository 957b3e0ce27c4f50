import { extractSqlFacts, loadSqlParser } from '@sallyport/sql';
import { beforeAll, describe, expect, test } from 'vitest';
import { Meaning } from './meaning.ts';

let random = 0;
const begun = (settings: Record<string, string> = {}): Meaning => new Meaning(settings, () => `random ${random++}`);

/** Says the texts one by one, each in a segment of its own that is answered; `!` in front: it fails. @returns all it means */
function said(texts: readonly string[], meaning = begun()): string {
  let open = false;
  for (const [segment, given] of texts.entries()) {
    const text = given.replace(/^!/, '');
    const facts = extractSqlFacts(text, 18);
    if ('unknown' in facts) throw new Error(text);
    meaning.sent({ digest: text }, facts, segment);
    for (const { transaction } of facts.statements)
      if (transaction !== undefined && transaction !== 'savepoint') open = transaction === 'begin';
    if (given.startsWith('!') || text.startsWith('rollback')) meaning.failed();
    meaning.ready(segment, open ? 'T' : 'I');
  }
  return meaning.parts(texts.length).join('|');
}

describe('what a text means something by', () => {
  beforeAll(() => loadSqlParser());

  test.each([
    [['set application_name = $$x$$', 'set statement_timeout = 5', 'begin isolation level serializable', 'commit']],
    [['select 1', 'show datestyle', 'delete from t', 'prepare p as select 1', 'deallocate p']],
    [['begin', 'set local datestyle = dmy', 'commit']],
    [['begin', "select set_config('app.tenant', '1', true)", 'insert into t values (1)', 'rollback']],
    [['begin', "select set_config('app.tenant', '1', true)", '!select 1/0', 'rollback']],
    [['set local search_path = other']],
  ])('%j leaves it as it was', (texts) => {
    expect(said(texts)).toBe(said([]));
  });

  test.each([
    [['set datestyle = dmy']],
    [['begin', 'set local datestyle = dmy']],
    [['begin', 'set datestyle = dmy', 'commit']],
    [['begin', 'set local datestyle = dmy', 'create temp table t ()', 'commit']],
    [["select set_config('timezone', 'UTC', false)"]],
    [["set app.tenant = '1'"]],
    [['select my_function()']],
    [['reset all']],
    [['discard temp']],
  ])('%j moves it, for each session alike', (texts) => {
    expect(said(texts)).not.toBe(said([]));
    expect(said(texts)).toBe(said(texts));
  });

  test.each([
    [['!set datestyle = dmy']],
    [['begin', 'set datestyle = dmy', 'rollback']],
    [['begin', 'create temp table t ()', '!select 1/0', 'rollback']],
    [['begin', 'savepoint a', 'set datestyle = dmy', 'rollback to a', 'commit']],
  ])('of %j nobody knows what is left, so no other session is alike', (texts) => {
    expect(said(texts)).not.toBe(said(texts));
  });

  test('what is on its way is like nothing else until it is answered', () => {
    const meaning = begun();
    const facts = extractSqlFacts('set datestyle = dmy', 18);
    if ('unknown' in facts) throw new Error('unread');
    meaning.sent({ digest: 'x' }, facts, 1);
    // In the same pipeline it has run by then, or what is behind it does not.
    expect(meaning.chain(1)).toBe(meaning.chain(1));
    expect(meaning.chain(2)).not.toBe(meaning.chain(2));
    expect(meaning.namesMoved(2)).toBe(true);
    meaning.ready(1, 'I');
    expect(meaning.chain(2)).toBe(meaning.chain(2));
    expect(meaning.namesMoved(2)).toBe(false);
  });

  test('what the server tells of stands for what was asked at sign-in; limits and names do not count', () => {
    const told = (asked: string, name: string, value: string): string => {
      const meaning = begun({ datestyle: asked, application_name: name });
      meaning.told('DateStyle', value);
      return meaning.parts(0).join('|');
    };
    expect(told('iso', 'a', 'ISO, MDY')).toBe(told('ISO, US', 'b', 'ISO, MDY'));
    expect(told('iso', 'a', 'ISO, MDY')).not.toBe(told('iso', 'a', 'ISO, DMY'));
    const floats = (digits: string): string => said([], begun({ extra_float_digits: digits }));
    expect(floats('3')).not.toBe(floats('0'));
  });
});
