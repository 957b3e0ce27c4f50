/**
 * URL-encoded forms (WHATWG URL section 5): names and values by detectors, unescaped to be read and escaped again where something
 * was found. Refuses to hold a value of any length: one that is too long is redacted. Limits: maskedJsonTokenBytesMax.
 */
import { LIMITS } from '@sallyport/core';
import { type JsonMaskerOptions, maskDetectedCell } from '@sallyport/mask';
import type { BodyMasker } from '../message.ts';

const AMPERSAND = 38;
const EQUALS = 61;
const REDACTED = Buffer.from('[redacted]');
const NOTHING = new Uint8Array(0);

export class FormBody implements BodyMasker {
  readonly #masks: JsonMaskerOptions;
  #held: Uint8Array = NOTHING;
  /** The rest of a pair that is too long is dropped. */
  #dropping = false;

  constructor(masks: JsonMaskerOptions) {
    this.#masks = masks;
  }
  get heldBytes(): number {
    return this.#held.length;
  }

  push(chunk: Uint8Array): Uint8Array {
    const input = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = NOTHING;
    const out: Uint8Array[] = [];
    let from = 0;
    for (let at = input.indexOf(AMPERSAND); at >= 0; at = input.indexOf(AMPERSAND, from)) {
      if (!this.#dropping) out.push(this.#pair(input.subarray(from, at)));
      this.#dropping = false;
      out.push(input.subarray(at, at + 1));
      from = at + 1;
    }
    const rest = input.subarray(from);
    if (this.#dropping) return Buffer.concat(out);
    if (rest.length <= LIMITS.maskedJsonTokenBytesMax) this.#held = Uint8Array.from(rest);
    else {
      this.#dropping = true;
      const equals = rest.subarray(0, LIMITS.maskedJsonTokenBytesMax).indexOf(EQUALS);
      if (equals >= 0) out.push(this.#part(rest.subarray(0, equals)), rest.subarray(equals, equals + 1));
      out.push(encoded(REDACTED));
    }
    return Buffer.concat(out);
  }
  end(): Uint8Array {
    const last = this.#held;
    this.#held = NOTHING;
    return last.length === 0 ? NOTHING : this.#pair(last);
  }
  idle(): Uint8Array {
    return NOTHING;
  }

  #pair(pair: Uint8Array): Uint8Array {
    const equals = pair.indexOf(EQUALS);
    if (equals < 0) return this.#part(pair);
    const [name, value] = [pair.subarray(0, equals), pair.subarray(equals + 1)];
    const [shownName, shownValue] = [this.#part(name), this.#part(value)];
    if (shownName === name && shownValue === value) return pair;
    return Buffer.concat([shownName, pair.subarray(equals, equals + 1), shownValue]);
  }
  #part(part: Uint8Array): Uint8Array {
    const text = formDecoded(part);
    const { detect, key } = this.#masks;
    const shown = maskDetectedCell(text, detect, key === undefined ? {} : { key });
    return shown === text ? part : encoded(shown ?? REDACTED);
  }
}

const hexDigit = (byte: number | undefined): number => {
  if (byte === undefined) return -1;
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
};

/** `+` and `%XX` undone; an escape that is none stays as it is. */
export function formDecoded(part: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(part.length);
  let to = 0;
  for (let at = 0; at < part.length; at++) {
    const byte = part[at]!;
    const high = byte === 37 ? hexDigit(part[at + 1]) : -1;
    const low = high < 0 ? -1 : hexDigit(part[at + 2]);
    if (low >= 0) {
      out[to++] = high * 16 + low;
      at += 2;
    } else out[to++] = byte === 43 ? 32 : byte;
  }
  return out.subarray(0, to);
}

/** Letters, digits and `-._*` as they are, spaces as `+`, everything else as `%XX`. */
function encoded(text: Uint8Array): Uint8Array {
  let out = '';
  for (const byte of text) {
    const char = String.fromCharCode(byte);
    out += /[A-Za-z0-9._*-]/.test(char)
      ? char
      : byte === 32
        ? '+'
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return Buffer.from(out);
}
