/**
 * From what the rules found to one verdict: deny before hold before allow; an approval answers the holds it was given for;
 * break-glass turns the rest into allow, by name; quiet hours and a reason that is missing are looked at last, of what would
 * be asked. Refuses to check signatures: the caller did.
 */
import { type ErrorCode, LIMITS } from '@sallyport/core';
import type { Approval, ApprovalSpec, PrincipalRef, ShadowHit, Verdict } from '@sallyport/model';
import type { BudgetStanding } from './budgets.ts';
import { atItsCommit, commitDenial, waitsForCommit } from './commit.ts';
import type { DecisionInput } from './engine.ts';
import { quietUntil } from './quiet-hours.ts';
import type { GrantBook, Rights } from './rights.ts';
import { APPROVAL_DEFAULT, type Findings, NO_FINDINGS } from './rules.ts';
import type { SessionView } from './session-view.ts';
import { coversStepUp, joinedStepUp } from './step-up.ts';

export interface Judgement {
  readonly input: DecisionInput;
  readonly view: SessionView;
  readonly rights: Rights;
  /** The statement does more than the grants allow, and the resource holds rather than denies it. */
  readonly exceeded: boolean;
  /** The grants give it, but no access review in force confirms it, and the campaign holds rather than denies. */
  readonly unreviewed: boolean;
  readonly findings: Findings;
  readonly book: GrantBook;
}

interface Hold {
  readonly id: string;
  readonly message: string | undefined;
  readonly approval: ApprovalSpec;
}

const NO_HOLDS: readonly Hold[] = [];

export function verdictOf({ input, view, rights, exceeded, unreviewed, findings, book }: Judgement): Verdict {
  const { budget } = input;
  // Nearly every statement: nothing speaks, and nothing is to be asked.
  if (
    findings === NO_FINDINGS &&
    budget === undefined &&
    !exceeded &&
    !unreviewed &&
    input.statement.commits === undefined
  )
    return view.granted;
  const hits =
    budget?.budget.shadow === true
      ? [...findings.shadow, { rule: budget.budget.id, verdict: budget.budget.exceeded }]
      : findings.shadow;
  const shadow = hits.length === 0 ? {} : { shadow: hits };
  if (findings.deny !== undefined) return denial(findings.deny.id, 'policy.denied', findings.deny.message, hits);
  if (
    budget !== undefined &&
    !budget.budget.shadow &&
    (budget.budget.exceeded === 'deny' || budget.unavailable === true)
  )
    return budgetDenial(budget, hits);
  const { statement } = input;
  const commits =
    findings.holds.length === 0 ? NO_HOLDS : findings.holds.filter((hold) => waitsForCommit(hold, statement));
  // What begins or ends a transaction changes nothing by itself.
  const later = statement.commit === 'control' ? NO_HOLDS : commits;
  const holds: readonly Hold[] = [
    ...(unreviewed ? [REVIEW_HOLD] : []),
    ...(exceeded ? [GRANT_HOLD] : []),
    ...(commits.length === 0 ? findings.holds : findings.holds.filter((hold) => !commits.includes(hold))),
    ...(statement.commits?.holds ?? []).map(atItsCommit),
    ...(budget === undefined || budget.budget.shadow ? [] : [budgetHold(budget)]),
  ];
  if (holds.length === 0 && later.length === 0)
    return { kind: 'allow', rule: findings.allow?.id ?? 'grant', masks: view.masks, ...shadow };
  const { approval } = input;
  const unanswered = approval === undefined ? holds : holds.filter((hold) => !answers(approval, hold, input, book));
  const first = unanswered[0];
  const bound = approval?.scope === 'shape' && first === undefined ? { rowsMax: approval.shape?.rowsMax ?? 0 } : {};
  const broken = first ?? later[0];
  if (broken === undefined) return { kind: 'allow', rule: holds[0]!.id, masks: view.masks, ...bound, ...shadow };
  const effects = statement.commits?.effects ?? statement.effects;
  const glass = effects.every((effect) => rights.breakGlass.includes(effect)) && rights.breakGlass.length > 0;
  if (glass) return { kind: 'allow', rule: `break-glass:${broken.id}`, masks: view.masks, ...shadow };
  const refused = later.length === 0 ? undefined : beforeCommit(later, view, input, hits);
  if (refused !== undefined) return refused;
  if (first !== undefined) return asked(first, unanswered, input, hits);
  const untilCommit = later.map(({ id, message, approval: spec }) => ({
    rule: id,
    ...(message === undefined ? {} : { message }),
    approval: spec,
  }));
  return { kind: 'allow', rule: later[0]!.id, masks: view.masks, ...bound, ...shadow, untilCommit };
}

