import { expect, test } from 'vitest';
import { decodeFrames, encodeFrame } from './recording-frame.ts';
import { readVarint, varint, varintSize } from './varint.ts';

const EDGES = [7, 14, 21, 28, 31, 32, 35, 42, 49].flatMap((bits) => [2 ** bits - 1, 2 ** bits]);

test.each([0, 1, ...EDGES, Number.MAX_SAFE_INTEGER])('the number %d is read as it was written', (value) => {
  const bytes = Buffer.from(varint(value));
  const at = { offset: 0 };
  expect(readVarint(bytes, at)).toBe(value);
  expect(at.offset).toBe(bytes.length);
  expect(varintSize(value)).toBe(bytes.length);
});

test.each([-1, 1.5, Number.NaN, 2 ** 53])('the number %d is refused', (value) => {
  expect(() => varintSize(value)).toThrow(expect.objectContaining({ code: 'trail.broken' }));
});

test.each(['', 'é', `${'a'.repeat(126)}é`, 'a'.repeat(127), 'a'.repeat(128), `${'a'.repeat(127)}é`, '\u{1f600}'])(
  'the text %j stands in a frame in UTF-8',
  (text) => {
    const statement = { kind: 'statement', atMs: 5, number: 300, text } as const;
    const columns = { kind: 'columns', atMs: 6, number: 300, names: ['id', text] } as const;
    const bytes = Buffer.concat([encodeFrame(statement, 0), encodeFrame(columns, 0)]);
    expect([...decodeFrames(bytes, 0)]).toEqual([statement, columns]);
  },
);
