/**
 * What a database needs before anything is served: the project, its first admin, its keys. Safe when several replicas
 * start at once (advisory lock). Refuses to touch what is there already.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { recordAct, systemActor } from './acts/acts.ts';
import { Config } from './config.ts';
import { Database, type Tx } from './db/database.ts';
import { DEFAULT_PROJECT, Project } from './db/project.ts';
import { AccountLinks, FIRST_LINK_S, type NewLink } from './identity/accounts/account-links.ts';
import { ApiTokens } from './identity/api-tokens.ts';
import { IdentityRepository } from './identity/identity.repository.ts';
import { Keys } from './keys/keys.ts';
import { SystemClock } from './time.ts';

const ADMIN_TOKEN_MS = 365 * 86_400_000;

@Injectable()
export class Bootstrap {
  constructor(
    private readonly config: Config,
    private readonly database: Database,
    private readonly project: Project,
    private readonly keys: Keys,
    private readonly tokens: ApiTokens,
    private readonly identity: IdentityRepository,
    private readonly links: AccountLinks,
    private readonly clock: SystemClock,
  ) {}

  /**
   * @returns the file with the first admin's API token when this call made it
   * @throws GatewayError `config.invalid` or `credential.unavailable` when the key-encryption key does not fit
   */
  async run(): Promise<{ readonly adminTokenFile: string | undefined; readonly adminId: string | undefined }> {
    const made = await this.#ensure();
    // After a long stop no key may be left that signs; the hourly look would come too late.
    await this.keys.rotateDue();
    return made;
  }

  async #ensure(): Promise<{ readonly adminTokenFile: string | undefined; readonly adminId: string | undefined }> {
    return await this.database.transaction(async (tx) => {
      await tx.$executeRaw`select pg_advisory_xact_lock(7070, 0)`;
      const project = await this.#project(tx);
      this.project.id = project;
      await this.keys.ensure(tx);
      if ((await tx.principal.count({ where: { projectId: project } })) > 0)
        return { adminTokenFile: undefined, adminId: undefined };
      const admin = await this.identity.insertPrincipal(tx, {
        id: this.clock.id(),
        projectId: project,
        name: 'admin',
        kind: 'person',
        displayName: 'Administrator',
        roles: ['owner', 'admin'],
      });
      const expiresAt = new Date(this.clock.nowMs() + ADMIN_TOKEN_MS);
      const { token } = await this.tokens.create(tx, {
        projectId: project,
        principalId: admin.id,
        name: 'first',
        kind: 'api',
        scopes: [],
        expiresAt,
      });
      await recordAct(tx, {
        projectId: project,
        principal: undefined,
        action: 'principal.created',
        target: 'principal/admin',
        detail: { roles: ['owner', 'admin'] },
        requestId: 'bootstrap',
      });
      const file = path.join(this.config.dataDir, 'admin-token');
      writeFileSync(file, `${token}\n`, { mode: 0o600 });
      chmodSync(file, 0o600);
      return { adminTokenFile: file, adminId: admin.id };
    });
  }

  /** The first administrator's way in by a browser; called once REST listens, since the link names where. */
  async firstLink(adminId: string): Promise<NewLink> {
    return await this.database.transaction(async (tx) => {
      const admin = await this.identity.principal(this.project.id, adminId, tx);
      if (admin === null) throw new GatewayError('internal', { reason: 'no first administrator' });
      const options = { seconds: FIRST_LINK_S, replaces: false, breakGlass: false };
      return await this.links.create(tx, systemActor(this.project.id, 'bootstrap'), admin, options);
    });
  }

  async #project(tx: Tx): Promise<string> {
    const found = await tx.project.findUnique({ where: { name: DEFAULT_PROJECT } });
    if (found !== null) return found.id;
    const { id } = await tx.project.create({ data: { id: this.clock.id(), name: DEFAULT_PROJECT } });
    return id;
  }
}