/** Why it may not run until its COMMIT: nobody could answer that, or it has none that waits. */
function beforeCommit(
  later: readonly Hold[],
  view: SessionView,
  input: DecisionInput,
  hits: readonly ShadowHit[],
): Verdict | undefined {
  // Preparing runs nothing; its execution is judged.
  if (input.statement.preparation === true) return undefined;
  const why = commitDenial(later[0]!, later, input.statement, view.resource);
  if (why !== undefined) return denial(later[0]!.id, why.code, why.message, hits);
  const question = asked(later[0]!, later, input, hits);
  return question.kind === 'deny' ? question : undefined;
}

/** What nobody has answered: asked for, unless nobody is expected to answer or the requester has not said why. */
function asked(
  first: Hold,
  unanswered: readonly Hold[],
  { nowMs, reason }: DecisionInput,
  hits: readonly ShadowHit[],
): Verdict {
  const answerable = together(unanswered);
  if (answerable === undefined) return denial(first.id, 'policy.denied', withoutApprover(unanswered), hits);
  let approval = answerable;
  for (const hold of unanswered) {
    const quiet = hold.approval.quietHours;
    const until = quiet === undefined ? undefined : quietUntil(quiet, nowMs);
    if (quiet === undefined || until === undefined) continue;
    switch (quiet.action) {
      case 'deny':
        return {
          ...denial(
            hold.id,
            'approval.quiet',
            `${hold.message ?? 'Nobody answers at this hour.'} Ask from ${instant(until)} on.`,
            hits,
          ),
          resetAt: until,
        };
      case 'wait':
        approval = {
          ...approval,
          expiresMs: Math.min(
            LIMITS.approvalWaitMsMax,
            Math.max(approval.expiresMs, until - nowMs + hold.approval.expiresMs),
          ),
        };
        break;
      case 'escalate':
        if (approval.escalate !== undefined) approval = { ...approval, escalate: { ...approval.escalate, afterMs: 0 } };
        break;
      default:
        quiet.action satisfies never;
    }
  }
  if (approval.requireReason === true && (reason ?? '') === '')
    return denial(
      first.id,
      'approval.reason_required',
      `${first.message === undefined ? '' : `${first.message} `}${HOW_TO_SAY_WHY}`,
      hits,
    );
  return {
    kind: 'hold',
    rule: first.id,
    approval,
    ...(first.message === undefined ? {} : { message: first.message }),
    ...(hits.length === 0 ? {} : { shadow: hits }),
  };
}

const HOW_TO_SAY_WHY =
  "Say why first: SET sallyport.reason = '…' in this session, or --reason of sallyport connect, sql and token.";

/** To the second, in UTC. */
const instant = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

function budgetDenial({ budget, resetAt, unavailable }: BudgetStanding, hits: readonly ShadowHit[]): Verdict {
  const code = unavailable === true ? 'budget.unavailable' : 'budget.exceeded';
  const until = resetAt === undefined ? '' : ` It starts anew at ${instant(resetAt)}.`;
  const message =
    unavailable === true
      ? `The agent has no share of the budget ${budget.id} left and cannot ask for more.${until}`
      : `${budget.message ?? `The budget ${budget.id} is used up.`}${until}`;
  return { ...denial(budget.id, code, message, hits), ...(resetAt === undefined ? {} : { resetAt }) };
}

const budgetHold = ({ budget, resetAt }: BudgetStanding): Hold => ({
  id: budget.id,
  message: `${budget.message ?? `The budget ${budget.id} is used up.`}${resetAt === undefined ? '' : ` It starts anew at ${instant(resetAt)}.`}`,
  approval: budget.approval ?? APPROVAL_DEFAULT,
});

const GRANT_HOLD: Hold = {
  id: 'grant',
  message: 'The statement does more than the grant allows.',
  approval: APPROVAL_DEFAULT,
};

const REVIEW_HOLD: Hold = {
  id: 'review',
  message: 'The access review of the grant has lapsed, or did not confirm this.',
  approval: APPROVAL_DEFAULT,
};

export function denial(
  rule: string,
  code: ErrorCode,
  message?: string,
  shadow: readonly ShadowHit[] = [],
): Extract<Verdict, { kind: 'deny' }> {
  return {
    kind: 'deny',
    rule,
    code,
    ...(message === undefined ? {} : { message }),
    ...(shadow.length === 0 ? {} : { shadow }),
  };
}

