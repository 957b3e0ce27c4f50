import { expect, test } from 'vitest';
import { foundAcross, maskLines } from './message-text.ts';

const masks = { plan: undefined, detect: [{ detect: 'email', with: 'redact' }] } as const;
const shown = (text: string): string => Buffer.from(maskLines(Buffer.from(text), masks)!).toString();

test('a value is masked in its line, and one over two lines hides them all', () => {
  expect(shown('to ada@example.com\nand more')).toBe('to [redacted]\nand more');
  expect(shown('to ada@exam\nple.com and more')).toBe('[redacted]');
  expect(shown('é ada@example.com\né bob@exam\nple.com')).toBe('[redacted]');
});

test('of texts behind each other those are named that share a value', () => {
  const across = (...texts: string[]) =>
    [...foundAcross(texts, [{ detect: 'payment_card', with: 'redact' }])].sort((a, b) => a - b);
  expect(across('card', 'of 4111 1111', '1111 1111', 'end')).toEqual([1, 2]);
  expect(across('4111', '1111', '1111', '1111')).toEqual([0, 1, 2, 3]);
  expect(across('4111 1111 1111 1111', 'x')).toEqual([]);
  expect(across('4111 1111', 'x', '1111 1111')).toEqual([]);
});

test('a message of many lines is read in time that grows with its length', () => {
  const before = process.cpuUsage();
  expect(shown('é a@b.co;\n'.repeat(40_000))).toBe('é [redacted];\n'.repeat(40_000));
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1_000).toBeLessThan(2_500);
});
