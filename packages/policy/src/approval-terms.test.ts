/** What rules may say about approvals beyond who answers, and budgets: read, checked, written again, and decided by. */
import { type Approval, type Policy, WEEKDAYS } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { SessionMeters } from './budgets.ts';
import { PolicyDocumentError, parsePolicyDocument, problemLine, renderPolicyDocument } from './document.ts';
import { ADA, approval, BOB, bundle, NOW, session, sql, statement, USAGE } from './engine.fixture.ts';
import { type DecisionInput, loadBundlePolicies } from './engine.ts';
import { quietUntil } from './quiet-hours.ts';

const HOUR = 3_600_000;
const EVE = { id: 'p-eve', name: 'eve', kind: 'person' } as const;
const SRE = { id: 'p-sre', name: 'sre', kind: 'person' } as const;

const policy = (approval: string, more = ''): Policy =>
  parsePolicyDocument(
    `kind: Policy\nname: p\nrules:\n  - name: r\n    when: "true"\n    verdict: hold\n    approval: ${approval}\n${more}`.replace(
      'when: "true"',
      'when: sql.count > 0',
    ),
    'p.yaml',
    { id: 'p', projectId: 'default' },
  );
const DELETES = statement(sql({ kind: 'delete', effects: ['write'], filtered: true, end: 1 }), ['write'], {
  text: 'delete from t where id = 1',
});

const engineOf = (of: Policy) =>
  loadBundlePolicies(
    bundle({
      policies: [of],
      groups: [
        { name: 'dba', projectId: 'default', members: [BOB.id] },
        { name: 'sre', projectId: 'default', members: [SRE.id] },
      ],
    }),
  );
const decide = (of: Policy, more: Partial<DecisionInput> = {}) =>
  engineOf(of).decide({ session: session(), statement: DELETES, usage: USAGE, nowMs: NOW, ...more });
const yes = (more: Partial<Approval> = {}): Approval => approval({ expiresAt: NOW + HOUR, ...more });

describe('a document', () => {
  const FULL = `kind: Policy
name: p
rules:
  - name: r
    when: sql.count > 0
    verdict: hold
    approval:
      groups:
        - dba
      count: 1
      expires: 20m
      shape:
        for: 30m
        rows: 100
      require_reason: true
      escalate:
        after: 5m
        groups:
          - sre
      quiet_hours:
        zone: Europe/Berlin
        from: 18:00
        to: 08:30
        days:
          - sat
          - sun
        action: escalate
budgets:
  - name: loop
    per: session
    every: 1m
    statements: 300
    exceeded: deny
  - name: daily
    per: principal
    every: 1d
    writes: 50
    rows: 100000
    bytes: 1000000
    time: 8h
    exceeded: hold
    approval:
      groups:
        - dba
      count: 1
      expires: 10m
    message: Ask first.
`;

  test('is read and written again alike', () => {
    const read = parsePolicyDocument(FULL, 'p.yaml');
    expect(read.rules[0]!.approval).toEqual({
      groups: ['dba'],
      count: 1,
      expiresMs: 20 * 60_000,
      shape: { forMsMax: 30 * 60_000, rowsMax: 100 },
      requireReason: true,
      escalate: { afterMs: 5 * 60_000, groups: ['sre'] },
      quietHours: { zone: 'Europe/Berlin', from: 18 * 60, to: 8 * 60 + 30, days: ['sat', 'sun'], action: 'escalate' },
    });
    expect(read.budgets?.[1]?.limits).toEqual({ writes: 50, rows: 100_000, bytes: 1_000_000, seconds: 28_800 });
    expect(parsePolicyDocument(renderPolicyDocument(read), 'p.yaml')).toEqual(read);
  });

  test('without budgets is what it was before there were any', () => {
    expect('budgets' in policy('{ groups: [dba] }')).toBe(false);
  });

  test.each([
    ['{ groups: [dba], shape: { for: 25h, rows: 5 } }', 'p.yaml:7:46: rules[0].approval.shape.for'],
    ['{ groups: [dba], shape: { for: 5m, rows: 0 } }', 'rules[0].approval.shape.rows'],
    ['{ groups: [dba], shape: { for: 5m } }', 'rules[0].approval.shape'],
    ['{ groups: [dba], escalate: { after: 10m, groups: [sre] } }', 'rules[0].approval.escalate.after'],
    ['{ groups: [dba], escalate: { after: 1m, groups: [] } }', 'rules[0].approval.escalate.groups'],
    ['{ groups: [], escalate: { after: 1m, groups: [sre] } }', 'rules[0].approval.escalate'],
    [
      '{ groups: [dba], quiet_hours: { zone: Mars/Phobos, days: [sun], action: deny } }',
      'rules[0].approval.quiet_hours.zone',
    ],
    ['{ groups: [dba], quiet_hours: { zone: UTC, from: "18:00", action: deny } }', 'rules[0].approval.quiet_hours'],
    [
      '{ groups: [dba], quiet_hours: { zone: UTC, from: "25:00", to: "08:00", action: deny } }',
      'rules[0].approval.quiet_hours.from',
    ],
    ['{ groups: [dba], quiet_hours: { zone: UTC, action: deny } }', 'rules[0].approval.quiet_hours'],
    [
      '{ groups: [dba], quiet_hours: { zone: UTC, days: [sun], action: escalate } }',
      'rules[0].approval.quiet_hours.action',
    ],
    [
      '{ groups: [dba], quiet_hours: { zone: UTC, days: [funday], action: deny } }',
      'rules[0].approval.quiet_hours.days[0]',
    ],
    ['{ groups: [dba], requireReason: true }', 'rules[0].approval.requireReason'],
    ['{ groups: [dba] }\nbudgets:\n  - { name: b }', 'budgets[0]'],
    ['{ groups: [dba] }\nbudgets:\n  - { name: b, per: principal, rows: 5 }', 'budgets[0].every'],
    ['{ groups: [dba] }\nbudgets:\n  - { name: b, rows: 0 }', 'budgets[0].rows'],
    ['{ groups: [dba] }\nbudgets:\n  - { name: b, rows: 5, every: 60d }', 'budgets[0].every'],
    ['{ groups: [dba] }\nbudgets:\n  - { name: b, rows: 5, exceeded: hold }', 'budgets[0].approval'],
    ['{ groups: [dba] }\nbudgets:\n  - { name: b, rows: 5, approval: { groups: [] } }', 'budgets[0].approval'],
    [
      '{ groups: [dba] }\nbudgets:\n  - { name: b, rows: 5 }\n  - { name: b, rows: 6 }',
      'p.yaml:10:13: budgets[1].name',
    ],
    ['{ groups: [dba] }\nbudgets:\n  - { name: b, lines: 5 }', 'budgets[0].lines'],
  ])('%s is refused with its place', (approval, place) => {
    let said: readonly string[] = [];
    try {
      policy(approval);
    } catch (error) {
      said = (error as PolicyDocumentError).problems.map(problemLine);
    }
    expect(
      said.some((line) => line.includes(place)),
      said.join('\n'),
    ).toBe(true);
  });
});

