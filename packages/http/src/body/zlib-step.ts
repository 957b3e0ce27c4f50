/**
 * One step of zlib, brotli or zstd at a time, synchronously: what a masker needs that gives its bytes at once. Node's streams
 * have it below them (`writeSync` of the binding, which its own `gunzipSync` uses); nothing public steps a stream.
 * Refuses to work where the binding has another form: then nothing is decoded, and what must be masked is refused.
 */
import type { BrotliCompress, BrotliDecompress, Gunzip, Gzip, Inflate, ZstdCompress, ZstdDecompress } from 'node:zlib';

export type Coder = Gunzip | Inflate | BrotliDecompress | ZstdDecompress | Gzip | BrotliCompress | ZstdCompress;

interface Handle {
  onerror: (message: string, errno: number, code: string) => void;
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputBytes: number,
    output: Uint8Array,
    outputAt: number,
    outputBytes: number,
  ): void;
}

const STEP_BYTES = 64 * 1024;
const NOTHING = new Uint8Array(0);

const handleOf = (coder: Coder): Handle | undefined => {
  const handle: unknown = Reflect.get(coder, '_handle');
  const state: unknown = Reflect.get(coder, '_writeState');
  const isKnown = typeof handle === 'object' && handle !== null && 'writeSync' in handle && 'onerror' in handle;
  return isKnown && state instanceof Uint32Array && state.length === 2 ? (handle as Handle) : undefined;
};

/** One direction of one body. */
export class ZlibStep {
  failed = false;
  readonly #coder: Coder;
  readonly #handle: Handle | undefined;
  readonly #state: Uint32Array;
  readonly #output = Buffer.allocUnsafeSlow(STEP_BYTES);
  #closed = false;

  constructor(coder: Coder) {
    this.#coder = coder;
    this.#handle = handleOf(coder);
    this.#state = Reflect.get(coder, '_writeState') as Uint32Array;
    if (this.#handle === undefined) this.failed = true;
    else
      this.#handle.onerror = () => {
        this.failed = true;
      };
  }

  /**
   * Gives what comes of the input in pieces of at most 64 KiB, each lent for the call.
   * @param take false ends it: the rest of the input is dropped
   */
  write(flush: number, input: Uint8Array, take: (piece: Uint8Array) => boolean): void {
    if (this.#handle === undefined || this.failed || this.#closed) return;
    let left = input.length;
    for (;;) {
      this.#handle.writeSync(flush, input, input.length - left, left, this.#output, 0, STEP_BYTES);
      const [room = 0, rest = 0] = this.#state;
      if (this.failed) return;
      const isStuck = room === STEP_BYTES && rest === left;
      left = rest;
      if (room < STEP_BYTES && !take(this.#output.subarray(0, STEP_BYTES - room))) return;
      // Room that is left means that all is out; what is left of the input stands behind the end.
      if (room > 0 || isStuck) return;
    }
  }

  /** Everything that comes of the input, copied. */
  all(flush: number, input: Uint8Array): Uint8Array {
    const parts: Uint8Array[] = [];
    this.write(flush, input, (piece) => parts.push(Uint8Array.from(piece)) > 0);
    return parts.length === 0 ? NOTHING : parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  /** Gives its memory back; nothing is written after it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#coder.close();
  }
}
