/**
 * The control plane's own acts as one chain of the trail per project: committed rows, chained by whichever replica holds
 * the advisory lock, in segments that end in checkpoints signed by the project's `trail` key. Refuses to chain a row twice:
 * rows are marked in the same transaction. A payload key is this process's and project's own: no two share a keystream.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError, parseUuid } from '@sallyport/core';
import type { PrincipalKind, PrincipalRef, TrailEvent } from '@sallyport/model';
import {
  appendRecord,
  ByteBatch,
  type ChainIdentity,
  ChainWriter,
  encodeSegmentHeader,
  genesis,
  parseCheckpoint,
  parseKeyRecord,
  parseSegmentHeader,
  RECORD_CHECKPOINT,
  SessionKey,
  signCheckpointAsync,
} from '@sallyport/trail';
import { Database, type Tx } from '../db/database.ts';
import { ProjectDirectory } from '../db/project.ts';
import type { ControlAct } from '../generated/prisma/client.ts';
import { Keys } from '../keys/keys.ts';
import { SystemClock } from '../time.ts';
import type { IndexRow } from './index-rows.ts';
import { IngestRepository, type StoredChain } from './ingest.repository.ts';
import { TrailSigner } from './trail-signer.ts';

const INSTANCE = 'control-plane';
const VERSION = '0.1.0';
const ACTS_MAX = 500;
const SEGMENT_AGE_MS = 15_000;
const SEGMENT_EVENTS_MAX = 5_000;

interface OpenSegment {
  readonly header: Buffer;
  /** Sequence of its first event. */
  readonly first: number;
  readonly startedMs: number;
}

@Injectable()
export class ControlChain {
  /** By project. */
  readonly #keys = new Map<string, SessionKey>();
  /** Projects whose last segment this process left open. */
  readonly #open = new Set<string>();
  #sweptMs = Number.NEGATIVE_INFINITY;
  constructor(
    private readonly database: Database,
    private readonly repository: IngestRepository,
    private readonly signer: TrailSigner,
    private readonly keys: Keys,
    private readonly projects: ProjectDirectory,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Chains what is committed and not chained yet; ends segments that are old, large, or when it is asked for.
   * @returns how many acts were chained; fewer than there are when another replica is at it
   */
  async round(seal = false): Promise<number> {
    let chained = 0;
    for (const projectId of await this.#toVisit(seal)) chained += await this.#roundOf(projectId, seal);
    return chained;
  }

  /** Projects with acts to chain or a segment to end; now and then all, since another process may have left one open. */
  async #toVisit(seal: boolean): Promise<readonly string[]> {
    const now = this.clock.monotonicMs();
    if (seal || now - this.#sweptMs > SEGMENT_AGE_MS) {
      this.#sweptMs = now;
      return (await this.projects.all()).map((project) => project.id);
    }
    const rows = await this.database.client.$queryRaw<{ id: string }[]>`
      select distinct project_id::text as id from control_acts where chained_at is null`;
    return [...new Set([...rows.map((row) => row.id), ...this.#open])];
  }

  async #roundOf(projectId: string, seal: boolean): Promise<number> {
    return await this.database.transaction(async (tx) => {
      const [lock] = await tx.$queryRaw<{ got: boolean }[]>`select pg_try_advisory_xact_lock(7070, 2) as got`;
      if (lock?.got !== true) return 0;
      const acts = await tx.controlAct.findMany({
        where: { projectId, chainedAt: null },
        orderBy: { id: 'asc' },
        take: ACTS_MAX,
      });
      const identity = await this.#identity(tx, projectId);
      let chain = await this.repository.lockChain(tx, identity);
      if (chain === undefined) {
        if (acts.length === 0) return 0;
        await this.repository.createChain(tx, this.clock.id(), projectId, identity, genesis(identity));
        chain = await this.repository.lockChain(tx, identity);
      }
      if (chain === undefined) return 0;
      let segment = await this.#openSegment(tx, chain);
      let position = chain.position;
      if (acts.length > 0) {
        segment ??= {
          header: encodeSegmentHeader(identity, position),
          first: position.sequence + 1,
          startedMs: this.clock.nowMs(),
        };
        position = await this.#append(tx, chain, identity, segment, acts);
      }
      const due =
        segment !== undefined &&
        (seal ||
          position.sequence - segment.first >= SEGMENT_EVENTS_MAX ||
          this.clock.nowMs() - segment.startedMs >= SEGMENT_AGE_MS);
      if (segment !== undefined && due) await this.#checkpoint(tx, { ...chain, position }, identity, segment);
      if (segment !== undefined && !due) this.#open.add(projectId);
      else this.#open.delete(projectId);
      return acts.length;
    });
  }

  /** One chain for good: its epoch is the second of its first round. */
  async #identity(tx: Tx, projectId: string): Promise<ChainIdentity> {
    // The project's id stands for the control plane in its chains, tree heads and the certificate that signs them.
    const agentId = projectId;
    const row = await tx.trailChain.findFirst({
      where: { agentId, instance: INSTANCE },
      select: { epoch: true },
      orderBy: { epoch: 'desc' },
    });
    return {
      agentId,
      instance: INSTANCE,
      epoch: row === null ? Math.floor(this.clock.nowMs() / 1000) : Number(row.epoch),
    };
  }

  async #openSegment(tx: Tx, chain: StoredChain): Promise<OpenSegment | undefined> {
    const last = await tx.trailBatch.findFirst({
      where: { chainId: chain.id },
      orderBy: { firstSequence: 'desc' },
      select: { segment: true, segmentHeader: true },
    });
    if (last === null) return undefined;
    const ended = await tx.trailCheckpoint.findUnique({
      where: { chainId_segment: { chainId: chain.id, segment: last.segment } },
      select: { segment: true },
    });
    if (ended !== null) return undefined;
    const first = await tx.trailBatch.findFirst({
      where: { chainId: chain.id, segment: last.segment },
      orderBy: { firstSequence: 'asc' },
      select: { firstTime: true },
    });
    return {
      header: Buffer.from(last.segmentHeader),
      first: Number(last.segment),
      startedMs: first?.firstTime.getTime() ?? 0,
    };
  }

  async #append(
    tx: Tx,
    chain: StoredChain,
    identity: ChainIdentity,
    segment: OpenSegment,
    acts: readonly ControlAct[],
  ): Promise<StoredChain['position']> {
    const key = await this.#ownKey(tx, chain.projectId);
    const writer = new ChainWriter(identity, chain.position);
    const batch = new ByteBatch();
    const rows: IndexRow[] = [];
    const now = this.clock.nowMs();
    if (chain.position.sequence === 0) {
      writer.append(
        batch,
        { kind: 'epoch.started', version: VERSION, recoveredEpoch: 0, recoveredSequence: 0, recoveredHead: '' },
        now,
      );
      rows.push({ time: now, sequence: 1, kind: 'epoch.started', target: '0/0', action: VERSION, count: 1 });
    }
    for (const act of acts) {
      writer.append(batch, eventOf(act), act.time.getTime(), key);
      rows.push({
        time: act.time.getTime(),
        sequence: writer.position.sequence,
        kind: 'control.act',
        action: act.action,
        target: act.target,
        count: 1,
        ...(act.principalId === null ? {} : { principal: act.principalId }),
        ...(act.sessionId === null ? {} : { session: act.sessionId }),
      });
    }
    const times = acts.map((act) => act.time.getTime());
    const isNext = await this.repository.store(
      {
        chain,
        position: writer.position,
        agentId: identity.agentId,
        rows,
        usage: [],
        segment: parseSegmentHeader(segment.header),
        segmentHeader: segment.header,
        records: Buffer.from(batch.view),
        first: chain.position.sequence + 1,
        last: writer.position.sequence,
        firstTimeMs: Math.min(now, ...times),
        lastTimeMs: Math.max(...times),
      },
      tx,
    );
    if (!isNext) throw new GatewayError('internal', { reason: 'chain' });
    await this.repository.markChained(
      tx,
      acts.map((act) => act.id),
      this.clock.now(),
    );
    return writer.position;
  }

