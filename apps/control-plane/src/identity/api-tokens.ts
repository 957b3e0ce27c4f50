/**
 * API tokens: `sp_` and 32 random bytes, stored as SHA-256, shown once, scoped, expiring. Sessions of people (kind
 * `session`) are the same. Also the guard's Authenticator. Refuses to say what is wrong with a token.
 */
import { createHash, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { PrincipalKind } from '@sallyport/model';
import type { Tx } from '../db/database.ts';
import { ProjectDirectory } from '../db/project.ts';
import { Authenticator, type Caller, type CallerSignIn } from '../http/caller.ts';
import { permissionsIn } from '../http/permissions.ts';
import { SystemClock } from '../time.ts';
import { IdentityRepository, type TokenHolder } from './identity.repository.ts';

const TOKEN = /^sp_[A-Za-z0-9_-]{43}$/;
/** How stale `lastUsedAt` may be: one write a minute and token at most. */
const USED_EVERY_MS = 60_000;

export const hashOf = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(createHash('sha256').update(text).digest());

/** One that is written nowhere yet. */
export function freshToken(): { readonly token: string; readonly hash: Uint8Array<ArrayBuffer> } {
  const token = `sp_${randomBytes(32).toString('base64url')}`;
  return { token, hash: hashOf(token) };
}

export interface NewToken {
  readonly projectId: string;
  readonly principalId: string;
  readonly name: string;
  readonly kind: 'api' | 'session';
  readonly scopes: readonly string[];
  /** Principals that had a hand in making it. */
  readonly lineage?: readonly string[];
  readonly expiresAt: Date;
  /** The sign-in it belongs to. */
  readonly personSessionId?: string;
  /** Thumbprint of the key that each use has to prove. */
  readonly boundKey?: string | undefined;
}

@Injectable()
export class ApiTokens extends Authenticator {
  constructor(
    private readonly repository: IdentityRepository,
    private readonly projects: ProjectDirectory,
    private readonly clock: SystemClock,
  ) {
    super();
  }

  /** @returns the token itself, which is kept nowhere */
  async create(tx: Tx, input: NewToken): Promise<{ readonly id: string; readonly token: string }> {
    const { token, hash } = freshToken();
    const id = this.clock.id();
    await this.repository.insertToken(tx, {
      ...input,
      id,
      scopes: [...input.scopes],
      lineage: [...(input.lineage ?? [])],
      boundKey: input.boundKey ?? null,
      hash,
    });
    return { id, token };
  }

  /** Who stands behind a token that the caller makes: they, and whoever stands behind their own. */
  async lineageFor(tx: Tx, caller: Caller): Promise<readonly string[]> {
    const own = (await this.repository.token(caller.projectId, caller.tokenId, tx))?.lineage ?? [];
    return [...new Set([...own, caller.principal.id])];
  }

  override async authenticate(token: string, requestId: string, provenKey?: string): Promise<Caller> {
    const found = TOKEN.test(token) ? await this.repository.tokenByHash(hashOf(token)) : null;
    const now = this.clock.now();
    const isOver = found === null || found.revokedAt !== null || found.expiresAt <= now;
    if (isOver || found.principal.disabledAt !== null || (found.personSession?.endedAt ?? null) !== null) {
      throw new GatewayError('auth.required');
    }
    if (found.boundKey !== null && found.boundKey !== provenKey) throw new GatewayError('auth.required');
    if (found.lastUsedAt === null || now.getTime() - found.lastUsedAt.getTime() > USED_EVERY_MS)
      await this.repository.touchToken(found.id, now);
    const { principal } = found;
    const projectName = await this.projects.nameOf(found.projectId);
    return {
      projectId: found.projectId,
      projectName,
      principal: { id: principal.id, name: principal.name, kind: principal.kind as PrincipalKind },
      permissions: permissionsIn(projectName, principal.roles, found.scopes),
      tokenId: found.id,
      boundKey: found.boundKey ?? undefined,
      requestId,
      ...(found.personSession === null ? {} : { signIn: signInOf(found.personSession) }),
    };
  }
}

const signInOf = (session: NonNullable<TokenHolder['personSession']>): CallerSignIn => ({
  sessionId: session.id,
  provider: session.provider,
  amr: session.amr,
  acr: session.acr ?? undefined,
  authTimeMs: session.authTime?.getTime(),
});
