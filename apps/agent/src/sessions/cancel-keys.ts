/**
 * Keys by which a client on a fresh connection cancels its own running statement (PostgreSQL protocol-flow, Canceling
 * Requests in Progress). A key carries this process's instance in its first byte, so that a misplaced request is seen as
 * one; it is ignored in silence, as is every wrong key. docs/adr/0008.
 */
import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import type { CancelPort } from '@sallyport/protocol-kit';

interface Issued {
  readonly secret: Buffer;
  readonly port: SessionCancel;
}

class SessionCancel implements CancelPort {
  onCancel: (() => void) | undefined;
  readonly #keys: CancelKeys;
  #processId: number | undefined;

  constructor(keys: CancelKeys) {
    this.#keys = keys;
  }

  issue(secretBytes: 4 | 32): { readonly processId: number; readonly secret: Buffer } {
    this.close();
    const issued = this.#keys.issue(secretBytes, this);
    this.#processId = issued.processId;
    return issued;
  }

  request(processId: number, secret: Uint8Array): void {
    this.#keys.request(processId, secret);
  }

  /** The session is over: its key names nothing any more. */
  close(): void {
    if (this.#processId !== undefined) this.#keys.forget(this.#processId);
    this.#processId = undefined;
  }
}

export type { SessionCancel };

const SLOTS = 2 ** 23;

export class CancelKeys {
  /** 0…127, from the instance's name: int32 keys must stay positive for old drivers. */
  readonly #tag: number;
  readonly #issued = new Map<number, Issued>();

  constructor(instance: string) {
    this.#tag = (createHash('sha256').update(instance).digest()[0] as number) & 0x7f;
  }

  /** What a session is given. */
  open(): SessionCancel {
    return new SessionCancel(this);
  }

  issue(secretBytes: 4 | 32, port: SessionCancel): { readonly processId: number; readonly secret: Buffer } {
    let processId = 0;
    do processId = this.#tag * 2 ** 24 + randomInt(1, SLOTS);
    while (this.#issued.has(processId));
    const secret = randomBytes(secretBytes);
    this.#issued.set(processId, { secret, port });
    return { processId, secret };
  }

  request(processId: number, secret: Uint8Array): void {
    const found = this.#issued.get(processId);
    if (found === undefined || found.secret.length !== secret.length || !timingSafeEqual(found.secret, secret)) return;
    found.port.onCancel?.();
  }

  forget(processId: number): void {
    this.#issued.delete(processId);
  }
}
