/**
 * What has to be done now and then whatever happens: partitions made ahead, rows removed that nothing reads any more.
 * Every replica asks; an advisory lock lets one do it. Refuses to touch the trail: retention is its own business.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Config } from '../config.ts';
import { Log } from '../http/problem.filter.ts';
import { SystemClock } from '../time.ts';
import { Database } from './database.ts';
import { MONTHS_AHEAD } from './migrate.ts';

const EVERY_MS = 60 * 60_000;

@Injectable()
export class Upkeep implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  constructor(
    private readonly database: Database,
    private readonly clock: SystemClock,
    private readonly config: Config,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => {
      this.run().catch((error: unknown) => this.log.error('upkeep failed', { error }));
    }, EVERY_MS);
    this.#timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }

  /** @returns false when another replica is at it */
  async run(): Promise<boolean> {
    const now = this.clock.now();
    return await this.database.transaction(async (tx) => {
      const [{ mine }] = await tx.$queryRaw<[{ mine: boolean }]>`select pg_try_advisory_xact_lock(7070, 4) as mine`;
      if (!mine) return false;
      await tx.$queryRaw`select partitions.ensure_trail_events(${now}::timestamptz, ${MONTHS_AHEAD}::int)`;
      await tx.$executeRaw`delete from login_attempts where expires_at < ${now}::timestamptz - interval '1 hour'`;
      await tx.$executeRaw`delete from used_ids where expires_at < ${now}::timestamptz - interval '1 hour'`;
      await tx.$executeRaw`delete from person_sessions where least(expires_at, coalesce(ended_at, expires_at)) < ${now}::timestamptz - interval '31 days'`;
      await tx.$executeRaw`delete from login_ceremonies where expires_at < ${now}::timestamptz`;
      await tx.$executeRaw`delete from login_delays where last_at < ${now}::timestamptz - interval '1 day'`;
      await tx.$executeRaw`delete from bootstrap_links where expires_at < ${now}::timestamptz - interval '30 days'`;
      // Kept a while after their end, so that a list shows what has just run out.
      await tx.$executeRaw`delete from api_tokens where least(expires_at, coalesce(revoked_at, expires_at)) < ${now}::timestamptz - interval '30 days'`;
      await tx.$executeRaw`delete from credential_leases where ended_at < ${now}::timestamptz - interval '30 days'`;
      await tx.$executeRaw`delete from usage_days where day < ${now}::date - ${this.config.usageDays}::int`;
      await tx.$executeRaw`delete from budget_shares where ends_at < ${now}::timestamptz - interval '1 day'`;
      await tx.$executeRaw`delete from slack_link_codes where expires_at < ${now}::timestamptz`;
      await tx.$executeRaw`delete from slack_messages where created_at < ${now}::timestamptz - interval '30 days'`;
      await tx.$executeRaw`
        with gone as (delete from marks.bundle where made_at < ${now}::timestamptz - interval '1 hour' returning xid)
        update marks.forgotten set below = greatest(below, (select xid from gone order by xid desc limit 1))`;
      // Of another server, whose dump this database was made from: no transaction here has such a number yet.
      await tx.$executeRaw`delete from marks.bundle where xid >= pg_snapshot_xmax(pg_current_snapshot())`;
      await tx.$executeRaw`update marks.forgotten set below = '0' where below >= pg_snapshot_xmax(pg_current_snapshot())`;
      await tx.$executeRaw`delete from revocations where keep_until < ${now}::timestamptz`;
      await tx.$executeRaw`
        delete from issued_access i where i.created_at < ${now}::timestamptz - interval '8 days'
          and not exists (select 1 from sessions s where s.token_id = split_part(i.jti, '~', 1) and s.closed_at is null)`;
      return true;
    });
  }
}
