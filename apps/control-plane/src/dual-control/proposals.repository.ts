/** The table of change proposals, and the setting of dual control. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import type { ChangeProposal, Principal, Prisma } from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';

const overdueAt = (now: Date): Prisma.ChangeProposalWhereInput => ({
  expiresAt: { lte: now },
  OR: [{ state: 'pending' }, { kept: { not: null } }],
});

@Injectable()
export class ProposalsRepository {
  constructor(private readonly database: Database) {}

  list(projectId: string, filter: Prisma.ChangeProposalWhereInput, page: PageRequest): Promise<ChangeProposal[]> {
    const { where, ...args } = pageArgs(page);
    return this.database.client.changeProposal.findMany({ ...args, where: { AND: [{ projectId }, filter, where] } });
  }

  find(projectId: string, id: string): Promise<ChangeProposal | null> {
    return this.database.client.changeProposal.findFirst({ where: { projectId, id } });
  }

  /** Locked: two answers at once follow one another. */
  async lock(tx: Tx, projectId: string, id: string): Promise<ChangeProposal | null> {
    await tx.$queryRaw`select 1 from change_proposals where project_id = ${projectId}::uuid and id = ${id}::uuid for update`;
    return await tx.changeProposal.findFirst({ where: { projectId, id } });
  }

  countPending(tx: Tx, projectId: string, now: Date): Promise<number> {
    return tx.changeProposal.count({ where: { projectId, state: 'pending', expiresAt: { gt: now } } });
  }

  async isOverdue(now: Date): Promise<boolean> {
    return (
      (await this.database.client.changeProposal.findFirst({ where: overdueAt(now), select: { id: true } })) !== null
    );
  }

  /** Locked; what another replica has is left to it. */
  async overdue(tx: Tx, now: Date, limit: number): Promise<ChangeProposal[]> {
    const rows = await tx.$queryRaw<{ id: string }[]>`
      select id::text as id from change_proposals
      where expires_at <= ${now} and (state = 'pending' or kept is not null)
      order by expires_at limit ${limit} for update skip locked`;
    return await tx.changeProposal.findMany({ where: { id: { in: rows.map((row) => row.id) } } });
  }

  insert(tx: Tx, data: Prisma.ChangeProposalUncheckedCreateInput): Promise<ChangeProposal> {
    return tx.changeProposal.create({ data });
  }

  update(tx: Tx, id: string, data: Prisma.ChangeProposalUncheckedUpdateInput): Promise<ChangeProposal> {
    return tx.changeProposal.update({ where: { id }, data });
  }

  principal(tx: Tx, projectId: string, id: string): Promise<Principal | null> {
    return tx.principal.findFirst({ where: { projectId, id } });
  }

  async areas(projectId: string): Promise<readonly string[]> {
    const row = await this.database.client.project.findUnique({ where: { id: projectId } });
    return row?.dualControl ?? [];
  }

  async setAreas(tx: Tx, projectId: string, areas: readonly string[]): Promise<void> {
    await tx.project.update({ where: { id: projectId }, data: { dualControl: [...areas] } });
  }

  countAdmins(tx: Tx, projectId: string): Promise<number> {
    return tx.principal.count({ where: { projectId, kind: 'person', disabledAt: null, roles: { has: 'admin' } } });
  }
}
