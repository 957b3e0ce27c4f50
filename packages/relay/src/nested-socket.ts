/**
 * A client that comes inside another client's session (SSH's ProxyJump): what a socket is to a connection, made of a channel.
 * Refuses TLS: the outer session is encrypted, and what comes brings its own.
 */
import type { NestedClient, NestedWire } from '@sallyport/protocol-kit';
import type { ByteSocketOwner } from './byte-socket.ts';
import type { ClientSocket } from './client-side.ts';

export class NestedSocket implements ClientSocket, NestedClient {
  readonly #wire: NestedWire;
  readonly #owner: ByteSocketOwner;
  #full = false;
  #closed = false;

  constructor(wire: NestedWire, owner: ByteSocketOwner) {
    this.#wire = wire;
    this.#owner = owner;
  }

  get full(): boolean {
    return this.#full;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed) return true;
    this.#full = !this.#wire.write(bytes);
    return !this.#full;
  }

  pause(): void {
    this.#wire.pause();
  }

  resume(): void {
    this.#wire.resume();
  }

  startServerTls(): void {
    this.destroy();
  }

  /** What is queued goes first: the channel sees to it. */
  end(): void {
    this.#wire.end();
    this.closed();
  }

  destroy(): void {
    this.#wire.destroy();
    this.closed();
  }

  // From the outer session.

  bytes(chunk: Buffer): void {
    if (!this.#closed) this.#owner.bytes(chunk);
  }

  drained(): void {
    if (!this.#full || this.#closed) return;
    this.#full = false;
    this.#owner.drained();
  }

  closed(): void {
    if (this.#closed) return;
    this.#closed = true;
    // As a socket's: never inside the call that closes.
    setImmediate(() => this.#owner.closed(undefined));
  }
}