describe('a reason', () => {
  test('is asked for before anybody is, and how to give it is said', () => {
    const of = policy('{ groups: [dba], require_reason: true }');
    const verdict = decide(of);
    expect(verdict).toMatchObject({ kind: 'deny', code: 'approval.reason_required', rule: 'p/r' });
    expect(verdict.kind === 'deny' && verdict.message).toContain('SET sallyport.reason');
    expect(decide(of, { reason: 'T-1' })).toMatchObject({ kind: 'hold' });
    expect(decide(of, { approval: yes() })).toMatchObject({ kind: 'allow' });
  });
});

describe('quiet hours', () => {
  const night = (action: string) =>
    policy(
      `{ groups: [dba], expires: 10m, escalate: { after: 5m, groups: [sre] }, quiet_hours: { zone: Europe/Berlin, from: "18:00", to: "08:00", action: ${action} } }`,
    );
  const EVENING = Date.parse('2026-01-07T17:30:00Z');

  test('are those of their zone, over midnight, with its summer time', () => {
    const quiet = { zone: 'Europe/Berlin', from: 18 * 60, to: 8 * 60, action: 'deny' } as const;
    expect(quietUntil(quiet, Date.parse('2026-01-07T16:59:59Z'))).toBeUndefined();
    expect(quietUntil(quiet, Date.parse('2026-01-07T17:00:00Z'))).toBe(Date.parse('2026-01-08T07:00:00Z'));
    expect(quietUntil(quiet, Date.parse('2026-07-07T16:00:00Z'))).toBe(Date.parse('2026-07-08T06:00:00Z'));
    // The night the clocks go forward: 8 o'clock comes an hour sooner.
    expect(quietUntil(quiet, Date.parse('2026-03-28T20:00:00Z'))).toBe(Date.parse('2026-03-29T06:00:00Z'));
  });

  test('of whole days run into the hours before and after', () => {
    const quiet = { zone: 'UTC', from: 18 * 60, to: 8 * 60, days: ['sat', 'sun'], action: 'deny' } as const;
    expect(quietUntil(quiet, Date.parse('2026-01-09T19:00:00Z'))).toBe(Date.parse('2026-01-12T08:00:00Z'));
  });

  test('a gap of a minute between quiet hours is found', () => {
    const nearly = { zone: 'Europe/Berlin', from: 0, to: 23 * 60 + 59, action: 'deny' } as const;
    expect(quietUntil(nearly, Date.parse('2026-01-07T12:34:56Z'))).toBe(Date.parse('2026-01-07T22:59:00Z'));
    const odd = { zone: 'Asia/Kathmandu', from: 10 * 60 + 7, to: 10 * 60 + 3, action: 'deny' } as const;
    expect(quietUntil(odd, Date.parse('2026-01-07T12:34:56Z'))).toBe(Date.parse('2026-01-08T04:18:00Z'));
  });

  test('quiet hours that leave no gap end at some day all the same', () => {
    const now = Date.parse('2026-01-07T12:34:56Z');
    const always = { zone: 'UTC', days: [...WEEKDAYS], action: 'deny' } as const;
    expect(quietUntil(always, now)).toBeLessThan(now + 9 * 86_400_000);
  });

  test('deny, and say until when', () => {
    expect(decide(night('deny'), { nowMs: EVENING })).toMatchObject({
      kind: 'deny',
      code: 'approval.quiet',
      resetAt: Date.parse('2026-01-08T07:00:00Z'),
    });
    expect(decide(night('deny'), { nowMs: NOW })).toMatchObject({ kind: 'hold' });
  });

  test('wait until they are over, and the rule’s own time from there', () => {
    const verdict = decide(night('wait'), { nowMs: EVENING });
    expect(verdict.kind === 'hold' && verdict.approval.expiresMs).toBe(Date.parse('2026-01-08T07:10:00Z') - EVENING);
  });

  test('escalate at once', () => {
    const verdict = decide(night('escalate'), { nowMs: EVENING });
    expect(verdict.kind === 'hold' && verdict.approval.escalate).toEqual({ afterMs: 0, groups: ['sre'] });
  });
});

