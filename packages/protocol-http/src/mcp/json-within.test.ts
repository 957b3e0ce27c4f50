/** Documents within texts: what a long text without any costs. What is masked in them is test/leaks/mcp.test.ts. */
import { expect, test } from 'vitest';
import { withDocuments } from './json-within.ts';

const PATHS = [{ path: '$.ssn' }];
const SIZE = 1_000_000;

test.each([
  ['one word', `{${'a'.repeat(SIZE)}`, true],
  ['one word in brackets', `{${'a'.repeat(SIZE)}}`, true],
  ['words and blanks', `{${'a '.repeat(SIZE / 2)}`, true],
  ['blanks', `{a${' '.repeat(SIZE)}`, true],
  ['quotes', `{${`" '`.repeat(SIZE / 3)}`, true],
  // Looked behind to its end from each of them: it is given up.
  ['brackets', '['.repeat(SIZE), false],
])('a text of %s is read in time that grows as it does', (_, text, isShown) => {
  expect(withDocuments(text, PATHS, (document) => document)).toBe(isShown ? text : undefined);
});

test('a member is seen wherever its name begins', () => {
  for (const text of ['{ssn: 1', '{ssn : 1', '{a: 2,ssn: 1', `{'ssn': 1`, '{\n"ssn"\n: 1', '{a ssn: 1'])
    expect(
      withDocuments(text, PATHS, (document) => document),
      text,
    ).toBeUndefined();
  const spaced = [{ path: '$.my ssn' }];
  expect(withDocuments('{"my ssn": 1', spaced, (document) => document)).toBeUndefined();
  for (const text of ['{my-ssn: 1', '{a: ssn', '{ssn 1'])
    expect(
      withDocuments(text, PATHS, (document) => document),
      text,
    ).toBe(text);
});
