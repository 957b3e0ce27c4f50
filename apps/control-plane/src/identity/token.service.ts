/**
 * API tokens and client secrets: made, listed, deleted. A token never gives more than its maker has.
 * Deleting one ends what was opened with it: live sessions of access tokens it was exchanged for. No HTTP, no Prisma.
 */
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { z } from 'zod';
import { recordActOf } from '../acts/acts.ts';
import { Database } from '../db/database.ts';
import type { Principal } from '../generated/prisma/client.ts';
import { type Caller, requirePermission } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, toPage } from '../http/page.ts';
import { permissionsOf } from '../http/permissions.ts';
import { SystemClock } from '../time.ts';
import { ApiTokens, hashOf } from './api-tokens.ts';
import type {
  CreateSecret,
  CreateToken,
  NewSecretView,
  NewTokenView,
  SecretList,
  TokenQuery,
  TokenView,
} from './identity.dto.ts';
import { IdentityRepository } from './identity.repository.ts';
import { Principals } from './principals.service.ts';
import { IdentityProviders } from './providers.ts';
import { Revocations } from './revocations.ts';

@Injectable()
export class TokenService {
  constructor(
    private readonly database: Database,
    private readonly repository: IdentityRepository,
    private readonly principals: Principals,
    private readonly tokens: ApiTokens,
    private readonly revocations: Revocations,
    private readonly providers: IdentityProviders,
    private readonly clock: SystemClock,
  ) {}

  async create(
    caller: Caller,
    reference: string,
    input: z.infer<typeof CreateToken>,
  ): Promise<z.infer<typeof NewTokenView>> {
    const principal = await this.#owner(caller, reference, 'token:create');
    const gives = permissionsOf(principal.roles, input.scopes);
    // A narrowed token may make tokens for its own principal only as narrow as itself.
    const scopes =
      input.scopes.length === 0 && principal.id === caller.principal.id ? this.#narrowed(caller, gives) : input.scopes;
    // What the principal lacks today may come with tomorrow's roles.
    for (const permission of [...permissionsOf(principal.roles, scopes), ...scopes])
      if (!(caller.permissions as ReadonlySet<string>).has(permission))
        throw new GatewayError('auth.forbidden', { gives: permission });
    const { scim } = input;
    if (scim !== undefined && (scopes.length !== 1 || scopes[0] !== 'scim:write'))
      throw new InvalidRequest([
        { field: 'scopes', message: 'a token for SCIM has the scope scim:write and no other' },
      ]);
    if (scim !== undefined && (await this.providers.find(caller.projectId, scim.provider)) === undefined)
      throw new InvalidRequest([{ field: 'scim.provider', message: 'there is no such identity provider' }]);
    const expiresAt = new Date(this.clock.nowMs() + input.expiresInSeconds * 1000);
    return await this.database.transaction(async (tx) => {
      const made = await this.tokens.create(tx, {
        projectId: caller.projectId,
        principalId: principal.id,
        name: input.name,
        kind: 'api',
        scopes,
        lineage: await this.tokens.lineageFor(tx, caller),
        expiresAt,
        // What a bound session makes for itself is bound as it is.
        boundKey: principal.id === caller.principal.id ? caller.boundKey : undefined,
      });
      if (scim !== undefined) await this.repository.insertScimClient(tx, caller.projectId, made.id, scim);
      await recordActOf(tx, caller, 'token.created', `principal/${principal.name}`, {
        id: made.id,
        name: input.name,
        scopes: [...scopes],
        expiresAt: expiresAt.toISOString(),
        ...(scim === undefined ? {} : { scim: { ...scim } }),
      });
      return { ...made, expiresAt: expiresAt.toISOString() };
    });
  }

