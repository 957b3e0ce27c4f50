/**
 * The WebAssembly side of the JSON masker: one instance and one memory per process, compiled at first use. Runs over as many
 * tokens as it can vouch for; refuses the others, which json-masker.ts reads. assembly/json.ts has the same addresses and numbers.
 */
import { Buffer } from 'node:buffer';
import type { DetectMask } from '@sallyport/model';
import { SECRET_PREFIXES } from '../detect/secret-key.ts';
import { JSON_KERNEL_BASE64 } from '../generated/json-kernel-wasm.ts';
import { instantiateKernel, kernelDetectors, writeKey, writeTables } from '../kernel.ts';
import type { MaskKey } from '../methods.ts';
import { IMAGE_MAX, type JsonPlan, type JsonPlanImage } from './json-plan.ts';

const STATE_AT = 106_496;
const OBJECTS_AT = 107_008;
const STATES_AT = 108_032;
const METHODS_AT = 110_592;
const LENGTHS_AT = 114_688;
const NAME_AT = 116_736;
const NAME_SYMBOL_AT = 120_832;
const PAIRS_AT = 122_880;
const IN_AT = 131_072;
const WINDOW_BYTES = 262_144;
const OUT_AT = IN_AT + WINDOW_BYTES + 4_096;
const TABLE_AT = 2_621_440;
const NAMES_AT = 2_686_976;
/** What one string may add, and what is clear up to the window's end, beyond the room that is asked for. */
const OUT_BYTES = TABLE_AT - OUT_AT - 300_000;
interface JsonKernelExports {
  readonly memory: { readonly buffer: ArrayBuffer };
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
  plan(this: void, symbols: number, start: number, detects: boolean): void;
  run(this: void, input: number, bytes: number, output: number, room: number): number;
}

/** What one body's masks are to the kernel: compared by identity, so made once per body. */
export interface JsonKernelPlan {
  readonly image: JsonPlanImage | undefined;
  readonly detect: readonly DetectMask[];
  readonly key: MaskKey | undefined;
}

/** `left`: the token where it stopped is not the kernel's · `full`: go on behind what was written. */
export type JsonStop = 'done' | 'left' | 'full';
const STOPS: readonly JsonStop[] = ['done', 'left', 'full'];

export class JsonKernel {
  readonly #exports: JsonKernelExports;
  readonly #memory: Buffer;
  /** By number, as assembly/json.ts says. */
  readonly #words: Int32Array;
  readonly #objects: Uint8Array;
  readonly #states: Uint16Array;
  #plan: JsonKernelPlan | undefined;
  #key: MaskKey | undefined;
  #input: Uint8Array | undefined;
  #from = 0;
  #to = 0;

