/**
 * Rules that hold a COMMIT: which statements they let run until then, and which they refuse because nothing would be left to
 * hold. Refuses to know a protocol: how a statement is committed is its fact (model `CommitWay`). ADR 0025.
 */
import type { ErrorCode } from '@sallyport/core';
import type { ApprovalSpec, CommitHold, Policy, Resource, Statement } from '@sallyport/model';
import { isAboutResource } from './session-view.ts';

/**
 * True where the rule lets the statement run and holds its COMMIT. What only reads has nothing to commit: it waits before it
 * runs, as under any hold.
 */
export function waitsForCommit({ approval }: { readonly approval: ApprovalSpec }, statement: Statement): boolean {
  if (approval.commit === undefined) return false;
  return statement.commit === 'control' || statement.effects.some((effect) => effect !== 'read');
}

export const atItsCommit = ({
  rule,
  message,
  approval,
}: CommitHold): { id: string; message: string | undefined; approval: ApprovalSpec } => ({
  id: rule,
  message,
  approval,
});

/** Why no COMMIT can be held for this statement; undefined where one can. */
export function commitDenial(
  rule: { readonly message: string | undefined },
  rules: readonly { readonly approval: ApprovalSpec }[],
  statement: Statement,
  resource: Resource | undefined,
): { readonly code: ErrorCode; readonly message: string | undefined } | undefined {
  // A ticket is for the same statement later, and no transaction is the same later.
  if (resource?.approval === 'ticket') return { code: 'approval.transaction_required', message: TICKET };
  switch (statement.commit) {
    case 'apart':
      break;
    case 'unseen':
      return { code: 'statement.refused', message: UNSEEN };
    case 'control':
    case 'itself':
    case undefined:
      return { code: 'approval.transaction_required', message: withRule(rule.message) };
    default:
      return statement.commit satisfies never;
  }
  const most = Math.min(...rules.map(({ approval }) => approval.commit?.statementsMax ?? 0));
  return (statement.heldBefore ?? 0) >= most ? { code: 'approval.transaction_limit', message: undefined } : undefined;
}

/** The first resource under a policy whose COMMITs could never be answered: said when it is saved. Undefined = none. */
export function ticketConflict(
  policy: Policy,
  resources: readonly Pick<Resource, 'name' | 'labels' | 'projectId' | 'approval'>[],
): string | undefined {
  if (!policy.rules.some((rule) => rule.approval?.commit !== undefined && rule.mode !== 'shadow')) return undefined;
  return resources.find((resource) => resource.approval === 'ticket' && isAboutResource(policy, resource))?.name;
}

/**
 * Rules of one policy and of others that hold COMMITs of one resource and have no group of approvers in common: a transaction
 * that both are about could be answered by nobody, and is refused. Said when a policy is saved. Each as `policy/rule`.
 */
export function commitsWithoutApprover(
  policy: Policy,
  others: readonly Policy[],
  resources: readonly Pick<Resource, 'name' | 'labels' | 'projectId'>[],
): readonly { readonly one: string; readonly other: string; readonly resource: string }[] {
  const own = commitRules(policy);
  if (own.length === 0) return [];
  const all = [policy, ...others.filter((other) => other.name !== policy.name)];
  return all.flatMap((other) => {
    const shared = resources.find((one) => isAboutResource(policy, one) && isAboutResource(other, one));
    if (shared === undefined) return [];
    return own.flatMap((rule, i) =>
      commitRules(other)
        .slice(other === policy ? i + 1 : 0)
        .filter((second) => isApart(rule.groups, second.groups))
        .map((second) => ({ one: rule.id, other: second.id, resource: shared.name })),
    );
  });
}

const commitRules = (policy: Policy): readonly { readonly id: string; readonly groups: readonly string[] }[] =>
  policy.mode === 'shadow'
    ? []
    : policy.rules.flatMap(({ name, mode, approval }) =>
        approval?.commit === undefined || mode === 'shadow'
          ? []
          : [{ id: `${policy.name}/${name}`, groups: approval.groups }],
      );

const isApart = (one: readonly string[], other: readonly string[]): boolean =>
  one.length > 0 && other.length > 0 && !one.some((group) => other.includes(group));

const TICKET =
  'This resource answers by ticket, and a COMMIT cannot be asked for again: its approval has to be `wait`.';
const UNSEEN =
  'Its COMMIT has to be approved, and what CALL and DO change cannot be counted; send the statements themselves.';
const FIRST = 'Send BEGIN first, and COMMIT by itself: it then waits for approval.';
const withRule = (message: string | undefined): string => (message === undefined ? FIRST : `${message} ${FIRST}`);
