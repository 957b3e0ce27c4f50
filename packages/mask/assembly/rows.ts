/**
 * The row kernel, in AssemblyScript (compiled by scripts/build-kernel.ts, run by src/kernel.ts): reads whole DataRow
 * messages at IN, writes masked ones at OUT. It gives exactly what src/rows-reference.ts gives, or leaves a row to it.
 * Refuses to decide alone: overlapping finds, a find in a rare type and a candidate of a rare detector are left.
 */

// Addresses; src/kernel.ts has the same.
const ACTIONS: usize = 1024;
const LITERAL: usize = 4096;
const CHARACTERS: usize = 4224;
const SPANS: usize = 5120;
const DIGEST_STATE: usize = 8192;
const DIGEST_INNER: usize = 8224;
const DIGEST_OUTER: usize = 8256;
const DIGEST_BLOCK: usize = 8320;
const DIGEST_WORDS: usize = 8448;
const DIGEST_ROUNDS: usize = 8704;
const ALPHABET: usize = 8960;
const PLAIN: usize = 16384;
const IBANS: usize = 57344;
const PREFIXES: usize = 58368;
const CARDS: usize = 65536;

const SPANS_MAX: u32 = 128;
const LITERAL_BYTES: u32 = 10;

// What run() stopped at.
const DONE: u32 = 0;
const LEFT: u32 = 1;
const FULL: u32 = 2;

// What a column asks for.
const CLEAR: u8 = 0;
const REDACT: u8 = 1;
const NULL: u8 = 2;
const HASH: u8 = 3;
const DETECT: u8 = 4;
const PARTIAL: u8 = 5;
const DETECT_LEAVE: u8 = 6;
const LEAVE: u8 = 7;
const INT8_BINARY: u8 = 8;
const FLOAT8_BINARY: u8 = 9;
const FLOAT8_TEXT: u8 = 10;
const NUMERIC_BINARY: u8 = 11;

// Kinds of finds, and what a cell's look gives.
const CARD: u32 = 0;
const EMAIL: u32 = 1;
const NATIONAL: u32 = 2;
const IBAN: u32 = 3;
const TEXT: u32 = 4;
const NOTHING: u32 = 0;
const FOUND: u32 = 1;
const LEAVE_IT: u32 = 2;
const ESCAPED: u32 = 3;

/** A cell with escapes is looked at in a copy without them, up to this length. */
const PLAIN_BYTES: u32 = 32768;

// Methods of the four kinds: 0 not looked for, 1 partial, 2 redact, 3 hash, 4 null.
export let cardMethod: u32 = 0;
export let emailMethod: u32 = 0;
export let nationalMethod: u32 = 0;
export let ibanMethod: u32 = 0;
export let wantsPhone: bool = false;
export let wantsIp: bool = false;
export let wantsKey: bool = false;
export let wantsJwt: bool = false;
let prefixCount: u32 = 0;

let columns: u32 = 0;
export let spanCount: u32 = 0;

export let readBytes: u32 = 0;
export let writtenBytes: u32 = 0;
export let rowCount: u32 = 0;
export let maskedCount: u32 = 0;

export function configure(
  columnCount: u32,
  card: u32,
  email: u32,
  national: u32,
  iban: u32,
  rare: u32,
  prefixes: u32,
): void {
  columns = columnCount;
  cardMethod = card;
  emailMethod = email;
  nationalMethod = national;
  ibanMethod = iban;
  wantsPhone = (rare & 1) != 0;
  wantsIp = (rare & 2) != 0;
  wantsKey = (rare & 4) != 0;
  wantsJwt = (rare & 8) != 0;
  prefixCount = prefixes;
}

function be32(at: usize): u32 {
  return bswap<u32>(load<u32>(at));
}

/** Copies with up to 15 bytes beyond the end for short stretches: OUT and IN have that slack. */
function copy(to: usize, from: usize, bytes: u32): void {
  if (bytes <= 64) {
    for (let i: u32 = 0; i < bytes; i += 16) v128.store(to + i, v128.load(from + i));
  } else memory.copy(to, from, bytes);
}

function isDigit(byte: u32): bool {
  return byte - 48 < 10;
}
function isLetter(byte: u32): bool {
  return (byte | 32) - 97 < 26;
}
function isWord(byte: u32): bool {
  return isLetter(byte) || isDigit(byte) || byte == 95;
}
function isLocal(byte: u32): bool {
  return isWord(byte) || byte >= 128 || byte == 46 || byte == 37 || byte == 43 || byte == 45;
}
function isDomain(byte: u32): bool {
  return isLetter(byte) || isDigit(byte) || byte >= 128 || byte == 46 || byte == 45;
}
function upper(byte: u32): u32 {
  return byte - 97 < 26 ? byte - 32 : byte;
}
/** The byte at `at`, 0 outside the cell [p, end): a NUL cannot stand in a cell of text, and is in no class. */
function byteAt(at: usize, end: usize): u32 {
  return at < end ? <u32>load<u8>(at) : 0;
}

