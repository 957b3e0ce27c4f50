/**
 * Signing in with an account of our own: a password with a one-time (or recovery) code, or a passkey. Everything that is
 * wrong reads alike and takes alike long. A break-glass account's use is an act, a message to the outside and a warning.
 * Refuses to know pages.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError, type Secret } from '@sallyport/core';
import type { PrincipalKind } from '@sallyport/model';
import { recordAct } from '../../acts/acts.ts';
import { Database, type Tx } from '../../db/database.ts';
import { ProjectDirectory } from '../../db/project.ts';
import type { LocalAccount, Principal } from '../../generated/prisma/client.ts';
import { Log } from '../../http/problem.filter.ts';
import { Envelope } from '../../keys/envelope.ts';
import { Outbox } from '../../notify/outbox.ts';
import { SystemClock } from '../../time.ts';
import { PERSON_SESSION_S, PersonSessions } from '../login/person-sessions.ts';
import { AccountsRepository } from './accounts.repository.ts';
import { LoginDelays } from './login-delays.ts';
import { matchingStep, recoveryHash } from './one-time-codes.ts';
import { isPassword } from './password.ts';

/** Name of the provider that accounts of our own stand for. */
export const LOCAL = 'local';
const NO_SECRET = Buffer.alloc(20);

export interface LocalSession {
  readonly token: string;
  readonly sessionS: number;
}
export const totpContext = (accountId: string): string => `totp/${accountId}`;

@Injectable()
export class LocalSignIn {
  constructor(
    private readonly database: Database,
    private readonly projects: ProjectDirectory,
    private readonly repository: AccountsRepository,
    private readonly sessions: PersonSessions,
    private readonly delays: LoginDelays,
    private readonly envelope: Envelope,
    private readonly outbox: Outbox,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  /** @throws GatewayError `auth.failed` whatever is wrong, `auth.throttled` while a delay runs */
  async byPassword(
    given: {
      readonly projectId: string;
      readonly name: string;
      readonly password: Secret<string>;
      readonly code: string;
    },
    from: { readonly address: string; readonly requestId: string },
  ): Promise<LocalSession> {
    const { projectId, name } = given;
    await this.delays.attempt(projectId, name, from.address);
    const account = await this.repository.byName(projectId, name);
    const isGood = await isPassword(given.password, account?.passwordHash ?? undefined);
    const sealed = account?.totpSealed ?? null;
    const secret =
      account === null || sealed === null ? NO_SECRET : this.envelope.open(sealed, totpContext(account.id)).reveal();
    const step = matchingStep(secret, given.code, this.clock.nowMs());
    if (account === null || !isGood || sealed === null) throw new GatewayError('auth.failed');
    const session = await this.database.transaction(async (tx) => {
      const isOnce =
        step === undefined
          ? await this.repository.takeRecoveryCode(tx, account.id, recoveryHash(given.code))
          : await this.repository.takeStep(tx, account, step);
      if (!isOnce) throw new GatewayError('auth.failed');
      return await this.open(
        tx,
        account,
        account.principal,
        step === undefined ? ['pwd', 'recovery'] : ['pwd', 'otp', 'mfa'],
        from.requestId,
      );
    });
    await this.delays.forget(projectId, name, from.address);
    return session;
  }

  /**
   * A session for somebody who has proven to be the account's person. Called once per proof, inside its transaction.
   * @param amr how, in the words of RFC 8176 @throws GatewayError `auth.failed` for one that may not sign in
   */
  async open(
    tx: Tx,
    account: LocalAccount,
    principal: Principal,
    amr: readonly string[],
    requestId: string,
  ): Promise<LocalSession> {
    if (
      principal.disabledAt !== null ||
      principal.kind !== 'person' ||
      !(await this.projects.isEnabled(principal.projectId, tx))
    )
      throw new GatewayError('auth.failed');
    const now = this.clock.now();
    const { token } = await this.sessions.open(
      tx,
      principal,
      { provider: LOCAL, subject: account.id, amr, authTimeMs: now.getTime() },
      { tokenName: 'sign-in (local)' },
    );
    await this.repository.update(tx, account.id, { lastLoginAt: now });
    const who = { id: principal.id, name: principal.name, kind: principal.kind as PrincipalKind };
    const act = { projectId: principal.projectId, principal: who, target: `principal/${principal.name}`, requestId };
    await recordAct(tx, { ...act, action: 'session.signed_in', detail: { by: LOCAL, amr: [...amr] } });
    if (account.breakGlass) {
      await recordAct(tx, { ...act, action: 'break-glass.used', detail: { amr: [...amr] } });
      await this.outbox.add(tx, principal.projectId, 'account.break_glass', {
        principal: principal.name,
        at: now.toISOString(),
        requestId,
      });
      this.log.warn('a break-glass account signed in', { principal: principal.name, requestId });
    }
    return { token, sessionS: PERSON_SESSION_S };
  }
}
