/** Who and what answers a hold: an approval, or break-glass. */
import type { Approval } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { ADA, approval, ask, BOB, BOT, bundle, DELETE, grant, HOLD_DELETES, NOW, policy } from './engine.fixture.ts';
import { loadBundlePolicies } from './engine.ts';

describe('an approval', () => {
  const engine = loadBundlePolicies(bundle({ policies: [HOLD_DELETES] }));
  const with_ = (more: Partial<Approval>, of = engine) =>
    of.decide(ask(DELETE, ['write'], { approval: approval(more) }));

  test('is asked for with the rule’s groups, count and time', () => {
    expect(engine.decide(ask(DELETE, ['write']))).toEqual({
      kind: 'hold',
      rule: 'p/bulk',
      message: 'Bulk.',
      approval: { groups: ['dba'], count: 1, expiresMs: 300_000 },
    });
  });
  test('turns the hold into allow, by the rule it answers', () => {
    expect(with_({})).toMatchObject({ kind: 'allow', rule: 'p/bulk' });
  });
  test.each<[string, Partial<Approval>]>([
    ['refused', { granted: false }],
    ['expired', { expiresAt: NOW }],
    ['of another statement', { digest: 'd-2' }],
    ['of another resource', { resourceId: 'r-2' }],
    ['of another principal', { principalId: BOT.id }],
    ['by nobody', { by: [] }],
    ['by the one who asked', { by: [ADA] }],
    ['by someone of no accepted group', { by: [{ id: 'p-x', name: 'x', kind: 'person' }] }],
    ['by no person', { by: [{ ...BOB, kind: 'service' }] }],
  ])('that is %s leaves the hold', (_, more) => {
    expect(with_(more).kind).toBe('hold');
  });
  test('counts persons, not answers', () => {
    const two = loadBundlePolicies(
      bundle({
        policies: [
          policy('rules:\n  - { name: r, when: sql.count > 0, verdict: hold, approval: { groups: [dba], count: 2 } }'),
        ],
      }),
    );
    expect(with_({ by: [BOB, BOB] }, two).kind).toBe('hold');
    expect(with_({ by: [BOB, { id: 'p-eve', name: 'eve', kind: 'person' }] }, two).kind).toBe('allow');
  });
  test('never turns a denial', () => {
    const strict = loadBundlePolicies(
      bundle({ policies: [HOLD_DELETES, policy('rules:\n  - { name: d, when: sql.count > 0, verdict: deny }', 'q')] }),
    );
    expect(with_({}, strict)).toMatchObject({ kind: 'deny', rule: 'q/d' });
  });
  test('for one of two holds is asked of a group both accept', () => {
    const second = policy(
      'rules:\n  - { name: r, when: sql.count > 0, verdict: hold, approval: { groups: [dba, security], count: 2, expires: 1m } }',
      'q',
    );
    const strict = loadBundlePolicies(bundle({ policies: [HOLD_DELETES, second] }));
    expect(strict.decide(ask(DELETE, ['write']))).toMatchObject({
      approval: { groups: ['dba'], count: 2, expiresMs: 60_000 },
    });
  });
  test('of one group does not answer the hold of another', () => {
    const second = policy(
      'rules:\n  - { name: r, when: sql.count > 0, verdict: hold, approval: { groups: [security] } }',
      'q',
    );
    const strict = loadBundlePolicies(bundle({ policies: [HOLD_DELETES, second] }));
    expect(with_({}, strict)).toMatchObject({ kind: 'hold', rule: 'q/r' });
  });
});

describe('break-glass', () => {
  const glass = grant({ id: 'g-2', kind: 'break_glass', effects: ['read', 'write'] });
  test('turns a hold into allow, by name, and never a denial', () => {
    const engine = loadBundlePolicies(bundle({ grants: [glass], policies: [HOLD_DELETES] }));
    expect(engine.decide(ask(DELETE, ['write']))).toMatchObject({ kind: 'allow', rule: 'break-glass:p/bulk' });
    const strict = loadBundlePolicies(
      bundle({ grants: [glass], policies: [policy('rules:\n  - { name: d, when: sql.count > 0, verdict: deny }')] }),
    );
    expect(strict.decide(ask(DELETE, ['write'])).kind).toBe('deny');
  });
  test('covers its own effects alone', () => {
    const engine = loadBundlePolicies(
      bundle({ grants: [grant(), { ...glass, effects: ['read'] }], policies: [HOLD_DELETES] }),
    );
    expect(engine.decide(ask(DELETE, ['write'])).kind).toBe('hold');
  });
});
