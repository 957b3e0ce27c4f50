/**
 * Attempts per address and kind in a fixed window, counted in the database for all replicas together; an address whose
 * window is full is refused from memory until it ends, so that a flood writes nothing.
 * Refuses to decide what counts as an attempt; sign-in, token and device routes and the guard say so.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { Counter } from 'prom-client';
import { Database } from '../db/database.ts';
import { Project } from '../db/project.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { SystemClock } from '../time.ts';
import { Metrics } from './metrics.ts';
import { networkOf } from './network.ts';

/**
 * Attempts allowed per minute and address. Secrets are 256 random bits, so these keep load and noise down; the device
 * code is the short one that guessing could reach.
 */
const PER_MINUTE = {
  'bad-token': 60,
  'bad-secret': 20,
  'sign-in': 60,
  'device-code': 30,
  token: 6_000,
} as const;
export type LimitKind = keyof typeof PER_MINUTE;

/**
 * Attempts that are counted in the database at once, ahead, where there may be thousands: a write for each would cost more
 * than what it limits. Replicas and windows may so be short by one such lot, never over.
 */
const COUNTED_AHEAD: Partial<Record<LimitKind, number>> = { token: 50 };

interface Counted {
  /** Attempts in this window, this one included. */
  readonly count: number;
  /** Until it ends. */
  readonly leftMs: number;
}

const WINDOW_MS = 60_000;
const ADDRESSES_MAX = 50_000;

