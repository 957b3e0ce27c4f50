/** The standing report of drift, and its news: an act and a message for each round that finds something it had not told. */
import { Injectable } from '@nestjs/common';
import { recordActOf, systemActor } from '../acts/acts.ts';
import { Config } from '../config.ts';
import { Database } from '../db/database.ts';
import type { Caller } from '../http/caller.ts';
import { Outbox } from '../notify/outbox.ts';
import { SystemClock } from '../time.ts';
import { driftOf, type Finding } from './drift.ts';
import type { DriftQuery, DriftView } from './reviews.dto.ts';
import { ReviewsRepository } from './reviews.repository.ts';

const DAY_MS = 86_400_000;
/** Findings in one report, and in one message. */
const REPORTED_MAX = 5_000;
const TOLD_MAX = 50;

@Injectable()
export class Drift {
  constructor(
    private readonly database: Database,
    private readonly repository: ReviewsRepository,
    private readonly outbox: Outbox,
    private readonly config: Config,
    private readonly clock: SystemClock,
  ) {}

  async report(caller: Caller, query: DriftQuery): Promise<{ items: DriftView[]; nextCursor: null }> {
    const found = await this.#find(caller.projectId, query.unusedDays ?? this.config.unusedDays);
    const told = await this.repository.findings(caller.projectId);
    return {
      items: found
        .filter((one) => query.kind === undefined || one.kind === query.kind)
        .slice(0, REPORTED_MAX)
        .map(({ key, kind, target, what }) => ({ kind, target, what, since: told.get(key)?.toISOString() ?? null })),
      nextCursor: null,
    };
  }

  /** @returns how many findings were news */
  async look(projectId: string): Promise<number> {
    const found = await this.#find(projectId, this.config.unusedDays);
    const told = await this.repository.findings(projectId);
    const added = found.filter((one) => !told.has(one.key));
    const still = new Set(found.map((one) => one.key));
    const gone = [...told.keys()].filter((key) => !still.has(key));
    if (added.length === 0 && gone.length === 0) return 0;
    await this.database.transaction(async (tx) => {
      const rows = added.map(({ key, kind, target }) => ({ key, kind, target }));
      await this.repository.replaceFindings(tx, projectId, rows, gone, this.clock.now());
      if (added.length === 0) return;
      const news = {
        count: added.length,
        findings: added.slice(0, TOLD_MAX).map(({ kind, target, what }) => ({ kind, target, what })),
      };
      await recordActOf(tx, systemActor(projectId, 'drift'), 'drift.found', 'drift', news);
      await this.outbox.add(tx, projectId, 'drift.found', news);
    });
    return added.length;
  }

  async #find(projectId: string, unusedDays: number): Promise<readonly Finding[]> {
    const now = this.clock.now();
    const from = new Date(now.getTime() - unusedDays * DAY_MS);
    const reviews = await this.repository.grantReviews(projectId);
    return driftOf({
      now,
      unusedDays,
      credentialDays: this.config.credentialDays,
      world: await this.repository.world(projectId),
      grants: await this.repository.grantsInForce(projectId, now),
      reviews,
      items: await this.repository.itemsById(reviews.flatMap((review) => review.itemId ?? [])),
      campaigns: await this.repository.reviewedCampaigns(projectId),
      used: await this.repository.usedSince(projectId, from),
      credentials: await this.repository.rotatedCredentials(projectId),
    });
  }
}
