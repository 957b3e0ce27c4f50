/**
 * The JSON kernel, in AssemblyScript (compiled by scripts/build-kernel.ts, run by src/json/json-kernel.ts): runs over tokens in
 * a window at IN, and writes what is masked at OUT. It gives exactly what src/json/json-masker.ts gives, or leaves a token to it:
 * what is cut, wrong, steers behind an escape, or is found in a rare way. Limits: maskedJsonDepthMax. RFC 8259.
 */

import {
  cardMethod,
  emailMethod,
  ibanMethod,
  look,
  lookPlain,
  nationalMethod,
  spanCount,
  wantsIp,
  wantsJwt,
  wantsKey,
  wantsPhone,
  writeMasked,
} from './rows';

export { configure, takeKey } from './rows';

// Addresses; src/json/json-kernel.ts has the same.
const SPANS: usize = 5120;
const STATE: usize = 106_496;
const OBJECTS: usize = 107_008;
const STATES: usize = 108_032;
const METHODS: usize = 110_592;
const LENGTHS: usize = 114_688;
const NAME_AT: usize = 116_736;
const NAME_SYMBOL: usize = 120_832;
const PAIRS: usize = 122_880;
const TABLE: usize = 2_621_440;
const SCRATCH: usize = 2_719_744;
const SCRATCH_BYTES: u32 = 32_000;

const DEPTH_MAX: u32 = 512;
const NAME_BYTES_MAX: u32 = 511;
const OTHER: u32 = 0;
const ELEMENT: u32 = 1;
const DEAD: u32 = 0;

// What may come next; src/json/json-masker.ts has the same.
const VALUE: u32 = 0;
const VALUE_OR_END: u32 = 1;
const KEY: u32 = 2;
const KEY_OR_END: u32 = 3;
const COLON: u32 = 4;
const COMMA_OR_END: u32 = 5;
const TOP: u32 = 6;
const TOP_GAP: u32 = 7;

// Methods of a state.
const REDACT: u8 = 1;
const NULL: u8 = 2;
const LEAVE: u8 = 3;
/** Of a text whose bytes stand in base64: what stands for it decodes too. */
const REDACT_BASE64: u8 = 4;

// What run() stopped at.
const DONE: u32 = 0;
const LEFT: u32 = 1;
const FULL: u32 = 2;

// What look() of rows.ts gives.
const NOTHING: u32 = 0;
const FOUND: u32 = 1;

/** Names in the plan and "other" and "element": entries of a row of the table. 0 = no plan. */
let symbols: u32 = 0;
let start: u32 = 0;
let detects: bool = false;
/** A string with fewer digits holds no number that is looked for; 0 = none is. */
let digitsMin: u32 = 0;
/** A shorter string holds nothing that is looked for: `::`, `-----`, `a@b.cd`. */
let bytesMin: u32 = 0;

let depth: u32 = 0;
let expect: u32 = 0;
let next: u32 = 0;
let hidden: u32 = 0;

// Of the string that was read last.
let stringEnd: usize = 0;
let hasEscapes: bool = false;
let isAscii: bool = false;

// Of the run.
let out: usize = 0;
let pending: usize = 0;
let masked: u32 = 0;

export function plan(symbolCount: u32, startState: u32, isDetecting: bool): void {
  symbols = symbolCount;
  start = startState;
  detects = isDetecting;
  digitsMin = nationalMethod != 0 ? 6 : cardMethod != 0 ? 13 : 0;
  bytesMin = wantsIp ? 2 : wantsKey ? 5 : 6;
}

function copy(to: usize, from: usize, bytes: u32): void {
  if (bytes <= 64) {
    for (let i: u32 = 0; i < bytes; i += 16) v128.store(to + i, v128.load(from + i));
  } else memory.copy(to, from, bytes);
}
function isDigit(byte: u32): bool {
  return byte - 48 < 10;
}
function isWord(byte: u32): bool {
  return isDigit(byte) || (byte | 32) - 97 < 26 || byte == 95;
}

/** Bytes that a string cannot be passed over, as STRING_STOP of src/json/json-string.ts. */
function stops(v: v128): u32 {
  let bad = v128.or(i8x16.eq(v, i8x16.splat(34)), i8x16.eq(v, i8x16.splat(92)));
  bad = v128.or(bad, i8x16.lt_u(v, i8x16.splat(32)));
  bad = v128.or(bad, i8x16.ge_u(v, i8x16.splat(<i8>0xf5)));
  bad = v128.or(bad, i8x16.eq(v128.and(v, i8x16.splat(<i8>0xfe)), i8x16.splat(<i8>0xc0)));
  return <u32>i8x16.bitmask(bad);
}

