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
import { Database } from '../db/database.ts';
import type { Caller } from '../http/caller.ts';
import { Log } from '../http/problem.filter.ts';
import { SystemClock } from '../time.ts';
import { Envelope } from './envelope.ts';
import { SEALED_COLUMNS, type SealedColumn } from './sealed-columns.ts';

const LOOK_EVERY_MS = 30_000;
const BATCH = 200;
/** A replica that had not heard yet may have sealed under the old key until here. */
const SETTLE_MS = 1_000;
const ROUNDS_MAX = 20;

export interface RotatedMasterKey {
  readonly keyId: string;
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
    const first = inUse.find((id) => this.envelope.ring.find(id) !== undefined) ?? this.envelope.ring.current.id;
    await this.database.client
      .$executeRaw`insert into master_key (id, key_id) values (1, ${first}) on conflict do nothing`;
    await this.#look();
    for (const id of inUse) {
      if (this.envelope.ring.find(id) !== undefined) continue;
      throw new GatewayError('config.invalid', {
        name: 'SALLYPORT_KEK',
        key: id,
        remedy: 'something is sealed under this key-encryption key: give it beside the others',
      });
    }
    const look = (): void =>
      void this.#look().catch((error: unknown) => this.log.error('the master key could not be looked up', { error }));
    this.#ends = [this.bus.subscribe('masterKey', look), this.bus.onGap(look)];
    this.#timer = setInterval(look, LOOK_EVERY_MS);
    this.#timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
    for (const end of this.#ends) end();
  }

  /**
   * Makes the newest key that is not in use the current one (a new one, where keys lie in a file) and wraps everything anew.
   * @throws GatewayError `request.conflict` when there is no other key and none can be made here
   */
  async rotate(caller: Caller): Promise<RotatedMasterKey> {
    const { ring } = this.envelope;
    const before = ring.current.id;
    const unfinished = (await this.#idsInUse()).some((id) => id !== before);
    const newest = ring.ids[0]!;
    // One that was left half-way is finished first.
    const next = unfinished ? before : newest === before ? ring.add().id : newest;
    let done: RotatedMasterKey | undefined;
    await this.database.transaction(async (tx) => {
      await tx.masterKey.upsert({
        where: { id: 1 },
        create: { id: 1, keyId: next },
        update: { keyId: next, changedAt: this.clock.now() },
      });
      await recordActOf(tx, caller, 'master-key.rotated', `master-key/${next}`, { before, after: next });
      await publishWithin(tx, 'masterKey', { keyId: next });
      this.database.afterCommit(tx, async () => {
        done = await this.#use(next);
      });
    });
    // Under dual control it is committed, and done, once this has answered.
    return done ?? { keyId: next, rewrapped: 0, unused: [] };
  }

  async #use(next: string): Promise<RotatedMasterKey> {
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
    this.log.info('the master key was rotated', { id: next, rewrapped });
    return { keyId: next, rewrapped, unused: ring.ids.filter((id) => id !== next && !used.has(id)) };
  }

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

  async #look(): Promise<void> {
    const row = await this.database.client.masterKey.findUnique({ where: { id: 1 } });
    if (row === null || row.keyId === this.envelope.ring.current.id) return;
    if (this.envelope.ring.use(row.keyId)) this.log.info('another master key seals now', { id: row.keyId });
    else this.log.error('the master key in use is not here: give it to this replica', { id: row.keyId });
  }
}
