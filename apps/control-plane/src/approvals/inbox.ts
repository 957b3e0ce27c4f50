/**
 * What a caller may see and answer of approval requests: of a row in hand, and the same rule for the database. Pure.
 * Refuses to count votes (tally.ts).
 */
import type { Prisma } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import type { RequestWithVotes } from './approvals.repository.ts';
import { type GivenAway, type HandedSeat, seatOf, seatsTaken, type Voter, wasAsked } from './tally.ts';

/** Who asks, with what they may answer from. */
export interface Approver {
  readonly voter: Voter;
  readonly groups: ReadonlySet<string>;
  readonly seats: readonly HandedSeat[];
  readonly givenAway: GivenAway;
}

export const isAnswerable = (caller: Caller, { voter }: Approver, row: RequestWithVotes): boolean =>
  caller.permissions.has('approval:answer') &&
  row.state === 'pending' &&
  seatOf(row, voter, seatsTaken(row.votes)) !== undefined &&
  !row.votes.some((vote) => vote.principalId === caller.principal.id);

export const isVisible = (caller: Caller, { voter }: Approver, row: RequestWithVotes): boolean =>
  row.principalId === caller.principal.id ||
  row.onBehalfOfId === caller.principal.id ||
  caller.permissions.has('session:read') ||
  wasAsked(row, voter);

export const ownedBy = (caller: Caller): Prisma.ApprovalRequestWhereInput => ({
  OR: [{ principalId: caller.principal.id }, { onBehalfOfId: caller.principal.id }],
});

/** The same rule as `seatOf`, for the database; votes already given leave the inbox. */
export const answerableBy = (
  caller: Caller,
  { groups, seats, givenAway }: Approver,
): Prisma.ApprovalRequestWhereInput => {
  if (caller.principal.kind !== 'person') return { id: '' };
  const notAsker = (id: string): Prisma.ApprovalRequestWhereInput => ({
    principalId: { not: id },
    OR: [{ onBehalfOfId: null }, { onBehalfOfId: { not: id } }],
  });
  const accepts = (of: ReadonlySet<string>): Prisma.ApprovalRequestWhereInput => ({
    OR: [{ groups: { isEmpty: true } }, { groups: { hasSome: [...of] } }],
  });
  const answered = (id: string): Prisma.ApprovalVoteWhereInput => ({
    OR: [{ principalId: id, seatOfId: null }, { seatOfId: id }],
  });
  const { id } = caller.principal;
  return {
    state: 'pending',
    AND: [
      notAsker(id),
      {
        OR: [
          // An empty list of alternatives would let everything through.
          givenAway.all
            ? { id: '' }
            : { AND: [accepts(groups), { votes: { none: answered(id) } }, { id: { notIn: [...givenAway.requests] } }] },
          ...seats.map(({ ofId, groups: theirs, requestId }) => ({
            AND: [
              notAsker(ofId),
              accepts(theirs),
              { votes: { none: answered(ofId) } },
              requestId === undefined ? {} : { id: requestId },
            ],
          })),
        ],
      },
    ],
    votes: { none: { principalId: id } },
  };
};