/** As `stops`, and whatever is no ASCII: below zero where bytes have a sign. */
function unusual(v: v128): u32 {
  const bad = v128.or(i8x16.eq(v, i8x16.splat(34)), i8x16.eq(v, i8x16.splat(92)));
  return <u32>i8x16.bitmask(v128.or(bad, i8x16.lt_s(v, i8x16.splat(32))));
}

/** Finds the closing quote; any byte may stand behind a backslash. @returns false when it is not there, or a byte is no text */
function passString(from: usize, end: usize): bool {
  hasEscapes = false;
  isAscii = true;
  let at = from;
  while (at < end) {
    const v = v128.load(at);
    let bits = isAscii ? unusual(v) : stops(v);
    if (isAscii && bits != 0 && load<u8>(at + ctz(bits)) >= 128) {
      isAscii = false;
      bits = stops(v);
    }
    if (bits == 0) {
      at += 16;
      continue;
    }
    at += ctz(bits);
    if (at >= end) return false;
    const byte = load<u8>(at);
    if (byte == 34) {
      stringEnd = at;
      return true;
    }
    if (byte != 92) return false;
    hasEscapes = true;
    at += 2;
  }
  return false;
}

/** Whether detectors could see anything in a string without escapes, of `bytesMin` and more. */
function mayHold(from: usize, end: usize): bool {
  const bytes = <u32>(end - from);
  let digits: u32 = 0;
  let pairs: u32 = 0;
  let carry: u32 = 0;
  let dots: u32 = 0;
  let colons: u32 = 0;
  let plus: u32 = 0;
  let dashes: u32 = 0;
  const isRare = wantsIp || wantsPhone || wantsKey;
  for (let at = from; at < end; at += 16) {
    const v = v128.load(at);
    const left = <u32>(end - at);
    const inside: u32 = left >= 16 ? 0xffff : ((<u32>1) << left) - 1;
    if (emailMethod != 0 && (<u32>i8x16.bitmask(i8x16.eq(v, i8x16.splat(64))) & inside) != 0) return true;
    const digit = <u32>i8x16.bitmask(i8x16.le_u(i8x16.sub(v, i8x16.splat(48)), i8x16.splat(9))) & inside;
    digits += popcnt(digit);
    pairs |= digit & ((digit << 1) | carry);
    carry = digit >> 15;
    if (isRare) {
      dots += popcnt(<u32>i8x16.bitmask(i8x16.eq(v, i8x16.splat(46))) & inside);
      colons += popcnt(<u32>i8x16.bitmask(i8x16.eq(v, i8x16.splat(58))) & inside);
      plus |= <u32>i8x16.bitmask(i8x16.eq(v, i8x16.splat(43))) & inside;
      dashes += popcnt(<u32>i8x16.bitmask(i8x16.eq(v, i8x16.splat(45))) & inside);
    }
  }
  return (
    (digitsMin != 0 && digits >= digitsMin) ||
    (ibanMethod != 0 && pairs != 0 && bytes >= 15) ||
    (wantsPhone && plus != 0 && digits >= 8) ||
    (wantsIp && ((dots >= 3 && digits >= 4) || colons >= 2)) ||
    (wantsKey && dashes >= 5) ||
    ((wantsKey || wantsJwt) && bytes >= 10 && mayName(from, end))
  );
}

/** True where a word begins with the first two bytes of a key that announces itself. */
function mayName(from: usize, end: usize): bool {
  let before: u32 = 0;
  for (let at = from; at + 9 < end; at++) {
    const byte = <u32>load<u8>(at);
    if (!isWord(before)) {
      const pair = <u32>load<u16>(at);
      if ((load<u8>(PAIRS + (pair >> 3)) & (1 << (pair & 7))) != 0) return true;
    }
    before = byte;
  }
  return false;
}

function hexValue(byte: u32): u32 {
  if (isDigit(byte)) return byte - 48;
  const letter = (byte | 32) - 97;
  return letter < 6 ? letter + 10 : 16;
}
/** The code unit of four hex digits, or 65,536. */
function unitAt(at: usize): u32 {
  let unit: u32 = 0;
  for (let i: usize = 0; i < 4; i++) {
    const value = hexValue(load<u8>(at + i));
    if (value > 15) return 0x10000;
    unit = (unit << 4) | value;
  }
  return unit;
}

