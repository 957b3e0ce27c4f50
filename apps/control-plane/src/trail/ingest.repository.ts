/**
 * Where a checked batch goes: raw records, index rows, checkpoints, session keys, and what sessions learn, set by set so
 * that a batch costs a handful of round trips. The only SQL of ingest. Refuses to judge; the caller holds the chain's row.
 */
import { Injectable } from '@nestjs/common';
import type { SessionInfo } from '@sallyport/model';
import type { ChainIdentity, ChainPosition, Checkpoint, KeyRecord, SegmentHeader } from '@sallyport/trail';
import { Database, type Tx } from '../db/database.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { sessionColumns } from '../sessions/session-columns.ts';
import type { ClosedSession, IndexRow, RecordedChunk } from './index-rows.ts';
import { countingUse } from './usage.repository.ts';
import type { UsageRow } from './usage-rows.ts';

export interface StoredChain {
  readonly id: string;
  readonly projectId: string;
  readonly position: ChainPosition;
}

export interface StoredBatch {
  /** As it stood before. */
  readonly chain: StoredChain;
  /** Where it stands with this batch. */
  readonly position: ChainPosition;
  /** Whose sessions' use is counted. */
  readonly agentId: string;
  readonly rows: readonly IndexRow[];
  readonly usage: readonly UsageRow[];
  readonly segment: SegmentHeader;
  readonly segmentHeader: Buffer;
  readonly records: Buffer;
  readonly first: number;
  readonly last: number;
  readonly firstTimeMs: number;
  readonly lastTimeMs: number;
}

interface ChainRow {
  readonly id: string;
  readonly project_id: string;
  readonly last_sequence: bigint;
  readonly head: Uint8Array;
}

const chainOf = (row: ChainRow): StoredChain => ({
  id: row.id,
  projectId: row.project_id,
  position: { sequence: Number(row.last_sequence), head: Buffer.from(row.head) },
});

