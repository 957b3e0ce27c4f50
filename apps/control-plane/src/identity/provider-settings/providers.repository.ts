/** The table of identity providers. Secrets stay sealed here. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../../db/database.ts';
import { idOrName } from '../../db/reference.ts';
import type { Prisma, IdentityProvider as ProviderRow } from '../../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../../http/page.ts';

export type { ProviderRow };

@Injectable()
export class ProvidersRepository {
  constructor(private readonly database: Database) {}

  page(projectId: string, page: PageRequest): Promise<ProviderRow[]> {
    const { where, ...args } = pageArgs(page);
    return this.database.client.identityProvider.findMany({ ...args, where: { AND: [{ projectId }, where] } });
  }
  all(projectId: string, tx: Tx = this.database.client): Promise<ProviderRow[]> {
    return tx.identityProvider.findMany({ where: { projectId }, orderBy: { name: 'asc' } });
  }
  find(projectId: string, reference: string, tx: Tx = this.database.client): Promise<ProviderRow | null> {
    return tx.identityProvider.findFirst({ where: { projectId, ...idOrName(reference) } });
  }
  /** One in use, by its name alone. */
  enabled(projectId: string, name: string): Promise<ProviderRow | null> {
    return this.database.client.identityProvider.findFirst({ where: { projectId, name, enabled: true } });
  }
  /** Of every project. */
  named(names: readonly string[]): Promise<ProviderRow[]> {
    return this.database.client.identityProvider.findMany({
      where: { name: { in: [...names] } },
      orderBy: { name: 'asc' },
    });
  }
  create(tx: Tx, data: Prisma.IdentityProviderUncheckedCreateInput): Promise<ProviderRow> {
    return tx.identityProvider.create({ data });
  }
  update(tx: Tx, id: string, data: Prisma.IdentityProviderUncheckedUpdateInput): Promise<ProviderRow> {
    return tx.identityProvider.update({ where: { id }, data });
  }
  async delete(tx: Tx, id: string): Promise<void> {
    await tx.identityProvider.delete({ where: { id } });
  }
  /** Who of them is signed in by this provider now. */
  sessionsOf(tx: Tx, projectId: string, provider: string): Promise<{ id: string }[]> {
    return tx.personSession.findMany({ where: { projectId, provider, endedAt: null }, select: { id: true } });
  }
  async removeTraces(tx: Tx, projectId: string, provider: string, source: string): Promise<readonly string[]> {
    await tx.identity.deleteMany({ where: { projectId, provider } });
    const members = await tx.membership.findMany({
      where: { projectId, source },
      select: { principalId: true },
      distinct: ['principalId'],
    });
    await tx.membership.deleteMany({ where: { projectId, source } });
    return members.map((member) => member.principalId);
  }
}
