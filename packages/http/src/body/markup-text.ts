/**
 * HTML and XML by detectors, also where a value is written in character references (`&#52;`, `&#x40;`, `&commat;`): those that
 * stand for letters, digits and what values have between them are read, and shown, as the characters they are; others stay.
 * Refuses references too long to be meant, and what says of itself that it is in a charset that is not read here.
 * WHATWG HTML sections 13.2.3.2 and 13.2.5.72; XML 1.0 sections 4.1 and 4.3.3.
 */
import { createStreamMasker, type JsonMaskerOptions, type StreamMasker } from '@sallyport/mask';
import type { BodyMasker } from '../message.ts';
import { isReadableCharset } from './content-type.ts';

const UNMASKABLE = 'http.body_unmaskable';
const NOTHING = new Uint8Array(0);
const QUIET_MS = 1_000;
const AMPERSAND = 38;
const SEMICOLON = 59;
/** Leading zeros are allowed without end. */
const REFERENCE_BYTES_MAX = 64;
const CUT = 0;
const NONE = -1;
/** Readers look no further for a charset. */
const DECLARED_BYTES_MAX = 1_024;
const DECLARED =
  /<(?:meta\b[^>]*?charset\s{0,8}=\s{0,8}["']?\s{0,8}|\?xml\b[^>]*?encoding\s{0,8}=\s{0,8}["'])([^\s"'/>;?]+)[\s"'/>;?]/gi;

/** Characters that mean nothing to markup themselves, and are part of what is looked for. */
const SHOWN = /[A-Za-z0-9 @.:+_%/()-]/;
const NAMES = new Map<string, number>([
  ['commat', 64],
  ['period', 46],
  ['colon', 58],
  ['plus', 43],
  ['lowbar', 95],
  ['UnderBar', 95],
  ['percnt', 37],
  ['sol', 47],
  ['lpar', 40],
  ['rpar', 41],
]);
const NAME_BYTES_MAX = Math.max(...[...NAMES.keys()].map((name) => name.length));

const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57;
const isLetter = (byte: number): boolean => (byte | 32) >= 97 && (byte | 32) <= 122;
const hexValue = (byte: number): number =>
  isDigit(byte) ? byte - 48 : (byte | 32) >= 97 && (byte | 32) <= 102 ? (byte | 32) - 87 : NONE;

export class MarkupText implements BodyMasker {
  failed: typeof UNMASKABLE | undefined;
  readonly #masker: StreamMasker;
  /** A reference that is cut. */
  #held: Uint8Array = NOTHING;
  /** What a charset may be declared in; undefined behind it. */
  #head: string | undefined = '';

  constructor({ detect, key }: JsonMaskerOptions) {
    this.#masker = createStreamMasker(detect, key);
  }
  get heldBytes(): number {
    return this.#held.length + this.#masker.heldBytes;
  }

  push(chunk: Uint8Array): Uint8Array {
    if (this.#head !== undefined) this.#declared(this.#head, chunk);
    if (this.failed !== undefined) return NOTHING;
    if (this.#held.length === 0 && !chunk.includes(AMPERSAND)) return this.#masker.push(chunk);
    return this.#masker.push(this.#read(Buffer.concat([this.#held, chunk]), false));
  }
  end(): Uint8Array {
    const rest = this.#read(this.#held, true);
    return Buffer.concat([this.#masker.push(rest), this.#masker.flush()]);
  }
  idle(): Uint8Array {
    return this.#masker.idle(QUIET_MS);
  }

  #declared(before: string, chunk: Uint8Array): void {
    const more = chunk.subarray(0, DECLARED_BYTES_MAX - before.length);
    const head = before + Buffer.from(more.buffer, more.byteOffset, more.byteLength).toString('latin1');
    if (![...head.matchAll(DECLARED)].every(([, charset = '']) => isReadableCharset(charset))) this.failed = UNMASKABLE;
    this.#head = head.length < DECLARED_BYTES_MAX ? head : undefined;
  }

  /** The characters, as far as no reference is cut. */
  #read(input: Uint8Array, isLast: boolean): Uint8Array {
    const parts: Uint8Array[] = [];
    let from = 0;
    this.#held = NOTHING;
    for (let at = input.indexOf(AMPERSAND); at >= 0; at = input.indexOf(AMPERSAND, at + 1)) {
      const { bytes, code } = referenceAt(input, at, isLast);
      if (bytes === CUT) {
        if (input.length - at > REFERENCE_BYTES_MAX) this.failed = UNMASKABLE;
        else this.#held = Uint8Array.from(input.subarray(at));
        parts.push(input.subarray(from, at));
        return this.failed === undefined ? Buffer.concat(parts) : NOTHING;
      }
      if (bytes > REFERENCE_BYTES_MAX) {
        this.failed = UNMASKABLE;
        return NOTHING;
      }
      if (bytes === NONE || code > 127 || !SHOWN.test(String.fromCharCode(code))) continue;
      parts.push(input.subarray(from, at), Uint8Array.of(code));
      from = at + bytes;
      at = from - 1;
    }
    parts.push(input.subarray(from));
    return Buffer.concat(parts);
  }
}

/** @returns its bytes: CUT where more has to come, NONE where it is no reference that is known */
function referenceAt(input: Uint8Array, start: number, isLast: boolean): { bytes: number; code: number } {
  const isNumber = input[start + 1] === 35;
  const isHex = isNumber && ((input[start + 2] ?? 0) | 32) === 120;
  let at = start + (isHex ? 3 : isNumber ? 2 : 1);
  const first = at;
  let code = 0;
  let name = '';
  for (; at < input.length; at++) {
    const byte = input[at]!;
    if (!isNumber) {
      if (!isLetter(byte) || name.length > NAME_BYTES_MAX) break;
      name += String.fromCharCode(byte);
      continue;
    }
    const digit = isHex ? hexValue(byte) : isDigit(byte) ? byte - 48 : NONE;
    if (digit === NONE) break;
    code = Math.min(0x110000, code * (isHex ? 16 : 10) + digit);
  }
  if (at >= input.length && !isLast) return { bytes: CUT, code };
  const isEnded = input[at] === SEMICOLON;
  // Numbers need no semicolon; of names only those of old do, and none of them is here.
  if (!isNumber) return { bytes: isEnded && NAMES.has(name) ? at + 1 - start : NONE, code: NAMES.get(name) ?? 0 };
  return { bytes: at === first ? NONE : at - start + (isEnded ? 1 : 0), code };
}
