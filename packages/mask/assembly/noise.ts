/**
 * Which blocks of a stream are noise: nowhere in them 32 bytes of text, and no run of printable ASCII (with NULs, as UTF-16
 * has) that is long enough to be a find among bytes that are no text. src/stream/binary.ts says the same, byte by byte.
 * Refuses to look at anything else: what is no noise is read by the automaton.
 */

export const BLOCK: u32 = 256;
const NEAR: u32 = 32;
export const RUN: u32 = 9;

/**
 * What a byte is, by its halves: it has the bits that both have. Below 32: text nowhere, that is controls but those that
 * terminals use (1 for 0x00 to 0x0f, 2 for 0x10 to 0x1f), DEL (4), and what UTF-8 never has (8 for 0xc0, 16 for 0xf0). From
 * 32 on: of a run, that is printable (32, and 64 where the low half is 0x0f), and NUL (128).
 */
const LOW_AT: usize = 560;
const HIGH_AT: usize = 576;
const HALF_AT: usize = 592;
const NEVER_AT: usize = 608;
const IN_RUN_AT: usize = 624;

/** In memory, since a constant is made anew wherever it is used, and what was loaded stays in a register. Called once. */
export function prepareNoise(): void {
  v128.store(LOW_AT, i8x16(<i8>171, 43, 35, 35, 35, 51, 51, 50, 50, 50, 50, 49, 50, 50, 50, 86));
  v128.store(HIGH_AT, i8x16(<i8>129, 2, 96, 96, 96, 96, 96, 36, 0, 0, 0, 0, 8, 0, 0, 16));
  v128.store(HALF_AT, i8x16.splat(15));
  v128.store(NEVER_AT, i8x16.splat(31));
  v128.store(IN_RUN_AT, i8x16.splat(<i8>224));
}

/** A character that is cut by either end is taken for one. */
function isText(from: usize): bool {
  const to = from + NEAR;
  if (i8x16.bitmask(v128.or(v128.load(from), v128.load(from + 16))) == 0) return true;
  let at = from;
  while (at < from + 3 && (load<u8>(at) & 0xc0) == 0x80) at++;
  while (at < to) {
    const byte = load<u8>(at);
    if (byte < 0x80) {
      at++;
      continue;
    }
    const more: usize =
      byte >= 0xc2 && byte <= 0xdf ? 1 : byte >= 0xe0 && byte <= 0xef ? 2 : byte >= 0xf0 && byte <= 0xf4 ? 3 : 0;
    if (more == 0) return false;
    for (let i: usize = 1; i <= more && at + i < to; i++) if ((load<u8>(at + i) & 0xc0) != 0x80) return false;
    at += more + 1;
  }
  return true;
}

/** Nowhere in the block are 32 bytes text. */
export function isNoText(start: usize): bool {
  const low = v128.load(LOW_AT);
  const high = v128.load(HIGH_AT);
  const half = v128.load(HALF_AT);
  const never = v128.load(NEVER_AT);
  for (let near: u32 = 0; near < BLOCK; near += NEAR) {
    const at = start + near;
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const kinds = v128.or(
      v128.and(i8x16.swizzle(low, v128.and(a, half)), i8x16.swizzle(high, v128.and(i16x8.shr_u(a, 4), half))),
      v128.and(i8x16.swizzle(low, v128.and(b, half)), i8x16.swizzle(high, v128.and(i16x8.shr_u(b, 4), half))),
    );
    if (!v128.any_true(v128.and(kinds, never)) && isText(at)) return false;
  }
  return true;
}

/** @returns how many blocks from the beginning are noise; a run that goes on into a block counts for the one it began in, too */
export function noiseBlocks(from: usize, bytes: u32): u32 {
  const low = v128.load(LOW_AT);
  const high = v128.load(HIGH_AT);
  const half = v128.load(HALF_AT);
  const never = v128.load(NEVER_AT);
  const inRun = v128.load(IN_RUN_AT);
  const none = i8x16.splat(0);
  const blocks = bytes / BLOCK;
  let carry: u32 = 0;
  for (let block: u32 = 0; block < blocks; block++) {
    const start = from + block * BLOCK;
    for (let word: u32 = 0; word < BLOCK; word += 64) {
      const at = start + word;
      let v = v128.load(at);
      const a = v128.and(i8x16.swizzle(low, v128.and(v, half)), i8x16.swizzle(high, v128.and(i16x8.shr_u(v, 4), half)));
      v = v128.load(at, 16);
      const b = v128.and(i8x16.swizzle(low, v128.and(v, half)), i8x16.swizzle(high, v128.and(i16x8.shr_u(v, 4), half)));
      if (!v128.any_true(v128.and(v128.or(a, b), never)) && isText(at)) return block;
      v = v128.load(at, 32);
      const c = v128.and(i8x16.swizzle(low, v128.and(v, half)), i8x16.swizzle(high, v128.and(i16x8.shr_u(v, 4), half)));
      v = v128.load(at, 48);
      const d = v128.and(i8x16.swizzle(low, v128.and(v, half)), i8x16.swizzle(high, v128.and(i16x8.shr_u(v, 4), half)));
      if (!v128.any_true(v128.and(v128.or(c, d), never)) && isText(at + NEAR)) return block;
      // Of each byte, whether it is in no run.
      const apart =
        <u64>(<u32>i8x16.bitmask(i8x16.eq(v128.and(a, inRun), none))) |
        ((<u64>(<u32>i8x16.bitmask(i8x16.eq(v128.and(b, inRun), none)))) << 16) |
        ((<u64>(<u32>i8x16.bitmask(i8x16.eq(v128.and(c, inRun), none)))) << 32) |
        ((<u64>(<u32>i8x16.bitmask(i8x16.eq(v128.and(d, inRun), none)))) << 48);
      const lead: u32 = apart == 0 ? 64 : <u32>ctz(apart);
      if (carry + lead >= RUN) return word == 0 && carry > 0 ? block - 1 : block;
      const bits = ~apart;
      let long = bits & (bits >> 1);
      long &= long >> 2;
      long &= long >> 4;
      if ((long & (bits >> 8)) != 0) return block;
      carry = <u32>clz(apart);
    }
  }
  return blocks;
}
