import { expect, test } from 'vitest';
import { encodeChunk, lentChunk } from './write.ts';

test.each([1, 9, 4_096, 65_536, 163_800])('a chunk of %i bytes in lent memory reads as one in its own', (size) => {
  const bytes = Buffer.alloc(size, 'x');
  expect(lentChunk(bytes)?.equals(encodeChunk(bytes))).toBe(true);
});

test('nothing, and what is longer than the lent memory, is not lent', () => {
  expect(lentChunk(Buffer.alloc(0))).toBeUndefined();
  expect(lentChunk(Buffer.alloc(163_840))).toBeUndefined();
});
