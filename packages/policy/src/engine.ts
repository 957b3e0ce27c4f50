/**
 * The decision: a bundle compiled once, then one verdict per statement, synchronously. Order: understood? granted? within the
 * grant and what its access review confirmed? then the rules, the strictest of which wins. Whatever fails denies with `policy.unavailable`.
 * Refuses to read a clock, to wait, and to record. What a session's rules read of a statement alone is kept by its facts.
 */
import type {
  Approval,
  Bundle,
  Effect,
  Grant,
  MaskSet,
  Resource,
  SessionInfo,
  SessionUsage,
  SqlFacts,
  Statement,
  StatementFacts,
  Verdict,
} from '@sallyport/model';
import { amountsTo, otherRequests } from './amounts-to.ts';
import type { BudgetStanding, SessionBudget } from './budgets.ts';
import type { FactContext } from './condition.ts';
import { type Explanation, explainRules } from './explain.ts';
import {
  authFact,
  FAMILIES,
  type Family,
  fileFact,
  shellFact,
  sqlFact,
  sshFact,
  timeFact,
  usageFact,
} from './facts.ts';
import { bodyFact, httpFact, kubernetesFact, mcpFact } from './http-facts.ts';
import { GrantBook, isInForce, type Rights } from './rights.ts';
import {
  type CompiledRule,
  evaluate,
  type Findings,
  joined,
  NO_FINDINGS,
  NO_OTHER_VIEWS,
  type OtherView,
} from './rules.ts';
import { type SessionView, SessionViews } from './session-view.ts';
import { denial, verdictOf } from './verdict.ts';

export interface DecisionInput {
  /** The same object for every statement of a session: what is known of it is kept by it. */
  readonly session: SessionInfo;
  readonly statement: Statement;
  /** Counters before this statement. */
  readonly usage: Readonly<SessionUsage>;
  /** UTC milliseconds. */
  readonly nowMs: number;
  /** An answered hold of this statement, its signature verified by the caller. Checked here against the statement. */
  readonly approval?: Approval;
  /** Digest of the statement's shape, for an approval of scope `shape`. */
  readonly shape?: string;
  /** Why, as the requester said; undefined or '' = nothing was said. */
  readonly reason?: string;
  /** A budget that is used up. */
  readonly budget?: BudgetStanding;
}

export interface PolicyEngine {
  readonly epoch: number;
  readonly revision: number;
  /** Once per statement, and once more with the approval. Never throws. A few µs, well under one when the facts are known. */
  decide(input: DecisionInput): Verdict;
  /** Why: every rule of the bundle that could speak of this protocol, with what came of it. For people, not for the path of a statement. */
  explain(input: DecisionInput): Explanation;
  /** Grants of a principal (own and by group) on a resource id, in force at `nowMs`. */
  grantsFor(principalId: string, resourceId: string, nowMs: number): readonly Grant[];
  /** What the session may do, some of it after a person's yes; empty = it has no right here at all. */
  effectsFor(session: SessionInfo, nowMs: number): readonly Effect[];
  /** True when the session may only read: its upstream session is to be pinned read-only. */
  readOnly(session: SessionInfo, nowMs: number): boolean;
  /** Roles it may ask for as `<role>+<resource>`. */
  rolesFor(session: SessionInfo, nowMs: number): readonly string[];
  /** Masks in force for the session; the same object for the same policies as long as this engine lives. */
  masksFor(session: SessionInfo): MaskSet;
  /** Whether rules may hold this session's COMMITs. */
  holdsCommits(session: SessionInfo): boolean;
  /** Names of the groups a principal is in. */
  groupsOf(principalId: string): readonly string[];
  /** Budgets about the session; the same object as long as this engine lives. */
  budgetsFor(session: SessionInfo): readonly SessionBudget[];
}

const NO_RIGHTS: Rights = {
  effects: [],
  reviewHeld: [],
  reviewDenied: [],
  breakGlass: [],
  roles: [],
  from: Number.NEGATIVE_INFINITY,
  until: Number.POSITIVE_INFINITY,
};

function isWithin(effects: readonly Effect[], granted: readonly Effect[]): boolean {
  // By index: a frozen list is walked outside of compiled code.
  for (let i = 0; i < effects.length; i++) if (!granted.includes(effects[i] as Effect)) return false;
  return true;
}