function cardEnd(start: usize, end: usize): usize {
  let count: u32 = 0;
  let best: usize = 0;
  let at = start;
  do {
    while (at < end) {
      const digit = <u32>load<u8>(at) - 48;
      if (digit > 9) break;
      if (count == 19) return best;
      store<u8>(CHARACTERS + count, <u8>digit);
      count++;
      at++;
    }
    if (count >= 13 && !isWord(byteAt(at, end))) {
      const first4 =
        <u32>load<u8>(CHARACTERS) * 1000 +
        <u32>load<u8>(CHARACTERS + 1) * 100 +
        <u32>load<u8>(CHARACTERS + 2) * 10 +
        <u32>load<u8>(CHARACTERS + 3);
      if ((load<u32>(CARDS + (first4 << 2)) & ((<u32>1) << count)) != 0) {
        let sum: u32 = 0;
        let twice = false;
        for (let i = count; i > 0; i--) {
          let digit = <u32>load<u8>(CHARACTERS + i - 1);
          if (twice) {
            digit *= 2;
            if (digit > 9) digit -= 9;
          }
          sum += digit;
          twice = !twice;
        }
        if (sum % 10 == 0) best = at;
      }
    }
    const separator = byteAt(at, end);
    if ((separator != 32 && separator != 45) || !isDigit(byteAt(at + 1, end))) return best;
    at++;
  } while (at < end);
  return best;
}

function ibanEnd(start: usize, end: usize): usize {
  if (!isLetter(byteAt(start + 1, end)) || !isDigit(byteAt(start + 2, end)) || !isDigit(byteAt(start + 3, end)))
    return 0;
  const country = (upper(load<u8>(start)) - 65) * 26 + upper(load<u8>(start + 1)) - 65;
  const length = <u32>load<u8>(IBANS + country);
  if (length == 0) return 0;
  let count: u32 = 0;
  let at = start;
  while (count < length) {
    const byte = byteAt(at, end);
    if (isDigit(byte) || isLetter(byte)) store<u8>(CHARACTERS + count++, <u8>upper(byte));
    else if (byte != 32 || load<u8>(at - 1) == 32) return 0;
    at++;
  }
  if (isWord(byteAt(at, end))) return 0;
  let rest: u32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const place = i + 4;
    const char = <u32>load<u8>(CHARACTERS + (place < length ? place : place - length));
    rest = char < 65 ? (rest * 10 + char - 48) % 97 : (rest * 100 + char - 55) % 97;
  }
  return rest == 1 ? at : 0;
}

function areDigits(from: usize, count: u32, end: usize): bool {
  if (from + count > end) return false;
  for (let i: u32 = 0; i < count; i++) if (!isDigit(load<u8>(from + i))) return false;
  return true;
}
function decimal(from: usize, count: u32): u32 {
  let value: u32 = 0;
  for (let i: u32 = 0; i < count; i++) value = value * 10 + load<u8>(from + i) - 48;
  return value;
}

function ssnEnd(at: usize, end: usize): usize {
  if (at + 11 > end || load<u8>(at + 3) != 45 || load<u8>(at + 6) != 45) return 0;
  if (!areDigits(at, 3, end) || !areDigits(at + 4, 2, end) || !areDigits(at + 7, 4, end)) return 0;
  const area = decimal(at, 3);
  const group = decimal(at + 4, 2);
  if (area == 0 || area == 666 || group == 0 || (area >= 900 && group < 50)) return 0;
  return decimal(at + 7, 4) == 0 ? 0 : at + 11;
}

