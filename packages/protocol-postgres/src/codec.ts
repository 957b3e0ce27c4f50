/**
 * Bytes ⇄ frames of PostgreSQL's protocol 3: a type byte, an int32 length that counts itself, a body.
 * Refuses to know what a frame means. A frame keeps its original bytes; nothing is re-encoded that is only passed on.
 * PostgreSQL protocol, "Message Formats". Limits: LIMITS.frameBytesMax, LIMITS.startupBytesMax.
 */
import { GatewayError, LIMITS } from '@sallyport/core';

/** Type byte and length. */
export const HEAD_BYTES = 5;

export const int32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
export const int16 = (bytes: Uint8Array, at: number): number => ((bytes[at]! << 24) >> 16) | bytes[at + 1]!;

/** A frame's type byte from its letter, as the documentation names them. */
export const letter = (text: string): number => text.charCodeAt(0);

/**
 * Bytes of the frame whose header stands at `at`, header included.
 * @throws GatewayError `protocol.malformed` for a length below 4, `frame.too_large` above `LIMITS.frameBytesMax`
 */
export function frameBytes(bytes: Uint8Array, at: number): number {
  const length = int32(bytes, at + 1);
  if (length < 4) throw new GatewayError('protocol.malformed', { length });
  if (length > LIMITS.frameBytesMax) throw new GatewayError('frame.too_large', { length });
  return length + 1;
}

const FIRST_ROOM = 64 * 1024;

/**
 * One frame that did not lie whole in a chunk. Memory grows with what has arrived, never with what a header announces.
 */
export class PartialFrame {
  #bytes: Buffer = Buffer.allocUnsafe(HEAD_BYTES);
  #used = 0;
  #goal = HEAD_BYTES;

  get isEmpty(): boolean {
    return this.#used === 0;
  }
  get size(): number {
    return this.#used;
  }
  /** The frame's type; only when not empty. */
  get type(): number {
    return this.#bytes[0]!;
  }

