/** Variable-length numbers of the record (LEB128, least significant group first), at most 2^53 - 1. Refuses negative ones. */
import { broken } from './bytes.ts';

export function varintSize(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw broken('number');
  // Compared, and not counted: compiled, a loop of divisions takes several lines of memory at each of the places that it is in.
  if (value < 2 ** 14) return value < 2 ** 7 ? 1 : 2;
  if (value < 2 ** 28) return value < 2 ** 21 ? 3 : 4;
  let size = 5;
  for (let rest = Math.floor(value / 2 ** 35); rest > 0; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** @returns where the next byte goes */
export function writeVarint(into: Buffer, value: number, start: number): number {
  let at = start;
  let rest = value;
  while (rest >= 2 ** 31) {
    into[at++] = (rest % 128) + 128;
    rest = Math.floor(rest / 128);
  }
  while (rest >= 128) {
    into[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  into[at++] = rest;
  return at;
}

export function varint(value: number): number[] {
  const bytes = Buffer.alloc(varintSize(value));
  writeVarint(bytes, value, 0);
  return [...bytes];
}

/** @throws GatewayError `trail.broken` (`frame`) */
export function readVarint(bytes: Buffer, at: { offset: number }): number {
  let value = 0;
  for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
    const byte = bytes[at.offset++];
    if (byte === undefined) throw broken('frame');
    value += (byte & 127) * scale;
    if (byte < 128) return value;
  }
  throw broken('frame');
}
