/**
 * Whether bytes around a place are text. Random bytes look like a short address once in a few megabytes; a file that is read
 * through a stream must not be changed by that, and a value in a database file must still be found.
 * Refuses to know encodings but UTF-8 and ASCII.
 */
import { AT, DOT, isDomain, isLetter, isLocal } from '../bytes.ts';

export const NEAR_BYTES = 32;
/** In what is no text shorter finds of these two forms are chance: one in gigabytes is left. */
const CERTAIN_BYTES = 12;

// Tab, line feed, form feed, carriage return, backspace, bell, escape, and the shifts that end bold on many terminals
const TEXT_CONTROLS = new Set([9, 10, 12, 13, 8, 7, 27, 14, 15]);

const isTextByte = (byte: number): boolean => (byte >= 32 ? byte !== 127 : TEXT_CONTROLS.has(byte));

/**
 * The 32 bytes before `at` are no text.
 * @param past what stood before the input, so that what was cut there is judged as it would be in one piece
 */
export function isBinaryBefore(input: Uint8Array, at: number, past: Uint8Array): boolean {
  if (at >= NEAR_BYTES || past.length === 0) return !isText(input, Math.max(0, at - NEAR_BYTES), at);
  const near = Buffer.concat([past, input.subarray(0, at)]);
  return !isText(near, Math.max(0, near.length - NEAR_BYTES), near.length);
}

/** The 32 bytes on either side are no text. */
export const isBinaryAround = (input: Uint8Array, from: number, to: number, past: Uint8Array): boolean =>
  isBinaryBefore(input, from, past) || !isText(input, to, Math.min(input.length, to + NEAR_BYTES));

/** What stands before the bytes that come next, when `input` up to `to` is behind `past`. */
export function pastOf(past: Uint8Array, input: Uint8Array, to: number): Uint8Array {
  if (to >= NEAR_BYTES) return Buffer.from(input.subarray(to - NEAR_BYTES, to));
  if (to === 0) return past;
  const all = Buffer.concat([past, input.subarray(0, to)]);
  return all.subarray(Math.max(0, all.length - NEAR_BYTES));
}

/** Bytes that are judged as text or not at once. */
export const BLOCK_BYTES = 256;
/** Nothing that is looked for among bytes that are no text has fewer bytes of ASCII side by side. */
const RUN_BYTES = 9;

/** Nowhere in the block are 32 bytes text: then only runs of ASCII are looked at. */
export function isBinaryBlock(input: Uint8Array, from: number): boolean {
  for (let at = from; at < from + BLOCK_BYTES; at += NEAR_BYTES) if (isText(input, at, at + NEAR_BYTES)) return false;
  return true;
}

/** What a find is made of among bytes that are no text: printable ASCII, and the NULs between that UTF-16 has. */
export const RUN: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte === 0 || (byte >= 0x20 && byte < 0x7f) ? 1 : 0,
);

/** The same bytes four at a time; index 0 stands at `shift`. */
export interface Words {
  readonly words: Uint32Array;
  readonly shift: number;
}

export function wordsOf(input: Uint8Array): Words {
  const shift = (4 - (input.byteOffset & 3)) & 3;
  const count = Math.max(0, (input.length - shift) >> 2);
  return { words: new Uint32Array(input.buffer, input.byteOffset + shift, count), shift };
}

/** Where the next run begins that is long enough, or goes on behind `to`. A run has four bytes in one word. */
export function nextRun(input: Uint8Array, { words, shift }: Words, from: number, to: number): number {
  let at = from;
  while (at < to) {
    let word = at <= shift ? 0 : (at - shift + 3) >> 2;
    const end = Math.min(words.length, (to - shift) >> 2);
    while (word < end && (words[word]! & 0x80808080) !== 0) word++;
    // The last bytes of the block may begin a run.
    let begin = word < end ? shift + word * 4 : Math.max(at, to - RUN_BYTES);
    if (begin >= to) return to;
    while (begin < to && RUN[input[begin]!] === 0) begin++;
    while (begin > at && RUN[input[begin - 1]!] === 1) begin--;
    let last = begin;
    const enough = Math.min(begin + RUN_BYTES, to);
    while (last < enough && RUN[input[last]!] === 1) last++;
    if (last === enough) return begin;
    at = last + 1;
  }
  return Math.min(at, to);
}

/** A character that is cut by either end is taken for one. */
function isText(input: Uint8Array, from: number, to: number): boolean {
  let at = from;
  while (at < to && at < from + 3 && (input[at]! & 0xc0) === 0x80) at++;
  while (at < to) {
    const byte = input[at]!;
    if (byte < 0x80) {
      if (!isTextByte(byte)) return false;
      at++;
      continue;
    }
    const more =
      byte >= 0xc2 && byte <= 0xdf ? 1 : byte >= 0xe0 && byte <= 0xef ? 2 : byte >= 0xf0 && byte <= 0xf4 ? 3 : 0;
    if (more === 0) return false;
    for (let i = 1; i <= more && at + i < to; i++) if ((input[at + i]! & 0xc0) !== 0x80) return false;
    at += more + 1;
  }
  return true;
}

/**
 * What of an address is one for certain among bytes that are no text: ASCII alone, and long enough.
 * @returns offsets into `text`, or undefined
 */
export function certainEmail(text: Uint8Array, start: number, end: number): { start: number; end: number } | undefined {
  const at = text.lastIndexOf(AT, end - 1);
  if (at < start) return undefined;
  let from = at;
  while (from > start && text[from - 1]! < 0x80 && isLocal(text[from - 1])) from--;
  let to = at + 1;
  while (to < end && text[to]! < 0x80 && isDomain(text[to])) to++;
  while (to > at + 1 && !isLetter(text[to - 1])) to--;
  const dot = text.lastIndexOf(DOT, to - 1);
  if (from === at || dot <= at + 1 || to - dot <= 2 || !isLetter(text[dot + 1])) return undefined;
  // A domain is written in one case.
  const domain = Buffer.from(text.subarray(at + 1, to)).toString('latin1');
  if (domain !== domain.toLowerCase() && domain !== domain.toUpperCase()) return undefined;
  return to - from >= CERTAIN_BYTES ? { start: from, end: to } : undefined;
}

export const isCertainAddress = (start: number, end: number): boolean => end - start >= CERTAIN_BYTES;
