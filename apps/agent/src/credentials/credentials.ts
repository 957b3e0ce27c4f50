/**
 * Upstream secrets: stored ones sealed to this agent, or references it resolves itself. Held as boxes, opened for one
 * sign-in at a time. Refuses to cache a secret in clear, to log one, and to pass one to a child's environment.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type ControlMessage, wire } from '@sallyport/contract';
import { GatewayError, type SealKeyPair, Secret, unseal } from '@sallyport/core';
import type { Resource } from '@sallyport/model';
import type { UpstreamCredential } from '@sallyport/protocol-kit';
import type { BundleStore } from '../bundle/store.ts';

type CredentialsMessage = NonNullable<Extract<ControlMessage, { body?: 'credentials' }>['credentials']>;

const FILE_BYTES_MAX = 64 * 1024;

export class Credentials {
  readonly #store: BundleStore;
  readonly #keys: SealKeyPair;
  #boxes: ReadonlyMap<string, Uint8Array> = new Map();

  constructor(store: BundleStore, keys: SealKeyPair) {
    this.#store = store;
    this.#keys = keys;
    const stored = store.credentials();
    if (stored !== undefined) this.#take(wire.Credentials.decode(stored));
  }

  /** The control plane sent the whole set that this agent needs now. */
  replace(message: CredentialsMessage): void {
    this.#take(message);
    this.#store.putCredentials(wire.Credentials.encode(message).finish());
  }

  #take(message: CredentialsMessage): void {
    this.#boxes = new Map((message.credentials ?? []).map(({ id, box }) => [id ?? '', box ?? new Uint8Array()]));
  }

  /** For one sign-in at the server. @throws GatewayError `credential.unavailable` */
  async forResource(resource: Resource): Promise<UpstreamCredential> {
    const { kind, username, reference = '', certificate = false } = resource.credential;
    const unavailable = (reason: string, cause?: unknown): GatewayError =>
      new GatewayError('credential.unavailable', { resource: resource.name, kind, reason }, { cause });
    switch (kind) {
      case 'none':
        return { username, secret: undefined, certificate: false };
      case 'stored': {
        const box = this.#boxes.get(reference);
        if (box === undefined) throw unavailable('not here');
        const secret = new Secret(unseal(box, this.#keys, `credential/${reference}`).toString('utf8'));
        return { username, secret, certificate };
      }
      case 'env': {
        const value = process.env[reference];
        if (value === undefined || value === '') throw unavailable('variable not set');
        return { username, secret: new Secret(value), certificate };
      }
      case 'file': {
        if (!path.isAbsolute(reference)) throw unavailable('path not absolute');
        try {
          const bytes = await readFile(reference);
          if (bytes.length > FILE_BYTES_MAX) throw new Error('file too large');
          return { username, secret: new Secret(bytes.toString('utf8').replace(/\r?\n$/, '')), certificate };
        } catch (cause) {
          throw unavailable('file cannot be read', cause);
        }
      }
      default:
        return kind satisfies never;
    }
  }
}
