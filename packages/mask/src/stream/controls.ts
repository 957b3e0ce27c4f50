/**
 * Control characters in a stream that is not read byte by byte: which can be passed over, since the line stays as it is, and
 * which have to be read. Refuses to read any; escapes.ts does. In what is no text they are no controls.
 */
import { isBinaryBefore } from './binary.ts';

const BACKSPACE = 8;
const LF = 10;
const CR = 13;
const ESC = 0x1b;
const C2 = 0xc2;

/** @returns how many bytes at `at` leave the line as it is; 0 when what begins there has to be read */
export function passOver(input: Uint8Array, at: number, past: Uint8Array): number {
  switch (input[at]) {
    case CR:
      return input[at + 1] === LF || at === 0 || input[at - 1] !== 32 || isBinaryBefore(input, at, past) ? 1 : 0;
    case BACKSPACE:
      return isBinaryBefore(input, at, past) ? 1 : 0;
    case C2: {
      const second = input[at + 1];
      if (second === undefined) return isBinaryBefore(input, at, past) ? 1 : 0;
      // Controls in UTF-8 are U+0080 to U+009F; what follows is another character, or none.
      if (second >= 0x80 && second <= 0x9f) return isBinaryBefore(input, at, past) ? 1 : 0;
      return 1;
    }
    case ESC: {
      const size = escapeBytes(input, at);
      return size > 0 ? size : isBinaryBefore(input, at, past) ? 1 : 0;
    }
    default:
      return 1;
  }
}

/** Length of an escape sequence that shows nothing and moves nothing back; 0 for every other, and for one that is cut. */
function escapeBytes(input: Uint8Array, at: number): number {
  const kind = input[at + 1];
  if (kind === 0x5b) {
    const end = Math.min(input.length, at + 64);
    for (let i = at + 2; i < end; i++) {
      const byte = input[i]!;
      if (byte >= 0x40 && byte <= 0x7e)
        return byte === 0x44 || (byte === 0x48 && mayDouble(input, at, i)) ? 0 : i + 1 - at;
      if (byte < 0x20 || byte > 0x3f) return 0;
    }
    return 0;
  }
  if (kind === undefined || kind < 0x20 || kind > 0x7e) return 0;
  // ESC ( B and its like
  if (kind < 0x30) {
    const final = input[at + 2];
    return final !== undefined && final >= 0x30 && final <= 0x7e ? 3 : 0;
  }
  const isString = kind === 0x5d || kind === 0x50 || kind === 0x58 || kind === 0x5e || kind === 0x5f;
  return isString ? 0 : 2;
}

/** An editor draws the first character of a row twice to get over the right edge: before the move and behind it. */
function mayDouble(input: Uint8Array, at: number, final: number): boolean {
  const next = input[final + 1];
  return next === undefined || at === 0 || (next === input[at - 1] && next > 32);
}

/** The escape sequences of a stretch that is replaced: colours and modes stay in force. Strings go with the value. */
export function escapesOf(stretch: Uint8Array): Uint8Array {
  if (!stretch.includes(ESC)) return NOTHING;
  const kept: Uint8Array[] = [];
  for (let at = stretch.indexOf(ESC); at >= 0; at = stretch.indexOf(ESC, at)) {
    const size = escapeBytes(stretch, at) || moveBytes(stretch, at);
    if (size > 0 && stretch[at + size - 1] !== 0x43) kept.push(stretch.subarray(at, at + size));
    at += Math.max(1, size);
  }
  return Buffer.concat(kept);
}

const NOTHING = new Uint8Array(0);

/** Length of a move to a place of the screen. */
export function moveBytes(input: Uint8Array, at: number): number {
  if (input[at] !== ESC || input[at + 1] !== 0x5b) return 0;
  let i = at + 2;
  while (i < input.length && ((input[i]! >= 0x30 && input[i]! <= 0x39) || input[i] === 0x3b)) i++;
  // CUP, HVP, CHA, VPA
  return input[i] === 0x48 || input[i] === 0x66 || input[i] === 0x47 || input[i] === 0x64 ? i + 1 - at : 0;
}
