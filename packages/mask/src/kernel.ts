/**
 * The WebAssembly side of the row masker: one instance and one memory per process, compiled at first use.
 * Refuses to know plans (rows.ts writes them down as actions). assembly/rows.ts has the same addresses and action numbers.
 */

import { createHash } from 'node:crypto';
import type { DetectMask, Detector, MaskMethod } from '@sallyport/model';
import { IBAN_LENGTHS } from './detect/iban.ts';
import { CARD_LENGTHS } from './detect/payment-card.ts';
import { strictest } from './detect/registry.ts';
import { SECRET_PREFIXES } from './detect/secret-key.ts';
import { KERNEL_BASE64 } from './generated/kernel-wasm.ts';
import { type MaskKey, REDACTED } from './methods.ts';

const ACTIONS_AT = 1024;
const LITERAL_AT = 4096;
const KEY_AT = 8320;
const ROUNDS_AT = 8704;
const ALPHABET_AT = 8960;
const IBANS_AT = 57_344;
const PREFIXES_AT = 58_368;
const CARDS_AT = 65_536;
export const IN_AT = 131_072;
/** Bytes of rows copied in at once; a longer row is left to the reference. */
export const WINDOW_BYTES = 1_048_576;
const OUT_AT = IN_AT + WINDOW_BYTES + 4_096;
const MEMORY_BYTES = 120 * 65_536;
/** Copies of short stretches run on for up to 15 bytes. */
const OUT_BYTES = MEMORY_BYTES - OUT_AT - 64;
/** PostgreSQL allows 1,664 columns in a row. */
export const COLUMNS_MAX = 1_664;

export const ACTIONS = {
  clear: 0,
  redact: 1,
  null: 2,
  hash: 3,
  detect: 4,
  partial: 5,
  detectLeave: 6,
  leave: 7,
  int8Binary: 8,
  float8Binary: 9,
  float8Text: 10,
  numericBinary: 11,
} as const;
export type Action = (typeof ACTIONS)[keyof typeof ACTIONS];

/** A plan as the kernel reads it; compared by identity, so make it once per plan. */
export interface KernelPlan {
  /** One Action per column, at most COLUMNS_MAX. */
  readonly actions: Uint8Array;
  /** Methods for card, e-mail, national id and IBAN: 0 not looked for, 1 partial, 2 redact, 3 hash, 4 null. */
  readonly methods: readonly [number, number, number, number];
  /** Bits: 1 phone, 2 ip_address, 4 secret_key, 8 jwt. A cell that may hold one is left. */
  readonly rare: number;
  readonly key: MaskKey | undefined;
}

interface KernelExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly readBytes: { readonly value: number };
  readonly writtenBytes: { readonly value: number };
  readonly rowCount: { readonly value: number };
  readonly maskedCount: { readonly value: number };
  configure(
    this: void,
    columns: number,
    card: number,
    email: number,
    national: number,
    iban: number,
    rare: number,
    prefixes: number,
  ): void;
  takeKey(this: void): void;
  reset(this: void): void;
  run(this: void, input: number, bytes: number, output: number, room: number): number;
}

/** `done`: the next message is partial or no row · `left`: the next row is for the reference · `full`: call again after taking the output. */
export type Stop = 'done' | 'left' | 'full';
const STOPS: readonly Stop[] = ['done', 'left', 'full'];

const METHODS: { readonly [K in MaskMethod]: number } = { partial: 1, redact: 2, hash: 3, null: 4 };
const HOT = ['payment_card', 'email', 'national_id', 'iban'] as const;
const RARE = ['phone', 'ip_address', 'secret_key', 'jwt'] as const;

/** The detectors that are asked for as `configure` takes them; `hash` without a key is `redact`. */
export function kernelDetectors(
  detect: readonly DetectMask[],
  key: MaskKey | undefined,
): Pick<KernelPlan, 'methods' | 'rare'> {
  const methodOf = (detector: Detector): number => {
    const method = strictest(detect, detector);
    return method === undefined ? 0 : METHODS[method === 'hash' && key === undefined ? 'redact' : method];
  };
  const [card, email, national, iban] = HOT.map(methodOf);
  const rare = RARE.reduce((bits, detector, i) => (methodOf(detector) === 0 ? bits : bits | (1 << i)), 0);
  return { methods: [card!, email!, national!, iban!], rare };
}

/** Rows in one window of memory: load, then run until done; the output so far is `output`. */
export class Kernel {
  readonly #exports: KernelExports;
  readonly #memory: Buffer;
  #plan: KernelPlan | undefined;
  #key: MaskKey | undefined;
  #loaded = 0;
  #read = 0;
  #written = 0;
  rows = 0;
  maskedCells = 0;

