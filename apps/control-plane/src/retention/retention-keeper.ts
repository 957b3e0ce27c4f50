/**
 * The regular rounds of retention: sessions past their time are erased, each with an act of its own; their recordings and the
 * payloads in the record go, and old events leave the index. A session whose agent is gone without an end is closed as lost
 * after the same time. Every replica runs it; row locks share the work.
 * Refuses live sessions, administrative acts, headers, checkpoints and heads: what proves the record stays.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { recordActOf, systemActor } from '../acts/acts.ts';
import { Database } from '../db/database.ts';
import { Log } from '../http/problem.filter.ts';
import { Recordings } from '../recordings/recordings.service.ts';
import { Regularly } from '../regularly.ts';
import { Erasure } from '../sessions/erasure.ts';
import { SystemClock } from '../time.ts';
import { type BatchPlace, RetentionRepository } from './retention.repository.ts';
import { sessionKeysOf, trim } from './trim.ts';

const EVERY_MS = 30 * 60_000;
const DAY_MS = 86_400_000;
const BATCHES = 50;
const STORED = 100;
const LOST = 500;
/** As `closeReason`; the code of an agent that is gone. */
const LOST_REASON = 'agent.lost';
/** Rows of the index in one transaction, with one act. */
const EVENTS = 20_000;

@Injectable()
export class RetentionKeeper implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #regularly = new Regularly(
    () => this.run(),
    (cause: unknown) => this.log.error('what is past its time could not all be erased', { cause }),
  );
  #stopping = false;
  constructor(
    private readonly database: Database,
    private readonly repository: RetentionRepository,
    private readonly erasure: Erasure,
    private readonly recordings: Recordings,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#regularly.start(EVERY_MS);
  }

  async onModuleDestroy(): Promise<void> {
    this.#stopping = true;
    await this.#regularly.stop();
  }

  /** One whole round. */
  async run(): Promise<void> {
    for (const { projectId, sessionsDays, eventsDays } of await this.repository.limited()) {
      if (sessionsDays !== null) await this.#erase(projectId, sessionsDays);
      if (eventsDays !== null) await this.#forget(projectId, eventsDays);
    }
  }

  async #erase(projectId: string, days: number): Promise<void> {
    const before = new Date(this.clock.nowMs() - days * DAY_MS);
    const actor = systemActor(projectId, 'retention');
    await this.#closeLost(projectId, before);
    while (!this.#stopping) {
      const id = await this.database.transaction(async (tx) => {
        const session = await this.repository.takeDue(tx, projectId, before);
        if (session !== null) await this.erasure.erase(tx, actor, session, `kept for ${days} days`);
        return session?.id;
      });
      if (id === undefined) break;
      await this.recordings.remove(id);
    }
    for (const id of await this.repository.leftInStore(projectId, STORED)) await this.recordings.remove(id);
    await this.#trim(projectId, before);
  }

  async #closeLost(projectId: string, before: Date): Promise<void> {
    let found = LOST;
    while (found === LOST && !this.#stopping) {
      found = await this.database.transaction(async (tx) => {
        const ids = await this.repository.lost(tx, projectId, before, LOST);
        if (ids.length === 0) return 0;
        await this.repository.close(tx, ids, LOST_REASON);
        for (const id of ids)
          await recordActOf(tx, systemActor(projectId, 'retention'), 'session.lost', `session/${id}`);
        return ids.length;
      });
    }
  }

  async #trim(projectId: string, before: Date): Promise<void> {
    let after: BatchPlace | undefined;
    while (!this.#stopping) {
      const batches = await this.repository.batches(projectId, before, after, BATCHES);
      for (const batch of batches) {
        const records = Buffer.from(batch.records);
        const wanted = [...sessionKeysOf(records)];
        const there = await this.repository.keysThere(wanted.map(uuidOf));
        const trimmed = trim(records, (keyId) => there.has(uuidOf(keyId)));
        if (there.size === 0 || trimmed.length !== records.length)
          await this.repository.replace(batch, trimmed, there.size === 0 ? this.clock.now() : undefined);
      }
      after = batches.at(-1);
      if (batches.length < BATCHES) return;
    }
  }

  async #forget(projectId: string, days: number): Promise<void> {
    const before = new Date(this.clock.nowMs() - days * DAY_MS);
    let gone = EVENTS;
    while (gone === EVENTS && !this.#stopping) {
      gone = await this.database.transaction(async (tx) => {
        const rows = await this.repository.forgetEvents(tx, projectId, before, EVENTS);
        if (rows > 0) {
          const detail = { days, before: before.toISOString(), rows };
          await recordActOf(tx, systemActor(projectId, 'retention'), 'retention.events_forgotten', 'trail', detail);
        }
        return rows;
      });
    }
  }
}

const uuidOf = (hex: string): string => hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