  async #checkpoint(tx: Tx, chain: StoredChain, identity: ChainIdentity, segment: OpenSegment): Promise<void> {
    const { prev } = parseSegmentHeader(segment.header);
    const claim = {
      identity,
      firstSequence: segment.first,
      lastSequence: chain.position.sequence,
      timeMs: this.clock.nowMs(),
      prev,
      head: chain.position.head,
      recovered: false,
    };
    const body = await signCheckpointAsync(claim, await this.signer.current(chain.projectId));
    const checkpoint = parseCheckpoint(body);
    const record = new ByteBatch(1024);
    appendRecord(record, RECORD_CHECKPOINT, body);
    await this.repository.addCheckpoint(tx, chain, checkpoint, body);
    await this.repository.appendToSegment(tx, chain.id, checkpoint, Buffer.from(record.view));
  }

  /** Sealed like any session's; its row is written with the first batch that uses it. */
  async #ownKey(tx: Tx, projectId: string): Promise<SessionKey> {
    const key = this.#keys.get(projectId) ?? new SessionKey('');
    this.#keys.set(projectId, key);
    const seal = (await this.keys.trailSealKeys()).find((candidate) => candidate.current);
    if (seal !== undefined) {
      const exists = await tx.sessionKey.count({ where: { id: uuidOf(key.keyId) } });
      if (exists === 0)
        await this.repository.addKeys(tx, projectId, [parseKeyRecord(key.sealTo(seal.keys.publicKey))], seal.id);
    }
    return key;
  }
}

const uuidOf = (keyId: Buffer): string => keyId.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

const principalOf = (id: string | null, name: string | null, kind: string | null): PrincipalRef | undefined =>
  id === null || parseUuid(id) === undefined
    ? undefined
    : { id, name: name ?? '', kind: (kind ?? 'person') as PrincipalKind };

const eventOf = (act: ControlAct): TrailEvent => ({
  kind: 'control.act',
  principal: principalOf(act.principalId, act.principalName, act.principalKind),
  onBehalfOf: principalOf(act.onBehalfOfId, act.onBehalfOfName, act.onBehalfOfKind),
  action: act.action,
  target: act.target,
  detail: JSON.stringify(act.detail),
  requestId: act.requestId,
});
