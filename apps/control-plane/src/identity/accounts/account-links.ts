/**
 * Links that set up a way in: the first administrator's, an invitation, a new start after a loss. 256 random bits behind
 * the `#`, so that no log and no referrer has them; good once, for hours. Whoever holds one *is* the person: it is made
 * only for somebody with no more rights than its maker. Refuses to know pages.
 */
import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError, Secret } from '@sallyport/core';
import type { PublicKeyCredentialCreationOptionsJSON, RegistrationResponseJSON } from '@simplewebauthn/server';
import { type Actor, recordActOf } from '../../acts/acts.ts';
import { Database, type Tx } from '../../db/database.ts';
import type { LocalAccount, Principal } from '../../generated/prisma/client.ts';
import { InvalidRequest } from '../../http/invalid-request.ts';
import { Log } from '../../http/problem.filter.ts';
import { Envelope } from '../../keys/envelope.ts';
import { Listening } from '../../listening.ts';
import { SystemClock } from '../../time.ts';
import { hashOf } from '../api-tokens.ts';
import { IdentityRepository } from '../identity.repository.ts';
import { Revocations } from '../revocations.ts';
import { AccountsRepository, type LinkRow } from './accounts.repository.ts';
import { type LocalSession, LocalSignIn, totpContext } from './local-sign-in.ts';
import { base32, matchingStep, newRecoveryCodes, newTotpSecret, recoveryHash, totpUri } from './one-time-codes.ts';
import { Passkeys } from './passkeys.ts';
import { hashPassword, whyWeak } from './password.ts';

/** The first administrator may take a day; others are made when they are wanted. */
export const FIRST_LINK_S = 24 * 3_600;
const SETUP_S = 3_600;

export interface NewLink {
  /** Shown once. */
  readonly url: string;
  readonly expiresAt: Date;
}
export interface LinkOptions {
  readonly seconds: number;
  /** The ways in that were there stop working, and sessions end. */
  readonly replaces: boolean;
  readonly breakGlass: boolean;
}
export interface SetUp {
  readonly name: string;
  /** Null where passkeys cannot be used. */
  readonly passkey: PublicKeyCredentialCreationOptionsJSON | null;
  readonly totp: { readonly secret: string; readonly uri: string };
}
type Keep = (tx: Tx, account: LocalAccount) => Promise<void>;

const setUpHash = (token: string): Uint8Array<ArrayBuffer> => hashOf(`set-up|${token}`);

interface LinkParts {
  readonly repository: AccountsRepository;
  readonly clock: SystemClock;
  readonly publicUrl: string;
}

/** See `AccountLinks.create`; for the process's own command too, which runs without the rest. */
export async function writeLink(
  tx: Tx,
  { repository, clock, publicUrl }: LinkParts,
  actor: Actor,
  principal: Principal,
  options: LinkOptions,
): Promise<NewLink> {
  const token = randomBytes(32).toString('base64url');
  const expiresAt = new Date(clock.nowMs() + options.seconds * 1000);
  await repository.dropLinks(tx, principal.id);
  await repository.insertLink(tx, {
    id: clock.id(),
    projectId: principal.projectId,
    principalId: principal.id,
    hash: hashOf(token),
    replaces: options.replaces,
    breakGlass: options.breakGlass,
    expiresAt,
  });
  await recordActOf(tx, actor, 'account.link_created', `principal/${principal.name}`, {
    replaces: options.replaces,
    breakGlass: options.breakGlass,
    expiresAt: expiresAt.toISOString(),
  });
  return { url: `${publicUrl}/login/link#${token}`, expiresAt };
}

