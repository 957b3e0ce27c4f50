/**
 * A stream for node:http2 over bytes that come and go by calls: what a socket would be. Keeps the pace both ways.
 * Refuses to know where the bytes are from.
 */
import { Duplex } from 'node:stream';

export interface BytesOwner {
  /** Takes the bytes at once; false = stop until `writable`. */
  write(bytes: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes. */
  end(): void;
}

export class BytesDuplex extends Duplex {
  readonly #owner: BytesOwner;
  #waiting: (() => void) | undefined;
  #paused = false;

  constructor(owner: BytesOwner) {
    super({ allowHalfOpen: false, highWaterMark: 256 * 1024 });
    this.#owner = owner;
  }

  /** Lent for the call. */
  receive(chunk: Buffer): void {
    if (this.destroyed || this.readableEnded) return;
    if (!this.push(Buffer.from(chunk)) && !this.#paused) {
      this.#paused = true;
      this.#owner.pause();
    }
  }

  /** The peer's queue is empty again. */
  drained(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  /** The peer is gone. */
  gone(): void {
    this.drained();
    if (!this.destroyed) this.push(null);
    this.destroy();
  }

  override _read(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#owner.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#owner.write(chunk)) done();
    else this.#waiting = done;
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    const bytes =
      chunks.length === 1 ? (chunks[0] as { chunk: Buffer }).chunk : Buffer.concat(chunks.map(({ chunk }) => chunk));
    if (this.#owner.write(bytes)) done();
    else this.#waiting = done;
  }

  override _final(done: () => void): void {
    this.#owner.end();
    done();
  }
}
