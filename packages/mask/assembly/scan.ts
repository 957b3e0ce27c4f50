/**
 * How far a stream can be passed over: noise by blocks, runs in what is no text, and text by the automaton's table that
 * src/stream/prefilter.ts has written here. What no find can stand in is skipped many bytes at once, and lines are walked four
 * side by side. src/stream/scan.ts says the same, byte by byte. Refuses to decide: what stops the automaton is told.
 */
import { BLOCK, isNoText, noiseBlocks, prepareNoise, RUN } from './noise';

// The same addresses: src/stream/scan-kernel.ts.
const RESULT_AT: usize = 512;
/** Of each byte its class, twice: where its entry of two bytes is in a state's row. */
const CLASS_AT: usize = 1024;
/** 1 where the end of a line leaves nothing open, whatever stood in it. */
const LINES_AT: usize = 520;
const CALM_AT: usize = 8192;
const TABLE_AT: usize = 65_536;

/** Entries of the table from here on are no states. */
const STOP: u32 = 0xf000;
/** All of it was passed over. */
const END: u32 = 0;
/** More of the input has to be in memory to go on. */
const MORE: u32 = 1;
/** What begins later than so many bytes before the end of calm bytes is all that counts behind them. */
const REWALK: usize = 8;
const SKIP_MIN: usize = 24;
/** So many blocks of text are walked as one. */
const STRETCH: usize = 32 * <usize>BLOCK;
/** Fewer bytes are not worth it to look for lines in them. */
const LANES_MIN: usize = 1024;
/** Where bytes are calm for so long, they are passed over faster than four lines side by side. */
const CALM_MIN: usize = 64;

/** Up to here all bytes are judged alike: text, or none. */
let block: usize = 0;
let isBinary: bool = false;
/** Up to here something was found already: there may be more, and it is told in order. */
let single: usize = 0;

/** Called once, before anything else. */
export function prepare(): void {
  prepareNoise();
}

/** Other bytes are in memory. */
export function begin(): void {
  block = 0;
  single = 0;
}

function isRun(byte: u32): bool {
  return byte == 0 || byte - 0x20 < 0x5f;
}

function entry(state: u32, byte: u32): u32 {
  return load<u16>(((<usize>state) << 8) + <usize>load<u8>(CLASS_AT + byte), TABLE_AT);
}

/** Bytes without which nothing ends that a calm automaton looks for: digits, `:`, `@`, what terminals act upon or ignore. */
function loudBits(at: usize): u32 {
  const v = v128.load(at);
  let loud = i8x16.le_u(i8x16.sub(v, i8x16.splat(0x30)), i8x16.splat(10));
  loud = v128.or(loud, i8x16.eq(v, i8x16.splat(0x40)));
  loud = v128.or(loud, i8x16.eq(v, i8x16.splat(0x7f)));
  loud = v128.or(loud, i8x16.eq(v, i8x16.splat(<i8>0xc2)));
  // Tab and line feed are the only controls that are shown as what they are.
  const control = i8x16.lt_u(v, i8x16.splat(0x20));
  const shown = v128.or(i8x16.eq(v, i8x16.splat(9)), i8x16.eq(v, i8x16.splat(10)));
  loud = v128.or(loud, v128.andnot(control, shown));
  return <u32>i8x16.bitmask(loud);
}

/** Where the first byte from `at` on stands that is not calm, or `to`. */
function calmUntil(from: usize, to: usize): usize {
  let at = from;
  while (at + 16 <= to) {
    const bits = loudBits(at);
    if (bits != 0) return at + ctz(bits);
    at += 16;
  }
  return at;
}

/** Of 64 bytes, which are in runs. */
function runBits(at: usize): u64 {
  return (
    <u64>runBits16(at) |
    ((<u64>runBits16(at + 16)) << 16) |
    ((<u64>runBits16(at + 32)) << 32) |
    ((<u64>runBits16(at + 48)) << 48)
  );
}

function runBits16(at: usize): u32 {
  const v = v128.load(at);
  const printable = i8x16.lt_u(i8x16.sub(v, i8x16.splat(0x20)), i8x16.splat(0x5f));
  return <u32>i8x16.bitmask(v128.or(printable, i8x16.eq(v, i8x16.splat(0))));
}

/** The next run that is long enough or goes on behind `to`. @param from in no run */
function nextRun(from: usize, to: usize): usize {
  let at = from;
  while (at + 64 <= to) {
    const bits = runBits(at);
    // RUN is nine.
    let long = bits & (bits >> 1);
    long &= long >> 2;
    long &= long >> 4;
    long &= bits >> 8;
    if (long != 0) return at + <usize>ctz(long);
    // What ends these may go on.
    at += 64 - <usize>clz(~bits);
  }
  while (at < to) {
    while (at < to && !isRun(load<u8>(at))) at++;
    const start = at;
    const enough = min(start + RUN, to);
    while (at < enough && isRun(load<u8>(at))) at++;
    if (at == enough) return start;
  }
  return to;
}

/** Behind the first line's end from `from` on, or `to`. */
function lineAfter(from: usize, to: usize): usize {
  let at = from;
  while (at + 16 <= to) {
    const bits = i8x16.bitmask(i8x16.eq(v128.load(at), i8x16.splat(10)));
    if (bits != 0) return at + ctz(bits) + 1;
    at += 16;
  }
  while (at < to) if (load<u8>(at++) == 10) return at;
  return to;
}

