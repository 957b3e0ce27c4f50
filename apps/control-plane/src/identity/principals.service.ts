/**
 * Principals and groups: who exists, what roles they have, who belongs where. Nobody may hand out more than they have.
 * Disabling someone, or taking a membership away, ends live sessions through a revocation. No HTTP, no Prisma here.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { z } from 'zod';
import { type Actor, recordActOf } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database, type Tx } from '../db/database.ts';
import { Project } from '../db/project.ts';
import type { Group, Principal, Prisma } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, toPage } from '../http/page.ts';
import { permissionsOf } from '../http/permissions.ts';
import { openFields } from '../http/schema.ts';
import { SystemClock } from '../time.ts';
import {
  CreateGroup,
  CreatePrincipal,
  type GroupQuery,
  type GroupView,
  type PrincipalQuery,
  type PrincipalView,
  type UpdateGroup,
  UpdatePrincipal,
} from './identity.dto.ts';
import { IdentityRepository } from './identity.repository.ts';
import { PersonFollowers } from './person-followers.ts';
import { Revocations } from './revocations.ts';

type PrincipalShape = z.infer<typeof PrincipalView>;
type GroupShape = z.infer<typeof GroupView>;

const showPrincipal = (row: Principal): PrincipalShape => ({
  id: row.id,
  name: row.name,
  kind: row.kind as PrincipalShape['kind'],
  displayName: row.displayName,
  email: row.email,
  manager: row.manager,
  roles: row.roles,
  disabledAt: row.disabledAt?.toISOString() ?? null,
  createdAt: row.createdAt.toISOString(),
});

/** @throws GatewayError `auth.forbidden` when roles would give more than the caller has */
function requireNoMore(caller: Caller, roles: readonly string[]): void {
  for (const permission of permissionsOf(roles))
    if (!caller.permissions.has(permission)) throw new GatewayError('auth.forbidden', { gives: permission });
}

@Injectable()
export class Principals {
  constructor(
    private readonly database: Database,
    private readonly project: Project,
    private readonly repository: IdentityRepository,
    private readonly revocations: Revocations,
    private readonly followers: PersonFollowers,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, query: z.infer<typeof PrincipalQuery>): Promise<Page<PrincipalShape>> {
    const where: Prisma.PrincipalWhereInput = {
      ...(query.kind === undefined ? {} : { kind: query.kind }),
      ...(query.disabled === undefined ? {} : { disabledAt: query.disabled === 'true' ? { not: null } : null }),
      ...(query.group === undefined ? {} : { memberships: { some: { group: { name: query.group } } } }),
      ...(query.name === undefined ? {} : { name: { contains: query.name, mode: 'insensitive' } }),
    };
    return toPage(await this.repository.principals(caller.projectId, where, query), query, showPrincipal);
  }

  /** @throws GatewayError `request.not_found` */
  async find(projectId: string, reference: string, tx?: Tx): Promise<Principal> {
    const row = await this.repository.principal(projectId, reference, tx);
    if (row === null) throw new GatewayError('request.not_found', { principal: reference });
    return row;
  }

  async get(caller: Caller, reference: string): Promise<PrincipalShape> {
    const row = await this.find(caller.projectId, reference);
    const groups = await this.repository.groupsOf(caller.projectId, row.id);
    return {
      ...showPrincipal(row),
      groups: [...new Set(groups.map((group) => group.name))],
      sameAs: await this.repository.accountsLinked(row),
    };
  }

  async create(caller: Caller, input: z.infer<typeof CreatePrincipal>): Promise<PrincipalShape> {
    requireNoMore(caller, input.roles);
    return await this.database.transaction(async (tx) => {
      const row = await this.repository.insertPrincipal(tx, {
        ...input,
        email: input.email ?? null,
        manager: input.manager ?? null,
        id: this.clock.id(),
        projectId: caller.projectId,
      });
      await recordActOf(tx, caller, 'principal.created', `principal/${row.name}`, openFields(CreatePrincipal, input));
      return { ...showPrincipal(row), groups: [], sameAs: [] };
    });
  }

