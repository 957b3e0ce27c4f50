/** Client credentials (RFC 6749 section 4.4): a service or AI agent proves itself by a secret and gets an API session token. */
import { Injectable } from '@nestjs/common';
import type { PrincipalKind } from '@sallyport/model';
import { recordAct } from '../acts/acts.ts';
import { Database } from '../db/database.ts';
import { ProjectDirectory } from '../db/project.ts';
import type { Principal } from '../generated/prisma/client.ts';
import { OAuthError } from '../http/invalid-request.ts';
import { SystemClock } from '../time.ts';
import { ApiTokens, hashOf } from './api-tokens.ts';
import { IdentityRepository } from './identity.repository.ts';
import { ClientAssertions } from './machines/client-assertions.ts';

const SESSION_S = 3_600;

export interface SignedIn {
  readonly token: string;
  readonly expiresInSeconds: number;
}

@Injectable()
export class ClientCredentials {
  constructor(
    private readonly database: Database,
    private readonly projects: ProjectDirectory,
    private readonly repository: IdentityRepository,
    private readonly tokens: ApiTokens,
    private readonly assertions: ClientAssertions,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Into the project whose secret it is.
   * @param boundKey thumbprint of the key that the session is bound to
   * @throws OAuthError `invalid_client` whatever is wrong
   */
  async signIn(clientId: string, clientSecret: string, requestId: string, boundKey?: string): Promise<SignedIn> {
    const found = await this.repository.secretByHash(hashOf(clientSecret));
    const now = this.clock.now();
    const isGood =
      found !== null &&
      (await this.projects.isEnabled(found.projectId)) &&
      (found.principal.name === clientId || found.principal.id === clientId) &&
      found.principal.kind !== 'person' &&
      found.principal.disabledAt === null &&
      (found.expiresAt === null || found.expiresAt > now);
    if (!isGood) throw new OAuthError('invalid_client', 'auth.failed');
    return await this.#open(found.principal, { by: 'client_credentials', secret: found.id }, requestId, boundKey);
  }

  /** The same with an assertion that it signed (RFC 7523). @throws OAuthError `invalid_client` */
  async signInByAssertion(
    given: { readonly clientId: string | undefined; readonly assertion: string; readonly project: string | undefined },
    requestId: string,
    boundKey?: string,
  ): Promise<SignedIn> {
    const projectId = await this.projects.idToSignIn(given.project);
    const principal = await this.assertions.authenticate(projectId, given.assertion, given.clientId, requestId);
    return await this.#open(principal, { by: 'private_key_jwt' }, requestId, boundKey);
  }

  async #open(
    principal: Principal,
    detail: { readonly by: string; readonly secret?: string },
    requestId: string,
    boundKey: string | undefined,
  ): Promise<SignedIn> {
    return await this.database.transaction(async (tx) => {
      const expiresAt = new Date(this.clock.nowMs() + SESSION_S * 1000);
      const { token } = await this.tokens.create(tx, {
        projectId: principal.projectId,
        principalId: principal.id,
        name: 'client credentials',
        kind: 'session',
        scopes: [],
        expiresAt,
        boundKey,
      });
      await recordAct(tx, {
        projectId: principal.projectId,
        principal: { id: principal.id, name: principal.name, kind: principal.kind as PrincipalKind },
        action: 'session.signed_in',
        target: `principal/${principal.name}`,
        detail,
        requestId,
      });
      return { token, expiresInSeconds: SESSION_S };
    });
  }
}
