/**
 * Byte classes of ASCII text, as the detectors see it. Refuses to know encodings: bytes from 0x80 up are "other text".
 * The kernel (packages/mask/assembly/rows.ts) uses the same classes; change both or the parity test fails.
 */
const DIGIT = 1;
const LETTER = 2;
const WORD = 4;
const LOCAL = 8;
const DOMAIN = 16;
const TOKEN = 32;
const UPPER = 64;
const HEX = 128;

const CLASS = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  const char = String.fromCharCode(byte);
  const other = byte >= 0x80;
  if (/[0-9]/.test(char)) CLASS[byte]! |= DIGIT;
  if (/[A-Za-z]/.test(char)) CLASS[byte]! |= LETTER;
  if (/[A-Za-z0-9_]/.test(char)) CLASS[byte]! |= WORD;
  if (other || /[A-Za-z0-9._%+-]/.test(char)) CLASS[byte]! |= LOCAL;
  if (other || /[A-Za-z0-9.-]/.test(char)) CLASS[byte]! |= DOMAIN;
  if (/[A-Za-z0-9_-]/.test(char)) CLASS[byte]! |= TOKEN;
  if (/[A-Z]/.test(char)) CLASS[byte]! |= UPPER;
  if (/[0-9A-Fa-f]/.test(char)) CLASS[byte]! |= HEX;
}

/** Each takes a byte, or undefined past the end of the text, which is in no class. */
export const isDigit = (byte: number | undefined): boolean => byte !== undefined && (CLASS[byte]! & DIGIT) !== 0;
export const isLetter = (byte: number | undefined): boolean => byte !== undefined && (CLASS[byte]! & LETTER) !== 0;
/** `[A-Za-z0-9_]`: what may not touch a number for it to count as one. */
export const isWord = (byte: number | undefined): boolean => byte !== undefined && (CLASS[byte]! & WORD) !== 0;
/** The local part of an address, any byte of a non-ASCII character included. */
export const isLocal = (byte: number | undefined): boolean => byte !== undefined && (CLASS[byte]! & LOCAL) !== 0;
export const isDomain = (byte: number | undefined): boolean => byte !== undefined && (CLASS[byte]! & DOMAIN) !== 0;
/** base64url's alphabet, which is also that of most keys. */
export const isToken = (byte: number | undefined): boolean => byte !== undefined && (CLASS[byte]! & TOKEN) !== 0;
export const isUpper = (byte: number | undefined): boolean => byte !== undefined && (CLASS[byte]! & UPPER) !== 0;
export const isHex = (byte: number | undefined): boolean => byte !== undefined && (CLASS[byte]! & HEX) !== 0;
export const isAlphanumeric = (byte: number | undefined): boolean =>
  byte !== undefined && (CLASS[byte]! & (DIGIT | LETTER)) !== 0;
/** The upper-case byte of an ASCII letter; any other byte as it is. */
export const upper = (byte: number): number => (byte >= 97 && byte <= 122 ? byte - 32 : byte);

export const SPACE = 32;
export const PLUS = 43;
export const DASH = 45;
export const DOT = 46;
export const COLON = 58;
export const AT = 64;