  async update(caller: Caller, reference: string, input: z.infer<typeof UpdatePrincipal>): Promise<PrincipalShape> {
    const changed = await this.database.transaction(async (tx) => {
      const row = await this.find(caller.projectId, reference, tx);
      // An owner is touched by owners alone, whatever is changed.
      if (input.roles !== undefined || row.roles.includes('owner'))
        requireNoMore(caller, [...(input.roles ?? []), ...row.roles]);
      const disabling = input.disabled === true && row.disabledAt === null;
      await this.#lockAdmins(tx, row);
      const updated = await this.repository.updatePrincipal(tx, row.id, {
        ...(input.displayName === undefined ? {} : { displayName: input.displayName }),
        ...(input.email === undefined ? {} : { email: input.email }),
        ...(input.manager === undefined ? {} : { manager: input.manager }),
        ...(input.roles === undefined ? {} : { roles: input.roles }),
        ...(input.disabled === undefined
          ? {}
          : { disabledAt: input.disabled ? (row.disabledAt ?? this.clock.now()) : null }),
      });
      if (input.sameAs !== undefined) await this.#link(tx, row, input.sameAs);
      await this.#requireAnAdmin(tx, caller.projectId);
      if (disabling) await this.#endAll(tx, row);
      // Agents leave out whom they were told is disabled, until they are told otherwise.
      if (input.disabled === false && row.disabledAt !== null) await this.bundles.bump(tx, row.projectId);
      await recordActOf(
        tx,
        caller,
        disabling ? 'principal.disabled' : 'principal.updated',
        `principal/${row.name}`,
        openFields(UpdatePrincipal, input),
      );
      return updated;
    });
    return await this.get(caller, changed.id);
  }

