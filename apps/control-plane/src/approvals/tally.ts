/**
 * Whether a set of answers grants, refuses, or is not enough yet, and who may answer at all. Pure.
 * Refuses the requester, whom they act for, and anything that is not a person.
 */
import type { PrincipalKind } from '@sallyport/model';

export interface AskedBy {
  readonly principalId: string;
  readonly onBehalfOfId: string | null;
  /** Names of the groups whose members may answer; empty = whoever may answer at all. */
  readonly groups: readonly string[];
  /** How many distinct persons must say yes. */
  readonly count: number;
}

export interface Voter {
  readonly id: string;
  readonly kind: PrincipalKind;
  readonly groups: ReadonlySet<string>;
}

export function mayAnswer(asked: AskedBy, voter: Voter): boolean {
  if (voter.kind !== 'person') return false;
  if (voter.id === asked.principalId || voter.id === asked.onBehalfOfId) return false;
  return asked.groups.length === 0 || asked.groups.some((group) => voter.groups.has(group));
}

/** One refusal refuses. Votes are one per person by the table's key, counted again here by person. */
export function tally(
  asked: AskedBy,
  votes: readonly { readonly principalId: string; readonly granted: boolean }[],
): 'approved' | 'denied' | 'pending' {
  if (votes.some((vote) => !vote.granted)) return 'denied';
  return new Set(votes.map((vote) => vote.principalId)).size >= Math.max(1, asked.count) ? 'approved' : 'pending';
}
