/** What is told of rules that were asked. */
import type { Protocol, SqlFacts } from '@sallyport/model';
import { expect, test } from 'vitest';
import { ask, bundle, DELETE, HOLD_DELETES, policy, session } from './engine.fixture.ts';
import { loadBundlePolicies } from './engine.ts';

test('explain says of every rule what came of it', () => {
  const elsewhere = policy(
    'resources: { names: [orders] }\nrules:\n  - { name: r, when: sql.count > 0, verdict: deny }',
    'q',
  );
  const others = policy(
    'subjects: { groups: [dba] }\nrules:\n  - { name: r, when: sql.count > 0, verdict: deny }',
    's',
  );
  const engine = loadBundlePolicies(bundle({ policies: [HOLD_DELETES, elsewhere, others] }));
  const explained = engine.explain(ask(DELETE, ['write']));
  expect(explained.rules.map(({ rule, outcome }) => `${rule} ${outcome}`)).toEqual([
    'p/bulk matched',
    'q/r other_resource',
    's/r other_subject',
  ]);
  expect(explained).toMatchObject({
    verdict: { kind: 'hold' },
    effects: ['read', 'write', 'ddl'],
    grants: [{ id: 'g-1' }],
  });
});

test('explain leaves out rules that read what the protocol of the session never has', () => {
  const mixed = policy(
    `rules:
  - { name: sql, when: sql.count > 5, verdict: deny }
  - { name: shell, when: shell.privilege, verdict: deny }
  - { name: calls, when: 'http.method == "DELETE" && time.hour > 25', verdict: deny }
  - { name: pods, when: 'k8s.verb == "delete"', verdict: deny }
  - { name: tools, when: 'mcp.tool == "x"', verdict: deny }
  - { name: hours, when: time.hour > 25, verdict: deny }`,
    'mixed',
  );
  const rulesOf = (protocol: Protocol, facts: SqlFacts) =>
    loadBundlePolicies(bundle({ policies: [mixed] }))
      .explain({ ...ask(facts, ['read']), session: session({ protocol }) })
      .rules.map(({ rule }) => rule.slice('mixed/'.length));
  expect(rulesOf('postgres', DELETE)).toEqual(['sql', 'hours']);
  // What its facts are makes no difference: an exec shows the rules about requests too.
  expect(rulesOf('kubernetes', DELETE)).toEqual(['shell', 'calls', 'pods', 'hours']);
  expect(rulesOf('ssh', DELETE)).toEqual(['shell', 'hours']);
  expect(rulesOf('mcp', DELETE)).toEqual(['calls', 'tools', 'hours']);
});
