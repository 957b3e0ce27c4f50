/** What the client of a held statement is told of whom it waits for. */
import { expect, test } from 'vitest';
import { askedFor } from './asked.ts';
import type { HeldNotice } from './road.ts';

const NOW = Date.parse('2026-01-07T12:00:00Z');
const held = (approval: object): HeldNotice =>
  ({ verdict: { approval: { groups: ['dba'], ...approval } }, requestedAt: NOW }) as unknown as HeldNotice;

test('without an escalation the groups of the rule are named, however long it takes', () => {
  for (const later of [0, 86_400_000]) expect(askedFor(held({}), NOW + later)).toEqual({ groups: ['dba'], later: '' });
});

test('an escalation to come is named with its instant, and afterwards its groups stand beside the first', () => {
  const escalating = held({ escalate: { afterMs: 60_000, groups: ['on-call', 'dba'] } });
  expect(askedFor(escalating, NOW + 59_999)).toEqual({
    groups: ['dba'],
    later: 'From 2026-01-07T12:01:00Z on on-call may answer, too.',
  });
  expect(askedFor(escalating, NOW + 60_000)).toEqual({ groups: ['dba', 'on-call'], later: '' });
});

test('in quiet hours those of the escalation are named at once', () => {
  expect(askedFor(held({ escalate: { afterMs: 0, groups: ['on-call'] } }), NOW)).toEqual({
    groups: ['dba', 'on-call'],
    later: '',
  });
});
