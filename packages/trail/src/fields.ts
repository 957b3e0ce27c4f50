/**
 * Tag-length-value fields of payloads: writer and reader. Refuses to know which kinds and tags exist.
 * docs/reference/trail-format.md, Payloads. Default values are left out, so one value has one encoding.
 */
import { Buffer } from 'node:buffer';
import { Views } from '@sallyport/core';
import { broken, writeText } from './bytes.ts';
import { varintSize, writeVarint } from './varint.ts';

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
  /**
   * Another number in the place of the first field, which is one.
   * @returns false where it takes more or fewer bytes: then nothing was changed
   */
  renumber(from: number, to: number): boolean {
    if (from === 0 || to === 0 || varintSize(from) !== varintSize(to)) return false;
    writeVarint(this.#bytes, to, 1);
    return true;
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

/** The fields of one sequence by number. They are few: who asks for one walks over all, and no view is made of what nobody asks for. */
export class Fields {
  readonly #bytes: Buffer;
  /** Three numbers each: the field, where its bytes start or -1, how many they are or the number. */
  readonly #all: number[] = [];
  /** @throws GatewayError `trail.broken` (`payload`) when cut short; getters throw it for a field of the other wire type */
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    for (let at = 0; at < bytes.length; ) {
      const tag = bytes[at++]!;
      at = this.#varint(at);
      const value = this.#read;
      const isBytes = (tag & 1) === 1;
      if (isBytes && value > bytes.length - at) throw broken('payload');
      this.#all.push(tag >> 1, isBytes ? at : -1, value);
      if (isBytes) at += value;
    }
  }
  /** 0 where there is none. */
  integer(field: number): number {
    const at = this.#find(field);
    if (at < 0) return 0;
    if (this.#all[at + 1]! >= 0) throw broken('payload');
    return this.#all[at + 2]!;
  }
  /** Empty where there is none. */
  bytes(field: number): Buffer {
    const at = this.#find(field);
    return at < 0 ? NO_BYTES : this.#bytesAt(at);
  }
  text(field: number): string {
    const at = this.#find(field);
    if (at < 0) return '';
    const start = this.#startAt(at);
    return this.#bytes.toString('utf8', start, start + this.#all[at + 2]!);
  }
  nested(field: number): Fields {
    return new Fields(this.bytes(field));
  }
  all(field: number): readonly Buffer[] {
    const values: Buffer[] = [];
    for (let at = this.#find(field); at >= 0; at = this.#find(field, at + 3)) values.push(this.#bytesAt(at));
    return values;
  }
  optional<T>(field: number, read: (bytes: Buffer) => T): T | undefined {
    const at = this.#find(field);
    return at < 0 ? undefined : read(this.#bytesAt(at));
  }

  #find(field: number, from = 0): number {
    for (let at = from; at < this.#all.length; at += 3) if (this.#all[at] === field) return at;
    return -1;
  }
  #startAt(at: number): number {
    const start = this.#all[at + 1]!;
    if (start < 0) throw broken('payload');
    return start;
  }
  #bytesAt(at: number): Buffer {
    const start = this.#startAt(at);
    return this.#bytes.subarray(start, start + this.#all[at + 2]!);
  }
  /** What `#varint` read last. */
  #read = 0;
  /** @returns where it ends */
  #varint(from: number): number {
    let value = 0;
    let scale = 1;
    for (let at = from; at < from + 8; at++) {
      const byte = this.#bytes[at];
      if (byte === undefined) throw broken('payload');
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (!Number.isSafeInteger(value)) throw broken('payload');
        this.#read = value;
        return at + 1;
      }
      scale *= 128;
    }
    throw broken('payload');
  }
}

const NO_BYTES: Buffer = Buffer.alloc(0);
