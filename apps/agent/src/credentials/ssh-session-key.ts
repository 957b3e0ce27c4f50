/**
 * A key for one session and the certificate that makes a host take it: signed here with the resource's user CA, or by a
 * source that signs (Vault). It lives for minutes and on no disk. Refuses to sign for another account than the session's.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { GatewayError, Secret } from '@sallyport/core';
import type { SessionInfo } from '@sallyport/model';
import type { UpstreamCredential } from '@sallyport/protocol-kit';
import {
  certificateBlob,
  certificateToSign,
  parsePublicKey,
  publicKeyBlob,
  publicKeyLine,
} from '@sallyport/ssh-certificates';

/** Signing in takes seconds; clocks of hosts differ. */
const TTL_S_DEFAULT = 300;
const BACKDATE_S = 60;

export interface SessionKey {
  readonly privateKey: Secret<string>;
  readonly publicBlob: Buffer;
  /** `ssh-ed25519 AAAA…` */
  readonly publicLine: string;
}

export function newSessionKey(): SessionKey {
  const pair = generateKeyPairSync('ed25519');
  const publicBlob = publicKeyBlob(pair.publicKey);
  return {
    privateKey: new Secret(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string),
    publicBlob,
    publicLine: publicKeyLine('ssh-ed25519', publicBlob),
  };
}

/**
 * @param ca PKCS #8 PEM of an Ed25519 key
 * @throws GatewayError `credential.unavailable`
 */
export function certifiedBy(
  ca: Secret<string>,
  info: SessionInfo,
  settings: Readonly<Record<string, string>>,
  nowMs: number,
): UpstreamCredential {
  const key = newSessionKey();
  try {
    const caKey = createPrivateKey(ca.reveal());
    const now = Math.floor(nowMs / 1000);
    const toSign = certificateToSign({
      kind: 'user',
      publicKey: parsePublicKey(key.publicBlob),
      ca: publicKeyBlob(createPublicKey(caKey)),
      nonce: randomBytes(32),
      serial: randomBytes(8).readBigUInt64BE(),
      // Stands in the host's own log, beside what it did.
      keyId: `sallyport ${info.principal.name} session ${info.id}`,
      principals: [info.role],
      validAfter: now - BACKDATE_S,
      validBefore: now + Number(settings['ttl_seconds'] ?? TTL_S_DEFAULT),
      extensions: { 'permit-port-forwarding': '', 'permit-pty': '', 'permit-user-rc': '' },
    });
    const certificate = certificateBlob(toSign, 'ssh-ed25519', sign(null, toSign, caKey));
    return credentialOf(info.role, key, certificate.toString('base64'));
  } catch (cause) {
    throw new GatewayError(
      'credential.unavailable',
      { kind: 'ssh_ca', reason: 'no certificate could be made' },
      { cause },
    );
  }
}

/** @param certificate base64 of the blob */
export const credentialOf = (username: string, key: SessionKey, certificate: string): UpstreamCredential => ({
  username,
  secret: undefined,
  certificate: false,
  ssh: { privateKey: key.privateKey, certificate },
});
