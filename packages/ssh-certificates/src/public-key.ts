/**
 * Public keys and signatures as SSH writes them (RFC 4253 section 6.6, RFC 5656, RFC 8332, RFC 8709) and node's KeyObjects.
 * Only what is modern: Ed25519, ECDSA on the NIST curves, RSA from 3072 bits with SHA-2. Refuses DSA, SHA-1 and short keys.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { ParseError } from '@sallyport/core';
import { WireReader, wireString } from './wire.ts';

export const RSA_BITS_MIN = 3_072;
const CURVES: Readonly<Record<string, { readonly crv: string; readonly hash: string; readonly bytes: number }>> = {
  nistp256: { crv: 'P-256', hash: 'sha256', bytes: 32 },
  nistp384: { crv: 'P-384', hash: 'sha384', bytes: 48 },
  nistp521: { crv: 'P-521', hash: 'sha512', bytes: 66 },
};
const RSA_HASHES: Readonly<Record<string, string>> = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' };
const UNCOMPRESSED_POINT = 4;

export interface SshPublicKey {
  /** `ssh-ed25519`, `ecdsa-sha2-nistp256`, …, `ssh-rsa`. */
  readonly type: string;
  readonly blob: Buffer;
  readonly key: KeyObject;
}

/** What follows the type's name in a key's blob, and in a certificate's: how many strings it is. */
const FIELDS: Readonly<Record<string, number>> = {
  'ssh-ed25519': 1,
  'ecdsa-sha2-nistp256': 2,
  'ecdsa-sha2-nistp384': 2,
  'ecdsa-sha2-nistp521': 2,
  'ssh-rsa': 2,
};
/** @throws ParseError for a type that is not taken */
export function requireKeyFields(type: string): number {
  const fields = Object.hasOwn(FIELDS, type) ? FIELDS[type] : undefined;
  if (fields === undefined) throw new ParseError('key', `keys of type ${type.slice(0, 60)} are not taken`);
  return fields;
}

/** A number without its leading zeros. @throws ParseError for a negative one */
function magnitude(bytes: Buffer): Buffer {
  if (bytes.length === 0 || (bytes[0]! & 0x80) !== 0) throw new ParseError('key', 'a number is not positive');
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at++;
  return bytes.subarray(at);
}

/** @throws ParseError for malformed bytes, a type that is not taken, and keys that are too short */
export function parsePublicKey(blob: Uint8Array): SshPublicKey {
  const reader = new WireReader(blob, 'key');
  const type = reader.text();
  requireKeyFields(type);
  const jwk = readJwk(type, reader);
  reader.end();
  try {
    return { type, blob: Buffer.from(blob), key: createPublicKey({ key: jwk, format: 'jwk' }) };
  } catch {
    throw new ParseError('key', 'the key is no valid one');
  }
}

function readJwk(type: string, reader: WireReader): Record<string, string> {
  if (type === 'ssh-ed25519') return { kty: 'OKP', crv: 'Ed25519', x: reader.string().toString('base64url') };
  if (type === 'ssh-rsa') {
    const [e, n] = [magnitude(reader.string()), magnitude(reader.string())];
    const bits = n.length * 8 - Math.clz32(n[0]!) + 24;
    if (bits < RSA_BITS_MIN) throw new ParseError('key', `RSA keys have at least ${RSA_BITS_MIN} bits`);
    return { kty: 'RSA', e: e.toString('base64url'), n: n.toString('base64url') };
  }
  const name = reader.text();
  const curve = Object.hasOwn(CURVES, name) ? CURVES[name] : undefined;
  const point = reader.string();
  if (curve === undefined || type !== `ecdsa-sha2-${name}`) throw new ParseError('key', 'the curve is not its type’s');
  if (point.length !== 1 + 2 * curve.bytes || point[0] !== UNCOMPRESSED_POINT)
    throw new ParseError('key', 'the point is not an uncompressed one');
  const [x, y] = [point.subarray(1, 1 + curve.bytes), point.subarray(1 + curve.bytes)];
  return { kty: 'EC', crv: curve.crv, x: x.toString('base64url'), y: y.toString('base64url') };
}

