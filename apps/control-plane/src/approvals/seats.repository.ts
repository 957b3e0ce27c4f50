/** The tables of seats that approvers hand over, for one request or for a time. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import type { ApproverDelegation, Prisma } from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';
import { permissionsOf } from '../http/permissions.ts';
import type { GivenAway, HandedSeat } from './tally.ts';

export interface PersonRow {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly roles: readonly string[];
  readonly disabledAt: Date | null;
}

const PERSON = { id: true, name: true, kind: true, roles: true, disabledAt: true } as const;

@Injectable()
export class SeatsRepository {
  constructor(private readonly database: Database) {}

  /** Seats somebody may answer from beside their own; those of approvers who are gone or may not answer any more are left out. */
  async seatsOf(
    projectId: string,
    toId: string,
    now: Date,
    tx: Tx = this.database.client,
  ): Promise<readonly HandedSeat[]> {
    const [once, standing] = [
      await tx.approvalSeat.findMany({ where: { projectId, toId, request: { state: 'pending' } } }),
      await tx.approverDelegation.findMany({
        where: { projectId, toId, endedAt: null, startsAt: { lte: now }, endsAt: { gt: now } },
      }),
    ];
    const handed = [
      ...once.map(({ ofId, requestId }) => ({ ofId, requestId })),
      ...standing.map(({ ofId }) => ({ ofId, requestId: undefined })),
    ];
    if (handed.length === 0) return [];
    const ids = [...new Set(handed.map(({ ofId }) => ofId))];
    const people = await tx.principal.findMany({
      where: { projectId, id: { in: ids }, kind: 'person', disabledAt: null },
      select: { id: true, roles: true, memberships: { select: { group: { select: { name: true } } } } },
    });
    const groups = new Map(
      people
        .filter(({ roles }) => permissionsOf(roles).has('approval:answer'))
        .map(({ id, memberships }) => [id, new Set(memberships.map(({ group }) => group.name))] as const),
    );
    return handed.flatMap(({ ofId, requestId }) => {
      const theirs = groups.get(ofId);
      return theirs === undefined ? [] : [{ ofId, requestId, groups: theirs }];
    });
  }

  /** Where somebody's own seat is with a person who may answer; one that is with nobody who can is theirs again. */
  async givenBy(projectId: string, ofId: string, now: Date, tx: Tx = this.database.client): Promise<GivenAway> {
    const once = await tx.approvalSeat.findMany({ where: { projectId, ofId, request: { state: 'pending' } } });
    const standing = await tx.approverDelegation.findMany({
      where: { projectId, ofId, endedAt: null, startsAt: { lte: now }, endsAt: { gt: now } },
    });
    if (once.length + standing.length === 0) return { requests: new Set(), all: false };
    const people = await tx.principal.findMany({
      where: {
        projectId,
        id: { in: [...once, ...standing].map(({ toId }) => toId) },
        kind: 'person',
        disabledAt: null,
      },
      select: { id: true, roles: true },
    });
    const able = new Set(people.filter((one) => permissionsOf(one.roles).has('approval:answer')).map(({ id }) => id));
    return {
      requests: new Set(once.filter(({ toId }) => able.has(toId)).map(({ requestId }) => requestId)),
      all: standing.some(({ toId }) => able.has(toId)),
    };
  }

  /** By id or name. */
  person(projectId: string, reference: string, tx: Tx): Promise<PersonRow | null> {
    const isId = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(reference);
    return tx.principal.findFirst({
      where: { projectId, OR: [{ name: reference }, ...(isId ? [{ id: reference.toLowerCase() }] : [])] },
      select: PERSON,
    });
  }

  async agentCan(tx: Tx, agentId: string, capability: string): Promise<boolean> {
    const row = await tx.agent.findUnique({ where: { id: agentId }, select: { capabilities: true } });
    return row?.capabilities.includes(capability) === true;
  }

  async handOver(tx: Tx, data: Prisma.ApprovalSeatUncheckedCreateInput): Promise<void> {
    const { requestId, ofId, toId } = data;
    await tx.approvalSeat.upsert({ where: { requestId_ofId: { requestId, ofId } }, create: data, update: { toId } });
  }

  /** @returns whether it was with somebody */
  async takeBack(tx: Tx, requestId: string, ofId: string): Promise<boolean> {
    return (await tx.approvalSeat.deleteMany({ where: { requestId, ofId } })).count > 0;
  }

  async create(tx: Tx, data: Prisma.ApproverDelegationUncheckedCreateInput): Promise<ApproverDelegation> {
    return await tx.approverDelegation.create({ data });
  }

  list(filter: Prisma.ApproverDelegationWhereInput, page: PageRequest): Promise<ApproverDelegation[]> {
    const { where, ...args } = pageArgs(page);
    return this.database.client.approverDelegation.findMany({ ...args, where: { AND: [filter, where] } });
  }

  find(tx: Tx, projectId: string, id: string): Promise<ApproverDelegation | null> {
    return tx.approverDelegation.findFirst({ where: { projectId, id } });
  }

  async end(tx: Tx, id: string, now: Date): Promise<void> {
    await tx.approverDelegation.updateMany({ where: { id, endedAt: null }, data: { endedAt: now } });
  }

  async names(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const rows = await this.database.client.principal.findMany({
      where: { id: { in: [...new Set(ids)] } },
      select: { id: true, name: true },
    });
    return new Map(rows.map(({ id, name }) => [id, name]));
  }
}
