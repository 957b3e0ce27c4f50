/**
 * How this process left agents' chains: where each ends, and a reader that holds the parts of a payload which is cut over
 * several events. What is not known here is read again from what is stored. True of a chain only as long as nobody else moved
 * it on, which its caller asks the database. Refuses to store anything.
 */
import { Injectable } from '@nestjs/common';
import { type ErrorCode, GatewayError } from '@sallyport/core';
import {
  type ChainIdentity,
  EventReader,
  type EventRecord,
  parseEventRecord,
  RECORD_EVENT,
  type ReadEvent,
  readRecords,
} from '@sallyport/trail';
import type { Tx } from '../db/database.ts';
import { IngestRepository, type StoredChain } from './ingest.repository.ts';
import { SessionKeys } from './session-keys.ts';

/** Header flags of docs/reference/trail-format.md. */
const FLAG_CONTINUED = 2;
const CHAINS_MAX = 1_000;

/** A chain as this process left it. */
export interface KeptChain {
  readonly chain: StoredChain;
  /** Holds the parts of a payload that is cut over several events. */
  readonly reader: EventReader;
}

@Injectable()
export class KeptChains {
  readonly #repository: IngestRepository;
  readonly #keys: SessionKeys;
  readonly #chains = new Map<string, KeptChain>();

  constructor(repository: IngestRepository, keys: SessionKeys) {
    this.#repository = repository;
    this.#keys = keys;
  }

  find(identity: ChainIdentity): KeptChain | undefined {
    return this.#chains.get(nameOf(identity));
  }

  keep(identity: ChainIdentity, kept: KeptChain): void {
    if (this.#chains.size >= CHAINS_MAX) this.#chains.delete(this.#chains.keys().next().value!);
    this.#chains.set(nameOf(identity), kept);
  }

  /** Before its reader goes on: should the batch fail, it has moved all the same. */
  forget(identity: ChainIdentity): void {
    this.#chains.delete(nameOf(identity));
  }

  /** A reader that has read what comes before `first`. It is not kept for anybody else from here on. */
  async readerFrom(tx: Tx, chain: StoredChain, identity: ChainIdentity, first: EventRecord): Promise<EventReader> {
    const kept = this.find(identity);
    this.forget(identity);
    if (kept !== undefined && kept.chain.position.sequence === chain.position.sequence) return kept.reader;
    const reader = new EventReader((keyId) => this.#keys.find(keyId));
    if ((first.flags & FLAG_CONTINUED) !== 0) await this.#readParts(tx, chain.id, first.sequence, reader);
    return reader;
  }

  async read(reader: EventReader, events: readonly EventRecord[]): Promise<readonly ReadEvent[]> {
    await this.#keys.load(events.map((event) => event.keyId));
    const read: ReadEvent[] = [];
    for (const event of events) {
      const entry = readOrSkip(reader, event);
      if (entry !== undefined) read.push(entry);
    }
    return read;
  }

  /** The stored batch that has the event with this number; none where none has it. */
  async eventsAt(tx: Tx, chainId: string, sequence: number): Promise<readonly EventRecord[]> {
    const records = await this.#repository.batchAt(tx, chainId, sequence);
    return records === undefined
      ? []
      : [...readRecords(records)]
          .filter((record) => record.type === RECORD_EVENT)
          .map((record) => parseEventRecord(record.body, false));
  }

  /** Another replica took the earlier parts of this payload: they are read again from what is stored. */
  async #readParts(tx: Tx, chainId: string, before: number, reader: EventReader): Promise<void> {
    const parts: EventRecord[] = [];
    for (let sequence = before - 1; sequence > 0; sequence = parts[0]!.sequence - 1) {
      const events = (await this.eventsAt(tx, chainId, sequence)).filter((event) => event.sequence <= sequence);
      if (events.length === 0) break;
      const start = events.findLastIndex((event) => (event.flags & FLAG_CONTINUED) === 0);
      parts.unshift(...events.slice(Math.max(0, start)));
      if (start >= 0) break;
    }
    await this.#keys.load(parts.map((part) => part.keyId));
    for (const part of parts) readOrSkip(reader, part);
  }
}

const nameOf = ({ agentId, instance, epoch }: ChainIdentity): string => `${agentId}/${instance}/${epoch}`;

/** A payload that does not decode does not stop the record: the chain vouches for its bytes, the index shows its header. */
function readOrSkip(reader: EventReader, event: EventRecord): ReadEvent | undefined {
  try {
    return reader.read(event);
  } catch (cause) {
    if (!(cause instanceof GatewayError) || cause.code !== ('trail.broken' satisfies ErrorCode)) throw cause;
    return { kind: 'unknown', record: event };
  }
}
