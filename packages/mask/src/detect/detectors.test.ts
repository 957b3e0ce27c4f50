import type { Detector } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { detectText } from '../text.ts';

const seen = (detector: Detector, text: string): readonly string[] =>
  detectText(text, [detector]).map(({ start, end }) => text.slice(start, end));

/** Each text is seen whole, alone and between other words and signs. */
function sees(detector: Detector, values: readonly string[]): void {
  for (const value of values) {
    for (const [before, after] of [
      ['', ''],
      ['x ', ' y'],
      ['(', ')'],
      ['"', '",'],
      ['=', ';'],
      ['\n', '\n'],
      ['é', 'é'],
    ] as const) {
      // A letter beside an e-mail address belongs to it.
      if (detector === 'email' && before === 'é') continue;
      expect(seen(detector, before + value + after), before + value + after).toEqual([value]);
    }
  }
}
const seesNot = (detector: Detector, values: readonly string[]): void => {
  for (const value of values) expect(seen(detector, value), value).toEqual([]);
};

describe('payment cards', () => {
  test('are seen with a known issuer, its length and a Luhn digit, with spaces or dashes', () => {
    sees('payment_card', [
      '4111111111111111',
      '4111 1111 1111 1111',
      '4111-1111-1111-1111',
      '4222222222222',
      '5555555555554444',
      '2223003122003222',
      '3782 822463 10005',
      '30569309025904',
      '6011111111111117',
      '3530111333300000',
      '6304000000000000',
      '6200000000000005',
    ]);
    expect(seen('payment_card', '4111111111111111.00')).toEqual(['4111111111111111']);
    expect(seen('payment_card', '-4111111111111111')).toEqual(['4111111111111111']);
  });
  test('are seen beside other numbers of the same row of groups', () => {
    expect(seen('payment_card', 'exp 12-4111 1111 1111 1111-99')).toEqual(['4111 1111 1111 1111']);
    expect(seen('payment_card', '4111111111111111 5555555555554444')).toHaveLength(2);
  });
  test('are not seen in other long numbers', () => {
    seesNot('payment_card', [
      '4111111111111112',
      '1234567890123452',
      '9111111111111111',
      '0.4111111111111111',
      'a4111111111111111',
      '4111111111111111b',
      '4111_1111_1111_1111',
      '4111  1111  1111  1111',
      '411111111111',
      '41111111111111111111111',
      '5555 5555 5555 4445',
    ]);
  });
});

describe('e-mail addresses', () => {
  test('are seen with any usual local part and a dotted domain, non-ASCII letters included', () => {
    sees('email', [
      'ada@example.com',
      'ada.lovelace+tag@mail.example.co.uk',
      'x_%@a-b.io',
      'mülle@exämple.com',
      'i@xn--e1aybc.xn--p1ai',
      '用户@例子.公司',
    ]);
    expect(seen('email', 'Ada <ada@example.com>, bob@example.org.')).toEqual(['ada@example.com', 'bob@example.org']);
  });
  test('are not seen without a local part, a dot or a top-level label', () => {
    seesNot('email', [
      '@example.com',
      'ada@localhost',
      'ada@example.c',
      'ada@1.2.3.4',
      'ada@.com',
      '@',
      'a@',
      'a@b',
      'user @ example.com',
    ]);
  });
});

describe('national ids', () => {
  test('of the listed countries are seen by shape and check digit', () => {
    sees('national_id', [
      '123-45-6789',
      '912-70-1234',
      'AB123456C',
      'ab 12 34 56 c',
      '12345678Z',
      '12345678-Z',
      'X1234567L',
      '184127645108946',
      '1 84 12 76 451 089 46',
      '86095742719',
      'RSSMRA85T10A562S',
    ]);
  });
  test('that were never issued or fail their check are not seen', () => {
    seesNot('national_id', [
      '000-45-6789',
      '666-45-6789',
      '900-45-6789',
      '123-00-6789',
      '123-45-0000',
      '1-123-45-6789',
      '123-45-6789-1',
      'x123-45-6789',
      '123456789',
      'DB123456C',
      'BG123456C',
      'AB123456E',
      '12345678A',
      '184127645108947',
      '86095742718',
      '12345678901',
      'RSSMRA85T10A562T',
      '2026-11-21',
    ]);
  });
});

describe('IBANs', () => {
  test('are seen in any case, with and without spaces', () => {
    sees('iban', [
      'DE89370400440532013000',
      'DE89 3704 0044 0532 0130 00',
      'gb82west12345698765432',
      'NO9386011117947',
      'FR1420041010050500013M02606',
      'MT84MALT011000012345MTLCAST001S',
    ]);
  });
  test('are not seen with a wrong check, length or country', () => {
    seesNot('iban', [
      'DE88370400440532013000',
      'DE8937040044053201300',
      'DE893704004405320130001',
      'ZZ89370400440532013000',
      'xDE89370400440532013000',
    ]);
  });
});

