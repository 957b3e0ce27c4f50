/** Tables of provisioning. The only Prisma in this folder. Everything is asked for one project and one provider. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import type { Group, Principal, Prisma, ScimClient, ScimGroup, ScimUser } from '../generated/prisma/client.ts';

/** Whose directory: nothing is ever read or written beyond it. */
export interface Directory {
  readonly projectId: string;
  readonly provider: string;
}
export interface Window {
  readonly where: Readonly<Record<string, unknown>>;
  readonly orderBy: readonly Readonly<Record<string, 'asc' | 'desc'>>[];
  readonly skip: number;
  readonly take: number;
}
export type UserRow = ScimUser & { readonly principal: Principal };
export type GroupRow = ScimGroup;

const within = ({ projectId, provider }: Directory) => ({ projectId, provider });

@Injectable()
export class ScimRepository {
  constructor(private readonly database: Database) {}
  private get db(): Tx {
    return this.database.client;
  }

  client(projectId: string, tokenId: string): Promise<ScimClient | null> {
    return this.db.scimClient.findFirst({ where: { projectId, tokenId } });
  }

  // users
  async users(directory: Directory, window: Window): Promise<{ readonly total: number; readonly rows: UserRow[] }> {
    const where = { AND: [within(directory), window.where] } as Prisma.ScimUserWhereInput;
    const total = await this.db.scimUser.count({ where });
    if (window.take === 0) return { total, rows: [] };
    const orderBy = [...window.orderBy, { principalId: 'asc' }] as Prisma.ScimUserOrderByWithRelationInput[];
    const { skip, take } = window;
    return {
      total,
      rows: await this.db.scimUser.findMany({ where, orderBy, skip, take, include: { principal: true } }),
    };
  }
  user(directory: Directory, id: string, tx: Tx = this.db): Promise<UserRow | null> {
    return tx.scimUser.findFirst({ where: { ...within(directory), principalId: id }, include: { principal: true } });
  }
  /** Those of these ids that the directory has. */
  async knownUsers(directory: Directory, ids: readonly string[], tx: Tx): Promise<ReadonlySet<string>> {
    const where = { ...within(directory), principalId: { in: [...ids] } };
    return new Set(
      (await tx.scimUser.findMany({ where, select: { principalId: true } })).map((row) => row.principalId),
    );
  }
  /** Holds the row until the transaction ends, so that two changes cannot lose one. */
  async lockUser(tx: Tx, directory: Directory, id: string): Promise<void> {
    await tx.$queryRaw`select 1 from scim_users where principal_id = ${id}::uuid and provider = ${directory.provider} for update`;
  }
  /** The same for several, in one order, so that changes of several groups wait for each other and none for itself. */
  async lockUsers(tx: Tx, { projectId, provider }: Directory, ids: readonly string[]): Promise<void> {
    await tx.$queryRaw`select 1 from scim_users where project_id = ${projectId}::uuid and provider = ${provider}
      and principal_id = any(${[...ids]}::uuid[]) order by principal_id for update`;
  }
  async hasUserName(directory: Directory, userNameFolded: string, tx: Tx): Promise<boolean> {
    return (await tx.scimUser.count({ where: { ...within(directory), userNameFolded } })) > 0;
  }
  async insertUser(tx: Tx, data: Prisma.ScimUserUncheckedCreateInput): Promise<void> {
    await tx.scimUser.create({ data });
  }
  async updateUser(tx: Tx, directory: Directory, id: string, data: Prisma.ScimUserUncheckedUpdateInput): Promise<void> {
    const where = { principalId_provider: { principalId: id, provider: directory.provider } };
    await tx.scimUser.update({ where, data: { ...data, revision: { increment: 1 } } });
  }
  async deleteUser(tx: Tx, directory: Directory, id: string): Promise<void> {
    await tx.scimUser.deleteMany({ where: { ...within(directory), principalId: id } });
    await tx.scimGroupMember.deleteMany({ where: { principalId: id, group: within(directory) } });
  }
  /** Groups of the directory that these people belong to. */
  async groupsOf(
    directory: Directory,
    ids: readonly string[],
    tx: Tx = this.db,
  ): Promise<ReadonlyMap<string, readonly { readonly id: string; readonly displayName: string }[]>> {
    const rows = await tx.scimGroupMember.findMany({
      where: { principalId: { in: [...ids] }, group: within(directory) },
      include: { group: { select: { id: true, displayName: true } } },
      orderBy: { groupId: 'asc' },
    });
    const groups = new Map<string, { id: string; displayName: string }[]>();
    for (const row of rows) groups.set(row.principalId, [...(groups.get(row.principalId) ?? []), row.group]);
    return groups;
  }

  // identities
  /** Changes what sign-ins call the person. */
  async moveIdentity(tx: Tx, directory: Directory, principalId: string, from: string, to: string): Promise<number> {
    const where = { ...within(directory), principalId, subject: from };
    return (await tx.identity.updateMany({ where, data: { subject: to } })).count;
  }
  async deleteIdentities(tx: Tx, directory: Directory, principalId: string): Promise<void> {
    await tx.identity.deleteMany({ where: { ...within(directory), principalId } });
  }
  /** Ways in that other providers gave the person. */
  async otherIdentities(tx: Tx, directory: Directory, principalId: string): Promise<number> {
    return await tx.identity.count({
      where: { projectId: directory.projectId, principalId, provider: { not: directory.provider } },
    });
  }

