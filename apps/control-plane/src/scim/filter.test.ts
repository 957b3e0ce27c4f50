/** The grammar of filters and paths, and what is not in it. */
import { LIMITS } from '@sallyport/core';
import { expect, test } from 'vitest';
import { fits, parseFilter, parsePath } from './filter.ts';
import { ScimError } from './scim-error.ts';

const compare = (attribute: string, operator: string, value: unknown) => ({
  kind: 'compare',
  path: { attribute },
  operator,
  value,
});

test('comparisons of every kind of value are read', () => {
  expect(parseFilter('userName eq "bjensen"')).toEqual(compare('username', 'eq', 'bjensen'));
  expect(parseFilter('USERNAME Eq "a\\"b\\u00e9"')).toEqual(compare('username', 'eq', 'a"bé'));
  expect(parseFilter('active eq true')).toEqual(compare('active', 'eq', true));
  expect(parseFilter('active eq False')).toEqual(compare('active', 'eq', false));
  expect(parseFilter('size gt -1.5e3')).toEqual(compare('size', 'gt', -1500));
  expect(parseFilter('title pr')).toEqual({ kind: 'present', path: { attribute: 'title' } });
  expect(parseFilter('name.familyName co "O\'Malley"')).toEqual({
    ...compare('name', 'co', "O'Malley"),
    path: { attribute: 'name', sub: 'familyname' },
  });
  expect(parseFilter('urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J"')).toEqual({
    ...compare('username', 'sw', 'J'),
    path: { schema: 'urn:ietf:params:scim:schemas:core:2.0:user', attribute: 'username' },
  });
});

test('and binds more than or, parentheses most, and not needs them', () => {
  const filter = parseFilter('a eq 1 or b eq 2 and not (c eq 3 or d pr)');
  expect(filter).toEqual({
    kind: 'or',
    terms: [
      compare('a', 'eq', 1),
      {
        kind: 'and',
        terms: [
          compare('b', 'eq', 2),
          {
            kind: 'not',
            term: { kind: 'or', terms: [compare('c', 'eq', 3), { kind: 'present', path: { attribute: 'd' } }] },
          },
        ],
      },
    ],
  });
  expect(parseFilter('(a eq 1) and (b eq 2)')).toEqual({
    kind: 'and',
    terms: [compare('a', 'eq', 1), compare('b', 'eq', 2)],
  });
});

test('values of lists are filtered as the RFC and as Entra ID write it', () => {
  const inner = { kind: 'and', terms: [compare('type', 'eq', 'work'), compare('value', 'co', '@x')] };
  const wanted = { kind: 'some', path: { attribute: 'emails' }, filter: inner };
  expect(parseFilter('emails[type eq "work" and value co "@x"]')).toEqual(wanted);
  expect(parseFilter('emails[type eq "work"].value co "@x"')).toEqual(wanted);
  expect(parsePath('emails[type eq "work"].value')).toEqual({
    attribute: 'emails',
    filter: compare('type', 'eq', 'work'),
    sub: 'value',
  });
  expect(parsePath('urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value')).toEqual({
    schema: 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:user',
    attribute: 'manager',
    sub: 'value',
  });
});

test.each([
  '',
  ' ',
  'userName',
  'userName eq',
  'userName eq bjensen',
  "userName eq 'x'",
  'userName eq "x',
  'userName eq "x" or',
  'userName eq "x" "y"',
  'userName eq "x"; drop table principals',
  'userName eq "x" --',
  'userName = "x"',
  'userName eq "\\u0000"',
  'userName eq "a\nb"',
  'userName eq "\\x41"',
  'userName eq 01',
  '(userName eq "x"',
  'userName eq "x")',
  'not userName eq "x"',
  'emails[type eq "work"',
  'emails[]',
  'a.b.c eq 1',
  'http://x:userName eq "x"',
  'userName eq "x"\u00a0or a pr',
  '1 eq 1',
  '"a" eq "a"',
])('%j is no filter', (text) => {
  expect(() => parseFilter(text)).toThrow(ScimError);
});

test.each([
  '',
  'members[',
  'members[value eq "x"',
  'members[value eq "x"] or a pr',
  'a.b[c pr]',
  'members[a pr].b.c',
  '1',
])('%j is no path', (text) => expect(() => parsePath(text)).toThrow(ScimError));

test('size, depth and number of terms have their limits', () => {
  const deep = (n: number) => `${'('.repeat(n)}a pr${')'.repeat(n)}`;
  expect(parseFilter(deep(LIMITS.scimFilterDepthMax)).kind).toBe('present');
  expect(() => parseFilter(deep(LIMITS.scimFilterDepthMax + 1))).toThrow(ScimError);
  const wide = (n: number) => Array.from({ length: n }, () => 'a pr').join(' or ');
  expect(parseFilter(wide(LIMITS.scimFilterTermsMax)).kind).toBe('or');
  expect(() => parseFilter(wide(LIMITS.scimFilterTermsMax + 1))).toThrow(ScimError);
  const long = (n: number) => `a eq "${'x'.repeat(n - 7)}"`;
  expect(parseFilter(long(LIMITS.scimFilterCharsMax)).kind).toBe('compare');
  expect(() => parseFilter(long(LIMITS.scimFilterCharsMax + 1))).toThrow(ScimError);
});

test('a value of a list is found whatever its case, and a boolean also as text', () => {
  const value = { type: 'Work', value: 'A@x', primary: true };
  expect(fits(parseFilter('type eq "work" and primary eq "True"'), value)).toBe(true);
  expect(fits(parseFilter('value ne "a@x"'), value)).toBe(false);
  expect(fits(parseFilter('display pr or not (type eq "home")'), value)).toBe(true);
  expect(() => fits(parseFilter('value co "x"'), value)).toThrow(ScimError);
});