/** True when a form of national id other than the SSN may start here: such a row is left to the reference. */
function mayBeOtherId(at: usize, end: usize): bool {
  const first = <u32>load<u8>(at);
  const second = byteAt(at + 1, end);
  if (isLetter(first)) {
    // Codice fiscale: six letters and two digits. NINO: two letters, two digits. NIE: X, Y or Z and seven digits.
    if (isLetter(second)) {
      const third = byteAt(at + 2, end);
      if (isLetter(third)) {
        return (
          at + 16 <= end &&
          isLetter(load<u8>(at + 3)) &&
          isLetter(load<u8>(at + 4)) &&
          isLetter(load<u8>(at + 5)) &&
          areDigits(at + 6, 2, end)
        );
      }
      const digits = third == 32 ? at + 3 : at + 2;
      return areDigits(digits, 2, end) && (load<u8>(digits + 2) == 32 || isDigit(byteAt(digits + 2, end)));
    }
    const foreign = upper(first);
    return foreign >= 88 && foreign <= 90 && areDigits(at + 1, 7, end) && !isDigit(byteAt(at + 8, end));
  }
  // DNI: eight digits and a letter. Tax id: eleven digits. NIR: 15 digits from 1 or 2, with spaces.
  let run: u32 = 1;
  while (isDigit(byteAt(at + run, end)) && run < 16) run++;
  if (run == 8) {
    const next = byteAt(at + 8, end);
    if (isLetter(next) || (next == 45 && isLetter(byteAt(at + 9, end)))) return true;
  }
  if (run == 11 || run == 15) return true;
  if (first != 49 && first != 50) return false;
  // A space may part any two digits of it, and 2A or 2B may stand in it.
  let count: u32 = 0;
  let i = at;
  while (count < 15 && i < end) {
    const byte = <u32>load<u8>(i++);
    if (byte == 32) {
      if (byteAt(i, end) == 32) return false;
    } else if (isDigit(byte) || (count == 6 && (upper(byte) == 65 || upper(byte) == 66))) count++;
    else return false;
  }
  return count == 15;
}

function addSpan(start: usize, end: usize, kind: u32, method: u32): bool {
  if (spanCount == SPANS_MAX) return false;
  let at = SPANS + ((<usize>spanCount) << 4);
  // Kept by start; finds come nearly in order.
  while (at > SPANS && load<u32>(at - 16) > <u32>start) {
    store<u64>(at, load<u64>(at - 16));
    store<u64>(at + 8, load<u64>(at - 8));
    at -= 16;
  }
  store<u32>(at, <u32>start);
  store<u32>(at + 4, <u32>end);
  store<u32>(at + 8, kind);
  store<u32>(at + 12, method);
  spanCount++;
  return true;
}

function findEmail(p: usize, at: usize, end: usize): bool {
  let start = at;
  while (start > p && isLocal(load<u8>(start - 1))) start--;
  if (start == at) return true;
  let stop = at + 1;
  while (stop < end && isDomain(load<u8>(stop))) stop++;
  while (stop > at + 1) {
    const last = load<u8>(stop - 1);
    if (last != 46 && last != 45) break;
    stop--;
  }
  let dot = stop - 1;
  while (dot > at && load<u8>(dot) != 46) dot--;
  if (dot <= at + 1 || stop - dot <= 2) return true;
  const top = <u32>load<u8>(dot + 1);
  if (!isLetter(top) && top < 128) return true;
  return addSpan(start, stop, EMAIL, emailMethod);
}

/** True when one address is all there is in [p, end). */
function isWholeEmail(p: usize, end: usize): bool {
  let at = p;
  while (at < end && isLocal(load<u8>(at))) at++;
  if (at == p || at == end || load<u8>(at) != 64) return false;
  let dot: usize = 0;
  for (let i = at + 1; i < end; i++) {
    const byte = load<u8>(i);
    if (!isDomain(byte)) return false;
    if (byte == 46) dot = i;
  }
  const last = load<u8>(end - 1);
  if (dot <= at + 1 || end - dot <= 2 || last == 46 || last == 45) return false;
  const top = <u32>load<u8>(dot + 1);
  return isLetter(top) || top >= 128;
}

function mayBeKey(at: usize, end: usize): bool {
  const four = end - at >= 4 ? load<u32>(at) : 0;
  if (wantsJwt && (four & 0xffffff) == 0x4a7965) return true;
  if (!wantsKey) return false;
  for (let i: u32 = 0; i < prefixCount; i++) {
    if ((four & load<u32>(PREFIXES + (i << 3) + 4)) == load<u32>(PREFIXES + (i << 3))) return true;
  }
  return false;
}

function equal(v: v128, byte: i8): u64 {
  return <u64>i8x16.bitmask(i8x16.eq(v, i8x16.splat(byte)));
}
function within(v: v128, from: i8, span: i8): u64 {
  return <u64>i8x16.bitmask(i8x16.le_u(i8x16.sub(v, i8x16.splat(from)), i8x16.splat(span)));
}

/**
 * Fills the table of spans with what the four kinds see in the cell. Escape sequences read as spaces, as in
 * src/detect/registry.ts; where `leavesUnicode`, one that spells a character is left to the reference.
 */