/** Writes the string's text to SCRATCH. @returns its bytes; -1 for an escape that JSON does not have, or one too long */
function unescape(from: usize, end: usize): i32 {
  if (<u32>(end - from) > SCRATCH_BYTES) return -1;
  let to = SCRATCH;
  let at = from;
  while (at < end) {
    const byte = <u32>load<u8>(at);
    if (byte != 92) {
      store<u8>(to++, <u8>byte);
      at++;
      continue;
    }
    const kind = <u32>load<u8>(at + 1);
    at += 2;
    let code: u32;
    if (kind == 117) {
      if (at + 4 > end) return -1;
      code = unitAt(at);
      if (code > 0xffff) return -1;
      at += 4;
      if (code >= 0xd800 && code < 0xdc00 && at + 6 <= end && load<u16>(at) == 0x755c) {
        const low = unitAt(at + 2);
        if (low > 0xffff) return -1;
        if (low >= 0xdc00 && low < 0xe000) {
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          at += 6;
        }
      }
    } else if (kind == 34 || kind == 92 || kind == 47) code = kind;
    else if (kind == 98) code = 8;
    else if (kind == 102) code = 12;
    else if (kind == 110) code = 10;
    else if (kind == 114) code = 13;
    else if (kind == 116) code = 9;
    else return -1;
    if (code < 0x80) store<u8>(to++, <u8>code);
    else if (code < 0x800) {
      store<u8>(to++, <u8>(0xc0 | (code >> 6)));
      store<u8>(to++, <u8>(0x80 | (code & 63)));
    } else if (code < 0x10000) {
      store<u8>(to++, <u8>(0xe0 | (code >> 12)));
      store<u8>(to++, <u8>(0x80 | ((code >> 6) & 63)));
      store<u8>(to++, <u8>(0x80 | (code & 63)));
    } else {
      store<u8>(to++, <u8>(0xf0 | (code >> 18)));
      store<u8>(to++, <u8>(0x80 | ((code >> 12) & 63)));
      store<u8>(to++, <u8>(0x80 | ((code >> 6) & 63)));
      store<u8>(to++, <u8>(0x80 | (code & 63)));
    }
  }
  return <i32>(to - SCRATCH);
}

/** Where a key leads. */
function stepKey(state: u32, from: usize, bytes: u32): u32 {
  let symbol = OTHER;
  if (bytes <= NAME_BYTES_MAX) {
    const last = <u32>load<u16>(LENGTHS + ((bytes + 1) << 1));
    for (let i = <u32>load<u16>(LENGTHS + (bytes << 1)); i < last; i++) {
      if (equals(<usize>load<u32>(NAME_AT + (i << 2)), from, bytes)) {
        symbol = <u32>load<u16>(NAME_SYMBOL + (i << 1));
        break;
      }
    }
  }
  return load<u16>(TABLE + ((state * symbols + symbol) << 1));
}
function equals(name: usize, from: usize, bytes: u32): bool {
  for (let at: u32 = 0; at < bytes; at += 16) {
    const left = bytes - at;
    const wanted: u32 = left >= 16 ? 0xffff : ((<u32>1) << left) - 1;
    const same = <u32>i8x16.bitmask(i8x16.eq(v128.load(name + at), v128.load(from + at)));
    if ((same & wanted) != wanted) return false;
  }
  return true;
}

function methodOf(state: u32): u8 {
  return symbols == 0 ? 0 : load<u8>(METHODS + state);
}

function takesValue(): bool {
  if (expect == TOP) {
    next = start;
    return true;
  }
  return expect == VALUE || expect == VALUE_OR_END;
}

/** What is clear so far goes out. */
function flush(to: usize): void {
  const bytes = <u32>(to - pending);
  copy(out, pending, bytes);
  out += bytes;
}
function putRedacted(): void {
  // "[redacted]
  store<u64>(out, 0x7463616465725b22);
  store<u32>(out + 8, 0x225d6465);
  out += 12;
}
function putRedactedBase64(): void {
  // "W3JlZGFjdGVkXQ=="
  store<u64>(out, 0x46475a6c4a335722);
  store<u64>(out + 8, 0x3d51586b5647646a);
  store<u16>(out + 16, 0x223d);
  out += 18;
}
function putNull(): void {
  store<u32>(out, 0x6c6c756e);
  out += 4;
}
function replace(at: usize, to: usize, method: u8): void {
  flush(at);
  if (method == NULL) putNull();
  else if (method == REDACT_BASE64) putRedactedBase64();
  else putRedacted();
  pending = to;
  masked++;
}

/** Raw bytes of a surrogate are written as an escape. */
function hasSurrogate(from: usize, end: usize): bool {
  if (isAscii) return false;
  for (let at = from; at + 1 < end; at++) if (load<u8>(at) == 0xed && load<u8>(at + 1) >= 0xa0) return true;
  return false;
}