  async list(
    caller: Caller,
    reference: string,
    query: z.infer<typeof TokenQuery>,
  ): Promise<Page<z.infer<typeof TokenView>>> {
    const principal = await this.#owner(caller, reference, 'token:create');
    return toPage(await this.repository.tokens(caller.projectId, principal.id, query), query, (row) => ({
      id: row.id,
      name: row.name,
      kind: row.kind,
      scopes: row.scopes,
      expiresAt: row.expiresAt.toISOString(),
      lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
      createdAt: row.createdAt.toISOString(),
    }));
  }

  /** One's own, or anybody's with `token:delete`. What it opened ends. */
  async remove(caller: Caller, id: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const token = await this.repository.token(caller.projectId, id, tx);
      if (token === null || token.revokedAt !== null) throw new GatewayError('request.not_found');
      if (token.principalId !== caller.principal.id) requirePermission(caller, 'token:delete');
      await this.repository.revokeTokens(tx, { id: token.id }, this.clock.now());
      for (const jti of await this.repository.liveAccess(tx, token.id, this.clock.now()))
        await this.revocations.revoke(tx, caller.projectId, 'token', jti);
      await recordActOf(tx, caller, 'token.deleted', `principal/${token.principal.name}`, {
        id: token.id,
        name: token.name,
      });
    });
  }

  async createSecret(
    caller: Caller,
    reference: string,
    input: z.infer<typeof CreateSecret>,
  ): Promise<z.infer<typeof NewSecretView>> {
    const principal = await this.principals.find(caller.projectId, reference);
    if (principal.kind === 'person') throw new GatewayError('request.conflict', { reason: 'persons sign in' });
    // A secret is worth something to whoever holds it: a session bound to a key must not become one.
    if (caller.boundKey !== undefined && principal.id === caller.principal.id)
      throw new GatewayError('auth.forbidden', { reason: 'this session is bound to a key' });
    for (const permission of permissionsOf(principal.roles))
      if (!caller.permissions.has(permission)) throw new GatewayError('auth.forbidden', { gives: permission });
    const clientSecret = `sps_${randomBytes(32).toString('base64url')}`;
    const id = this.clock.id();
    const expiresAt =
      input.expiresInSeconds === undefined ? null : new Date(this.clock.nowMs() + input.expiresInSeconds * 1000);
    await this.database.transaction(async (tx) => {
      await this.repository.insertSecret(tx, {
        id,
        projectId: caller.projectId,
        principalId: principal.id,
        hash: hashOf(clientSecret),
        expiresAt,
      });
      await recordActOf(tx, caller, 'secret.created', `principal/${principal.name}`, { id });
    });
    return { id, clientId: principal.name, clientSecret };
  }

  async secrets(caller: Caller, reference: string): Promise<z.infer<typeof SecretList>> {
    const principal = await this.principals.find(caller.projectId, reference);
    const rows = await this.repository.secrets(caller.projectId, principal.id);
    return {
      items: rows.map((row) => ({
        id: row.id,
        expiresAt: row.expiresAt?.toISOString() ?? null,
        createdAt: row.createdAt.toISOString(),
      })),
      nextCursor: null,
    };
  }

  /** Sessions signed in with it run out by themselves (an hour); tokens can be deleted apart. */
  async removeSecret(caller: Caller, reference: string, id: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const principal = await this.principals.find(caller.projectId, reference, tx);
      if ((await this.repository.deleteSecret(tx, caller.projectId, principal.id, id)) === 0)
        throw new GatewayError('request.not_found');
      await recordActOf(tx, caller, 'secret.deleted', `principal/${principal.name}`, { id });
    });
  }

  #narrowed(caller: Caller, gives: ReadonlySet<string>): string[] {
    const missing = [...gives].some((permission) => !(caller.permissions as ReadonlySet<string>).has(permission));
    return missing ? [...caller.permissions] : [];
  }

  async #owner(caller: Caller, reference: string, needs: 'token:create'): Promise<Principal> {
    const principal = await this.principals.find(caller.projectId, reference);
    if (principal.id !== caller.principal.id) requirePermission(caller, needs);
    return principal;
  }
}
