/** The tables of approval requests and votes. */
import { Injectable } from '@nestjs/common';
import { LIMITS } from '@sallyport/core';
import { Database, type Tx } from '../db/database.ts';
import type { ApprovalComment, ApprovalRequest, ApprovalVote, Prisma } from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';
import { isAble } from '../http/permissions.ts';
import type { Standing } from './tally.ts';

export type RequestWithVotes = ApprovalRequest & {
  readonly votes: readonly ApprovalVote[];
  readonly comments: readonly ApprovalComment[];
};

const WITH_ALL = {
  votes: { orderBy: { createdAt: 'asc' } },
  comments: { orderBy: { createdAt: 'asc' } },
} as const;

export interface VoterRow {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
}

@Injectable()
export class ApprovalsRepository {
  constructor(private readonly database: Database) {}

  list(filter: Prisma.ApprovalRequestWhereInput, page: PageRequest): Promise<RequestWithVotes[]> {
    const { where, ...args } = pageArgs(page);
    return this.database.client.approvalRequest.findMany({
      ...args,
      where: { AND: [filter, where] },
      include: WITH_ALL,
    });
  }

  find(projectId: string, id: string): Promise<RequestWithVotes | null> {
    return this.database.client.approvalRequest.findFirst({ where: { projectId, id }, include: WITH_ALL });
  }

  /** The row, locked: answers to one request follow one another. */
  async lock(tx: Tx, id: string): Promise<RequestWithVotes | null> {
    await tx.$queryRaw`select 1 from approval_requests where id = ${id} for update`;
    return await tx.approvalRequest.findUnique({
      where: { id },
      include: WITH_ALL,
    });
  }

  /** @returns false when a request of that id is here already */
  async insert(tx: Tx, data: Prisma.ApprovalRequestCreateManyInput): Promise<boolean> {
    return (await tx.approvalRequest.createMany({ data: [data], skipDuplicates: true })).count > 0;
  }

  async addVote(tx: Tx, data: Prisma.ApprovalVoteUncheckedCreateInput): Promise<void> {
    await tx.approvalVote.create({ data });
  }

  async finish(tx: Tx, id: string, data: Prisma.ApprovalRequestUncheckedUpdateInput): Promise<void> {
    await tx.approvalRequest.update({ where: { id }, data });
  }

  /** Marks an approved request as used, once. @returns false when it was not approved or was used before */
  async consume(tx: Tx, id: string, agentId: string, now: Date): Promise<boolean> {
    const { count } = await tx.approvalRequest.updateMany({
      where: { id, agentId, state: 'approved', consumedAt: null },
      data: { state: 'consumed', consumedAt: now },
    });
    return count > 0;
  }

  /** Pending ones whose statement an earlier process of the same slot held. */
  async heldBefore(source: {
    readonly agentId: string;
    readonly instance: string;
    readonly chainEpoch: number;
  }): Promise<readonly string[]> {
    const rows = await this.database.client.approvalRequest.findMany({
      where: {
        agentId: source.agentId,
        state: 'pending',
        mode: 'wait',
        instance: source.instance,
        chainEpoch: { gt: 0, lt: source.chainEpoch },
      },
      select: { id: true },
    });
    return rows.map((row) => row.id);
  }

  /** Pending ones past their time, locked for this replica alone. */
  async overdue(tx: Tx, limit: number): Promise<readonly string[]> {
    const rows = await tx.$queryRaw<{ id: string }[]>`
      select id from approval_requests where state = 'pending' and expires_at <= now() order by expires_at limit ${limit} for update skip locked`;
    return rows.map((row) => row.id);
  }

  /** Pending ones that nobody has answered for as long as their rule says, locked for this replica alone. */
  async unanswered(tx: Tx, limit: number): Promise<readonly string[]> {
    const rows = await tx.$queryRaw<{ id: string }[]>`
      select id from approval_requests where state = 'pending' and escalated_at is null and escalate_at <= now() and expires_at > now() order by escalate_at limit ${limit} for update skip locked`;
    return rows.map((row) => row.id);
  }

