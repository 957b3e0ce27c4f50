/**
 * The master key (key-encryption key): which one seals, for all replicas, and its rotation while everything runs. The data
 * keys of all boxes are wrapped anew; what they seal is not touched. Safe to end at any point and to run again.
 * Refuses to start where something is sealed under a key that is not here.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { recordActOf } from '../acts/acts.ts';
import { Bus } from '../bus/bus.ts';
import { publishWithin } from '../bus/pg.bus.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Caller } from '../http/caller.ts';
import { Log } from '../http/problem.filter.ts';
import { SystemClock } from '../time.ts';
import { Envelope } from './envelope.ts';
import type { HeldKey } from './key-ring.ts';
import { SEALED_COLUMNS, type SealedColumn } from './sealed-columns.ts';

const LOOK_EVERY_MS = 30_000;
const BATCH = 200;
/** A replica that had not heard yet may have sealed under the old key until here. */
const SETTLE_MS = 1_000;
const ROUNDS_MAX = 20;

/** A replica that misses a key looks for it this soon again. */
const MISS_MS = 1_000;
/** Keys that were unused for so long are forgotten where that is ours to do. */
const FORGET_MS = 60_000;
/** Of the advisory lock under which a key is chosen: two replicas that write one file would lose a key. */
const LOCK = 7;

export interface RotatedMasterKey {
  readonly keyId: string;
  readonly from: string;
  readonly rewrapped: number;
  /** Keys that nothing is sealed under any more: they may be taken away. */
  readonly unused: readonly string[];
}

