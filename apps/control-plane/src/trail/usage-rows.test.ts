import { LIMITS } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import { expect, test } from 'vitest';
import { MORE_WORDS, UsageTally } from './usage-rows.ts';

type Judged = Extract<TrailEvent, { kind: 'statement.judged' }>;
const judged = (more: Partial<Judged> = {}): Judged => ({
  kind: 'statement.judged',
  number: 1,
  verdict: 'allow',
  rule: 'grant',
  code: '',
  digest: '',
  effects: ['read'],
  text: '',
  parameters: [],
  approvalId: '',
  shadow: [],
  ...more,
});
const at = (sequence: number, timeMs: number, sessionId = 's') => ({ sequence, timeMs, sessionId });
const DAY = Date.UTC(2026, 10, 21);

test('statements are counted by session, day, effect and what they reach', () => {
  const tally = new UsageTally();
  tally.add(at(1, DAY - 1), judged());
  tally.add(at(2, DAY), judged({ effects: ['read', 'write'], reached: ['write t'] }));
  tally.add(at(3, DAY + 1), judged({ verdict: 'deny', effects: ['write'], reached: ['write t'] }));
  tally.add(at(4, DAY + 2, 'other'), judged({ verdict: 'hold' }));
  const rows = tally
    .rows()
    .map((row) => [row.session, row.day, row.kind, row.word, row.allowed, row.held, row.denied, row.sequence]);
  expect(rows).toEqual([
    ['s', '2026-11-20', 'total', '', 1, 0, 0, 1],
    ['s', '2026-11-20', 'effect', 'read', 1, 0, 0, 1],
    ['s', '2026-11-21', 'total', '', 1, 0, 1, 3],
    ['s', '2026-11-21', 'effect', 'read', 1, 0, 0, 2],
    ['s', '2026-11-21', 'effect', 'write', 1, 0, 1, 3],
    ['s', '2026-11-21', 'reached', 'write t', 1, 0, 1, 3],
    ['other', '2026-11-21', 'total', '', 0, 1, 0, 4],
    ['other', '2026-11-21', 'effect', 'read', 0, 1, 0, 4],
  ]);
});

test('a refusal after the last allowed statement moves the last attempt, and not the last use', () => {
  const tally = new UsageTally();
  tally.add(at(1, DAY), judged());
  tally.add(at(2, DAY + 5), judged({ verdict: 'deny' }));
  tally.add(at(3, DAY + 6), judged({ verdict: 'hold', effects: ['write'] }));
  expect(tally.rows().map(({ word, last, allowedLast }) => [word, last - DAY, allowedLast])).toEqual([
    ['', 6, DAY],
    ['read', 5, DAY],
    ['write', 6, 0],
  ]);
});

test('what was only prepared was not used; its refusal was one', () => {
  const tally = new UsageTally();
  tally.add(at(1, DAY), judged({ preparation: true }));
  expect(tally.rows()).toEqual([]);
  tally.add(at(2, DAY), judged({ preparation: true, verdict: 'deny' }));
  expect(tally.rows()[0]).toMatchObject({ denied: 1 });
});

test('a session that reaches ever other things fills a row for the rest', () => {
  const tally = new UsageTally();
  for (let i = 0; i < LIMITS.usageWordsPerDayMax * 3; i++)
    tally.add(at(i, DAY), judged({ reached: [`read t${i}\0\ud800`] }));
  const rows = tally.rows();
  expect(rows.filter((row) => row.kind === 'reached').length).toBeLessThanOrEqual(LIMITS.usageWordsPerDayMax + 1);
  expect(rows.find((row) => row.word === MORE_WORDS)!.allowed).toBeGreaterThan(LIMITS.usageWordsPerDayMax);
  expect(rows.every((row) => row.word.isWellFormed() && !row.word.includes('\0'))).toBe(true);
});
