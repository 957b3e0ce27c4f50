import { expect, test } from 'vitest';
import { addEvery, nextTurn } from './schedule.ts';

const at = (text: string): Date => new Date(text);

test.each([
  ['2026-01-31T08:00:00.000Z', '1 month', '2026-02-28T08:00:00.000Z'],
  ['2028-01-31T08:00:00.000Z', '1 month', '2028-02-29T08:00:00.000Z'],
  ['2026-11-30T08:00:00.000Z', '3 months', '2027-02-28T08:00:00.000Z'],
  ['2026-03-28T08:00:00.000Z', '1 day', '2026-03-29T08:00:00.000Z'],
  ['2026-01-01T08:00:00.000Z', '2 weeks', '2026-01-15T08:00:00.000Z'],
])('%s and %s is %s', (from, every, next) => {
  expect(addEvery(at(from), every).toISOString()).toBe(next);
});

test('turns that were missed are not made up for', () => {
  const next = nextTurn(at('2026-01-01T08:00:00Z'), '1 month', at('2026-06-15T00:00:00Z'));
  expect(next?.toISOString()).toBe('2026-07-01T08:00:00.000Z');
});

test('without a schedule there is one turn, and none after it', () => {
  const now = at('2026-06-15T00:00:00Z');
  expect(nextTurn(at('2026-06-16T00:00:00Z'), null, now)?.toISOString()).toBe('2026-06-16T00:00:00.000Z');
  expect(nextTurn(at('2026-06-15T00:00:00Z'), null, now)).toBeNull();
});
