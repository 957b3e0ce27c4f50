/**
 * Takes agents' batches into the record: checked against the chain's head, stored with what can be searched only while that
 * head stands, acknowledged after commit. A batch that does not fit is refused with `trail.broken` and raises an alarm.
 * Refuses to notify inside its transactions, and to trust a checkpoint whose key no certificate of that agent carries.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { type ChainIdentity, type ChainPosition, type Checkpoint, genesis, type KeyRecord } from '@sallyport/trail';
import { Counter, Gauge } from 'prom-client';
import { Database, type Tx } from '../db/database.ts';
import { Metrics } from '../http/metrics.ts';
import { Log } from '../http/problem.filter.ts';
import { Outbox } from '../notify/outbox.ts';
import { SystemClock } from '../time.ts';
import { type CheckedBatch, checkBatch, type UploadedBatch } from './check-batch.ts';
import { CheckpointSigners } from './checkpoint-signers.ts';
import { type BatchIndex, indexBatch } from './index-rows.ts';
import { IngestRepository, type StoredBatch, type StoredChain } from './ingest.repository.ts';
import { type KeptChain, KeptChains } from './kept-chains.ts';
import { SessionKeys } from './session-keys.ts';

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

/** Checked by what this process knows of its chain; true only as long as nobody else moved the chain on. */
interface CheckedAhead {
  readonly kept: KeptChain;
  readonly checked: CheckedBatch;
}

type Uploaded = Omit<UploadedBatch, 'identity'>;

@Injectable()
export class TrailIngest {
  readonly #database: Database;
  readonly #repository: IngestRepository;
  readonly #keys: SessionKeys;
  readonly #outbox: Outbox;
  readonly #clock: SystemClock;
  readonly #log: Log;
  readonly #chains: KeptChains;
  readonly #signers: CheckpointSigners;
  readonly #events: Counter;
  readonly #refused: Counter;
  readonly #missing: Gauge<'agent'>;

