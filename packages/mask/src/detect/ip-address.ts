/**
 * IPv4 in dotted form and IPv6 in RFC 4291 text forms (with `::` and an embedded IPv4 tail).
 * Refuses quads with leading zeros and IPv6 without a digit (`::` in code, words made of hex letters).
 */
import { COLON, DOT, isDigit, isHex } from '../bytes.ts';
import { isGluedAfter, isGluedBefore, type Scan } from '../span.ts';

function quadEnd(text: Uint8Array, start: number, seams?: Uint8Array): number {
  let at = start;
  for (let octet = 0; octet < 4; octet++) {
    if (octet > 0 && text[at++] !== DOT) return -1;
    let value = 0;
    let count = 0;
    while (count < 4 && isDigit(text[at])) {
      value = value * 10 + text[at++]! - 48;
      count++;
    }
    if (count === 0 || count > 3 || value > 255 || (count > 1 && text[at - count] === 48)) return -1;
  }
  return isGluedAfter(text, at, seams) || (text[at] === DOT && isDigit(text[at + 1])) ? -1 : at;
}

/** RFC 4291 §2.2: eight groups of one to four hex digits, one `::` for one or more of them, the last two as a quad. */
function isIpv6(address: string): boolean {
  const tail = address.slice(address.lastIndexOf(':') + 1);
  const isQuad = tail.includes('.');
  if (isQuad && quadEnd(Buffer.from(tail), 0) !== tail.length) return false;
  const halves = (isQuad ? `${address.slice(0, -tail.length)}0:0` : address).split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return false;
  return halves.length === 2 ? groups.length < 8 : groups.length === 8;
}

const isSixByte = (byte: number | undefined): boolean => isHex(byte) || byte === COLON || byte === DOT;

/** The longest run of hex digits, colons and dots from `start`, when it is an IPv6 address of at most 45 characters. */
function sixEnd(text: Uint8Array, start: number, runEnd: number, seams: Uint8Array | undefined): number {
  let end = runEnd;
  while (end > start && (text[end - 1] === DOT || (text[end - 1] === COLON && text[end - 2] !== COLON))) end--;
  if (end - start > 45 || end - start < 3 || isGluedAfter(text, end, seams)) return -1;
  const address = Buffer.from(text.buffer, text.byteOffset + start, end - start).toString('latin1');
  return /[0-9]/.test(address) && isIpv6(address) ? end : -1;
}

export const scanIpAddresses: Scan = (text, hit, seams) => {
  let at = 0;
  while (at < text.length) {
    if (!isSixByte(text[at]) || isGluedBefore(text, at, seams)) {
      at++;
      continue;
    }
    let runEnd = at;
    let colons = 0;
    while (isSixByte(text[runEnd])) if (text[runEnd++] === COLON) colons++;
    if (colons >= 2) {
      const end = sixEnd(text, at, runEnd, seams);
      if (end >= 0) {
        hit(at, end);
        at = end;
        continue;
      }
    }
    // Inside the run, a quad may start at its beginning or after a colon (`host:10.0.0.1`).
    for (let i = at; i < runEnd; i++) {
      if (seams !== undefined && seams[i] === 1 && i > at && colons >= 2) {
        const end = sixEnd(text, i, runEnd, seams);
        if (end >= 0) {
          hit(i, end);
          break;
        }
      }
      if (!isDigit(text[i]) || (i > at && text[i - 1] !== COLON && (seams === undefined || seams[i] === 0))) continue;
      const end = quadEnd(text, i, seams);
      if (end < 0) continue;
      hit(i, end);
      i = end - 1;
    }
    at = Math.max(runEnd, at + 1);
  }
};
