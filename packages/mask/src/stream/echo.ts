/**
 * How much of a stream's end is the echo of what its reader typed: that is known to him, and must not wait. Refuses to
 * know terminals' settings: an echo is what comes back in the same order.
 */
const TYPED_BYTES_MAX = 256;
const ESC = 0x1b;

export class EchoTrack {
  readonly #typed: number[] = [];
  /** Bytes at the stream's end that are echo. */
  count = 0;

  typed(bytes: Uint8Array): void {
    for (const byte of bytes) if (byte >= 32 && byte !== 127) this.#typed.push(byte);
    if (this.#typed.length > TYPED_BYTES_MAX) this.#typed.splice(0, this.#typed.length - TYPED_BYTES_MAX);
  }

  /** Call for all that comes, in order. */
  came(chunk: Uint8Array): void {
    if (this.#typed.length === 0 || chunk.length > TYPED_BYTES_MAX) {
      this.count = 0;
      return;
    }
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      // Colours and the like stand between.
      if (byte === ESC && chunk[at + 1] === 0x5b) {
        at += 2;
        while (at < chunk.length && (chunk[at]! < 0x40 || chunk[at]! > 0x7e)) at++;
        continue;
      }
      if (byte < 32 || byte === 127) continue;
      const found = this.#typed.indexOf(byte);
      if (found < 0) this.count = 0;
      else {
        this.#typed.splice(0, found + 1);
        this.count++;
      }
    }
  }
}