  /**
   * Takes what is missing from `chunk` from `from` on; returns where it stopped.
   * @throws GatewayError as `frameBytes`
   */
  fill(chunk: Buffer, from: number): number {
    let at = from;
    while (this.#used < this.#goal && at < chunk.length) {
      const count = Math.min(this.#goal - this.#used, chunk.length - at);
      this.#room(this.#used + count);
      chunk.copy(this.#bytes, this.#used, at, at + count);
      this.#used += count;
      at += count;
      if (this.#goal === HEAD_BYTES && this.#used === HEAD_BYTES) this.#goal = frameBytes(this.#bytes, 0);
    }
    return at;
  }

  /** As `fill`, but stops when the header is there. */
  fillHead(chunk: Buffer, from: number): number {
    const goal = this.#goal;
    const count = Math.max(0, Math.min(HEAD_BYTES - this.#used, chunk.length - from));
    chunk.copy(this.#bytes, this.#used, from, from + count);
    this.#used += count;
    if (goal === HEAD_BYTES && this.#used === HEAD_BYTES) this.#goal = frameBytes(this.#bytes, 0);
    return from + count;
  }

  /** Type and length, once they are there. */
  get head(): Buffer | undefined {
    return this.#used >= HEAD_BYTES ? this.#bytes.subarray(0, HEAD_BYTES) : undefined;
  }

  /** The whole frame, once it is; the caller owns the buffer. */
  take(): Buffer | undefined {
    if (this.#used < this.#goal) return undefined;
    const frame = this.#bytes.subarray(0, this.#used);
    this.clear();
    return frame;
  }

  clear(): void {
    this.#bytes = Buffer.allocUnsafe(HEAD_BYTES);
    this.#used = 0;
    this.#goal = HEAD_BYTES;
  }

  #room(needed: number): void {
    if (needed <= this.#bytes.length) return;
    const size = Math.min(this.#goal, Math.max(needed, FIRST_ROOM, this.#bytes.length * 2));
    const grown = Buffer.allocUnsafe(Math.max(size, needed));
    this.#bytes.copy(grown, 0, 0, this.#used);
    this.#bytes = grown;
  }
}

const SHORT_BYTES = 32;

/** Then it is the same in every encoding, and has no zero in it. Only short bytes are looked at: there it costs less than a call. */
export function isPlain(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > PLAIN_BYTES_MAX) return false;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === 0 || byte > 0x7f) return false;
  }
  return true;
}
const PLAIN_BYTES_MAX = 256;

/** Whether the first `size` of the known bytes are those from `start` to `end`. */
export function isSame(known: Uint8Array, size: number, bytes: Uint8Array, start: number, end: number): boolean {
  if (size !== end - start) return false;
  for (let i = 0; i < size; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}

/** Short texts that come again and again, one after the other: the last is made into a string once. */
export class KeptText {
  readonly #encoding: 'latin1' | 'utf8';
  readonly #bytes = Buffer.allocUnsafeSlow(SHORT_BYTES);
  #size = 0;
  #text = '';
  constructor(encoding: 'latin1' | 'utf8') {
    this.#encoding = encoding;
  }
  of(bytes: Buffer, start: number, end: number): string {
    if (isSame(this.#bytes, this.#size, bytes, start, end)) return this.#text;
    const text = bytes.toString(this.#encoding, start, end);
    if (end - start > SHORT_BYTES) return text;
    this.#size = bytes.copy(this.#bytes, 0, start, end);
    this.#text = text;
    return text;
  }
}

const names = new KeptText('latin1');

/** Reads fields of one frame's body in order. Every read is bounded by the body. */
export class BodyReader {
  readonly bytes: Buffer;
  at: number;
  readonly end: number;
  constructor(bytes: Buffer, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }
  uint8(): number {
    this.#need(1);
    return this.bytes[this.at++]!;
  }
  int16(): number {
    this.#need(2);
    this.at += 2;
    return int16(this.bytes, this.at - 2);
  }
  int32(): number {
    this.#need(4);
    this.at += 4;
    return int32(this.bytes, this.at - 4);
  }
  /** OIDs are unsigned. */
  uint32(): number {
    return this.int32() >>> 0;
  }
  /** A zero-terminated text as its range, the zero left out. */
  range(): { readonly start: number; readonly end: number } {
    const start = this.at;
    return { start, end: this.#toZero() };
  }
  /** A name, one character for each byte: two different byte strings never read alike. */
  name(): string {
    const start = this.at;
    const end = this.#toZero();
    return end === start ? '' : names.of(this.bytes, start, end);
  }
  text(): string {
    const start = this.at;
    return this.bytes.toString('utf8', start, this.#toZero());
  }
  /** Steps behind the next zero; where that stood. */
  #toZero(): number {
    const { bytes, at, end } = this;
    // Names are short: looking at a few bytes costs less than a call into C++.
    const near = Math.min(end, at + SHORT_BYTES);
    let zero = at;
    while (zero < near && bytes[zero] !== 0) zero++;
    if (zero === near) zero = bytes.indexOf(0, near);
    if (zero < 0 || zero >= end) throw new GatewayError('protocol.malformed', { at });
    this.at = zero + 1;
    return zero;
  }
  skip(count: number): void {
    if (count < 0) throw new GatewayError('protocol.malformed', { at: this.at });
    this.#need(count);
    this.at += count;
  }
  /** Nothing may be left over. */
  done(): void {
    if (this.at !== this.end) throw new GatewayError('protocol.malformed', { at: this.at });
  }
  #need(count: number): void {
    if (this.at + count > this.end) throw new GatewayError('protocol.malformed', { at: this.at });
  }
}

/** One frame from its parts; texts are zero-terminated. */
export function frame(type: string, ...parts: readonly (string | Uint8Array)[]): Buffer {
  const bodies = parts.map((part) => (typeof part === 'string' ? Buffer.from(`${part}\0`) : part));
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(4 + bodies.reduce((sum, body) => sum + body.length, 0), 1);
  return Buffer.concat([head, ...bodies]);
}

export function bytesOfInt32(...values: readonly number[]): Buffer {
  const out = Buffer.allocUnsafe(4 * values.length);
  values.forEach((value, i) => {
    out.writeInt32BE(value | 0, i * 4);
  });
  return out;
}

export function bytesOfInt16(...values: readonly number[]): Buffer {
  const out = Buffer.allocUnsafe(2 * values.length);
  values.forEach((value, i) => {
    out.writeInt16BE(value, i * 2);
  });
  return out;
}