/** The blob of an Ed25519 or P-256 key, the two kinds made here. @throws ParseError for any other kind */
export function publicKeyBlob(key: KeyObject): Buffer {
  const { kty, crv, x = '', y = '' } = key.export({ format: 'jwk' });
  const bytes = (text: string): Buffer => Buffer.from(text, 'base64url');
  if (kty === 'OKP' && crv === 'Ed25519') return Buffer.concat([wireString('ssh-ed25519'), wireString(bytes(x))]);
  if (kty !== 'EC' || crv !== 'P-256') throw new ParseError('key', 'an Ed25519 or P-256 key is expected');
  const point = Buffer.concat([Buffer.from([UNCOMPRESSED_POINT]), bytes(x), bytes(y)]);
  return Buffer.concat([wireString('ecdsa-sha2-nistp256'), wireString('nistp256'), wireString(point)]);
}

/** A signature of such a key as SSH writes it. @param signature 64 bytes: raw Ed25519, or r and s of P-256 (IEEE P1363) */
export function signatureBlob(type: 'ssh-ed25519' | 'ecdsa-sha2-nistp256', signature: Uint8Array): Buffer {
  if (type === 'ssh-ed25519') return Buffer.concat([wireString(type), wireString(signature)]);
  const [r, s] = [signature.subarray(0, 32), signature.subarray(32)];
  return Buffer.concat([wireString(type), wireString(Buffer.concat([wireNumber(r), wireNumber(s)]))]);
}

/** A positive number (RFC 4251 mpint): no leading zeros, but one where the highest bit would mean a sign. */
function wireNumber(bytes: Uint8Array): Buffer {
  const short = magnitude(Buffer.concat([Buffer.alloc(1), bytes]));
  return wireString((short[0]! & 0x80) === 0 ? short : Buffer.concat([Buffer.alloc(1), short]));
}

/**
 * A line of a public-key file: `<type> <base64> [comment]`, without options before it.
 * @throws ParseError
 */
export function parsePublicKeyLine(line: string): SshPublicKey {
  const [type, base64 = ''] = line.trim().split(/[ \t]+/);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw new ParseError('key', 'write it as `<type> <base64>`');
  const key = parsePublicKey(Buffer.from(base64, 'base64'));
  if (key.type !== type) throw new ParseError('key', 'the type before the key is not the key’s');
  return key;
}
export const publicKeyLine = (type: string, blob: Uint8Array, comment = ''): string =>
  `${type} ${Buffer.from(blob).toString('base64')}${comment === '' ? '' : ` ${comment}`}`;

/** `SHA256:…` as ssh-keygen prints it. */
export const fingerprint = (blob: Uint8Array): string =>
  `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;

/** The JWK thumbprint of a key (RFC 7638), base64url: what an access token's `cnf.jkt` names. */
export function jwkThumbprint(key: KeyObject): string {
  const jwk = key.export({ format: 'jwk' });
  const members =
    jwk.kty === 'RSA' ? ['e', 'kty', 'n'] : jwk.kty === 'EC' ? ['crv', 'kty', 'x', 'y'] : ['crv', 'kty', 'x'];
  const canonical = JSON.stringify(Object.fromEntries(members.map((name) => [name, jwk[name]])));
  return createHash('sha256').update(canonical).digest('base64url');
}

/** A signature blob: algorithm and signature. False for an algorithm that is not the key's or not taken. Never throws. */
export function signatureHolds(publicKey: SshPublicKey, data: Uint8Array, signature: Uint8Array): boolean {
  try {
    const reader = new WireReader(signature, 'signature');
    const algorithm = reader.text();
    const bytes = reader.string();
    reader.end();
    return holds(publicKey, algorithm, data, bytes);
  } catch {
    return false;
  }
}

function holds({ type, key }: SshPublicKey, algorithm: string, data: Uint8Array, bytes: Buffer): boolean {
  if (type === 'ssh-ed25519') return algorithm === type && verify(null, data, key, bytes);
  if (type === 'ssh-rsa') {
    const hash = Object.hasOwn(RSA_HASHES, algorithm) ? RSA_HASHES[algorithm] : undefined;
    return hash !== undefined && verify(hash, data, key, bytes);
  }
  const curve = CURVES[type.slice('ecdsa-sha2-'.length)];
  if (curve === undefined || algorithm !== type) return false;
  const reader = new WireReader(bytes, 'signature');
  const parts = [magnitude(reader.string()), magnitude(reader.string())];
  reader.end();
  if (parts.some((part) => part.length > curve.bytes)) return false;
  const plain = Buffer.concat(parts.map((part) => Buffer.concat([Buffer.alloc(curve.bytes - part.length), part])));
  return verify(curve.hash, data, { key, dsaEncoding: 'ieee-p1363' }, plain);
}