  constructor(
    database: Database,
    repository: IngestRepository,
    keys: SessionKeys,
    chains: KeptChains,
    signers: CheckpointSigners,
    outbox: Outbox,
    clock: SystemClock,
    metrics: Metrics,
    log: Log,
  ) {
    this.#database = database;
    this.#repository = repository;
    this.#keys = keys;
    this.#chains = chains;
    this.#signers = signers;
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
    uploaded: Uploaded & { readonly instance: string; readonly epoch: number },
  ): Promise<void> {
    const identity = { agentId: source.agentId, instance: uploaded.instance, epoch: uploaded.epoch };
    try {
      const ahead = this.#checkAhead(identity, uploaded);
      if (ahead !== undefined && (await this.#storeNext(identity, ahead, uploaded.segmentHeader))) return;
      const kept = await this.#database.transaction((tx) => this.#store(tx, source, identity, uploaded, ahead));
      if (kept !== undefined) this.#chains.keep(identity, kept);
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

  /** Undefined where this process knows nothing of the chain, or knows it as it is not any more: who asks looks at the chain itself. */
  #checkAhead(identity: ChainIdentity, uploaded: Uploaded): CheckedAhead | undefined {
    const kept = this.#chains.find(identity);
    if (kept === undefined) return undefined;
    try {
      return { kept, checked: checkBatch({ identity, ...uploaded }, kept.chain.position) };
    } catch (cause) {
      if (!(cause instanceof GatewayError)) throw cause;
      return undefined;
    }
  }

  /**
   * The common batch, nothing but statements: stored by one statement, if its chain still stands where this process left it.
   * @returns false when nothing was stored
   */
  async #storeNext(identity: ChainIdentity, { kept, checked }: CheckedAhead, segmentHeader: Buffer): Promise<boolean> {
    if (!isStatementsAlone(checked)) return false;
    this.#chains.forget(identity);
    const index = indexBatch(await this.#chains.read(kept.reader, checked.events));
    if (!(await this.#repository.store(batchOf(kept.chain, identity, checked, index, segmentHeader)))) return false;
    this.#chains.keep(identity, { chain: { ...kept.chain, position: checked.position }, reader: kept.reader });
    this.#events.inc(checked.events.length);
    return true;
  }

  /** Any batch, in a transaction. @returns how its chain is left, if it moved */
  async #store(
    tx: Tx,
    source: TrailSource,
    identity: ChainIdentity,
    uploaded: Uploaded,
    ahead: CheckedAhead | undefined,
  ): Promise<KeptChain | undefined> {
    const chain = (await this.#repository.lockChain(tx, identity)) ?? (await this.#newChain(tx, source, identity));
    const checked =
      ahead !== undefined && isSame(ahead.kept.chain.position, chain.position)
        ? ahead.checked
        : checkBatch({ identity, ...uploaded }, chain.position.sequence === 0 ? undefined : chain.position);
    if (checked.known !== undefined) await this.#compareKnown(tx, chain, checked.known);
    for (const { checkpoint } of checked.checkpoints) await this.#signers.require(source.agentId, checkpoint);
    if (checked.keys.length > 0) await this.#takeKeys(tx, source, chain.projectId, checked.keys);
    const kept = await this.#storeEvents(tx, chain, identity, checked, uploaded.segmentHeader);
    for (const { checkpoint, body } of checked.checkpoints)
      await this.#storeCheckpoint(tx, chain, checkpoint, body, checked);
    this.#events.inc(checked.events.length);
    return kept;
  }

  async #takeKeys(tx: Tx, source: TrailSource, projectId: string, keys: readonly KeyRecord[]): Promise<void> {
    await this.#repository.addKeys(tx, projectId, keys, await this.#keys.sealKeyId());
    const unopened = await this.#keys.take(keys);
    if (unopened.length > 0)
      this.#log.warn('session keys that do not open', { agent: source.agentId, keys: unopened.join(' ') });
  }

  async #newChain(tx: Tx, source: TrailSource, identity: ChainIdentity): Promise<StoredChain> {
    await this.#repository.createChain(tx, this.#clock.id(), source.projectId, identity, genesis(identity));
    const chain = await this.#repository.lockChain(tx, identity);
    if (chain === undefined) throw new GatewayError('internal', { reason: 'chain' });
    return chain;
  }

  /** @returns how the chain is left; undefined when there were no events */
  async #storeEvents(
    tx: Tx,
    chain: StoredChain,
    identity: ChainIdentity,
    checked: CheckedBatch,
    segmentHeader: Buffer,
  ): Promise<KeptChain | undefined> {
    const [first] = checked.events;
    if (first === undefined) return undefined;
    const reader = await this.#chains.readerFrom(tx, chain, identity, first);
    const index = indexBatch(await this.#chains.read(reader, checked.events));
    if (chain.position.sequence === 0 && index.started === undefined)
      throw new GatewayError('trail.broken', { reason: 'genesis' });
    // Their use is counted with the batch.
    for (const session of index.opened) await this.#repository.openSession(tx, chain, identity, session);
    if (!(await this.#repository.store(batchOf(chain, identity, checked, index, segmentHeader), tx)))
      throw new GatewayError('internal', { reason: 'chain' });
    await this.#learn(tx, chain, identity, index);
    return { chain: { ...chain, position: checked.position }, reader };
  }

  async #learn(tx: Tx, chain: StoredChain, identity: ChainIdentity, index: BatchIndex): Promise<void> {
    if (index.started !== undefined) await this.#startEpoch(tx, identity, index.started);
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
    const next = (await this.#chains.eventsAt(tx, chain.id, known.sequence + 1)).find(
      (event) => event.sequence === known.sequence + 1,
    );
    if (next === undefined || !next.prev.equals(known.head))
      throw new GatewayError('trail.broken', { reason: 'fork', sequence: known.sequence });
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

const isSame = (one: ChainPosition, other: ChainPosition): boolean =>
  one.sequence === other.sequence && one.head.equals(other.head);

/** No keys, no checkpoint, nothing that came before, and no session, recording or epoch that begins or ends. */
const isStatementsAlone = ({ keys, checkpoints, known, events }: CheckedBatch): boolean =>
  keys.length === 0 &&
  checkpoints.length === 0 &&
  known === undefined &&
  events.length > 0 &&
  events.every(({ kind }) => kind === 'statement.judged' || kind === 'statement.finished');

function batchOf(
  chain: StoredChain,
  { agentId }: ChainIdentity,
  { events, segment, position, stored }: CheckedBatch,
  { rows, usage }: BatchIndex,
  segmentHeader: Buffer,
): StoredBatch {
  const first = events[0]!;
  const last = events.at(-1)!;
  return {
    chain,
    position,
    agentId,
    rows,
    usage,
    segment,
    segmentHeader,
    records: stored,
    first: first.sequence,
    last: last.sequence,
    firstTimeMs: first.timeMs,
    lastTimeMs: last.timeMs,
  };
}
