/**
 * A head that came twice on a connection, as bytes: what begins with the very same bytes is the same head, and neither its end
 * is looked for nor is it made into text. Refuses to keep what came once: most clients of varied requests never repeat one.
 */
import { Buffer } from 'node:buffer';

/** Of what is remembered of a connection; what is longer is read each time. */
export const KNOWN_BYTES_MAX = 8 * 1024;
/** Longer reads come in memory of their own, which would live as long as their connection. */
export const KEPT_CHUNK_MAX = 2 * 1024;

/** @typeParam T what was read of the head; never changed by who is given it */
export class KnownHead<T> {
  #bytes: Buffer | undefined;
  #read: T | undefined;
  /** Where it was looked for last: short reads come as the same few chunks, and a view of one is compared at once. */
  #chunk: Buffer | undefined;
  #from = 0;
  #stretch: Buffer | undefined;

  /** The bytes of the head that `find` has found. */
  get length(): number {
    return this.#bytes?.length ?? 0;
  }

  /** What was read of the head, where it stands in `chunk` at `from`, its empty line included. */
  find(chunk: Buffer, from: number): T | undefined {
    const bytes = this.#bytes;
    if (bytes === undefined) return undefined;
    const { length } = bytes;
    if (chunk.length - from < length) return undefined;
    if (chunk.length === length) return bytes.equals(chunk) ? this.#read : undefined;
    if (chunk === this.#chunk && from === this.#from) {
      this.#stretch ??= chunk.subarray(from, from + length);
      return bytes.equals(this.#stretch) ? this.#read : undefined;
    }
    if (chunk.length <= KEPT_CHUNK_MAX) {
      this.#chunk = chunk;
      this.#from = from;
      this.#stretch = undefined;
    }
    for (let i = 0; i < length; i++) if (bytes[i] !== chunk[from + i]) return undefined;
    return this.#read;
  }

  /** @param end behind its empty line, the only one that the bytes from `from` on have */
  keep(chunk: Buffer, from: number, end: number, read: T): void {
    if (end - from > KNOWN_BYTES_MAX) return;
    // Memory of its own: an idle connection would keep a whole piece of Buffer's pool.
    this.#bytes = Buffer.allocUnsafeSlow(end - from);
    chunk.copy(this.#bytes, 0, from, end);
    this.#read = read;
    this.#chunk = undefined;
  }
}
