/**
 * Where in a stream a detector could see something: one automaton over bytes for all detectors that are asked for, built as
 * it is walked. It answers too often, never too seldom: word borders, check digits and lengths are the detectors' business.
 * Refuses to know terminals: a byte that a terminal acts upon stops it, an ignored one leaves it where it is.
 */
import type { Detector } from '@sallyport/model';
import { isAlphanumeric, isDigit, isDomain, isHex, isLetter, isLocal, isToken, isWord } from '../bytes.ts';
import { IBAN_LENGTHS } from '../detect/iban.ts';
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

/** IBANs begin with a country: by first letters, what may follow. */
const COUNTRIES: readonly Pattern[] = Array.from({ length: 26 }, (_, i) => {
  const second = Array.from({ length: 26 }, (_unused, j) => (IBAN_LENGTHS[i * 26 + j] === 0 ? '' : letterAt(j))).join(
    '',
  );
  return second === '' ? [] : [...one(among(letterAt(i))), ...one(among(second))];
}).filter((pattern) => pattern.length > 0);
function letterAt(place: number): string {
  return String.fromCharCode(65 + place, 97 + place);
}

/** What a find of the detector always has in it, in this order and side by side; it begins where a word does, but for ANYWHERE. */
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
  iban: COUNTRIES.map((country) => [
    ...country,
    ...times(2, digit),
    ...times(11, [...maybe(SPACE), ...one(isAlphanumeric)]),
  ]),
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

/** These begin inside words too: a run that is looked at from its middle, or no word at all. */
const ANYWHERE: ReadonlySet<Detector> = new Set<Detector>(['email', 'jwt', 'ip_address']);
const isAnywhere = (detector: Detector, pattern: Pattern): boolean => ANYWHERE.has(detector) || pattern[0]!.of(45);

/** Entries of the table from here on are no states. */
export const STOP = 0xf000;
/** The byte ends something that a detector may see. */
export const MAY_HOLD = 0xf001;
/** ESC, backspace, carriage return, and the first byte of UTF-8's C1 controls. */
export const ACTS = 0xf002;
/** Not walked yet: ask `step`. */
export const UNKNOWN = 0xf003;
const STATES_MAX = 8_192;
export const CLASS_BITS = 7;

const isActing = (byte: number): boolean => byte === 0x1b || byte === 8 || byte === 13 || byte === 0xc2;
/** A terminal shows nothing for these, so what is before and after them stands side by side. */
export const isIgnored = (byte: number): boolean =>
  (byte < 32 && byte !== 9 && byte !== 10 && byte !== 11 && byte !== 12 && !isActing(byte)) || byte === 127;

/** Text as a terminal would show it, with what is not shown between. */
export interface Walked {
  readonly text: Uint8Array;
  readonly seams: Uint8Array;
}

/** Where a prefilter keeps what a kernel reads along (scan-kernel.ts). */
export interface Room {
  /** The same memory each time, or what is copied into. */
  table(entries: number): Uint16Array;
  /** Of each byte its class, twice: an entry has two bytes. */
  readonly classes: Uint8Array;
  /** By state: 1 where bytes of CALM alone end nothing and leave nothing open for long. */
  readonly calm: Uint8Array;
  /** One byte: 1 where the end of a line leaves nothing open, so that lines are walked side by side. */
  readonly lines: Uint8Array;
}
const heap = (): Room => ({
  table: (entries) => new Uint16Array(entries),
  classes: new Uint8Array(256),
  calm: new Uint8Array(STATES_MAX),
  lines: new Uint8Array(1),
});

/** A kernel passes over these many at a time (assembly/scan.ts): no digit, `:`, `@`, nothing that a terminal acts upon or ignores. */
const isCalm = (byte: number): boolean =>
  byte >= 32 ? (byte < 48 || byte > 58) && byte !== 64 && byte !== 127 && byte !== 0xc2 : byte === 9 || byte === 10;
