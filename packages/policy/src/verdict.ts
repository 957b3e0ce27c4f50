/**
 * From what the rules found to one verdict: deny before hold before allow; an approval answers the holds it was given for;
 * break-glass turns the rest into allow, by name. Refuses to check signatures: the caller did.
 */
import type { ErrorCode } from '@sallyport/core';
import type { Approval, ApprovalSpec, ShadowHit, Verdict } from '@sallyport/model';
import type { DecisionInput } from './engine.ts';
import type { GrantBook, Rights } from './rights.ts';
import { APPROVAL_DEFAULT, type Findings } from './rules.ts';
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

export function verdictOf({ input, view, rights, exceeded, unreviewed, findings, book }: Judgement): Verdict {
  const shadow = findings.shadow.length === 0 ? {} : { shadow: findings.shadow };
  if (findings.deny !== undefined)
    return denial(findings.deny.id, 'policy.denied', findings.deny.message, findings.shadow);
  const own = [...(unreviewed ? [REVIEW_HOLD] : []), ...(exceeded ? [GRANT_HOLD] : [])];
  const holds: readonly Hold[] = own.length === 0 ? findings.holds : [...own, ...findings.holds];
  if (holds.length === 0) return { kind: 'allow', rule: findings.allow?.id ?? 'grant', masks: view.masks, ...shadow };
  const unanswered =
    input.approval === undefined ? holds : holds.filter((hold) => !answers(input.approval!, hold, input, book));
  const first = unanswered[0];
  if (first === undefined) return { kind: 'allow', rule: holds[0]!.id, masks: view.masks, ...shadow };
  const glass =
    input.statement.effects.every((effect) => rights.breakGlass.includes(effect)) && rights.breakGlass.length > 0;
  if (glass) return { kind: 'allow', rule: `break-glass:${first.id}`, masks: view.masks, ...shadow };
  return {
    kind: 'hold',
    rule: first.id,
    approval: together(unanswered),
    ...(first.message === undefined ? {} : { message: first.message }),
    ...shadow,
  };
}

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

export function denial(rule: string, code: ErrorCode, message?: string, shadow: readonly ShadowHit[] = []): Verdict {
  return {
    kind: 'deny',
    rule,
    code,
    ...(message === undefined ? {} : { message }),
    ...(shadow.length === 0 ? {} : { shadow }),
  };
}

/**
 * One request for all holds: groups that all of them accept, the highest count, the shortest time. Where no group is accepted
 * by all, the first hold is asked for; the second decision then holds again for the next.
 */
function together(holds: readonly Hold[]): ApprovalSpec {
  const specs = holds.map((hold) => hold.approval);
  const [first = APPROVAL_DEFAULT] = specs;
  const named = specs.filter((spec) => spec.groups.length > 0);
  const shared = named.reduce<readonly string[]>(
    (left, spec) => left.filter((group) => spec.groups.includes(group)),
    named[0]?.groups ?? [],
  );
  const stepUp = joinedStepUp(specs.map((spec) => spec.stepUp));
  if ((named.length > 0 && shared.length === 0) || stepUp === 'impossible') return first;
  return {
    groups: shared,
    count: Math.max(...specs.map((spec) => spec.count)),
    expiresMs: Math.min(...specs.map((spec) => spec.expiresMs)),
    ...(stepUp === undefined ? {} : { stepUp }),
  };
}

/** Granted, for this statement, this principal and this resource, in time, by enough persons the hold accepts, none of them the asker. */
function answers(
  approval: Approval,
  hold: Hold,
  { session, statement, nowMs }: DecisionInput,
  book: GrantBook,
): boolean {
  if (!approval.granted || approval.expiresAt <= nowMs) return false;
  if (approval.digest !== statement.digest || approval.resourceId !== session.resourceId) return false;
  if (approval.principalId !== session.principal.id) return false;
  if (!coversStepUp(approval.stepUp, hold.approval.stepUp)) return false;
  const askers = [session.principal.id, session.onBehalfOf?.id];
  const accepted = new Set(
    approval.by
      .filter((who) => who.kind === 'person' && !askers.includes(who.id))
      .filter(
        (who) =>
          hold.approval.groups.length === 0 || hold.approval.groups.some((group) => book.isMember(group, who.id)),
      )
      .map((who) => who.id),
  );
  return accepted.size >= hold.approval.count;
}
