/**
 * Yeses to access requests, counted again when accounts turn out to be one person's: two of theirs are one, and one of the
 * requester's own is none. A grant that too few are behind ends. Refuses to ask again what nobody's accounts have changed:
 * who has lost a group since said yes all the same.
 */
import { Injectable } from '@nestjs/common';
import { systemActor } from '../acts/acts.ts';
import type { Tx } from '../db/database.ts';
import { Grants } from '../grants/grants.service.ts';
import { type PersonFollower, PersonFollowers } from '../identity/person-followers.ts';
import { accountsOf, personsOf } from '../identity/same-person.ts';
import { SystemClock } from '../time.ts';
import { AccessOutcomes } from './access-outcomes.ts';
import { documentOf } from './access-policies.service.ts';
import { AccessRequestsRepository, type RequestRow } from './access-requests.repository.ts';
import { isEnough, mayAnswer } from './quorum.ts';

const REASON = 'accounts of those who answered or asked turned out to be one person’s';

@Injectable()
export class AccessRecount implements PersonFollower {
  constructor(
    private readonly repository: AccessRequestsRepository,
    private readonly outcomes: AccessOutcomes,
    private readonly grants: Grants,
    private readonly clock: SystemClock,
    followers: PersonFollowers,
  ) {
    followers.add(this);
  }

  async joined(tx: Tx, accounts: ReadonlySet<string>): Promise<void> {
    const now = this.clock.now();
    for (const { id, projectId } of await this.repository.standingOnYesesOf(tx, [...accounts], now)) {
      const row = await this.repository.lock(tx, projectId, id);
      if (row?.state !== 'approved' || !isInForce(row, now) || (await this.#stillEnough(tx, row))) continue;
      const actor = systemActor(projectId, 'recount');
      await this.grants.end(tx, actor, await this.grants.find(projectId, row.grantId!, tx));
      await this.outcomes.end(tx, actor, row, 'revoked', { names: '', reason: REASON });
    }
  }

  async #stillEnough(tx: Tx, row: RequestRow): Promise<boolean> {
    const ids = row.votes.filter(({ granted }) => granted).map((vote) => vote.principalId);
    const involved = await accountsOf(tx, [...row.involved, row.principalId, row.requestedById]);
    const others = ids.filter((id) => !involved.has(id));
    const persons = await personsOf(tx, others);
    if (others.length === ids.length && new Set(persons.values()).size === others.length) return true;
    const policy = await this.repository.policy(row.projectId, row.policyId, tx);
    const approve = policy === null ? undefined : documentOf(policy).approve;
    if (approve === undefined) return false;
    const yes = await this.repository.answerers(tx, row.projectId, others);
    return isEnough(
      approve,
      yes.filter((one) => mayAnswer(approve, involved, one)),
      persons,
    );
  }
}

const isInForce = ({ grant }: RequestRow, now: Date): boolean =>
  grant !== null && grant.revokedAt === null && (grant.notAfter === null || grant.notAfter > now);
