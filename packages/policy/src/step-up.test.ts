/** Demands upon an approver's sign-in: joined, covered, written and read. */
import { expect, test } from 'vitest';
import { parsePolicyDocument, renderPolicyDocument } from './document.ts';
import { coversStepUp, joinedStepUp } from './step-up.ts';

test('several demands become the strictest of each part, or none that anybody could meet', () => {
  expect(joinedStepUp([undefined, undefined])).toBeUndefined();
  expect(
    joinedStepUp([{ maxAgeMs: 60_000 }, undefined, { maxAgeMs: 30_000, amr: ['hwk', 'mfa'] }, { amr: ['mfa'] }]),
  ).toEqual({ maxAgeMs: 30_000, amr: ['mfa'] });
  expect(joinedStepUp([{ acr: ['gold'] }, { acr: ['silver'] }])).toBe('impossible');
});

test.each([
  [undefined, undefined, true],
  [undefined, { maxAgeMs: 1_000 }, false],
  [{ maxAgeMs: 1_000 }, { maxAgeMs: 1_000 }, true],
  [{ maxAgeMs: 1_001 }, { maxAgeMs: 1_000 }, false],
  [{ amr: ['mfa'] }, { amr: ['mfa', 'hwk'] }, true],
  [{ amr: ['mfa', 'pwd'] }, { amr: ['mfa'] }, false],
  [{ amr: ['mfa'] }, { acr: ['gold'] }, false],
  [{ acr: ['gold'], maxAgeMs: 5 }, { acr: ['gold'] }, true],
])('what was checked, %j, covers what is asked, %j: %s', (checked, asked, wanted) => {
  expect(coversStepUp(checked, asked)).toBe(wanted);
});

const document = (stepUp: string): string => `kind: Policy
name: p
rules:
  - name: r
    when: sql.count > 0
    verdict: hold
    approval: { groups: [dba], step_up: ${stepUp} }
`;

test('a document says it in its own words, and they come back the same', () => {
  const policy = parsePolicyDocument(document('{ max_age: 5m, amr: [mfa], acr: [gold] }'), 'p.yaml');
  expect(policy.rules[0]!.approval!.stepUp).toEqual({ maxAgeMs: 300_000, amr: ['mfa'], acr: ['gold'] });
  expect(parsePolicyDocument(renderPolicyDocument(policy), 'p.yaml')).toEqual(policy);
});

test.each(['{}', '{ max_age: 5 }', '{ method: [mfa] }'])('a demand that says nothing is refused: %s', (stepUp) => {
  expect(() => parsePolicyDocument(document(stepUp), 'p.yaml')).toThrow(/step_up/);
});