const ALL_FAMILIES: ReadonlySet<Family> = new Set(Object.keys(FAMILIES) as Family[]);

/** Called once per bundle. @throws GatewayError `bundle.malformed` when a policy in it does not compile */
export function loadBundlePolicies(bundle: Bundle): PolicyEngine {
  const book = new GrantBook(bundle);
  const resources = new Map<string, Resource>(bundle.resources.map((resource) => [resource.id, resource]));
  const views = new SessionViews(bundle, book, resources);

  const rightsOf = (view: SessionView, session: SessionInfo, nowMs: number): Rights => {
    if (view.resource === undefined) return NO_RIGHTS;
    const known = view.rights;
    if (known !== undefined && known.from <= nowMs && nowMs < known.until) return known;
    view.rights = book.rightsOf(session, view.resource, nowMs);
    return view.rights;
  };

  const withHeld = ({ effects, reviewHeld }: Rights): readonly Effect[] =>
    reviewHeld.length === 0 ? effects : [...effects, ...reviewHeld];

  const decide = (input: DecisionInput): Verdict => {
    try {
      const { session, statement, nowMs } = input;
      if (!statement.understood) return denial('none', 'statement.unknown');
      const view = views.of(session);
      const rights = rightsOf(view, session, nowMs);
      if (view.resource === undefined) return denial('grant', 'grant.missing');
      if (isWithin(statement.effects, rights.effects) && rights.effects.length > 0) {
        const findings = findingsOf(view, input);
        // Nearly every statement: nothing speaks, so that there is nothing to weigh.
        return findings === NO_FINDINGS && input.budget === undefined && statement.commits === undefined
          ? view.granted
          : verdictOf({ input, view, rights, exceeded: false, unreviewed: false, findings, book });
      }
      return decideBeyond(input, view, view.resource, rights);
    } catch {
      // A rule engine that breaks has not said yes.
      return denial('none', 'policy.unavailable');
    }
  };

  const decideBeyond = (input: DecisionInput, view: SessionView, resource: Resource, rights: Rights): Verdict => {
    const beyond = input.statement.effects.filter((effect) => !rights.effects.includes(effect));
    if (rights.effects.length === 0 && rights.reviewHeld.length === 0)
      return rights.reviewDenied.length === 0 ? denial('grant', 'grant.missing') : denial('review', 'grant.unreviewed');
    if (beyond.some((effect) => rights.reviewDenied.includes(effect))) return denial('review', 'grant.unreviewed');
    const unreviewed = beyond.some((effect) => rights.reviewHeld.includes(effect));
    const exceeded = beyond.some((effect) => !rights.reviewHeld.includes(effect));
    if (exceeded && resource.exceeded === 'deny') return denial('grant', 'grant.exceeded');
    return verdictOf({ input, view, rights, exceeded, unreviewed, findings: findingsOf(view, input), book });
  };

  return {
    epoch: bundle.epoch,
    revision: bundle.revision,
    decide,
    explain: (input) => {
      const view = views.of(input.session);
      const rights = rightsOf(view, input.session, input.nowMs);
      const context = contextOf(view, input, ALL_FAMILIES);
      return {
        verdict: decide(input),
        grants:
          view.resource === undefined
            ? []
            : book.of(input.session.principal.id, view.resource).filter((grant) => isInForce(grant, input.nowMs)),
        effects: rights.effects,
        rules: explainRules(
          views.policies,
          view,
          context,
          otherViewsOf(context, input.statement),
          input.session.protocol,
        ),
      };
    },
    grantsFor: (principalId, resourceId, nowMs) => {
      const resource = resources.get(resourceId);
      return resource === undefined ? [] : book.of(principalId, resource).filter((grant) => isInForce(grant, nowMs));
    },
    effectsFor: (session, nowMs) => withHeld(rightsOf(views.of(session), session, nowMs)),
    readOnly: (session, nowMs) =>
      withHeld(rightsOf(views.of(session), session, nowMs)).every((effect) => effect === 'read'),
    rolesFor: (session, nowMs) => rightsOf(views.of(session), session, nowMs).roles,
    masksFor: (session) => views.of(session).masks,
    holdsCommits: (session) => views.of(session).holdsCommits,
    budgetsFor: (session) => views.of(session).budgets,
    groupsOf: (principalId) => book.groupsOf(principalId),
  };
}

