/**
 * Payment card numbers: 13 to 19 digits, alone or in groups parted by single spaces or dashes, with a known issuer
 * prefix of the right length (ISO/IEC 7812) and a good Luhn digit. Refuses numbers glued to letters or digits, which
 * are far more often hashes and ids, and fractions (`0.4111…`).
 */
import { DASH, DOT, isDigit, SPACE } from '../bytes.ts';
import { isGluedAfter, isGluedBefore, type Scan } from '../span.ts';

const lengths = (from: number, to = from): number => {
  let bits = 0;
  for (let n = from; n <= to; n++) bits |= 1 << n;
  return bits;
};

/** Bit n is set when a card whose number starts with these four digits may have n digits. */
function cardLengths(first4: number): number {
  const two = Math.floor(first4 / 100);
  const three = Math.floor(first4 / 10);
  if (two >= 40 && two <= 49) return lengths(13) | lengths(16) | lengths(19);
  if ((two >= 51 && two <= 55) || (first4 >= 2221 && first4 <= 2720)) return lengths(16);
  if (first4 >= 2200 && first4 <= 2204) return lengths(16, 19);
  if (two === 34 || two === 37) return lengths(15);
  if (first4 >= 3528 && first4 <= 3589) return lengths(16, 19);
  if ((three >= 300 && three <= 305) || first4 === 3095 || two === 36 || two === 38 || two === 39)
    return lengths(14, 19);
  if (two === 50 || (two >= 56 && two <= 58)) return lengths(13, 19);
  if (two === 60 || two === 62 || two === 64 || two === 65) return lengths(16, 19);
  if (two >= 61 && two <= 69) return lengths(13, 19);
  if (two === 81 || two === 82) return lengths(16);
  return 0;
}

/** Lengths allowed per first four digits, one look-up for the hot path; the kernel is given the same table. */
export const CARD_LENGTHS: Uint32Array = Uint32Array.from({ length: 10_000 }, (_, first4) => cardLengths(first4));

/** True when the last of `count` digits is their Luhn digit (ISO/IEC 7812-1, annex B). */
function isLuhn(digits: Uint8Array, count: number): boolean {
  let sum = 0;
  for (let i = count - 1, double = false; i >= 0; i--, double = !double) {
    const digit = digits[i]! * (double ? 2 : 1);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 === 0;
}

const digits = new Uint8Array(19);

function isCard(count: number): boolean {
  if (count < 13) return false;
  const first4 = digits[0]! * 1000 + digits[1]! * 100 + digits[2]! * 10 + digits[3]!;
  return (CARD_LENGTHS[first4]! & (1 << count)) !== 0 && isLuhn(digits, count);
}

/**
 * The end of the longest card number that starts at `start`, or -1.
 * `start` is the first digit of a group; a number may end only where a group ends and no word goes on.
 */
function cardEnd(text: Uint8Array, start: number, seams: Uint8Array | undefined): number {
  let count = 0;
  let best = -1;
  let at = start;
  for (;;) {
    while (isDigit(text[at])) {
      if (count === 19) return best;
      digits[count++] = text[at]! - 48;
      at++;
      if (seams !== undefined && seams[at] === 1 && isCard(count)) best = at;
    }
    if (!isGluedAfter(text, at, seams) && isCard(count)) best = at;
    const separator = text[at];
    if ((separator !== SPACE && separator !== DASH) || !isDigit(text[at + 1])) return best;
    at++;
  }
}

export const scanPaymentCards: Scan = (text, hit, seams) => {
  let at = 0;
  while (at < text.length) {
    if (!isDigit(text[at])) {
      at++;
      continue;
    }
    const before = text[at - 1];
    const fraction = before === DOT && isDigit(text[at - 2]);
    const end = isGluedBefore(text, at, seams) || fraction ? -1 : cardEnd(text, at, seams);
    if (end >= 0) {
      hit(at, end);
      at = end;
    } else {
      do at++;
      while (isDigit(text[at]) && (seams === undefined || seams[at] === 0));
    }
  }
};
