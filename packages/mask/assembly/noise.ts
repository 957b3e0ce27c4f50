/**
 * Which blocks of a stream are noise: nowhere in them 32 bytes of text, and no run of printable ASCII (with NULs, as UTF-16
 * has) that is long enough to be a find among bytes that are no text. src/stream/binary.ts says the same, byte by byte.
 * Refuses to look at anything else: what is no noise is read by the automaton.
 */

export const BLOCK: u32 = 256;
const NEAR: u32 = 32;
export const RUN: u32 = 9;

/**
 * Not zero for bytes that are text nowhere: controls but those that terminals use, DEL, and what UTF-8 never has. A byte is
 * one when both its halves have the same bit: 1 for 0x00 to 0x0f, 2 for 0x10 to 0x1f, 4 for 0x7f, 8 for 0xc0, 16 for 0xf0.
 */
function neverText(v: v128): v128 {
  const low = i8x16(11, 11, 3, 3, 3, 19, 19, 18, 18, 18, 18, 17, 18, 18, 18, 22);
  const high = i8x16(1, 2, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 8, 0, 0, 16);
  return v128.and(
    i8x16.swizzle(low, v128.and(v, i8x16.splat(15))),
    i8x16.swizzle(high, v128.and(i16x8.shr_u(v, 4), i8x16.splat(15))),
  );
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
  for (let near: u32 = 0; near < BLOCK; near += NEAR) {
    const at = start + near;
    const bad = v128.or(neverText(v128.load(at)), neverText(v128.load(at + 16)));
    if (!v128.any_true(bad) && isText(at)) return false;
  }
  return true;
}

function runBits(at: usize): u64 {
  const v = v128.load(at);
  const printable = i8x16.lt_u(i8x16.sub(v, i8x16.splat(0x20)), i8x16.splat(0x5f));
  return <u64>(<u32>i8x16.bitmask(v128.or(printable, i8x16.eq(v, i8x16.splat(0)))));
}

/** @returns how many blocks from the beginning are noise; a run that goes on into a block counts for the one it began in, too */
export function noiseBlocks(from: usize, bytes: u32): u32 {
  const blocks = bytes / BLOCK;
  let carry: u32 = 0;
  for (let block: u32 = 0; block < blocks; block++) {
    const start = from + block * BLOCK;
    if (!isNoText(start)) return block;
    for (let word: u32 = 0; word < BLOCK; word += 64) {
      const at = start + word;
      const bits = runBits(at) | (runBits(at + 16) << 16) | (runBits(at + 32) << 32) | (runBits(at + 48) << 48);
      const lead: u32 = bits == u64.MAX_VALUE ? 64 : <u32>ctz(~bits);
      if (carry + lead >= RUN) return word == 0 && carry > 0 ? block - 1 : block;
      let long = bits & (bits >> 1);
      long &= long >> 2;
      long &= long >> 4;
      if ((long & (bits >> 8)) != 0) return block;
      carry = <u32>clz(~bits);
    }
  }
  return blocks;
}