/** assembly/scan.ts walks so many bytes again behind calm ones, and skips no fewer than so many. */
const REWALK_BYTES = 8;
const SKIP_BYTES_MIN = 24;

/** Walk it: `next = table[(state << CLASS_BITS) | classOf[byte]]`; below `STOP` it is the next state, else ask `step`. */
export class Prefilter {
  /** Grows when a state is met for the first time; read it again after `step`. */
  table: Uint16Array;
  readonly #room: Room;
  #generation = 0;
  readonly #items: readonly Item[];
  /** Positions behind the last item of a pattern. */
  readonly #ends = new Map<number, Detector>();
  readonly #marks: Uint8Array;
  readonly #starts: readonly number[];
  /** Of them, what may begin behind a character of a word. */
  readonly #anywhere: readonly number[];
  /** Bytes that are treated alike share a class: so the table fits into the processor's nearest memory. */
  readonly classOf: Uint8Array;
  readonly #ids = new Map<string, number>();
  readonly #behind = new Map<number, number>();
  readonly #seams = new Int16Array(STATES_MAX).fill(-1);
  readonly #sets: (readonly number[])[] = [];

  /** By position: how many calm bytes may go on from there; Infinity where they may end something, or go on for ever. */
  readonly #calmBytes: readonly number[];

  constructor(detectors: readonly Detector[], room: Room = heap()) {
    this.#room = room;
    this.table = room.table(64 << CLASS_BITS).fill(UNKNOWN);
    const items: Item[] = [];
    const starts: number[] = [];
    const anywhere: number[] = [];
    const never: Item = { of: () => false, times: '1' };
    for (const detector of detectors) {
      for (const pattern of PATTERNS[detector]) {
        (isAnywhere(detector, pattern) ? anywhere : starts).push(items.length);
        items.push(...pattern);
        this.#ends.set(items.length, detector);
        items.push(never);
      }
    }
    this.#items = items;
    this.#marks = new Uint8Array(items.length + 1);
    this.#starts = [...anywhere, ...starts];
    this.#anywhere = anywhere;
    this.classOf = classesOf(items);
    room.classes.set(this.classOf.map((one) => one * 2));
    room.lines[0] = items.some(({ of }) => of(10)) ? 0 : 1;
    this.#calmBytes = this.#calmBytesOf();
    this.#idOf(this.#closed(this.#starts));
  }

