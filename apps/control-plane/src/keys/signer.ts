/**
 * The port all signing goes through, by key id: private keys sealed in the database now, a KMS later (one more class).
 * Asynchronous by contract. Refuses to know what is signed or which key is current.
 */
import { webcrypto } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { Envelope } from './envelope.ts';

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256' } as const;

export interface PublicJwk {
  readonly kty: string;
  readonly crv: string;
  readonly x: string;
  readonly y?: string;
}
export interface StoredKey {
  readonly id: string;
  readonly sealed: Uint8Array;
}

export abstract class Signer {
  /** Makes a P-256 key. @returns its public half, and what to store to use it again (empty where the store is elsewhere) */
  abstract create(id: string): Promise<{ readonly publicJwk: PublicJwk; readonly sealed: Uint8Array<ArrayBuffer> }>;
  /** ES256 over `bytes`: 64 bytes, IEEE P1363. @throws GatewayError `credential.unavailable` */
  abstract sign(key: StoredKey, bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
}

/** The public fields of a JWK and nothing else. */
export const publicOf = (jwk: webcrypto.JsonWebKey): PublicJwk => ({
  kty: jwk.kty!,
  crv: jwk.crv!,
  x: jwk.x!,
  ...(jwk.y === undefined ? {} : { y: jwk.y }),
});

@Injectable()
export class SealedSigner extends Signer {
  readonly #envelope: Envelope;
  readonly #opened = new Map<string, Promise<webcrypto.CryptoKey>>();
  constructor(envelope: Envelope) {
    super();
    this.#envelope = envelope;
  }

  override async create(id: string): Promise<{ publicJwk: PublicJwk; sealed: Uint8Array<ArrayBuffer> }> {
    const pair = await webcrypto.subtle.generateKey(ECDSA, true, ['sign', 'verify']);
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', pair.privateKey);
    const jwk = await webcrypto.subtle.exportKey('jwk', pair.publicKey);
    return { publicJwk: publicOf(jwk), sealed: this.#envelope.seal(new Uint8Array(pkcs8), `signing-key/${id}`) };
  }

  override async sign(key: StoredKey, bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    if (key.sealed.length === 0)
      throw new GatewayError('credential.unavailable', { key: key.id, reason: 'the key is offline' });
    let opened = this.#opened.get(key.id);
    if (opened === undefined) {
      const pkcs8 = this.#envelope.open(key.sealed, `signing-key/${key.id}`);
      opened = webcrypto.subtle.importKey('pkcs8', Uint8Array.from(pkcs8.reveal()), ECDSA, false, ['sign']);
      this.#opened.set(key.id, opened);
    }
    return new Uint8Array(
      await webcrypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, await opened, Uint8Array.from(bytes)),
    );
  }
}
