/** What several reviews of one grant add up to. */
import { expect, test } from 'vitest';
import type { GrantReview } from '../generated/prisma/client.ts';
import { reviewState, subjectDigest } from './review-state.ts';

const GRANT = { principalId: 'p', groupName: null, resource: 'db', labels: null, roles: ['b', 'a'] };
const review = (more: Partial<GrantReview>): GrantReview => ({
  grantId: 'g',
  campaignId: 'c',
  projectId: 'p',
  reviewedUntil: null,
  afterReview: 'hold',
  confirmedAt: null,
  confirmed: [],
  subjectDigest: '',
  itemId: null,
  ...more,
});
const confirmed = (...effects: string[]) =>
  review({ confirmedAt: new Date(0), confirmed: effects, subjectDigest: subjectDigest(GRANT) });

test('a grant that no review binds has none of the fields', () => {
  expect(reviewState(GRANT, [])).toEqual({});
  expect(reviewState(GRANT, [review({})])).toEqual({});
});

test('the first deadline counts, and deny before hold', () => {
  const until = (ms: number, afterReview: string) => review({ reviewedUntil: new Date(ms), afterReview });
  expect(reviewState(GRANT, [until(9, 'hold'), until(5, 'hold')])).toEqual({ reviewedUntil: 5, afterReview: 'hold' });
  expect(reviewState(GRANT, [until(9, 'deny'), until(5, 'hold')])).toEqual({ reviewedUntil: 5, afterReview: 'deny' });
});

test('what all of them confirmed is confirmed', () => {
  expect(reviewState(GRANT, [confirmed('read', 'write'), confirmed('write', 'ddl')]).confirmed).toEqual(['write']);
  expect(reviewState(GRANT, [confirmed('write', 'read'), review({})]).confirmed).toEqual(['read', 'write']);
});

test.each([
  ['principal', { principalId: 'q' }],
  ['resource', { resource: 'other' }],
  ['labels', { resource: null, labels: { env: 'prod' } }],
  ['group', { principalId: null, groupName: 'g' }],
  ['roles', { roles: ['a', 'b', 'owner'] }],
])('another %s is not what was confirmed', (_, more) => {
  expect(reviewState({ ...GRANT, ...more }, [confirmed('read')]).confirmed).toEqual([]);
  expect(reviewState({ ...GRANT, roles: ['a', 'b'] }, [confirmed('read')]).confirmed).toEqual(['read']);
});