  /** @param name of the other account; null = this one is nobody else's */
  async #link(tx: Tx, row: Principal, name: string | null): Promise<void> {
    if (name === null) {
      await this.repository.updatePrincipal(tx, row.id, { personId: null });
      return;
    }
    const other = await this.find(row.projectId, name, tx);
    if (row.kind !== 'person' || other.kind !== 'person' || other.id === row.id)
      throw new InvalidRequest([{ field: 'sameAs', message: 'the name of another person’s account is expected' }]);
    await this.repository.linkAccounts(tx, row, other, this.clock.id());
    await this.followers.joined(tx, row.id);
  }

  async remove(caller: Caller, reference: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const row = await this.find(caller.projectId, reference, tx);
      requireNoMore(caller, row.roles);
      await this.deletePrincipal(tx, caller, row);
    });
  }

  /** Inside a transaction, whoever asks; see `remove`. */
  async deletePrincipal(tx: Tx, actor: Actor, row: Principal): Promise<void> {
    await this.#lockAdmins(tx, row);
    await this.revocations.revoke(tx, row.projectId, 'principal', row.id);
    await this.repository.deletePrincipal(tx, row.id);
    await this.#requireAnAdmin(tx, row.projectId);
    await recordActOf(tx, actor, 'principal.deleted', `principal/${row.name}`);
  }

  /** Inside a transaction, whoever asks: keeps someone out and ends what they have open. */
  async disablePrincipal(tx: Tx, actor: Actor, row: Principal): Promise<void> {
    await this.#lockAdmins(tx, row);
    await this.repository.updatePrincipal(tx, row.id, { disabledAt: row.disabledAt ?? this.clock.now() });
    await this.#requireAnAdmin(tx, row.projectId);
    await this.#endAll(tx, row);
    await recordActOf(tx, actor, 'principal.disabled', `principal/${row.name}`);
  }

  /** Inside a transaction, whoever asks. */
  async enablePrincipal(tx: Tx, actor: Actor, row: Principal): Promise<void> {
    await this.repository.updatePrincipal(tx, row.id, { disabledAt: null });
    if (row.disabledAt !== null) await this.bundles.bump(tx, row.projectId);
    await recordActOf(tx, actor, 'principal.updated', `principal/${row.name}`, { disabled: false });
  }

  async #endAll(tx: Tx, row: Principal): Promise<void> {
    await this.repository.revokeTokens(tx, { principalId: row.id }, this.clock.now());
    await this.revocations.revoke(tx, row.projectId, 'principal', row.id);
  }

  // groups
  async groups(caller: Caller, query: z.infer<typeof GroupQuery>): Promise<Page<GroupShape>> {
    const where: Prisma.GroupWhereInput =
      query.name === undefined ? {} : { name: { contains: query.name, mode: 'insensitive' } };
    return toPage(await this.repository.groups(caller.projectId, where, query), query, (row) => ({
      id: row.id,
      name: row.name,
      description: row.description,
      memberCount: row._count.memberships,
      createdAt: row.createdAt.toISOString(),
    }));
  }

  async group(caller: Caller, reference: string): Promise<GroupShape> {
    return await this.#showGroup(await this.findGroup(caller.projectId, reference));
  }

  /** @throws GatewayError `request.not_found` */
  async findGroup(projectId: string, reference: string, tx?: Tx): Promise<Group> {
    const row = await this.repository.group(projectId, reference, tx);
    if (row === null) throw new GatewayError('request.not_found', { group: reference });
    return row;
  }

  async createGroup(caller: Caller, input: z.infer<typeof CreateGroup>): Promise<GroupShape> {
    return await this.database.transaction(async (tx) => {
      const row = await this.repository.insertGroup(tx, { ...input, id: this.clock.id(), projectId: caller.projectId });
      await recordActOf(tx, caller, 'group.created', `group/${row.name}`, openFields(CreateGroup, input));
      await this.bundles.bump(tx, caller.projectId);
      return {
        id: row.id,
        name: row.name,
        description: row.description,
        members: [],
        memberCount: 0,
        createdAt: row.createdAt.toISOString(),
      };
    });
  }

  async updateGroup(caller: Caller, reference: string, input: z.infer<typeof UpdateGroup>): Promise<GroupShape> {
    const row = await this.database.transaction(async (tx) => {
      const found = await this.findGroup(caller.projectId, reference, tx);
      const updated = await this.repository.updateGroup(tx, found.id, input);
      await recordActOf(tx, caller, 'group.updated', `group/${found.name}`, { description: input.description });
      return updated;
    });
    return await this.#showGroup(row);
  }

  /** Its grants stay and give nobody anything. Members' sessions that stood on it end. */
  async removeGroup(caller: Caller, reference: string): Promise<void> {
    await this.database.transaction(async (tx) =>
      this.deleteGroup(tx, caller, await this.findGroup(caller.projectId, reference, tx)),
    );
  }

  /** Inside a transaction; see `removeGroup`. */
  async deleteGroup(tx: Tx, actor: Actor, row: Group): Promise<void> {
    for (const { principal } of await this.repository.members(row.id, tx))
      await this.revocations.revoke(tx, actor.projectId, 'principal', principal.id);
    await this.repository.deleteGroup(tx, row.id);
    await recordActOf(tx, actor, 'group.deleted', `group/${row.name}`);
    await this.bundles.bump(tx, actor.projectId);
  }

  async addMember(caller: Caller, groupReference: string, principalReference: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const group = await this.findGroup(caller.projectId, groupReference, tx);
      const principal = await this.find(caller.projectId, principalReference, tx);
      const added = await this.repository.addMember(tx, {
        projectId: caller.projectId,
        groupId: group.id,
        principalId: principal.id,
        source: 'manual',
      });
      if (!added) return;
      await recordActOf(tx, caller, 'group.member_added', `group/${group.name}`, { principal: principal.name });
      await this.bundles.bump(tx, caller.projectId);
    });
  }

  /** Takes the membership away whatever gave it; a provider may give it again at the next sign-in. */
  async removeMember(caller: Caller, groupReference: string, principalReference: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const group = await this.findGroup(caller.projectId, groupReference, tx);
      const principal = await this.find(caller.projectId, principalReference, tx);
      if ((await this.repository.removeMembers(tx, { groupId: group.id, principalId: principal.id })) === 0)
        throw new GatewayError('request.not_found');
      await this.revocations.revoke(tx, caller.projectId, 'principal', principal.id);
      await recordActOf(tx, caller, 'group.member_removed', `group/${group.name}`, { principal: principal.name });
    });
  }

  async #showGroup(row: Group): Promise<GroupShape> {
    const members = new Map<string, { id: string; name: string; kind: PrincipalShape['kind']; sources: string[] }>();
    for (const { principal, source } of await this.repository.members(row.id)) {
      const member = members.get(principal.id) ?? {
        id: principal.id,
        name: principal.name,
        kind: principal.kind as PrincipalShape['kind'],
        sources: [],
      };
      member.sources.push(source);
      members.set(principal.id, member);
    }
    return {
      id: row.id,
      name: row.name,
      description: row.description,
      members: [...members.values()],
      memberCount: members.size,
      createdAt: row.createdAt.toISOString(),
    };
  }

  /** The last two who go at once would each count on the other. Before anything else of the change is held. */
  async #lockAdmins(tx: Tx, row: Principal): Promise<void> {
    if (row.roles.includes('admin') || row.roles.includes('owner')) await this.repository.lockAdmins(tx, row.projectId);
  }

  async #requireAnAdmin(tx: Tx, projectId: string): Promise<void> {
    for (const role of projectId === this.project.id ? ['admin', 'owner'] : ['admin'])
      if ((await this.repository.countWithRole(tx, projectId, role)) === 0)
        throw new GatewayError('request.conflict', { reason: `the last ${role}` });
  }
}
