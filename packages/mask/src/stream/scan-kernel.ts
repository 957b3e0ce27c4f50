/**
 * `Scan` in WebAssembly (assembly/scan.ts): an automaton's table lies in the memory of an instance of its own, and what is
 * looked at is copied there, or was joined there at once. Refuses to be there where there is no WebAssembly with SIMD.
 */
import type { Detector } from '@sallyport/model';
import { SCAN_KERNEL_BASE64 } from '../generated/scan-kernel-wasm.ts';
import { instantiateKernel } from '../kernel.ts';
import { Prefilter, type Room, STOP, UNKNOWN } from './prefilter.ts';
import { END, PlainScan, type Scan } from './scan.ts';

const RESULT_AT = 512;
const LINES_AT = 520;
const CLASS_AT = 1024;
const CALM_AT = 8192;
const TABLE_AT = 65_536;
const TABLE_BYTES = 2_097_152;
const JOIN_AT = TABLE_AT + TABLE_BYTES;
export const WINDOW_BYTES = 262_144;
/** What is read with it runs on for up to 15 bytes. */
const IN_AT = JOIN_AT + WINDOW_BYTES + 64;
const MORE = 1;

interface ScanExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  prepare(this: void): void;
  begin(this: void): void;
  scan(this: void, from: number, end: number, state: number, isLast: boolean): number;
}

export class ScanKernel {
  readonly room: Room;
  /** Where what was held and what comes are put side by side; WINDOW_BYTES. */
  readonly join: Uint8Array;
  readonly #exports: ScanExports;
  readonly #memory: Uint8Array;
  readonly #result: Uint32Array;

  private constructor(exports: ScanExports) {
    const { buffer } = exports.memory;
    exports.prepare();
    this.#exports = exports;
    this.#memory = new Uint8Array(buffer);
    this.#result = new Uint32Array(buffer, RESULT_AT, 2);
    this.join = new Uint8Array(buffer, JOIN_AT, WINDOW_BYTES);
    this.room = {
      table: (entries) => new Uint16Array(buffer, TABLE_AT, entries),
      classes: new Uint8Array(buffer, CLASS_AT, 256),
      calm: new Uint8Array(buffer, CALM_AT, 8_192),
      lines: new Uint8Array(buffer, LINES_AT, 1),
    };
  }

  /** @returns undefined without WebAssembly: read plainly */
  static open(): ScanKernel | undefined {
    const exports = instantiateKernel(SCAN_KERNEL_BASE64);
    return exports === undefined ? undefined : new ScanKernel(exports as ScanExports);
  }

  /** One at a time: another one's is over. @param prefilter whose table lies in `room` */
  scan(prefilter: Prefilter, input: Uint8Array): Scan {
    const { begin, scan } = this.#exports;
    const memory = this.#memory;
    const result = this.#result;
    const isJoined = input.buffer === memory.buffer;
    // Of the input, what is in memory, and where offset 0 of the input would be.
    let loadedFrom = 0;
    let loadedTo = isJoined ? input.length : 0;
    let zero = input.byteOffset;
    begin();
    const load = (from: number): void => {
      loadedFrom = from;
      loadedTo = Math.min(input.length, from + WINDOW_BYTES);
      memory.set(from === 0 && loadedTo === input.length ? input : input.subarray(from, loadedTo), IN_AT);
      zero = IN_AT - from;
      begin();
    };
    const self = {
      at: 0,
      state: 0,
      run: (from: number, begun: number): number => {
        let at = from;
        let state = begun;
        for (;;) {
          if (at < loadedFrom || (at >= loadedTo && at < input.length)) load(at);
          const next = scan(zero + at, zero + loadedTo, state, loadedTo === input.length);
          at = result[0]! - zero;
          state = result[1]!;
          if (next === MORE) {
            load(at);
            continue;
          }
          if (next === UNKNOWN) {
            const known = prefilter.step(state, input[at]!);
            if (known < STOP) {
              state = known;
              at++;
              continue;
            }
            self.at = at;
            self.state = state;
            return known;
          }
          self.at = at;
          self.state = state;
          return next === 0 ? END : next;
        }
      },
    };
    return self;
  }
}

/** An automaton, and how inputs are scanned with it. */
export interface Scanner {
  readonly prefilter: Prefilter;
  /** Of one input at a time. */
  scan(this: void, input: Uint8Array): Scan;
  /** Where what was held and what comes may be put side by side, to be scanned there. */
  readonly join: Uint8Array | undefined;
}

const scanners = new Map<string, Scanner>();

/** One per set of detectors and process. */
export function scannerOf(detectors: readonly Detector[]): Scanner {
  const key = [...detectors].sort().join(' ');
  let known = scanners.get(key);
  if (known === undefined) {
    known = scannerFor(detectors);
    scanners.set(key, known);
  }
  return known;
}

function scannerFor(detectors: readonly Detector[]): Scanner {
  const kernel = ScanKernel.open();
  const prefilter = new Prefilter(detectors, kernel?.room);
  return kernel === undefined
    ? { prefilter, scan: (input) => new PlainScan(prefilter, input), join: undefined }
    : { prefilter, scan: (input) => kernel.scan(prefilter, input), join: kernel.join };
}