/** What was found in a string without escapes. */
function writeFound(at: usize, to: usize, isKey: bool): void {
  for (let i: u32 = 0; i < spanCount; i++) {
    if (load<u32>(SPANS + (i << 4) + 12) == 4) return replace(at, to, isKey ? REDACT : NULL);
  }
  flush(at + 1);
  // The quote stands before what was flushed.
  let from = at + 1;
  for (let i: u32 = 0; i < spanCount; i++) {
    const span = SPANS + (i << 4);
    const first = <usize>load<u32>(span);
    const last = <usize>load<u32>(span + 4);
    copy(out, from, <u32>(first - from));
    out = writeMasked(out + (first - from), first, last, load<u32>(span + 8), load<u32>(span + 12));
    from = last;
  }
  pending = from;
  masked++;
}

/** @returns behind the string at `at`; 0 = it is left */
function readString(at: usize, end: usize): usize {
  const isKey = expect == KEY || expect == KEY_OR_END;
  const wasNext = next;
  if (!isKey && !takesValue()) return 0;
  const isShown = hidden == 0;
  const method: u8 = isKey || !isShown ? 0 : methodOf(next);
  const steers = isKey && isShown && symbols != 0 && <u32>load<u16>(STATES + (depth << 1)) != DEAD;
  const looks = isShown && detects && method == 0;
  // What names or hides it is read where escapes are undone.
  if (method == LEAVE || !passString(at + 1, end) || (!looks && hasEscapes && (steers || method != 0))) {
    next = wasNext;
    return 0;
  }
  const to = stringEnd + 1;
  if (method != 0) replace(at, to, method);
  else if (looks && hasEscapes) {
    if (steers) return 0;
    const bytes = unescape(at + 1, stringEnd);
    if (bytes < 0 || (bytes > 2 && look(SCRATCH, <u32>bytes, false) != NOTHING)) {
      next = wasNext;
      return 0;
    }
  } else if (looks && <u32>(to - at) >= bytesMin + 2 && mayHold(at + 1, stringEnd)) {
    const seen = lookPlain(at + 1, <u32>(stringEnd - at - 1));
    if (seen != NOTHING) {
      if (seen != FOUND || hasSurrogate(at + 1, stringEnd)) {
        next = wasNext;
        return 0;
      }
      writeFound(at, to, isKey);
    }
  }
  if (!isKey) expect = depth == 0 ? TOP_GAP : COMMA_OR_END;
  else {
    next = steers ? stepKey(<u32>load<u16>(STATES + (depth << 1)), at + 1, <u32>(stringEnd - at - 1)) : DEAD;
    expect = COLON;
  }
  return to;
}

/** A byte that numbers and literals are made of. */
function isWordByte(byte: u32): bool {
  return isDigit(byte) || (byte | 32) - 97 < 26 || byte == 43 || byte == 45 || byte == 46;
}

/** @returns behind the number or literal at `at`; 0 = it is left */
function readWord(at: usize, end: usize): usize {
  if (expect != VALUE && expect != VALUE_OR_END) return 0;
  const first = <u32>load<u8>(at);
  let to = at;
  let isPlainNumber = false;
  let wholeDigits: u32 = 0;
  let hasPoint = false;
  if (isDigit(first) || first == 45) {
    if (first == 45) to++;
    isPlainNumber = true;
    for (; to < end; to++) {
      const byte = <u32>load<u8>(to);
      if (isDigit(byte)) {
        if (!hasPoint) wholeDigits++;
      } else if (byte == 46 && !hasPoint) hasPoint = true;
      else break;
    }
    // An exponent, or something stranger.
    if (to >= end || isWordByte(load<u8>(to)) || wholeDigits == 0) return 0;
  } else {
    const four = load<u32>(at);
    // true, null, false
    if (four == 0x65757274 || four == 0x6c6c756e) to = at + 4;
    else if (four == 0x736c6166 && load<u8>(at + 4) == 101) to = at + 5;
    else return 0;
    if (to >= end || isWordByte(load<u8>(to))) return 0;
  }
  if (hidden == 0) {
    const method = methodOf(next);
    if (method != 0) {
      if (first != 110) {
        if (method == LEAVE || method == REDACT_BASE64) return 0;
        replace(at, to, method);
      }
    } else if (isPlainNumber && detects && to - at >= 9) {
      if (lookPlain(at, <u32>(to - at)) != NOTHING || (hasPoint && wholeDigits > 7)) return 0;
    }
  }
  expect = COMMA_OR_END;
  return to;
}

