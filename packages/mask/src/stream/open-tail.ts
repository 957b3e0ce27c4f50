/**
 * Whether the end of a text may be the beginning of something: where it would begin, and how much of it would be told by
 * letting it go. Refuses to know streams. It looks at few bytes: forms are short, words end. What can no longer become a
 * find is not held, whatever it looks like.
 */
import type { Detector } from '@sallyport/model';
import {
  AT,
  COLON,
  DASH,
  DOT,
  isAlphanumeric,
  isDigit,
  isDomain,
  isHex,
  isLetter,
  isLocal,
  isToken,
  PLUS,
  SPACE,
  upper,
} from '../bytes.ts';
import { IBAN_LENGTHS } from '../detect/iban.ts';
import { CARD_LENGTHS } from '../detect/payment-card.ts';
import { SECRET_FORMS } from '../detect/secret-key.ts';
import { isGluedBefore } from '../span.ts';

export interface OpenTail {
  /** Offset of its first byte. */
  readonly start: number;
  /** Enough of it is there to be worth hiding: it stays until it is decided. */
  readonly strong: boolean;
}

/** RFC 5321 §4.5.3.1 allows 64; more of what stands before an `@` is not held. */
const LOCAL_BYTES_MAX = 256;
const DOMAIN_BYTES_MAX = 255;
/** The longest forms that are not words: an IBAN in groups of one is 67 bytes. */
const FORM_BYTES_MAX = 72;
/** Digits of a number that say nothing yet: what is printed of a card on a receipt. */
const WEAK_DIGITS_MAX = 6;
const WEAK_WORD_MAX = 6;
const BEGIN = '-----BEGIN ';
const PRIVATE = 'PRIVATE KEY';
const LABEL_BYTES_MAX = 64;

type Open = 'no' | 'weak' | 'strong';
/** Is `text` from `start` to its end the beginning of a find? `start` is where a word begins. */
type Opens = (text: Uint8Array, start: number) => Open;

// As detectors read them: an escape in a text (`\n`) is a space.
const isGap = (byte: number | undefined): boolean => byte === SPACE || byte === 92;
const openDigits = (count: number): Open => (count > WEAK_DIGITS_MAX ? 'strong' : 'weak');

const openCard: Opens = (text, start) => {
  let count = 0;
  let first4 = 0;
  for (let at = start; at < text.length; at++) {
    const byte = text[at]!;
    if (isDigit(byte)) {
      if (++count > 19) return 'no';
      if (count <= 4) first4 = first4 * 10 + byte - 48;
    } else if (!(isGap(byte) || byte === DASH) || count === 0 || !isDigit(text[at - 1])) return 'no';
  }
  if (count >= 4 && CARD_LENGTHS[first4]! >> count === 0) return 'no';
  return count === 0 ? 'no' : openDigits(count);
};

const openPhone: Opens = (text, start) => {
  if (text[start] !== PLUS) return 'no';
  if (text[start + 1] === 48) return 'no';
  let count = 0;
  let gap = 0;
  for (let at = start + 1; at < text.length; at++) {
    if (isDigit(text[at])) {
      gap = 0;
      if (++count > 15) return 'no';
    } else if (!PHONE_GROUP.has(text[at]!) || ++gap > 2 || count === 0) return 'no';
  }
  return openDigits(count);
};
const PHONE_GROUP = new Set(Buffer.from(' ()-./\\'));

/** A form by the places of its characters: d digit, l letter, x what begins a NIE, k digit or A or B, - itself, ' ' perhaps a space. */
const openForm =
  (form: string): Opens =>
  (text, start) => {
    let at = start;
    let digits = 0;
    for (let place = 0; place < form.length && at < text.length; place++) {
      const wanted = form[place]!;
      const byte = text[at];
      if (wanted === ' ') {
        if (isGap(byte)) at++;
        continue;
      }
      if (wanted === '?') {
        if (byte === DASH) at++;
        continue;
      }
      const fits =
        wanted === 'd'
          ? isDigit(byte)
          : wanted === 'l'
            ? isLetter(byte)
            : wanted === 'x'
              ? isDigit(byte) || (upper(byte!) >= 88 && upper(byte!) <= 90)
              : wanted === 'k'
                ? isDigit(byte) || upper(byte!) === 65 || upper(byte!) === 66
                : byte === wanted.charCodeAt(0);
      if (!fits) return 'no';
      if (isDigit(byte)) digits++;
      at++;
    }
    if (at < text.length) return 'no';
    return openDigits(digits);
  };

const openNational: readonly Opens[] = [
  openForm('ddd-dd-dddd'),
  openForm('ll dd dd dd l'),
  openForm('xddddddd?l'),
  openForm(`d${' k'.repeat(14)}`),
  openForm('d'.repeat(11)),
  openForm('lllllldd'.concat('lddldddl')),
];

const openIban: Opens = (text, start) => {
  const country = openForm('lldd')(text, start) !== 'no';
  if (text.length - start <= 4) return country ? 'weak' : 'no';
  if (!isLetter(text[start]) || !isLetter(text[start + 1]) || !isDigit(text[start + 2]) || !isDigit(text[start + 3]))
    return 'no';
  const length = IBAN_LENGTHS[(upper(text[start]!) - 65) * 26 + upper(text[start + 1]!) - 65]!;
  let count = 0;
  for (let at = start; at < text.length; at++) {
    if (isAlphanumeric(text[at])) count++;
    else if (!isGap(text[at]) || isGap(text[at - 1])) return 'no';
  }
  return count > length ? 'no' : count > WEAK_DIGITS_MAX + 2 ? 'strong' : 'weak';
};