  async addComment(tx: Tx, data: Prisma.ApprovalCommentUncheckedCreateInput): Promise<void> {
    await tx.approvalComment.create({ data });
  }

  /** Approved and still of use: shapes that have not ended, tickets that nobody used. Either lasts a day at most. */
  inForce(tx: Tx, now: Date) {
    const since = new Date(now.getTime() - Math.max(LIMITS.approvalWaitMsMax, LIMITS.shapeMsMax));
    return tx.approvalRequest.findMany({
      where: {
        state: 'approved',
        answeredAt: { gte: since },
        OR: [
          { scope: 'shape', grantUntil: { gt: now } },
          { mode: 'ticket', consumedAt: null },
        ],
      },
      select: {
        id: true,
        principalId: true,
        onBehalfOfId: true,
        votes: { select: { principalId: true, seatOfId: true } },
      },
    });
  }

  /** Approved tickets that were not used. */
  openTickets(agentId: string, since: Date): Promise<{ id: string; signed: string | null }[]> {
    return this.database.client.approvalRequest.findMany({
      where: { agentId, mode: 'ticket', state: 'approved', consumedAt: null, answeredAt: { gte: since } },
      select: { id: true, signed: true },
    });
  }

  async askedTickets(agentId: string): Promise<readonly string[]> {
    const rows = await this.database.client.approvalRequest.findMany({
      where: { agentId, mode: 'ticket', state: 'pending' },
      select: { id: true },
    });
    return rows.map((row) => row.id);
  }

  /** Names by id, of resources of the requests' own project: an agent may name any id. */
  async resourceNames(requests: readonly ApprovalRequest[]): Promise<ReadonlyMap<string, string>> {
    const rows = await this.database.client.resource.findMany({
      where: {
        id: { in: [...new Set(requests.map((row) => row.resourceId))] },
        projectId: { in: [...new Set(requests.map((row) => row.projectId))] },
      },
      select: { id: true, name: true },
    });
    return new Map(rows.map((row) => [row.id, row.name]));
  }

  /** Names by id, of persons who answered. */
  async principalNames(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    if (ids.length === 0) return new Map();
    const rows = await this.database.client.principal.findMany({
      where: { id: { in: [...new Set(ids)] } },
      select: { id: true, name: true },
    });
    return new Map(rows.map((row) => [row.id, row.name]));
  }

  signed(id: string): Promise<{ signed: string | null } | null> {
    return this.database.client.approvalRequest.findUnique({ where: { id }, select: { signed: true } });
  }

  async groupsOf(projectId: string, principalId: string): Promise<ReadonlySet<string>> {
    const rows = await this.database.client.membership.findMany({
      where: { projectId, principalId },
      select: { group: { select: { name: true } } },
    });
    return new Set(rows.map((row) => row.group.name));
  }

  /** What persons who voted are now, by id. */
  async standings(ids: readonly string[], tx: Tx): Promise<ReadonlyMap<string, Standing>> {
    const rows = await tx.principal.findMany({
      where: { id: { in: [...new Set(ids)] } },
      select: {
        id: true,
        roles: true,
        disabledAt: true,
        memberships: { select: { group: { select: { name: true } } } },
      },
    });
    return new Map(
      rows.map((row) => [
        row.id,
        {
          mayAnswer: isAble(row, 'approval:answer'),
          groups: new Set(row.memberships.map(({ group }) => group.name)),
        },
      ]),
    );
  }

  principals(ids: readonly string[], tx: Tx): Promise<VoterRow[]> {
    return tx.principal.findMany({ where: { id: { in: [...ids] } }, select: { id: true, name: true, kind: true } });
  }

  async resourceName(tx: Tx, projectId: string, resourceId: string): Promise<string> {
    const row = await tx.resource.findFirst({ where: { id: resourceId, projectId }, select: { name: true } });
    return row?.name ?? resourceId;
  }
}