function open(at: usize, isObject: bool): bool {
  if (depth == DEPTH_MAX) return false;
  if (!takesValue()) return false;
  const method: u8 = hidden == 0 ? methodOf(next) : 0;
  depth++;
  if (method != 0) {
    // A container is no text.
    replace(at, at, method == NULL ? NULL : REDACT);
    hidden = depth;
  }
  store<u8>(OBJECTS + depth, isObject ? 1 : 0);
  if (isObject) {
    store<u16>(STATES + (depth << 1), <u16>next);
    expect = KEY_OR_END;
  } else {
    next = hidden > 0 || next == DEAD ? DEAD : load<u16>(TABLE + ((next * symbols + ELEMENT) << 1));
    store<u16>(STATES + (depth << 1), <u16>next);
    expect = VALUE_OR_END;
  }
  return true;
}
function comma(): void {
  if (load<u8>(OBJECTS + depth) == 1) expect = KEY;
  else {
    expect = VALUE;
    next = <u32>load<u16>(STATES + (depth << 1));
  }
}
function close(at: usize, isObject: bool): bool {
  const isRight = expect == COMMA_OR_END || expect == (isObject ? KEY_OR_END : VALUE_OR_END);
  if (!isRight || depth == 0 || (load<u8>(OBJECTS + depth) == 1) != isObject) return false;
  depth--;
  expect = depth == 0 ? TOP : COMMA_OR_END;
  if (hidden > depth) {
    hidden = 0;
    pending = at + 1;
  }
  return true;
}

function passBlanks(at: usize): usize {
  let bits: u32 = 0;
  for (;;) {
    bits = ~(<u32>i8x16.bitmask(i8x16.eq(v128.load(at), i8x16.splat(32)))) & 0xffff;
    if (bits != 0) break;
    at += 16;
  }
  return at + ctz(bits);
}

/** The words at STATE: depth, expect, next, hidden, then what comes of it: read, pending, written, masked. */
export function run(input: usize, bytes: u32, output: usize, room: u32): u32 {
  depth = load<u32>(STATE);
  expect = load<u32>(STATE + 4);
  next = load<u32>(STATE + 8);
  hidden = load<u32>(STATE + 12);
  const end = input + bytes;
  out = output;
  pending = input;
  masked = 0;
  // The search for what is no blank ends there.
  store<u8>(end, 0);
  let at = input;
  let status = DONE;
  while (at < end) {
    const byte = <u32>load<u8>(at);
    let to: usize = 0;
    switch (byte) {
      case 32:
        to = passBlanks(at + 1);
        break;
      case 10:
        if (expect == TOP_GAP) expect = TOP;
        to = at + 1;
        break;
      case 13:
      case 9:
        to = at + 1;
        break;
      case 30:
        if (depth == 0) to = at + 1;
        break;
      case 34: {
        // Nothing grows more: a card of 13 digits, an address of six bytes, an identity of eleven.
        const left = <u32>(out - output) + <u32>(at - pending) + 128;
        if (left > room) {
          status = FULL;
          break;
        }
        to = readString(at, end);
        if (to == 0) break;
        // What follows nearly always is not looked for anew.
        const following = <u32>load<u8>(to);
        if (following == 58 && expect == COLON) {
          expect = VALUE;
          to++;
        } else if (following == 44 && expect == COMMA_OR_END) {
          comma();
          to++;
        }
        break;
      }
      case 44:
        if (expect == COMMA_OR_END) {
          comma();
          to = at + 1;
        }
        break;
      case 58:
        if (expect == COLON) {
          expect = VALUE;
          to = at + 1;
        }
        break;
      case 123:
      case 91:
        if (<u32>(out - output) + <u32>(at - pending) + 128 > room) {
          status = FULL;
          break;
        }
        if (open(at, byte == 123)) to = at + 1;
        break;
      case 125:
      case 93:
        if (close(at, byte == 125)) to = at + 1;
        break;
      default:
        if (<u32>(out - output) + <u32>(at - pending) + 128 > room) {
          status = FULL;
          break;
        }
        to = readWord(at, end);
    }
    if (to == 0) {
      if (status == DONE) status = LEFT;
      break;
    }
    at = to;
  }
  if (at > end) at = end;
  // All in one piece, where that is all there is.
  if (status == DONE && masked > 0 && hidden == 0 && at > pending) {
    flush(at);
    pending = at;
  }
  store<u32>(STATE, depth);
  store<u32>(STATE + 4, expect);
  store<u32>(STATE + 8, next);
  store<u32>(STATE + 12, hidden);
  store<u32>(STATE + 16, <u32>(at - input));
  store<u32>(STATE + 20, <u32>(pending - input));
  store<u32>(STATE + 24, <u32>(out - output));
  store<u32>(STATE + 28, masked);
  return status;
}
