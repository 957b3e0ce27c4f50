/**
 * How one value is shown once it must not be: redacted, in part, or as a keyed digest. Bytes of UTF-8 in and out.
 * Refuses to know why it is masked, and where it stands (cell.ts and text.ts do).
 */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import type { Detector, MaskMethod } from '@sallyport/model';
import { AT, DASH, DOT, isDigit } from './bytes.ts';

/** Keys the `hash` method; opaque, so that it cannot be printed. */
export type MaskKey = KeyObject;

/** @param bytes at least 16; the same bytes give the same hashes, which is what makes hashed columns joinable */
export function createMaskKey(bytes: Uint8Array): MaskKey {
  if (bytes.length < 16) throw new RangeError('a mask key has at least 16 bytes');
  return createSecretKey(bytes);
}

export const REDACTED = '[redacted]';
const REDACTED_BYTES = Buffer.from(REDACTED);

/** `h:` and 16 characters of base64url: the first 96 bits of HMAC-SHA-256 over the value's bytes. */
export const hashBytes = (value: Uint8Array, key: MaskKey): Buffer =>
  Buffer.from(`h:${createHmac('sha256', key).update(value).digest('base64url').slice(0, 16)}`);

const characterEnd = (text: Uint8Array, start: number): number => {
  let end = start + 1;
  while (end < text.length && (text[end]! & 0xc0) === 0x80) end++;
  return end;
};
/** Bytes as they are, one per character, so that invalid UTF-8 stays what it was. */
const show = (text: Uint8Array, start: number, end: number): string =>
  Buffer.from(text.buffer, text.byteOffset + start, Math.max(0, end - start)).toString('latin1');

/** The last `count` bytes that are digits (or letters of an id); `count` ≤ 4. */
function lastFour(text: Uint8Array): string {
  let shown = '';
  for (let i = text.length - 1; i >= 0 && shown.length < 4; i--) {
    if (isDigit(text[i])) shown = String.fromCharCode(text[i]!) + shown;
  }
  return shown;
}

function partialEmail(text: Uint8Array): string {
  const at = text.lastIndexOf(AT);
  const dot = text.lastIndexOf(DOT);
  const local = show(text, 0, Math.min(characterEnd(text, 0), at));
  const domain = show(text, at + 1, Math.min(characterEnd(text, at + 1), dot));
  return `${local}***@${domain}***${show(text, dot, text.length)}`;
}

/** Six stars, and the last two characters of a value of eight bytes or more. */
function partialText(text: Uint8Array): string {
  if (text.length < 8) return '******';
  let start = text.length;
  for (let characters = 0; characters < 2; characters++) {
    start--;
    while (start > 0 && (text[start]! & 0xc0) === 0x80) start--;
  }
  return `******${show(text, start, text.length)}`;
}

/** A glimpse that fits the kind: enough to recognize a value one knows, not to learn one. */
function partial(text: Uint8Array, kind: Detector | undefined): string {
  switch (kind) {
    case 'payment_card':
      return `************${lastFour(text)}`;
    case 'email':
      return partialEmail(text);
    case 'national_id':
      return text.length === 11 && text[3] === DASH && text[6] === DASH
        ? `***-**-${lastFour(text)}`
        : partialText(text);
    case 'iban':
      return `${show(text, 0, 2)}******${show(text, text.length - 4, text.length)}`;
    case 'ip_address':
      return '*.*.*.*';
    case 'secret_key':
    case 'jwt':
      return REDACTED;
    case 'phone':
    case undefined:
      return partialText(text);
    default:
      return kind satisfies never;
  }
}

/**
 * One value, masked. `null` asks for SQL NULL, which only a cell can be: a stretch inside a text has none, so it reads
 * `[redacted]` here. `hash` without a key is `[redacted]`: an unkeyed digest of a card number is the card number.
 */
export function maskBytes(
  value: Uint8Array,
  method: MaskMethod,
  kind: Detector | undefined,
  key: MaskKey | undefined,
): Uint8Array {
  switch (method) {
    case 'partial':
      return Buffer.from(partial(value, kind), 'latin1');
    case 'hash':
      return key === undefined ? REDACTED_BYTES : hashBytes(value, key);
    case 'redact':
    case 'null':
      return REDACTED_BYTES;
    default:
      return method satisfies never;
  }
}
