/**
 * What the JSON masker lets out of one chunk: one stretch of it as it came, or one piece of memory that everything is gathered in.
 * Large pieces that are made and forgotten for every chunk cost more than masking them. Refuses to give away memory that is used again.
 */
import { Buffer } from 'node:buffer';

/** What a kernel wrote, to be copied out of its memory. */
export interface Written {
  readonly written: number;
  writtenInto(target: Buffer, at: number): void;
}

const NOTHING = new Uint8Array(0);
/** Memory of its own for what is large: a pool would be kept alive by it. */
const POOLED_BYTES_MAX = 2 * 1024;
/** Masked values are about as long as those that they stand for. */
const SLACK_BYTES = 512;

const memory = (bytes: number): Buffer =>
  bytes <= POOLED_BYTES_MAX ? Buffer.allocUnsafe(bytes) : Buffer.allocUnsafeSlow(bytes);

/** One per body. */
export class MaskedOutput {
  /** All there is so far, lent. */
  #only: Uint8Array | undefined;
  #all: Buffer | undefined;
  #at = 0;
  #expected = 0;
  /** Nobody writes again into what was taken last. */
  isGiven = false;

  /** So much is about to come. */
  expect(bytes: number): void {
    this.#expected = bytes;
  }

  /** @param bytes as they are until they are taken */
  add(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#all === undefined && this.#only === undefined) {
      this.#only = bytes;
      return;
    }
    this.#room(bytes.length).set(bytes, this.#at);
    this.#at += bytes.length;
  }

  addOf(kernel: Written): void {
    const { written } = kernel;
    if (written === 0) return;
    kernel.writtenInto(this.#room(written), this.#at);
    this.#at += written;
  }

  /** The byte that stands last goes, if it is that one. */
  dropLast(byte: number): void {
    if (this.#all !== undefined) {
      if (this.#at > 0 && this.#all[this.#at - 1] === byte) this.#at--;
    } else if (this.#only?.at(-1) === byte) this.#only = this.#only.subarray(0, -1);
  }

  /** All of it; a stretch of a chunk may be of the chunk's memory. */
  take(): Uint8Array {
    const only = this.#only;
    const all = this.#all;
    this.#only = undefined;
    this.#all = undefined;
    this.isGiven = all !== undefined;
    if (all === undefined) return only ?? NOTHING;
    const taken = this.#at === all.length ? all : all.subarray(0, this.#at);
    this.#at = 0;
    return taken;
  }

  /** As `take`, never of a chunk's memory. */
  takeCopy(): Uint8Array {
    const only = this.#only;
    if (only === undefined) return this.take();
    this.#only = undefined;
    const copy = memory(only.length);
    copy.set(only);
    this.isGiven = true;
    return copy;
  }

  /** Where `bytes` more may be written, behind what is there. */
  #room(bytes: number): Buffer {
    const only = this.#only;
    const before = only?.length ?? this.#at;
    const needed = before + bytes;
    let all = this.#all;
    if (all === undefined || all.length < needed) {
      const larger = memory(all === undefined ? Math.max(needed, this.#expected + SLACK_BYTES) : needed * 2);
      if (all !== undefined) larger.set(all.subarray(0, this.#at));
      this.#all = all = larger;
    }
    if (only !== undefined) {
      all.set(only, 0);
      this.#at = only.length;
      this.#only = undefined;
    }
    return all;
  }
}

/** What a relay reads at once, and a token that waited. */
const JOINED_BYTES_MAX = 256 * 1024;
let joined: Buffer | undefined;
let isTaken = false;

/** What was held and what came, in one; to be given back by `leaveInput` before anybody else may read it. */
export function joinedInput(held: Uint8Array, chunk: Uint8Array): Uint8Array {
  const bytes = held.length + chunk.length;
  // Small ones are cheap to make; a document inside another one's strings comes while that one has it.
  if (isTaken || bytes <= POOLED_BYTES_MAX || bytes > JOINED_BYTES_MAX) return Buffer.concat([held, chunk]);
  joined ??= Buffer.allocUnsafeSlow(JOINED_BYTES_MAX);
  isTaken = true;
  joined.set(held, 0);
  joined.set(chunk, held.length);
  return joined.subarray(0, bytes);
}

export function leaveInput(input: Uint8Array): void {
  if (input.buffer === joined?.buffer) isTaken = false;
}
