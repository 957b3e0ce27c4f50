/** The table of projects, and who of one project is known in another. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import { idOrName } from '../db/reference.ts';
import type { Identity, Prisma, Project } from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';

@Injectable()
export class ProjectsRepository {
  constructor(private readonly database: Database) {}

  /** @param among ids; undefined = every project */
  list(among: readonly string[] | undefined, page: PageRequest): Promise<Project[]> {
    const { where, ...args } = pageArgs(page);
    const mine = among === undefined ? {} : { id: { in: [...among] } };
    return this.database.client.project.findMany({ ...args, where: { AND: [mine, where] } });
  }

  find(reference: string, tx: Tx = this.database.client): Promise<Project | null> {
    return tx.project.findFirst({ where: idOrName(reference) });
  }

  insert(tx: Tx, data: Prisma.ProjectUncheckedCreateInput): Promise<Project> {
    return tx.project.create({ data });
  }

  update(tx: Tx, id: string, data: Prisma.ProjectUncheckedUpdateInput): Promise<Project> {
    return tx.project.update({ where: { id }, data });
  }

  /** Identities of a principal at these providers. */
  identitiesOf(tx: Tx, principalId: string, providers: readonly string[]): Promise<Identity[]> {
    return tx.identity.findMany({ where: { principalId, provider: { in: [...providers] } } });
  }

  /** Projects in which the person behind a principal may sign in, by an identity at one of these providers. */
  async joinedBy(principalId: string, providers: readonly string[]): Promise<readonly string[]> {
    const own = await this.identitiesOf(this.database.client, principalId, providers);
    if (own.length === 0) return [];
    const rows = await this.database.client.identity.findMany({
      where: {
        OR: own.map(({ provider, subject }) => ({ provider, subject })),
        principal: { disabledAt: null },
      },
      select: { projectId: true },
    });
    return rows.map((row) => row.projectId);
  }

  /** Principals with sessions open in a project, and those they act for. */
  async inSession(tx: Tx, projectId: string): Promise<readonly string[]> {
    const rows = await tx.session.findMany({
      where: { projectId, closedAt: null },
      select: { principalId: true, onBehalfOfId: true },
    });
    return [...new Set(rows.flatMap((row) => [row.principalId, row.onBehalfOfId ?? row.principalId]))];
  }
}