  // groups
  async groups(directory: Directory, window: Window): Promise<{ readonly total: number; readonly rows: GroupRow[] }> {
    const where = { AND: [within(directory), window.where] } as Prisma.ScimGroupWhereInput;
    const total = await this.db.scimGroup.count({ where });
    if (window.take === 0) return { total, rows: [] };
    const orderBy = [...window.orderBy, { id: 'asc' }] as Prisma.ScimGroupOrderByWithRelationInput[];
    return { total, rows: await this.db.scimGroup.findMany({ where, orderBy, skip: window.skip, take: window.take }) };
  }
  group(directory: Directory, id: string, tx: Tx = this.db): Promise<GroupRow | null> {
    return tx.scimGroup.findFirst({ where: { ...within(directory), id } });
  }
  async hasGroupName(directory: Directory, displayNameFolded: string, tx: Tx): Promise<boolean> {
    return (await tx.scimGroup.count({ where: { ...within(directory), displayNameFolded } })) > 0;
  }
  async lockGroup(tx: Tx, directory: Directory, id: string): Promise<void> {
    await tx.$queryRaw`select 1 from scim_groups where id = ${id}::uuid and provider = ${directory.provider} for update`;
  }
  async insertGroup(tx: Tx, data: Prisma.ScimGroupUncheckedCreateInput): Promise<void> {
    await tx.scimGroup.create({ data });
  }
  async updateGroup(tx: Tx, id: string, data: Prisma.ScimGroupUncheckedUpdateInput): Promise<void> {
    await tx.scimGroup.update({ where: { id }, data: { ...data, revision: { increment: 1 } } });
  }
  async deleteGroup(tx: Tx, id: string): Promise<void> {
    await tx.scimGroup.delete({ where: { id } });
  }
  async membersOf(
    groupIds: readonly string[],
    tx: Tx = this.db,
  ): Promise<ReadonlyMap<string, readonly { id: string; name: string }[]>> {
    const rows = await tx.scimGroupMember.findMany({
      where: { groupId: { in: [...groupIds] } },
      include: { principal: { select: { name: true } } },
      orderBy: { principalId: 'asc' },
    });
    const members = new Map<string, { id: string; name: string }[]>();
    for (const row of rows) {
      const list = members.get(row.groupId) ?? [];
      list.push({ id: row.principalId, name: row.principal.name });
      members.set(row.groupId, list);
    }
    return members;
  }
  async addMembers(tx: Tx, projectId: string, groupId: string, ids: readonly string[]): Promise<void> {
    const data = ids.map((principalId) => ({ projectId, groupId, principalId }));
    await tx.scimGroupMember.createMany({ data, skipDuplicates: true });
  }
  async removeMembers(tx: Tx, groupId: string, ids: readonly string[]): Promise<void> {
    await tx.scimGroupMember.deleteMany({ where: { groupId, principalId: { in: [...ids] } } });
  }

  // what they give here
  ourGroups(projectId: string, tx: Tx): Promise<Group[]> {
    return tx.group.findMany({ where: { projectId } });
  }
  memberships(
    projectId: string,
    source: string,
    ids: readonly string[],
    tx: Tx,
  ): Promise<{ groupId: string; principalId: string }[]> {
    return tx.membership.findMany({
      where: { projectId, source, principalId: { in: [...ids] } },
      select: { groupId: true, principalId: true },
    });
  }
  async giveMemberships(
    tx: Tx,
    projectId: string,
    source: string,
    rows: readonly { readonly groupId: string; readonly principalId: string }[],
  ): Promise<void> {
    await tx.membership.createMany({ data: rows.map((row) => ({ ...row, projectId, source })), skipDuplicates: true });
  }
  /** From every source of the provider: what a sign-in brought before is out of date. */
  async takeMemberships(
    tx: Tx,
    projectId: string,
    provider: string,
    rows: readonly { readonly groupId: string; readonly principalId: string }[],
  ): Promise<void> {
    const sources = [`scim:${provider}`, `oidc:${provider}`, `saml:${provider}`];
    const byGroup = Map.groupBy(rows, (row) => row.groupId);
    for (const [groupId, list] of byGroup)
      await tx.membership.deleteMany({
        where: { projectId, groupId, source: { in: sources }, principalId: { in: list.map((row) => row.principalId) } },
      });
  }
  /** Everybody that the directory knows. */
  async everybody(directory: Directory, tx: Tx): Promise<readonly string[]> {
    return (await tx.scimUser.findMany({ where: within(directory), select: { principalId: true } })).map(
      (row) => row.principalId,
    );
  }

  /** All that was kept of a directory. @returns ids of the tokens it used */
  async forget(tx: Tx, directory: Directory): Promise<readonly string[]> {
    const clients = await tx.scimClient.findMany({ where: within(directory), select: { tokenId: true } });
    await tx.scimGroup.deleteMany({ where: within(directory) });
    await tx.scimUser.deleteMany({ where: within(directory) });
    await tx.scimClient.deleteMany({ where: within(directory) });
    return clients.map((client) => client.tokenId);
  }
}
