/** Table of grants. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import { idOrName } from '../db/reference.ts';
import type { Grant, GrantReview, Prisma } from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';

/** With the principal's name, since people speak of names, and what its access reviews say. */
export type GrantRow = Grant & { readonly principalName: string | null; readonly reviews: readonly GrantReview[] };

@Injectable()
export class GrantsRepository {
  constructor(private readonly database: Database) {}

  async list(projectId: string, where: Prisma.GrantWhereInput, page: PageRequest): Promise<GrantRow[]> {
    const args = pageArgs(page);
    return await this.#named(
      await this.database.client.grant.findMany({ ...args, where: { AND: [{ projectId }, where, args.where] } }),
    );
  }
  async all(projectId: string, tx: Tx = this.database.client): Promise<GrantRow[]> {
    return await this.#named(await tx.grant.findMany({ where: { projectId }, orderBy: { name: 'asc' } }), tx);
  }
  async find(projectId: string, reference: string, tx: Tx = this.database.client): Promise<GrantRow | null> {
    const row = await tx.grant.findFirst({ where: { projectId, ...idOrName(reference) } });
    return row === null ? null : (await this.#named([row], tx))[0]!;
  }
  async insert(tx: Tx, data: Prisma.GrantUncheckedCreateInput): Promise<GrantRow> {
    return (await this.#named([await tx.grant.create({ data })], tx))[0]!;
  }
  async update(tx: Tx, id: string, data: Prisma.GrantUncheckedUpdateInput): Promise<GrantRow> {
    return (await this.#named([await tx.grant.update({ where: { id }, data })], tx))[0]!;
  }
  /** Only while it has neither ended nor been revoked: whoever comes second in a race changes nothing. */
  async prolong(tx: Tx, projectId: string, id: string, byMs: number, now: Date): Promise<GrantRow | undefined> {
    await tx.$queryRaw`select 1 from grants where id = ${id}::uuid and project_id = ${projectId}::uuid for update`;
    const row = await tx.grant.findFirst({ where: { id, projectId, revokedAt: null, notAfter: { gt: now } } });
    if (row?.notAfter == null) return undefined;
    return await this.update(tx, id, { notAfter: new Date(row.notAfter.getTime() + byMs) });
  }
  async remove(tx: Tx, id: string): Promise<void> {
    await tx.grant.delete({ where: { id } });
  }

  async #named(rows: readonly Grant[], tx: Tx = this.database.client): Promise<GrantRow[]> {
    const ids = [...new Set(rows.flatMap((row) => row.principalId ?? []))];
    const principals =
      ids.length === 0
        ? []
        : await tx.principal.findMany({ where: { id: { in: ids } }, select: { id: true, name: true } });
    const reviews = await tx.grantReview.findMany({ where: { grantId: { in: rows.map((row) => row.id) } } });
    const names = new Map(principals.map((principal) => [principal.id, principal.name]));
    return rows.map((row) => ({
      ...row,
      reviews: reviews.filter((review) => review.grantId === row.id),
      principalName: row.principalId === null ? null : (names.get(row.principalId) ?? null),
    }));
  }
}
