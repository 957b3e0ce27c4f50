/**
 * Growable output and the fixed-width numbers of the format. Refuses to know what is written.
 * Numbers are JavaScript safe integers in 8 bytes; BigInt is avoided because it allocates on the path of a statement.
 */
import { Buffer } from 'node:buffer';
import { hash } from 'node:crypto';
import { GatewayError } from '@sallyport/core';

const HIGH = 2 ** 32;

export const ZERO16: Buffer = Buffer.alloc(16);

/** A broken or forged record. `reason` is a short stable word for reports. */
export const broken = (reason: string, detail: Record<string, string | number> = {}): GatewayError =>
  new GatewayError('trail.broken', { reason, ...detail });

export const DIGEST_BYTES = 32;

export const sha256 = (bytes: Uint8Array): Buffer => hash('sha256', bytes, 'buffer');

/** With its length said, Node looks for no option that would warn of digests of other lengths. */
const AS_TEXT = { outputEncoding: 'binary', outputLength: DIGEST_BYTES } as const;

/** As `sha256`, written at `at`. A digest as a string of bytes costs a third of one as a Buffer, whose memory V8 must track. */
export function sha256Into(bytes: Uint8Array, into: Buffer, at: number): void {
  const digest = hash('sha256', bytes, AS_TEXT);
  for (let i = 0; i < DIGEST_BYTES; i++) into[at + i] = digest.charCodeAt(i);
}

/** Whether the digest of `bytes` is what stands at `at`. */
export function isSha256(bytes: Uint8Array, of: Buffer, at: number): boolean {
  const digest = hash('sha256', bytes, AS_TEXT);
  for (let i = 0; i < DIGEST_BYTES; i++) if (of[at + i] !== digest.charCodeAt(i)) return false;
  return true;
}

/** Beyond it, Buffer's own method is quicker than a letter at a time. */
const SHORT_UNITS_MAX = 127;

/**
 * UTF-8 at `at`, where the caller has made room. Short text is ASCII nearly always, and Buffer's own method goes through ten
 * functions before its first letter.
 * @returns how many bytes it is
 */
export function writeText(into: Buffer, text: string, at: number): number {
  return writeShortAscii(into, text, at) ? text.length : into.write(text, at);
}

/** How many bytes `writeText` writes. */
export function textSize(text: string): number {
  if (text.length > SHORT_UNITS_MAX) return Buffer.byteLength(text);
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return Buffer.byteLength(text);
  return text.length;
}

/** As `writeText`, where that takes as many bytes as there are letters. @returns false where it does not, or may not */
export function writeShortAscii(into: Buffer, text: string, at: number): boolean {
  if (text.length > SHORT_UNITS_MAX) return false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 127) return false;
    into[at + i] = unit;
  }
  return true;
}

/** `bytes` from `from` to `to`, written at `at`: for a short stretch a view costs more than its bytes. */
export function writeRange(into: Buffer, bytes: Uint8Array, from: number, to: number, at: number): void {
  if (to - from > SHORT_UNITS_MAX) into.set(bytes.subarray(from, to), at);
  else for (let i = from, next = at; i < to; i++) into[next++] = bytes[i]!;
}

/**
 * Byte by byte: Buffer's own method looks at its arguments through four functions, of which one makes an array of them, and an
 * event has eight such numbers.
 * @throws GatewayError `trail.broken` (`number`) for what does not fit
 */
export function writeU32(into: Buffer, value: number, at: number): void {
  if (!(value >= 0 && value < HIGH)) throw broken('number');
  into[at] = value >>> 24;
  into[at + 1] = value >>> 16;
  into[at + 2] = value >>> 8;
  into[at + 3] = value;
}

/** @throws GatewayError `trail.broken` (`number`) for what does not fit */
export function writeU64(into: Buffer, value: number, at: number): void {
  writeU32(into, Math.floor(value / HIGH), at);
  writeU32(into, value % HIGH, at + 4);
}

/** @throws GatewayError `trail.broken` (`number`) beyond 2^53 − 1 */
export function readU64(from: Buffer, at: number): number {
  const value = from.readUInt32BE(at) * HIGH + from.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) throw broken('number');
  return value;
}

/** A buffer that grows by doubling and can be cut back to an earlier length. */
export class ByteBatch {
  readonly #firstBytes: number;
  #bytes: Buffer;
  #length = 0;
  /** @param size bytes it starts with, and goes back to when it is cleared after it grew */
  constructor(size = 64 * 1024) {
    this.#firstBytes = size;
    this.#bytes = Buffer.allocUnsafe(size);
  }
  get length(): number {
    return this.#length;
  }
  /** What is written so far; a view, valid until the next `reserve`. */
  get view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
  /** What is written is its first `length` bytes; valid until the next `reserve`. */
  get bytes(): Buffer {
    return this.#bytes;
  }
  /** Makes room for `size` more bytes and returns the buffer; write at the old `length`. */
  reserve(size: number): Buffer {
    const wanted = this.#length + size;
    if (wanted > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(wanted, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    this.#length = wanted;
    return this.#bytes;
  }
  append(bytes: Uint8Array): void {
    const at = this.#length;
    this.reserve(bytes.length).set(bytes, at);
  }
  /** What is written, given away with its memory; what comes next is written into `next`. */
  giveAway(next: Buffer): Buffer {
    const given = this.view;
    this.#bytes = next;
    this.#length = 0;
    return given;
  }
  truncate(length: number): void {
    this.#length = Math.min(length, this.#length);
  }
  /** Empties it; gives memory back when a rare large batch made it grow beyond `keepBytes`. */
  clear(keepBytes = 1024 * 1024): void {
    this.#length = 0;
    if (this.#bytes.length > Math.max(keepBytes, this.#firstBytes)) this.#bytes = Buffer.allocUnsafe(this.#firstBytes);
  }
}
