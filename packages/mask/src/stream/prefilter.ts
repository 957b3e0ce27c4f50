/**
 * Where in a stream a detector could see something: one automaton over bytes for all detectors that are asked for, built as
 * it is walked. It answers too often, never too seldom: word borders, check digits and lengths are the detectors' business.
 * Refuses to know terminals: a byte that a terminal acts upon stops it, an ignored one leaves it where it is.
 */
import type { Detector } from '@sallyport/model';
import { isAlphanumeric, isDigit, isDomain, isHex, isLetter, isLocal, isToken } from '../bytes.ts';
import { SECRET_FORMS } from '../detect/secret-key.ts';

type Set256 = (byte: number) => boolean;
/** One byte of a set: once, perhaps, or any number of times. */
interface Item {
  readonly of: Set256;
  readonly times: '1' | '?' | '*';
}
type Pattern = readonly Item[];

const one = (of: Set256): Pattern => [{ of, times: '1' }];
const maybe = (of: Set256): Pattern => [{ of, times: '?' }];
const many = (of: Set256): Pattern => [{ of, times: '*' }];
const times = (count: number, pattern: Pattern): Pattern => Array.from({ length: count }, () => pattern).flat();
const among = (characters: string): Set256 => {
  const codes = new Set(Buffer.from(characters));
  return (byte) => codes.has(byte);
};
const word = (text: string): Pattern => [...Buffer.from(text)].flatMap((code) => one((byte) => byte === code));

// Escapes in texts (`\n`) are read as spaces by the detectors.
const SPACE = among(' \\');
const GROUP = among(' -\\');
const PHONE_GROUP = among(' ()-./\\');
const NOT_ZERO = among('123456789');
const SIX: Set256 = (byte) => isHex(byte) || byte === 58 || byte === 46;
const digit = one(isDigit);
const letter = one(isLetter);
const groupOf = [...digit, ...maybe(isDigit), ...maybe(isDigit)];
const hexGroup = [...one(isHex), ...maybe(isHex), ...maybe(isHex), ...maybe(isHex)];

/** What a find of the detector always has in it, in this order and side by side. */
const PATTERNS: { readonly [K in Detector]: readonly Pattern[] } = {
  payment_card: [[...digit, ...times(12, [...maybe(GROUP), ...digit])]],
  email: [
    [
      ...one(isLocal),
      ...word('@'),
      ...one(isDomain),
      ...many(isDomain),
      ...word('.'),
      ...one((byte) => isLetter(byte) || byte >= 0x80),
    ],
  ],
  national_id: [
    [...times(3, digit), ...word('-'), ...times(2, digit), ...word('-'), ...times(4, digit)],
    [
      ...times(2, letter),
      ...times(3, [...maybe(SPACE), ...times(2, digit)]),
      ...maybe(SPACE),
      ...one(among('ABCDabcd')),
    ],
    [...one((byte) => isDigit(byte) || among('XYZxyz')(byte)), ...times(7, digit), ...maybe(among('-')), ...letter],
    [...one(among('12')), ...times(14, [...maybe(SPACE), ...one((byte) => isDigit(byte) || among('ABab')(byte))])],
    times(11, digit),
    [...times(6, letter), ...times(2, digit), ...letter, ...times(2, digit), ...letter, ...times(3, digit), ...letter],
  ],
  iban: [[...times(2, letter), ...times(2, digit), ...times(11, [...maybe(SPACE), ...one(isAlphanumeric)])]],
  phone: [[...word('+'), ...one(NOT_ZERO), ...times(7, [...maybe(PHONE_GROUP), ...maybe(PHONE_GROUP), ...digit])]],
  ip_address: [
    [...times(3, [...groupOf, ...word('.')]), ...digit],
    [...word('::'), ...many(SIX), ...digit],
    [...digit, ...many(SIX), ...word('::')],
    [...times(6, [...hexGroup, ...word(':')]), ...one(SIX)],
  ],
  secret_key: [
    word('-----BEGIN '),
    ...SECRET_FORMS.map(({ prefix, of, min }) => [...word(prefix), ...times(Math.min(min, 10), one(of))]),
  ],
  // The rest may be long: it is looked at from its beginning.
  jwt: [[...word('eyJ'), ...times(7, one(isToken))]],
};

/** Entries of the table from here on are no states. */
export const STOP = 0xf000;
/** The byte ends something that a detector may see. */
export const MAY_HOLD = 0xf001;
/** ESC, backspace, carriage return, and the first byte of UTF-8's C1 controls. */
export const ACTS = 0xf002;
const UNKNOWN = 0xf003;
const STATES_MAX = 4_096;

const isActing = (byte: number): boolean => byte === 0x1b || byte === 8 || byte === 13 || byte === 0xc2;
/** A terminal shows nothing for these, so what is before and after them stands side by side. */
export const isIgnored = (byte: number): boolean =>
  (byte < 32 && byte !== 9 && byte !== 10 && byte !== 11 && byte !== 12 && !isActing(byte)) || byte === 127;

