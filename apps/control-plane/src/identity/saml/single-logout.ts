/**
 * A provider's order to end a person's sign-in, carried out: once, with all that hangs on it. Refuses to know pages.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { systemActor } from '../../acts/acts.ts';
import { Database } from '../../db/database.ts';
import { Log } from '../../http/problem.filter.ts';
import { SystemClock } from '../../time.ts';
import { hashOf } from '../api-tokens.ts';
import { IdentityRepository } from '../identity.repository.ts';
import { PersonSessions } from '../login/person-sessions.ts';
import { LOGOUT_MS, type LogoutOrder } from './logout-messages.ts';
import type { SamlIdentityProvider } from './saml-provider.ts';

@Injectable()
export class SingleLogout {
  constructor(
    private readonly database: Database,
    private readonly repository: IdentityRepository,
    private readonly sessions: PersonSessions,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  /** @returns where to send the browser, if the provider wants an answer @throws GatewayError `auth.failed` */
  async order(provider: SamlIdentityProvider, query: string, requestId: string): Promise<URL | undefined> {
    const { projectId, name } = provider;
    const order = await provider.logoutOrder(query).catch((cause: unknown) => {
      this.log.warn('a logout request was refused', { provider: name, requestId, cause });
      throw new GatewayError('auth.failed', { provider: name }, { cause });
    });
    await this.database.transaction(async (tx) => {
      const fresh = await this.repository.takeId(tx, {
        projectId,
        purpose: `saml-logout/${name}`,
        hash: hashOf(order.id),
        expiresAt: new Date(this.clock.nowMs() + 4 * LOGOUT_MS),
      });
      if (!fresh) throw new GatewayError('auth.failed', { reason: 'used before' });
      for (const which of meant(order, provider.subjectIsNameId))
        for (const session of await this.repository.personSessionsOf(tx, projectId, name, which))
          await this.sessions.end(tx, session.id, 'the provider', systemActor(projectId, requestId));
    });
    return await provider.logoutAnswer(order);
  }
}

type Which = Parameters<IdentityRepository['personSessionsOf']>[3];
/** Each session that is named; without a name, every one of the person, if the NameID is who they are here. */
function meant(order: LogoutOrder, subjectIsNameId: boolean): readonly Which[] {
  const subject = subjectIsNameId ? { subject: order.nameId } : {};
  if (order.sessionIndexes.length > 0) return order.sessionIndexes.map((sessionId) => ({ ...subject, sessionId }));
  return subjectIsNameId ? [subject] : [];
}
