/** What an access review leaves of a grant, by the clock that is handed in: nothing here asks a control plane. */
import type { Grant, Resource, Statement } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import {
  ADA,
  approval as approved,
  BOT,
  bundle,
  grant as granted,
  NOW,
  RESOURCE,
  session,
  statement,
  USAGE,
} from './engine.fixture.ts';
import { loadBundlePolicies } from './engine.ts';

const BEN = { id: 'p-ben', name: 'ben', kind: 'person' } as const;
const grant = (more: Partial<Grant> = {}): Grant => granted({ effects: ['read', 'write'], ...more });
const engineOf = (grants: readonly Grant[], resource: Partial<Resource> = {}) =>
  loadBundlePolicies(bundle({ resources: [{ ...RESOURCE, ...resource }], grants }));
const ask = (effects: Statement['effects'], nowMs = NOW, of = session()) => ({
  session: of,
  statement: statement(undefined, effects),
  usage: USAGE,
  nowMs,
});

describe('a grant whose review has a deadline', () => {
  test('holds until the deadline and is denied from that millisecond on', () => {
    const engine = engineOf([grant({ reviewedUntil: NOW + 1_000, afterReview: 'deny' })]);
    const one = session();
    expect(engine.decide(ask(['write'], NOW + 999, one)).kind).toBe('allow');
    expect(engine.decide(ask(['write'], NOW + 1_000, one))).toMatchObject({ kind: 'deny', code: 'grant.unreviewed' });
    expect(engine.effectsFor(one, NOW + 1_000)).toEqual([]);
    expect(engine.rolesFor(one, NOW + 1_000)).toEqual([]);
  });

  test('is held, in sessions that open, where the campaign says so, and a person’s yes lets it through', () => {
    const engine = engineOf([grant({ reviewedUntil: NOW, afterReview: 'hold' })]);
    expect(engine.effectsFor(session(), NOW)).toEqual(['read', 'write']);
    expect(engine.readOnly(session(), NOW)).toBe(false);
    expect(engine.rolesFor(session(), NOW)).toEqual(['app']);
    expect(engine.decide(ask(['read']))).toMatchObject({ kind: 'hold', rule: 'review' });
    const approval = approved({ by: [BEN], expiresAt: NOW + 1_000 });
    expect(engine.decide({ ...ask(['read']), approval })).toMatchObject({ kind: 'allow', rule: 'review' });
  });

  test('that says nothing of what comes after is denied', () => {
    expect(engineOf([grant({ reviewedUntil: NOW })]).decide(ask(['read']))).toMatchObject({ code: 'grant.unreviewed' });
  });

  test('another grant still gives what it gives', () => {
    const engine = engineOf([
      grant({ reviewedUntil: NOW, afterReview: 'deny' }),
      grant({ id: 'g-2', effects: ['read'] }),
    ]);
    expect(engine.decide(ask(['read'])).kind).toBe('allow');
    expect(engine.decide(ask(['write']))).toMatchObject({ kind: 'deny', code: 'grant.unreviewed' });
    expect(engine.readOnly(session(), NOW)).toBe(true);
  });

  test('a lapsed break-glass grant breaks no glass', () => {
    const glass = grant({ kind: 'break_glass', reviewedUntil: NOW, afterReview: 'hold' });
    expect(engineOf([glass]).decide(ask(['write']))).toMatchObject({ kind: 'hold', rule: 'review' });
  });
});

describe('effects that the last review did not confirm', () => {
  test.each([
    ['deny', { kind: 'deny', code: 'grant.unreviewed' }],
    ['hold', { kind: 'hold', rule: 'review' }],
  ] as const)('are met with %s, and the confirmed ones are not', (afterReview, beyond) => {
    const engine = engineOf([grant({ effects: ['read', 'write'], confirmed: ['read'], afterReview })]);
    expect(engine.decide(ask(['read'])).kind).toBe('allow');
    expect(engine.decide(ask(['read', 'write']))).toMatchObject(beyond);
    expect(engine.decide(ask(['ddl']))).toMatchObject({ kind: 'deny', code: 'grant.exceeded' });
  });

  test('are denied even where the resource holds what exceeds a grant', () => {
    const engine = engineOf([grant({ confirmed: ['read'], afterReview: 'deny' })], { exceeded: 'hold' });
    expect(engine.decide(ask(['write']))).toMatchObject({ kind: 'deny', code: 'grant.unreviewed' });
    expect(engine.decide(ask(['ddl']))).toMatchObject({ kind: 'hold', rule: 'grant' });
  });

  test('confirming what the grant does not give gives nothing', () => {
    const engine = engineOf([grant({ effects: ['read'], confirmed: ['read', 'ddl'] })]);
    expect(engine.effectsFor(session(), NOW)).toEqual(['read']);
  });
});

test('who acts for another is bound by the reviews of both', () => {
  const both = session({ principal: BOT, onBehalfOf: ADA });
  const mine = grant({ id: 'g-2', principal: BOT.id });
  const decided = (theirs: Partial<Grant>) => engineOf([mine, grant(theirs)]).decide(ask(['write'], NOW, both));
  expect(decided({}).kind).toBe('allow');
  expect(decided({ reviewedUntil: NOW, afterReview: 'deny' })).toMatchObject({ code: 'grant.unreviewed' });
  expect(decided({ reviewedUntil: NOW, afterReview: 'hold' })).toMatchObject({ kind: 'hold', rule: 'review' });
  const held = grant({ reviewedUntil: NOW, afterReview: 'hold' });
  const denied = grant({ id: 'g-2', principal: BOT.id, reviewedUntil: NOW, afterReview: 'deny' });
  expect(engineOf([denied, held]).decide(ask(['read'], NOW, both))).toMatchObject({ code: 'grant.unreviewed' });
});
