/**
 * Campaigns: what is reviewed, by whom, how often, and what becomes of a grant that nobody reviewed. No HTTP, no Prisma.
 * Refuses to delete answers: a campaign that has some is ended, which unbinds its grants and keeps the evidence.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { z } from 'zod';
import { type Actor, recordActOf } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Caller } from '../http/caller.ts';
import { showDuration } from '../http/duration.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, toPage } from '../http/page.ts';
import { openFields } from '../http/schema.ts';
import { SystemClock } from '../time.ts';
import {
  ReviewDocument,
  type Reviewers,
  type ReviewQuery,
  type ReviewView,
  type RoundView,
  type Scope,
} from './reviews.dto.ts';
import { type CampaignRow, ReviewsRepository, type RoundRow } from './reviews.repository.ts';
import { nextTurn } from './schedule.ts';

const showRound = (round: RoundRow): RoundView => ({
  number: round.number,
  startedAt: round.startedAt.toISOString(),
  deadline: round.deadline.toISOString(),
  items: round._count.items,
  answered: round.answered,
  state: round.closedAt !== null ? 'closed' : round.lapsedAt !== null ? 'lapsed' : 'open',
});

export const showCampaign = (row: CampaignRow): ReviewView => ({
  id: row.id,
  name: row.name,
  description: row.description,
  scope: row.scope as Scope,
  reviewers: row.reviewers as unknown as Reviewers,
  afterReview: row.afterReview as ReviewView['afterReview'],
  due: showDuration(Number(row.dueMs)),
  evidence: showDuration(Number(row.evidenceMs)),
  every: row.every,
  nextAt: row.nextAt?.toISOString() ?? null,
  endedAt: row.endedAt?.toISOString() ?? null,
  createdAt: row.createdAt.toISOString(),
  round: row.rounds[0] === undefined ? null : showRound(row.rounds[0]),
});

/** What a document says of it. When the next round starts moves on by itself and is told apart. */
export const documentOf = (row: CampaignRow) => ({
  name: row.name,
  description: row.description,
  scope: row.scope as Scope,
  reviewers: row.reviewers as unknown as Reviewers,
  afterReview: row.afterReview as ReviewView['afterReview'],
  due: showDuration(Number(row.dueMs)),
  evidence: showDuration(Number(row.evidenceMs)),
  every: row.every,
});

@Injectable()
export class Campaigns {
  constructor(
    private readonly database: Database,
    private readonly repository: ReviewsRepository,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, query: z.infer<typeof ReviewQuery>, only?: readonly string[]): Promise<Page<ReviewView>> {
    const where = only === undefined ? {} : { id: { in: [...only] } };
    return toPage(await this.repository.campaigns(caller.projectId, where, query), query, showCampaign);
  }

  /** @throws GatewayError `request.not_found` */
  async find(projectId: string, reference: string, tx?: Tx): Promise<CampaignRow> {
    const row = await this.repository.campaign(projectId, reference, tx);
    if (row === null) throw new GatewayError('request.not_found', { review: reference });
    return row;
  }

  async get(caller: Caller, reference: string): Promise<ReviewView> {
    return showCampaign(await this.find(caller.projectId, reference));
  }

  all(projectId: string, tx: Tx): Promise<CampaignRow[]> {
    return this.repository.allCampaigns(projectId, tx);
  }

  async create(caller: Caller, document: ReviewDocument): Promise<ReviewView> {
    return showCampaign(await this.database.transaction((tx) => this.insert(tx, caller, document)));
  }

  async replace(caller: Caller, reference: string, document: ReviewDocument): Promise<ReviewView> {
    return await this.database.transaction(async (tx) => {
      const found = await this.find(caller.projectId, reference, tx);
      if (document.name !== found.name)
        throw new InvalidRequest([{ field: 'name', message: 'a campaign keeps its name' }]);
      return showCampaign(await this.update(tx, caller, found, document));
    });
  }

  /** No further round, and what was answered binds nothing any more. */
  async end(caller: Caller, reference: string): Promise<ReviewView> {
    return await this.database.transaction(async (tx) => {
      const found = await this.find(caller.projectId, reference, tx);
      return showCampaign(found.endedAt === null ? await this.close(tx, caller, found) : found);
    });
  }

  /** @throws GatewayError `request.conflict` when it has answers: they are evidence */
  async remove(caller: Caller, reference: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const found = await this.find(caller.projectId, reference, tx);
      if (await this.repository.hasAnswers(tx, found.id))
        throw new GatewayError('request.conflict', { review: found.name, why: 'it has answers: end it' });
      await this.delete(tx, caller, found);
    });
  }

  // Inside a transaction: for apply, which changes several things at once.
  async insert(tx: Tx, actor: Actor, document: ReviewDocument): Promise<CampaignRow> {
    const row = await this.repository.insertCampaign(tx, {
      ...this.#data(document),
      id: this.clock.id(),
      projectId: actor.projectId,
      name: document.name,
    });
    await recordActOf(tx, actor, 'review.created', `review/${row.name}`, openFields(ReviewDocument, document));
    return row;
  }

  /** @throws GatewayError `request.conflict` for one that has ended */
  async update(tx: Tx, actor: Actor, found: CampaignRow, document: ReviewDocument): Promise<CampaignRow> {
    if (found.endedAt !== null) throw new GatewayError('request.conflict', { review: found.name, why: 'ended' });
    const row = await this.repository.updateCampaign(tx, found.id, this.#data(document));
    if (row.afterReview !== found.afterReview) {
      await this.repository.setAfterReview(tx, found.id, row.afterReview);
      await this.bundles.bump(tx, actor.projectId);
    }
    await recordActOf(tx, actor, 'review.updated', `review/${row.name}`, openFields(ReviewDocument, document));
    return row;
  }

  /** Its evidence stays. */
  async close(tx: Tx, actor: Actor, found: CampaignRow): Promise<CampaignRow> {
    await this.repository.closeRounds(tx, found.id, this.clock.now());
    await this.repository.endGrantReviews(tx, found.id);
    const row = await this.repository.updateCampaign(tx, found.id, { endedAt: this.clock.now(), nextAt: null });
    await recordActOf(tx, actor, 'review.ended', `review/${row.name}`);
    await this.bundles.bump(tx, actor.projectId);
    return row;
  }

  async delete(tx: Tx, actor: Actor, found: CampaignRow): Promise<void> {
    await this.repository.removeCampaign(tx, found.id);
    await recordActOf(tx, actor, 'review.deleted', `review/${found.name}`);
    await this.bundles.bump(tx, actor.projectId);
  }

  /** Deleted, or ended where it has answers. One that has ended is left as it is. */
  async drop(tx: Tx, actor: Actor, found: CampaignRow): Promise<void> {
    if (!(await this.repository.hasAnswers(tx, found.id))) return await this.delete(tx, actor, found);
    if (found.endedAt === null) await this.close(tx, actor, found);
  }

  #data(document: ReviewDocument) {
    const every = document.every ?? null;
    const given = document.nextAt ? new Date(document.nextAt) : null;
    return {
      description: document.description,
      scope: document.scope,
      reviewers: document.reviewers,
      afterReview: document.afterReview,
      dueMs: BigInt(document.due),
      evidenceMs: BigInt(document.evidence),
      every,
      nextAt: given ?? nextTurn(null, every, this.clock.now()),
    };
  }
}
