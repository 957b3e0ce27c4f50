/**
 * Walks a stream's bytes with the automaton: over blocks that are noise and bytes that are in no run without looking at
 * them, to the next place where something may stand. In WebAssembly where there is some (scan-kernel.ts), else here, with
 * the same answers. Refuses to know what is done at such a place.
 */
import { BLOCK_BYTES, isBinaryBlock, nextRun, RUN, type Words, wordsOf } from './binary.ts';
import { CLASS_BITS, type Prefilter, STOP } from './prefilter.ts';

/** Looks into one input, which is read for the call of its owner only. */
export interface Scan {
  /** Where `run` stopped, and the automaton's state before that byte. */
  readonly at: number;
  readonly state: number;
  /** @returns `MAY_HOLD` or `ACTS` for the byte that it stopped at; `END` at the input's end */
  run(at: number, state: number): number;
}

export const END = 0;

export class PlainScan implements Scan {
  at = 0;
  state = 0;
  readonly #prefilter: Prefilter;
  readonly #input: Uint8Array;
  /** Up to here all bytes are judged alike: text, or none. */
  #block = 0;
  #isBinary = false;
  #words: Words | undefined;

  constructor(prefilter: Prefilter, input: Uint8Array) {
    this.#prefilter = prefilter;
    this.#input = input;
  }

  run(from: number, begun: number): number {
    const input = this.#input;
    const prefilter = this.#prefilter;
    const { classOf } = prefilter;
    let { table } = prefilter;
    let at = from;
    let state = begun;
    while (at < input.length) {
      if (at >= this.#block) {
        const behind = noiseEnd(input, at);
        if (behind > at) {
          at = behind;
          state = 0;
          if (at === input.length) break;
        }
        this.#block = Math.min(input.length, at + BLOCK_BYTES);
        this.#isBinary = this.#block === at + BLOCK_BYTES && isBinaryBlock(input, at);
      }
      const block = this.#block;
      const isBinary = this.#isBinary;
      if (isBinary && RUN[input[at]!] === 0) {
        this.#words ??= wordsOf(input);
        at = nextRun(input, this.#words, at, block);
        state = 0;
      }
      let next = 0;
      while (at < block) {
        const byte = input[at]!;
        next = table[(state << CLASS_BITS) | classOf[byte]!]!;
        if (next >= STOP || (isBinary && RUN[byte] === 0)) break;
        state = next;
        at++;
      }
      if (at === block || (isBinary && RUN[input[at]!] === 0)) continue;
      next = prefilter.step(state, input[at]!);
      table = prefilter.table;
      if (next >= STOP) {
        this.at = at;
        this.state = state;
        return next;
      }
      state = next;
      at++;
    }
    this.at = at;
    this.state = state;
    return END;
  }
}

/** Behind the blocks from `at` on that are noise: no text near, no run that is long enough, none that goes on behind. */
function noiseEnd(input: Uint8Array, at: number): number {
  if (RUN[input[at]!] === 1) return at;
  let to = at;
  while (to + BLOCK_BYTES <= input.length && isBinaryBlock(input, to)) to += BLOCK_BYTES;
  const words = wordsOf(input);
  const run = nextRun(input, words, at, to);
  if (run < to) to = at + Math.floor((run - at) / BLOCK_BYTES) * BLOCK_BYTES;
  while (to > at && RUN[input[to - 1]!] === 1) to -= BLOCK_BYTES;
  return to;
}
