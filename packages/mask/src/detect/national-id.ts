/**
 * National identity numbers with a shape or a check digit strong enough to be told from other numbers:
 * US SSN and ITIN (with dashes), UK NINO, Spanish DNI and NIE, French NIR, German tax id, Italian codice fiscale.
 * Refuses bare nine-digit numbers and what is glued to letters or digits.
 */
import { DASH, isDigit, isLetter, SPACE, upper } from '../bytes.ts';
import { isGluedAfter, isGluedBefore, type Scan } from '../span.ts';

const number = (text: Uint8Array, from: number, to: number): number => {
  let value = 0;
  for (let i = from; i < to; i++) value = value * 10 + text[i]! - 48;
  return value;
};
const areDigits = (text: Uint8Array, from: number, to: number): boolean => {
  for (let i = from; i < to; i++) if (!isDigit(text[i])) return false;
  return true;
};

/** `AAA-GG-SSSS`; areas 000, 666, group 00 and serial 0000 are never issued; 9xx are ITINs (IRS, group 50 and up). */
function ssnEnd(text: Uint8Array, at: number): number {
  if (text[at + 3] !== DASH || text[at + 6] !== DASH) return -1;
  if (!areDigits(text, at, at + 3) || !areDigits(text, at + 4, at + 6) || !areDigits(text, at + 7, at + 11)) return -1;
  const area = number(text, at, at + 3);
  const group = number(text, at + 4, at + 6);
  if (area === 0 || area === 666 || group === 0 || (area >= 900 && group < 50)) return -1;
  return number(text, at + 7, at + 11) === 0 ? -1 : at + 11;
}

/** UK NINO: two prefix letters, six digits, a suffix A–D; single spaces between pairs. */
function ninoEnd(text: Uint8Array, at: number): number {
  const first = upper(text[at]!);
  const second = text[at + 1] === undefined ? 0 : upper(text[at + 1]!);
  if (!isLetter(first) || !isLetter(second)) return -1;
  const prefix = String.fromCharCode(first, second);
  if (/[DFIQUV]/.test(prefix) || second === 79 || /^(BG|GB|NK|KN|TN|NT|ZZ)$/.test(prefix)) return -1;
  let i = at + 2;
  for (let pair = 0; pair < 3; pair++) {
    if (text[i] === SPACE) i++;
    if (!isDigit(text[i]) || !isDigit(text[i + 1])) return -1;
    i += 2;
  }
  if (text[i] === SPACE) i++;
  const suffix = text[i] === undefined ? 0 : upper(text[i]!);
  return suffix >= 65 && suffix <= 68 ? i + 1 : -1;
}

/** Spanish DNI (8 digits + letter) and NIE (X, Y or Z + 7 digits + letter): the letter is the number mod 23. */
function dniEnd(text: Uint8Array, at: number): number {
  const first = upper(text[at]!);
  const foreign = first >= 88 && first <= 90;
  if (!foreign && !isDigit(first)) return -1;
  if (!areDigits(text, at + 1, at + 8)) return -1;
  const value = (foreign ? first - 88 : first - 48) * 10_000_000 + number(text, at + 1, at + 8);
  const end = text[at + 8] === DASH ? at + 9 : at + 8;
  const letter = text[end];
  if (letter === undefined || !isLetter(letter)) return -1;
  return 'TRWAGMYFPDXBNJZSQVHLCKE'.charCodeAt(value % 23) === upper(letter) ? end + 1 : -1;
}

/** French NIR: sex, year, month, department (2A and 2B too), commune, order, key = 97 - number mod 97. */
function nirEnd(text: Uint8Array, at: number): number {
  const sex = text[at];
  if (sex !== 49 && sex !== 50) return -1;
  const read = new Uint8Array(15);
  let count = 0;
  let i = at;
  while (count < 15) {
    const byte = text[i];
    if (byte === undefined) return -1;
    if (byte === SPACE && count > 0 && text[i - 1] !== SPACE) i++;
    else if (isDigit(byte) || (count === 6 && read[5] === 50 && (upper(byte) === 65 || upper(byte) === 66))) {
      read[count++] = upper(byte);
      i++;
    } else return -1;
  }
  const month = number(read, 3, 5);
  if (month === 0 || (month > 12 && month < 20) || (month > 42 && month < 50)) return -1;
  // Corsica counts as 19 (2A) or 18 (2B) for the key.
  const corsica = read[6] === 65 ? 19 : read[6] === 66 ? 18 : -1;
  const head = number(read, 0, 5);
  const department = corsica < 0 ? number(read, 5, 7) : corsica;
  const value = (head * 100 + department) * 1_000_000 + number(read, 7, 13);
  return 97 - (value % 97) === number(read, 13, 15) ? i : -1;
}

/** German tax id: 11 digits, not 0 first, exactly one digit of the first ten is there two or three times; ISO 7064 MOD 11,10. */
function steuerIdEnd(text: Uint8Array, at: number): number {
  if (text[at] === 48 || !areDigits(text, at, at + 11)) return -1;
  const seen = new Uint8Array(10);
  let product = 10;
  for (let i = 0; i < 10; i++) {
    const digit = text[at + i]! - 48;
    seen[digit]!++;
    const sum = (digit + product) % 10 || 10;
    product = (sum * 2) % 11;
  }
  let repeated = 0;
  for (const count of seen) {
    if (count > 3) return -1;
    if (count > 1) repeated++;
  }
  return repeated === 1 && (11 - product) % 10 === text[at + 10]! - 48 ? at + 11 : -1;
}

const ODD = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

/** Italian codice fiscale: LLLLLL DD L DD L DDD L with its check letter. */
function codiceFiscaleEnd(text: Uint8Array, at: number): number {
  let sum = 0;
  for (let i = 0; i < 16; i++) {
    const byte = text[at + i];
    const isLetterPlace = i < 6 || i === 8 || i === 11 || i === 15;
    if (byte === undefined || (isLetterPlace ? !isLetter(byte) : !isDigit(byte))) return -1;
    const value = isLetterPlace ? upper(byte) - 65 : byte - 48;
    if (i < 15) sum += i % 2 === 0 ? ODD[value]! : value;
    else if (sum % 26 !== value) return -1;
  }
  return at + 16;
}

const FORMS = [ssnEnd, ninoEnd, dniEnd, nirEnd, steuerIdEnd, codiceFiscaleEnd] as const;

export const scanNationalIds: Scan = (text, hit, seams) => {
  for (let at = 0; at + 9 <= text.length; at++) {
    const byte = text[at];
    const before = text[at - 1];
    if (isGluedBefore(text, at, seams) || (!isDigit(byte) && !isLetter(byte))) continue;
    // A number that goes on with a dash is something longer: a phone number, a part number.
    if (before === DASH && isDigit(text[at - 2])) continue;
    for (const form of FORMS) {
      const end = form(text, at);
      if (end < 0 || isGluedAfter(text, end, seams) || (text[end] === DASH && isDigit(text[end + 1]))) continue;
      hit(at, end);
      at = end - 1;
      break;
    }
  }
};
