/**
 * Opens session keys with the control plane's seal keys, and remembers the recent ones. The only place here where a
 * payload's key is in clear. Refuses to say why a key did not open: it may belong to a destroyed or foreign seal key.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { type KeyRecord, openSessionKey, type SessionKeyReader } from '@sallyport/trail';
import { Database } from '../db/database.ts';
import { Keys } from '../keys/keys.ts';

const KEPT_MAX = 5_000;

@Injectable()
export class SessionKeys {
  readonly #database: Database;
  readonly #keys: Keys;
  readonly #kept = new Map<string, SessionKeyReader>();
  constructor(database: Database, keys: Keys) {
    this.#database = database;
    this.#keys = keys;
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

  /** Makes the keys with these ids (16 bytes each) available to `find`. */
  async load(keyIds: Iterable<Buffer>): Promise<void> {
    const missing = [...new Set([...keyIds].map((id) => id.toString('hex')))].filter((id) => !this.#kept.has(id));
    if (missing.length === 0) return;
    const rows = await this.#database.client.sessionKey.findMany({ where: { id: { in: missing.map(uuidOf) } } });
    for (const row of rows) {
      await this.#open({
        keyId: Buffer.from(row.id.replaceAll('-', ''), 'hex'),
        sessionId: Buffer.alloc(16),
        box: Buffer.from(row.box),
      });
    }
  }

  /** The key, if it is known and was not destroyed. */
  find(keyId: Buffer): SessionKeyReader | undefined {
    return this.#kept.get(keyId.toString('hex'));
  }

  /** After erasure: the next `load` finds no row. */
  forget(): void {
    this.#kept.clear();
  }

  async #open(record: KeyRecord): Promise<SessionKeyReader | undefined> {
    const id = record.keyId.toString('hex');
    for (const seal of await this.#keys.trailSealKeys()) {
      try {
        const reader = openSessionKey(record, seal.keys);
        if (this.#kept.size >= KEPT_MAX) this.#kept.delete(this.#kept.keys().next().value!);
        this.#kept.set(id, reader);
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
