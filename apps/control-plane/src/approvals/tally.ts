/**
 * Whether a set of answers grants, refuses, or is not enough yet, and from whose seat somebody may answer at all. Pure.
 * Refuses the requester, whom they act for, and anything that is not a person, in their own seat and in any other.
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

/** A seat that another approver has handed over. */
export interface HandedSeat {
  readonly ofId: string;
  /** Groups of that approver. */
  readonly groups: ReadonlySet<string>;
  /** The one request it is for; undefined = every one. */
  readonly requestId: string | undefined;
}

/** Where somebody's own seat is with another person, who may answer: at these requests, or at every one. */
export interface GivenAway {
  readonly requests: ReadonlySet<string>;
  readonly all: boolean;
}

export interface Voter {
  readonly id: string;
  readonly kind: PrincipalKind;
  readonly groups: ReadonlySet<string>;
  readonly seats?: readonly HandedSeat[];
  readonly givenAway?: GivenAway;
}

export interface Vote {
  readonly principalId: string;
  readonly granted: boolean;
  /** Whose seat, where it is not their own. */
  readonly seatOfId?: string | null;
}

/** What somebody who voted, or whose seat it was, is now. */
export interface Standing {
  /** Their account is there, and its roles let it answer. */
  readonly mayAnswer: boolean;
  readonly groups: ReadonlySet<string>;
}

/**
 * The seat from which a voter may answer: their own id, or that of who handed theirs over. Whoever
 * handed their own seat over has none until they take it back.
 * @param taken seats that have answered
 */
export function seatOf(
  asked: AskedBy & { readonly id?: string },
  voter: Voter,
  taken: ReadonlySet<string> = new Set(),
): string | undefined {
  const isAsker = (id: string): boolean => id === asked.principalId || id === asked.onBehalfOfId;
  if (voter.kind !== 'person' || isAsker(voter.id)) return undefined;
  const accepts = (groups: ReadonlySet<string>): boolean => isAsked(asked, groups);
  const away = voter.givenAway?.all === true || voter.givenAway?.requests.has(asked.id ?? '') === true;
  if (accepts(voter.groups) && !taken.has(voter.id) && !away) return voter.id;
  return voter.seats?.find(
    (seat) =>
      (seat.requestId === undefined || seat.requestId === asked.id) &&
      !isAsker(seat.ofId) &&
      !taken.has(seat.ofId) &&
      accepts(seat.groups),
  )?.ofId;
}

const isAsked = (asked: AskedBy, groups: ReadonlySet<string>): boolean =>
  asked.groups.length === 0 || asked.groups.some((group) => groups.has(group));

/** The same, as if they had handed nothing over: who was asked goes on seeing what became of it. */
export const wasAsked = (asked: AskedBy & { readonly id?: string }, { id, kind, groups, seats = [] }: Voter): boolean =>
  seatOf(asked, { id, kind, groups, seats }) !== undefined;

export const mayAnswer = (asked: AskedBy & { readonly id?: string }, voter: Voter): boolean =>
  seatOf(asked, voter) !== undefined;

export const seatsTaken = (votes: readonly Vote[]): ReadonlySet<string> =>
  new Set(votes.map((vote) => vote.seatOfId ?? vote.principalId));

/**
 * Without the yeses of who may not answer any more, or whose seat has no voice any more: the agent that holds the statement does
 * not count them either.
 * @param standings of all who voted and of their seats
 */
export function stillCounted<V extends Vote>(
  asked: AskedBy,
  votes: readonly V[],
  standings: ReadonlyMap<string, Standing>,
): readonly V[] {
  return votes.filter(({ granted, principalId, seatOfId }) => {
    const seat = standings.get(seatOfId ?? principalId);
    if (!granted) return true;
    return standings.get(principalId)?.mayAnswer === true && seat?.mayAnswer === true && isAsked(asked, seat.groups);
  });
}

/**
 * One refusal refuses. Votes are one per account by the table's key, counted here by person and by seat.
 * @param persons whom an account belongs to, as it is known now: accounts may have become one person's since they voted, and
 * a yes of what turned out to be the asker's own is none
 */
export function tally(
  asked: AskedBy,
  votes: readonly Vote[],
  persons: ReadonlyMap<string, string> = new Map(),
): 'approved' | 'denied' | 'pending' {
  if (votes.some((vote) => !vote.granted)) return 'denied';
  return missing(asked, votes, persons) === 0 ? 'approved' : 'pending';
}

/** How many more persons must say yes. @param persons as of `tally` */
export function missing(
  asked: AskedBy,
  votes: readonly Vote[],
  persons: ReadonlyMap<string, string> = new Map(),
): number {
  const personOf = (id: string): string => persons.get(id) ?? id;
  const askers = new Set([asked.principalId, asked.onBehalfOfId].flatMap((id) => (id === null ? [] : [personOf(id)])));
  const others = votes
    .filter(({ granted }) => granted)
    .map(({ principalId, seatOfId }) => ({ voter: personOf(principalId), seat: personOf(seatOfId ?? principalId) }))
    .filter(({ voter, seat }) => !askers.has(voter) && !askers.has(seat));
  const voters = new Set(others.map(({ voter }) => voter)).size;
  const seats = new Set(others.map(({ seat }) => seat)).size;
  return Math.max(0, Math.max(1, asked.count) - Math.min(voters, seats));
}
