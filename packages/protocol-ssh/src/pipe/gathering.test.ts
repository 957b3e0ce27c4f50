import { expect, test } from 'vitest';
import { Gathering } from './gathering.ts';

const piece = (letter: string, size = 10_000): Buffer => Buffer.alloc(size, letter);

/** What was taken, as letter and size, with `!` for stderr. */
function taker(onTake?: (bytes: Buffer) => void) {
  const taken: string[] = [];
  const broken: unknown[] = [];
  const gathering = new Gathering(
    (bytes, isStderr) => {
      const letters = [...new Set(bytes.toString('latin1'))].join('');
      taken.push(`${letters}${bytes.length}${isStderr ? '!' : ''}`);
      onTake?.(bytes);
    },
    (error) => void broken.push(error),
  );
  return { taken, broken, gathering };
}

test('pieces of one turn are taken side by side, before anything else runs', async () => {
  const { taken, gathering } = taker();
  for (const letter of 'abc') gathering.add(piece(letter), false);
  gathering.add(piece('d', 10), false);
  expect(taken).toEqual([]);
  await Promise.resolve();
  expect(taken).toEqual(['abcd30010']);
  gathering.add(piece('e'), false);
  gathering.flush();
  gathering.flush();
  expect(taken).toEqual(['abcd30010', 'e10000']);
});

test('streams keep their order among each other, and a small piece alone does not wait', async () => {
  const { taken, gathering } = taker();
  gathering.add(piece('a', 20), false);
  expect(taken).toEqual(['a20']);
  gathering.add(piece('b'), false);
  gathering.add(piece('c', 30), true);
  gathering.add(piece('d'), true);
  gathering.add(piece('e'), false);
  await Promise.resolve();
  expect(taken).toEqual(['a20', 'b10000', 'c30!', 'd10000!', 'e10000']);
});

test('more than there is room for is taken in parts, and what is larger than the room at once', async () => {
  const { taken, gathering } = taker();
  for (let i = 0; i < 5; i++) gathering.add(piece('a', 32_000), false);
  gathering.add(piece('b', 200_000), false);
  await Promise.resolve();
  expect(taken).toEqual(['a128000', 'a32000', 'b200000']);
});

test('another one’s bytes go before, and what taking brings here changes nothing that is taken', async () => {
  const inner = taker();
  const outer = taker((bytes) => {
    const before = Buffer.from(bytes);
    inner.gathering.add(piece('x'), false);
    inner.gathering.flush();
    expect(bytes.equals(before)).toBe(true);
  });
  inner.gathering.add(piece('w'), false);
  outer.gathering.add(piece('a'), false);
  outer.gathering.add(piece('b'), false);
  await Promise.resolve();
  expect(inner.taken).toEqual(['w10000', 'x10000']);
  expect(outer.taken).toEqual(['ab20000']);
});

test('what taking throws when nobody called is told', async () => {
  const { broken, gathering } = taker(() => {
    throw new Error('no');
  });
  gathering.add(piece('a'), false);
  await Promise.resolve();
  expect(broken).toHaveLength(1);
});
