import { describe, expect, test } from 'vitest';
import { checkPolicy } from './check.ts';
import { PolicyDocumentError, parsePolicyDocument, renderDuration, renderPolicyDocument } from './document.ts';

const WHOLE = `kind: Policy
name: payments-prod
subjects: { groups: [payments-bots] }
resources: { labels: { env: prod } }
rules:
  - name: no-ddl
    when: sql.effects.exists(e, e == "ddl")
    verdict: deny
    message: Schema changes go through migrations.
  - name: bulk-delete
    when: sql.statements.exists(s, s.kind == "delete" && !s.filtered)
    unless: principal.name == "nightly-etl"
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 10m }
masks:
  - { columns: [public.customers.ssn], with: redact }
  - { detect: [payment_card, email], with: partial }
`;

function problems(source: string): readonly string[] {
  try {
    parsePolicyDocument(source, 'p.yaml');
  } catch (error) {
    if (!(error instanceof PolicyDocumentError)) throw error;
    return error.problems.map(({ line, column, field, message }) => `${line}:${column} ${field}: ${message}`);
  }
  return [];
}

const withRule = (rule: string): string => `kind: Policy\nname: p\nrules:\n  - ${rule.replaceAll('\n', '\n    ')}\n`;

test('a whole document becomes a policy, and is the same when written out again', () => {
  const policy = parsePolicyDocument(WHOLE, 'p.yaml', { id: 'id', projectId: 'project' });
  expect(policy).toMatchObject({
    id: 'id',
    projectId: 'project',
    mode: 'enforce',
    rules: [{ name: 'no-ddl', mode: 'enforce' }, { approval: { groups: ['dba'], count: 1, expiresMs: 600_000 } }],
  });
  const again = parsePolicyDocument(renderPolicyDocument(policy), 'again', { id: 'id', projectId: 'project' });
  expect(again).toEqual(policy);
  expect(checkPolicy(policy)).toEqual([]);
});

test('a rule that reads facts of a later release is refused with that reason, at its line', () => {
  const source = withRule(
    'name: many\nwhen: sql.effects.exists(e, e == "write") && plan.rows > 1000\nverdict: hold\napproval: { groups: [dba] }',
  );
  expect(problems(source)).toEqual(['5:50 rules[0].when: `plan.*` arrives later: a rule cannot read it yet']);
});

describe('what is wrong is named with its line and field', () => {
  test.each([
    ['kind: Grant\nname: p', '1:7 kind: one of Policy is expected'],
    ['kind: Policy\nname: p\nrulez: []', '3:8 rulez: unknown field'],
    ['kind: Policy', '1:1 name: a text is expected, not undefined'],
    ['kind: Policy\nname: P', '2:7 name: lower-case letters, digits and dashes, at most 63'],
    [withRule('name: r\nverdict: deny'), '4:5 rules[0].when: a text is expected, not undefined'],
    [withRule('name: r\nwhen: sql.emial\nverdict: deny'), '5:15 rules[0].when: No such key: emial'],
    [withRule('name: r\nwhen: sqll.count > 1\nverdict: deny'), '5:11 rules[0].when: Unknown variable: sqll'],
    [withRule('name: r\nwhen: sql.count\nverdict: deny'), '5:11 rules[0].when: gives int, not true or false'],
    [withRule('name: r\nwhen: sql.count > "1"\nverdict: deny'), '5:11 rules[0].when: no such overload: int > string'],
    [
      withRule('name: r\nwhen: principal.name.matches("a+")\nverdict: deny'),
      '5:11 rules[0].when: `matches` is not offered: use text.re("pattern"), which takes linear time',
    ],
    [
      withRule('name: r\nwhen: principal.name.re(resource.name)\nverdict: deny'),
      '5:11 rules[0].when: the pattern of `re` is a literal text',
    ],
    [withRule('name: r\nwhen: 1 > 2\nverdict: deny'), '5:11 rules[0].when: is never true, so the rule is dead'],
    [
      withRule('name: r\nwhen: sql.count > 1 && false\nverdict: deny'),
      '5:11 rules[0].when: is never true, so the rule is dead',
    ],
    [
      withRule('name: r\nwhen: sql.count > 1\nunless: true || sql.count > 2\nverdict: deny'),
      '6:13 rules[0].unless: is always true, so the rule is dead',
    ],
    [
      withRule('name: r\nwhen: sql.count > 1\nunless: sql.count > 1\nverdict: deny'),
      '6:13 rules[0].unless: is the same as `when`, so the rule is dead',
    ],
    [withRule('name: r\nwhen: "true"\nverdict: hold'), '4:5 rules[0].approval: a hold says who may approve it'],
    [
      withRule('name: r\nwhen: "true"\nverdict: deny\napproval: { groups: [dba] }'),
      '7:15 rules[0].approval: goes with `hold`, not with `deny`',
    ],
    [
      withRule('name: r\nwhen: "true"\nverdict: hold\napproval: { groups: [dba], expires: 10 }'),
      '7:41 rules[0].approval.expires: a duration is expected, as 30s, 10m or 24h',
    ],
    [
      withRule('name: r\nwhen: "true"\nverdict: hold\napproval: { groups: [dba], count: 0 }'),
      '7:39 rules[0].approval.count: from 1 to 10',
    ],
    [withRule('name: r\nwhen: "true"\nverdict: stop'), '6:14 rules[0].verdict: one of allow, hold, deny is expected'],
    [
      'kind: Policy\nname: p\nmasks:\n  - { with: redact }',
      '4:5 masks[0]: a mask names columns, detectors, json paths, headers or kubernetes objects',
    ],
    [
      'kind: Policy\nname: p\nmasks:\n  - { columns: [ssn], with: redact }',
      '4:17 masks[0].columns[0]: is written schema.table.column',
    ],
    [
      'kind: Policy\nname: p\nresources: { labels: {} }',
      '3:22 resources.labels: no label matches nothing; leave the field out for every resource',
    ],
  ])('%#', (source, problem) => {
    expect(problems(source)).toEqual([problem]);
  });

  test('all of them at once', () => {
    const source = `${withRule('name: r\nwhen: a\nverdict: deny')}  - name: r\n    when: b\n    verdict: deny\n`;
    expect(problems(source)).toHaveLength(3);
  });

  test('in a block scalar at the line of the mistake', () => {
    expect(problems(withRule('name: r\nwhen: |\n  sql.count > 1 &&\n  sql.nothing\nverdict: deny'))[0]).toMatch(/^7:/);
  });

  test('YAML itself', () => {
    expect(problems('kind: [')).toHaveLength(1);
    expect(problems('kind: Policy\nname: p\nname: q')).toHaveLength(1);
    expect(problems('a: &a [1]\nb: *a')).toHaveLength(1);
    expect(problems('kind: Policy\nname: p\n---\nkind: Policy\nname: q')).toHaveLength(1);
    expect(problems(`kind: Policy\nname: p # ${'x'.repeat(300_000)}`)).toHaveLength(1);
  });
});

