/**
 * What stands between the quotes of a JSON string (RFC 8259 section 7) as bytes of UTF-8, and back. A lone surrogate becomes
 * the three bytes UTF-8 would have for it, so that what is not masked keeps its meaning. Refuses to know documents.
 */
import { isHex } from '../bytes.ts';

const QUOTE = 34;
const BACKSLASH = 92;

/** Bytes that a string cannot be passed over: its end, escapes, raw controls, and what is in no text of UTF-8. */
export const STRING_STOP: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 32 || byte === QUOTE || byte === BACKSLASH || byte === 0xc0 || byte === 0xc1 || byte > 0xf4 ? 1 : 0,
);

const SIMPLE = new Map<number, number>([
  [QUOTE, QUOTE],
  [BACKSLASH, BACKSLASH],
  [47, 47],
  [98, 8],
  [102, 12],
  [110, 10],
  [114, 13],
  [116, 9],
]);

const hexValue = (byte: number): number => (byte <= 57 ? byte - 48 : (byte | 32) - 87);

/** The code unit of `\uXXXX` at `at`; -1 when it is cut, -2 when it is none. */
function unitAt(raw: Uint8Array, at: number): number {
  let unit = 0;
  for (let i = at + 2; i < at + 6; i++) {
    const byte = raw[i];
    if (byte === undefined) return -1;
    if (!isHex(byte)) return -2;
    unit = (unit << 4) | hexValue(byte);
  }
  return unit;
}

/**
 * Unescapes as much as is whole.
 * @param raw bytes of a string without its quotes
 * @returns the text, and how many bytes of `raw` it is of; undefined for an escape that JSON does not have
 */
export function unescapeJson(raw: Uint8Array): { readonly text: Buffer; readonly read: number } | undefined {
  let at = raw.indexOf(BACKSLASH);
  if (at < 0) return { text: Buffer.from(raw), read: raw.length };
  // An escape never becomes longer.
  const text = Buffer.allocUnsafe(raw.length);
  text.set(raw.subarray(0, at));
  let to = at;
  while (at < raw.length) {
    const byte = raw[at]!;
    if (byte !== BACKSLASH) {
      text[to++] = byte;
      at++;
      continue;
    }
    const kind = raw[at + 1];
    if (kind === undefined) break;
    if (kind !== 117) {
      const simple = SIMPLE.get(kind);
      if (simple === undefined) return undefined;
      text[to++] = simple;
      at += 2;
      continue;
    }
    const unit = unitAt(raw, at);
    if (unit === -2) return undefined;
    if (unit === -1) break;
    let code = unit;
    let size = 6;
    if (unit >= 0xd800 && unit < 0xdc00) {
      // The other half may follow.
      const isCut = at + 6 >= raw.length || (raw[at + 6] === BACKSLASH && at + 7 >= raw.length);
      const low = raw[at + 6] === BACKSLASH && raw[at + 7] === 117 ? unitAt(raw, at + 6) : isCut ? -1 : -2;
      if (low === -1) break;
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        size = 12;
      }
    }
    to = writeCode(text, to, code);
    at += size;
  }
  return { text: text.subarray(0, to), read: at };
}

/** The whole of a string; undefined for an escape that JSON does not have, or that is cut. */
export function unescapedJson(raw: Uint8Array): Uint8Array | undefined {
  const first = unescapeJson(raw);
  if (first === undefined || first.read === raw.length) return first?.text;
  // A high surrogate may be the last there is; whatever else is cut is no escape.
  const rest = unescapeJson(Buffer.concat([raw.subarray(first.read), SPACE]));
  return rest === undefined ? undefined : Buffer.concat([first.text, rest.text.subarray(0, -1)]);
}

const SPACE = Buffer.from(' ');

function writeCode(into: Buffer, at: number, code: number): number {
  if (code < 0x80) into[at++] = code;
  else if (code < 0x800) {
    into[at++] = 0xc0 | (code >> 6);
    into[at++] = 0x80 | (code & 63);
  } else if (code < 0x10000) {
    into[at++] = 0xe0 | (code >> 12);
    into[at++] = 0x80 | ((code >> 6) & 63);
    into[at++] = 0x80 | (code & 63);
  } else {
    into[at++] = 0xf0 | (code >> 18);
    into[at++] = 0x80 | ((code >> 12) & 63);
    into[at++] = 0x80 | ((code >> 6) & 63);
    into[at++] = 0x80 | (code & 63);
  }
  return at;
}

const SHORT = new Map<number, string>([
  [8, '\\b'],
  [9, '\\t'],
  [10, '\\n'],
  [12, '\\f'],
  [13, '\\r'],
  [QUOTE, '\\"'],
  [BACKSLASH, '\\\\'],
]);
const escapeOf = (code: number): string => SHORT.get(code) ?? `\\u${code.toString(16).padStart(4, '0')}`;

/** Text as it may stand between quotes; other bytes stay what they are. The text itself where nothing has to be escaped. */
export function escapeJson(text: Uint8Array): Uint8Array {
  let at = 0;
  while (at < text.length && !needsEscape(text, at)) at++;
  if (at === text.length) return text;
  const parts: Uint8Array[] = [];
  for (let from = 0; ; ) {
    while (at < text.length && !needsEscape(text, at)) at++;
    if (at > from) parts.push(text.subarray(from, at));
    if (at === text.length) return Buffer.concat(parts);
    const byte = text[at]!;
    const isLone = byte === 0xed;
    parts.push(
      Buffer.from(escapeOf(isLone ? 0xd000 | ((text[at + 1]! & 63) << 6) | (text[at + 2]! & 63) : byte), 'latin1'),
    );
    at += isLone ? 3 : 1;
    from = at;
  }
}

const needsEscape = (text: Uint8Array, at: number): boolean => {
  const byte = text[at]!;
  return byte < 32 || byte === QUOTE || byte === BACKSLASH || (byte === 0xed && text[at + 1]! >= 0xa0);
};
