/** Exporting a round: everything of it, with where each answer stands on the trail. The export is an act itself. */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { recordActOf } from '../acts/acts.ts';
import { Database } from '../db/database.ts';
import type { Caller } from '../http/caller.ts';
import { SystemClock } from '../time.ts';
import { showItem, targetOf } from './answers.service.ts';
import { Campaigns } from './campaigns.service.ts';
import { csvOf, type ExportedRound, htmlOf, jsonOf } from './export.ts';
import type { ExportQuery } from './reviews.dto.ts';
import { ReviewsRepository } from './reviews.repository.ts';

const WRITERS = { csv: csvOf, json: jsonOf, html: htmlOf } as const;
const TYPES = {
  csv: 'text/csv; charset=utf-8',
  json: 'application/json; charset=utf-8',
  html: 'text/html; charset=utf-8',
} as const;

@Injectable()
export class ReviewExports {
  constructor(
    private readonly database: Database,
    private readonly repository: ReviewsRepository,
    private readonly campaigns: Campaigns,
    private readonly clock: SystemClock,
  ) {}

  /** @throws GatewayError `request.not_found` when there is no such round */
  async export(
    caller: Caller,
    reference: string,
    query: ExportQuery,
  ): Promise<{ text: string; type: string; file: string }> {
    const campaign = await this.campaigns.find(caller.projectId, reference);
    const round = campaign.rounds.find((one) => query.round === undefined || one.number === query.round);
    if (round === undefined)
      throw new GatewayError('request.not_found', { review: campaign.name, round: query.round ?? 0 });
    const rows = await this.repository.allItems(round.id);
    const places = await this.repository.placesOf(caller.projectId, round.startedAt, rows.map(targetOf));
    const now = this.clock.now();
    const exported: ExportedRound = {
      review: campaign.name,
      description: campaign.description,
      round: round.number,
      startedAt: round.startedAt.toISOString(),
      deadline: round.deadline.toISOString(),
      afterReview: campaign.afterReview,
      exportedAt: now.toISOString(),
      items: rows.map((row) => {
        const { answerable: _, ...item } = showItem(row, false, now);
        return { ...item, answerOnTrail: row.answer === null ? null : (places.get(targetOf(row)) ?? null) };
      }),
    };
    await this.database.transaction((tx) =>
      recordActOf(tx, caller, 'review.exported', `review/${campaign.name}`, {
        round: round.number,
        format: query.format,
      }),
    );
    return {
      text: WRITERS[query.format](exported),
      type: TYPES[query.format],
      file: `review-${campaign.name}-${round.number}.${query.format}`,
    };
  }
}