export const bytes = (value: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(value);

@Injectable()
export class IngestRepository {
  readonly #database: Database;
  constructor(database: Database) {
    this.#database = database;
  }

  /** PEM of every identity certificate the agent ever had, newest first. */
  async identityCertificates(agentId: string): Promise<readonly string[]> {
    const rows = await this.#database.client.issuedCertificate.findMany({
      where: { agentId, purpose: 'agent_identity' },
      orderBy: { createdAt: 'desc' },
      select: { certificate: true },
    });
    return rows.map((row) => row.certificate);
  }

  /** The chain's row, locked until the transaction ends: two links cannot feed one chain at once. */
  async lockChain(tx: Tx, identity: ChainIdentity): Promise<StoredChain | undefined> {
    const rows = await tx.$queryRaw<ChainRow[]>`
      select id, project_id, last_sequence, head from trail_chains
      where agent_id = ${identity.agentId}::uuid and instance = ${identity.instance} and epoch = ${BigInt(identity.epoch)} for update`;
    const row = rows[0];
    return row === undefined ? undefined : chainOf(row);
  }

  /** A chain never seen before; somebody else may make it at the same time, which is fine. */
  async createChain(tx: Tx, id: string, projectId: string, identity: ChainIdentity, genesis: Buffer): Promise<void> {
    await tx.$executeRaw`
      insert into trail_chains (id, project_id, agent_id, instance, epoch, last_sequence, head, said_sequence, updated_at)
      values (${id}::uuid, ${projectId}::uuid, ${identity.agentId}::uuid, ${identity.instance}, ${BigInt(identity.epoch)}, 0, ${bytes(genesis)}, 0, now())
      on conflict (agent_id, instance, epoch) do nothing`;
  }

  /** One text for any number of acts: a list of each length of its own would be planned anew, a hundred acts a second. */
  async markChained(tx: Tx, ids: readonly bigint[], at: Date): Promise<void> {
    await tx.$executeRaw`update control_acts set chained_at = ${at} where id = any (${[...ids]}::bigint[])`;
  }

  /**
   * A batch with all that is searched and counted of it, and its chain moved on, in one statement: by itself, past Prisma, or in
   * a transaction that does more. The chain's row is locked by it.
   * @returns false when the chain stands elsewhere by now; then nothing was stored
   */
  async store(batch: StoredBatch, tx?: Tx): Promise<boolean> {
    const statement = storing(batch);
    const rows =
      tx === undefined
        ? (await this.#database.run<Moved>(statement, 'shared')).rows
        : await tx.$queryRaw<Moved[]>(statement);
    return rows[0]?.moved === 1;
  }

  /** A checkpoint that came after its segment's events: behind the last of them. */
  async appendToSegment(tx: Tx, chainId: string, checkpoint: Checkpoint, record: Buffer): Promise<void> {
    await tx.$executeRaw`
      update trail_batches set records = records || ${bytes(record)}
      where chain_id = ${chainId}::uuid and segment = ${BigInt(checkpoint.firstSequence)} and last_sequence = ${BigInt(checkpoint.lastSequence)}`;
  }

  /** @returns false when this segment's checkpoint is here already */
  async addCheckpoint(tx: Tx, chain: StoredChain, checkpoint: Checkpoint, record: Buffer): Promise<boolean> {
    const added = await tx.$executeRaw`
      insert into trail_checkpoints (chain_id, project_id, segment, last_sequence, head, record, leaf)
      values (${chain.id}::uuid, ${chain.projectId}::uuid, ${BigInt(checkpoint.firstSequence)}, ${BigInt(checkpoint.lastSequence)},
        ${bytes(checkpoint.head)}, ${bytes(record)}, ${bytes(checkpoint.leaf)})
      on conflict (chain_id, segment) do nothing`;
    return added > 0;
  }

  async leafOf(tx: Tx, chainId: string, segment: number): Promise<Buffer | undefined> {
    const row = await tx.trailCheckpoint.findUnique({
      where: { chainId_segment: { chainId, segment: BigInt(segment) } },
      select: { leaf: true },
    });
    return row === null ? undefined : Buffer.from(row.leaf);
  }

  /** The stored batch that holds one event of a chain. */
  async batchAt(tx: Tx, chainId: string, sequence: number): Promise<Buffer | undefined> {
    const row = await tx.trailBatch.findFirst({
      where: { chainId, firstSequence: { lte: BigInt(sequence) }, lastSequence: { gte: BigInt(sequence) } },
      select: { records: true },
    });
    return row === null ? undefined : Buffer.from(row.records);
  }

  /** A key that comes again after its session was erased stays out. */
  async addKeys(tx: Tx, projectId: string, keys: readonly KeyRecord[], sealKeyId: string): Promise<void> {
    for (const key of keys) {
      await tx.$executeRaw`
        insert into session_keys (id, project_id, session_id, seal_key_id, box)
        select ${key.keyId.toString('hex')}::uuid, ${projectId}::uuid, ${key.sessionId.toString('hex')}::uuid, ${sealKeyId}, ${bytes(key.box)}
        where not exists (select from sessions s where s.id = ${key.sessionId.toString('hex')}::uuid and s.erased_at is not null)
        on conflict (id) do nothing`;
    }
  }

  /**
   * The trail's word on who opened what replaces what a report said earlier. A session of another agent stays that agent's,
   * whatever this one says.
   */
  async openSession(tx: Tx, chain: StoredChain, identity: ChainIdentity, session: SessionInfo): Promise<void> {
    const row = {
      projectId: chain.projectId,
      agentId: identity.agentId,
      instance: identity.instance,
      chainEpoch: BigInt(identity.epoch),
      ...sessionColumns(session),
      ...(session.auth === undefined && session.issuer === undefined ? {} : { proof: proofOf(session) }),
    };
    const { count } = await tx.session.updateMany({ where: { id: session.id, agentId: identity.agentId }, data: row });
    if (count === 0) await tx.session.createMany({ data: [{ id: session.id, ...row }], skipDuplicates: true });
  }

  async closeSession(tx: Tx, agentId: string, closed: ClosedSession): Promise<void> {
    await tx.session.updateMany({
      where: { id: closed.id, agentId },
      data: {
        closedAt: new Date(closed.timeMs),
        closeReason: closed.reason,
        statements: closed.counts.statements,
        rows: BigInt(closed.counts.rows),
        bytes: BigInt(closed.counts.bytes),
      },
    });
  }

  /** A process that started again has no sessions of its former life. */
  async endFormerSessions(tx: Tx, identity: ChainIdentity, timeMs: number): Promise<void> {
    await tx.session.updateMany({
      where: {
        agentId: identity.agentId,
        instance: identity.instance,
        chainEpoch: { lt: BigInt(identity.epoch) },
        closedAt: null,
      },
      data: { closedAt: new Date(timeMs), closeReason: 'agent.stopping' },
    });
  }

  /** What the chain says of a recording's piece. @returns indices whose upload said another digest */
  async addRecorded(tx: Tx, projectId: string, chunks: readonly RecordedChunk[]): Promise<readonly number[]> {
    const wrong: number[] = [];
    for (const chunk of chunks) {
      const digest = Buffer.from(chunk.digest, 'hex');
      const [row] = await tx.$queryRaw<{ digest: Uint8Array }[]>`
        insert into recording_chunks (session_id, project_id, index, digest, size, object, from_ms, to_ms)
        values (${chunk.sessionId}::uuid, ${projectId}::uuid, ${chunk.index}, ${bytes(digest)}, ${chunk.bytes}, '', ${chunk.fromMs}, ${chunk.toMs})
        on conflict (session_id, index) do update set from_ms = excluded.from_ms, to_ms = excluded.to_ms
          where recording_chunks.project_id = excluded.project_id returning digest`;
      // No row: another project has a recording of that name.
      if (row === undefined || !digest.equals(row.digest)) wrong.push(chunk.index);
    }
    return wrong;
  }

  /** The first alarm of a chain stays. @returns false when there was one */
  async alarm(tx: Tx, identity: ChainIdentity, alarm: string): Promise<boolean> {
    const set = await tx.$executeRaw`
      update trail_chains set alarm = ${alarm}, updated_at = now()
      where agent_id = ${identity.agentId}::uuid and instance = ${identity.instance} and epoch = ${BigInt(identity.epoch)} and alarm is null`;
    return set > 0;
  }

  /** What a heartbeat or a later epoch says of a chain's end. */
  async saidHead(tx: Tx, identity: ChainIdentity, said: ChainPosition): Promise<void> {
    await tx.$executeRaw`
      update trail_chains set said_sequence = ${BigInt(said.sequence)}, said_head = ${bytes(said.head)}, updated_at = now()
      where agent_id = ${identity.agentId}::uuid and instance = ${identity.instance} and epoch = ${BigInt(identity.epoch)}
        and said_sequence <= ${BigInt(said.sequence)}`;
  }

  /** Another epoch of this instance that says it went on from the same event: one of the two is a copy. */
  async otherHeir(tx: Tx, identity: ChainIdentity, recovered: string): Promise<boolean> {
    const rows = await tx.$queryRaw<{ one: number }[]>`
      select 1 as one from trail_events e join trail_chains c on c.id = e.chain_id
      where c.agent_id = ${identity.agentId}::uuid and c.instance = ${identity.instance} and c.epoch <> ${BigInt(identity.epoch)}
        and e.project_id = c.project_id and e.kind = 'epoch.started' and e.target = ${recovered} limit 1`;
    return rows.length > 0;
  }
}

