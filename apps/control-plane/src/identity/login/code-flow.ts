/**
 * Our own authorization endpoint for native clients (RFC 8252): the command line opens a browser, listens on loopback, and
 * gets a one-time code that only its PKCE verifier turns into a session. Refuses every redirect but to loopback, and a code
 * without S256: any program of the machine can read what arrives there.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { PrincipalKind } from '@sallyport/model';
import { recordAct } from '../../acts/acts.ts';
import { Database } from '../../db/database.ts';
import type { Caller } from '../../http/caller.ts';
import { InvalidRequest, OAuthError } from '../../http/invalid-request.ts';
import { SystemClock } from '../../time.ts';
import { hashOf } from '../api-tokens.ts';
import type { SignedIn } from '../client-credentials.ts';
import { IdentityRepository } from '../identity.repository.ts';
import { PersonSessions } from './person-sessions.ts';

const CODE_S = 60;
const CHALLENGE = /^[A-Za-z0-9_-]{43}$/;
const VERIFIER = /^[A-Za-z0-9._~-]{43,128}$/;

/** RFC 8252 section 7.3: a loopback address, any port, no name. @throws InvalidRequest */
export function requireLoopback(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const fits =
    url?.protocol === 'http:' &&
    (url.hostname === '127.0.0.1' || url.hostname === '[::1]') &&
    url.port !== '' &&
    url.username === '' &&
    url.password === '' &&
    url.hash === '' &&
    url.search === '';
  if (url === undefined || !fits)
    throw new InvalidRequest([{ field: 'redirect_uri', message: 'http://127.0.0.1:<port>/… is expected' }]);
  return url;
}

export interface CodeRequest {
  readonly clientId: string;
  readonly redirectUri: URL;
  readonly codeChallenge: string;
}

@Injectable()
export class CodeFlow {
  constructor(
    private readonly database: Database,
    private readonly repository: IdentityRepository,
    private readonly sessions: PersonSessions,
    private readonly clock: SystemClock,
  ) {}

  /** @throws InvalidRequest */
  check(input: {
    readonly clientId: string;
    readonly redirectUri: string;
    readonly codeChallenge: string;
  }): CodeRequest {
    if (!CHALLENGE.test(input.codeChallenge))
      throw new InvalidRequest([{ field: 'code_challenge', message: 'an S256 challenge is expected' }]);
    return { ...input, redirectUri: requireLoopback(input.redirectUri) };
  }

  /** The person said yes. @returns the code, good once and for a minute */
  async grant(person: Caller, request: CodeRequest): Promise<string> {
    if (person.signIn === undefined) throw new GatewayError('auth.required');
    const code = randomBytes(32).toString('base64url');
    await this.repository.insertAttempt(this.database.client, {
      id: this.clock.id(),
      projectId: person.projectId,
      provider: request.clientId,
      kind: 'code',
      secretHash: hashOf(code),
      redirectUri: request.redirectUri.href,
      codeChallenge: request.codeChallenge,
      principalId: person.principal.id,
      personSessionId: person.signIn.sessionId,
      expiresAt: new Date(this.clock.nowMs() + CODE_S * 1000),
    });
    return code;
  }

  /** @throws OAuthError `invalid_grant` whatever is wrong */
  async redeem(
    input: {
      readonly code: string;
      readonly redirectUri: string;
      readonly verifier: string;
      readonly clientId: string;
    },
    requestId: string,
  ): Promise<SignedIn> {
    const refuse = (): never => {
      throw new OAuthError('invalid_grant', 'auth.failed');
    };
    const attempt = await this.repository.attemptBySecret(hashOf(input.code));
    const now = this.clock.now();
    if (attempt === null || attempt.kind !== 'code' || attempt.expiresAt <= now || attempt.personSessionId === null)
      return refuse();
    const { personSessionId } = attempt;
    const { client } = this.database;
    const fresh = await this.repository.changeAttempt(client, attempt.id, { consumedAt: null }, { consumedAt: now });
    if (!fresh) {
      // RFC 6749 section 4.1.2: somebody else has the code too, so nothing that hangs on it is safe.
      await this.#endStolen(personSessionId, requestId);
      return refuse();
    }
    const challenge = createHash('sha256').update(input.verifier).digest('base64url');
    const isBound =
      VERIFIER.test(input.verifier) &&
      timingSafeEqual(Buffer.from(challenge), Buffer.from(attempt.codeChallenge ?? ''.padEnd(43))) &&
      input.redirectUri === attempt.redirectUri &&
      input.clientId === attempt.provider;
    if (!isBound) return refuse();
    return await this.database.transaction(async (tx) => {
      const session = await this.repository.personSession(personSessionId, tx);
      if (session === null || session.endedAt !== null || session.principal.disabledAt !== null) return refuse();
      const { principal, expiresAt, projectId } = session;
      const { token } = await this.sessions.addToken(
        tx,
        { id: principal.id, projectId },
        personSessionId,
        input.clientId,
        expiresAt,
      );
      await recordAct(tx, {
        projectId,
        principal: { id: principal.id, name: principal.name, kind: principal.kind as PrincipalKind },
        action: 'session.signed_in',
        target: `principal/${principal.name}`,
        detail: { by: 'code', client: input.clientId },
        requestId,
      });
      return { token, expiresInSeconds: Math.max(0, Math.floor((expiresAt.getTime() - now.getTime()) / 1000)) };
    });
  }

  async #endStolen(sessionId: string, requestId: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const session = await this.repository.personSession(sessionId, tx);
      if (session === null) return;
      const actor = { projectId: session.projectId, principal: undefined, requestId };
      await this.sessions.end(tx, sessionId, 'a code was used twice', actor);
    });
  }
}
