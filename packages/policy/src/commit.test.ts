/** Rules that hold a COMMIT: read, checked, written again, and decided by. */
import type { CommitWay, Effect, Resource, Statement, Verdict } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { commitsWithoutApprover } from './commit.ts';
import { PolicyDocumentError, parsePolicyDocument, renderPolicyDocument } from './document.ts';
import { ADA, approval, bundle, grant, NOW, RESOURCE, session, sql, statement, USAGE } from './engine.fixture.ts';
import { type DecisionInput, loadBundlePolicies } from './engine.ts';

const AT_COMMIT = '{ groups: [dba], at: commit, transaction: { open: 5m, statements: 3 } }';

const source = (approval: string, more = ''): string =>
  `kind: Policy\nname: p\nrules:\n  - name: r\n    when: sql.count > 0\n    verdict: hold\n    approval: ${approval}\n${more}`;
const policyOf = (text: string) => parsePolicyDocument(text, 'p.yaml', { id: 'p', projectId: 'default' });

const statementOf = (
  effects: readonly Effect[],
  commit: CommitWay | undefined,
  more: Partial<Statement> = {},
): Statement =>
  statement(sql({ kind: 'x', effects, filtered: true, end: 1 }), effects, {
    text: 'x',
    inTransaction: true,
    ...(commit === undefined ? {} : { commit }),
    ...more,
  });

interface Case extends Partial<DecisionInput> {
  readonly text?: string;
  readonly resource?: Partial<Resource>;
  readonly breakGlass?: readonly Effect[];
}
function decide(
  statement: Statement,
  { text = source(AT_COMMIT), resource = {}, breakGlass, ...input }: Case = {},
): Verdict {
  const engine = loadBundlePolicies(
    bundle({
      resources: [{ ...RESOURCE, ...resource }],
      policies: [policyOf(text)],
      grants: [
        grant({ effects: ['read', 'write', 'ddl', 'exec'] }),
        ...(breakGlass === undefined ? [] : [grant({ id: 'b', effects: breakGlass, kind: 'break_glass' })]),
      ],
    }),
  );
  return engine.decide({ session: session(), statement, usage: USAGE, nowMs: NOW, ...input });
}
const problems = (text: string): readonly string[] => {
  try {
    policyOf(text);
    return [];
  } catch (error) {
    return error instanceof PolicyDocumentError ? error.problems.map(({ field }) => field) : ['?'];
  }
};

describe('a document', () => {
  test('is read with its limits, or with those that stand for them, and written as it was', () => {
    expect(policyOf(source('{ groups: [dba], at: commit }')).rules[0]!.approval).toEqual({
      groups: ['dba'],
      count: 1,
      expiresMs: 600_000,
      commit: { openMsMax: 600_000, statementsMax: 100 },
    });
    const policy = policyOf(source(AT_COMMIT));
    expect(policyOf(renderPolicyDocument(policy))).toEqual(policy);
    expect(policyOf(source('{ groups: [dba], at: statement }')).rules[0]!.approval!.commit).toBeUndefined();
  });

  test.each([
    ['{ groups: [dba], transaction: { open: 5m } }', 'rules[0].approval.transaction'],
    ['{ groups: [dba], at: statement, transaction: { open: 5m } }', 'rules[0].approval.transaction'],
    ['{ groups: [dba], at: commit, transaction: { open: 2h } }', 'rules[0].approval.transaction.open'],
    ['{ groups: [dba], at: commit, transaction: { statements: 0 } }', 'rules[0].approval.transaction.statements'],
    ['{ groups: [dba], at: commit, shape: { for: 5m, rows: 1 } }', 'rules[0].approval.shape'],
    ['{ groups: [dba], at: end }', 'rules[0].approval.at'],
  ])('%s is refused', (approval, field) => expect(problems(source(approval))).toEqual([field]));

  test('a budget holds no COMMIT', () => {
    const budget = 'budgets:\n  - { name: b, writes: 1, exceeded: hold, approval: { groups: [dba], at: commit } }\n';
    expect(problems(source('{ groups: [dba] }', budget))).toEqual(['budgets[0].approval.at']);
  });
});

