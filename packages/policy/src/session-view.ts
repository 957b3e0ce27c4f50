/**
 * What a bundle means for one session: the policies that are about it, their rules and masks, and its facts, made once.
 * Kept by the session object; a new bundle makes new views, so a change is in force at the next statement.
 */
import {
  type Bundle,
  labelsMatch,
  type MaskSet,
  type Policy,
  type PrincipalRef,
  type Resource,
  type SessionInfo,
  type SessionUsage,
  type SqlFacts,
  type Verdict,
} from '@sallyport/model';
import { NO_BUDGETS, type SessionBudget } from './budgets.ts';
import type { FactContext } from './condition.ts';
import { authFact, onBehalfOfFact, principalFact, resourceFact, sessionFact } from './facts.ts';
import { MaskSets } from './masks.ts';
import type { GrantBook, Rights } from './rights.ts';
import { type CompiledPolicy, compilePolicy, type Findings, holdsCommits } from './rules.ts';
import { RulesByFamily } from './rules-by-family.ts';

export interface SessionView {
  readonly resource: Resource | undefined;
  readonly policies: ReadonlySet<Policy>;
  readonly masks: MaskSet;
  /** The verdict where the grant alone decides. */
  readonly granted: Verdict;
  readonly budgets: readonly SessionBudget[];
  /** Rules that read the statement, the principal, the resource and steady parts of the session alone. */
  readonly steadyRules: RulesByFamily;
  readonly changingRules: RulesByFamily;
  /** One for each changing rule, when all of them hang on the session's counters: while each says no, none matches. */
  readonly changingOnUsage: readonly ((usage: Readonly<SessionUsage>) => boolean)[] | undefined;
  readonly facts: FactContext;
  readonly sessionIdle: object;
  readonly sessionInTransaction: object;
  /** What the steady rules said, by the identity of a statement's facts. */
  readonly findings: WeakMap<object, Findings>;
  readonly sqlFacts: WeakMap<SqlFacts, object>;
  /** Some of its rules hold COMMITs; asked for several times a statement. */
  readonly holdsCommits: boolean;
  rights: Rights | undefined;
}

export class SessionViews {
  readonly policies: readonly CompiledPolicy[];
  readonly #book: GrantBook;
  readonly #resources: ReadonlyMap<string, Resource>;
  readonly #masks = new MaskSets();
  readonly #views = new WeakMap<SessionInfo, SessionView>();
  /** Of the session that was asked for last: it is asked for several times a statement. */
  #last: { readonly session: SessionInfo; readonly view: SessionView } | undefined;

  constructor(bundle: Bundle, book: GrantBook, resources: ReadonlyMap<string, Resource>) {
    this.policies = bundle.policies.map(compilePolicy);
    this.#book = book;
    this.#resources = resources;
  }

  of(session: SessionInfo): SessionView {
    if (this.#last?.session === session) return this.#last.view;
    let view = this.#views.get(session);
    if (view === undefined) {
      view = this.#view(session);
      this.#views.set(session, view);
    }
    this.#last = { session, view };
    return view;
  }

  #view(session: SessionInfo): SessionView {
    const resource = this.#resources.get(session.resourceId);
    const { principal, onBehalfOf } = session;
    const groups = this.#book.groupsOf(principal.id);
    const otherGroups = onBehalfOf === undefined ? [] : this.#book.groupsOf(onBehalfOf.id);
    const about = this.policies.filter(({ policy }) => {
      if (resource === undefined || !isAboutResource(policy, resource)) return false;
      // Rules only restrict, so one about either of the two counts: acting for another is no way round.
      return (
        isAboutPrincipal(policy, principal, groups) ||
        (onBehalfOf !== undefined && isAboutPrincipal(policy, onBehalfOf, otherGroups))
      );
    });
    const rules = about.flatMap((compiled) => compiled.rules);
    const changing = rules.filter((rule) => rule.changing);
    const steady = rules.filter((rule) => !rule.changing);
    const onUsage = changing.flatMap(({ when }) => (when.onUsage === undefined ? [] : [when.onUsage]));
    const masks = this.#masks.of(about.map(({ policy }) => policy));
    return {
      resource,
      policies: new Set(about.map(({ policy }) => policy)),
      masks,
      granted: Object.freeze({ kind: 'allow', rule: 'grant', masks }),
      budgets: budgetsOf(
        about.map(({ policy }) => policy),
        (policy) => (isAboutPrincipal(policy, principal, groups) ? principal.id : onBehalfOf!.id),
      ),
      steadyRules: new RulesByFamily(steady),
      changingRules: new RulesByFamily(changing),
      changingOnUsage: onUsage.length === changing.length ? onUsage : undefined,
      facts: {
        principal: principalFact(principal, groups),
        on_behalf_of: onBehalfOfFact(onBehalfOf, otherGroups),
        // Its age is made anew for the rules that read it.
        auth: authFact(session, session.openedAt),
        ...(resource === undefined ? {} : { resource: resourceFact(resource) }),
      },
      sessionIdle: sessionFact(session, false),
      sessionInTransaction: sessionFact(session, true),
      findings: new WeakMap(),
      sqlFacts: new WeakMap(),
      holdsCommits: holdsCommits(rules),
      rights: undefined,
    };
  }
}

function budgetsOf(policies: readonly Policy[], counted: (policy: Policy) => string): readonly SessionBudget[] {
  const all = policies.flatMap((policy) =>
    (policy.budgets ?? []).map((budget) => ({
      id: `${policy.name}/${budget.name}`,
      key: `${policy.id}/${budget.name}`,
      per: budget.per,
      everyMs: budget.everyMs,
      limits: budget.limits,
      exceeded: budget.exceeded,
      approval: budget.approval,
      message: budget.message,
      shadow: policy.mode === 'shadow',
      principalId: counted(policy),
    })),
  );
  return all.length === 0 ? NO_BUDGETS : all;
}

/** Parts that are given must all match; inside a part one is enough; nothing given = everybody. */
export function isAboutPrincipal({ subjects }: Policy, who: PrincipalRef, groups: readonly string[]): boolean {
  if (subjects.groups !== undefined && !subjects.groups.some((group) => groups.includes(group))) return false;
  if (subjects.principals !== undefined && !subjects.principals.some((name) => name === who.name || name === who.id))
    return false;
  return subjects.kinds === undefined || subjects.kinds.includes(who.kind);
}

export function isAboutResource(
  { resources, projectId }: Policy,
  resource: Pick<Resource, 'name' | 'labels' | 'projectId'>,
): boolean {
  if (projectId !== resource.projectId) return false;
  if (resources.names !== undefined && !resources.names.includes(resource.name)) return false;
  return resources.labels === undefined || labelsMatch(resources.labels, resource.labels);
}
