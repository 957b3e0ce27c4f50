/**
 * The key of one session in one process: encrypts its payloads and recording, and travels sealed to the control plane.
 * Refuses to know what it encrypts. A writer's key never goes back in its keystream; a key opened from a box can only read,
 * so that no two writers share a keystream. docs/reference/trail-format.md, Session keys.
 */
import { type Cipheriv, createCipheriv, createDecipheriv, type Decipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { parseUuid, type SealKeyPair, seal, secretKey, unseal } from '@sallyport/core';
import { broken, sha256, ZERO16 } from './bytes.ts';

const NO_BYTES = Buffer.alloc(0);
/** What a cipher turns into keystream. A call of the cipher costs as much as this many bytes. */
const ZEROS = Buffer.alloc(2 * 1024);
/** key id | session id | box | check */
export const KEY_RECORD_BYTES = 16 + 16 + 93 + 8;

const derive = (secret: Uint8Array, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secretKey(secret), NO_BYTES, `sallyport/trail/${purpose}/1`, 32));
const keyIdOf = (secret: Uint8Array): Buffer =>
  sha256(Buffer.concat([Buffer.from('sallyport/trail/key-id/1\0'), secret])).subarray(0, 16);
const contextOf = (keyId: Buffer): string => `trail/${keyId.toString('hex')}`;

export class SessionKey {
  /** 16 bytes; zero for a key that belongs to an epoch and not to a session. */
  readonly sessionId: Buffer;
  readonly keyId: Buffer;
  readonly #secret: Buffer;
  readonly #cipher: Cipheriv;
  #offset = 0;
  /** Keystream made ahead, and how much of it is used: most payloads are far shorter than a call of the cipher is worth. */
  #ahead: Buffer = NO_BYTES;
  #used = 0;

  /**
   * @param sessionId UUID text, '' for an epoch's own key
   * @param secret 32 random bytes, never used before; fresh ones when left out
   * @throws GatewayError `trail.broken` (`key`) when either is malformed
   */
  constructor(sessionId: string, secret: Buffer = randomBytes(32)) {
    const id = sessionId === '' ? ZERO16 : parseUuid(sessionId);
    if (id === undefined || secret.length !== 32) throw broken('key');
    this.sessionId = Buffer.from(id);
    this.keyId = keyIdOf(secret);
    this.#secret = secret;
    this.#cipher = createCipheriv('aes-256-ctr', secretKey(derive(secret, 'events')), ZERO16);
  }
  /** Bytes encrypted so far: the offset of the next payload. */
  get offset(): number {
    return this.#offset;
  }
  /** The next bytes of the keystream over `plain`, written at `at`. */
  encryptInto(plain: Uint8Array, into: Buffer, at: number): void {
    this.#offset += plain.length;
    const short = Math.min(plain.length, this.#ahead.length - this.#used);
    this.#xor(plain, 0, short, into, at);
    if (short === plain.length) return;
    if (plain.length - short >= ZEROS.length) {
      into.set(this.#cipher.update(plain.subarray(short)), at + short);
      return;
    }
    this.#ahead = this.#cipher.update(ZEROS);
    this.#used = 0;
    this.#xor(plain, short, plain.length, into, at);
  }
  #xor(plain: Uint8Array, from: number, to: number, into: Buffer, at: number): void {
    const ahead = this.#ahead;
    let used = this.#used;
    for (let i = from; i < to; i++) into[at + i] = plain[i]! ^ ahead[used++]!;
    this.#used = used;
  }
  /** For the recording of this session alone. */
  recordingKey(): Buffer {
    return derive(this.#secret, 'recording');
  }
  /** The body of this key's record. @param trailSealKey the control plane's public key, 32 bytes */
  sealTo(trailSealKey: Uint8Array): Buffer {
    const box = seal(this.#secret, trailSealKey, contextOf(this.keyId));
    const body = Buffer.concat([this.keyId, this.sessionId, box]);
    return Buffer.concat([body, sha256(body).subarray(0, 8)]);
  }
  /** A reader of what this key wrote; for replay in the same process and for tests. */
  reader(): SessionKeyReader {
    return new SessionKeyReader(this.#secret);
  }
}

/** Reads with a session key that was opened from its box. */
export class SessionKeyReader {
  readonly keyId: Buffer;
  readonly #secret: Buffer;
  #events: Buffer | undefined;
  #decipher: Decipheriv | undefined;
  /** Where `#decipher` stands in the keystream. */
  #at = 0;
  constructor(secret: Buffer) {
    this.#secret = secret;
    this.keyId = keyIdOf(secret);
  }
  /**
   * Payloads read in the order they were written share one cipher: setting one up costs more than a payload.
   * @param offset where the payload starts in the keystream
   */
  decrypt(offset: number, payload: Uint8Array): Buffer {
    if (this.#decipher === undefined || offset !== this.#at) this.#decipher = this.#cipherAt(offset);
    this.#at = offset + payload.length;
    return this.#decipher.update(payload);
  }
  #cipherAt(offset: number): Decipheriv {
    this.#events ??= derive(this.#secret, 'events');
    const counter = Buffer.alloc(16);
    const block = Math.floor(offset / 16);
    counter.writeUInt32BE(Math.floor(block / 2 ** 32), 8);
    counter.writeUInt32BE(block % 2 ** 32, 12);
    const decipher = createDecipheriv('aes-256-ctr', secretKey(this.#events), counter);
    decipher.update(Buffer.alloc(offset % 16));
    return decipher;
  }
  recordingKey(): Buffer {
    return derive(this.#secret, 'recording');
  }
}

export interface KeyRecord {
  readonly keyId: Buffer;
  readonly sessionId: Buffer;
  /** Opened by the holder of the trail seal key alone. */
  readonly box: Buffer;
}

/** @throws GatewayError `trail.broken` (`key-record`) */
export function parseKeyRecord(body: Buffer): KeyRecord {
  if (body.length !== KEY_RECORD_BYTES) throw broken('key-record');
  if (!sha256(body.subarray(0, -8)).subarray(0, 8).equals(body.subarray(-8))) throw broken('key-record');
  return { keyId: body.subarray(0, 16), sessionId: body.subarray(16, 32), box: body.subarray(32, -8) };
}

/**
 * Opens a session key.
 * @throws GatewayError `credential.unavailable` when the box is not for `keys`; `trail.broken` (`key`) when it holds another key
 */
export function openSessionKey(record: Pick<KeyRecord, 'keyId' | 'box'>, keys: SealKeyPair): SessionKeyReader {
  const reader = new SessionKeyReader(unseal(record.box, keys, contextOf(Buffer.from(record.keyId))));
  if (!reader.keyId.equals(record.keyId)) throw broken('key');
  return reader;
}