describe('phone numbers', () => {
  test('are seen in international form', () => {
    sees('phone', ['+493012345678', '+49 30 12345-678', '+1 (555) 123-4567', '+44.20.7946.0958']);
  });
  test('are seen before other numbers', () => {
    expect(seen('phone', '+493012345678 4111 1111 1111 1111')).toEqual(['+493012345678']);
  });
  test('are not seen in national form, or too short or long', () => {
    seesNot('phone', ['030 12345678', '+4930', '+0301234567', '1+493012345678', '+1234567890123456', '(555) 123-4567']);
  });
});

describe('IP addresses', () => {
  test('are seen in every text form', () => {
    sees('ip_address', [
      '10.0.0.1',
      '255.255.255.255',
      '::1',
      '2001:db8::8a2e:370:7334',
      'fe80:0:0:0:1:2:3:4',
      '::ffff:192.0.2.1',
    ]);
    expect(seen('ip_address', 'http://10.0.0.1:8080/ and 10.0.0.2.')).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(seen('ip_address', '10.0.0.0/8')).toEqual(['10.0.0.0']);
  });
  test('are not seen in times, hardware addresses, versions of three parts and code', () => {
    seesNot('ip_address', [
      '12:30:45',
      '08:00:2b:01:02:03',
      '1.2.3',
      '256.1.1.1',
      '01.2.3.4',
      '1.2.3.4.5',
      'a::b',
      "'x'::bad",
      '::',
    ]);
  });
});

describe('keys and tokens', () => {
  test('that name their kind are seen', () => {
    sees('secret_key', [
      'AKIAIOSFODNN7EXAMPLE',
      `ghp_${'a1B2'.repeat(9)}`,
      `github_pat_${'a1_B2'.repeat(8)}`,
      'xoxb-123456789012-abcdefGHIJ',
      `sk_${'live'}_4eC39HqLyjWDarjtT1zdp7dc`,
      `sk-ant-${'api03-aB'.repeat(5)}`,
      `AIza${'Sy9-'.repeat(8)}abc`,
    ]);
    const pem = '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----';
    expect(seen('secret_key', `a ${pem} b`)).toEqual([pem]);
    expect(seen('secret_key', 'x -----BEGIN PRIVATE KEY-----\nMHcC')).toEqual(['-----BEGIN PRIVATE KEY-----\nMHcC']);
  });
  test('are not guessed from text that only resembles them', () => {
    seesNot('secret_key', [
      'AKIA',
      'AKIAIOSFODNN7EXAMPL',
      'xAKIAIOSFODNN7EXAMPLE',
      'sk-short',
      'ghp_',
      '-----BEGIN PUBLIC KEY-----\nabc',
    ]);
  });
  test('signed and encrypted tokens are seen by their header', () => {
    const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
    sees('jwt', [jwt, 'eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.', 'eyJhbGciOiJSU0EifQ.a.b.c.d']);
    seesNot('jwt', ['eyJ', 'eyJhbGciOiJIUzI1NiJ9', 'eyJhbGciOiJIUzI1NiJ9.', 'a.b.c']);
  });
});

test('offsets count as JavaScript does, before and after characters of several bytes', () => {
  const text = '漢字 ☃ 4111111111111111 😀 ada@example.com';
  expect(detectText(text, ['payment_card', 'email']).map(({ start, end }) => text.slice(start, end))).toEqual([
    '4111111111111111',
    'ada@example.com',
  ]);
});

test('adversarial text of a megabyte is read in linear time by every detector', () => {
  const units = [
    '@',
    'a@',
    'a@b.',
    '1 ',
    '1-',
    '4111 ',
    '4',
    '+1',
    '+1(',
    'eyJ',
    'eyJa.',
    'eyJaaaaaaaa.',
    'sk-',
    'AKIA',
    ':',
    '1:',
    '::',
    '1.',
    '-----BEGIN ',
    '-----BEGIN PRIVATE',
    'DE89',
    'DE89 ',
    'AB12 ',
    '2 ',
    '\\',
    '\\n',
    '\\u0040',
    'x.y@',
  ];
  for (const unit of units) {
    const text = unit.repeat(Math.ceil(200_000 / unit.length));
    const started = performance.now();
    detectText(text, ['payment_card', 'email', 'national_id', 'iban', 'phone', 'ip_address', 'secret_key', 'jwt']);
    expect(performance.now() - started, unit).toBeLessThan(1_500);
  }
});