/** Walk it: `next = table[(state << 8) | byte]`; below `STOP` it is the next state, else ask `step`. */
export class Prefilter {
  /** Grows when a state is met for the first time; read it again after `step`. */
  table: Uint16Array = new Uint16Array(64 * 256).fill(UNKNOWN);
  #generation = 0;
  readonly #items: readonly Item[];
  /** Positions behind the last item of a pattern. */
  readonly #ends: Uint8Array;
  readonly #starts: readonly number[];
  /** Bytes that all items treat alike share a class; the first byte of each, and its bytes. */
  readonly #classOf: Uint8Array;
  readonly #classes: readonly (readonly number[])[];
  readonly #ids = new Map<string, number>();
  readonly #behind = new Map<number, number>();
  readonly #sets: (readonly number[])[] = [];

  constructor(detectors: readonly Detector[]) {
    const items: Item[] = [];
    const starts: number[] = [];
    const ends: number[] = [];
    const never: Item = { of: () => false, times: '1' };
    for (const pattern of detectors.flatMap((detector) => PATTERNS[detector])) {
      starts.push(items.length);
      items.push(...pattern);
      ends.push(items.length);
      items.push(never);
    }
    this.#items = items;
    this.#starts = starts;
    this.#ends = new Uint8Array(items.length);
    for (const end of ends) this.#ends[end] = 1;
    [this.#classOf, this.#classes] = classesOf(items);
    this.#idOf(this.#closed(starts));
  }

  /** The state after one byte that stopped the walk at `state`: MAY_HOLD or ACTS where it is one, else a state. */
  step(state: number, byte: number): number {
    const known = this.table[(state << 8) | byte]!;
    if (known !== UNKNOWN) return known;
    if (isActing(byte)) return this.#learn(state, [byte], ACTS);
    if (isIgnored(byte)) return this.#learn(state, [byte], state);
    const alike = this.#classes[this.#classOf[byte]!]!;
    const generation = this.#generation;
    const set = this.#reached(state, byte);
    const next = set.some((position) => this.#ends[position] === 1) ? MAY_HOLD : this.#idOf(set);
    // The table may have been begun anew.
    return this.#generation === generation ? this.#learn(state, alike, next) : next;
  }

  /** Walks over text that no longer counts, to stand where it ended. */
  walk(text: Uint8Array): number {
    let state = 0;
    for (const byte of text) {
      const next = this.step(state, byte);
      if (next < STOP) state = next;
      else if (next === MAY_HOLD) state = this.#through(state, byte);
    }
    return state;
  }

  /** The state behind a byte that ends something. */
  #through(state: number, byte: number): number {
    const at = (state << 8) | byte;
    let next = this.#behind.get(at);
    if (next === undefined) {
      const generation = this.#generation;
      next = this.#idOf(this.#reached(state, byte));
      if (this.#generation === generation) this.#behind.set(at, next);
    }
    return next;
  }

  #learn(state: number, bytes: readonly number[], next: number): number {
    for (const byte of bytes) this.table[(state << 8) | byte] = next;
    return next;
  }

  #reached(state: number, byte: number): readonly number[] {
    const reached: number[] = [...this.#starts];
    for (const position of this.#sets[state]!) {
      const item = this.#items[position]!;
      if (!item.of(byte)) continue;
      if (item.times === '*') reached.push(position);
      reached.push(position + 1);
    }
    return this.#closed(reached);
  }

  /** With what may be skipped. */
  #closed(positions: readonly number[]): readonly number[] {
    const all = new Set(positions);
    for (const position of all) if (this.#items[position]!.times !== '1') all.add(position + 1);
    return [...all].sort((a, b) => a - b);
  }

  #idOf(set: readonly number[]): number {
    const key = set.join(' ');
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    if (this.#sets.length === STATES_MAX) {
      // What is met again is built again.
      const [start] = this.#sets;
      this.#generation++;
      this.#ids.clear();
      this.#behind.clear();
      this.#sets.length = 0;
      this.table.fill(UNKNOWN);
      this.#idOf(start!);
      return this.#idOf(set);
    }
    const id = this.#sets.length;
    this.#ids.set(key, id);
    this.#sets.push(set);
    if (this.#sets.length * 256 > this.table.length) {
      const grown = new Uint16Array(this.table.length * 2).fill(UNKNOWN);
      grown.set(this.table);
      this.table = grown;
    }
    return id;
  }
}

function classesOf(items: readonly Item[]): [Uint8Array, readonly (readonly number[])[]] {
  const tests = [...new Set(items.map((item) => item.of))];
  const byKey = new Map<string, number[]>();
  for (let byte = 0; byte < 256; byte++) {
    if (isActing(byte) || isIgnored(byte)) continue;
    const key = tests.map((of) => (of(byte) ? '1' : '0')).join('');
    byKey.set(key, [...(byKey.get(key) ?? []), byte]);
  }
  const classOf = new Uint8Array(256);
  const classes = [...byKey.values()];
  classes.forEach((bytes, i) => {
    for (const byte of bytes) classOf[byte] = i;
  });
  return [classOf, classes];
}

const prefilters = new Map<string, Prefilter>();

/** One per set of detectors and process. */
export function prefilterOf(detectors: readonly Detector[]): Prefilter {
  const key = [...detectors].sort().join(' ');
  let known = prefilters.get(key);
  if (known === undefined) {
    known = new Prefilter(detectors);
    prefilters.set(key, known);
  }
  return known;
}
