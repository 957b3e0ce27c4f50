/** Table of credentials. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import { idOrName } from '../db/reference.ts';
import type { Credential, Prisma } from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';

export type CredentialRow = Credential & { readonly resources: readonly { readonly name: string }[] };
const include = { resources: { select: { name: true }, orderBy: { name: 'asc' } } } as const;

@Injectable()
export class CredentialsRepository {
  constructor(private readonly database: Database) {}

  list(projectId: string, where: Prisma.CredentialWhereInput, page: PageRequest): Promise<CredentialRow[]> {
    const args = pageArgs(page);
    return this.database.client.credential.findMany({
      ...args,
      where: { AND: [{ projectId }, where, args.where] },
      include,
    });
  }
  find(projectId: string, reference: string, tx: Tx = this.database.client): Promise<CredentialRow | null> {
    return tx.credential.findFirst({ where: { projectId, ...idOrName(reference) }, include });
  }
  insert(tx: Tx, data: Prisma.CredentialUncheckedCreateInput): Promise<CredentialRow> {
    return tx.credential.create({ data, include });
  }
  update(tx: Tx, id: string, data: Prisma.CredentialUncheckedUpdateInput): Promise<CredentialRow> {
    return tx.credential.update({ where: { id }, data, include });
  }
  async remove(tx: Tx, id: string): Promise<void> {
    await tx.credential.delete({ where: { id } });
  }
}
