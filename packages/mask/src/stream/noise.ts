/**
 * Passes over blocks of a stream that are noise (assembly/noise.ts), many at once: compressed and random bytes are most of
 * what is no text. Refuses to decide alone: what it does not pass over is read as everything is; without WebAssembly all is.
 */
import { IN_AT, instantiateKernel, WINDOW_BYTES } from '../kernel.ts';
import { BLOCK_BYTES, RUN } from './binary.ts';

interface NoiseExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  noiseBlocks(this: void, from: number, bytes: number): number;
}

let exports: NoiseExports | 'absent' | undefined;
let memory: Buffer = Buffer.alloc(0);

/** Looks into one input, which is read for the call of its owner only: made anew for each. */
export class Noise {
  readonly #input: Uint8Array;
  #loadedFrom = 0;
  #loadedTo = 0;

  constructor(input: Uint8Array) {
    this.#input = input;
  }

  /** @returns where reading goes on: `at`, or a whole number of blocks behind it, where no run goes on */
  skip(at: number): number {
    const input = this.#input;
    // A run that has begun before is read on.
    if (RUN[input[at]!] === 1 || input.length - at < BLOCK_BYTES) return at;
    exports ??= open();
    if (exports === 'absent') return at;
    if (at < this.#loadedFrom || at + BLOCK_BYTES > this.#loadedTo) {
      this.#loadedFrom = at;
      this.#loadedTo = Math.min(input.length, at + WINDOW_BYTES);
      memory.set(input.subarray(at, this.#loadedTo), IN_AT);
    }
    let to = at + exports.noiseBlocks(IN_AT + at - this.#loadedFrom, this.#loadedTo - at) * BLOCK_BYTES;
    while (to > at && RUN[input[to - 1]!] === 1) to -= BLOCK_BYTES;
    return to;
  }
}

function open(): NoiseExports | 'absent' {
  const made = instantiateKernel();
  if (made === undefined) return 'absent';
  const opened = made as NoiseExports;
  memory = Buffer.from(opened.memory.buffer);
  return opened;
}
