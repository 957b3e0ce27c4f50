/** Tables of access reviews, and what they are made from: grants, who holds them, use. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import { idOrName } from '../db/reference.ts';
import type {
  Credential,
  Grant,
  GrantReview,
  Prisma,
  ReviewCampaign,
  ReviewItem,
  ReviewRound,
} from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';
import type { UsedSum } from './evidence.ts';
import type { Person, World } from './scope.ts';

export type CampaignRow = ReviewCampaign & { readonly rounds: readonly RoundRow[] };
export type RoundRow = ReviewRound & { readonly _count: { readonly items: number }; readonly answered: number };
export type ItemRow = ReviewItem & { readonly round: ReviewRound & { readonly campaign: ReviewCampaign } };

const INSERTED_AT_ONCE = 500;

@Injectable()
export class ReviewsRepository {
  constructor(private readonly database: Database) {}

  async campaigns(
    projectId: string,
    where: Prisma.ReviewCampaignWhereInput,
    page: PageRequest,
  ): Promise<CampaignRow[]> {
    const args = pageArgs(page);
    const rows = await this.database.client.reviewCampaign.findMany({
      ...args,
      where: { AND: [{ projectId }, where, args.where] },
    });
    return await this.#withRounds(rows);
  }
  async allCampaigns(projectId: string, tx: Tx): Promise<CampaignRow[]> {
    return await this.#withRounds(await tx.reviewCampaign.findMany({ where: { projectId } }), tx);
  }
  async campaign(projectId: string, reference: string, tx: Tx = this.database.client): Promise<CampaignRow | null> {
    const row = await tx.reviewCampaign.findFirst({ where: { projectId, ...idOrName(reference) } });
    return row === null ? null : (await this.#withRounds([row], tx))[0]!;
  }
  async insertCampaign(tx: Tx, data: Prisma.ReviewCampaignUncheckedCreateInput): Promise<CampaignRow> {
    return { ...(await tx.reviewCampaign.create({ data })), rounds: [] };
  }
  async updateCampaign(tx: Tx, id: string, data: Prisma.ReviewCampaignUncheckedUpdateInput): Promise<CampaignRow> {
    return (await this.#withRounds([await tx.reviewCampaign.update({ where: { id }, data })], tx))[0]!;
  }
  async removeCampaign(tx: Tx, id: string): Promise<void> {
    await tx.reviewCampaign.delete({ where: { id } });
  }
  async hasAnswers(tx: Tx, campaignId: string): Promise<boolean> {
    return (
      (await tx.reviewItem.findFirst({
        where: { round: { campaignId }, answer: { not: null } },
        select: { id: true },
      })) !== null
    );
  }
  /** Two starts of one campaign come one after another. */
  async lockCampaign(tx: Tx, id: string): Promise<void> {
    await tx.$queryRaw`select id from review_campaigns where id = ${id}::uuid for update`;
  }
  async due(now: Date): Promise<{ id: string; projectId: string; name: string }[]> {
    return await this.database.client.reviewCampaign.findMany({
      where: { nextAt: { lte: now }, endedAt: null },
      orderBy: { nextAt: 'asc' },
      take: 100,
      select: { id: true, projectId: true, name: true },
    });
  }

  async insertRound(tx: Tx, data: Prisma.ReviewRoundUncheckedCreateInput): Promise<ReviewRound> {
    return await tx.reviewRound.create({ data });
  }
  async closeRounds(tx: Tx, campaignId: string, now: Date): Promise<void> {
    await tx.reviewRound.updateMany({ where: { campaignId, closedAt: null }, data: { closedAt: now } });
  }
  async closeRound(tx: Tx, id: string, now: Date): Promise<void> {
    await tx.reviewRound.updateMany({ where: { id, closedAt: null }, data: { closedAt: now } });
  }
  async openItems(tx: Tx, roundId: string): Promise<number> {
    return await tx.reviewItem.count({ where: { roundId, answer: null } });
  }
  /** Rounds whose deadline passed unnoticed so far; each is given to one caller. */
  async takeLapsed(tx: Tx, now: Date): Promise<(ReviewRound & { campaign: ReviewCampaign })[]> {
    const ids = await tx.$queryRaw<{ id: string }[]>`
      update review_rounds set lapsed_at = ${now} where id in (
        select id from review_rounds where closed_at is null and lapsed_at is null and deadline <= ${now} order by id limit 100 for update skip locked)
      returning id`;
    return await tx.reviewRound.findMany({
      where: { id: { in: ids.map((row) => row.id) } },
      include: { campaign: true },
    });
  }

  async insertItems(tx: Tx, items: readonly Prisma.ReviewItemCreateManyInput[]): Promise<void> {
    for (let at = 0; at < items.length; at += INSERTED_AT_ONCE)
      await tx.reviewItem.createMany({ data: items.slice(at, at + INSERTED_AT_ONCE) });
  }
  async items(where: Prisma.ReviewItemWhereInput, page: PageRequest): Promise<ItemRow[]> {
    const args = pageArgs(page);
    return await this.database.client.reviewItem.findMany({
      ...args,
      where: { AND: [where, args.where] },
      include: { round: { include: { campaign: true } } },
    });
  }
  /** Locked, in the order of their ids, so that two answers to one item come one after another. */
  async lockItems(tx: Tx, projectId: string, campaignId: string, ids: readonly string[]): Promise<ItemRow[]> {
    await tx.$queryRaw`select id from review_items where project_id = ${projectId}::uuid and id = any(${[...ids]}::uuid[]) order by id for update`;
    return await tx.reviewItem.findMany({
      where: { id: { in: [...ids] }, projectId, round: { campaignId } },
      include: { round: { include: { campaign: true } } },
      orderBy: { id: 'asc' },
    });
  }
  async answerItem(tx: Tx, id: string, data: Prisma.ReviewItemUncheckedUpdateInput): Promise<ItemRow> {
    return await tx.reviewItem.update({ where: { id }, data, include: { round: { include: { campaign: true } } } });
  }
  /** What waits for an answer in a project, as far as it says whose. */
  async openItemsOf(projectId: string) {
    return await this.database.client.reviewItem.findMany({
      where: { projectId, answer: null, round: { closedAt: null } },
      select: { reviewers: true, holders: true, subject: true, round: { select: { campaignId: true } } },
    });
  }
  /** Every item of a round, by grant. */
  async allItems(roundId: string): Promise<ItemRow[]> {
    return await this.database.client.reviewItem.findMany({
      where: { roundId },
      include: { round: { include: { campaign: true } } },
      orderBy: [{ grantName: 'asc' }, { id: 'asc' }],
    });
  }
  /** Where the answers stand on the trail, by the act's target: agent/instance/epoch and sequence. */
  async placesOf(
    projectId: string,
    since: Date,
    targets: readonly string[],
  ): Promise<Map<string, { chain: string; sequence: number }>> {
    const rows = await this.database.client.$queryRaw<{ target: string; chain: string; sequence: bigint }[]>`
      select e.target, c.agent_id::text || '/' || c.instance || '/' || c.epoch as chain, e.sequence
      from trail_events e join trail_chains c on c.id = e.chain_id
      where e.project_id = ${projectId}::uuid and e.kind = 'control.act' and e.action = 'review.answered' and e.time >= ${since}
        and e.target = any(${[...targets]}::text[]) order by e.time`;
    return new Map(rows.map((row) => [row.target, { chain: row.chain, sequence: Number(row.sequence) }]));
  }

  async startGrantReviews(
    tx: Tx,
    campaign: Pick<ReviewCampaign, 'id' | 'projectId' | 'afterReview'>,
    deadline: Date,
    grantIds: readonly string[],
  ): Promise<void> {
    // A round never prolongs: a grant that has lapsed stays so until it is answered.
    await tx.$executeRaw`
      insert into grant_reviews (grant_id, campaign_id, project_id, reviewed_until, after_review, confirmed)
      select g, ${campaign.id}::uuid, ${campaign.projectId}::uuid, ${deadline}, ${campaign.afterReview}, '{}'
      from unnest(${[...grantIds]}::uuid[]) as g
      on conflict (grant_id, campaign_id) do update set
        reviewed_until = least(grant_reviews.reviewed_until, excluded.reviewed_until), after_review = excluded.after_review`;
  }
  async confirm(tx: Tx, data: Prisma.GrantReviewUncheckedCreateInput): Promise<void> {
    const { grantId, campaignId } = data;
    await tx.grantReview.upsert({ where: { grantId_campaignId: { grantId, campaignId } }, create: data, update: data });
  }
  async setAfterReview(tx: Tx, campaignId: string, afterReview: string): Promise<void> {
    await tx.grantReview.updateMany({ where: { campaignId }, data: { afterReview } });
  }
  async endGrantReviews(tx: Tx, campaignId: string): Promise<void> {
    await tx.grantReview.deleteMany({ where: { campaignId } });
  }
  async grantReviews(projectId: string): Promise<GrantReview[]> {
    return await this.database.client.grantReview.findMany({ where: { projectId } });
  }

  async world(projectId: string, tx: Tx = this.database.client): Promise<World> {
    const people = await tx.principal.findMany({
      where: { projectId, disabledAt: null },
      select: { id: true, name: true, kind: true, email: true, manager: true },
    });
    const groups = await tx.$queryRaw<{ name: string; members: string[] }[]>`
      select g.name, coalesce(array_agg(distinct p.id::text) filter (where p.id is not null), '{}') as members
      from groups g left join memberships m on m.group_id = g.id left join principals p on p.id = m.principal_id and p.disabled_at is null
      where g.project_id = ${projectId}::uuid group by g.name`;
    const resources = await tx.resource.findMany({
      where: { projectId },
      select: { id: true, name: true, labels: true },
    });
    const known = resources.map((row) => ({ ...row, labels: row.labels as Record<string, string> }));
    return {
      people: new Map(people.map((person): [string, Person] => [person.id, person])),
      groups: new Map(groups.map((group) => [group.name, group.members])),
      resources: known,
      resourcesByName: new Map(known.map((resource) => [resource.name, resource])),
    };
  }
  async grantsInForce(projectId: string, now: Date, tx: Tx = this.database.client): Promise<Grant[]> {
    return await tx.grant.findMany({
      where: { projectId, revokedAt: null, OR: [{ notAfter: null }, { notAfter: { gt: now } }] },
      orderBy: { name: 'asc' },
    });
  }
  async appliedGrants(projectId: string, tx: Tx): Promise<ReadonlySet<string>> {
    const rows = await tx.appliedDocument.findMany({ where: { projectId, kind: 'Grant' }, select: { thingId: true } });
    return new Set(rows.map((row) => row.thingId));
  }
  /** Sums since the day of an instant, by principal. */
  async usedSince(
    projectId: string,
    from: Date,
    tx: Tx = this.database.client,
  ): Promise<ReadonlyMap<string, readonly UsedSum[]>> {
    const rows = await tx.$queryRaw<
      (Omit<UsedSum, 'sequence' | 'chain'> & { sequence: bigint; chain: string | null })[]
    >`
      select u.*, c.agent_id::text || '/' || c.instance || '/' || c.epoch as chain from (
        select principal_id as "principalId", resource_id as "resourceId", kind, word, sum(allowed)::int as allowed, sum(held)::int as held,
          sum(denied)::int as denied, max(last_at) as "lastAt",
          max(last_allowed_at) as "lastAllowedAt", (array_agg(chain_id order by last_at desc))[1] as last_chain,
          (array_agg(sequence order by last_at desc))[1] as sequence
        from usage_days where project_id = ${projectId}::uuid and day >= (${from} at time zone 'UTC')::date group by 1, 2, 3, 4
      ) u left join trail_chains c on c.id = u.last_chain`;
    const by = new Map<string, UsedSum[]>();
    for (const row of rows) {
      const sum = { ...row, chain: row.chain ?? '', sequence: Number(row.sequence) };
      const known = by.get(row.principalId);
      if (known === undefined) by.set(row.principalId, [sum]);
      else known.push(sum);
    }
    return by;
  }
  /** The caller and every other account with the same address. */
  async accountsLike(
    projectId: string,
    principalId: string,
    tx: Tx = this.database.client,
  ): Promise<readonly string[]> {
    const rows = await tx.$queryRaw<{ id: string }[]>`
      select o.id::text as id from principals p join principals o on o.project_id = p.project_id
        and (o.id = p.id or (p.email <> '' and lower(o.email) = lower(p.email)))
      where p.id = ${principalId}::uuid and p.project_id = ${projectId}::uuid`;
    return rows.map((row) => row.id);
  }
  async groupsOf(
    projectId: string,
    principalIds: readonly string[],
    tx: Tx = this.database.client,
  ): Promise<ReadonlySet<string>> {
    const rows = await tx.membership.findMany({
      where: { projectId, principalId: { in: [...principalIds] } },
      select: { group: { select: { name: true } } },
    });
    return new Set(rows.map((row) => row.group.name));
  }

  /** What confirmed a grant last: the frozen items, by id. */
  async itemsById(ids: readonly string[]): Promise<ReadonlyMap<string, ReviewItem>> {
    const rows = await this.database.client.reviewItem.findMany({ where: { id: { in: [...ids] } } });
    return new Map(rows.map((row) => [row.id, row]));
  }
  async reviewedCampaigns(projectId: string): Promise<ReviewCampaign[]> {
    return await this.database.client.reviewCampaign.findMany({
      where: { projectId, endedAt: null, rounds: { some: {} } },
    });
  }
  async rotatedCredentials(projectId: string): Promise<Credential[]> {
    return await this.database.client.credential.findMany({
      where: { projectId, OR: [{ kind: 'stored' }, { rotateEverySeconds: { not: null } }] },
      orderBy: { name: 'asc' },
    });
  }
  async findings(projectId: string, tx: Tx = this.database.client): Promise<ReadonlyMap<string, Date>> {
    const rows = await tx.driftFinding.findMany({ where: { projectId } });
    return new Map(rows.map((row) => [row.key, row.firstSeenAt]));
  }
  async replaceFindings(
    tx: Tx,
    projectId: string,
    added: readonly { readonly key: string; readonly kind: string; readonly target: string }[],
    gone: readonly string[],
    now: Date,
  ): Promise<void> {
    // As lists, since there may be one for each of many thousand grants: as values of their own they hold everything up for seconds.
    await tx.$executeRaw`
      delete from drift_findings where project_id = ${projectId}::uuid and key = any (${[...gone]}::text[])`;
    await tx.$executeRaw`
      insert into drift_findings (project_id, key, kind, target, first_seen_at)
      select ${projectId}::uuid, key, kind, target, ${now}::timestamptz
      from unnest(${added.map((one) => one.key)}::text[], ${added.map((one) => one.kind)}::text[],
        ${added.map((one) => one.target)}::text[]) as found (key, kind, target)
      on conflict do nothing`;
  }
  async projectIds(): Promise<readonly string[]> {
    return (await this.database.client.project.findMany({ select: { id: true } })).map((row) => row.id);
  }

  async #withRounds(rows: readonly ReviewCampaign[], tx: Tx = this.database.client): Promise<CampaignRow[]> {
    if (rows.length === 0) return [];
    const rounds = await tx.reviewRound.findMany({
      where: { campaignId: { in: rows.map((row) => row.id) } },
      orderBy: { number: 'desc' },
      include: { _count: { select: { items: true } } },
    });
    const answered = await tx.reviewItem.groupBy({
      by: ['roundId'],
      where: { roundId: { in: rounds.map((round) => round.id) }, answer: { not: null } },
      _count: true,
    });
    const count = new Map(answered.map((row) => [row.roundId, row._count]));
    return rows.map((row) => ({
      ...row,
      rounds: rounds
        .filter((round) => round.campaignId === row.id)
        .map((round) => ({ ...round, answered: count.get(round.id) ?? 0 })),
    }));
  }
}
