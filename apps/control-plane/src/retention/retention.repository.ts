/** What is past its time, and its end. Refuses to destroy keys: sessions/erasure.ts does. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import type { Session, TrailBatch } from '../generated/prisma/client.ts';
import type { RetentionSetting } from './retention.dto.ts';

export interface KeptProject extends RetentionSetting {
  readonly projectId: string;
}

export interface BatchPlace {
  readonly firstTime: Date;
  readonly chainId: string;
  readonly firstSequence: bigint;
}

@Injectable()
export class RetentionRepository {
  constructor(private readonly database: Database) {}

  async setting(projectId: string): Promise<RetentionSetting> {
    const row = await this.database.client.project.findUniqueOrThrow({ where: { id: projectId } });
    return { sessionsDays: row.retainSessionsDays, eventsDays: row.retainEventsDays };
  }

  async set(tx: Tx, projectId: string, { sessionsDays, eventsDays }: RetentionSetting): Promise<void> {
    await tx.project.update({
      where: { id: projectId },
      data: { retainSessionsDays: sessionsDays, retainEventsDays: eventsDays },
    });
  }

  /** Projects that do not keep everything. */
  async limited(): Promise<readonly KeptProject[]> {
    const rows = await this.database.client.project.findMany({
      where: { OR: [{ retainSessionsDays: { not: null } }, { retainEventsDays: { not: null } }] },
    });
    return rows.map((row) => ({
      projectId: row.id,
      sessionsDays: row.retainSessionsDays,
      eventsDays: row.retainEventsDays,
    }));
  }

  /**
   * Sessions without an end on record whose agent was not heard of since: a host that is gone, or one that was revoked, ends
   * them no more. @returns ids, locked
   */
  async lost(tx: Tx, projectId: string, before: Date, most: number): Promise<readonly string[]> {
    const rows = await tx.$queryRaw<{ id: string }[]>`
      select s.id::text from sessions s join agents a on a.id = s.agent_id
      where s.project_id = ${projectId}::uuid and s.closed_at is null and s.opened_at < ${before}
        and coalesce(a.last_seen_at, a.created_at) < ${before}
      order by s.opened_at limit ${most} for update of s skip locked`;
    return rows.map(({ id }) => id);
  }

  /** Their end is the last time their agent was heard of. */
  async close(tx: Tx, ids: readonly string[], reason: string): Promise<void> {
    await tx.$executeRaw`
      update sessions s set close_reason = ${reason},
        closed_at = greatest(s.opened_at, coalesce(a.last_seen_at, a.created_at))
      from agents a where a.id = s.agent_id and s.id = any(${[...ids]}::uuid[]) and s.closed_at is null`;
  }

  /** One that nobody else is erasing, locked. */
  async takeDue(tx: Tx, projectId: string, closedBefore: Date): Promise<Session | null> {
    const rows = await tx.$queryRaw<{ id: string }[]>`
      select id::text from sessions
      where project_id = ${projectId}::uuid and closed_at < ${closedBefore} and erased_at is null
      order by closed_at limit 1 for update skip locked`;
    return rows[0] === undefined ? null : await tx.session.findUnique({ where: { id: rows[0].id } });
  }

  /** Erased sessions of which the store still has something: chunks that came late, or a removal that failed. */
  async leftInStore(projectId: string, most: number): Promise<readonly string[]> {
    const rows = await this.database.client.$queryRaw<{ id: string }[]>`
      select distinct c.session_id::text as id from recording_chunks c join sessions s on s.id = c.session_id
      where c.project_id = ${projectId}::uuid and c.object <> '' and s.erased_at is not null limit ${most}`;
    return rows.map(({ id }) => id);
  }

  /** Untrimmed batches whose every event is older, in order of time. */
  batches(projectId: string, before: Date, after: BatchPlace | undefined, most: number): Promise<TrailBatch[]> {
    const { firstTime, chainId, firstSequence } = after ?? {};
    return this.database.client.trailBatch.findMany({
      where: {
        projectId,
        trimmedAt: null,
        firstTime: { lt: before },
        lastTime: { lt: before },
        ...(firstTime === undefined || chainId === undefined || firstSequence === undefined
          ? {}
          : {
              OR: [
                { firstTime: { gt: firstTime } },
                { firstTime, chainId: { gt: chainId } },
                { firstTime, chainId, firstSequence: { gt: firstSequence } },
              ],
            }),
      },
      orderBy: [{ firstTime: 'asc' }, { chainId: 'asc' }, { firstSequence: 'asc' }],
      take: most,
    });
  }

  /** @param ids of session keys, UUIDs @returns those that are still there */
  async keysThere(ids: readonly string[]): Promise<ReadonlySet<string>> {
    if (ids.length === 0) return new Set();
    const rows = await this.database.client.sessionKey.findMany({
      where: { id: { in: [...ids] } },
      select: { id: true },
    });
    return new Set(rows.map(({ id }) => id));
  }

  /** @param trimmedAt undefined while something of it may still be opened */
  async replace(batch: TrailBatch, records: Uint8Array<ArrayBuffer>, trimmedAt: Date | undefined): Promise<void> {
    const { chainId, firstSequence } = batch;
    await this.database.client.trailBatch.updateMany({
      where: { chainId, firstSequence, trimmedAt: null },
      data: { records, ...(trimmedAt === undefined ? {} : { trimmedAt }) },
    });
  }

  /** Rows of the index; administrative acts stay in it. @returns how many went */
  async forgetEvents(tx: Tx, projectId: string, before: Date, most: number): Promise<number> {
    return await tx.$executeRaw`
      delete from trail_events e using (
        select time, chain_id, sequence from trail_events
        where project_id = ${projectId}::uuid and time < ${before} and kind <> 'control.act'
        order by time limit ${most} for update skip locked
      ) old where e.time = old.time and e.chain_id = old.chain_id and e.sequence = old.sequence`;
  }
}