/**
 * One request for all holds: groups that all of them accept, the highest count, the shortest time.
 * @returns undefined where nobody could answer for all: a statement has one answer, so nobody is asked in vain
 */
function together(holds: readonly Hold[]): ApprovalSpec | undefined {
  const specs = holds.map((hold) => hold.approval);
  const named = specs.filter((spec) => spec.groups.length > 0);
  const shared = named.reduce<readonly string[]>(
    (left, spec) => left.filter((group) => spec.groups.includes(group)),
    named[0]?.groups ?? [],
  );
  const stepUp = joinedStepUp(specs.map((spec) => spec.stepUp));
  if ((named.length > 0 && shared.length === 0) || stepUp === 'impossible') return undefined;
  return {
    groups: shared,
    count: Math.max(...specs.map((spec) => spec.count)),
    expiresMs: Math.min(...specs.map((spec) => spec.expiresMs)),
    ...(stepUp === undefined ? {} : { stepUp }),
    ...sharedTerms(specs),
  };
}

const withoutApprover = (holds: readonly Hold[]): string =>
  `The rules ${holds.map((hold) => hold.id).join(', ')} hold it, and no group or sign-in answers for all of them.`;

/** What would widen an answer only where every hold says so; what is demanded where one does. */
function sharedTerms(specs: readonly ApprovalSpec[]): Partial<ApprovalSpec> {
  const shapes = specs.flatMap((spec) => (spec.shape === undefined ? [] : [spec.shape]));
  const escalations = specs.flatMap((spec) => (spec.escalate === undefined ? [] : [spec.escalate]));
  const groups = escalations.reduce<readonly string[]>(
    (left, { groups: right }) => left.filter((group) => right.includes(group)),
    escalations[0]?.groups ?? [],
  );
  return {
    ...(specs.some((spec) => spec.requireReason === true) ? { requireReason: true } : {}),
    ...(shapes.length === specs.length
      ? {
          shape: {
            forMsMax: Math.min(...shapes.map(({ forMsMax }) => forMsMax)),
            rowsMax: Math.min(...shapes.map(({ rowsMax }) => rowsMax)),
          },
        }
      : {}),
    ...(escalations.length === specs.length && groups.length > 0
      ? { escalate: { afterMs: Math.max(...escalations.map(({ afterMs }) => afterMs)), groups } }
      : {}),
  };
}

/**
 * Granted, for this statement (or its shape, within what the hold allows), this principal and this resource, in time, by
 * enough persons in seats the hold accepts, none of them the asker's.
 */
function answers(approval: Approval, hold: Hold, input: DecisionInput, book: GrantBook): boolean {
  const { session, statement, nowMs } = input;
  if (!approval.granted || approval.expiresAt <= nowMs) return false;
  if (approval.resourceId !== session.resourceId || approval.principalId !== session.principal.id) return false;
  if (approval.scope === 'shape' ? !isOfShape(approval, hold, input) : approval.digest !== statement.digest)
    return false;
  if (!coversStepUp(approval.stepUp, hold.approval.stepUp)) return false;
  const escalated = (approval.escalatedTo ?? []).filter(
    (group) => hold.approval.escalate?.groups.includes(group) === true,
  );
  const groups = [...hold.approval.groups, ...escalated];
  const askers = [session.principal.id, session.onBehalfOf?.id];
  const isSeat = ({ kind, id }: PrincipalRef): boolean =>
    kind === 'person' &&
    !askers.includes(id) &&
    (hold.approval.groups.length === 0 || groups.some((group) => book.isMember(group, id)));
  const persons = new Set<string>();
  const seats = new Set<string>();
  for (const who of approval.by) {
    if (who.kind !== 'person' || askers.includes(who.id)) continue;
    const seat = approval.seats?.find(({ by }) => by === who.id)?.of ?? who;
    if (!isSeat(seat)) continue;
    persons.add(who.id);
    seats.add(seat.id);
  }
  return Math.min(persons.size, seats.size) >= hold.approval.count;
}

/** The rule in force now says how far: one that was narrowed since narrows what was approved before. */
function isOfShape(
  { shape, answeredAt }: Approval,
  hold: Hold,
  { session, shape: digest, nowMs }: DecisionInput,
): boolean {
  const allowed = hold.approval.shape;
  if (shape === undefined || allowed === undefined || digest === undefined || shape.digest !== digest) return false;
  if (shape.database !== session.database || shape.role !== session.role) return false;
  if (shape.sessionId !== undefined && shape.sessionId !== session.id) return false;
  return shape.rowsMax <= allowed.rowsMax && nowMs < answeredAt + allowed.forMsMax;
}
