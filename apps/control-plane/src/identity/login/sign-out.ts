/**
 * Ending sign-ins: by the person (here, and at the provider where it offers that), by the provider (back-channel logout),
 * and by asking the provider again, which is refresher.ts's. Refuses to know pages.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { type Actor, systemActor } from '../../acts/acts.ts';
import { Database } from '../../db/database.ts';
import type { Caller } from '../../http/caller.ts';
import { Log } from '../../http/problem.filter.ts';
import { Listening } from '../../listening.ts';
import { SystemClock } from '../../time.ts';
import { ApiTokens, hashOf } from '../api-tokens.ts';
import { ConfiguredProviders } from '../configured-providers.ts';
import { IdentityRepository } from '../identity.repository.ts';
import { OidcIdentityProvider } from './oidc-provider.ts';
import { LOGOUT_TOKEN_S } from './oidc-tokens.ts';
import { PersonSessions } from './person-sessions.ts';

const SKEW_S_MAX = 300;

@Injectable()
export class SignOut {
  constructor(
    private readonly database: Database,
    private readonly repository: IdentityRepository,
    private readonly providers: ConfiguredProviders,
    private readonly sessions: PersonSessions,
    private readonly tokens: ApiTokens,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  /**
   * Ends the sign-in behind a token with everything that hangs on it.
   * @returns where to sign out at the provider too, if anywhere
   * @throws GatewayError `auth.required` for a token that is none, or that no sign-in made
   */
  async byToken(token: string, requestId: string): Promise<URL | undefined> {
    const caller = await this.tokens.authenticate(token, requestId);
    if (caller.signIn === undefined) throw new GatewayError('auth.required', { reason: 'no sign-in' });
    const { sessionId } = caller.signIn;
    const session = await this.repository.personSession(sessionId);
    const { idToken } = session === null ? {} : this.sessions.kept(session);
    await this.database.transaction((tx) => this.sessions.end(tx, sessionId, 'the person', actorOf(caller)));
    const provider = await this.providers.find(caller.projectId, caller.signIn.provider);
    // Here it is over whatever the provider does.
    return await provider
      ?.signOut?.(idToken, `${this.listening.publicUrl()}/v1/logout/done`)
      .catch((cause: unknown) => {
        this.log.warn('the provider’s sign-out could not be found', { provider: provider.name, cause });
        return undefined;
      });
  }

  /**
   * The provider says that a person, or one of their sessions there, is over (Back-Channel Logout 1.0).
   * @returns how many sign-ins ended @throws GatewayError `auth.failed` whatever is wrong with the token
   */
  async byProvider(projectId: string, name: string, logoutToken: string, requestId: string): Promise<number> {
    const provider = await this.providers.find(projectId, name);
    if (!(provider instanceof OidcIdentityProvider)) throw new GatewayError('auth.failed', { provider: name });
    const order = await provider.logoutToken(logoutToken).catch((cause: unknown) => {
      this.log.warn('a logout token was refused', { provider: name, requestId, cause });
      if (cause instanceof GatewayError) throw cause;
      throw new GatewayError('auth.failed', { provider: name }, { cause });
    });
    // The installation's providers serve every project: a person is signed out of all of them.
    const projectIds = provider.projectId === undefined ? await this.repository.projectIds() : [projectId];
    return await this.database.transaction(async (tx) => {
      const fresh = await this.repository.takeId(tx, {
        projectId,
        purpose: `logout-token/${name}`,
        hash: hashOf(order.tokenId),
        expiresAt: new Date(this.clock.nowMs() + (LOGOUT_TOKEN_S + 2 * SKEW_S_MAX) * 1000),
      });
      if (!fresh) throw new GatewayError('auth.failed', { reason: 'used before' });
      let ended = 0;
      for (const id of projectIds) {
        for (const session of await this.repository.personSessionsOf(tx, id, name, order))
          if (await this.sessions.end(tx, session.id, 'the provider', systemActor(id, requestId))) ended += 1;
      }
      return ended;
    });
  }
}

const actorOf = (caller: Caller): Actor => caller;
