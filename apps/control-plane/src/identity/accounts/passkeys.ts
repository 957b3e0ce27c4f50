/**
 * Passkeys (WebAuthn level 3, checked by @simplewebauthn/server): registered from a link, used to sign in without typing a
 * name. User verification is always demanded, so a passkey is two factors in one. Challenges stand in the database, are
 * answered once, and belong to one browser. Refuses to work where the server is known by an address: browsers do too.
 */
import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import {
  type AuthenticationResponseJSON,
  generateAuthenticationOptions,
  generateRegistrationOptions,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  type RegistrationResponseJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server';
import { Database } from '../../db/database.ts';
import type { Prisma } from '../../generated/prisma/client.ts';
import { Log } from '../../http/problem.filter.ts';
import { Listening } from '../../listening.ts';
import { SystemClock } from '../../time.ts';
import { hashOf } from '../api-tokens.ts';
import { AccountsRepository } from './accounts.repository.ts';
import { type LocalSession, LocalSignIn } from './local-sign-in.ts';

export const CEREMONY_S = 300;
const bytesOf = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text, 'base64url'));

@Injectable()
export class Passkeys {
  constructor(
    private readonly database: Database,
    private readonly repository: AccountsRepository,
    private readonly signIn: LocalSignIn,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  /** Undefined where the server has no name that a passkey could be for. */
  get relyingParty(): { readonly id: string; readonly origin: string } | undefined {
    const { hostname, origin, protocol } = new URL(this.listening.publicUrl());
    if (isIP(hostname.replace(/^\[|\]$/g, '')) !== 0) return undefined;
    return protocol === 'https:' || hostname === 'localhost' ? { id: hostname, origin } : undefined;
  }

  /** @returns options for the browser, and the secret that it keeps as a cookie */
  async begin(
    projectId: string,
  ): Promise<{ readonly options: PublicKeyCredentialRequestOptionsJSON; readonly ceremony: string }> {
    const party = this.#requireParty();
    const options = await generateAuthenticationOptions({
      rpID: party.id,
      userVerification: 'required',
      timeout: CEREMONY_S * 1000,
    });
    const ceremony = randomBytes(32).toString('base64url');
    await this.repository.putCeremony({
      hash: hashOf(ceremony),
      projectId,
      kind: 'sign_in',
      challenge: options.challenge,
      expiresAt: new Date(this.clock.nowMs() + CEREMONY_S * 1000),
    });
    return { options, ceremony };
  }

  /** @throws GatewayError `auth.failed` whatever is wrong */
  async finish(
    ceremony: string | undefined,
    response: AuthenticationResponseJSON,
    requestId: string,
  ): Promise<LocalSession> {
    try {
      return await this.#verify(ceremony ?? '', response, requestId);
    } catch (cause) {
      if (cause instanceof GatewayError && cause.code !== 'auth.failed') throw cause;
      this.log.warn('a sign-in by passkey failed', { requestId, cause });
      throw new GatewayError('auth.failed', {}, { cause });
    }
  }

  async #verify(secret: string, response: AuthenticationResponseJSON, requestId: string): Promise<LocalSession> {
    const party = this.#requireParty();
    const ceremony = await this.repository.takeCeremony(hashOf(secret));
    if (ceremony === null || ceremony.kind !== 'sign_in' || ceremony.expiresAt <= this.clock.now())
      throw new Error('no such challenge');
    const passkey = await this.repository.passkey(bytesOf(response.id));
    if (passkey === null || passkey.projectId !== ceremony.projectId) throw new Error('no such passkey');
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response,
      expectedChallenge: ceremony.challenge,
      expectedOrigin: party.origin,
      expectedRPID: party.id,
      requireUserVerification: true,
      credential: { id: response.id, publicKey: Uint8Array.from(passkey.publicKey), counter: Number(passkey.counter) },
    });
    // A passkey is registered for one account; an authenticator that names another user holds something else.
    const handle = response.response.userHandle;
    if (!verified || (handle !== undefined && handle !== userHandleOf(passkey.account.principalId)))
      throw new Error('not verified');
    return await this.database.transaction(async (tx) => {
      await this.repository.usePasskey(tx, passkey.id, BigInt(authenticationInfo.newCounter), this.clock.now());
      return await this.signIn.open(tx, passkey.account, passkey.account.principal, ['pop', 'user', 'mfa'], requestId);
    });
  }

  /** Options to register one for a principal; undefined where passkeys cannot be used. */
  async registration(
    person: { readonly id: string; readonly name: string },
    has: readonly Uint8Array[],
  ): Promise<PublicKeyCredentialCreationOptionsJSON | undefined> {
    const party = this.relyingParty;
    if (party === undefined) return undefined;
    return await generateRegistrationOptions({
      rpName: 'Sallyport',
      rpID: party.id,
      userName: person.name,
      userDisplayName: person.name,
      userID: bytesOf(userHandleOf(person.id)),
      attestationType: 'none',
      excludeCredentials: has.map((id) => ({ id: Buffer.from(id).toString('base64url') })),
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      timeout: CEREMONY_S * 1000,
    });
  }

  /** @returns what is kept of a new passkey @throws anything when the answer does not prove one */
  async verifyRegistration(
    challenge: string,
    response: RegistrationResponseJSON,
  ): Promise<Pick<Prisma.PasskeyUncheckedCreateInput, 'credentialId' | 'publicKey' | 'counter' | 'transports'>> {
    const party = this.#requireParty();
    const { verified, registrationInfo } = await verifyRegistrationResponse({
      response,
      expectedChallenge: challenge,
      expectedOrigin: party.origin,
      expectedRPID: party.id,
      requireUserVerification: true,
    });
    if (!verified || registrationInfo === undefined) throw new Error('not verified');
    const { credential } = registrationInfo;
    return {
      credentialId: bytesOf(credential.id),
      publicKey: Uint8Array.from(credential.publicKey),
      counter: BigInt(credential.counter),
      transports: [...(credential.transports ?? [])].slice(0, 10),
    };
  }

  #requireParty(): { readonly id: string; readonly origin: string } {
    const party = this.relyingParty;
    if (party === undefined) throw new GatewayError('auth.passkey_unavailable', { url: this.listening.publicUrl() });
    return party;
  }
}

const userHandleOf = (principalId: string): string =>
  Buffer.from(principalId.replaceAll('-', ''), 'hex').toString('base64url');
