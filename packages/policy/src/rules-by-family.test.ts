import type { StatementFacts } from '@sallyport/model';
import { expect, test } from 'vitest';
import { parsePolicyDocument } from './document.ts';
import { compilePolicy } from './rules.ts';
import { RulesByFamily } from './rules-by-family.ts';

const RULES: Readonly<Record<string, string>> = {
  requests: 'http.method == "DELETE"',
  bodies: 'http.method == "POST" && body.duplicate_keys',
  commands: 'size(shell.commands) > 0',
  anybody: 'principal.name == "ada"',
};
const rules = Object.entries(RULES).map(([name, when]) => `  - { name: ${name}, when: '${when}', verdict: deny }`);
const text = `kind: Policy\nname: p\nrules:\n${rules.join('\n')}\n`;
const policy = compilePolicy(parsePolicyDocument(text, 'p.yaml', { id: 'p', projectId: 'default' }));
const named = (facts: object): readonly string[] =>
  new RulesByFamily(policy.rules).about(facts as StatementFacts).rules.map(({ id }) => id.slice(2));

test('a rule is asked where the statement has all that it reads, in the order of the policy', () => {
  expect(named({ http: {} })).toEqual(['requests', 'anybody']);
  expect(named({ http: {}, body: {} })).toEqual(['requests', 'bodies', 'anybody']);
  expect(named({ k8s: {}, shell: {} })).toEqual(['commands', 'anybody']);
  expect(named({})).toEqual(['anybody']);
});

test('what the rules that are asked read is told, and no more', () => {
  const { reads } = new RulesByFamily(policy.rules).about({ http: {} } as StatementFacts);
  expect([...reads].sort()).toEqual(['http', 'principal']);
});
