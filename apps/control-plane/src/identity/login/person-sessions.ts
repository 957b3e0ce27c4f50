/**
 * Sign-ins of persons: what was proven, when and how, and the tokens that hang on it (browser, devices, command line).
 * Ending one ends them all, and with them the live sessions they opened. Refuses to know how somebody proved who they are:
 * providers and local accounts come here with their facts.
 */
import { Injectable } from '@nestjs/common';
import { type Actor, recordActOf } from '../../acts/acts.ts';
import type { Tx } from '../../db/database.ts';
import type { PersonSession } from '../../generated/prisma/client.ts';
import { Envelope } from '../../keys/envelope.ts';
import { SystemClock } from '../../time.ts';
import { ApiTokens, freshToken } from '../api-tokens.ts';
import { IdentityRepository } from '../identity.repository.ts';
import { Revocations } from '../revocations.ts';

/** What a sign-in proved. */
export interface SignInFacts {
  /** Name of the provider; `local` for accounts of our own. */
  readonly provider: string;
  readonly subject: string;
  readonly amr: readonly string[];
  readonly acr?: string | undefined;
  readonly authTimeMs?: number | undefined;
  /** The provider's id of its session. */
  readonly sessionId?: string | undefined;
  /** Kept sealed. */
  readonly refreshToken?: string | undefined;
  readonly idToken?: string | undefined;
}

export interface KeptTokens {
  readonly refreshToken?: string | undefined;
  readonly idToken?: string | undefined;
}

/** A sign-in and its first token, written nowhere yet. */
export interface FreshSession {
  readonly id: string;
  readonly provider: string;
  readonly subject: string;
  readonly providerSession: string | null;
  readonly amr: string[];
  readonly acr: string | null;
  readonly authTime: Date | null;
  readonly sealed: Uint8Array<ArrayBuffer> | null;
  readonly refreshAt: Date | null;
  readonly expiresAt: Date;
  readonly token: {
    readonly id: string;
    readonly name: string;
    readonly token: string;
    readonly hash: Uint8Array<ArrayBuffer>;
  };
}

export interface SessionOptions {
  readonly tokenName: string;
  readonly sessionS?: number;
  readonly refreshS?: number | undefined;
}

/** How long a person's sign-in lasts unless its provider says less or more. */
export const PERSON_SESSION_S = 12 * 3_600;

@Injectable()
export class PersonSessions {
  constructor(
    private readonly repository: IdentityRepository,
    private readonly tokens: ApiTokens,
    private readonly revocations: Revocations,
    private readonly envelope: Envelope,
    private readonly clock: SystemClock,
  ) {}

  /** A fresh sign-in and its first token. Called inside the transaction that checked who it is. */
  async open(
    tx: Tx,
    principal: { readonly id: string; readonly projectId: string },
    facts: SignInFacts,
    options: SessionOptions,
  ): Promise<{ readonly sessionId: string; readonly token: string; readonly expiresAt: Date }> {
    const { id, projectId } = principal;
    const { token: given, ...session } = this.prepare(facts, options);
    const { token, ...row } = given;
    const of = { projectId, principalId: id };
    await this.repository.insertPersonSession(tx, { ...session, ...of });
    const { expiresAt } = session;
    await this.repository.insertToken(tx, { ...row, ...of, kind: 'session', personSessionId: session.id, expiresAt });
    return { sessionId: session.id, token, expiresAt };
  }

  /** The same, for a statement that writes it. */
  prepare(facts: SignInFacts, options: SessionOptions): FreshSession {
    const now = this.clock.nowMs();
    const expiresAt = new Date(now + (options.sessionS ?? PERSON_SESSION_S) * 1000);
    const id = this.clock.id();
    const asks = facts.refreshToken !== undefined && options.refreshS !== undefined;
    return {
      id,
      provider: facts.provider,
      subject: facts.subject,
      providerSession: facts.sessionId ?? null,
      amr: [...facts.amr],
      acr: facts.acr ?? null,
      authTime: facts.authTimeMs === undefined ? null : new Date(facts.authTimeMs),
      sealed: this.seal(id, facts),
      refreshAt: asks ? new Date(now + options.refreshS * 1000) : null,
      expiresAt,
      token: { id: this.clock.id(), name: options.tokenName, ...freshToken() },
    };
  }

  /** One more token of a sign-in: a device, a command line. It never outlives the sign-in. */
  async addToken(
    tx: Tx,
    principal: { readonly id: string; readonly projectId: string },
    sessionId: string,
    name: string,
    expiresAt: Date,
  ): Promise<{ readonly token: string }> {
    return await this.tokens.create(tx, {
      projectId: principal.projectId,
      principalId: principal.id,
      name,
      kind: 'session',
      scopes: [],
      expiresAt,
      personSessionId: sessionId,
    });
  }

  /** Ends a sign-in with all its tokens and what they opened. @returns false when it had ended already */
  async end(tx: Tx, id: string, why: string, actor: Actor): Promise<boolean> {
    const now = this.clock.now();
    const session = await this.repository.endPersonSession(tx, id, now);
    if (session === null) return false;
    for (const token of await this.repository.tokensOfSession(tx, id)) {
      for (const jti of await this.repository.liveAccess(tx, token.id, now))
        await this.revocations.revoke(tx, session.projectId, 'token', jti);
    }
    await this.repository.revokeTokens(tx, { personSessionId: id }, now);
    await recordActOf(tx, actor, 'session.signed_out', `principal/${session.principal.name}`, {
      by: session.provider,
      why,
    });
    return true;
  }

  seal(id: string, kept: KeptTokens): Uint8Array<ArrayBuffer> | null {
    const { refreshToken, idToken } = kept;
    if (refreshToken === undefined && idToken === undefined) return null;
    return this.envelope.seal(Buffer.from(JSON.stringify({ refreshToken, idToken })), `person-session/${id}`);
  }

  /** What was kept of the provider's tokens. */
  kept(session: Pick<PersonSession, 'id' | 'sealed'>): KeptTokens {
    if (session.sealed === null) return {};
    return JSON.parse(
      this.envelope.open(session.sealed, `person-session/${session.id}`).reveal().toString(),
    ) as KeptTokens;
  }
}
