/**
 * OpenSSH certificates: of users, which carry an access token that is bound to the certified key, and of agents' host keys.
 * A user's certificate is no right by itself: it is good where, and as long as, the token in it is.
 */
import { createPublicKey, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError, ParseError } from '@sallyport/core';
import { type AccessTokenClaims, parseAccessTokenClaims } from '@sallyport/model';
import {
  certificateBlob,
  certificateToSign,
  certificateType,
  fingerprint,
  jwkThumbprint,
  parsePublicKey,
  parsePublicKeyLine,
  publicKeyBlob,
  publicKeyLine,
  type SshPublicKey,
} from '@sallyport/ssh-certificates';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { recordActOf } from '../acts/acts.ts';
import { Database } from '../db/database.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { IdentityRepository } from '../identity/identity.repository.ts';
import { Keys } from '../keys/keys.ts';
import { BACKDATE_MS, SSH_HOST_CERTIFICATE_MS } from '../keys/purposes.ts';
import type { PublicJwk } from '../keys/signer.ts';
import { SystemClock } from '../time.ts';

/** The extension of a user's certificate that holds its access token. */
export const TOKEN_EXTENSION = 'access-token@sallyport';
const BACKDATE_S = 60;
const P256 = 'ecdsa-sha2-nistp256';

export interface UserCertificate {
  /** A line of a `-cert.pub` file. */
  readonly certificate: string;
  readonly expiresAt: Date;
}

@Injectable()
export class SshCertificates {
  constructor(
    private readonly keys: Keys,
    private readonly identities: IdentityRepository,
    private readonly database: Database,
    private readonly clock: SystemClock,
  ) {}

  /**
   * Certifies a key for the life of an access token that is bound to it (`cnf.jkt`).
   * @throws GatewayError `auth.failed` whatever is wrong with the token; `request.invalid` for a key that is not taken
   */
  async certifyUser(caller: Caller, accessToken: string, line: string): Promise<UserCertificate> {
    const publicKey = readKey(line);
    const claims = await this.#claimsOf(accessToken);
    const mine = claims.sub === caller.principal.id || claims.obo?.sub === caller.principal.id;
    if (!mine || claims.prj !== caller.projectId || claims.cnf?.jkt !== jwkThumbprint(publicKey.key))
      throw new GatewayError('auth.failed', { reason: 'the token is another’s or bound to another key' });
    const resource = await this.identities.resource(caller.projectId, claims.aud);
    if (resource === null) throw new GatewayError('auth.failed', { reason: 'the resource is gone' });
    const blob = await this.#sign('ssh_user_ca', {
      kind: 'user',
      publicKey,
      keyId: claims.jti,
      principals: [resource.name],
      validAfter: claims.iat - BACKDATE_S,
      validBefore: claims.exp,
      extensions: { [TOKEN_EXTENSION]: accessToken },
    });
    await this.database.transaction((tx) =>
      recordActOf(tx, caller, 'ssh.certified', `resource/${resource.name}`, {
        jti: claims.jti,
        key: fingerprint(publicKey.blob),
      }),
    );
    return {
      certificate: publicKeyLine(certificateType(publicKey.type), blob, `${resource.name}@sallyport`),
      expiresAt: new Date(claims.exp * 1000),
    };
  }

  /**
   * Certifies an agent's host key for the names of its record; the request gives nothing but the key.
   * @throws GatewayError `enroll.failed` for bytes that are no key that is taken
   */
  async certifyHost(
    agent: { readonly name: string; readonly names: readonly string[] },
    key: Uint8Array,
  ): Promise<{ readonly certificate: Buffer; readonly notAfter: Date }> {
    let publicKey: SshPublicKey;
    try {
      publicKey = parsePublicKey(key);
    } catch (cause) {
      throw new GatewayError('enroll.failed', { reason: 'ssh host key', agent: agent.name }, { cause });
    }
    const now = this.clock.nowMs();
    const notAfter = new Date(now + SSH_HOST_CERTIFICATE_MS);
    const certificate = await this.#sign('ssh_host_ca', {
      kind: 'host',
      publicKey,
      keyId: agent.name,
      principals: [...new Set(agent.names)],
      validAfter: Math.floor((now - BACKDATE_MS) / 1000),
      validBefore: Math.floor(notAfter.getTime() / 1000),
    });
    return { certificate, notAfter };
  }

  /** Public keys that certify agents' host keys, as lines; the last one signs now. */
  async hostAuthorities(): Promise<readonly string[]> {
    const { all } = await this.keys.sshAuthority('ssh_host_ca');
    return all.map((jwk) => publicKeyLine(P256, blobOf(jwk), 'sallyport-ssh-hosts'));
  }

  async #sign(
    purpose: 'ssh_user_ca' | 'ssh_host_ca',
    request: Omit<Parameters<typeof certificateToSign>[0], 'ca' | 'nonce' | 'serial'>,
  ): Promise<Buffer> {
    const authority = await this.keys.sshAuthority(purpose);
    const signed = certificateToSign({
      ...request,
      ca: blobOf(authority.current),
      nonce: randomBytes(32),
      serial: randomBytes(8).readBigUInt64BE(),
    });
    return certificateBlob(signed, P256, await authority.sign(signed));
  }

  /** An access token of ours that is good now. */
  async #claimsOf(token: string): Promise<AccessTokenClaims> {
    try {
      const keys = (await this.keys.verificationKeys()).filter(({ use }) => use === 'access_token');
      const { payload } = await jwtVerify(token, createLocalJWKSet({ keys: keys.map(({ jwk }) => ({ ...jwk })) }), {
        algorithms: ['ES256'],
        typ: 'at+jwt',
        issuer: this.keys.issuer,
        currentDate: this.clock.now(),
        requiredClaims: ['exp', 'aud', 'sub'],
      });
      return parseAccessTokenClaims(payload, '');
    } catch (cause) {
      throw new GatewayError('auth.failed', { reason: 'no access token that is good now' }, { cause });
    }
  }
}

const blobOf = (jwk: PublicJwk): Buffer => publicKeyBlob(createPublicKey({ key: { ...jwk }, format: 'jwk' }));

function readKey(line: string): SshPublicKey {
  try {
    return parsePublicKeyLine(line);
  } catch (error) {
    if (error instanceof ParseError) throw new InvalidRequest([{ field: 'publicKey', message: error.message }]);
    throw error;
  }
}