describe('a statement', () => {
  test('that writes runs, and its COMMIT waits for the rule', () => {
    const verdict = decide(statementOf(['write'], 'apart'));
    expect(verdict).toMatchObject({
      kind: 'allow',
      rule: 'p/r',
      untilCommit: [{ rule: 'p/r', approval: { groups: ['dba'] } }],
    });
  });
  test.each([
    ['commits by itself', 'itself', 'approval.transaction_required'],
    ['commits in a way nobody said', undefined, 'approval.transaction_required'],
    ['may commit unseen', 'unseen', 'statement.refused'],
  ] as const)('that %s is refused', (_what, commit, code) => {
    expect(decide(statementOf(['write'], commit))).toMatchObject({ kind: 'deny', rule: 'p/r', code });
    expect(decide(statementOf(['write'], commit, { preparation: true })).kind).toBe('allow');
  });
  test('that only reads waits before it runs', () => {
    expect(decide(statementOf(['read'], 'apart'))).toMatchObject({ kind: 'hold' });
  });
  test('that only begins or ends a transaction is nothing to the rule', () => {
    expect(decide(statementOf(['write'], 'control'))).toMatchObject({ kind: 'allow', rule: 'grant' });
  });
  test('beyond the number of the rule is refused', () => {
    expect(decide(statementOf(['write'], 'apart', { heldBefore: 2 })).kind).toBe('allow');
    expect(decide(statementOf(['write'], 'apart', { heldBefore: 3 }))).toMatchObject({
      code: 'approval.transaction_limit',
    });
  });
  test('waits now where another rule holds it, and then runs until its COMMIT', () => {
    const text = source(
      AT_COMMIT,
      '  - name: now\n    when: sql.count > -1\n    verdict: hold\n    approval: { groups: [dba] }\n',
    );
    const statement = statementOf(['write'], 'apart');
    expect(decide(statement, { text })).toMatchObject({ kind: 'hold', rule: 'p/now' });
    expect(decide(statement, { text, approval: approval() })).toMatchObject({
      kind: 'allow',
      untilCommit: [{ rule: 'p/r' }],
    });
  });
  test('is denied where a rule denies it, and allowed by name where glass is broken', () => {
    const text = source(AT_COMMIT, '  - name: never\n    when: sql.count > -1\n    verdict: deny\n');
    expect(decide(statementOf(['write'], 'apart'), { text })).toMatchObject({ kind: 'deny', rule: 'p/never' });
    const broken = decide(statementOf(['write'], 'apart'), { breakGlass: ['write'] });
    expect(broken).toMatchObject({ kind: 'allow', rule: 'break-glass:p/r' });
    expect(broken).not.toHaveProperty('untilCommit');
  });
  test('is only noted where the rule is in shadow', () => {
    const text = source(AT_COMMIT, '    mode: shadow\n');
    const verdict = decide(statementOf(['write'], 'itself'), { text });
    expect(verdict).toMatchObject({ kind: 'allow', shadow: [{ rule: 'p/r', verdict: 'hold' }] });
  });
  test('is refused at once where it lacks a reason, and where the resource answers by ticket', () => {
    const text = source('{ groups: [dba], at: commit, require_reason: true }');
    const statement = statementOf(['write'], 'apart');
    expect(decide(statement, { text })).toMatchObject({ code: 'approval.reason_required' });
    expect(decide(statement, { text, reason: 'INC-1' }).kind).toBe('allow');
    expect(decide(statement, { resource: { approval: 'ticket' } })).toMatchObject({
      code: 'approval.transaction_required',
    });
  });
});

const yes = approval({ digest: 'd-commit' });

describe('a COMMIT', () => {
  const spec = { groups: ['dba'], count: 1, expiresMs: 60_000, commit: { openMsMax: 1, statementsMax: 1 } };
  const commit = (effects: readonly Effect[] = ['write']): Statement =>
    statementOf([], 'control', {
      digest: 'd-commit',
      commits: {
        holds: [{ rule: 'p/r', approval: spec }],
        effects,
        work: { statements: [], count: 1, rows: 2, rowsRolledBack: 0, uncounted: 0, since: NOW },
      },
    });

  test('is held for what it would commit, and passes with an answer to that', () => {
    expect(decide(commit())).toMatchObject({ kind: 'hold', rule: 'p/r' });
    expect(decide(commit(), { approval: yes })).toMatchObject({ kind: 'allow', rule: 'p/r' });
    expect(decide(commit(), { approval: approval() }).kind).toBe('hold');
    expect(decide(commit(), { approval: { ...yes, by: [ADA] } }).kind).toBe('hold');
  });
  test('does not pass by glass that is broken for less than it did', () => {
    expect(decide(commit(), { breakGlass: ['read'] }).kind).toBe('hold');
    expect(decide(commit(), { breakGlass: ['write'] })).toMatchObject({ kind: 'allow', rule: 'break-glass:p/r' });
  });
});

describe('two rules that hold one COMMIT', () => {
  const spec = (group: string) => ({
    groups: [group],
    count: 1,
    expiresMs: 60_000,
    commit: { openMsMax: 1, statementsMax: 1 },
  });
  const held = (...groups: readonly string[]): Statement =>
    statementOf([], 'control', {
      digest: 'd-commit',
      commits: {
        holds: groups.map((group, i) => ({ rule: `p/r${i}`, approval: spec(group) })),
        effects: ['write'],
        work: { statements: [], count: 1, rows: 2, rowsRolledBack: 0, uncounted: 0, since: NOW },
      },
    });
  const policyFor = (name: string, groups: string, more = '') =>
    policyOf(source(`{ groups: [${groups}], at: commit }`).replace('name: p', `name: ${name}\n${more}`));
  const resource = { name: 'payments', labels: { env: 'prod' }, projectId: 'default' };

  test('are asked for together by a group of both, and nobody is asked where there is none', () => {
    expect(decide(held('dba', 'dba'))).toMatchObject({ kind: 'hold', approval: { groups: ['dba'] } });
    const refused = decide(held('dba', 'sre'));
    expect(refused).toMatchObject({ kind: 'deny', code: 'policy.denied' });
    expect(JSON.stringify(refused)).toMatch(/p\/r0, p\/r1/);
  });

  test('without a group of both are told of, where they may meet', () => {
    const told = (one: string, other: string, more?: string, resources = [resource]) =>
      commitsWithoutApprover(policyFor('a', one), [policyFor('b', other, more)], resources).length;
    expect(told('dba', 'sre')).toBe(1);
    expect(told('dba, sre', 'sre')).toBe(0);
    expect(told('dba', 'sre', 'mode: shadow')).toBe(0);
    expect(told('dba', 'sre', 'resources: { names: [other] }')).toBe(0);
    expect(told('dba', 'sre', undefined, [])).toBe(0);
  });
});
