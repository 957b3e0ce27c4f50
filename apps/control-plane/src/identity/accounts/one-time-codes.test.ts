/** One-time codes against RFC 6238's own vectors, and what is not one. */
import { expect, test } from 'vitest';
import { base32, matchingStep, newRecoveryCodes, recoveryHash, stepOf, totpAt, totpUri } from './one-time-codes.ts';

const SECRET = Buffer.from('12345678901234567890');

// RFC 6238 appendix B, SHA-1, the last six of eight digits.
test.each([
  [59, '287082'],
  [1_111_111_109, '081804'],
  [1_111_111_111, '050471'],
  [1_234_567_890, '005924'],
  [2_000_000_000, '279037'],
  [20_000_000_000, '353130'],
])('at %i s the code is %s', (seconds, code) => {
  expect(totpAt(SECRET, stepOf(seconds * 1000))).toBe(code);
});

test('a step before and after is taken, two are not, and anything but six digits never is', () => {
  const at = 1_800_000_000_000;
  const step = stepOf(at);
  for (const [off, found] of [
    [-2, undefined],
    [-1, step - 1],
    [0, step],
    [1, step + 1],
    [2, undefined],
  ] as const)
    expect(matchingStep(SECRET, totpAt(SECRET, step + off), at)).toBe(found);
  for (const text of ['', '12345', '1234567', ' 12345', '------', '１２３４５６'])
    expect(matchingStep(SECRET, text, at)).toBeUndefined();
});

test('base32 is that of RFC 4648', () => {
  for (const [text, encoded] of [
    ['', ''],
    ['f', 'MY'],
    ['fo', 'MZXQ'],
    ['foob', 'MZXW6YQ'],
    ['foobar', 'MZXW6YTBOI'],
  ] as const)
    expect(base32(Buffer.from(text))).toBe(encoded);
  expect(totpUri(SECRET, 'a b')).toBe(
    'otpauth://totp/Sallyport:a%20b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Sallyport&algorithm=SHA1&digits=6&period=30',
  );
});

test('recovery codes are ten different ones, read the same however they are typed', () => {
  const codes = newRecoveryCodes();
  expect(new Set(codes).size).toBe(10);
  expect(recoveryHash(codes[0]!.toLowerCase().replaceAll('-', ''))).toEqual(recoveryHash(codes[0]!));
});
