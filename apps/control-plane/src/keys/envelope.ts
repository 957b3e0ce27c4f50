/**
 * Secrets at rest: each under a data key of its own, and that under the key-encryption key (KEK), AES-256-GCM both.
 * `context` names what is sealed and is authenticated, so that a row's secret cannot be moved to another row.
 * Box = 1 | first 8 bytes of SHA-256 of the KEK | nonce 12 | wrapped data key 32 + tag 16 | nonce 12 | ciphertext | tag 16.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { GatewayError, Secret, secretKey } from '@sallyport/core';
import { KeyRing } from './key-ring.ts';

const VERSION = 1;
const WRAPPED_AT = 21;
const BODY_AT = 81;
const WRAP_CONTEXT = 'sallyport/data-key/1';

function encrypt(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, context: string): Buffer {
  const cipher = createCipheriv('aes-256-gcm', secretKey(key), nonce).setAAD(Buffer.from(context));
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Uint8Array, nonce: Uint8Array, box: Uint8Array, context: string): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', secretKey(key), nonce)
    .setAAD(Buffer.from(context))
    .setAuthTag(box.subarray(-16));
  return Buffer.concat([decipher.update(box.subarray(0, -16)), decipher.final()]);
}

/** Provided once, by boot. Opens what any key of the ring sealed, and seals under the one that is current. */
export class Envelope {
  readonly ring: KeyRing;
  constructor(keys: Secret<Buffer> | KeyRing) {
    this.ring = keys instanceof KeyRing ? keys : KeyRing.of(keys);
  }

  /** @param context as `credential/<id>`; must be given again to open */
  seal(plain: Uint8Array, context: string): Uint8Array<ArrayBuffer> {
    const dataKey = randomBytes(32);
    const nonce = randomBytes(12);
    const box = Buffer.concat([this.#head(dataKey), nonce, encrypt(dataKey, nonce, plain, context)]);
    dataKey.fill(0);
    return Uint8Array.from(box);
  }

  /** @throws GatewayError `credential.unavailable` when it is damaged, for another context, or under an unknown KEK */
  open(box: Uint8Array, context: string): Secret<Buffer> {
    const bytes = Buffer.from(box);
    const dataKey = this.#dataKey(bytes);
    try {
      return new Secret(decrypt(dataKey, bytes.subarray(WRAPPED_AT + 48, BODY_AT), bytes.subarray(BODY_AT), context));
    } catch (cause) {
      throw new GatewayError('credential.unavailable', { reason: 'damaged or moved' }, { cause });
    } finally {
      dataKey.fill(0);
    }
  }

  /** The same box with its data key under the current KEK; undefined when it is. @throws GatewayError as `open` */
  rewrap(box: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    const bytes = Buffer.from(box);
    const dataKey = this.#dataKey(bytes);
    if (bytes.subarray(1, 9).toString('hex') === this.ring.current.id) return undefined;
    const rest = bytes.subarray(WRAPPED_AT + 48);
    return Uint8Array.from(Buffer.concat([this.#head(dataKey), rest]));
  }

  /** Version, key's id, and the data key wrapped. */
  #head(dataKey: Buffer): Buffer {
    const { id, key } = this.ring.current;
    const wrapNonce = randomBytes(12);
    const wrapped = encrypt(key.reveal(), wrapNonce, dataKey, WRAP_CONTEXT);
    return Buffer.concat([Buffer.of(VERSION), Buffer.from(id, 'hex'), wrapNonce, wrapped]);
  }

  #dataKey(bytes: Buffer): Buffer {
    if (bytes.length < BODY_AT + 16 || bytes[0] !== VERSION)
      throw new GatewayError('credential.unavailable', { reason: 'not a box' });
    const kek = this.ring.find(bytes.subarray(1, 9).toString('hex'));
    if (kek === undefined) throw new GatewayError('credential.unavailable', { reason: 'another key-encryption key' });
    try {
      return decrypt(
        kek.reveal(),
        bytes.subarray(9, WRAPPED_AT),
        bytes.subarray(WRAPPED_AT, WRAPPED_AT + 48),
        WRAP_CONTEXT,
      );
    } catch (cause) {
      throw new GatewayError('credential.unavailable', { reason: 'damaged or moved' }, { cause });
    }
  }
}
