/**
 * Compiled rules and what they say of one statement. All that match count; the engine takes the strictest.
 * Not applicable (the statement lacks a family the rule reads) is no match; not computable (the condition fails) is a match
 * for hold and deny, never for allow; an exception that fails excepts nothing.
 */
import { GatewayError } from '@sallyport/core';
import type { ApprovalSpec, Policy, Rule, ShadowHit } from '@sallyport/model';
import { type Condition, compileCondition, type FactContext } from './condition.ts';
import type { Family } from './facts.ts';

export interface CompiledRule {
  /** `<policy>/<rule>`. */
  readonly id: string;
  readonly verdict: Rule['verdict'];
  readonly shadow: boolean;
  readonly message: string | undefined;
  readonly approval: ApprovalSpec;
  readonly when: Condition;
  readonly unless: Condition | undefined;
  readonly reads: ReadonlySet<Family>;
  /** Its answer may differ between two runs of one statement in one session. */
  readonly changing: boolean;
  /** It speaks of files and never of the other path that a rename or a link has: so it means either. */
  readonly meansEitherEnd: boolean;
}

export interface CompiledPolicy {
  readonly policy: Policy;
  readonly rules: readonly CompiledRule[];
}

export type RuleOutcome = 'matched' | 'not_matched' | 'excepted' | 'not_applicable' | 'not_computable';

/** Who approves when nothing else is said: anyone who may approve here. */
export const APPROVAL_DEFAULT: ApprovalSpec = { groups: [], count: 1, expiresMs: 10 * 60_000 };

/** A policy is never changed in place, so what was made of one holds as long as it does. */
const COMPILED = new WeakMap<Policy, CompiledPolicy>();

/** @throws GatewayError `bundle.malformed` when a condition does not compile */
export function compilePolicy(policy: Policy): CompiledPolicy {
  const known = COMPILED.get(policy);
  if (known !== undefined) return known;
  const compiled = { policy, rules: policy.rules.map((rule) => compileRule(rule, policy)) };
  COMPILED.set(policy, compiled);
  return compiled;
}

function compileRule(rule: Rule, policy: Policy): CompiledRule {
  const id = `${policy.name}/${rule.name}`;
  const condition = (source: string): Condition => {
    const compiled = compileCondition(source);
    if (compiled.kind === 'problem')
      throw new GatewayError('bundle.malformed', { rule: id, problem: compiled.message });
    return compiled;
  };
  const when = condition(rule.when);
  const unless = rule.unless === undefined ? undefined : condition(rule.unless);
  return {
    id,
    verdict: rule.verdict,
    shadow: rule.mode === 'shadow' || policy.mode === 'shadow',
    message: rule.message,
    approval: rule.approval ?? APPROVAL_DEFAULT,
    when,
    unless,
    reads: new Set([...when.reads, ...(unless?.reads ?? [])]),
    changing: when.changing || (unless?.changing ?? false),
    meansEitherEnd: [when, unless].every((one) => one === undefined || !/\btarget\b/.test(one.source)),
  };
}

/** The same statement as it may be put as well: what speaks of that counts, too. */
export interface OtherView {
  /** What is put otherwise: seen from a file's other path, or a request or a call to a cluster as what it amounts to. */
  readonly of: 'file' | 'http' | 'k8s';
  readonly context: FactContext;
}
export const NO_OTHER_VIEWS: readonly OtherView[] = Object.freeze([]) as readonly OtherView[];

export function testRule(
  rule: CompiledRule,
  context: FactContext,
  others: readonly OtherView[] = NO_OTHER_VIEWS,
): RuleOutcome {
  const outcome = testOnce(rule, context);
  if (others.length === 0 || speaks(rule, outcome)) return outcome;
  for (const other of others) {
    if (!rule.reads.has(other.of) || (other.of === 'file' && !rule.meansEitherEnd)) continue;
    const there = testOnce(rule, other.context);
    if (speaks(rule, there)) return there;
  }
  return outcome;
}

function testOnce(rule: CompiledRule, context: FactContext): RuleOutcome {
  for (const family of rule.reads) if (context[family] === undefined) return 'not_applicable';
  let matched: RuleOutcome = 'matched';
  try {
    if (!rule.when.test(context)) return 'not_matched';
  } catch {
    // Failing closed: a condition that cannot be computed is a match of a rule that holds or denies.
    matched = 'not_computable';
  }
  return isExcepted(rule, context) ? 'excepted' : matched;
}

function isExcepted(rule: CompiledRule, context: FactContext): boolean {
  if (rule.unless === undefined) return false;
  try {
    return rule.unless.test(context);
  } catch {
    // An exception nobody can compute excepts nothing.
    return false;
  }
}

/** True when the outcome counts for this rule's verdict. */
export const speaks = (rule: CompiledRule, outcome: RuleOutcome): boolean =>
  outcome === 'matched' || (outcome === 'not_computable' && rule.verdict !== 'allow');

/** True when rules about the session hold COMMITs: its protocol then keeps account of its transactions. */
export const holdsCommits = (rules: readonly CompiledRule[]): boolean =>
  rules.some((rule) => rule.verdict === 'hold' && !rule.shadow && rule.approval.commit !== undefined);

/** What the rules that match say together. */
export interface Findings {
  readonly deny: CompiledRule | undefined;
  readonly holds: readonly CompiledRule[];
  readonly allow: CompiledRule | undefined;
  readonly shadow: readonly ShadowHit[];
}

export const NO_FINDINGS: Findings = Object.freeze({ deny: undefined, holds: [], allow: undefined, shadow: [] });

export function evaluate(
  rules: readonly CompiledRule[],
  context: FactContext,
  others: readonly OtherView[] = NO_OTHER_VIEWS,
): Findings {
  let deny: CompiledRule | undefined;
  let allow: CompiledRule | undefined;
  const holds: CompiledRule[] = [];
  const shadow: ShadowHit[] = [];
  for (const rule of rules) {
    // A decided denial needs no more enforcing rules, but shadow ones are recorded all the same.
    if (deny !== undefined && !rule.shadow) continue;
    if (!speaks(rule, testRule(rule, context, others))) continue;
    if (rule.shadow) shadow.push({ rule: rule.id, verdict: rule.verdict });
    else if (rule.verdict === 'deny') deny = rule;
    else if (rule.verdict === 'hold') holds.push(rule);
    else allow ??= rule;
  }
  return deny === undefined && allow === undefined && holds.length === 0 && shadow.length === 0
    ? NO_FINDINGS
    : { deny, holds, allow, shadow };
}

export function joined(a: Findings, b: Findings): Findings {
  if (b === NO_FINDINGS) return a;
  if (a === NO_FINDINGS) return b;
  return {
    deny: a.deny ?? b.deny,
    holds: [...a.holds, ...b.holds],
    allow: a.allow ?? b.allow,
    shadow: [...a.shadow, ...b.shadow],
  };
}
