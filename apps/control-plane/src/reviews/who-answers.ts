/**
 * Whether a caller may answer an item: its reviewer, a person, and nobody who holds the grant, then or now. Pure.
 * Refuses a second account of the caller's like the caller, whoever made the caller's token, and AI agents and services.
 */
import type { ReviewItem } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import type { Reviewer } from './scope.ts';

/** What is known of the caller, read once per request. */
export interface Asker {
  readonly caller: Caller;
  /** Ids of the caller, of other accounts of the same person, and of who had a hand in the caller's token. */
  readonly accounts: readonly string[];
  /** Groups of any of them. */
  readonly groupsOfAll: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
}

export function isReviewer(
  item: Pick<ReviewItem, 'reviewers'>,
  { caller, groups }: Omit<Asker, 'accounts' | 'groupsOfAll'>,
): boolean {
  const reviewers = item.reviewers as unknown as readonly Reviewer[];
  if (reviewers.length === 0) return caller.permissions.has('review:create');
  return reviewers.some((one) => (one.kind === 'group' ? groups.has(one.id) : one.id === caller.principal.id));
}

export function mayAnswer(item: Pick<ReviewItem, 'reviewers' | 'holders' | 'subject'>, asker: Asker): boolean {
  if (asker.caller.principal.kind !== 'person' || !asker.caller.permissions.has('review:answer')) return false;
  const holders = item.holders as unknown as readonly { readonly id: string }[];
  if (holders.some((holder) => asker.accounts.includes(holder.id))) return false;
  const { group, principalId } = item.subject as {
    readonly group?: string | null;
    readonly principalId?: string | null;
  };
  if (typeof group === 'string' && asker.groupsOfAll.has(group)) return false;
  if (typeof principalId === 'string' && asker.accounts.includes(principalId)) return false;
  return isReviewer(item, asker);
}