@Injectable()
export class RateLimiter {
  /** By kind and network: until when (monotonic ms) it is refused without asking. */
  readonly #full = new Map<string, number>();
  /** By kind and network: attempts counted ahead, and until when (monotonic ms) they are good. */
  readonly #ahead = new Map<string, { left: number; readonly untilMs: number }>();
  #sweptMs = 0;
  readonly #attempts: Counter<'kind'>;
  readonly #refused: Counter<'kind'>;
  constructor(
    private readonly database: Database,
    private readonly project: Project,
    private readonly clock: SystemClock,
    metrics: Metrics,
  ) {
    const common = { labelNames: ['kind'] as const, registers: [metrics.registry] };
    this.#attempts = new Counter({
      name: 'sallyport_limited_attempts_total',
      help: 'Attempts that count towards a limit: bad tokens and secrets, sign-ins, device codes, token requests.',
      ...common,
    });
    this.#refused = new Counter({
      name: 'sallyport_throttled_total',
      help: 'Attempts refused because their address had too many in a minute.',
      ...common,
    });
  }

  /** Counts one attempt. @returns attempts in this window, this one included */
  async count(kind: LimitKind, address: string): Promise<number> {
    this.#attempts.inc({ kind });
    await this.#sweep();
    const network = networkOf(address);
    const { rows } = await this.database.run<Counted>(this.#counting(kind, network));
    return this.#note(kind, network, rows[0]!);
  }

  /**
   * `take`, in one turn to the database with what is attempted.
   * @param work parts of the statement, the last called `done` with one row at most and no null in `isDone`; all they change
   * hangs on the row of `may`, which is missing for an attempt too many. It is not waited for until that is on disk: what
   * gives something away for it is another commit, which is, and which carries what came before it
   * @returns the row of `done` @throws GatewayError `auth.throttled`
   */
  async takeFor<Done extends object>(
    kind: LimitKind,
    address: string,
    work: Prisma.Sql,
  ): Promise<(Done & { readonly isDone: true }) | undefined> {
    this.#requireNotFull(kind, address);
    this.#attempts.inc({ kind });
    await this.#sweep();
    const network = networkOf(address);
    const { rows } = await this.database.run<Counted & Done & { readonly isDone: true | null }>(Prisma.sql`
      with counted as (${this.#counting(kind, network)}),
      may as (select 1 from counted where count <= ${PER_MINUTE[kind]}::int),
      ${work}
      select counted.count, counted."leftMs", done.*, set_config('synchronous_commit', 'off', true) as on_disk
      from counted left join done on true`);
    const row = rows[0]!;
    if (this.#note(kind, network, row) > PER_MINUTE[kind]) this.#refuse(kind, address);
    return row.isDone === true ? { ...row, isDone: true } : undefined;
  }

  /** The database's clock, since replicas' own may differ. */
  #counting(kind: LimitKind, network: string): Prisma.Sql {
    return Prisma.sql`
      insert into rate_windows as w (project_id, kind, address, started_at, count)
      values (${this.project.id}::uuid, ${kind}, ${network}, clock_timestamp(), ${COUNTED_AHEAD[kind] ?? 1}::int)
      on conflict (project_id, kind, address) do update set
        count = case when w.started_at <= excluded.started_at - interval '1 minute' then excluded.count else w.count + excluded.count end,
        started_at = case when w.started_at <= excluded.started_at - interval '1 minute' then excluded.started_at else w.started_at end
      returning count, (60000 - extract(epoch from clock_timestamp() - started_at) * 1000)::int as "leftMs"`;
  }

  #note(kind: LimitKind, network: string, { count, leftMs }: Counted): number {
    const lot = COUNTED_AHEAD[kind] ?? 1;
    if (count > PER_MINUTE[kind]) this.#remember(`${kind} ${network}`, leftMs);
    else if (lot > 1) this.#keepAhead(`${kind} ${network}`, lot - 1, leftMs);
    return count;
  }

  /** Looks without counting. @throws GatewayError `auth.throttled` once the window is full */
  async require(kind: LimitKind, address: string): Promise<void> {
    this.#requireNotFull(kind, address);
    const rows = await this.database.client.$queryRaw<{ count: number }[]>`
      select count from rate_windows where project_id = ${this.project.id}::uuid and kind = ${kind}
        and address = ${networkOf(address)} and started_at > clock_timestamp() - interval '1 minute'`;
    if ((rows[0]?.count ?? 0) >= PER_MINUTE[kind]) this.#refuse(kind, address);
  }

  /** Both: refuses when full, else counts. */
  async take(kind: LimitKind, address: string): Promise<void> {
    this.#requireNotFull(kind, address);
    if (this.#takeAhead(kind, address)) return;
    if ((await this.count(kind, address)) > PER_MINUTE[kind]) this.#refuse(kind, address);
  }

  #takeAhead(kind: LimitKind, address: string): boolean {
    const key = `${kind} ${networkOf(address)}`;
    const ahead = this.#ahead.get(key);
    if (ahead === undefined || ahead.left === 0 || this.clock.monotonicMs() >= ahead.untilMs) return false;
    ahead.left--;
    this.#attempts.inc({ kind });
    return true;
  }

  #requireNotFull(kind: LimitKind, address: string): void {
    if (this.clock.monotonicMs() < (this.#full.get(`${kind} ${networkOf(address)}`) ?? 0)) this.#refuse(kind, address);
  }

  #refuse(kind: LimitKind, address: string): never {
    this.#refused.inc({ kind });
    const untilMs = this.#full.get(`${kind} ${networkOf(address)}`);
    throw new GatewayError('auth.throttled', {
      kind,
      ...(untilMs === undefined ? {} : { retryMs: untilMs - this.clock.monotonicMs() }),
    });
  }

  #keepAhead(key: string, left: number, leftMs: number): void {
    // Two requests that counted at once have a lot each.
    const known = this.#ahead.get(key);
    const now = this.clock.monotonicMs();
    const unused = known !== undefined && known.untilMs > now ? known.left : 0;
    this.#ahead.delete(key);
    if (this.#ahead.size >= ADDRESSES_MAX) this.#ahead.delete(this.#ahead.keys().next().value!);
    this.#ahead.set(key, { left: left + unused, untilMs: now + Math.min(Math.max(leftMs, 0), WINDOW_MS) });
  }

  #remember(key: string, leftMs: number): void {
    this.#full.delete(key);
    if (this.#full.size >= ADDRESSES_MAX) this.#full.delete(this.#full.keys().next().value!);
    this.#full.set(key, this.clock.monotonicMs() + Math.min(Math.max(leftMs, 0), WINDOW_MS));
  }

  /** Keeps the table to the addresses of the last minutes. */
  async #sweep(): Promise<void> {
    const now = this.clock.monotonicMs();
    if (now - this.#sweptMs < WINDOW_MS) return;
    this.#sweptMs = now;
    await this.database.client
      .$executeRaw`delete from rate_windows where started_at < clock_timestamp() - interval '2 minutes'`;
  }
}