test('a rule that an earlier one covers is dead, one that is stricter is not', () => {
  const pair = (first: string, second: string): string =>
    `kind: Policy\nname: p\nrules:\n  - { name: a, when: sql.count > 1, verdict: ${first} }\n  - { name: b, when: sql.count  >  1, verdict: ${second} }\n`;
  expect(problems(pair('deny', 'allow'))).toHaveLength(1);
  expect(problems(pair('allow', 'deny'))).toEqual([]);
});

test('conditions are bounded in size and in nested loops', () => {
  expect(problems(withRule(`name: r\nwhen: sql.count > ${'1 + '.repeat(2_000)}1\nverdict: deny`))).toHaveLength(1);
  expect(problems(withRule(`name: r\nwhen: ${'sql.count > 1 && '.repeat(200)}true\nverdict: deny`))).toHaveLength(1);
  const loops = 'sql.statements.exists(a, sql.statements.exists(b, sql.statements.exists(c, c.kind == a.kind)))';
  expect(problems(withRule(`name: r\nwhen: ${loops}\nverdict: deny`))).toHaveLength(1);
});

test('patterns are RE2 and take linear time', () => {
  expect(problems(withRule('name: r\nwhen: principal.name.re("(a+)+$")\nverdict: deny'))).toEqual([]);
  expect(problems(withRule('name: r\nwhen: principal.name.re("(?=a)")\nverdict: deny'))).toHaveLength(1);
});

test('durations are written in the largest unit', () => {
  expect([1_000, 60_000, 600_000, 5_400_000, 86_400_000].map(renderDuration)).toEqual(['1s', '1m', '10m', '90m', '1d']);
});

test('a mask with YAML’s null shows NULL', () => {
  const read = parsePolicyDocument('kind: Policy\nname: p\nmasks:\n  - { columns: [a.b.c], with: null }', 'p.yaml', {
    id: 'p',
    projectId: 'default',
  });
  expect(JSON.stringify(read)).toContain('"with":"null"');
});

test('a name that every object has, and characters that turn text round, are refused with their line', () => {
  const base =
    'kind: Policy\nname: p\nresources: { labels: { LABEL: a } }\nrules:\n  - { name: r, when: sql.count > 1, verdict: deny }\n';
  const lineOf = (text: string): number | undefined => {
    try {
      parsePolicyDocument(text, 'p.yaml', { id: 'p', projectId: 'default' });
      return undefined;
    } catch (error) {
      return error instanceof PolicyDocumentError ? error.problems[0]?.line : -1;
    }
  };
  expect(lineOf(base.replace('LABEL', 'env'))).toBeUndefined();
  for (const name of ['__proto__', 'constructor', '"prototype"']) expect(lineOf(base.replace('LABEL', name))).toBe(3);
  expect(lineOf(`${base}# \u202E deny\n`)).toBe(6);
});