export function look(p: usize, n: u32, leavesUnicode: bool): u32 {
  const seen = lookPlain(p, n);
  if (seen != ESCAPED) return seen;
  if (n > PLAIN_BYTES) return LEAVE_IT;
  memory.copy(PLAIN, p, n);
  for (let at: u32 = 0; at < n; at++) {
    if (load<u8>(PLAIN + at) != 92) continue;
    store<u8>(PLAIN + at, 32);
    const next = byteAt(PLAIN + at + 1, PLAIN + n);
    if (next == 117 && leavesUnicode) return LEAVE_IT;
    if (next == 98 || next == 102 || next == 110 || next == 114 || next == 116 || next == 92) {
      at++;
      store<u8>(PLAIN + at, 32);
    }
  }
  const found = lookPlain(PLAIN, n);
  const shift = <u32>p - <u32>PLAIN;
  for (let i: u32 = 0; i < spanCount; i++) {
    const span = SPANS + (i << 4);
    store<u32>(span, load<u32>(span) + shift);
    store<u32>(span + 4, load<u32>(span + 4) + shift);
  }
  return found;
}

/** As `look`, for a cell without a backslash; any other is ESCAPED. */
export function lookPlain(p: usize, n: u32): u32 {
  spanCount = 0;
  const end = p + n;
  let carry: u64 = 0;
  let nextCard = p;
  let nextId = p;
  let nextIban = p;
  let quads: u32 = 0;
  let colons: u32 = 0;
  let dashes: u32 = 0;
  const wantsNumbers = cardMethod != 0 || nationalMethod != 0 || ibanMethod != 0;
  const wantsNames = wantsKey || wantsJwt;
  for (let base: u32 = 0; base < n; base += 64) {
    let digit: u64 = 0;
    let letter: u64 = 0;
    let line: u64 = 0;
    let at: u64 = 0;
    let escape: u64 = 0;
    let gap: u64 = 0;
    const left = n - base;
    const limit: u64 = left >= 64 ? ~0 : ((<u64>1) << left) - 1;
    const block = p + base;
    const reads: u64 = left >= 64 ? 64 : <u64>left;
    for (let b: u64 = 0; b < reads; b += 16) {
      const v = v128.load(block + <usize>b);
      digit |= within(v, 48, 9) << b;
      letter |= within(v128.or(v, i8x16.splat(32)), 97, 25) << b;
      line |= equal(v, 95) << b;
      at |= equal(v, 64) << b;
      escape |= equal(v, 92) << b;
      gap |= (equal(v, 32) | equal(v, 45)) << b;
    }
    if ((escape & limit) != 0) return ESCAPED;
    digit &= limit;
    letter &= limit;
    at &= limit;
    const word = digit | letter | (line & limit);
    let starts = (digit | letter) & ~((word << 1) | carry);
    carry = word >> 63;

    if (emailMethod != 0) {
      while (at != 0) {
        if (!findEmail(p, block + <usize>ctz(at), end)) return LEAVE_IT;
        at &= at - 1;
      }
    }
    if (wantsPhone || wantsIp || wantsKey) {
      for (let b: u64 = 0; b < reads; b += 16) {
        const v = v128.load(block + <usize>b);
        const inside = limit >> b;
        if (wantsPhone) {
          let plus = equal(v, 43) & inside;
          while (plus != 0) {
            if (isDigit(byteAt(block + <usize>b + <usize>ctz(plus) + 1, end))) return LEAVE_IT;
            plus &= plus - 1;
          }
        }
        if (wantsIp) {
          quads += <u32>popcnt(equal(v, 46) & inside);
          let colon = equal(v, 58) & inside;
          colons += <u32>popcnt(colon);
          while (colon != 0) {
            if (byteAt(block + <usize>b + <usize>ctz(colon) + 1, end) == 58) return LEAVE_IT;
            colon &= colon - 1;
          }
          if ((quads >= 3 && digit != 0) || colons >= 6) return LEAVE_IT;
        }
        if (wantsKey) {
          dashes += <u32>popcnt(equal(v, 45) & inside);
          if (dashes >= 5) return LEAVE_IT;
        }
      }
    }
    if (wantsNames) {
      for (let names = starts; names != 0; names &= names - 1) {
        if (mayBeKey(block + <usize>ctz(names), end)) return LEAVE_IT;
      }
    }
    // All there is in one block: a card has 13 digits, an identity six.
    const digitsMin: u32 = base != 0 || ibanMethod != 0 ? 1 : nationalMethod != 0 ? 6 : 13;
    if (!wantsNumbers || (left <= 64 && <u32>popcnt(digit) < digitsMin)) continue;
    // A number begins with six digits, spaces or dashes; what begins with a letter has a digit at the second, third,
    // fourth or seventh place. The last places of a block that is not the last cannot be told from here.
    let run = digit | (gap & limit);
    run &= run >> 1;
    run &= run >> 2;
    run &= run >> 2;
    const near = (digit >> 1) | (digit >> 2) | (digit >> 3) | (digit >> 6);
    const open: u64 = left > 64 ? (<u64>0x3f) << 58 : 0;
    starts &= (digit & run) | (letter & near) | open;
    while (starts != 0) {
      const start = block + <usize>ctz(starts);
      starts &= starts - 1;
      const room = <u32>(end - start);
      if (room < 9) continue;
      const before = start > p ? <u32>load<u8>(start - 1) : 0;
      const beforeThat = start > p + 1 ? <u32>load<u8>(start - 2) : 0;
      const startsWithDigit = isDigit(load<u8>(start));
      if (
        cardMethod != 0 &&
        startsWithDigit &&
        room >= 13 &&
        start >= nextCard &&
        !(before == 46 && isDigit(beforeThat))
      ) {
        const stop = cardEnd(start, end);
        if (stop != 0) {
          if (!addSpan(start, stop, CARD, cardMethod)) return LEAVE_IT;
          nextCard = stop;
        }
      }
      if (nationalMethod != 0 && start >= nextId && !(before == 45 && isDigit(beforeThat))) {
        const stop = startsWithDigit ? ssnEnd(start, end) : 0;
        if (stop != 0 && !isWord(byteAt(stop, end)) && !(byteAt(stop, end) == 45 && isDigit(byteAt(stop + 1, end)))) {
          if (!addSpan(start, stop, NATIONAL, nationalMethod)) return LEAVE_IT;
          nextId = stop;
        } else if (mayBeOtherId(start, end)) return LEAVE_IT;
      }
      if (ibanMethod != 0 && !startsWithDigit && room >= 15 && start >= nextIban) {
        const stop = ibanEnd(start, end);
        if (stop != 0) {
          if (!addSpan(start, stop, IBAN, ibanMethod)) return LEAVE_IT;
          nextIban = stop;
        }
      }
    }
  }
  for (let i: u32 = 1; i < spanCount; i++) {
    if (load<u32>(SPANS + (i << 4)) < load<u32>(SPANS + (i << 4) - 12)) return LEAVE_IT;
  }
  return spanCount == 0 ? NOTHING : FOUND;
}

