import { DETECTORS } from '@sallyport/model';
import { expect, test } from 'vitest';
import { createMaskKey } from './methods.ts';
import { detectText, maskDetected } from './text.ts';

const key = createMaskKey(Buffer.alloc(32, 3));

test('an error message keeps its words and loses its values', () => {
  const detect = [
    { detect: 'email', with: 'partial' },
    { detect: 'payment_card', with: 'redact' },
  ] as const;
  expect(maskDetected('Key (email)=(ada@example.com) exists; card 4111 1111 1111 1111', detect)).toEqual({
    text: 'Key (email)=(a***@e***.com) exists; card [redacted]',
    hits: 2,
  });
  expect(maskDetected('relation "x" does not exist', detect)).toEqual({ text: 'relation "x" does not exist', hits: 0 });
});

test('a text has no NULL, so that method reads as redacted', () => {
  expect(maskDetected('to ada@example.com', [{ detect: 'email', with: 'null' }]).text).toBe('to [redacted]');
});

test('a hash is keyed, and is redacted without the key', () => {
  expect(maskDetected('ada@example.com', [{ detect: 'email', with: 'hash' }]).text).toBe('[redacted]');
  expect(maskDetected('ada@example.com', [{ detect: 'email', with: 'hash' }], key).text).toMatch(/^h:[\w-]{16}$/);
});

test('where detectors overlap the whole stretch goes, by the strictest of their methods and never in part', () => {
  const detect = [
    { detect: 'email', with: 'partial' },
    { detect: 'phone', with: 'partial' },
  ] as const;
  expect(maskDetected('+493012345678@example.com', detect)).toEqual({ text: '[redacted]', hits: 1 });
});

test('of two masks for one detector the stricter holds', () => {
  const detect = [
    { detect: 'email', with: 'redact' },
    { detect: 'email', with: 'partial' },
  ] as const;
  expect(maskDetected('ada@example.com', detect).text).toBe('[redacted]');
});

test('what is masked is not seen again: a second pass changes nothing', () => {
  const detect = DETECTORS.map((one) => ({ detect: one, with: 'partial' as const }));
  const once = maskDetected(
    'a@b.com 4111111111111111 123-45-6789 DE89370400440532013000 10.0.0.1 +493012345678',
    detect,
    key,
  );
  expect(once.hits).toBe(6);
  expect(maskDetected(once.text, detect, key)).toEqual({ text: once.text, hits: 0 });
});

test('values are found where they stand behind characters of several bytes, in time that grows with the length', () => {
  const before = process.cpuUsage();
  const text = 'é 😀 a@b.co '.repeat(30_000);
  const spans = detectText(text, ['email']);
  const { user, system } = process.cpuUsage(before);
  expect(spans.length).toBe(30_000);
  expect(spans.every(({ start, end }) => text.slice(start, end) === 'a@b.co')).toBe(true);
  expect((user + system) / 1_000).toBeLessThan(1_500);
});
