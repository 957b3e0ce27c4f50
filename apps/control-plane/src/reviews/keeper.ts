/**
 * The regular rounds of access reviews: campaigns that are due start, deadlines that passed are told, drift is looked for.
 * Every replica runs it; row locks give each piece to one of them. Refuses to enforce anything: agents know the deadlines themselves.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { recordActOf, systemActor } from '../acts/acts.ts';
import { Database } from '../db/database.ts';
import { Log } from '../http/problem.filter.ts';
import { Outbox } from '../notify/outbox.ts';
import { Regularly } from '../regularly.ts';
import { SystemClock } from '../time.ts';
import { Drift } from './drift.service.ts';
import { ReviewsRepository } from './reviews.repository.ts';
import { Rounds } from './rounds.service.ts';

const EVERY_MS = 20_000;
const DRIFT_EVERY_MS = 60 * 60_000;

@Injectable()
export class ReviewKeeper implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #regularly = new Regularly(
    () => this.run(),
    (cause: unknown) => this.log.error('access reviews could not be brought forward', { cause }),
  );
  #lookedAtMs = 0;
  constructor(
    private readonly database: Database,
    private readonly repository: ReviewsRepository,
    private readonly rounds: Rounds,
    private readonly drift: Drift,
    private readonly outbox: Outbox,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#lookedAtMs = this.clock.nowMs();
    this.#regularly.start(EVERY_MS);
  }

  async onModuleDestroy(): Promise<void> {
    await this.#regularly.stop();
  }

  async run(): Promise<void> {
    await this.#startDue();
    await this.#tellLapsed();
    if (this.clock.nowMs() - this.#lookedAtMs < DRIFT_EVERY_MS) return;
    this.#lookedAtMs = this.clock.nowMs();
    await this.lookForDrift();
  }

  async lookForDrift(): Promise<void> {
    for (const projectId of await this.repository.projectIds()) await this.drift.look(projectId);
  }

  /** One that cannot start does not keep the others from it; it is tried again. */
  async #startDue(): Promise<void> {
    for (const { id, projectId, name } of await this.repository.due(this.clock.now())) {
      try {
        await this.rounds.start(systemActor(projectId, 'review-schedule'), id, true);
      } catch (cause) {
        this.log.error('a round of an access review could not start', {
          review: name,
          code: cause instanceof GatewayError ? cause.code : 'internal',
          cause,
        });
      }
    }
  }

  async #tellLapsed(): Promise<void> {
    await this.database.transaction(async (tx) => {
      for (const round of await this.repository.takeLapsed(tx, this.clock.now())) {
        const open = await this.repository.openItems(tx, round.id);
        const told = {
          review: round.campaign.name,
          round: round.number,
          unanswered: open,
          afterReview: round.campaign.afterReview,
        };
        await recordActOf(
          tx,
          systemActor(round.projectId, 'review-schedule'),
          'review.lapsed',
          `review/${told.review}`,
          told,
        );
        await this.outbox.add(tx, round.projectId, 'review.lapsed', told);
      }
    });
  }
}