/** Where lines that are walked side by side have got to: the automaton waits for memory, so four wait at once. */
let atA: usize = 0;
let stateA: u32 = 0;
let atB: usize = 0;
let stateB: u32 = 0;
let atC: usize = 0;
let stateC: u32 = 0;
let atD: usize = 0;
let stateD: u32 = 0;

/** @returns false where one of the four stopped; they stand before that byte then */
function walkLanes(bytes: usize): bool {
  let a: u32 = stateA;
  let b: u32 = stateB;
  let c: u32 = stateC;
  let d: u32 = stateD;
  let at: usize = 0;
  let isWhole = true;
  for (; at < bytes; at++) {
    const nextA: u32 = entry(a, load<u8>(atA + at));
    const nextB: u32 = entry(b, load<u8>(atB + at));
    const nextC: u32 = entry(c, load<u8>(atC + at));
    const nextD: u32 = entry(d, load<u8>(atD + at));
    // States are smaller than any bit that what is no state has.
    if ((nextA | nextB | nextC | nextD) >= STOP) {
      isWhole = false;
      break;
    }
    a = nextA;
    b = nextB;
    c = nextC;
    d = nextD;
  }
  atA += at;
  atB += at;
  atC += at;
  atD += at;
  stateA = a;
  stateB = b;
  stateC = c;
  stateD = d;
  return isWhole;
}

function stopped(at: usize, state: u32, why: u32): u32 {
  store<u32>(RESULT_AT, <u32>at);
  store<u32>(RESULT_AT, state, 4);
  return why;
}

/**
 * @param isLast nothing of the input is behind `end`
 * @returns what the table said at the place where it stopped, END or MORE; place and state at RESULT_AT
 */
export function scan(from: usize, end: usize, begun: u32, isLast: bool): u32 {
  let at = from;
  let state = begun;
  while (at < end) {
    if (at >= block) {
      if (!isLast && end - at < BLOCK) return stopped(at, state, MORE);
      if (end - at >= BLOCK && !isRun(load<u8>(at))) {
        let to = at + <usize>noiseBlocks(at, <u32>(end - at)) * BLOCK;
        // A run that goes on behind belongs to what is read.
        while (to > at && isRun(load<u8>(to - 1))) to -= BLOCK;
        if (to > at) {
          at = to;
          state = 0;
          if (at == end || (!isLast && end - at < BLOCK)) continue;
        }
      }
      block = min(end, at + BLOCK);
      isBinary = block - at == BLOCK && isNoText(at);
      if (!isBinary) {
        const most = min(end, at + STRETCH);
        while (block + BLOCK <= most && !isNoText(block)) block += BLOCK;
      }
    }
    if (isBinary) {
      if (!isRun(load<u8>(at))) {
        at = nextRun(at, block);
        state = 0;
      }
      for (; at < block; at++) {
        const byte = load<u8>(at);
        if (!isRun(byte)) break;
        const next: u32 = entry(state, byte);
        if (next >= STOP) return stopped(at, state, next);
        state = next;
      }
      continue;
    }
    while (at < block) {
      if (
        block - at >= LANES_MIN &&
        at >= single &&
        load<u8>(LINES_AT) != 0 &&
        calmUntil(at, at + CALM_MIN) < at + CALM_MIN
      ) {
        const quarter = (block - at) / 4;
        atA = at;
        stateA = state;
        atB = lineAfter(at + quarter, block);
        atC = lineAfter(max(atB, at + 2 * quarter), block);
        atD = lineAfter(max(atC, at + 3 * quarter), block);
        stateB = stateC = stateD = 0;
        const endA = atB;
        const endB = atC;
        const endC = atD;
        const bytes = min(min(endA - atA, endB - atB), min(endC - atC, block - atD));
        single = block;
        // Too few lines end here.
        if (bytes == 0) continue;
        const isWhole = walkLanes(bytes);
        at = atA;
        state = stateA;
        if (!isWhole) continue;
        // What each of them has left, one behind another.
        for (; at < endA; at++) {
          const next: u32 = entry(state, load<u8>(at));
          if (next >= STOP) return stopped(at, state, next);
          state = next;
        }
        at = atB;
        state = stateB;
        for (; at < endB; at++) {
          const next: u32 = entry(state, load<u8>(at));
          if (next >= STOP) return stopped(at, state, next);
          state = next;
        }
        at = atC;
        state = stateC;
        for (; at < endC; at++) {
          const next: u32 = entry(state, load<u8>(at));
          if (next >= STOP) return stopped(at, state, next);
          state = next;
        }
        at = atD;
        state = stateD;
        continue;
      }
      let to = at + 1;
      if (load<u8>(CALM_AT + state) != 0) {
        const calm = calmUntil(at, block);
        if (calm - at >= SKIP_MIN) {
          at = calm - REWALK;
          state = 0;
        }
        to = calm + 16 > block ? block : calm + 1;
      }
      for (; at < to; at++) {
        const next: u32 = entry(state, load<u8>(at));
        if (next >= STOP) return stopped(at, state, next);
        state = next;
      }
    }
  }
  return stopped(at, state, isLast ? END : MORE);
}
