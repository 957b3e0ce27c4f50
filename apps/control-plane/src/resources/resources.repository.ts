/** Table of resources. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import { idOrName } from '../db/reference.ts';
import type { Agent, Prisma, Resource } from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';

export type ResourceRow = Resource & { readonly credential: { readonly name: string } | null };
const include = { credential: { select: { name: true } } } as const;

@Injectable()
export class ResourcesRepository {
  constructor(private readonly database: Database) {}

  list(projectId: string, where: Prisma.ResourceWhereInput, page: PageRequest): Promise<ResourceRow[]> {
    const args = pageArgs(page);
    return this.database.client.resource.findMany({
      ...args,
      where: { AND: [{ projectId }, where, args.where] },
      include,
    });
  }
  all(projectId: string, tx: Tx = this.database.client): Promise<ResourceRow[]> {
    return tx.resource.findMany({ where: { projectId }, include, orderBy: { name: 'asc' } });
  }
  find(projectId: string, reference: string, tx: Tx = this.database.client): Promise<ResourceRow | null> {
    return tx.resource.findFirst({ where: { projectId, ...idOrName(reference) }, include });
  }
  insert(tx: Tx, data: Prisma.ResourceUncheckedCreateInput): Promise<ResourceRow> {
    return tx.resource.create({ data, include });
  }
  update(tx: Tx, id: string, data: Prisma.ResourceUncheckedUpdateInput): Promise<ResourceRow> {
    return tx.resource.update({ where: { id }, data, include });
  }
  async remove(tx: Tx, id: string): Promise<void> {
    await tx.resource.delete({ where: { id } });
  }
  /** Agents that may guard something and have been seen, last seen first. */
  agents(projectId: string): Promise<Agent[]> {
    return this.database.client.agent.findMany({
      where: { projectId, revokedAt: null, lastSeenAt: { not: null } },
      orderBy: { lastSeenAt: 'desc' },
    });
  }
}
