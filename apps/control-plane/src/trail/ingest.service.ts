/**
 * Takes agents' batches into the record: checked against the chain's head under its row lock, stored with what can be
 * searched, acknowledged after commit. A batch that does not fit is refused with `trail.broken` and raises an alarm.
 * Refuses to notify inside its transactions, and to trust a checkpoint whose key no certificate of that agent carries.
 */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { type ErrorCode, GatewayError } from '@sallyport/core';
import {
  type ChainIdentity,
  type Checkpoint,
  checkpointHolds,
  EventReader,
  type EventRecord,
  genesis,
  parseEventRecord,
  publicKeyId,
  RECORD_EVENT,
  type ReadEvent,
  readRecords,
} from '@sallyport/trail';
import { Counter, Gauge } from 'prom-client';
import { Database, type Tx } from '../db/database.ts';
import { Metrics } from '../http/metrics.ts';
import { Log } from '../http/problem.filter.ts';
import { Outbox } from '../notify/outbox.ts';
import { SystemClock } from '../time.ts';
import { type CheckedBatch, checkBatch, type UploadedBatch } from './check-batch.ts';
import { type BatchIndex, indexBatch } from './index-rows.ts';
import { IngestRepository, type StoredChain } from './ingest.repository.ts';
import { SessionKeys } from './session-keys.ts';
import { UsageRepository } from './usage.repository.ts';

/** Header flags of docs/reference/trail-format.md. */
const FLAG_CONTINUED = 2;
const READERS_MAX = 1_000;

export interface TrailSource {
  readonly agentId: string;
  readonly projectId: string;
}

export interface Heard {
  readonly instance: string;
  readonly epoch: number;
  readonly sequence: number;
  readonly head: Buffer;
}

interface KeptReader {
  readonly reader: EventReader;
  readonly sequence: number;
}

@Injectable()
export class TrailIngest {
  readonly #database: Database;
  readonly #repository: IngestRepository;
  readonly #usage: UsageRepository;
  readonly #keys: SessionKeys;
  readonly #outbox: Outbox;
  readonly #clock: SystemClock;
  readonly #log: Log;
  /** Between batches a reader holds the parts of a payload that is cut over several events. */
  readonly #readers = new Map<string, KeptReader>();
  readonly #signers = new Map<string, KeyObject>();
  readonly #events: Counter;
  readonly #refused: Counter;
  readonly #missing: Gauge<'agent'>;

