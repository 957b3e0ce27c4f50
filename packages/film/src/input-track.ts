/**
 * What of a client's typing may be recorded: what came back as an echo, and control keys. A password is typed while nothing is
 * echoed, so it never is. Refuses to know terminals' settings, which do not travel over the wire.
 */

/** Typed bytes that wait for their echo. */
const PENDING_BYTES_MAX = 4_096;

export class InputTrack {
  #pending: number[] = [];

  /** What was typed. @returns what may be recorded at once: keys that are no characters, with what was echoed before */
  typed(bytes: Uint8Array): Uint8Array {
    const out: number[] = [];
    for (const byte of bytes) {
      const isCharacter = byte >= 0x20 && byte !== 0x7f;
      if (isCharacter) {
        if (this.#pending.length < PENDING_BYTES_MAX) this.#pending.push(byte);
        continue;
      }
      // A line that ends before anything of it came back was not to be seen, or its echo is on its way: neither is kept.
      if (byte === 13 || byte === 10 || byte === 3 || byte === 4) this.#pending = [];
      if (this.#pending.length === 0) out.push(byte);
    }
    return Uint8Array.from(out);
  }

  /** What came back. @returns typed bytes that it echoes */
  output(bytes: Uint8Array): Uint8Array {
    if (this.#pending.length === 0) return NOTHING;
    const out: number[] = [];
    for (const byte of bytes) {
      if (byte !== this.#pending[0]) continue;
      out.push(byte);
      this.#pending.shift();
      if (this.#pending.length === 0) break;
    }
    return Uint8Array.from(out);
  }
}

const NOTHING = new Uint8Array(0);
