/**
 * Starting a round: grants in scope frozen with who has them and what was used, and their deadline compiled into bundles,
 * in one transaction. From then on a grant that nobody answers lapses at the agents by itself. No HTTP, no Prisma.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError, LIMITS } from '@sallyport/core';
import { type Actor, recordActOf } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Grant, Prisma } from '../generated/prisma/client.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { Outbox } from '../notify/outbox.ts';
import { SystemClock } from '../time.ts';
import { Campaigns, showCampaign } from './campaigns.service.ts';
import { evidenceOf, proposalFor, type UsedSum } from './evidence.ts';
import type { Reviewers, ReviewView, Scope, SubjectView } from './reviews.dto.ts';
import { type CampaignRow, ReviewsRepository } from './reviews.repository.ts';
import { nextTurn } from './schedule.ts';
import { holdersOf, isInScope, reachOf, reviewersOf, type World } from './scope.ts';

@Injectable()
export class Rounds {
  constructor(
    private readonly database: Database,
    private readonly repository: ReviewsRepository,
    private readonly campaigns: Campaigns,
    private readonly bundles: BundleChanges,
    private readonly outbox: Outbox,
    private readonly clock: SystemClock,
  ) {}

  /**
   * @param isDue started by its schedule: then nothing happens unless it is still due, and a round that is open is superseded
   * @throws GatewayError `request.conflict` when a round is under way; InvalidRequest when nothing or too much is in scope
   */
  async start(actor: Actor, reference: string, isDue = false): Promise<ReviewView> {
    return await this.database.transaction(async (tx) => {
      const { id } = await this.campaigns.find(actor.projectId, reference, tx);
      await this.repository.lockCampaign(tx, id);
      const campaign = await this.campaigns.find(actor.projectId, id, tx);
      const now = this.clock.now();
      if (campaign.endedAt !== null)
        throw new GatewayError('request.conflict', { review: campaign.name, why: 'ended' });
      if (isDue && (campaign.nextAt === null || campaign.nextAt > now)) return showCampaign(campaign);
      const under = campaign.rounds[0];
      if (!isDue && under !== undefined && under.closedAt === null && under.deadline > now)
        throw new GatewayError('request.conflict', { review: campaign.name, round: under.number });
      await this.repository.closeRounds(tx, campaign.id, now);
      await this.#freeze(tx, actor, campaign, now, isDue);
      const nextAt = nextTurn(campaign.nextAt, campaign.every, now);
      return showCampaign(await this.repository.updateCampaign(tx, campaign.id, { nextAt }));
    });
  }

  async #freeze(tx: Tx, actor: Actor, campaign: CampaignRow, now: Date, isDue: boolean): Promise<void> {
    const { projectId } = campaign;
    const world = await this.repository.world(projectId, tx);
    const scope = campaign.scope as Scope;
    const all = await this.repository.grantsInForce(projectId, now, tx);
    const grants = all.filter((grant) => isInScope(scope, grant, world));
    const wrong = (message: string): never => {
      throw new InvalidRequest([{ field: 'scope', message }]);
    };
    if (grants.length > LIMITS.reviewItemsMax)
      wrong(`at most ${LIMITS.reviewItemsMax} grants fit in one round; narrow it`);
    if (grants.length === 0 && !isDue) wrong('there is no such grant');
    const from = new Date(now.getTime() - Number(campaign.evidenceMs));
    const used = await this.repository.usedSince(projectId, from, tx);
    const applied = await this.repository.appliedGrants(projectId, tx);
    const number = (campaign.rounds[0]?.number ?? 0) + 1;
    const deadline = new Date(now.getTime() + Number(campaign.dueMs));
    const round = await this.repository.insertRound(tx, {
      id: this.clock.id(),
      projectId,
      campaignId: campaign.id,
      number,
      startedAt: now,
      deadline,
      evidenceFrom: from,
      ...(grants.length === 0 ? { closedAt: now } : {}),
    });
    const rule = campaign.reviewers as unknown as Reviewers;
    const items = grants.map((grant) => ({
      ...frozen(grant, world, rule, used, from, now, sourceOf(grant, applied)),
      id: this.clock.id(),
      projectId,
      roundId: round.id,
    }));
    await this.repository.insertItems(tx, items);
    await this.repository.startGrantReviews(
      tx,
      campaign,
      deadline,
      grants.map((grant) => grant.id),
    );
    const told = { review: campaign.name, round: number, items: items.length, deadline: deadline.toISOString() };
    await recordActOf(tx, actor, 'review.started', `review/${campaign.name}`, told);
    await this.outbox.add(tx, projectId, 'review.started', told);
    await this.bundles.bump(tx, projectId);
  }
}

/** How it came to be: what it says itself, and `apply` for what a document made. */
const sourceOf = (grant: Grant, applied: ReadonlySet<string>): string =>
  grant.source === 'manual' && applied.has(grant.id) ? 'apply' : grant.source;

function frozen(
  grant: Grant,
  world: World,
  rule: Reviewers,
  used: ReadonlyMap<string, readonly UsedSum[]>,
  from: Date,
  now: Date,
  source: string,
) {
  const holders = holdersOf(grant, world);
  const reach = reachOf(grant, world);
  const reached = new Set(reach.map((resource) => resource.id));
  const sums = holders.flatMap((holder) => (used.get(holder.id) ?? []).filter((sum) => reached.has(sum.resourceId)));
  const evidence = evidenceOf(sums, from, now, (id) => world.people.get(id)?.name ?? id);
  const proposal = proposalFor(grant, evidence);
  const subject: SubjectView = {
    principal: grant.principalId === null ? null : (world.people.get(grant.principalId)?.name ?? grant.principalId),
    group: grant.groupName,
    resource: grant.resource,
    labels: grant.labels as Record<string, string> | null,
    effects: grant.effects as SubjectView['effects'],
    roles: grant.roles,
    kind: grant.kind,
    source,
    createdAt: grant.createdAt.toISOString(),
    notAfter: grant.notAfter?.toISOString() ?? null,
    reaches: reach.map((resource) => resource.name).sort(),
  };
  return {
    grantId: grant.id,
    grantName: grant.name,
    subject: { ...subject, principalId: grant.principalId } as Prisma.InputJsonObject,
    holders: holders.map(({ id, name, kind }) => ({ id, name, kind })),
    reviewers: reviewersOf(rule, reach, holders, world).map((reviewer) => ({ ...reviewer })),
    evidence: evidence as unknown as Prisma.InputJsonObject,
    proposal: proposal.answer,
    proposalEffects: [...proposal.effects],
    proposalReason: proposal.reason,
  };
}