const openAddress: Opens = (text, start) => {
  let dots = 0;
  let colons = 0;
  let digits = 0;
  for (let at = start; at < text.length; at++) {
    const byte = text[at];
    if (byte === DOT) dots++;
    else if (byte === COLON) colons++;
    else if (!isHex(byte)) return 'no';
    else digits++;
  }
  if (text.length - start > 46) return 'no';
  if (colons === 0 && (dots > 4 || (dots === 0 && digits > 4) || digits > 12)) return 'no';
  return colons + dots >= 2 ? 'strong' : 'weak';
};

const openKey: Opens = (text, start) => {
  const size = text.length - start;
  for (const { prefix, of } of SECRET_FORMS) {
    let same = 0;
    while (same < prefix.length && same < size && text[start + same] === prefix.charCodeAt(same)) same++;
    if (same === size) return 'weak';
    if (same < prefix.length) continue;
    let at = start + same;
    while (at < text.length && of(text[at])) at++;
    if (at === text.length) return size - prefix.length > WEAK_WORD_MAX ? 'strong' : 'weak';
  }
  return 'no';
};

const openPem: Opens = (text, start) => {
  const size = text.length - start;
  for (let i = 0; i < Math.min(size, BEGIN.length); i++) if (text[start + i] !== BEGIN.charCodeAt(i)) return 'no';
  if (size <= BEGIN.length) return size > 5 ? 'strong' : 'weak';
  const label = Buffer.from(text.subarray(start + BEGIN.length)).toString('latin1');
  if (label.length > LABEL_BYTES_MAX + PRIVATE.length || label.includes('-----')) return 'no';
  return 'strong';
};

const openJwt: Opens = (text, start) => {
  const head = 'eyJ';
  let parts = 1;
  for (let at = start; at < text.length; at++) {
    const byte = text[at];
    if (at - start < head.length && byte !== head.charCodeAt(at - start)) return 'no';
    if (byte === DOT) {
      if (++parts > 5) return 'no';
    } else if (!isToken(byte)) return 'no';
  }
  return text.length - start > 3 + WEAK_WORD_MAX ? 'strong' : 'weak';
};

/** Where the run of `of` that ends the text begins. */
const runStart = (text: Uint8Array, from: number, of: (byte: number | undefined) => boolean): number => {
  let start = from;
  while (start > 0 && of(text[start - 1])) start--;
  return start;
};

function openEmail(text: Uint8Array): OpenTail | undefined {
  const run = runStart(text, text.length, isDomain);
  if (run > 0 && text[run - 1] === AT && text.length - run <= DOMAIN_BYTES_MAX) {
    const local = Math.max(runStart(text, run - 1, isLocal), run - 1 - LOCAL_BYTES_MAX);
    if (local < run - 1) return { start: local, strong: true };
  }
  const local = Math.max(runStart(text, text.length, isLocal), text.length - LOCAL_BYTES_MAX);
  return local < text.length ? { start: local, strong: false } : undefined;
}

/** The forms that begin where a word does, and are tried there. */
const FORMS: { readonly [K in Exclude<Detector, 'email'>]: readonly Opens[] } = {
  payment_card: [openCard],
  national_id: openNational,
  iban: [openIban],
  phone: [openPhone],
  ip_address: [openAddress],
  secret_key: [openKey, openPem],
  jwt: [openJwt],
};

const BREAK = 10;

/**
 * The earliest beginning of something that the text's end leaves open; undefined when nothing is.
 * @param text one line's, as a terminal would show it
 */
export function openTail(text: Uint8Array, detectors: readonly Detector[], seams?: Uint8Array): OpenTail | undefined {
  const open = openAt(text, detectors, seams);
  // A space may be readline's way over the right edge, and be written over by what follows.
  if (text[text.length - 1] !== SPACE) return open;
  const before = openAt(text.subarray(0, -1), detectors, seams);
  if (open === undefined || before === undefined) return open ?? before;
  return { start: Math.min(open.start, before.start), strong: open.strong || before.strong };
}

function openAt(text: Uint8Array, detectors: readonly Detector[], seams?: Uint8Array): OpenTail | undefined {
  const last = text[text.length - 1];
  if (last === undefined || last === BREAK) return undefined;
  let found: OpenTail | undefined;
  const take = (start: number, strong: boolean): void => {
    if (found === undefined) found = { start, strong };
    else found = { start: Math.min(found.start, start), strong: found.strong || strong };
  };
  for (const detector of detectors) {
    if (detector === 'email') {
      const open = openEmail(text);
      if (open !== undefined) take(open.start, open.strong);
      continue;
    }
    const isWords = detector === 'jwt' || detector === 'secret_key';
    // A key or a token is a run that may be long; everything else is short.
    const from = isWords
      ? Math.min(runStart(text, text.length, isKeyByte), Math.max(0, text.length - FORM_BYTES_MAX - LABEL_BYTES_MAX))
      : Math.max(0, text.length - FORM_BYTES_MAX);
    for (let start = from; start < text.length; start++) {
      const byte = text[start];
      if (!canBegin(byte) || isGluedBefore(text, start, seams)) continue;
      for (const opens of FORMS[detector]) {
        const open = opens(text, start);
        if (open !== 'no') take(start, open === 'strong');
      }
      if (found !== undefined && found.start <= start && found.strong) break;
    }
  }
  return found;
}

/** What is hidden to its end once it began: it never goes because nothing came for long. */
export const isKeyLike = (text: Uint8Array, start: number): boolean =>
  openJwt(text, start) === 'strong' || openKey(text, start) === 'strong' || openPem(text, start) === 'strong';

const isKeyByte = (byte: number | undefined): boolean => isToken(byte) || byte === DOT;
const canBegin = (byte: number | undefined): boolean =>
  isAlphanumeric(byte) || byte === PLUS || byte === DASH || byte === COLON;
