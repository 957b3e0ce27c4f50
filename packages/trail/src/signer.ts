/**
 * Signing and checking signatures over the trail's statements: ES256 or Ed25519, algorithm ids in the bytes.
 * Refuses to know where keys live: an agent gives a KeyObject, the control plane an asynchronous function.
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { broken, sha256 } from './bytes.ts';

export const SIGN_ES256 = 1;
export const SIGN_ED25519 = 2;
export type SignatureAlgorithm = 1 | 2;

/** Who signs: known before the statement is made, since it names them. */
export interface SignerName {
  readonly algorithm: SignatureAlgorithm;
  /** SHA-256 of the public key's SubjectPublicKeyInfo. */
  readonly keyId: Buffer;
}
/** Signs in this process, as agents do. */
export interface SyncSigner extends SignerName {
  sign(bytes: Uint8Array): Buffer;
}
/** Signs somewhere: a file's key, a KMS. ES256 signatures are r and s, 32 bytes each (IEEE P1363). */
export interface AsyncSigner extends SignerName {
  sign(bytes: Uint8Array): Promise<Uint8Array>;
}

export const publicKeyId = (key: KeyObject): Buffer => sha256(key.export({ type: 'spki', format: 'der' }));

/** @throws GatewayError `trail.broken` (`signing-key`) for any other kind of key */
export function algorithmOf(key: KeyObject): SignatureAlgorithm {
  if (key.asymmetricKeyType === 'ed25519') return SIGN_ED25519;
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return SIGN_ES256;
  throw broken('signing-key');
}

/** @param privateKey P-256 or Ed25519 */
export function keySigner(privateKey: KeyObject): SyncSigner {
  const publicKey = createPublicKey(privateKey);
  const algorithm = algorithmOf(publicKey);
  return {
    algorithm,
    keyId: publicKeyId(publicKey),
    sign: (bytes) =>
      algorithm === SIGN_ED25519
        ? sign(null, bytes, privateKey)
        : sign('sha256', bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  };
}

/** False for a wrong signature, and for a key of another algorithm than the statement names. */
export function signatureHolds(algorithm: number, bytes: Uint8Array, signature: Uint8Array, key: KeyObject): boolean {
  if (algorithm !== algorithmOf(key)) return false;
  return algorithm === SIGN_ED25519
    ? verify(null, bytes, key, signature)
    : verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature);
}
