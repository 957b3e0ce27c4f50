import { expect, test } from 'vitest';
import { isEnough, mayAnswer } from './quorum.ts';

const person = (id: string, ...groups: string[]) => ({
  id,
  kind: 'person' as const,
  groups: new Set(groups),
  able: true,
});
const approve = (count: number, groups: string[] = [], all: { group: string; count: number }[] = []) => ({
  count,
  groups,
  all,
});

test('who is involved, disabled, no person or of no group of the policy may not answer', () => {
  const dba = approve(1, ['dba']);
  expect(mayAnswer(dba, new Set(), person('ben', 'dba'))).toBe(true);
  expect(mayAnswer(dba, new Set(['ben']), person('ben', 'dba'))).toBe(false);
  expect(mayAnswer(dba, new Set(), { ...person('ben', 'dba'), able: false })).toBe(false);
  expect(mayAnswer(dba, new Set(), { ...person('bot', 'dba'), kind: 'ai_agent' })).toBe(false);
  expect(mayAnswer(dba, new Set(), person('ben', 'sre'))).toBe(false);
  expect(mayAnswer(approve(1), new Set(), person('ben'))).toBe(true);
  expect(mayAnswer(approve(1, [], [{ group: 'security', count: 1 }]), new Set(), person('sue', 'security'))).toBe(true);
  expect(mayAnswer(undefined, new Set(), person('ben', 'dba'))).toBe(false);
});

test('it takes as many distinct persons as asked for', () => {
  const two = approve(2, ['dba']);
  expect(isEnough(two, [person('ben', 'dba'), person('ben', 'dba')])).toBe(false);
  expect(isEnough(two, [person('ben', 'dba'), person('ana', 'sre')])).toBe(false);
  expect(isEnough(two, [person('ben', 'dba'), person('ana', 'dba')])).toBe(true);
  expect(isEnough(approve(1), [])).toBe(false);
});

test('one person in two groups fills one quorum, and the seats are found whatever the order', () => {
  const both = approve(
    1,
    [],
    [
      { group: 'dba', count: 1 },
      { group: 'security', count: 1 },
    ],
  );
  const ana = person('ana', 'dba', 'security');
  expect(isEnough(both, [ana])).toBe(false);
  expect(isEnough(both, [ana, person('ben', 'dba')])).toBe(true);
  expect(isEnough(both, [person('ben', 'dba'), ana])).toBe(true);
  expect(isEnough(both, [ana, person('sue', 'security')])).toBe(true);
  expect(isEnough(both, [person('ben', 'dba'), person('eve', 'dba')])).toBe(false);
  const three = approve(3, ['sre'], [{ group: 'dba', count: 2 }]);
  expect(isEnough(three, [ana, person('ben', 'dba')])).toBe(false);
  expect(isEnough(three, [ana, person('ben', 'dba'), person('sam', 'sre')])).toBe(true);
  expect(isEnough(three, [ana, person('sue', 'sre'), person('sam', 'sre')])).toBe(false);
});

test('accounts that became one person’s after they voted count once, with the groups of both', () => {
  const persons = new Map([
    ['ben', 'p1'],
    ['ben-too', 'p1'],
  ]);
  const yes = [person('ben', 'dba'), person('ben-too', 'security')];
  expect(isEnough(approve(2, ['dba', 'security']), yes)).toBe(true);
  expect(isEnough(approve(2, ['dba', 'security']), yes, persons)).toBe(false);
  expect(isEnough(approve(1, [], [{ group: 'security', count: 1 }]), yes, persons)).toBe(true);
  expect(isEnough(approve(2, ['dba', 'security']), [...yes, person('ana', 'dba')], persons)).toBe(true);
});
