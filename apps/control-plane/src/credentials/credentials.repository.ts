/** Tables of credentials and of errands about them. The only Prisma in this folder, but for leases/. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import { idOrName } from '../db/reference.ts';
import type { Agent, Credential, CredentialErrand, Prisma, Resource } from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';

interface Named {
  readonly name: string;
}
export type CredentialRow = Credential & {
  readonly resources: readonly Named[];
  readonly admin: Named | null;
  readonly adminOf: readonly Named[];
};
const include = {
  resources: { select: { name: true }, orderBy: { name: 'asc' } },
  admin: { select: { name: true } },
  adminOf: { select: { name: true } },
} as const;

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
  byId(id: string, tx: Tx = this.database.client): Promise<CredentialRow | null> {
    return tx.credential.findUnique({ where: { id }, include });
  }
  /** The row, locked until the transaction ends. */
  async lock(tx: Tx, id: string): Promise<CredentialRow | null> {
    await tx.$queryRaw`select 1 from credentials where id = ${id}::uuid for update`;
    return await this.byId(id, tx);
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
  /** Takes credentials that this process has to ask for, oldest first; no other replica gets them meanwhile. */
  async claimFetches(now: Date, before: Date, count: number): Promise<Credential[]> {
    return await this.database.client.$transaction(async (tx) => {
      const rows = await tx.$queryRaw<{ id: string }[]>`
        select id::text from credentials where resolve_at = 'control_plane' and (fetched_at is null or fetched_at < ${before})
        order by fetched_at nulls first limit ${count} for update skip locked`;
      const where = { id: { in: rows.map((row) => row.id) } };
      await tx.credential.updateMany({ where, data: { fetchedAt: now } });
      return await tx.credential.findMany({ where });
    });
  }
  /** Credentials whose rotation is due and was not tried lately. */
  dueRotations(now: Date, triedBefore: Date): Promise<{ id: string; project_id: string }[]> {
    return this.database.client.$queryRaw`
      select id::text, project_id::text from credentials
      where rotate_every_seconds is not null and kind = 'stored' and sealed is not null
        and rotated_at + make_interval(secs => rotate_every_seconds) <= ${now}
        and (rotation_tried_at is null or rotation_tried_at < ${triedBefore}) limit 100`;
  }
  /** Resources a credential signs in at, directly or as who makes accounts there. */
  resourcesOf(credentialId: string): Promise<Resource[]> {
    return this.database.client.resource.findMany({
      where: { OR: [{ credentialId }, { credential: { adminId: credentialId } }] },
      orderBy: { name: 'asc' },
    });
  }
  resource(id: string): Promise<(Resource & { credential: Credential | null }) | null> {
    return this.database.client.resource.findUnique({ where: { id }, include: { credential: true } });
  }
  /** Agents that may guard something and have been seen, last seen first. */
  agents(projectId: string): Promise<Agent[]> {
    return this.database.client.agent.findMany({
      where: { projectId, revokedAt: null, lastSeenAt: { not: null } },
      orderBy: { lastSeenAt: 'desc' },
    });
  }

  addErrand(tx: Tx, data: Prisma.CredentialErrandUncheckedCreateInput): Promise<CredentialErrand> {
    return tx.credentialErrand.create({ data });
  }
  errand(id: string, tx: Tx = this.database.client): Promise<CredentialErrand | null> {
    return tx.credentialErrand.findUnique({ where: { id } });
  }
  openRotation(tx: Tx, credentialId: string): Promise<CredentialErrand | null> {
    return tx.credentialErrand.findFirst({ where: { credentialId, kind: 'rotate', state: 'open' } });
  }
  updateErrand(tx: Tx, id: string, data: Prisma.CredentialErrandUncheckedUpdateInput): Promise<CredentialErrand> {
    return tx.credentialErrand.update({ where: { id }, data });
  }
  /** Takes errands of these agents that are due, so that each is sent by one replica; again when nothing came back. */
  async claimErrands(agentIds: readonly string[], now: Date, sentBefore: Date): Promise<CredentialErrand[]> {
    return await this.database.client.$transaction(async (tx) => {
      const rows = await tx.$queryRaw<{ id: string }[]>`
        select id::text from credential_errands
        where state = 'open' and send_at <= ${now} and (sent_at is null or sent_at < ${sentBefore})
          and agent_id = any(${[...agentIds]}::uuid[])
        order by created_at limit 50 for update skip locked`;
      const where = { id: { in: rows.map((row) => row.id) } };
      await tx.credentialErrand.updateMany({ where, data: { sentAt: now } });
      return await tx.credentialErrand.findMany({ where });
    });
  }
  /** Errands that nobody answered. */
  staleErrands(createdBefore: Date): Promise<CredentialErrand[]> {
    return this.database.client.credentialErrand.findMany({
      where: { state: 'open', createdAt: { lt: createdBefore } },
      take: 100,
    });
  }
  async dropErrands(doneBefore: Date): Promise<void> {
    await this.database.client.credentialErrand.deleteMany({ where: { doneAt: { lt: doneBefore } } });
  }
}