function stars(out: usize, count: u32): usize {
  for (let i: u32 = 0; i < count; i++) store<u8>(out + i, 42);
  return out + count;
}

/** The last four digits between start and end. */
function lastFour(out: usize, start: usize, end: usize): usize {
  let count: u32 = 0;
  let at = end;
  while (at > start && count < 4) if (isDigit(load<u8>(--at))) count++;
  for (; at < end; at++) if (isDigit(load<u8>(at))) store<u8>(out++, load<u8>(at));
  return out;
}

function characterEnd(start: usize, end: usize): usize {
  let at = start + 1;
  while (at < end && (load<u8>(at) & 0xc0) == 0x80) at++;
  return at;
}
function copyBytes(out: usize, start: usize, end: usize): usize {
  for (let at = start; at < end; at++) store<u8>(out++, load<u8>(at));
  return out;
}

function partialText(out: usize, start: usize, end: usize): usize {
  out = stars(out, 6);
  if (end - start < 8) return out;
  let at = end;
  for (let characters = 0; characters < 2; characters++) {
    at--;
    while (at > start && (load<u8>(at) & 0xc0) == 0x80) at--;
  }
  return copyBytes(out, at, end);
}

function partialEmail(out: usize, start: usize, end: usize): usize {
  let at = end - 1;
  while (load<u8>(at) != 64) at--;
  let dot = end - 1;
  while (load<u8>(dot) != 46) dot--;
  const local = characterEnd(start, end);
  out = copyBytes(out, start, local < at ? local : at);
  out = stars(out, 3);
  store<u8>(out++, 64);
  const domain = characterEnd(at + 1, end);
  out = copyBytes(out, at + 1, domain < dot ? domain : dot);
  out = stars(out, 3);
  return copyBytes(out, dot, end);
}

