/**
 * Sealing bytes to an X25519 public key, so that only its holder opens them: credentials to an agent, session keys to
 * the control plane. Ephemeral X25519 (RFC 7748) → HKDF-SHA-256 (RFC 5869) → AES-256-GCM.
 * Refuses to know what is sealed; the caller's `context` is bound in, so a sealed box cannot be moved elsewhere.
 * Box = version byte 1 | 32-byte ephemeral public key | 12-byte nonce | ciphertext | 16-byte tag.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { GatewayError } from './errors.ts';
import { secretKey } from './secret-key.ts';

const VERSION = 1;
// DER prefixes of RFC 8410 keys: raw 32 bytes follow.
const SPKI = Buffer.from('302a300506032b656e032100', 'hex');
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');

export interface SealKeyPair {
  /** 32 raw bytes, public. */
  readonly publicKey: Buffer;
  /** 32 raw bytes, secret. */
  readonly privateKey: Buffer;
}

const rawPublic = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' }).subarray(SPKI.length);

/** A fresh X25519 pair as raw bytes. */
export function newSealKeyPair(): SealKeyPair {
  const pair = generateKeyPairSync('x25519');
  return {
    publicKey: rawPublic(pair.publicKey),
    privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(PKCS8.length),
  };
}

const publicOf = (raw: Uint8Array): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI, raw]), format: 'der', type: 'spki' });
const privateOf = (raw: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([PKCS8, raw]), format: 'der', type: 'pkcs8' });

function deriveKey(shared: Buffer, ephemeral: Uint8Array, recipient: Uint8Array, context: string): KeyObject {
  const salt = Buffer.concat([ephemeral, recipient]);
  return secretKey(new Uint8Array(hkdfSync('sha256', secretKey(shared), salt, `sallyport/seal/1/${context}`, 32)));
}

/** Seals `plain` to `recipientPublicKey` (32 raw bytes). `context` names the purpose and must be given again to open. */
export function seal(plain: Uint8Array, recipientPublicKey: Uint8Array, context: string): Buffer {
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  const ephemeral = rawPublic(publicKey);
  const shared = diffieHellman({ privateKey, publicKey: publicOf(recipientPublicKey) });
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', deriveKey(shared, ephemeral, recipientPublicKey, context), nonce);
  const body = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([Buffer.of(VERSION), ephemeral, nonce, body, cipher.getAuthTag()]);
}

/**
 * Opens a box made by `seal`.
 * @throws GatewayError `credential.unavailable` when it is damaged, for another key, or for another context
 */
export function unseal(box: Uint8Array, keys: SealKeyPair, context: string): Buffer {
  try {
    const bytes = Buffer.from(box);
    if (bytes.length < 61 || bytes[0] !== VERSION) throw new Error('not a sealed box');
    const ephemeral = bytes.subarray(1, 33);
    const shared = diffieHellman({ privateKey: privateOf(keys.privateKey), publicKey: publicOf(ephemeral) });
    const decipher = createDecipheriv(
      'aes-256-gcm',
      deriveKey(shared, ephemeral, keys.publicKey, context),
      bytes.subarray(33, 45),
    );
    decipher.setAuthTag(bytes.subarray(-16));
    return Buffer.concat([decipher.update(bytes.subarray(45, -16)), decipher.final()]);
  } catch (cause) {
    throw new GatewayError('credential.unavailable', { reason: 'seal' }, { cause });
  }
}