@Injectable()
export class AccountLinks {
  constructor(
    private readonly database: Database,
    private readonly repository: AccountsRepository,
    private readonly identity: IdentityRepository,
    private readonly revocations: Revocations,
    private readonly signIn: LocalSignIn,
    private readonly passkeys: Passkeys,
    private readonly envelope: Envelope,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  /** Earlier links of the person that were not used stop working. */
  async create(tx: Tx, actor: Actor, principal: Principal, options: LinkOptions): Promise<NewLink> {
    const { repository, clock } = this;
    return await writeLink(tx, { repository, clock, publicUrl: this.listening.publicUrl() }, actor, principal, options);
  }

  /** What the browser needs to set up a way in; may be asked again. @throws GatewayError `auth.failed` */
  async begin(token: string): Promise<SetUp> {
    const link = await this.#open(token);
    const account = await this.repository.byPrincipal(link.principalId);
    const has = link.replaces ? [] : (account?.passkeys ?? []).map((passkey) => passkey.credentialId);
    const passkey = await this.passkeys.registration(link.principal, has);
    const secret = newTotpSecret();
    const hash = setUpHash(token);
    await this.repository.putCeremony({
      hash,
      projectId: link.projectId,
      kind: 'set_up',
      challenge: passkey?.challenge ?? '',
      sealed: this.envelope.seal(secret, contextOf(hash)),
      expiresAt: new Date(this.clock.nowMs() + SETUP_S * 1000),
    });
    const { name } = link.principal;
    return { name, passkey: passkey ?? null, totp: { secret: base32(secret), uri: totpUri(secret, name) } };
  }

  /** @throws GatewayError `auth.failed` */
  async finishByPasskey(token: string, response: RegistrationResponseJSON, requestId: string): Promise<LocalSession> {
    const link = await this.#open(token);
    const ceremony = await this.repository.takeCeremony(setUpHash(token));
    const proven = await this.#registered(ceremony?.challenge ?? '', response, requestId);
    return await this.#finish(link, ['pop', 'user', 'mfa'], 'account.passkey_added', requestId, async (tx, account) => {
      await this.repository.insertPasskey(tx, {
        ...proven,
        id: this.clock.id(),
        projectId: link.projectId,
        accountId: account.id,
        name: `of ${this.clock.now().toISOString().slice(0, 10)}`,
      });
    });
  }

  /**
   * @param code from the app the secret was put in: proof that it was
   * @throws GatewayError `auth.failed`; InvalidRequest for a weak password or a wrong code, with the link still good
   */
  async finishByPassword(
    token: string,
    given: { readonly password: Secret<string>; readonly code: string },
    requestId: string,
  ): Promise<LocalSession & { readonly recoveryCodes: readonly string[] }> {
    const link = await this.#open(token);
    const weak = whyWeak(given.password.reveal(), link.principal.name);
    if (weak !== undefined) throw new InvalidRequest([{ field: 'password', message: weak }]);
    const hash = setUpHash(token);
    const ceremony = await this.repository.ceremony(hash);
    if (ceremony === null || ceremony.sealed === null || ceremony.expiresAt <= this.clock.now())
      throw new GatewayError('auth.failed');
    const secret = this.envelope.open(ceremony.sealed, contextOf(hash)).reveal();
    const step = matchingStep(secret, given.code, this.clock.nowMs());
    if (step === undefined) throw new InvalidRequest([{ field: 'code', message: 'this is not the code of now' }]);
    const recoveryCodes = newRecoveryCodes();
    const passwordHash = await hashPassword(given.password);
    const session = await this.#finish(
      link,
      ['pwd', 'otp', 'mfa'],
      'account.password_set',
      requestId,
      async (tx, account) => {
        await this.repository.update(tx, account.id, {
          passwordHash,
          totpSealed: this.envelope.seal(secret, totpContext(account.id)),
          totpStep: step,
          recoveryCodes: recoveryCodes.map(recoveryHash),
        });
      },
    );
    await this.repository.takeCeremony(hash);
    return { ...session, recoveryCodes };
  }

  async #open(token: string): Promise<LinkRow> {
    const link = await this.repository.link(hashOf(token));
    const isGood =
      link !== null && link.usedAt === null && link.expiresAt > this.clock.now() && link.principal.disabledAt === null;
    if (!isGood) throw new GatewayError('auth.failed', { reason: 'link' });
    return link;
  }

  async #registered(challenge: string, response: RegistrationResponseJSON, requestId: string) {
    try {
      if (challenge === '') throw new Error('no challenge');
      return await this.passkeys.verifyRegistration(challenge, response);
    } catch (cause) {
      if (cause instanceof GatewayError) throw cause;
      this.log.warn('a passkey could not be registered', { requestId, cause });
      throw new GatewayError('auth.failed', {}, { cause });
    }
  }

  async #finish(
    link: LinkRow,
    amr: readonly string[],
    action: string,
    requestId: string,
    keep: Keep,
  ): Promise<LocalSession> {
    const { principal } = link;
    return await this.database.transaction(async (tx) => {
      // Of two that use it at once one comes through.
      if (!(await this.repository.takeLink(tx, link.id, this.clock.now())))
        throw new GatewayError('auth.failed', { reason: 'link' });
      const who = { id: principal.id, name: principal.name, kind: 'person' as const };
      const actor: Actor = { projectId: link.projectId, principal: who, requestId };
      const before = await this.repository.byPrincipal(principal.id, tx);
      if (before !== null && link.replaces) await this.#startAnew(tx, before, actor);
      const account =
        before ??
        (await this.repository.insert(tx, {
          id: this.clock.id(),
          projectId: link.projectId,
          principalId: principal.id,
          breakGlass: link.breakGlass,
        }));
      await keep(tx, account);
      await recordActOf(tx, actor, action, `principal/${principal.name}`, {
        replaced: before !== null && link.replaces,
      });
      return await this.signIn.open(tx, account, principal, amr, requestId);
    });
  }

  /** Whoever had the old ways in is out: their sessions too. */
  async #startAnew(tx: Tx, account: LocalAccount, actor: Actor): Promise<void> {
    await this.repository.removePasskeys(tx, { accountId: account.id });
    await this.repository.update(tx, account.id, {
      passwordHash: null,
      totpSealed: null,
      totpStep: null,
      recoveryCodes: [],
    });
    await this.identity.revokeTokens(tx, { principalId: account.principalId, kind: 'session' }, this.clock.now());
    await this.revocations.revoke(tx, actor.projectId, 'principal', account.principalId);
  }
}

const contextOf = (hash: Uint8Array): string => `ceremony/${Buffer.from(hash).toString('base64url')}`;
