/**
 * Secrets at rest: each under a data key of its own, and that under the key-encryption key (KEK), AES-256-GCM both.
 * `context` names what is sealed and is authenticated, so that a row's secret cannot be moved to another row.
 * Box = 1 | first 8 bytes of SHA-256 of the KEK | nonce 12 | wrapped data key 32 + tag 16 | nonce 12 | ciphertext | tag 16.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { GatewayError, Secret } from '@sallyport/core';
import { parseKek } from '../config.ts';

const VERSION = 1;
const WRAPPED_AT = 21;
const BODY_AT = 81;

function encrypt(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, context: string): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: Uint8Array, nonce: Uint8Array, box: Uint8Array, context: string): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce)
    .setAAD(Buffer.from(context))
    .setAuthTag(box.subarray(-16));
  return Buffer.concat([decipher.update(box.subarray(0, -16)), decipher.final()]);
}

/** Provided once, by boot. */
export class Envelope {
  readonly #kek: Secret<Buffer>;
  readonly #id: Buffer;
  constructor(kek: Secret<Buffer>) {
    this.#kek = kek;
    this.#id = createHash('sha256').update('sallyport/kek/1').update(kek.reveal()).digest().subarray(0, 8);
  }

  /** @param context as `credential/<id>`; must be given again to open */
  seal(plain: Uint8Array, context: string): Uint8Array<ArrayBuffer> {
    const dataKey = randomBytes(32);
    const wrapNonce = randomBytes(12);
    const nonce = randomBytes(12);
    const wrapped = encrypt(this.#kek.reveal(), wrapNonce, dataKey, 'sallyport/data-key/1');
    return Uint8Array.from(
      Buffer.concat([Buffer.of(VERSION), this.#id, wrapNonce, wrapped, nonce, encrypt(dataKey, nonce, plain, context)]),
    );
  }

  /** @throws GatewayError `credential.unavailable` when it is damaged, for another context, or under another KEK */
  open(box: Uint8Array, context: string): Secret<Buffer> {
    const bytes = Buffer.from(box);
    if (bytes.length < BODY_AT + 16 || bytes[0] !== VERSION)
      throw new GatewayError('credential.unavailable', { reason: 'not a box' });
    if (!bytes.subarray(1, 9).equals(this.#id))
      throw new GatewayError('credential.unavailable', { reason: 'another key-encryption key' });
    try {
      const dataKey = decrypt(
        this.#kek.reveal(),
        bytes.subarray(9, WRAPPED_AT),
        bytes.subarray(WRAPPED_AT, WRAPPED_AT + 48),
        'sallyport/data-key/1',
      );
      return new Secret(decrypt(dataKey, bytes.subarray(WRAPPED_AT + 48, BODY_AT), bytes.subarray(BODY_AT), context));
    } catch (cause) {
      throw new GatewayError('credential.unavailable', { reason: 'damaged or moved' }, { cause });
    }
  }
}

/**
 * The KEK from the environment, else from its file, which is made (0600) only for a database that holds no secrets yet.
 * @throws GatewayError `config.invalid` when it is missing, readable by others, or malformed
 */
export function loadKek(given: Secret<Buffer> | undefined, file: string, mayMake: boolean): Secret<Buffer> {
  if (given !== undefined) return given;
  if (!existsSync(file)) {
    if (!mayMake) {
      throw new GatewayError('config.invalid', {
        name: 'SALLYPORT_KEK',
        file,
        remedy: 'the database holds secrets: give the key-encryption key it was made with',
      });
    }
    mkdirSync(path.dirname(file), { recursive: true });
    try {
      writeFileSync(file, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
      chmodSync(file, 0o600);
    } catch (error) {
      // Another process of this folder was first: its key is read below.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  if ((statSync(file).mode & 0o077) !== 0) {
    throw new GatewayError('config.invalid', {
      name: 'SALLYPORT_KEK_FILE',
      file,
      remedy: 'others may read it: chmod 600',
    });
  }
  return parseKek('SALLYPORT_KEK_FILE', readFileSync(file, 'utf8'));
}
