import { createCipheriv } from 'node:crypto';
import { expect, test } from 'vitest';
import { BLOCK_BYTES, isBinaryBlock, RUN } from './binary.ts';
import { Noise } from './noise.ts';

/** Byte by byte, what `Noise` says with WebAssembly. */
function skipped(input: Uint8Array, at: number): number {
  if (RUN[input[at]!] === 1) return at;
  let to = at;
  while (to + BLOCK_BYTES <= input.length && isBinaryBlock(input, to)) to += BLOCK_BYTES;
  for (let from = at, run = 0; from < to; from++) {
    run = RUN[input[from]!] === 1 ? run + 1 : 0;
    if (run === 9) to = at + Math.floor((from - 8 - at) / BLOCK_BYTES) * BLOCK_BYTES;
  }
  while (to > at && RUN[input[to - 1]!] === 1) to -= BLOCK_BYTES;
  return to;
}

test('blocks are passed over exactly where nothing can stand in them, wherever text and runs begin', () => {
  const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(40_000));
  const pieces = [
    '4111111111111111',
    'ada@x.io',
    'ä'.repeat(20),
    '\u0000a\u0000b\u0000c\u0000d',
    '123456789',
    'x\ty'.repeat(12),
  ];
  const lengths = new Set<number>();
  for (let round = 0; round < 400; round++) {
    const input = Buffer.from(noise.subarray(round * 37, round * 37 + 6_000));
    const piece = pieces[round % pieces.length]!;
    input.set(Buffer.from(piece), 200 + ((round * 71) % 5_000));
    for (const at of [0, 1, 250, 300]) {
      const to = new Noise(input).skip(at);
      expect(to, `${round} from ${at}`).toBe(skipped(input, at));
      lengths.add(to - at);
    }
  }
  expect(lengths.size).toBeGreaterThan(10);
});