/** What the rules say: from the statement's facts alone where that was asked before, and the changing ones anew. */
function findingsOf(view: SessionView, input: DecisionInput): Findings {
  const { facts } = input.statement;
  const key = identityOf(facts);
  let steady = key === undefined ? undefined : view.findings.get(key);
  if (steady === undefined) {
    const { rules, reads } = view.steadyRules.about(facts);
    steady = rules.length === 0 ? NO_FINDINGS : evaluated(rules, view, input, reads);
    if (key !== undefined) view.findings.set(key, steady);
  }
  if (view.changingRules.isEmpty || isQuiet(view, input.usage)) return steady;
  const { rules, reads } = view.changingRules.about(facts);
  return rules.length === 0 ? steady : joined(steady, evaluated(rules, view, input, reads));
}

function evaluated(
  rules: readonly CompiledRule[],
  view: SessionView,
  input: DecisionInput,
  reads: ReadonlySet<Family>,
): Findings {
  const context = contextOf(view, input, reads);
  return evaluate(rules, context, otherViewsOf(context, input.statement));
}

/** A rule that names one path of two, or one word for what a call amounts to, means the others as well. */
function otherViewsOf(context: FactContext, { facts: { file, http, k8s } }: Statement): readonly OtherView[] {
  if (http !== undefined) {
    const others = otherRequests(http);
    if (others.length > 0) return others.map((fact) => ({ of: 'http', context: { ...context, http: fact } }));
  }
  if (k8s !== undefined) return amountsTo(k8s).map((fact) => ({ of: 'k8s', context: { ...context, k8s: fact } }));
  // Where a file is renamed or linked it has two paths.
  if (file === undefined || file.target === '') return NO_OTHER_VIEWS;
  const otherEnd = { ...context, file: fileFact({ ...file, path: file.target, target: file.path }) };
  return [{ of: 'file', context: otherEnd }];
}

/** The object that stands for all that is known of the statement: the same one is the same facts. */
function identityOf({ sql, http, body, k8s, mcp }: StatementFacts): object | undefined {
  if (sql !== undefined) return sql;
  // The facts of its command come and go with a request to a cluster.
  if (k8s !== undefined && http === undefined && body === undefined && mcp === undefined) return k8s;
  return body === undefined && k8s === undefined && mcp === undefined ? http : undefined;
}

/** What a bundle is shipped with asks of the session's counters at every statement: none of that needs its facts made. */
function isQuiet({ changingOnUsage }: SessionView, usage: Readonly<SessionUsage>): boolean {
  if (changingOnUsage === undefined) return false;
  for (const matches of changingOnUsage) if (matches(usage)) return false;
  return true;
}

function contextOf(
  view: SessionView,
  { session, statement, usage, nowMs }: DecisionInput,
  reads: ReadonlySet<Family>,
): FactContext {
  const { sql, ssh, shell, file, http, body, k8s, mcp } = statement.facts;
  const context: { -readonly [F in keyof FactContext]: FactContext[F] } = {
    ...view.facts,
    session: statement.inTransaction ? view.sessionInTransaction : view.sessionIdle,
  };
  // Made only where a rule reads them: they differ for every statement.
  if (reads.has('auth')) context.auth = authFact(session, nowMs);
  if (reads.has('time')) context.time = timeFact(nowMs);
  if (reads.has('usage')) context.usage = usageFact(usage, session.openedAt, nowMs);
  if (sql !== undefined) context.sql = sqlFactOf(view, sql);
  if (ssh !== undefined) context.ssh = sshFact(ssh);
  if (shell !== undefined) context.shell = shellFact(shell);
  if (file !== undefined) context.file = fileFact(file);
  if (http !== undefined && reads.has('http')) context.http = httpFact(http);
  if (body !== undefined && reads.has('body')) context.body = bodyFact(body);
  if (k8s !== undefined && reads.has('k8s')) context.k8s = kubernetesFact(k8s);
  if (mcp !== undefined && reads.has('mcp')) context.mcp = mcpFact(mcp);
  return context;
}

function sqlFactOf(view: SessionView, sql: SqlFacts): object {
  const known = view.sqlFacts.get(sql);
  if (known !== undefined) return known;
  const fact = sqlFact(sql, view.masks);
  view.sqlFacts.set(sql, fact);
  return fact;
}
