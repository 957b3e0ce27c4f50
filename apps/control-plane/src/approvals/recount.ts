/**
 * Answers that are still of use, a shape or a ticket nobody used, counted again when accounts turn out to be one person's:
 * two yeses of theirs are one, and one of the asker's own is none. What is not enough any more is revoked.
 */
import { Injectable } from '@nestjs/common';
import type { ApprovalRequest } from '@sallyport/model';
import { recordAct } from '../acts/acts.ts';
import type { Tx } from '../db/database.ts';
import { type PersonFollower, PersonFollowers } from '../identity/person-followers.ts';
import { Revocations } from '../identity/revocations.ts';
import { personsOf } from '../identity/same-person.ts';
import { SystemClock } from '../time.ts';
import { ApprovalEnds, askersOf } from './approval-ends.ts';
import { ApprovalsRepository, type RequestWithVotes } from './approvals.repository.ts';
import { tally } from './tally.ts';

const REASON = 'accounts of those who answered or asked turned out to be one person’s';

type Involved = Pick<RequestWithVotes, 'principalId' | 'onBehalfOfId'> & {
  readonly votes: readonly Pick<RequestWithVotes['votes'][number], 'principalId' | 'seatOfId'>[];
};
const involvedIn = ({ principalId, onBehalfOfId, votes }: Involved): string[] =>
  [principalId, onBehalfOfId, ...votes.flatMap((vote) => [vote.principalId, vote.seatOfId])].filter(
    (id) => id !== null,
  );

@Injectable()
export class Recount implements PersonFollower {
  constructor(
    private readonly repository: ApprovalsRepository,
    private readonly ends: ApprovalEnds,
    private readonly revocations: Revocations,
    private readonly clock: SystemClock,
    followers: PersonFollowers,
  ) {
    followers.add(this);
  }

  async joined(tx: Tx, accounts: ReadonlySet<string>): Promise<void> {
    for (const found of await this.repository.inForce(tx, this.clock.now())) {
      if (!involvedIn(found).some((id) => accounts.has(id))) continue;
      const row = await this.repository.lock(tx, found.id);
      if (row === null || row.state !== 'approved') continue;
      if (tally(row, row.votes, await personsOf(tx, involvedIn(row))) !== 'approved') await this.#revoke(tx, row);
    }
  }

  async #revoke(tx: Tx, row: RequestWithVotes): Promise<void> {
    await this.repository.finish(tx, row.id, { state: 'revoked', revokedAt: this.clock.now() });
    await this.revocations.revoke(tx, row.projectId, 'approval', row.id);
    await recordAct(tx, {
      projectId: row.projectId,
      principal: undefined,
      action: 'approval.revoked',
      target: `approval/${row.id}`,
      detail: { digest: row.digest, reason: REASON },
      requestId: 'recount',
    });
    const asker = row.body as unknown as ApprovalRequest;
    await this.ends.tellEnd(tx, row, 'revoked', { name: '', reason: REASON }, askersOf(asker));
  }
}