/** One block of SHA-256 (FIPS 180-4 §6.2.2) into the state at `state`. */
function compress(state: usize, block: usize): void {
  for (let i: usize = 0; i < 16; i++) store<u32>(DIGEST_WORDS + (i << 2), be32(block + (i << 2)));
  for (let i: usize = 16; i < 64; i++) {
    const word = DIGEST_WORDS + (i << 2);
    const w15 = load<u32>(word - 60);
    const w2 = load<u32>(word - 8);
    const s0 = rotr<u32>(w15, 7) ^ rotr<u32>(w15, 18) ^ (w15 >> 3);
    const s1 = rotr<u32>(w2, 17) ^ rotr<u32>(w2, 19) ^ (w2 >> 10);
    store<u32>(word, load<u32>(word - 64) + s0 + load<u32>(word - 28) + s1);
  }
  let a = load<u32>(state);
  let b = load<u32>(state + 4);
  let c = load<u32>(state + 8);
  let d = load<u32>(state + 12);
  let e = load<u32>(state + 16);
  let f = load<u32>(state + 20);
  let g = load<u32>(state + 24);
  let h = load<u32>(state + 28);
  for (let i: usize = 0; i < 256; i += 4) {
    const s1 = rotr<u32>(e, 6) ^ rotr<u32>(e, 11) ^ rotr<u32>(e, 25);
    const t1 = h + s1 + ((e & f) ^ (~e & g)) + load<u32>(DIGEST_ROUNDS + i) + load<u32>(DIGEST_WORDS + i);
    const s0 = rotr<u32>(a, 2) ^ rotr<u32>(a, 13) ^ rotr<u32>(a, 22);
    const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  store<u32>(state, load<u32>(state) + a);
  store<u32>(state + 4, load<u32>(state + 4) + b);
  store<u32>(state + 8, load<u32>(state + 8) + c);
  store<u32>(state + 12, load<u32>(state + 12) + d);
  store<u32>(state + 16, load<u32>(state + 16) + e);
  store<u32>(state + 20, load<u32>(state + 20) + f);
  store<u32>(state + 24, load<u32>(state + 24) + g);
  store<u32>(state + 28, load<u32>(state + 28) + h);
}

function startDigest(state: usize): void {
  store<u32>(state, 0x6a09e667);
  store<u32>(state + 4, 0xbb67ae85);
  store<u32>(state + 8, 0x3c6ef372);
  store<u32>(state + 12, 0xa54ff53a);
  store<u32>(state + 16, 0x510e527f);
  store<u32>(state + 20, 0x9b05688c);
  store<u32>(state + 24, 0x1f83d9ab);
  store<u32>(state + 28, 0x5be0cd19);
}

/** Takes the key, padded with zeros to 64 bytes, from DIGEST_BLOCK and leaves the states after HMAC's two pads (RFC 2104). */
export function takeKey(): void {
  for (let i: usize = 0; i < 64; i += 8) store<u64>(DIGEST_BLOCK + i, load<u64>(DIGEST_BLOCK + i) ^ 0x3636363636363636);
  startDigest(DIGEST_INNER);
  compress(DIGEST_INNER, DIGEST_BLOCK);
  for (let i: usize = 0; i < 64; i += 8) store<u64>(DIGEST_BLOCK + i, load<u64>(DIGEST_BLOCK + i) ^ 0x6a6a6a6a6a6a6a6a);
  startDigest(DIGEST_OUTER);
  compress(DIGEST_OUTER, DIGEST_BLOCK);
  memory.fill(DIGEST_BLOCK, 0, 64);
}

/** `h:` and the first 96 bits of HMAC-SHA-256 over the bytes, in base64url. */
function writeHash(out: usize, start: usize, end: usize): usize {
  memory.copy(DIGEST_STATE, DIGEST_INNER, 32);
  let at = start;
  for (; at + 64 <= end; at += 64) compress(DIGEST_STATE, at);
  const rest = end - at;
  memory.fill(DIGEST_BLOCK, 0, 64);
  memory.copy(DIGEST_BLOCK, at, rest);
  store<u8>(DIGEST_BLOCK + rest, 0x80);
  if (rest >= 56) {
    compress(DIGEST_STATE, DIGEST_BLOCK);
    memory.fill(DIGEST_BLOCK, 0, 64);
  }
  store<u64>(DIGEST_BLOCK + 56, bswap<u64>((<u64>(end - start + 64)) << 3));
  compress(DIGEST_STATE, DIGEST_BLOCK);
  for (let i: usize = 0; i < 32; i += 4) store<u32>(DIGEST_BLOCK + i, bswap<u32>(load<u32>(DIGEST_STATE + i)));
  memory.fill(DIGEST_BLOCK + 32, 0, 32);
  store<u8>(DIGEST_BLOCK + 32, 0x80);
  // 64 bytes of pad and 32 of digest, in bits.
  store<u64>(DIGEST_BLOCK + 56, bswap<u64>(768));
  memory.copy(DIGEST_STATE, DIGEST_OUTER, 32);
  compress(DIGEST_STATE, DIGEST_BLOCK);
  store<u16>(out, 0x3a68);
  out += 2;
  // Three words are four times three bytes.
  let bits = ((<u64>load<u32>(DIGEST_STATE)) << 32) | load<u32>(DIGEST_STATE + 4);
  const more = load<u32>(DIGEST_STATE + 8);
  for (let i = 0; i < 10; i++) {
    store<u8>(out++, load<u8>(ALPHABET + <usize>(bits >> 58)));
    bits <<= 6;
  }
  // Four bits are left of the first 64.
  bits |= (<u64>more) << 28;
  for (let i = 0; i < 6; i++) {
    store<u8>(out++, load<u8>(ALPHABET + <usize>(bits >> 58)));
    bits <<= 6;
  }
  return out;
}

/** Writes one masked stretch. */
export function writeMasked(out: usize, start: usize, end: usize, kind: u32, method: u32): usize {
  if (method == 2) {
    v128.store(out, v128.load(LITERAL));
    return out + LITERAL_BYTES;
  }
  if (method == 3) return writeHash(out, start, end);
  if (kind == CARD) return lastFour(stars(out, 12), start, end);
  if (kind == EMAIL) return partialEmail(out, start, end);
  if (kind == NATIONAL) {
    // Only SSNs come here: ***-**-1234
    store<u32>(out, 0x2d2a2a2a);
    store<u32>(out + 3, 0x2d2a2a2d);
    return lastFour(out + 7, start, end);
  }
  if (kind == IBAN) return copyBytes(stars(copyBytes(out, start, start + 2), 6), end - 4, end);
  return partialText(out, start, end);
}

/** The kind that claims the whole of a cell of a column masked in part; `kind` is left in SPANS. */
function wholeKind(p: usize, n: u32): u32 {
  const end = p + n;
  if (n == 0) return TEXT;
  if (load<u8>(p) == 32 || load<u8>(end - 1) == 32) return LEAVE_IT + 100;
  // Who claims a whole cell first, in the order of DETECTORS, has it; whatever else is seen in it does not count.
  if (isDigit(load<u8>(p))) {
    if (n >= 13 && cardEnd(p, end) == end) return CARD;
    if (n == 11 && ssnEnd(p, end) == end) return NATIONAL;
  }
  if (isWholeEmail(p, end)) return EMAIL;
  const card = cardMethod;
  const email = emailMethod;
  const national = nationalMethod;
  const iban = ibanMethod;
  const phone = wantsPhone;
  const ip = wantsIp;
  const key = wantsKey;
  const jwt = wantsJwt;
  cardMethod = emailMethod = nationalMethod = ibanMethod = 1;
  wantsPhone = wantsIp = wantsKey = wantsJwt = true;
  const seen = look(p, n, false);
  cardMethod = card;
  emailMethod = email;
  nationalMethod = national;
  ibanMethod = iban;
  wantsPhone = phone;
  wantsIp = ip;
  wantsKey = key;
  wantsJwt = jwt;
  if (seen == LEAVE_IT) return LEAVE_IT + 100;
  if (spanCount == 1 && load<u32>(SPANS) == <u32>p && load<u32>(SPANS + 4) == <u32>end) return load<u32>(SPANS + 8);
  return TEXT;
}

/** Whether a cell of a type that is not text may hold what is looked for. */
function mayHold(action: u8, p: usize, n: u32): bool {
  if (action == INT8_BINARY && n == 8) {
    const value = <i64>bswap<u64>(load<u64>(p));
    return value > 9_999_999_999 || value < -9_999_999_999;
  }
  if (action == FLOAT8_BINARY && n == 8) {
    const value = reinterpret<f64>(bswap<u64>(load<u64>(p)));
    return abs(value) > 9_999_999_999;
  }
  if (action == NUMERIC_BINARY && n >= 8) return <i16>bswap<u16>(load<u16>(p + 2)) >= 2;
  if (action == FLOAT8_TEXT) {
    // Eleven digits before the point, or anything that is no plain number (an exponent, NaN).
    let digits: u32 = 0;
    let whole = true;
    for (let i: u32 = 0; i < n; i++) {
      const byte = <u32>load<u8>(p + i);
      if (byte == 46 && whole) whole = false;
      else if (isDigit(byte)) digits += whole ? 1 : 0;
      else if (byte != 45 || i > 0) return true;
    }
    return digits >= 11;
  }
  return true;
}

/**
 * Masks rows from `input` on (`bytes` of them are there), writing at `output` (`room` bytes).
 * Stops before the first message that is not a whole DataRow (DONE), is to be left to the reference (LEFT), or might
 * not fit (FULL). What was read and written stands in the exported counters; `rowCount` and `maskedCount` add up.
 */
export function run(input: usize, bytes: u32, output: usize, room: u32): u32 {
  const last = input + bytes;
  let at = input;
  let out = output;
  // What was read and not yet written starts here.
  let pending = input;
  let status = DONE;
  let rows: u32 = 0;
  while (at + 7 <= last && load<u8>(at) == 68) {
    const length = be32(at + 1);
    if (length < 6 || length >= 0x7fffffff) {
      status = LEFT;
      break;
    }
    const rowEnd = at + 1 + length;
    if (rowEnd > last) break;
    // No cell grows by more than 18 bytes, or by less than six times: see partialEmail, hash.
    if (<u32>(out - output) + <u32>(at - pending) + (length + 1) * 6 + 64 > room) {
      status = FULL;
      break;
    }
    const count = ((<u32>load<u8>(at + 5)) << 8) | <u32>load<u8>(at + 6);
    if (count != columns) {
      status = LEFT;
      break;
    }
    const outAtRow = out;
    const pendingAtRow = pending;
    let masked: u32 = 0;
    let head: usize = 0;
    let cell = at + 7;
    let leave = false;
    for (let column: u32 = 0; column < count; column++) {
      if (cell + 4 > rowEnd) {
        leave = true;
        break;
      }
      const size = <i32>be32(cell);
      const value = cell + 4;
      const next = value + (size > 0 ? <usize>size : 0);
      if (size < -1 || next > rowEnd) {
        leave = true;
        break;
      }
      const action = load<u8>(ACTIONS + column);
      if (action == CLEAR || size < 0) {
        cell = next;
        continue;
      }
      let spans: u32 = 0;
      let kind: u32 = TEXT;
      let method: u32 = <u32>action;
      let goesNull = action == NULL;
      if (action == DETECT || action == DETECT_LEAVE) {
        const seen = look(value, <u32>size, action == DETECT_LEAVE);
        if (seen == NOTHING) {
          cell = next;
          continue;
        }
        if (seen == LEAVE_IT || action == DETECT_LEAVE) {
          leave = true;
          break;
        }
        spans = spanCount;
        for (let i: u32 = 0; i < spans; i++) if (load<u32>(SPANS + (i << 4) + 12) == 4) goesNull = true;
      } else if (action == PARTIAL) {
        kind = wholeKind(value, <u32>size);
        if (kind > TEXT) {
          leave = true;
          break;
        }
        method = 1;
      } else if (action == REDACT) method = 2;
      else if (action == HASH) method = 3;
      else if (action >= LEAVE) {
        if (mayHold(action, value, <u32>size)) {
          leave = true;
          break;
        }
        cell = next;
        continue;
      }

      // Everything up to this cell goes out; the row's length is put right at its end.
      copy(out, pending, <u32>(cell - pending));
      if (head == 0) head = out + (at - pending);
      out += cell - pending;
      pending = next;
      masked++;
      if (goesNull) {
        store<u32>(out, 0xffffffff);
        out += 4;
      } else {
        const sizeAt = out;
        out += 4;
        if (spans == 0) {
          out = writeMasked(out, value, next, kind, method);
        } else {
          let from = value;
          for (let i: u32 = 0; i < spans; i++) {
            const span = SPANS + (i << 4);
            const start = <usize>load<u32>(span);
            const end = <usize>load<u32>(span + 4);
            copy(out, from, <u32>(start - from));
            out = writeMasked(out + (start - from), start, end, load<u32>(span + 8), load<u32>(span + 12));
            from = end;
          }
          copy(out, from, <u32>(next - from));
          out += next - from;
        }
        store<u32>(sizeAt, bswap<u32>(<u32>(out - sizeAt) - 4));
      }
      cell = next;
    }
    if (leave || cell != rowEnd) {
      out = outAtRow;
      pending = pendingAtRow;
      status = LEFT;
      break;
    }
    if (masked > 0) {
      copy(out, pending, <u32>(rowEnd - pending));
      out += rowEnd - pending;
      pending = rowEnd;
      store<u32>(head + 1, bswap<u32>(<u32>(out - head) - 1));
      maskedCount += masked;
    }
    rows++;
    at = rowEnd;
  }
  copy(out, pending, <u32>(at - pending));
  out += at - pending;
  readBytes = <u32>(at - input);
  writtenBytes = <u32>(out - output);
  rowCount += rows;
  return status;
}

/** Called before each chunk. */
export function reset(): void {
  rowCount = 0;
  maskedCount = 0;
}