describe('an answer', () => {
  const escalating = policy('{ groups: [dba], expires: 10m, escalate: { after: 5m, groups: [sre] } }');

  test('of an escalated group counts only when the request was escalated, and to a group of the rule', () => {
    expect(decide(escalating, { approval: yes({ by: [SRE] }) })).toMatchObject({ kind: 'hold' });
    expect(decide(escalating, { approval: yes({ by: [SRE], escalatedTo: ['sre'] }) })).toMatchObject({ kind: 'allow' });
    const plain = policy('{ groups: [dba] }');
    expect(decide(plain, { approval: yes({ by: [SRE], escalatedTo: ['sre'] }) })).toMatchObject({ kind: 'hold' });
  });

  test('from a seat counts when the seat’s owner may answer; each person and each seat once; never the asker’s', () => {
    const one = policy('{ groups: [dba] }');
    const from = (of: typeof BOB | typeof SRE | typeof ADA) => yes({ by: [EVE], seats: [{ by: EVE.id, of }] });
    expect(decide(one, { approval: yes({ by: [EVE] }) })).toMatchObject({ kind: 'hold' });
    expect(decide(one, { approval: from(BOB) })).toMatchObject({ kind: 'allow' });
    expect(decide(one, { approval: from(SRE) })).toMatchObject({ kind: 'hold' });
    expect(decide(policy('{ groups: [] }'), { approval: from(ADA) })).toMatchObject({ kind: 'hold' });
    const two = policy('{ groups: [dba], count: 2 }');
    expect(decide(two, { approval: yes({ by: [BOB, EVE], seats: [{ by: EVE.id, of: BOB }] }) })).toMatchObject({
      kind: 'hold',
    });
    expect(decide(one, { approval: yes({ by: [ADA], seats: [{ by: ADA.id, of: BOB }] }) })).toMatchObject({
      kind: 'hold',
    });
  });

  describe('for a shape', () => {
    const shaped = policy('{ groups: [dba], shape: { for: 30m, rows: 10 } }');
    const shape = { digest: 'shape-1', rowsMax: 10, database: 'shop', role: 'app' };
    const approval = yes({ scope: 'shape', digest: 'another', shape });

    test('allows with its bound, for that shape', () => {
      expect(decide(shaped, { approval, shape: 'shape-1' })).toMatchObject({ kind: 'allow', rowsMax: 10 });
    });

    test.each([
      ['another shape', {}, { shape: 'shape-2' }],
      ['a statement without one', {}, {}],
      ['another database', { shape: { ...shape, database: 'x' } }, { shape: 'shape-1' }],
      ['another role', { shape: { ...shape, role: 'x' } }, { shape: 'shape-1' }],
      ['another session', { shape: { ...shape, sessionId: 's-2' } }, { shape: 'shape-1' }],
      ['another principal', { principalId: 'p-x' }, { shape: 'shape-1' }],
      ['another resource', { resourceId: 'r-2' }, { shape: 'shape-1' }],
      ['a time that is over', { expiresAt: NOW }, { shape: 'shape-1' }],
      ['more rows than the rule allows now', { shape: { ...shape, rowsMax: 11 } }, { shape: 'shape-1' }],
      ['a longer time than the rule allows now', { answeredAt: NOW - 31 * 60_000 }, { shape: 'shape-1' }],
      ['the very digest, without the shape', { digest: 'd-1' }, {}],
      ['an approver who has left the group', { by: [EVE] }, { shape: 'shape-1' }],
    ])('%s is held', (_what, wrong, input) => {
      expect(decide(shaped, { approval: { ...approval, ...wrong }, ...input })).toMatchObject({ kind: 'hold' });
    });

    test('a rule that allows none is not answered by one', () => {
      expect(decide(policy('{ groups: [dba] }'), { approval, shape: 'shape-1' })).toMatchObject({ kind: 'hold' });
    });
  });
});