  constructor(exports: JsonKernelExports) {
    this.#exports = exports;
    const { buffer } = exports.memory;
    this.#memory = Buffer.from(buffer);
    this.#words = new Int32Array(buffer, STATE_AT, 8);
    this.#objects = new Uint8Array(buffer, OBJECTS_AT, 520);
    this.#states = new Uint16Array(buffer, STATES_AT, 520);
    writeTables(this.#memory);
    for (const prefix of ['eyJ', ...SECRET_PREFIXES]) {
      const pair = Buffer.from(prefix).readUInt16LE();
      this.#memory[PAIRS_AT + (pair >> 3)]! |= 1 << (pair & 7);
    }
  }

  /** One chunk of one body begins: its masks, and how deep it stands. */
  begin(plan: JsonKernelPlan): void {
    this.#input = undefined;
    if (this.#plan === plan) return;
    const { image, detect, key } = plan;
    if (this.#plan?.detect !== detect || this.#plan.key !== key) {
      const { methods, rare } = kernelDetectors(detect, key);
      this.#exports.configure(0, ...methods, rare, SECRET_PREFIXES.length);
    }
    if (key !== undefined && key !== this.#key) {
      this.#key = key;
      writeKey(this.#memory, key);
      this.#exports.takeKey();
    }
    if (image !== undefined && this.#plan?.image !== image) this.#write(image);
    this.#exports.plan(image?.symbols ?? 0, image?.start ?? 0, detect.length > 0);
    this.#plan = plan;
  }

  #write(image: JsonPlanImage): void {
    this.#memory.set(image.methods, METHODS_AT);
    new Uint16Array(this.#memory.buffer, TABLE_AT, image.table.length).set(image.table);
    let at = 0;
    let i = 0;
    for (let length = 0; length <= IMAGE_MAX.nameBytes + 1; length++) {
      this.#memory.writeUInt16LE(i, LENGTHS_AT + length * 2);
      for (const { bytes, symbol } of image.names) {
        if (bytes.length !== length) continue;
        this.#memory.set(bytes, NAMES_AT + at);
        this.#memory.writeUInt32LE(NAMES_AT + at, NAME_AT + i * 4);
        this.#memory.writeUInt16LE(symbol, NAME_SYMBOL_AT + i * 2);
        at += length;
        i++;
      }
    }
  }

  /** Where the body stands. @param objects and @param states by depth: at the top there is neither */
  enter(
    depth: number,
    expect: number,
    next: number,
    hidden: number,
    objects: readonly number[],
    states: readonly number[],
  ): void {
    const words = this.#words;
    words[0] = depth;
    words[1] = expect;
    words[2] = next;
    words[3] = hidden;
    for (let i = 1; i <= depth; i++) {
      this.#objects[i] = objects[i]!;
      this.#states[i] = states[i]!;
    }
  }
  /** As `enter` took them. */
  leave(objects: number[], states: number[]): void {
    const depth = this.#words[0]!;
    for (let i = 1; i <= depth; i++) {
      objects[i] = this.#objects[i]!;
      states[i] = this.#states[i]!;
    }
  }
  get depth(): number {
    return this.#words[0]!;
  }
  get expect(): number {
    return this.#words[1]!;
  }
  get next(): number {
    return this.#words[2]!;
  }
  get hidden(): number {
    return this.#words[3]!;
  }
  /** Bytes that were read. */
  get read(): number {
    return this.#words[4]!;
  }
  /** What is clear behind what was written begins so many bytes behind where it ran from. */
  get pending(): number {
    return this.#words[5]!;
  }
  get masked(): number {
    return this.#words[7]!;
  }
  /** Bytes that were written, until the next `run`. */
  get written(): number {
    return this.#words[6]!;
  }
  /** Copies them into `target`, which has room. */
  writtenInto(target: Buffer, at: number): void {
    target.set(new Uint8Array(this.#memory.buffer, OUT_AT, this.written), at);
  }

  /** Runs from `at` in `input`, which does not change between `begin` and the next. `done` is the end of the window. */
  run(input: Uint8Array, at: number): JsonStop {
    if (this.#input !== input || at < this.#from || at >= this.#to) {
      this.#input = input;
      this.#from = at;
      this.#to = Math.min(input.length, at + WINDOW_BYTES);
      this.#memory.set(at === 0 && this.#to === input.length ? input : input.subarray(at, this.#to), IN_AT);
    }
    return STOPS[this.#exports.run(IN_AT + at - this.#from, this.#to - at, OUT_AT, OUT_BYTES)]!;
  }
}

let opened: JsonKernel | 'absent' | undefined;

/** The process's one, or undefined where the runtime has no WebAssembly with SIMD: then every token is read without it. */
export function openJsonKernel(): JsonKernel | undefined {
  if (opened === undefined) {
    const exports = instantiateKernel(JSON_KERNEL_BASE64);
    opened = exports === undefined ? 'absent' : new JsonKernel(exports as JsonKernelExports);
  }
  return opened === 'absent' ? undefined : opened;
}

const detectPlans = new WeakMap<readonly DetectMask[], JsonKernelPlan>();

/** @returns undefined where the paths are too many for it */
export function jsonKernelPlan(
  plan: JsonPlan | undefined,
  detect: readonly DetectMask[],
  key: MaskKey | undefined,
): JsonKernelPlan | undefined {
  const known = detectPlans.get(detect);
  const image = plan?.image;
  if (plan !== undefined && image === undefined) return undefined;
  if (known !== undefined && known.image === image && known.key === key) return known;
  const made: JsonKernelPlan = { image, detect, key };
  detectPlans.set(detect, made);
  return made;
}
