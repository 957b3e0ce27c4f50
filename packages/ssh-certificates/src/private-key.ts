/**
 * Private keys: as they sign, and an Ed25519 one as OpenSSH keeps it in a file (OpenSSH PROTOCOL.key), without a passphrase: its
 * older versions read no other form of that kind. Refuses to read such a file.
 */
import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { ParseError } from '@sallyport/core';
import { publicKeyBlob } from './public-key.ts';
import { wireString, wireUint32 } from './wire.ts';

/** A private key as it signs. */
export interface PrivateKey {
  /** `ssh-ed25519`, `ecdsa-sha2-nistp256`, …, `ssh-rsa`. */
  readonly type: string;
  readonly key: KeyObject;
  /** Its public half (RFC 4253 section 6.6). */
  readonly blob: Buffer;
}

/** @throws ParseError for a kind of key that is not used here */
export function privateKeyOf(key: KeyObject): PrivateKey {
  const blob = publicKeyBlob(createPublicKey(key));
  return { type: blob.toString('latin1', 4, 4 + blob.readUInt32BE(0)), key, blob };
}

const MAGIC = Buffer.from('openssh-key-v1\0');
const BLOCK = 8;
const LINE = 70;

/** The file's text. @throws ParseError for any key but an Ed25519 one */
export function opensshPrivateKey(key: KeyObject, comment: string): string {
  const { kty, crv, d, x } = key.export({ format: 'jwk' });
  if (kty !== 'OKP' || crv !== 'Ed25519' || d === undefined || x === undefined)
    throw new ParseError('key', 'an Ed25519 private key is expected');
  const check = randomBytes(4);
  const publicBytes = Buffer.from(x, 'base64url');
  const inner = Buffer.concat([
    check,
    check,
    wireString('ssh-ed25519'),
    wireString(publicBytes),
    wireString(Buffer.concat([Buffer.from(d, 'base64url'), publicBytes])),
    wireString(comment),
  ]);
  const padding = Buffer.from(Array.from({ length: (BLOCK - (inner.length % BLOCK)) % BLOCK }, (_, i) => i + 1));
  const body = Buffer.concat([
    MAGIC,
    wireString('none'),
    wireString('none'),
    wireString(''),
    wireUint32(1),
    wireString(publicKeyBlob(createPublicKey(key))),
    wireString(Buffer.concat([inner, padding])),
  ]);
  const lines = body.toString('base64').match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join('\n')}\n-----END OPENSSH PRIVATE KEY-----\n`;
}
