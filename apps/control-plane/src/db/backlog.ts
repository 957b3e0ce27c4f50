/**
 * What waits in the database, as gauges: counted when asked, at most every ten seconds however often that is, since
 * /metrics needs no token. Refuses to fail a scrape: without the database the last values stay.
 */
import { Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { Metrics } from '../http/metrics.ts';
import { SystemClock } from '../time.ts';
import { Database } from './database.ts';

const COUNTED_EVERY_MS = 10_000;

interface Counts {
  readonly approvals: number;
  readonly webhooks: number;
  readonly acts: number;
  readonly alarms: number;
}

@Injectable()
export class Backlog {
  #counted: Promise<Counts | undefined> | undefined;
  #countedAtMs = 0;
  #last: Counts = { approvals: 0, webhooks: 0, acts: 0, alarms: 0 };
  constructor(
    private readonly database: Database,
    private readonly clock: SystemClock,
    metrics: Metrics,
  ) {
    const gauge = (name: string, help: string, of: (counts: Counts) => number): void => {
      const counts = (): Promise<Counts> => this.#counts();
      new Gauge({
        name,
        help,
        registers: [metrics.registry],
        async collect() {
          this.set(of(await counts()));
        },
      });
    };
    gauge('sallyport_approvals_pending', 'Approval requests that wait for a person.', ({ approvals }) => approvals);
    gauge('sallyport_webhooks_waiting', 'Notifications neither sent nor given up.', ({ webhooks }) => webhooks);
    gauge('sallyport_acts_unchained', 'Acts of the control plane not yet in its chain.', ({ acts }) => acts);
    gauge('sallyport_trail_alarms', 'Chains that do not verify.', ({ alarms }) => alarms);
  }

  async #counts(): Promise<Counts> {
    const now = this.clock.monotonicMs();
    if (this.#counted === undefined || now - this.#countedAtMs >= COUNTED_EVERY_MS) {
      this.#countedAtMs = now;
      this.#counted = this.#count();
    }
    this.#last = (await this.#counted) ?? this.#last;
    return this.#last;
  }

  #count(): Promise<Counts | undefined> {
    return this.database.client.$queryRaw<Counts[]>`
      select
        (select count(*)::int from approval_requests where state = 'pending' and expires_at > now()) as approvals,
        (select count(*)::int from outbox_messages where sent_at is null and failed_at is null) as webhooks,
        (select count(*)::int from control_acts where chained_at is null) as acts,
        (select count(*)::int from trail_chains where alarm is not null) as alarms`.then(
      (rows) => rows[0],
      () => undefined,
    );
  }
}