  constructor(exports: KernelExports) {
    this.#exports = exports;
    this.#memory = Buffer.from(exports.memory.buffer);
    writeTables(this.#memory);
  }

  /** Copies up to WINDOW_BYTES of `chunk` in; what an earlier `output` showed is gone. */
  load(plan: KernelPlan, chunk: Uint8Array, from: number): void {
    if (this.#plan !== plan) {
      this.#plan = plan;
      this.#memory.set(plan.actions, ACTIONS_AT);
      this.#exports.configure(plan.actions.length, ...plan.methods, plan.rare, SECRET_PREFIXES.length);
      if (plan.key !== undefined && plan.key !== this.#key) this.#setKey(plan.key);
    }
    const to = Math.min(chunk.length, from + WINDOW_BYTES);
    this.#memory.set(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to), IN_AT);
    this.#loaded = to - from;
    this.#read = this.#written = this.rows = this.maskedCells = 0;
  }

  /** Bytes of the window that were read. */
  get read(): number {
    return this.#read;
  }

  /** A view of what was written since `load` or `take`; gone at the next load. */
  get output(): Buffer {
    return this.#memory.subarray(OUT_AT, OUT_AT + this.#written);
  }

  run(): Stop {
    const { run, reset, readBytes, writtenBytes, rowCount, maskedCount } = this.#exports;
    reset();
    const stop = run(IN_AT + this.#read, this.#loaded - this.#read, OUT_AT + this.#written, OUT_BYTES - this.#written);
    this.#read += readBytes.value;
    this.#written += writtenBytes.value;
    this.rows += rowCount.value;
    this.maskedCells += maskedCount.value;
    return STOPS[stop]!;
  }

  /** Skips `bytes` of the window and writes `row` in their place. @returns false when it does not fit: take first */
  put(bytes: number, row: Uint8Array): boolean {
    if (this.#written + row.length > OUT_BYTES) return false;
    this.#memory.set(row, OUT_AT + this.#written);
    this.#read += bytes;
    this.#written += row.length;
    return true;
  }

  /** Copies the output and starts it anew. */
  take(): Buffer {
    const taken = Buffer.from(this.output);
    this.#written = 0;
    return taken;
  }

  #setKey(key: MaskKey): void {
    this.#key = key;
    writeKey(this.#memory, key);
    this.#exports.takeKey();
  }
}

/** What the detectors and digests of a kernel read, in a memory of its own. */
export function writeTables(memory: Buffer): void {
  memory.write(REDACTED, LITERAL_AT, 'latin1');
  memory.set(IBAN_LENGTHS, IBANS_AT);
  CARD_LENGTHS.forEach((bits, first4) => memory.writeUInt32LE(bits, CARDS_AT + first4 * 4));
  roundConstants().forEach((constant, i) => memory.writeUInt32LE(constant, ROUNDS_AT + i * 4));
  memory.write('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_', ALPHABET_AT, 'latin1');
  SECRET_PREFIXES.forEach((prefix, i) => {
    const four = Buffer.from(prefix.slice(0, 4));
    const bits = four.length === 4 ? 0xffffffff : 0x00ffffff;
    memory.writeUInt32LE(Buffer.concat([four, Buffer.alloc(4)]).readUInt32LE(), PREFIXES_AT + i * 8);
    memory.writeUInt32LE(bits, PREFIXES_AT + i * 8 + 4);
  });
}

/** RFC 2104: a key longer than a block is digested first, a shorter one filled up with zeros. `takeKey` reads it. */
export function writeKey(memory: Buffer, key: MaskKey): void {
  const bytes = key.export();
  const short = bytes.length > 64 ? createHash('sha256').update(bytes).digest() : bytes;
  memory.fill(0, KEY_AT, KEY_AT + 64).set(short, KEY_AT);
}

/** SHA-256's round constants: the first 32 bits behind the point of the cube roots of the first 64 primes (FIPS 180-4 §4.2.2). */
function roundConstants(): readonly number[] {
  const constants: number[] = [];
  for (let candidate = 2n; constants.length < 64; candidate++) {
    let isPrime = true;
    for (let i = 2n; i * i <= candidate; i++) if (candidate % i === 0n) isPrime = false;
    if (!isPrime) continue;
    // The root of candidate * 2^96 is the root of candidate, times 2^32; found bit by bit.
    let root = 0n;
    for (let bit = 1n << 36n; bit > 0n; bit >>= 1n) if ((root + bit) ** 3n <= candidate << 96n) root += bit;
    constants.push(Number(root & 0xffffffffn));
  }
  return constants;
}

/** As much of the WebAssembly API as is used; the compiler's libraries have it only together with the browser's. */
interface WasmRuntime {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
}

let opened: Kernel | 'absent' | undefined;

/** The process's one kernel, or undefined where the runtime has no WebAssembly with SIMD (`--jitless`): the reference does it all. */
export function openKernel(): Kernel | undefined {
  if (opened === undefined) {
    const exports = instantiateKernel();
    opened = exports === undefined ? 'absent' : new Kernel(exports as KernelExports);
  }
  return opened === 'absent' ? undefined : opened;
}

/** The compiled code with a memory of its own; undefined where there is no WebAssembly with SIMD. */
export function instantiateKernel(base64: string = KERNEL_BASE64): object | undefined {
  const runtime = (globalThis as { readonly WebAssembly?: WasmRuntime }).WebAssembly;
  const wasm = Buffer.from(base64, 'base64');
  if (runtime === undefined || !runtime.validate(wasm)) return undefined;
  return new runtime.Instance(new runtime.Module(wasm), { env: { abort: () => {} } }).exports;
}
