/**
 * Projects: made, disabled and given their admins by owners, who stand in project `default`; seen by whoever may sign in
 * to them. Each change stands on the trail of both projects. Nothing of a project is ever moved or deleted. No HTTP, no Prisma.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { recordActOf } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database, type Tx } from '../db/database.ts';
import { Project as DefaultProject } from '../db/project.ts';
import type { Principal, Prisma, Project } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { type Page, toPage } from '../http/page.ts';
import { openFields } from '../http/schema.ts';
import { ApiTokens } from '../identity/api-tokens.ts';
import { IdentityRepository } from '../identity/identity.repository.ts';
import { IdentityProviders } from '../identity/providers.ts';
import { Revocations } from '../identity/revocations.ts';
import { Keys } from '../keys/keys.ts';
import { SystemClock } from '../time.ts';
import {
  type AddProjectAdmin,
  CreateProject,
  type ProjectAdminView,
  type ProjectQuery,
  type ProjectView,
  UpdateProject,
} from './projects.dto.ts';
import { ProjectsRepository } from './projects.repository.ts';

const show = (row: Project): ProjectView => ({
  id: row.id,
  name: row.name,
  description: row.description,
  disabledAt: row.disabledAt?.toISOString() ?? null,
  createdAt: row.createdAt.toISOString(),
});

@Injectable()
export class Projects {
  constructor(
    private readonly database: Database,
    private readonly repository: ProjectsRepository,
    private readonly first: DefaultProject,
    private readonly identity: IdentityRepository,
    private readonly providers: IdentityProviders,
    private readonly tokens: ApiTokens,
    private readonly revocations: Revocations,
    private readonly bundles: BundleChanges,
    private readonly keys: Keys,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, query: ProjectQuery): Promise<Page<ProjectView>> {
    return toPage(await this.repository.list(await this.#seenBy(caller), query), query, show);
  }

  /** @throws GatewayError `request.not_found`, also for a project that the caller has no part in */
  async get(caller: Caller, reference: string): Promise<ProjectView> {
    const row = await this.repository.find(reference);
    const seen = await this.#seenBy(caller);
    if (row === null || (seen !== undefined && !seen.includes(row.id)))
      throw new GatewayError('request.not_found', { project: reference });
    return show(row);
  }

  async create(caller: Caller, input: CreateProject): Promise<ProjectView> {
    return await this.database.transaction(async (tx) => {
      const row = await this.repository.insert(tx, { ...input, id: this.clock.id() });
      await this.keys.ensureProject(tx, row.id);
      await this.#recordBoth(tx, caller, row, 'project.created', openFields(CreateProject, input));
      await this.bundles.bump(tx, row.id);
      return show(row);
    });
  }

  async update(caller: Caller, reference: string, input: UpdateProject): Promise<ProjectView> {
    return await this.database.transaction(async (tx) => {
      const found = await this.#require(tx, reference);
      const disabling = input.disabled === true && found.disabledAt === null;
      if (input.disabled === true && found.id === this.first.id)
        throw new GatewayError('request.conflict', { reason: 'the default project holds the installation’s owners' });
      const row = await this.repository.update(tx, found.id, {
        ...(input.description === undefined ? {} : { description: input.description }),
        ...(input.disabled === undefined
          ? {}
          : { disabledAt: input.disabled ? (found.disabledAt ?? this.clock.now()) : null }),
      });
      if (disabling) await this.#cut(tx, row.id);
      const action = disabling ? 'project.disabled' : 'project.updated';
      await this.#recordBoth(tx, caller, row, action, openFields(UpdateProject, input));
      await this.bundles.bump(tx, row.id);
      return show(row);
    });
  }

  /** Disables it: what happened in it stays on record. */
  async remove(caller: Caller, reference: string): Promise<void> {
    await this.update(caller, reference, { disabled: true });
  }

  /**
   * An admin for a project that has none who can get in: a person of that name, with a token that is shown once. One of
   * project `default` who is called so signs in by the same identities. Refuses to give a token of somebody who is there already.
   */
  async addAdmin(caller: Caller, reference: string, input: AddProjectAdmin): Promise<ProjectAdminView> {
    return await this.database.transaction(async (tx) => {
      const project = await this.#require(tx, reference);
      if (project.disabledAt !== null)
        throw new GatewayError('request.conflict', { reason: 'the project is disabled' });
      if ((await this.identity.principal(project.id, input.name, tx)) !== null)
        throw new GatewayError('request.conflict', { principal: input.name });
      const known = await this.identity.principal(this.first.id, input.name, tx);
      const person = known?.kind === 'person' && known.disabledAt === null ? known : undefined;
      const admin = await this.identity.insertPrincipal(tx, {
        id: this.clock.id(),
        projectId: project.id,
        name: input.name,
        kind: 'person',
        displayName: person?.displayName ?? '',
        email: person?.email ?? null,
        roles: ['admin'],
      });
      const signsIn = person !== undefined && (await this.#join(tx, person, admin));
      const expiresAt = new Date(this.clock.nowMs() + input.expiresInSeconds * 1000);
      const { id, token } = await this.tokens.create(tx, {
        projectId: project.id,
        principalId: admin.id,
        name: 'project admin',
        kind: 'api',
        scopes: [],
        lineage: await this.tokens.lineageFor(tx, caller),
        expiresAt,
      });
      const detail = { principal: admin.name, signsIn, token: id, expiresAt: expiresAt.toISOString() };
      await this.#recordBoth(tx, caller, project, 'project.admin_added', detail);
      return { principalId: admin.id, name: admin.name, signsIn, token, expiresAt: expiresAt.toISOString() };
    });
  }

  /** Gives `to` the identities that `from` has at the installation's providers. @returns whether there was one */
  async #join(tx: Tx, from: Principal, to: Principal): Promise<boolean> {
    let joined = false;
    for (const { provider, subject } of await this.repository.identitiesOf(tx, from.id, this.#shared())) {
      if ((await this.identity.identity(to.projectId, provider, subject, tx)) !== null) continue;
      await this.identity.insertIdentity(tx, {
        id: this.clock.id(),
        projectId: to.projectId,
        principalId: to.id,
        provider,
        subject,
      });
      joined = true;
    }
    return joined;
  }

  /** Ends what is open: tokens at once, sessions as soon as agents hear of it. */
  async #cut(tx: Tx, projectId: string): Promise<void> {
    await this.identity.revokeTokens(tx, { projectId }, this.clock.now());
    for (const principalId of await this.repository.inSession(tx, projectId))
      await this.revocations.revoke(tx, projectId, 'principal', principalId);
  }

  /** Providers whose word means the same person in every project. */
  #shared(): readonly string[] {
    return this.providers.shared.map((one) => one.name);
  }

  /** @returns ids, or undefined for all */
  async #seenBy(caller: Caller): Promise<readonly string[] | undefined> {
    if (caller.permissions.has('project:read')) return undefined;
    return [caller.projectId, ...(await this.repository.joinedBy(caller.principal.id, this.#shared()))];
  }

  async #require(tx: Tx, reference: string): Promise<Project> {
    const row = await this.repository.find(reference, tx);
    if (row === null) throw new GatewayError('request.not_found', { project: reference });
    return row;
  }

  /** An owner's act upon a project stands in the owner's own trail and in the project's. */
  async #recordBoth(
    tx: Tx,
    caller: Caller,
    project: Project,
    action: string,
    detail: Prisma.InputJsonObject,
  ): Promise<void> {
    for (const projectId of new Set([caller.projectId, project.id]))
      await recordActOf(tx, { ...caller, projectId }, action, `project/${project.name}`, detail);
  }
}