interface Moved {
  readonly moved: number;
}

const instant = (ms: number): Prisma.Sql => Prisma.sql`to_timestamp(${ms}::float8 / 1000)`;

/** Constant text, whatever is in the batch: prepared once a connection. */
function storing({ chain, position, agentId, rows, usage, ...batch }: StoredBatch): Prisma.Sql {
  return Prisma.sql`
    with moved as (
      update trail_chains set last_sequence = ${BigInt(position.sequence)}, head = ${bytes(position.head)}, updated_at = now()
      where id = ${chain.id}::uuid and last_sequence = ${BigInt(chain.position.sequence)} and head = ${bytes(chain.position.head)}
      returning id, project_id
    ), stored as (
      insert into trail_batches (chain_id, project_id, first_sequence, last_sequence, segment, segment_header, records, first_time, last_time)
      select id, project_id, ${BigInt(batch.first)}::bigint, ${BigInt(batch.last)}::bigint, ${BigInt(batch.segment.firstSequence)}::bigint,
        ${bytes(batch.segmentHeader)}::bytea, ${bytes(batch.records)}::bytea, ${instant(batch.firstTimeMs)}, ${instant(batch.lastTimeMs)}
      from moved
    ), found as (
      insert into trail_events (time, chain_id, sequence, project_id, kind, session_id, verdict, rule, code, action, target, principal_id, count)
      select to_timestamp(e.time / 1000), m.id, e.sequence, m.project_id, e.kind, e.session, e.verdict, e.rule, e.code,
        e.action, e.target, e.principal, e.count
      from moved m, jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as e(time float8, sequence bigint, kind text, session uuid,
        verdict text, rule text, code text, action text, target text, principal uuid, count int)
      on conflict do nothing
    ), used as (${countingUse(Prisma.sql`moved`, agentId, usage)})
    select count(*)::int as moved from moved`;
}

/** Undefined values have no place in JSON. */
const proofOf = ({ auth, issuer }: SessionInfo): Prisma.InputJsonObject =>
  JSON.parse(JSON.stringify({ auth, issuer })) as Prisma.InputJsonObject;
