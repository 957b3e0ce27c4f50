/**
 * Device sign-in (RFC 8628), our own server: a code for the device, a short one for the person, who signs in with a
 * browser and confirms it. State is in the database, so that any replica answers. Refuses to know pages.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { PrincipalKind } from '@sallyport/model';
import { recordAct } from '../acts/acts.ts';
import { Database } from '../db/database.ts';
import { ProjectDirectory } from '../db/project.ts';
import type { LoginAttempt } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { OAuthError } from '../http/invalid-request.ts';
import { Listening } from '../listening.ts';
import { SystemClock } from '../time.ts';
import { ApiTokens, hashOf } from './api-tokens.ts';
import type { SignedIn } from './client-credentials.ts';
import { IdentityRepository } from './identity.repository.ts';
import { PERSON_SESSION_S } from './login/person-sessions.ts';

const EXPIRES_S = 600;
export const DEVICE_INTERVAL_S = 2;
// RFC 8628 section 6.1: no vowels, so that no word comes out; easy to type.
const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ';

/** `bcdf ghjk` and `BCDFGHJK` become `BCDF-GHJK`. */
export function normalUserCode(text: string): string {
  const letters = text.toUpperCase().replace(/[^A-Z]/g, '');
  return `${letters.slice(0, 4)}-${letters.slice(4, 8)}`;
}

@Injectable()
export class DeviceFlow {
  constructor(
    private readonly database: Database,
    private readonly projects: ProjectDirectory,
    private readonly repository: IdentityRepository,
    private readonly tokens: ApiTokens,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
  ) {}

  /** @param project name of the project to sign in to; a name that no project has gets a code that nobody can confirm */
  async start(clientId: string, project?: string) {
    return await this.startIn(await this.projects.idToSignIn(project), clientId);
  }

  /** @param client what asks, as the page names it */
  async startIn(projectId: string, client: string) {
    const deviceCode = randomBytes(32).toString('base64url');
    const userCode = normalUserCode(Array.from({ length: 8 }, () => LETTERS[randomInt(LETTERS.length)]).join(''));
    const expiresAt = new Date(this.clock.nowMs() + EXPIRES_S * 1000);
    await this.repository.insertAttempt(this.database.client, {
      id: this.clock.id(),
      projectId,
      provider: client,
      kind: 'device',
      secretHash: hashOf(deviceCode),
      userCode,
      expiresAt,
    });
    const page = `${this.listening.publicUrl()}/device`;
    return {
      device_code: deviceCode,
      user_code: userCode,
      verification_uri: page,
      verification_uri_complete: `${page}?user_code=${userCode}`,
      expires_in: EXPIRES_S,
      interval: DEVICE_INTERVAL_S,
    };
  }

  /** The attempt a person may confirm now. */
  async pending(userCode: string): Promise<LoginAttempt | null> {
    const attempt = await this.repository.attemptByUserCode(normalUserCode(userCode));
    const open =
      attempt !== null &&
      attempt.expiresAt > this.clock.now() &&
      attempt.principalId === null &&
      attempt.deniedAt === null &&
      (await this.projects.isEnabled(attempt.projectId));
    return open ? attempt : null;
  }

  /** @returns false when the code is no longer open, or is for a project that the person is not signed in to */
  async answer(userCode: string, person: Caller, granted: boolean, requestId: string): Promise<boolean> {
    const { principal, projectId } = person;
    const attempt = await this.pending(userCode);
    if (attempt === null || attempt.projectId !== projectId) return false;
    return await this.database.transaction(async (tx) => {
      const data = granted
        ? { principalId: principal.id, personSessionId: person.signIn?.sessionId ?? null }
        : { deniedAt: this.clock.now() };
      if (!(await this.repository.changeAttempt(tx, attempt.id, { principalId: null, deniedAt: null }, data)))
        return false;
      await recordAct(tx, {
        projectId: attempt.projectId,
        principal,
        action: granted ? 'device.confirmed' : 'device.refused',
        target: `principal/${principal.name}`,
        requestId,
      });
      return true;
    });
  }

  /** @throws OAuthError of RFC 8628 section 3.5 while there is no token */
  async poll(deviceCode: string, requestId: string): Promise<SignedIn> {
    const attempt = await this.repository.attemptBySecret(hashOf(deviceCode));
    const now = this.clock.now();
    if (attempt === null || attempt.kind !== 'device') throw new OAuthError('invalid_grant', 'auth.failed');
    if (attempt.deniedAt !== null) throw new OAuthError('access_denied', 'auth.failed');
    if (attempt.consumedAt !== null || attempt.expiresAt <= now) throw new OAuthError('expired_token', 'auth.failed');
    const tooSoon =
      attempt.lastPolledAt !== null && now.getTime() - attempt.lastPolledAt.getTime() < (DEVICE_INTERVAL_S * 1000) / 2;
    await this.repository.changeAttempt(this.database.client, attempt.id, {}, { lastPolledAt: now });
    if (attempt.principalId === null) throw new OAuthError(tooSoon ? 'slow_down' : 'authorization_pending');
    const principalId = attempt.principalId;
    return await this.database.transaction(async (tx) => {
      if (!(await this.repository.changeAttempt(tx, attempt.id, { consumedAt: null }, { consumedAt: now })))
        throw new OAuthError('expired_token', 'auth.failed');
      const principal = await this.repository.principalById(principalId, tx);
      if (
        principal === null ||
        principal.disabledAt !== null ||
        principal.projectId !== attempt.projectId ||
        !(await this.projects.isEnabled(attempt.projectId, tx))
      )
        throw new OAuthError('access_denied', 'auth.failed');
      // What hangs on a sign-in ends with it.
      const session =
        attempt.personSessionId === null ? null : await this.repository.personSession(attempt.personSessionId, tx);
      if (attempt.personSessionId !== null && (session === null || session.endedAt !== null))
        throw new OAuthError('access_denied', 'auth.failed');
      const expiresAt = session?.expiresAt ?? new Date(now.getTime() + PERSON_SESSION_S * 1000);
      const { token } = await this.tokens.create(tx, {
        ...(session === null ? {} : { personSessionId: session.id }),
        projectId: attempt.projectId,
        principalId,
        name: attempt.provider,
        kind: 'session',
        scopes: [],
        expiresAt,
      });
      const who = { id: principal.id, name: principal.name, kind: principal.kind as PrincipalKind };
      await recordAct(tx, {
        projectId: attempt.projectId,
        principal: who,
        action: 'session.signed_in',
        target: `principal/${principal.name}`,
        detail: { by: 'device', client: attempt.provider },
        requestId,
      });
      return { token, expiresInSeconds: Math.max(0, Math.floor((expiresAt.getTime() - now.getTime()) / 1000)) };
    });
  }
}
