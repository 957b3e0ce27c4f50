import { expect, test } from 'vitest';
import { mayAnswer, tally } from './tally.ts';

const asked = { principalId: 'bot', onBehalfOfId: 'ana', groups: ['dba'], count: 2 };
const person = (id: string, ...groups: string[]) => ({ id, kind: 'person' as const, groups: new Set(groups) });
const yes = (principalId: string) => ({ principalId, granted: true });

test('only persons of the groups answer, and never the requester or whom it acts for', () => {
  expect(mayAnswer(asked, person('ben', 'dba'))).toBe(true);
  expect(mayAnswer(asked, person('ben', 'sre'))).toBe(false);
  expect(mayAnswer(asked, person('ana', 'dba'))).toBe(false);
  expect(mayAnswer(asked, person('bot', 'dba'))).toBe(false);
  expect(mayAnswer(asked, { ...person('etl', 'dba'), kind: 'service' })).toBe(false);
  expect(mayAnswer({ ...asked, groups: [] }, person('ben'))).toBe(true);
});

test('it takes as many distinct persons as asked for, at least one, and one refusal refuses', () => {
  expect(tally(asked, [])).toBe('pending');
  expect(tally(asked, [yes('ben')])).toBe('pending');
  expect(tally(asked, [yes('ben'), yes('ben')])).toBe('pending');
  expect(tally(asked, [yes('ben'), yes('cleo')])).toBe('approved');
  expect(tally(asked, [yes('ben'), { principalId: 'cleo', granted: false }])).toBe('denied');
  expect(tally({ ...asked, count: 0 }, [])).toBe('pending');
});

test('accounts that became one person’s after they voted are one voice, and one that became the asker’s is none', () => {
  const votes = [yes('ben'), yes('ben-too')];
  expect(tally(asked, votes)).toBe('approved');
  const persons = (...pairs: [string, string][]) => new Map(pairs);
  expect(tally(asked, votes, persons(['ben', 'p1'], ['ben-too', 'p1']))).toBe('pending');
  expect(tally(asked, [...votes, yes('cleo')], persons(['ben', 'p1'], ['ben-too', 'p1']))).toBe('approved');
  expect(tally(asked, [yes('ben'), yes('cleo')], persons(['ana', 'p2'], ['cleo', 'p2']))).toBe('pending');
  const seated = [yes('ben'), { ...yes('cleo'), seatOfId: 'ben-too' }];
  expect(tally(asked, seated, persons(['ben', 'p1'], ['ben-too', 'p1']))).toBe('pending');
});