  #calmBytesOf(): readonly number[] {
    const items = this.#items;
    const bytes = Array.from({ length: 256 }, (_, byte) => byte).filter(isCalm);
    const reached: number[] = Array.from({ length: items.length + 1 }, () => 0);
    for (let position = items.length - 1; position >= 0; position--) {
      const { of, times } = items[position]!;
      if (this.#ends.has(position)) {
        reached[position] = Number.POSITIVE_INFINITY;
        continue;
      }
      const behind = reached[position + 1]!;
      const goesOn = bytes.some(of) ? (times === '*' ? Number.POSITIVE_INFINITY : 1 + behind) : 0;
      reached[position] = times === '1' ? goesOn : Math.max(goesOn, behind);
    }
    const isBounded =
      this.#starts.every((position) => reached[position]! < REWALK_BYTES) &&
      reached.every((count) => count === Number.POSITIVE_INFINITY || count < SKIP_BYTES_MIN);
    // What was ended is told, and over.
    return reached.map((count, position) =>
      !isBounded ? Number.POSITIVE_INFINITY : this.#ends.has(position) ? 0 : count,
    );
  }

  /** The state after one byte that stopped the walk at `state`: MAY_HOLD or ACTS where it is one, else a state. */
  step(state: number, byte: number): number {
    const at = (state << CLASS_BITS) | this.classOf[byte]!;
    const known = this.table[at]!;
    if (known !== UNKNOWN) return known;
    const generation = this.#generation;
    const next = this.#next(state, byte);
    // The table may have been begun anew.
    if (this.#generation === generation) this.table[at] = next;
    return next;
  }

  /** Something that is not shown stood here: what follows may be a word of its own. */
  seam(state: number): number {
    let next = this.#seams[state]!;
    if (next < 0) {
      const generation = this.#generation;
      next = this.#idOf(this.#closed([...this.#sets[state]!, ...this.#starts]));
      if (this.#generation === generation) this.#seams[state] = next;
    }
    return next;
  }

  /** Walks over text that no longer counts, to stand where it ended. @param seen collects whose finds it may hold */
  walk({ text, seams }: Walked, seen?: Set<Detector>): number {
    let state = 0;
    for (let i = 0; i < text.length; i++) {
      if (seams[i] === 1) state = this.seam(state);
      const byte = text[i]!;
      const next = this.step(state, byte);
      if (next < STOP) state = next;
      else if (next === MAY_HOLD) {
        if (seen !== undefined) this.#collect(state, byte, seen);
        state = this.#through(state, byte);
      }
    }
    return state;
  }

  #collect(state: number, byte: number, seen: Set<Detector>): void {
    for (const position of this.#reached(state, byte)) {
      const detector = this.#ends.get(position);
      if (detector !== undefined) seen.add(detector);
    }
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

  #next(state: number, byte: number): number {
    if (isActing(byte)) return ACTS;
    if (isIgnored(byte)) return this.seam(state);
    const set = this.#reached(state, byte);
    return set.some((position) => this.#ends.has(position)) ? MAY_HOLD : this.#idOf(set);
  }

  #reached(state: number, byte: number): readonly number[] {
    const items = this.#items;
    const marks = this.#marks;
    for (const position of this.#sets[state]!) {
      const item = items[position]!;
      if (!item.of(byte)) continue;
      if (item.times === '*') marks[position] = 1;
      marks[position + 1] = 1;
    }
    return this.#closed(isWord(byte) ? this.#anywhere : this.#starts);
  }

  /** What is marked and what is given, with what may be skipped, in order. */
  #closed(positions: readonly number[]): readonly number[] {
    const items = this.#items;
    const marks = this.#marks;
    for (const position of positions) marks[position] = 1;
    const set: number[] = [];
    for (let position = 0; position < items.length; position++) {
      if (marks[position] === 0) continue;
      marks[position] = 0;
      set.push(position);
      if (items[position]!.times !== '1') marks[position + 1] = 1;
    }
    return set;
  }

  #idOf(set: readonly number[]): number {
    const key = String.fromCharCode(...set);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    if (this.#sets.length === STATES_MAX) {
      // What is met again is built again.
      const [start] = this.#sets;
      this.#generation++;
      this.#ids.clear();
      this.#behind.clear();
      this.#seams.fill(-1);
      this.#sets.length = 0;
      this.table.fill(UNKNOWN);
      this.#idOf(start!);
      return this.#idOf(set);
    }
    const id = this.#sets.length;
    this.#ids.set(key, id);
    this.#sets.push(set);
    this.#room.calm[id] = set.every((position) => this.#calmBytes[position]! < SKIP_BYTES_MIN) ? 1 : 0;
    const { table } = this;
    if (this.#sets.length << CLASS_BITS > table.length) {
      this.table = this.#room.table(table.length * 2);
      this.table.fill(UNKNOWN, table.length);
      if (this.table.buffer !== table.buffer) this.table.set(table);
    }
    return id;
  }
}

function classesOf(items: readonly Item[]): Uint8Array {
  const tests = [...new Set([isActing, isIgnored, isWord, ...items.map((item) => item.of)])];
  const byKey = new Map<string, number>();
  const classOf = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte++) {
    const key = tests.map((of) => (of(byte) ? '1' : '0')).join('');
    if (!byKey.has(key)) byKey.set(key, byKey.size);
    classOf[byte] = byKey.get(key)!;
  }
  if (byKey.size > 1 << CLASS_BITS) throw new RangeError('more classes of bytes than the table has room for');
  return classOf;
}
