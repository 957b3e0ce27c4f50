/**
 * Rules by what a statement has facts of: one that reads commands of a shell says nothing of a request, and need not be asked.
 * Refuses to judge: whether a rule that may speak does is asked of it.
 */
import type { StatementFacts } from '@sallyport/model';
import type { Family } from './facts.ts';
import type { CompiledRule } from './rules.ts';

/** Those a statement may lack; the others are the session's. */
const OF_STATEMENTS = [
  'sql',
  'ssh',
  'shell',
  'file',
  'http',
  'body',
  'k8s',
  'mcp',
] as const satisfies readonly Family[];

export interface ApplicableRules {
  readonly rules: readonly CompiledRule[];
  /** Families these read. */
  readonly reads: ReadonlySet<Family>;
}

export class RulesByFamily {
  readonly #rules: readonly CompiledRule[];
  /** By which families are there, one bit each. */
  readonly #about: ApplicableRules[] = [];

  constructor(rules: readonly CompiledRule[]) {
    this.#rules = rules;
  }

  get isEmpty(): boolean {
    return this.#rules.length === 0;
  }

  /** The rules that may speak of a statement with these facts, in their order. */
  about(facts: StatementFacts): ApplicableRules {
    let bits = 0;
    for (let i = 0; i < OF_STATEMENTS.length; i++)
      if (facts[OF_STATEMENTS[i] as (typeof OF_STATEMENTS)[number]] !== undefined) bits |= 1 << i;
    return (this.#about[bits] ??= this.#applicable(bits));
  }

  #applicable(bits: number): ApplicableRules {
    const missing = OF_STATEMENTS.filter((_, i) => (bits & (1 << i)) === 0);
    const rules = this.#rules.filter(({ reads }) => !missing.some((family) => reads.has(family)));
    return { rules, reads: new Set(rules.flatMap((rule) => [...rule.reads])) };
  }
}
