/** What a provider's groups give, and what is refused rather than guessed. */
import { LIMITS } from '@sallyport/core';
import { expect, test } from 'vitest';
import { GroupMapping, mapGroups, matchesGlob, PLAIN_MAPPING } from './group-mapping.ts';
import { readGroups } from './read-groups.ts';

const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'none';
};

test.each([
  [{ groups: ['a', 'b'] }, 'groups', undefined, ['a', 'b']],
  [{ groups: 'a' }, 'groups', undefined, ['a']],
  [{ groups: 'a, b,' }, 'groups', ',', ['a', 'b']],
  [{ realm_access: { roles: ['a'] } }, 'realm_access.roles', undefined, ['a']],
  [{ 'https://example.com/groups': ['a'] }, 'https://example.com/groups', undefined, ['a']],
  [{ a: { b: ['deep'] }, 'a.b': ['flat'] }, 'a.b', undefined, ['flat']],
  [{ roles: { admin: { org: '1' }, dev: {} } }, 'roles', undefined, ['admin', 'dev']],
  [{ groups: [{ display: 'A', value: '1' }, { name: 'B' }, { value: 'C' }] }, 'groups', undefined, ['A', 'B', 'C']],
  [{}, 'groups', undefined, []],
  [{ groups: null }, 'groups', undefined, []],
] as const)('groups are read from %j at %s', (claims, groupsClaim, separator, wanted) => {
  expect(readGroups(claims, { groupsClaim, separator })).toEqual(wanted);
});

test('a link in place of groups is an error of its own and not "no groups"', () => {
  const overage = { _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: 'https://graph.example' } } };
  expect(code(() => readGroups(overage, { groupsClaim: 'groups' }))).toBe('auth.groups_overage');
  expect(code(() => readGroups({ hasgroups: true }, { groupsClaim: 'groups' }))).toBe('auth.groups_overage');
});

test.each([7, true, [1], [['a']], ['a', null]])('a claim of another shape is refused: %j', (groups) => {
  expect(code(() => readGroups({ groups }, { groupsClaim: 'groups' }))).toBe('auth.groups_malformed');
});

test('prototype names are no groups and no claims', () => {
  expect(readGroups({}, { groupsClaim: '__proto__' })).toEqual([]);
  expect(readGroups({ a: {} }, { groupsClaim: 'a.constructor.name' })).toEqual([]);
});

test('ten thousand groups are read and mapped whole, and one more is refused', () => {
  const groups = Array.from({ length: LIMITS.groupsPerSignInMax }, (_, i) => `team-${i}`);
  const mapping = GroupMapping.parse({ rules: [{ match: 'team-*9', group: 'nines' }] });
  expect(readGroups({ groups }, mapping)).toHaveLength(LIMITS.groupsPerSignInMax);
  expect(mapGroups(mapping, groups, new Set(['nines', 'team-9998'])).groups).toEqual(['nines', 'team-9998']);
  expect(code(() => readGroups({ groups: [...groups, 'x'] }, mapping))).toBe('auth.groups_overage');
});

test('rules come before the same name, several may hit, and each step says why', () => {
  const mapping = GroupMapping.parse({
    prefix: 'sp-',
    rules: [
      { match: 'eng-*', group: 'engineers' },
      { match: 'eng-db', group: 'dba' },
      { match: 'gone', group: 'missing' },
    ],
  });
  const existing = new Set(['engineers', 'dba', 'auditors']);
  const { groups, steps } = mapGroups(mapping, ['sp-eng-db', 'sp-auditors', 'sp-gone', 'sp-none', 'other'], existing);
  expect(groups).toEqual(['auditors', 'dba', 'engineers']);
  expect(steps).toEqual([
    { given: 'sp-eng-db', group: 'engineers', why: 'rule 1 (eng-*)' },
    { given: 'sp-eng-db', group: 'dba', why: 'rule 2 (eng-db)' },
    { given: 'sp-auditors', group: 'auditors', why: 'same name' },
    { given: 'sp-gone', group: null, why: 'rule 3 (gone), but there is no group missing here' },
    { given: 'sp-none', group: null, why: 'same name, but there is no group none here' },
    { given: 'other', group: null, why: 'does not begin with the prefix sp-' },
  ]);
});

test('dropping what no rule names gives nothing by the same name', () => {
  const mapping = GroupMapping.parse({ unmapped: 'drop' });
  expect(mapGroups(mapping, ['dba'], new Set(['dba'])).groups).toEqual([]);
  expect(mapGroups(PLAIN_MAPPING, ['dba'], new Set(['dba'])).groups).toEqual(['dba']);
});

test('case and surrounding text matter', () => {
  expect(mapGroups(PLAIN_MAPPING, ['DBA', 'dba '], new Set(['dba'])).groups).toEqual([]);
});

test.each([
  ['*', '', true],
  ['a*', 'a', true],
  ['*a', 'ba', true],
  ['a*a', 'a', false],
  ['a*b*c', 'axxbyyc', true],
  ['a*b*c', 'axxcyyb', false],
  ['a*bc*bc', 'abc', false],
  ['a.c', 'abc', false],
  ['**', 'x', true],
])('%s against %j is %s', (pattern, text, wanted) => {
  expect(matchesGlob(pattern, text)).toBe(wanted);
});

test('many stars cost no more than few', () => {
  const started = performance.now();
  matchesGlob(`${'*a'.repeat(200)}b`, 'a'.repeat(5_000));
  expect(performance.now() - started).toBeLessThan(100);
});
