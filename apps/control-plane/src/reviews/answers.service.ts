/**
 * Items of a round and their answers: keep, reduce, revoke. An answer changes the grant, what is confirmed, the bundle and the
 * trail in one transaction; the digest of item, evidence and answer stands on the trail. No HTTP, no Prisma.
 */
import { hash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { EFFECTS } from '@sallyport/model';
import type { z } from 'zod';
import { recordActOf } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { canonicalJson } from '../bundles/canonical.ts';
import { Database, type Tx } from '../db/database.ts';
import { documentOf } from '../grants/grant-document.ts';
import { type GrantRow, GrantsRepository } from '../grants/grants.repository.ts';
import { Grants } from '../grants/grants.service.ts';
import { subjectDigest } from '../grants/review-state.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, toPage } from '../http/page.ts';
import { accountsOf } from '../identity/same-person.ts';
import { lineageOf } from '../identity/token-lineage.ts';
import { SystemClock } from '../time.ts';
import { Campaigns } from './campaigns.service.ts';
import type {
  AnswerBody,
  EvidenceView,
  ItemQuery,
  ItemView,
  ReviewQuery,
  ReviewView,
  SubjectView,
} from './reviews.dto.ts';
import { type ItemRow, ReviewsRepository } from './reviews.repository.ts';
import type { Reviewer } from './scope.ts';
import { type Asker, mayAnswer } from './who-answers.ts';

/** Where an answer stands among the acts. */
export const targetOf = (item: ItemRow): string =>
  `review/${item.round.campaign.name}/${item.round.number}/${item.grantName}`;

type Party = ItemView['holders'][number];

export function showItem(item: ItemRow, answerable: boolean, now: Date): ItemView {
  const { principalId: _, ...subject } = item.subject as unknown as SubjectView & {
    readonly principalId: string | null;
  };
  const late = item.round.deadline <= now || item.round.closedAt !== null;
  return {
    id: item.id,
    review: item.round.campaign.name,
    round: item.round.number,
    grant: item.grantName,
    subject,
    holders: item.holders as unknown as Party[],
    reviewers: (item.reviewers as unknown as readonly Reviewer[]).map(({ kind, name }) => ({ kind, name })),
    evidence: item.evidence as unknown as EvidenceView,
    proposal: item.proposal as ItemView['proposal'],
    proposalEffects: item.proposalEffects,
    proposalReason: item.proposalReason,
    state: item.answer !== null ? 'answered' : late ? 'lapsed' : 'open',
    answer: item.answer as ItemView['answer'],
    answerEffects: item.answerEffects,
    reason: item.reason,
    answeredAt: item.answeredAt?.toISOString() ?? null,
    answeredBy: item.answeredByName,
    digest: item.digest,
    answerable,
  };
}

/** What the digest is over: the item as it was frozen, and its answer. */
export const evidenceRecord = (item: ItemView): string => {
  const { answerable: _, state: __, digest: ___, ...rest } = item;
  return canonicalJson(rest);
};

@Injectable()
export class Answers {
  constructor(
    private readonly database: Database,
    private readonly repository: ReviewsRepository,
    private readonly campaignsOf: Campaigns,
    private readonly grants: Grants,
    private readonly grantRows: GrantsRepository,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
  ) {}

  /** Who may only answer sees the campaigns that wait for an answer of theirs. */
  async campaigns(caller: Caller, query: z.infer<typeof ReviewQuery>): Promise<Page<ReviewView>> {
    if (caller.permissions.has('review:read')) return await this.campaignsOf.list(caller, query);
    const asker = await this.#asker(caller);
    const open = await this.repository.openItemsOf(caller.projectId);
    const own = open.filter((item) => mayAnswer(item, asker)).map((item) => item.round.campaignId);
    return await this.campaignsOf.list(caller, query, [...new Set(own)]);
  }

  async list(caller: Caller, reference: string, query: ItemQuery): Promise<Page<ItemView>> {
    const campaign = await this.campaignsOf.find(caller.projectId, reference);
    const round = campaign.rounds.find((one) => query.round === undefined || one.number === query.round);
    if (round === undefined) {
      if (query.round !== undefined) throw new GatewayError('request.not_found', { round: query.round });
      return { items: [], nextCursor: null };
    }
    const asker = await this.#asker(caller);
    const readsAll = caller.permissions.has('review:read');
    const onlyOwn = query.answerable === 'true' || !readsAll;
    const isOpen = round.closedAt === null;
    const where = {
      roundId: round.id,
      ...(query.state === undefined ? {} : { answer: query.state === 'open' ? null : { not: null } }),
      ...(query.proposal === undefined ? {} : { proposal: query.proposal }),
    };
    const now = this.clock.now();
    const answerable = (item: ItemRow): boolean => isOpen && item.answer === null && mayAnswer(item, asker);
    const show = (item: ItemRow): ItemView => showItem(item, answerable(item), now);
    if (!onlyOwn) return toPage(await this.repository.items(where, query), query, show);
    return await this.#filtered(where, query, show, (item) =>
      query.answerable === 'true'
        ? answerable(item)
        : mayAnswer(item, asker) || item.answeredById === caller.principal.id,
    );
  }

  /** Reviewers stand in a document, so that what is not theirs is left out here, page after page. */
  async #filtered(
    where: object,
    query: ItemQuery,
    show: (item: ItemRow) => ItemView,
    keep: (item: ItemRow) => boolean,
  ): Promise<Page<ItemView>> {
    const kept: ItemRow[] = [];
    let { cursor } = query;
    do {
      const page = await this.repository.items(where, { limit: 200, sort: query.sort, cursor });
      const read = toPage(page, { limit: 200, sort: query.sort }, (item) => item);
      kept.push(...read.items.filter(keep));
      cursor = read.nextCursor ?? undefined;
    } while (cursor !== undefined && kept.length <= query.limit);
    return toPage(kept, query, show);
  }

  /**
   * All of them or none.
   * @throws GatewayError `request.not_found`; `review.not_reviewer` when one is not the caller's to answer; `review.answered`
   */
  async answer(caller: Caller, reference: string, body: AnswerBody): Promise<readonly ItemView[]> {
    const asker = await this.#asker(caller);
    return await this.database.transaction(async (tx) => {
      const campaign = await this.campaignsOf.find(caller.projectId, reference, tx);
      const items = await this.repository.lockItems(tx, caller.projectId, campaign.id, body.items);
      const unseen = items.length !== body.items.length;
      const readsAll = caller.permissions.has('review:read');
      if (unseen || (!readsAll && items.some((item) => !mayAnswer(item, asker))))
        throw new GatewayError('request.not_found', { review: reference });
      for (const item of items) {
        if (!mayAnswer(item, asker)) throw new GatewayError('review.not_reviewer', { grant: item.grantName });
        if (item.answer !== null || item.round.closedAt !== null)
          throw new GatewayError('review.answered', { grant: item.grantName });
      }
      const shown: ItemView[] = [];
      for (const item of items) shown.push(await this.#answerOne(tx, caller, item, body));
      await this.#closeIfDone(tx, caller, items);
      await this.bundles.bump(tx, caller.projectId);
      return shown;
    });
  }

  async #answerOne(tx: Tx, caller: Caller, item: ItemRow, body: AnswerBody): Promise<ItemView> {
    const effects = effectsLeft(item, body);
    const now = this.clock.now();
    const answered = await this.repository.answerItem(tx, item.id, {
      answer: body.answer,
      answerEffects: [...effects],
      reason: body.reason ?? null,
      answeredAt: now,
      answeredById: caller.principal.id,
      answeredByName: caller.principal.name,
    });
    const digest = hash('sha256', evidenceRecord(showItem(answered, false, now)));
    const whole = await this.repository.answerItem(tx, item.id, { digest });
    await this.#bind(tx, caller, whole, effects);
    await recordActOf(tx, caller, 'review.answered', targetOf(item), {
      answer: body.answer,
      effects: [...effects],
      proposal: item.proposal,
      digest,
      ...(body.reason === undefined ? {} : { reason: body.reason }),
      ...(item.round.deadline <= now ? { late: true } : {}),
    });
    return showItem(whole, false, now);
  }

  /** The answer in force: on the grant itself, and as what is confirmed, in case the grant is written anew. */
  async #bind(tx: Tx, caller: Caller, item: ItemRow, effects: readonly string[]): Promise<void> {
    const { campaign } = item.round;
    const grant = await this.grantRows.find(caller.projectId, item.grantId, tx);
    await this.repository.confirm(tx, {
      grantId: item.grantId,
      campaignId: campaign.id,
      projectId: caller.projectId,
      // Until the next round's own deadline, whether it starts in time or not.
      reviewedUntil: campaign.nextAt === null ? null : new Date(campaign.nextAt.getTime() + Number(campaign.dueMs)),
      afterReview: campaign.afterReview,
      confirmedAt: item.answeredAt,
      confirmed: [...effects],
      subjectDigest: subjectDigest(frozenSubject(item)),
      itemId: item.id,
    });
    if (grant === null || grant.revokedAt !== null) return;
    const left = EFFECTS.filter((effect) => effects.includes(effect) && grant.effects.includes(effect));
    if (item.answer === 'revoke' || left.length === 0) await this.grants.end(tx, caller, grant);
    else if (item.answer === 'reduce' && left.length < grant.effects.length)
      await this.#reduce(tx, caller, grant, left);
  }

  async #reduce(tx: Tx, caller: Caller, grant: GrantRow, effects: readonly (typeof EFFECTS)[number][]): Promise<void> {
    await this.grants.update(tx, caller, grant, { ...documentOf(grant), effects: [...effects] });
  }

  async #closeIfDone(tx: Tx, caller: Caller, items: readonly ItemRow[]): Promise<void> {
    for (const round of new Map(items.map((item) => [item.round.id, item.round])).values()) {
      if ((await this.repository.openItems(tx, round.id)) > 0) continue;
      await this.repository.closeRound(tx, round.id, this.clock.now());
      await recordActOf(tx, caller, 'review.closed', `review/${round.campaign.name}`, { round: round.number });
    }
  }

  async #asker(caller: Caller): Promise<Asker> {
    const tx = this.database.client;
    const hands = [caller.principal.id, ...(await lineageOf(tx, caller.tokenId))];
    const alike = await this.repository.accountsLike(caller.projectId, caller.principal.id);
    const accounts = [...new Set([...alike, ...(await accountsOf(tx, hands))])];
    return {
      caller,
      accounts,
      groups: await this.repository.groupsOf(caller.projectId, [caller.principal.id]),
      groupsOfAll: await this.repository.groupsOf(caller.projectId, accounts),
    };
  }
}

/** What the answer leaves of the effects the reviewer was shown. */
function effectsLeft(item: ItemRow, body: AnswerBody): readonly string[] {
  const { effects } = item.subject as unknown as SubjectView;
  if (body.answer === 'keep') return effects;
  if (body.answer === 'revoke') return [];
  const { effects: used } = item.evidence as unknown as EvidenceView;
  const left = effects.filter((effect) =>
    body.effects === undefined
      ? used.some((sum) => sum.word === effect && sum.allowed > 0)
      : body.effects.includes(effect),
  );
  const wrong = (message: string): never => {
    throw new InvalidRequest([{ field: 'effects', message: `${item.grantName}: ${message}` }]);
  };
  if (body.effects?.some((effect) => !effects.includes(effect)) === true) wrong('a reduction cannot add an effect');
  if (left.length === 0) wrong('nothing would be left; revoke it');
  return left;
}

function frozenSubject(item: ItemRow) {
  const subject = item.subject as unknown as SubjectView & { readonly principalId: string | null };
  return {
    principalId: subject.principalId,
    groupName: subject.group,
    resource: subject.resource,
    labels: subject.labels,
    roles: subject.roles,
  };
}