@Injectable()
export class MasterKey implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  #ends: (() => void)[] = [];
  constructor(
    private readonly database: Database,
    private readonly envelope: Envelope,
    private readonly bus: Bus,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    const inUse = await this.#idsInUse();
    // Not the newest: another replica may not have been given that one yet.
    const first = inUse.find((id) => this.envelope.ring.has(id)) ?? this.envelope.ring.current.id;
    await this.database.client
      .$executeRaw`insert into master_key (id, key_id) values (1, ${first}) on conflict do nothing`;
    await this.#look();
    for (const id of inUse) {
      if (this.envelope.ring.has(id)) continue;
      throw new GatewayError('config.invalid', {
        name: 'SALLYPORT_KEK',
        key: id,
        remedy: 'something is sealed under this key-encryption key: give it beside the others',
      });
    }
    const look = (heard?: string): void =>
      void this.#look(heard).catch((error: unknown) =>
        this.log.error('the master key could not be looked up', { error }),
      );
    this.#ends = [this.bus.subscribe('masterKey', ({ keyId }) => look(keyId)), this.bus.onGap(() => look())];
    let missedAt = 0;
    this.envelope.ring.onMiss = () => {
      if (this.clock.monotonicMs() - missedAt < MISS_MS) return;
      missedAt = this.clock.monotonicMs();
      void this.envelope.ring
        .reload()
        .catch((error: unknown) => this.log.error('master keys could not be read again', { error }));
    };
    this.#timer = setInterval(() => look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
    for (const end of this.#ends) end();
  }

  /**
   * Makes another key the current one and wraps everything anew. One that was left half-way is finished first.
   * @param to name of the source that is to have it; the preferred one when absent
   * @throws GatewayError `request.conflict` when there is no other key and none can be made here, or somebody was quicker;
   * `credential.unavailable` when a KMS cannot be asked: nothing has changed then
   */
  async rotate(caller: Caller, to?: string): Promise<RotatedMasterKey> {
    const { before, next, idle } = await this.#choose(to);
    if (next.id !== before) {
      // Every replica holds it before the first one seals under it.
      await this.bus.publish('masterKey', { keyId: next.id });
      await sleep(SETTLE_MS);
    }
    let done: RotatedMasterKey | undefined;
    await this.database.transaction(async (tx) => {
      await this.#lock(tx);
      const row = await tx.masterKey.findUnique({ where: { id: 1 } });
      if (row !== null && row.keyId !== before)
        throw new GatewayError('request.conflict', { reason: 'another rotation was quicker' });
      await tx.masterKey.upsert({
        where: { id: 1 },
        create: { id: 1, keyId: next.id },
        update: { keyId: next.id, changedAt: this.clock.now() },
      });
      await recordActOf(tx, caller, 'master-key.rotated', `master-key/${next.id}`, { before, after: next.id });
      await publishWithin(tx, 'masterKey', { keyId: next.id });
      this.database.afterCommit(tx, async () => {
        done = await this.#use(next.id, idle);
      });
    });
    // Under dual control it is committed, and done, once this has answered.
    return done ?? { keyId: next.id, from: next.from, rewrapped: 0, unused: [] };
  }

  async #use(next: string, idle: readonly string[]): Promise<RotatedMasterKey> {
    const { ring } = this.envelope;
    if (!ring.use(next)) throw new GatewayError('internal', { reason: 'the key is gone' });
    let rewrapped = 0;
    for (let round = 0, quiet = 0; quiet < 2 && round < ROUNDS_MAX; round++) {
      const count = await this.#rewrapAll();
      rewrapped += count;
      quiet = count === 0 ? quiet + 1 : 0;
      await sleep(SETTLE_MS);
    }
    const used = new Set(await this.#idsInUse());
    await ring.drop(idle.filter((id) => id !== next && !used.has(id)));
    this.log.info('the master key was rotated', { id: next, rewrapped });
    const unused = ring.ids.filter((id) => id !== next && !used.has(id));
    return { keyId: next, from: ring.current.from, rewrapped, unused };
  }

  /** @returns the current key, the one to go to, and those that have been unused for a while */
  async #choose(to: string | undefined): Promise<{ before: string; next: HeldKey; idle: readonly string[] }> {
    const { ring } = this.envelope;
    return await this.database.transaction(async (tx) => {
      await this.#lock(tx);
      await this.#look();
      const before = ring.current.id;
      const inUse = await this.#idsInUse();
      const row = await tx.masterKey.findUnique({ where: { id: 1 } });
      const rested = this.clock.nowMs() - (row?.changedAt.getTime() ?? 0) > FORGET_MS;
      const idle = rested ? ring.ids.filter((id) => id !== before && !inUse.includes(id)) : [];
      if (inUse.some((id) => id !== before)) return { before, next: ring.current, idle };
      return { before, next: await ring.next(to), idle };
    });
  }

  #lock = (tx: Tx): Promise<number> => tx.$executeRaw`select pg_advisory_xact_lock(7070, ${LOCK}::int)`;

  async #rewrapAll(): Promise<number> {
    let count = 0;
    for (const column of SEALED_COLUMNS) {
      for (let more = true; more; ) {
        const done = await this.#rewrap(column);
        count += done;
        more = done > 0;
      }
    }
    return count;
  }

  /** Names are constants of sealed-columns.ts. A box that changed meanwhile is left: it was sealed anew. */
  async #rewrap({ table, column }: SealedColumn): Promise<number> {
    const { client } = this.database;
    const { id } = this.envelope.ring.current;
    const rows = await client.$queryRawUnsafe<{ box: Uint8Array }[]>(
      `select ${column} as box from ${table} where length(${column}) > 9
         and substring(${column} from 2 for 8) <> decode($1, 'hex') limit ${BATCH}`,
      id,
    );
    let count = 0;
    for (const { box } of rows) {
      const anew = this.envelope.rewrap(box);
      if (anew === undefined) continue;
      count += await client.$executeRawUnsafe(`update ${table} set ${column} = $1 where ${column} = $2`, anew, box);
    }
    return count;
  }

  async #idsInUse(): Promise<readonly string[]> {
    const each = SEALED_COLUMNS.map(
      ({ table, column }) =>
        `select encode(substring(${column} from 2 for 8), 'hex') as id from ${table} where length(${column}) > 9`,
    );
    const rows = await this.database.client.$queryRawUnsafe<{ id: string }[]>(each.join(' union '));
    return rows.map((row) => row.id);
  }

  /** @param heard a key that another replica has made, and may soon seal under */
  async #look(heard?: string): Promise<void> {
    const row = await this.database.client.masterKey.findUnique({ where: { id: 1 } });
    const { ring } = this.envelope;
    if ([row?.keyId, heard].some((id) => id !== undefined && !ring.has(id))) await ring.reload();
    if (row === null || row.keyId === ring.current.id) return;
    if (ring.use(row.keyId)) this.log.info('another master key seals now', { id: row.keyId });
    else this.log.error('the master key in use is not here: give it to this replica', { id: row.keyId });
  }
}