describe('budgets', () => {
  const of = (text: string): Policy =>
    parsePolicyDocument(`kind: Policy\nname: p\nbudgets:\n  - ${text}\n`, 'p.yaml', { id: 'p', projectId: 'default' });
  const budgetsOf = (p: Policy) => engineOf(p).budgetsFor(session());
  const standing = (p: Policy, resetAt?: number) => ({ budget: budgetsOf(p)[0]!, resetAt });

  test('one that denies says so with the time it starts anew', () => {
    const p = of('{ name: b, every: 1m, statements: 1 }');
    expect(decide(p, { budget: standing(p, NOW + 30_000) })).toMatchObject({
      kind: 'deny',
      rule: 'p/b',
      code: 'budget.exceeded',
      resetAt: NOW + 30_000,
      message: 'The budget p/b is used up. It starts anew at 2026-01-07T12:00:30Z.',
    });
  });

  test('one that holds is answered by an approval, for one statement', () => {
    const p = of('{ name: b, statements: 1, exceeded: hold, approval: { groups: [dba] } }');
    expect(decide(p, { budget: standing(p) })).toMatchObject({ kind: 'hold', rule: 'p/b' });
    expect(decide(p, { budget: standing(p), approval: yes() })).toMatchObject({ kind: 'allow' });
    expect(decide(p, { budget: standing(p), approval: yes({ by: [EVE] }) })).toMatchObject({ kind: 'hold' });
  });

  test('one in shadow is recorded and lets pass', () => {
    const p: Policy = { ...of('{ name: b, statements: 1 }'), mode: 'shadow' };
    expect(decide(p, { budget: standing(p) })).toMatchObject({
      kind: 'allow',
      shadow: [{ rule: 'p/b', verdict: 'deny' }],
    });
  });

  test('a meter counts from the session’s beginning in its first window, and anew in the next', () => {
    const p = of('{ name: b, every: 1m, statements: 2, writes: 1 }');
    const meters = new SessionMeters(NOW);
    meters.bind(budgetsOf(p));
    const usage = { statements: 0, writes: 0, rows: 0, bytes: 0 };
    expect(meters.exceeded(usage, ['read'], NOW)).toBeUndefined();
    usage.statements = 1;
    usage.writes = 1;
    expect(meters.exceeded(usage, ['read'], NOW)).toBeUndefined();
    expect(meters.exceeded(usage, ['write'], NOW)).toMatchObject({ resetAt: NOW + 60_000 });
    usage.statements = 2;
    expect(meters.exceeded(usage, ['read'], NOW + 59_999)).toBeDefined();
    expect(meters.exceeded(usage, ['write'], NOW + 60_000)).toBeUndefined();
    // Bound again by another bundle: what was counted stays.
    usage.statements = 4;
    meters.bind(budgetsOf(of('{ name: b, every: 1m, statements: 2, writes: 1 }')));
    expect(meters.exceeded(usage, ['read'], NOW + 60_001)).toBeDefined();
  });

  test('one that denies comes before one that holds', () => {
    const p = parsePolicyDocument(
      'kind: Policy\nname: p\nbudgets:\n  - { name: soft, statements: 1, exceeded: hold, approval: { groups: [dba] } }\n  - { name: hard, statements: 1 }\n',
      'p.yaml',
      { id: 'p', projectId: 'default' },
    );
    const meters = new SessionMeters(NOW);
    meters.bind(budgetsOf(p));
    const found = meters.exceeded({ statements: 1, writes: 0, rows: 0, bytes: 0 }, ['read'], NOW);
    expect(found?.budget.id).toBe('p/hard');
  });
});