  constructor(
    database: Database,
    repository: IngestRepository,
    usage: UsageRepository,
    keys: SessionKeys,
    outbox: Outbox,
    clock: SystemClock,
    metrics: Metrics,
    log: Log,
  ) {
    this.#database = database;
    this.#repository = repository;
    this.#usage = usage;
    this.#keys = keys;
    this.#outbox = outbox;
    this.#clock = clock;
    this.#log = log;
    const registers = [metrics.registry];
    this.#events = new Counter({
      name: 'sallyport_trail_events_total',
      help: 'Events taken into the record.',
      registers,
    });
    this.#refused = new Counter({
      name: 'sallyport_trail_refused_total',
      help: 'Batches that did not fit their chain.',
      registers,
    });
    this.#missing = new Gauge({
      name: 'sallyport_trail_missing_events',
      help: 'Events that agents have written and not sent yet.',
      labelNames: ['agent'],
      registers,
    });
  }

  /**
   * One batch. Resolves after commit: what it covers may be deleted at the agent.
   * @throws GatewayError `trail.broken` when it does not fit; anything else means "send it again later"
   */
  async accept(
    source: TrailSource,
    uploaded: Omit<UploadedBatch, 'identity'> & { readonly instance: string; readonly epoch: number },
  ): Promise<void> {
    const identity = { agentId: source.agentId, instance: uploaded.instance, epoch: uploaded.epoch };
    try {
      await this.#database.transaction((tx) => this.#store(tx, source, identity, uploaded));
    } catch (cause) {
      if (!(cause instanceof GatewayError) || cause.code !== 'trail.broken') throw cause;
      this.#refused.inc();
      await this.#alarm(source, identity, `${cause.detail['reason'] ?? 'broken'} ${JSON.stringify(cause.detail)}`);
      throw cause;
    }
  }

  /** What an agent says its chain's head is: a lost tail shows as missing, two heads at one sequence as a fork. */
  async hear(source: TrailSource, heard: Heard): Promise<void> {
    const identity = { agentId: source.agentId, instance: heard.instance, epoch: heard.epoch };
    const fork = await this.#database.transaction(async (tx) => {
      const chain = await this.#repository.lockChain(tx, identity);
      if (chain === undefined) {
        await this.#repository.createChain(tx, this.#clock.id(), source.projectId, identity, genesis(identity));
        await this.#repository.saidHead(tx, identity, heard);
        return false;
      }
      this.#missing.set({ agent: source.agentId }, Math.max(0, heard.sequence - chain.position.sequence));
      await this.#repository.saidHead(tx, identity, heard);
      return heard.sequence === chain.position.sequence && !heard.head.equals(chain.position.head);
    });
    if (fork) await this.#alarm(source, identity, `fork ${JSON.stringify({ sequence: heard.sequence })}`);
  }

  async #store(
    tx: Tx,
    source: TrailSource,
    identity: ChainIdentity,
    uploaded: Omit<UploadedBatch, 'identity'>,
  ): Promise<void> {
    const chain = (await this.#repository.lockChain(tx, identity)) ?? (await this.#newChain(tx, source, identity));
    const checked = checkBatch({ identity, ...uploaded }, chain.position.sequence === 0 ? undefined : chain.position);
    if (checked.known !== undefined) await this.#compareKnown(tx, chain, checked.known);
    for (const { checkpoint } of checked.checkpoints) await this.#requireSigned(source, checkpoint);
    await this.#repository.addKeys(tx, chain.projectId, checked.keys, await this.#keys.sealKeyId());
    const unopened = await this.#keys.take(checked.keys);
    if (unopened.length > 0)
      this.#log.warn('session keys that do not open', { agent: source.agentId, keys: unopened.join(' ') });
    await this.#storeEvents(tx, chain, identity, checked, uploaded.segmentHeader);
    for (const { checkpoint, body } of checked.checkpoints)
      await this.#storeCheckpoint(tx, chain, checkpoint, body, checked);
    this.#events.inc(checked.events.length);
  }

  async #newChain(tx: Tx, source: TrailSource, identity: ChainIdentity): Promise<StoredChain> {
    await this.#repository.createChain(tx, this.#clock.id(), source.projectId, identity, genesis(identity));
    const chain = await this.#repository.lockChain(tx, identity);
    if (chain === undefined) throw new GatewayError('internal', { reason: 'chain' });
    return chain;
  }

  async #storeEvents(
    tx: Tx,
    chain: StoredChain,
    identity: ChainIdentity,
    checked: CheckedBatch,
    segmentHeader: Buffer,
  ): Promise<void> {
    const first = checked.events[0];
    const last = checked.events.at(-1);
    if (first === undefined || last === undefined) return;
    const read = await this.#readEvents(tx, chain, checked.events);
    const index = indexBatch(read);
    if (chain.position.sequence === 0 && index.started === undefined)
      throw new GatewayError('trail.broken', { reason: 'genesis' });
    await this.#repository.addBatch(tx, {
      chain,
      segment: checked.segment,
      segmentHeader,
      records: checked.stored,
      first: first.sequence,
      last: last.sequence,
      firstTimeMs: first.timeMs,
      lastTimeMs: last.timeMs,
    });
    await this.#repository.addIndexRows(tx, chain, index.rows);
    await this.#learn(tx, chain, identity, index);
    await this.#repository.moveChain(tx, chain.id, checked.position);
  }

  async #learn(tx: Tx, chain: StoredChain, identity: ChainIdentity, index: BatchIndex): Promise<void> {
    if (index.started !== undefined) await this.#startEpoch(tx, identity, index.started);
    for (const session of index.opened) await this.#repository.openSession(tx, chain, identity, session);
    await this.#usage.add(tx, chain, identity.agentId, index.usage);
    for (const closed of index.closed) await this.#repository.closeSession(tx, identity.agentId, closed);
    const wrong = await this.#repository.addRecorded(tx, chain.projectId, index.chunks);
    if (wrong.length > 0)
      await this.#repository.alarm(tx, identity, `recording ${JSON.stringify({ index: wrong[0] })}`);
  }

  /** An epoch names the head it recovered: compared with what arrived of that chain. */
  async #startEpoch(tx: Tx, identity: ChainIdentity, started: NonNullable<BatchIndex['started']>): Promise<void> {
    await this.#repository.endFormerSessions(tx, identity, started.timeMs);
    if (started.recoveredEpoch === 0) return;
    const former = { ...identity, epoch: started.recoveredEpoch };
    const head = Buffer.from(started.recoveredHead, 'hex');
    const chain = await this.#repository.lockChain(tx, former);
    await this.#repository.saidHead(tx, former, { sequence: started.recoveredSequence, head });
    if (chain !== undefined && chain.position.sequence > started.recoveredSequence) {
      await this.#repository.alarm(
        tx,
        former,
        `fork ${JSON.stringify({ sequence: started.recoveredSequence + 1, what: 'the agent lost events that are here' })}`,
      );
    }
    if (
      chain !== undefined &&
      chain.position.sequence === started.recoveredSequence &&
      !chain.position.head.equals(head)
    ) {
      await this.#repository.alarm(tx, former, `fork ${JSON.stringify({ sequence: started.recoveredSequence })}`);
    }
    if (await this.#repository.otherHeir(tx, identity, `${started.recoveredEpoch}/${started.recoveredSequence}`)) {
      await this.#repository.alarm(
        tx,
        identity,
        `fork ${JSON.stringify({ epoch: started.recoveredEpoch, sequence: started.recoveredSequence })}`,
      );
    }
  }

  async #storeCheckpoint(
    tx: Tx,
    chain: StoredChain,
    checkpoint: Checkpoint,
    record: Buffer,
    checked: CheckedBatch,
  ): Promise<void> {
    if (await this.#repository.addCheckpoint(tx, chain, checkpoint, record)) {
      if (checked.events.length === 0) await this.#repository.appendToSegment(tx, chain.id, checkpoint, checked.stored);
      return;
    }
    const leaf = await this.#repository.leafOf(tx, chain.id, checkpoint.firstSequence);
    if (leaf === undefined || !leaf.equals(checkpoint.leaf))
      throw new GatewayError('trail.broken', { reason: 'checkpoint', sequence: checkpoint.lastSequence });
  }

  /** Events sent again have to be the ones that are stored. */
  async #compareKnown(
    tx: Tx,
    chain: StoredChain,
    known: { readonly sequence: number; readonly head: Buffer },
  ): Promise<void> {
    if (known.sequence === chain.position.sequence) return;
    const next = (await this.#eventsAt(tx, chain.id, known.sequence + 1)).find(
      (event) => event.sequence === known.sequence + 1,
    );
    if (next === undefined || !next.prev.equals(known.head))
      throw new GatewayError('trail.broken', { reason: 'fork', sequence: known.sequence });
  }

  async #eventsAt(tx: Tx, chainId: string, sequence: number): Promise<readonly EventRecord[]> {
    const records = await this.#repository.batchAt(tx, chainId, sequence);
    return records === undefined
      ? []
      : [...readRecords(records)]
          .filter((record) => record.type === RECORD_EVENT)
          .map((record) => parseEventRecord(record.body, false));
  }

  async #readEvents(tx: Tx, chain: StoredChain, events: readonly EventRecord[]): Promise<readonly ReadEvent[]> {
    await this.#keys.load(events.map((event) => event.keyId).filter((id) => !id.equals(Buffer.alloc(16))));
    const kept = this.#readers.get(chain.id);
    const goesOn = kept !== undefined && kept.sequence === chain.position.sequence;
    const reader = goesOn ? kept.reader : new EventReader((keyId) => this.#keys.find(keyId));
    const first = events[0]!;
    if (!goesOn && (first.flags & FLAG_CONTINUED) !== 0) await this.#readParts(tx, chain.id, first.sequence, reader);
    const read: ReadEvent[] = [];
    for (const event of events) {
      const entry = readOrSkip(reader, event);
      if (entry !== undefined) read.push(entry);
    }
    this.#readers.delete(chain.id);
    if (this.#readers.size >= READERS_MAX) this.#readers.delete(this.#readers.keys().next().value!);
    this.#readers.set(chain.id, { reader, sequence: events.at(-1)!.sequence });
    return read;
  }

  /** Another replica took the earlier parts of this payload: they are read again from what is stored. */
  async #readParts(tx: Tx, chainId: string, before: number, reader: EventReader): Promise<void> {
    const parts: EventRecord[] = [];
    for (let sequence = before - 1; sequence > 0; sequence = parts[0]!.sequence - 1) {
      const events = (await this.#eventsAt(tx, chainId, sequence)).filter((event) => event.sequence <= sequence);
      if (events.length === 0) break;
      const start = events.findLastIndex((event) => (event.flags & FLAG_CONTINUED) === 0);
      parts.unshift(...events.slice(Math.max(0, start)));
      if (start >= 0) break;
    }
    await this.#keys.load(parts.map((part) => part.keyId));
    for (const part of parts) readOrSkip(reader, part);
  }

  async #requireSigned(source: TrailSource, checkpoint: Checkpoint): Promise<void> {
    const id = `${source.agentId}/${checkpoint.keyId.toString('hex')}`;
    let key = this.#signers.get(id);
    if (key === undefined) {
      const chains = await this.#repository.identityCertificates(source.agentId);
      const found = chains
        .map((pem) => new X509Certificate(pem).publicKey)
        .find((candidate) => publicKeyId(candidate).equals(checkpoint.keyId));
      if (found === undefined)
        throw new GatewayError('trail.broken', { reason: 'unknown-signer', sequence: checkpoint.lastSequence });
      key = found;
      if (this.#signers.size >= READERS_MAX) this.#signers.clear();
      this.#signers.set(id, key);
    }
    if (!checkpointHolds(checkpoint, key))
      throw new GatewayError('trail.broken', { reason: 'signature', sequence: checkpoint.lastSequence });
  }

  async #alarm(source: TrailSource, identity: ChainIdentity, alarm: string): Promise<void> {
    this.#log.error('the record of an agent does not verify', {
      agent: source.agentId,
      instance: identity.instance,
      epoch: identity.epoch,
      alarm,
    });
    await this.#database.transaction(async (tx) => {
      if ((await this.#repository.lockChain(tx, identity)) === undefined) await this.#newChain(tx, source, identity);
      if (!(await this.#repository.alarm(tx, identity, alarm))) return;
      await this.#outbox.add(tx, source.projectId, 'trail.alarm', {
        agentId: source.agentId,
        instance: identity.instance,
        epoch: identity.epoch,
        alarm,
      });
    });
  }
}

/** A payload that does not decode does not stop the record: the chain vouches for its bytes, the index shows its header. */
function readOrSkip(reader: EventReader, event: EventRecord): ReadEvent | undefined {
  try {
    return reader.read(event);
  } catch (cause) {
    if (!(cause instanceof GatewayError) || cause.code !== ('trail.broken' satisfies ErrorCode)) throw cause;
    return { kind: 'unknown', record: event };
  }
}
