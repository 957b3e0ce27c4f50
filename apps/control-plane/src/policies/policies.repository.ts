/** Tables of policies and their revisions. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import type { Resource as ModelResource } from '@sallyport/model';
import { Database, type Tx } from '../db/database.ts';
import { idOrName } from '../db/reference.ts';
import type { Policy, PolicyRevision, Prisma } from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';

@Injectable()
export class PoliciesRepository {
  constructor(private readonly database: Database) {}

  list(projectId: string, where: Prisma.PolicyWhereInput, page: PageRequest): Promise<Policy[]> {
    const args = pageArgs(page);
    return this.database.client.policy.findMany({ ...args, where: { AND: [{ projectId }, where, args.where] } });
  }
  all(projectId: string, tx: Tx = this.database.client): Promise<Policy[]> {
    return tx.policy.findMany({ where: { projectId }, orderBy: { name: 'asc' } });
  }
  find(projectId: string, reference: string, tx: Tx = this.database.client): Promise<Policy | null> {
    return tx.policy.findFirst({ where: { projectId, ...idOrName(reference) } });
  }
  /** What a policy may be about, as far as a rule about COMMITs has to know. */
  async resources(
    projectId: string,
    tx: Tx,
  ): Promise<Pick<ModelResource, 'name' | 'labels' | 'projectId' | 'approval'>[]> {
    const rows = await tx.resource.findMany({
      where: { projectId },
      select: { name: true, labels: true, spec: true },
      orderBy: { name: 'asc' },
    });
    return rows.map(({ name, labels, spec }) => ({
      name,
      projectId,
      labels: labels as ModelResource['labels'],
      approval: (spec as unknown as Pick<ModelResource, 'approval'>).approval,
    }));
  }
  async insert(tx: Tx, data: Prisma.PolicyUncheckedCreateInput, byId: string | null): Promise<Policy> {
    const row = await tx.policy.create({ data });
    await this.#revision(tx, row, byId);
    return row;
  }
  async update(tx: Tx, id: string, data: Prisma.PolicyUncheckedUpdateInput, byId: string | null): Promise<Policy> {
    const row = await tx.policy.update({ where: { id }, data: { ...data, revision: { increment: 1 } } });
    await this.#revision(tx, row, byId);
    return row;
  }
  async remove(tx: Tx, id: string): Promise<void> {
    await tx.policy.delete({ where: { id } });
  }
  revisions(policyId: string): Promise<PolicyRevision[]> {
    return this.database.client.policyRevision.findMany({
      where: { policyId },
      orderBy: { revision: 'desc' },
      take: 200,
    });
  }

  async #revision(tx: Tx, row: Policy, byId: string | null): Promise<void> {
    await tx.policyRevision.create({
      data: { projectId: row.projectId, policyId: row.id, revision: row.revision, source: row.source, byId },
    });
  }
}
