/**
 * Views of one buffer from its start on, kept by their length: short messages come in few lengths, and a view costs more than
 * their bytes. Refuses to keep long ones.
 */
import type { Buffer } from 'node:buffer';

const KEPT_BYTES_MAX = 2 * 1024;

export class Views {
  readonly #bytes: Buffer;
  /** Made whole: one that is filled here and there becomes a dictionary, which is looked up outside of compiled code. */
  readonly #kept = Array.from<Buffer | undefined>({ length: KEPT_BYTES_MAX + 1 });
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }
  /** Its first `length` bytes. */
  of(length: number): Buffer {
    return length > KEPT_BYTES_MAX
      ? this.#bytes.subarray(0, length)
      : (this.#kept[length] ??= this.#bytes.subarray(0, length));
  }
}
