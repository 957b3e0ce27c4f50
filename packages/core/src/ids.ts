/**
 * Identifiers: UUID version 7 (RFC 9562 section 5.7), so that ids sort by time, plus short request ids for people.
 * Refuses to read a clock or a random source: both are arguments.
 */
const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

/** The 16 bytes of a UUIDv7. @param nowMs UTC milliseconds; @param random at least 10 random bytes */
export function uuid7Bytes(nowMs: number, random: Uint8Array): Uint8Array {
  const out = new Uint8Array(16);
  let time = nowMs;
  for (let i = 5; i >= 0; i--) {
    out[i] = time % 256;
    time = Math.floor(time / 256);
  }
  out.set(random.subarray(0, 10), 6);
  out[6] = 0x70 | (out[6]! & 0x0f);
  out[8] = 0x80 | (out[8]! & 0x3f);
  return out;
}

/** The usual 36-character form of 16 bytes. */
export function uuidText(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += '-';
    text += HEX[bytes[i]!];
  }
  return text;
}

/** The 16 bytes of a UUID text, or undefined where it is none. */
export function parseUuid(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)) return undefined;
  return Uint8Array.from(Buffer.from(text.replaceAll('-', ''), 'hex'));
}

// Crockford's base32: no i, l, o, u, so that an id survives being read aloud.
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** A short id a person can read, as `apr-7k2m9x4qdz`. @param random at least 10 random bytes (50 bits are used) */
export function shortId(prefix: string, random: Uint8Array): string {
  let text = '';
  for (let i = 0; i < 10; i++) text += ALPHABET[random[i]! & 31];
  return `${prefix}-${text}`;
}

/** A DNS label (RFC 1123): the form of every resource, group and agent name. */
export const isDnsLabel = (text: string): boolean => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
