/**
 * Tag-length-value fields of payloads: writer and reader. Refuses to know which kinds and tags exist.
 * docs/reference/trail-format.md, Payloads. Default values are left out, so one value has one encoding.
 */
import { Buffer } from 'node:buffer';
import { broken, Views, writeText } from './bytes.ts';

/** Lengths up to it take one byte. */
const UNMEASURED_UNITS_MAX = 127;

/** Writes fields into one reused buffer: no allocation per event once it has grown. */
export class FieldWriter {
  #bytes: Buffer;
  #views: Views;
  #at = 0;
  constructor(size = 4096) {
    this.#bytes = Buffer.allocUnsafe(size);
    this.#views = new Views(this.#bytes);
  }
  reset(): void {
    this.#at = 0;
  }
  /** A view of what is written, valid until the next `reset`. */
  get view(): Buffer {
    return this.#views.of(this.#at);
  }

  /** @throws GatewayError `trail.broken` (`number`) for a negative, fractional or unsafe number */
  integer(field: number, value: number): void {
    if (value === 0) return;
    this.#room(10);
    this.#bytes[this.#at++] = field * 2;
    this.#varint(value);
  }
  boolean(field: number, value: boolean): void {
    this.integer(field, value ? 1 : 0);
  }
  text(field: number, value: string): void {
    if (value !== '') this.presentText(field, value);
  }
  /** Written even when empty: absent means undefined. */
  presentText(field: number, value: string): void {
    // The common short text is written without being measured first: its length is one byte nearly always, and `close` makes
    // room where it is not.
    if (value.length <= UNMEASURED_UNITS_MAX) {
      // Three bytes per UTF-16 unit at most.
      this.#room(2 + value.length * 3);
      this.#bytes[this.#at] = field * 2 + 1;
      const start = this.#at + 2;
      this.#at = start + writeText(this.#bytes, value, start);
      this.close(start);
      return;
    }
    const length = Buffer.byteLength(value);
    this.#room(11 + length);
    this.#bytes[this.#at++] = field * 2 + 1;
    this.#varint(length);
    this.#at += this.#bytes.write(value, this.#at);
  }
  bytes(field: number, value: Uint8Array): void {
    if (value.length === 0) return;
    this.#room(11 + value.length);
    this.#bytes[this.#at++] = field * 2 + 1;
    this.#varint(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }
  /** As `bytes`: one byte for each word. */
  codes<Word>(field: number, words: readonly Word[], codeOf: (word: Word) => number): void {
    if (words.length === 0) return;
    this.#room(11 + words.length);
    this.#bytes[this.#at++] = field * 2 + 1;
    this.#varint(words.length);
    // By index: a frozen list is walked outside of compiled code.
    for (let i = 0; i < words.length; i++) this.#bytes[this.#at++] = codeOf(words[i] as Word);
  }
  /** Opens a nested sequence; give what it returns to `close`. */
  open(field: number): number {
    this.#room(2);
    this.#bytes[this.#at++] = field * 2 + 1;
    return ++this.#at;
  }
  close(start: number): void {
    const length = this.#at - start;
    if (length < 128) {
      this.#bytes[start - 1] = length;
      return;
    }
    let extra = 0;
    for (let rest = Math.floor(length / 128); rest > 0; rest = Math.floor(rest / 128)) extra++;
    this.#room(extra);
    this.#bytes.copyWithin(start + extra, start, this.#at);
    const end = this.#at + extra;
    this.#at = start - 1;
    this.#varint(length);
    this.#at = end;
  }

  #room(size: number): void {
    if (this.#at + size <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#at + size, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
    this.#views = new Views(grown);
  }
  #varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw broken('number');
    let rest = value;
    while (rest >= 128) {
      this.#bytes[this.#at++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#at++] = rest;
  }
}

/** Walks fields: `next()`, then `field` and one of the value getters. */
export class FieldReader {
  readonly #bytes: Buffer;
  #at = 0;
  #field = 0;
  #number = 0;
  #value: Buffer | undefined;
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }
  get field(): number {
    return this.#field;
  }
  /** False at the end. @throws GatewayError `trail.broken` (`payload`) when cut short */
  next(): boolean {
    if (this.#at >= this.#bytes.length) return false;
    const tag = this.#bytes[this.#at++]!;
    this.#field = tag >> 1;
    this.#number = this.#varint();
    this.#value = undefined;
    if ((tag & 1) === 1) {
      if (this.#number > this.#bytes.length - this.#at) throw broken('payload');
      this.#value = this.#bytes.subarray(this.#at, this.#at + this.#number);
      this.#at += this.#number;
    }
    return true;
  }
  get isNumber(): boolean {
    return this.#value === undefined;
  }
  integer(): number {
    if (this.#value !== undefined) throw broken('payload');
    return this.#number;
  }
  bytes(): Buffer {
    if (this.#value === undefined) throw broken('payload');
    return this.#value;
  }
  text(): string {
    return this.bytes().toString('utf8');
  }
  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw broken('payload');
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (!Number.isSafeInteger(value)) throw broken('payload');
        return value;
      }
      scale *= 128;
    }
    throw broken('payload');
  }
}
