import { expect, test } from 'vitest';
import { Lanes } from './lanes.ts';

/** Work that ends when it is told to. */
function works(lanes: Lanes) {
  const begun: string[] = [];
  const ends = new Map<string, { ok: () => void; fail: () => void }>();
  const go = (key: string, name: string): Promise<string> =>
    lanes.run(key, async () => {
      begun.push(name);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      ends.set(name, { ok: resolve, fail: () => reject(new Error(name)) });
      await promise;
      return name;
    });
  return { begun, ends, go };
}

test('so much of one lane runs at once, the rest in the order it came, and other lanes go on', async () => {
  const { begun, ends, go } = works(new Lanes(2));
  const [a, b, c, d, other] = [go('x', 'a'), go('x', 'b'), go('x', 'c'), go('x', 'd'), go('y', 'other')];
  expect(begun).toEqual(['a', 'b', 'other']);
  ends.get('b')!.ok();
  expect(await b).toBe('b');
  await expect.poll(() => begun).toEqual(['a', 'b', 'other', 'c']);
  for (const name of ['a', 'c', 'other']) ends.get(name)!.ok();
  await Promise.all([a, c, other]);
  await expect.poll(() => begun.at(-1)).toBe('d');
  ends.get('d')!.ok();
  expect(await d).toBe('d');
  // Empty again, and as wide as before.
  void go('x', 'e');
  void go('x', 'f');
  void go('x', 'g');
  expect(begun.slice(-2)).toEqual(['e', 'f']);
});

test('work that fails is its caller’s, and lets the next one in', async () => {
  const { begun, ends, go } = works(new Lanes(1));
  const failing = go('x', 'a');
  const next = go('x', 'b');
  ends.get('a')!.fail();
  await expect(failing).rejects.toThrow('a');
  await expect.poll(() => begun).toEqual(['a', 'b']);
  ends.get('b')!.ok();
  expect(await next).toBe('b');
});
