/**
 * Why a statement was judged as it was: every rule that could speak of its protocol, with what came of it. For people and the
 * CLI. Refuses to list rules that read what the protocol never has: they are about other resources, whatever they say.
 */
import type { Effect, Grant, Protocol, Verdict } from '@sallyport/model';
import type { FactContext } from './condition.ts';
import type { Family } from './facts.ts';
import { type CompiledPolicy, type CompiledRule, type OtherView, type RuleOutcome, testRule } from './rules.ts';
import { isAboutResource, type SessionView } from './session-view.ts';

export interface RuleExplanation {
  /** `<policy>/<rule>`. */
  readonly rule: string;
  readonly verdict: 'allow' | 'hold' | 'deny';
  readonly mode: 'enforce' | 'shadow';
  readonly outcome: RuleOutcome | 'other_subject' | 'other_resource';
  /** The condition as written. */
  readonly when: string;
}
export interface Explanation {
  readonly verdict: Verdict;
  /** The principal's own grants in force, before a token or another principal narrows them. */
  readonly grants: readonly Grant[];
  /** What the session may do after all narrowing. */
  readonly effects: readonly Effect[];
  readonly rules: readonly RuleExplanation[];
}

/** The families that only statements have, by the protocols that have them. */
const PROTOCOLS_OF: Readonly<Partial<Record<Family, readonly Protocol[]>>> = {
  sql: ['postgres'],
  ssh: ['ssh'],
  file: ['ssh'],
  shell: ['ssh', 'kubernetes'],
  http: ['http', 'kubernetes', 'mcp'],
  body: ['http', 'kubernetes', 'mcp'],
  k8s: ['kubernetes'],
  mcp: ['mcp'],
};

const isOf = (rule: CompiledRule, protocol: Protocol): boolean =>
  [...rule.reads].every((family) => PROTOCOLS_OF[family]?.includes(protocol) ?? true);

export function explainRules(
  policies: readonly CompiledPolicy[],
  view: SessionView,
  context: FactContext,
  others: readonly OtherView[],
  protocol: Protocol,
): readonly RuleExplanation[] {
  return policies.flatMap(({ policy, rules }) =>
    rules
      .filter((rule) => isOf(rule, protocol))
      .map((rule) => ({
        rule: rule.id,
        verdict: rule.verdict,
        mode: rule.shadow ? ('shadow' as const) : ('enforce' as const),
        outcome: view.policies.has(policy) ? testRule(rule, context, others) : elsewhere(policy, view),
        when: rule.when.source,
      })),
  );
}

function elsewhere(policy: CompiledPolicy['policy'], view: SessionView): 'other_subject' | 'other_resource' {
  return view.resource !== undefined && isAboutResource(policy, view.resource) ? 'other_subject' : 'other_resource';
}
