/**
 * Asks providers again, now and then, whether a signed-in person may stay and which groups they are in. A "no" ends the
 * sign-in; a provider that cannot be asked is asked again soon, and the sign-in ends at its own time at the latest.
 * Every replica looks; a row is one replica's.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { PrincipalKind } from '@sallyport/model';
import { systemActor } from '../../acts/acts.ts';
import { Database } from '../../db/database.ts';
import { Log } from '../../http/problem.filter.ts';
import { Regularly } from '../../regularly.ts';
import { SystemClock } from '../../time.ts';
import { ConfiguredProviders } from '../configured-providers.ts';
import { IdentityRepository } from '../identity.repository.ts';
import { Arrivals } from './arrivals.ts';
import { PersonSessions } from './person-sessions.ts';

const EVERY_MS = 5_000;
const BATCH = 20;
/** How long a row is one replica's, and after how long an unanswered question is asked again. */
const AGAIN_MS = 60_000;

@Injectable()
export class Refresher implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #regularly = new Regularly(
    () => this.run(),
    (cause: unknown) => this.log.warn('sign-ins could not be asked about', { cause }),
  );
  constructor(
    private readonly database: Database,
    private readonly repository: IdentityRepository,
    private readonly providers: ConfiguredProviders,
    private readonly sessions: PersonSessions,
    private readonly arrivals: Arrivals,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#regularly.start(EVERY_MS);
  }

  async onModuleDestroy(): Promise<void> {
    await this.#regularly.stop();
  }

  /** Asks about everyone who is due, a batch at a time. */
  async run(): Promise<void> {
    const now = this.clock.nowMs();
    const due = await this.repository.takeDueSessions(new Date(now), new Date(now + AGAIN_MS), BATCH);
    for (const id of due) await this.#ask(id);
  }

  async #ask(id: string): Promise<void> {
    const session = await this.repository.personSession(id);
    if (session === null || session.endedAt !== null) return;
    const { projectId, principal } = session;
    const actor = systemActor(projectId, 'refresh');
    const end = async (why: string): Promise<void> => {
      await this.database.transaction((tx) => this.sessions.end(tx, id, why, actor));
    };
    const provider = await this.providers.find(projectId, session.provider);
    const { refreshToken } = this.sessions.kept(session);
    if (provider?.refresh === undefined || refreshToken === undefined || principal.disabledAt !== null)
      return await end('the provider is gone');
    try {
      const person = await provider.refresh(refreshToken, session.subject);
      await this.database.transaction(async (tx) => {
        await this.repository.updatePersonSession(tx, id, {
          // A provider that rotates them has made the old one useless.
          sealed: this.sessions.seal(id, { ...this.sessions.kept(session), ...tokensOf(person) }),
          refreshAt: new Date(this.clock.nowMs() + (provider.refreshS ?? 3_600) * 1000),
        });
        const who = { id: principal.id, name: principal.name, kind: principal.kind as PrincipalKind };
        await this.arrivals.syncGroups(tx, { projectId, provider, person, requestId: 'refresh' }, who);
      });
    } catch (cause) {
      if (cause instanceof GatewayError && cause.code === 'auth.failed') return await end('the provider');
      this.log.warn('a provider could not be asked about a sign-in', { provider: provider.name, cause });
    }
  }
}

const tokensOf = (person: { readonly refreshToken?: string | undefined; readonly idToken?: string | undefined }) => ({
  ...(person.refreshToken === undefined ? {} : { refreshToken: person.refreshToken }),
  ...(person.idToken === undefined ? {} : { idToken: person.idToken }),
});
