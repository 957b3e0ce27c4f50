/** The table of sessions. */
import { Injectable } from '@nestjs/common';
import type { SessionReport } from '@sallyport/model';
import { Database, type Tx } from '../db/database.ts';
import type { Prisma, Session } from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';
import { sessionColumns } from './session-columns.ts';

@Injectable()
export class SessionsRepository {
  constructor(private readonly database: Database) {}

  list(filter: Prisma.SessionWhereInput, page: PageRequest): Promise<Session[]> {
    const { where, ...args } = pageArgs(page);
    return this.database.client.session.findMany({ ...args, where: { AND: [filter, where] } });
  }

  find(projectId: string, id: string): Promise<Session | null> {
    return this.database.client.session.findFirst({ where: { projectId, id } });
  }

  /** Ids of the agent of that name and of those it replaced. */
  async agentsNamed(projectId: string, name: string): Promise<readonly string[]> {
    const rows = await this.database.client.agent.findMany({
      where: { projectId, OR: [{ name }, { name: { startsWith: `${name}.` }, revokedAt: { not: null } }] },
      select: { id: true },
    });
    return rows.map((row) => row.id);
  }

  /** What a live table says. A session that the trail closed stays closed. */
  async report(
    session: SessionReport,
    chain: { readonly instance: string; readonly chainEpoch: number },
  ): Promise<void> {
    const { usage, closedAt } = session;
    const counters =
      usage === undefined ? {} : { statements: usage.statements, rows: BigInt(usage.rows), bytes: BigInt(usage.bytes) };
    const closing = closedAt === undefined ? {} : { closedAt: new Date(closedAt), closeReason: session.reason ?? '' };
    const known = await this.database.client.session.updateMany({
      where: { id: session.id, agentId: session.agentId, closedAt: null },
      data: { ...counters, ...closing },
    });
    if (known.count > 0) return;
    const row: Prisma.SessionCreateManyInput = {
      id: session.id,
      projectId: session.projectId,
      agentId: session.agentId,
      instance: chain.instance,
      chainEpoch: BigInt(chain.chainEpoch),
      ...sessionColumns(session),
      ...counters,
      ...closing,
    };
    await this.database.client.session.createMany({ data: [row], skipDuplicates: true });
  }

  /** Marks a session as erased, and empties what else was kept of its texts: approval requests and their notifications. */
  async erase(tx: Tx, sessionId: string, at: Date): Promise<void> {
    await tx.session.update({ where: { id: sessionId }, data: { erasedAt: at } });
    await tx.$executeRaw`
      update outbox_messages o set body = o.body || '{"statement": "", "parameters": []}'
      from approval_requests a
      where a.session_id = ${sessionId}::uuid and o.project_id = a.project_id and o.body ->> 'id' = a.id and o.body ? 'statement'`;
    await tx.$executeRaw`
      update approval_requests set body = body || '{"text": "", "parameters": [], "recentStatements": []}'
      where session_id = ${sessionId}::uuid`;
  }

  /** Open approval requests by session. */
  async heldFor(sessionIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
    if (sessionIds.length === 0) return new Map();
    const rows = await this.database.client.approvalRequest.findMany({
      where: { sessionId: { in: [...sessionIds] }, state: 'pending', mode: 'wait' },
      select: { sessionId: true, id: true },
    });
    return new Map(rows.map((row) => [row.sessionId, row.id]));
  }

  async agentNames(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const rows = await this.database.client.agent.findMany({
      where: { id: { in: [...new Set(ids)] } },
      select: { id: true, name: true },
    });
    return new Map(rows.map((row) => [row.id, row.name]));
  }
}
