/** Reading the record: the index for searches, stored segments for exports. */
import { Injectable } from '@nestjs/common';
import { Database } from '../db/database.ts';
import { Prisma } from '../generated/prisma/client.ts';
import type { EventsQuery } from './trail.dto.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export interface EventRow {
  readonly time: Date;
  readonly chain_id: string;
  readonly agent_id: string;
  readonly instance: string;
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly kind: string;
  readonly session_id: string | null;
  readonly principal: string | null;
  readonly on_behalf_of: string | null;
  readonly resource: string | null;
  readonly verdict: string | null;
  readonly rule: string | null;
  readonly code: string | null;
  readonly action: string | null;
  readonly target: string | null;
  readonly count: number;
}

export interface EventPlace {
  readonly time: Date;
  readonly chainId: string;
  readonly sequence: bigint;
}

/** A segment as it is stored: its batches in order. */
export interface StoredSegment {
  readonly chainId: string;
  readonly agentId: string;
  readonly instance: string;
  readonly epoch: number;
  readonly segment: bigint;
  /** Last event to take; what came after the export began is not in it. */
  readonly lastSequence: bigint;
  readonly closed: boolean;
}

@Injectable()
export class TrailRepository {
  constructor(private readonly database: Database) {}

  /** Newest first. */
  async events(projectId: string, query: EventsQuery, before: EventPlace | undefined): Promise<EventRow[]> {
    const conditions = [Prisma.sql`e.project_id = ${projectId}::uuid`];
    if (query.kind !== undefined) conditions.push(Prisma.sql`e.kind = ${query.kind}`);
    if (query.session !== undefined) conditions.push(Prisma.sql`e.session_id = ${query.session}::uuid`);
    if (query.verdict !== undefined) conditions.push(Prisma.sql`e.verdict = ${query.verdict}`);
    if (query.action !== undefined) conditions.push(Prisma.sql`e.action = ${query.action}`);
    if (query.since !== undefined) conditions.push(Prisma.sql`e.time >= ${new Date(query.since)}`);
    if (query.until !== undefined) conditions.push(Prisma.sql`e.time < ${new Date(query.until)}`);
    if (query.principal !== undefined) {
      conditions.push(
        UUID.test(query.principal)
          ? Prisma.sql`(e.principal_id = ${query.principal}::uuid or s.principal_id = ${query.principal}::uuid or s.on_behalf_of_id = ${query.principal}::uuid)`
          : Prisma.sql`(p.name = ${query.principal} or s.principal_name = ${query.principal} or s.on_behalf_of_name = ${query.principal})`,
      );
    }
    if (query.resource !== undefined) {
      conditions.push(
        UUID.test(query.resource)
          ? Prisma.sql`s.resource_id = ${query.resource}::uuid`
          : Prisma.sql`(s.resource_name = ${query.resource} or e.target = ${`resource/${query.resource}`})`,
      );
    }
    if (before !== undefined) {
      conditions.push(
        Prisma.sql`(e.time, e.chain_id, e.sequence) < (${before.time}::timestamptz, ${before.chainId}::uuid, ${before.sequence}::bigint)`,
      );
    }
    return await this.database.client.$queryRaw<EventRow[]>`
      select e.time, e.chain_id, c.agent_id, c.instance, c.epoch, e.sequence, e.kind, e.session_id,
        coalesce(p.name, s.principal_name) as principal,
        case when e.kind = 'control.act' then null else s.on_behalf_of_name end as on_behalf_of, s.resource_name as resource,
        e.verdict, e.rule, e.code, e.action, e.target, e.count
      from trail_events e join trail_chains c on c.id = e.chain_id
        left join sessions s on s.id = e.session_id and s.project_id = e.project_id
        -- An owner's act upon a project is told in its own chain, by their name; an agent names nobody of another project.
        left join principals p on p.id = e.principal_id and (p.project_id = e.project_id or c.agent_id = e.project_id)
      where ${Prisma.join(conditions, ' and ')}
      order by e.time desc, e.chain_id desc, e.sequence desc limit ${query.limit + 1}`;
  }

  async chains(projectId: string) {
    const chains = await this.database.client.trailChain.findMany({
      where: { projectId },
      orderBy: [{ agentId: 'asc' }, { instance: 'asc' }, { epoch: 'asc' }],
    });
    const agents = await this.database.client.agent.findMany({
      where: { projectId },
      select: { id: true, name: true },
    });
    return { chains, agents: new Map(agents.map((agent) => [agent.id, agent.name])) };
  }

  /** Leaves whose checkpoint came before an instant: a prefix of the tree, as far as it matters. */
  async sizeAt(projectId: string, instant: Date): Promise<number> {
    const next = await this.database.client.trailCheckpoint.findFirst({
      where: { projectId, leafIndex: { not: null }, createdAt: { gte: instant } },
      orderBy: { leafIndex: 'asc' },
      select: { leafIndex: true },
    });
    return next === null
      ? await this.database.client.trailCheckpoint.count({ where: { projectId, leafIndex: { not: null } } })
      : Number(next.leafIndex);
  }

  /** Segments of leaves [from, to), in the order of their chains; and, when `tails`, the open ends. */
  async segments(projectId: string, from: number, to: number, tails: boolean): Promise<readonly StoredSegment[]> {
    const rows = await this.database.client.$queryRaw<
      {
        chain_id: string;
        agent_id: string;
        instance: string;
        epoch: bigint;
        segment: bigint;
        last_sequence: bigint;
        closed: boolean;
      }[]
    >`
      select s.chain_id, c.agent_id, c.instance, c.epoch, s.segment, s.last_sequence, s.closed from (
        select chain_id, segment, last_sequence, true as closed from trail_checkpoints
          where project_id = ${projectId}::uuid and leaf_index >= ${BigInt(from)} and leaf_index < ${BigInt(to)}
        union all
        select b.chain_id, b.segment, max(b.last_sequence), false from trail_batches b
          where ${tails} and b.project_id = ${projectId}::uuid and not exists (
            select 1 from trail_checkpoints k where k.chain_id = b.chain_id and k.segment = b.segment and k.leaf_index < ${BigInt(to)})
          group by b.chain_id, b.segment
      ) s join trail_chains c on c.id = s.chain_id order by c.agent_id, c.instance, c.epoch, s.segment`;
    return rows.map((row) => ({
      chainId: row.chain_id,
      agentId: row.agent_id,
      instance: row.instance,
      epoch: Number(row.epoch),
      segment: row.segment,
      lastSequence: row.last_sequence,
      closed: row.closed,
    }));
  }

  batches(segment: StoredSegment) {
    return this.database.client.trailBatch.findMany({
      where: { chainId: segment.chainId, segment: segment.segment, lastSequence: { lte: segment.lastSequence } },
      orderBy: { firstSequence: 'asc' },
      select: { segmentHeader: true, records: true },
    });
  }

  keyRows(projectId: string, ids: readonly string[]) {
    return this.database.client.sessionKey.findMany({ where: { projectId, id: { in: [...ids] } } });
  }
}
