/**
 * Texts inside a packed message that stand flush with what frames them: a length or a tag that looks like a letter or a digit makes
 * another word of a value, and no detector sees it there; nor does it see text in UTF-16. Refuses to know what message it is: each
 * is read as all of them, and as gRPC frames them. gRPC over HTTP2, Length-Prefixed-Message.
 */
import { maskDetectedCell } from '@sallyport/mask';
import type { DetectMask } from '@sallyport/model';
import { FIELD_READERS, type Field } from './packed-fields.ts';

/** A service may write a length and a kind of its own before a message. */
const OWN_BYTES_MAX = 8;
/** Messages inside messages: readers of protobuf take no more. */
const DEPTH_MAX = 100;
/** Nothing that is looked for is shorter. */
const TEXT_BYTES_MIN = 6;
/** No text of one field runs into that of the next. */
const BETWEEN = Buffer.from('\n\0\n');
/** So many times its length is read of a message, in all its readings. */
const READ_TIMES_MAX = 64;
const READ_BYTES_MIN = 65_536;

/** True where something is found in a text of the message that is not seen in the bytes as they stand, or that nests too deep. */
export function isFoundPacked(bytes: Uint8Array, detect: readonly DetectMask[]): boolean {
  if (detect.length === 0) return false;
  const reading = new Reading(bytes);
  for (const { start, end } of framesOf(bytes)) reading.collect(start, end, DEPTH_MAX);
  for (const text of wideTexts(bytes)) reading.add(text);
  if (reading.isTooMuch) return true;
  const whole = Buffer.concat(reading.texts);
  return maskDetectedCell(whole, detect, {}) !== whole;
}

/** A flag, and four bytes of length. */
const FRAME_HEAD_BYTES = 5;

/** Each message of a run that gRPC frames, and all of it as one: how its bytes begin does not tell the two apart. */
function framesOf(bytes: Uint8Array): readonly Pick<Field, 'start' | 'end'>[] {
  const frames = [{ start: 0, end: bytes.length }];
  // gRPC-Web sets the highest bit where trailers come.
  for (let at = 0; at + FRAME_HEAD_BYTES <= bytes.length && ((bytes[at] as number) & 0x7e) === 0; ) {
    const start = at + FRAME_HEAD_BYTES;
    const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(at + 1, start);
    at = start + (a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d);
    frames.push({ start, end: Math.min(at, bytes.length) });
  }
  return frames;
}

class Reading {
  readonly texts: Uint8Array[] = [];
  readonly #bytes: Uint8Array;
  #left: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#left = Math.max(READ_BYTES_MIN, bytes.length * READ_TIMES_MAX);
  }
  get isTooMuch(): boolean {
    return this.#left <= 0;
  }

  /** Each field that has bytes: its text, and the message it may be. */
  collect(from: number, to: number, depth: number): void {
    const ownBytes = depth === DEPTH_MAX ? OWN_BYTES_MAX : 0;
    for (const read of FIELD_READERS) {
      this.#left = depth < 0 ? 0 : this.#left - (to - from);
      if (this.isTooMuch) return;
      for (const field of read(this.#bytes, from, to, ownBytes) ?? []) this.#take(field, depth);
    }
  }

  #take({ start, end, isBytes, piece }: Field, depth: number): void {
    if (piece === 'next') this.texts.pop();
    if (end - start < TEXT_BYTES_MIN && piece === undefined) return;
    const isFlush = isWord(this.#bytes[start - 1]) || isWord(this.#bytes[end]);
    if (isFlush || piece !== undefined) this.add(this.#bytes.subarray(start, end));
    if (isBytes && end - start >= TEXT_BYTES_MIN) this.collect(start, end, depth - 1);
  }

  add(text: Uint8Array): void {
    this.#left -= text.length;
    if (!this.isTooMuch) this.texts.push(text, BETWEEN);
  }
}

/** A letter, a digit, or a sign that values have inside. */
const isWord = (byte: number | undefined): boolean =>
  byte !== undefined &&
  ((byte >= 48 && byte <= 57) ||
    (byte >= 65 && byte <= 90) ||
    (byte >= 97 && byte <= 122) ||
    byte === 43 ||
    byte === 45 ||
    byte === 46 ||
    byte === 95 ||
    byte >= 0x80);

/** Runs of ASCII in UTF-16, its halves in either order; each also without its first and its last unit, which may be a length. */
function wideTexts(bytes: Uint8Array): readonly Uint8Array[] {
  const texts: Uint8Array[] = [];
  if (!bytes.includes(0)) return texts;
  for (const low of [0, 1]) {
    for (let start = 0; start < bytes.length; ) {
      let end = start;
      while (isAscii(bytes[end + low]) && bytes[end + 1 - low] === 0) end += 2;
      if (end - start < 2 * TEXT_BYTES_MIN) start++;
      else {
        const text = bytes.subarray(start, end).filter((_, at) => at % 2 === low);
        texts.push(text);
        if (isWord(text[0])) texts.push(text.subarray(1));
        if (isWord(text.at(-1))) texts.push(text.subarray(0, -1));
        start = end;
      }
    }
  }
  return texts;
}

const isAscii = (byte: number | undefined): boolean =>
  byte !== undefined && ((byte >= 32 && byte < 127) || byte === 9 || byte === 10 || byte === 13);
