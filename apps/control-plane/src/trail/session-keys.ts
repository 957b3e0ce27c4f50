/**
 * Opens session keys with the control plane's seal keys, and remembers the recent ones. The only place here where a
 * payload's key is in clear. Refuses to say why a key did not open: it may belong to a destroyed or foreign seal key.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { type KeyRecord, openSessionKey, type SessionKeyReader } from '@sallyport/trail';
import { Bus } from '../bus/bus.ts';
import { publishWithin } from '../bus/pg.bus.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Session } from '../generated/prisma/client.ts';
import { Log } from '../http/problem.filter.ts';
import { Keys } from '../keys/keys.ts';

const KEPT_MAX = 5_000;
/** Of what is in clear. */
const NO_KEY: Buffer = Buffer.alloc(16);

interface Kept {
  readonly reader: SessionKeyReader;
  readonly sessionId: string;
}

@Injectable()
export class SessionKeys implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #database: Database;
  readonly #keys: Keys;
  readonly #bus: Bus;
  readonly #log: Log;
  /** By key id, hex. */
  readonly #kept = new Map<string, Kept>();
  #ends: (() => void)[] = [];
  constructor(database: Database, keys: Keys, bus: Bus, log: Log) {
    this.#database = database;
    this.#keys = keys;
    this.#bus = bus;
    this.#log = log;
  }

  onApplicationBootstrap(): void {
    this.#ends = [
      this.#bus.subscribe('erased', ({ sessionId }) => this.#forget([sessionId])),
      this.#bus.onGap(() => {
        this.#forgetErased().catch((cause: unknown) =>
          this.#log.error('erased keys may still be in memory', { cause }),
        );
      }),
    ];
  }

  onModuleDestroy(): void {
    for (const end of this.#ends) end();
  }

  /** Id of the seal key that new session keys are sealed to. */
  async sealKeyId(): Promise<string> {
    return (await this.#keys.trailSealKeys()).find((key) => key.current)?.id ?? '';
  }

  /** Opens keys that arrived with a batch. @returns hex ids that did not open */
  async take(records: readonly KeyRecord[]): Promise<readonly string[]> {
    const failed: string[] = [];
    for (const record of records)
      if ((await this.#open(record)) === undefined) failed.push(record.keyId.toString('hex'));
    return failed;
  }

  /** Makes the keys with these ids (16 bytes each; zeroes: none) available to `find`. */
  async load(keyIds: Iterable<Buffer>): Promise<void> {
    const missing = new Set<string>();
    let last = NO_KEY;
    for (const keyId of keyIds) {
      // One session after another, most of the time.
      if (keyId.equals(last) || keyId.equals(NO_KEY)) continue;
      last = keyId;
      const id = keyId.toString('hex');
      if (!this.#kept.has(id)) missing.add(id);
    }
    if (missing.size === 0) return;
    const rows = await this.#database.client.sessionKey.findMany({ where: { id: { in: [...missing].map(uuidOf) } } });
    for (const row of rows) {
      await this.#open({
        keyId: Buffer.from(row.id.replaceAll('-', ''), 'hex'),
        sessionId: Buffer.from(row.sessionId.replaceAll('-', ''), 'hex'),
        box: Buffer.from(row.box),
      });
    }
  }

  /** The key, if it is known and was not destroyed. */
  find(keyId: Buffer): SessionKeyReader | undefined {
    return this.#kept.get(keyId.toString('hex'))?.reader;
  }

  /**
   * Destroys the keys of a session: after commit nobody can read its payloads and its recording, and no replica holds
   * one in memory. The session's chain is locked first, so that a batch on its way cannot bring a key back.
   * @returns how many keys there were
   */
  async destroy(tx: Tx, session: Pick<Session, 'id' | 'agentId' | 'instance' | 'chainEpoch'>): Promise<number> {
    await tx.$queryRaw`
      select id::text from trail_chains
      where agent_id = ${session.agentId}::uuid and instance = ${session.instance} and epoch = ${session.chainEpoch} for update`;
    const { count } = await tx.sessionKey.deleteMany({ where: { sessionId: session.id } });
    await publishWithin(tx, 'erased', { sessionId: session.id });
    return count;
  }

  #forget(sessionIds: readonly string[]): void {
    const gone = new Set(sessionIds);
    for (const [id, kept] of this.#kept) if (gone.has(kept.sessionId)) this.#kept.delete(id);
  }

  /** After messages may have been missed. */
  async #forgetErased(): Promise<void> {
    const ids = [...new Set([...this.#kept.values()].map((kept) => kept.sessionId))];
    if (ids.length === 0) return;
    const rows = await this.#database.client.session.findMany({
      where: { id: { in: ids }, erasedAt: { not: null } },
      select: { id: true },
    });
    this.#forget(rows.map((row) => row.id));
  }

  async #open(record: KeyRecord): Promise<SessionKeyReader | undefined> {
    const id = record.keyId.toString('hex');
    for (const seal of await this.#keys.trailSealKeys()) {
      try {
        const reader = openSessionKey(record, seal.keys);
        if (this.#kept.size >= KEPT_MAX) this.#kept.delete(this.#kept.keys().next().value!);
        this.#kept.set(id, { reader, sessionId: uuidOf(record.sessionId.toString('hex')) });
        return reader;
      } catch (cause) {
        // Sealed to another of our keys: the next one is tried.
        if (!(cause instanceof GatewayError)) throw cause;
      }
    }
    return undefined;
  }
}

const uuidOf = (hex: string): string =>
  `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
