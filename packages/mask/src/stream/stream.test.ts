import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { LIMITS } from '@sallyport/core';
import { DETECTORS, type DetectMask, type Detector } from '@sallyport/model';
import { expect, test } from 'vitest';
import { maskDetected } from '../text.ts';
import { createStreamMasker } from './stream.ts';

const ALL: readonly DetectMask[] = DETECTORS.map((detect) => ({ detect, with: 'redact' as const }));
const bytes = (text: string): Buffer => Buffer.from(text, 'utf8');

/** One value of each detector; none of it may be shown, however it is cut. */
const VALUES: { readonly [K in Detector]: readonly string[] } = {
  payment_card: ['4111111111111111', '4111 1111 1111 1111', '5500-0000-0000-0004', '371449635398431'],
  email: ['ada.lovelace@example.com', 'grüße@exämple.org'],
  national_id: ['078-05-1120', 'AB 12 34 56 C', '12345678Z', '86095742719', 'RSSMRA85T10A562S'],
  iban: ['DE89370400440532013000', 'GB82 WEST 1234 5698 7654 32'],
  phone: ['+49 (30) 1234-5678', '+14155552671'],
  ip_address: ['10.20.30.40', '2001:db8::8a2e:370:7334'],
  secret_key: ['AKIAIOSFODNN7EXAMPLE', `ghp_${'a1B2'.repeat(9)}`, `sk-${'x9'.repeat(15)}`],
  jwt: [`eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.${'aB3_'.repeat(8)}`],
};
const EVERY = Object.entries(VALUES).flatMap(([kind, values]) => values.map((value) => ({ kind, value })));

/** @param cuts where the stream is cut into pushes */
function masked(input: Buffer, cuts: readonly number[] = [], detect = ALL): string {
  const masker = createStreamMasker(detect);
  const parts: Buffer[] = [];
  let from = 0;
  for (const cut of [...cuts, input.length]) {
    parts.push(Buffer.from(masker.push(input.subarray(from, cut))));
    from = cut;
  }
  parts.push(Buffer.from(masker.flush()));
  expect(masker.heldBytes).toBe(0);
  return Buffer.concat(parts).toString('utf8');
}
/** What is left of a text when a terminal shows it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
const plain = (text: string): string => text.replace(/\u001b\[[0-9;]*[A-Za-z]|\u001b\(B|\u0000/g, '');

test('a text is masked as it is as a whole, wherever it is cut', () => {
  for (const { kind, value } of EVERY) {
    const input = bytes(`first line\nhere: "${value}", then more\r\nlast`);
    const whole = maskDetected(input.toString(), ALL).text;
    expect(whole, kind).toContain('[redacted]');
    for (let cut = 0; cut <= input.length; cut++) expect(masked(input, [cut]), `${value} cut at ${cut}`).toBe(whole);
    expect(
      masked(
        input,
        Array.from({ length: input.length }, (_, i) => i),
      ),
      `${value} byte by byte`,
    ).toBe(whole);
  }
});

test('escapes anywhere in a value do not hide it, and pass', () => {
  for (const escape of [
    '\u001b[1m',
    '\u001b[0;38;5;12m',
    '\u001b[K',
    '\u001b[4;1H',
    '\u001b(B',
    '\u0000',
    '\u009b1m',
  ]) {
    for (const { value } of EVERY) {
      // Text with NUL in it is no text: there an address is ASCII.
      if (escape === '\u0000' && value.startsWith('gr')) continue;
      const size = bytes(value).length;
      for (let at = 0; at <= value.length; at++) {
        const input = bytes(`"${value.slice(0, at)}${escape}${value.slice(at)}"\n`);
        for (const cuts of [[], [3], [size], [size + 2], [...input.keys()]]) {
          const out = masked(input, cuts);
          expect(plain(out).replaceAll('\u009b1m', ''), `${value} with ${JSON.stringify(escape)} at ${at}`).toBe(
            '"[redacted]"\n',
          );
          if (escape.startsWith('\u001b')) expect(out).toContain(escape);
        }
      }
    }
  }
});

test('escapes between all bytes of a value glue it neither together with what is beside it nor apart', () => {
  const escape = '\u001b[0m';
  for (const { kind, value } of EVERY) {
    if (kind === 'email' || kind === 'jwt') continue;
    const input = bytes(`abc${escape}${Array.from(value).join(escape)}${escape}xyz\n`);
    for (const cuts of [[], [...input.keys()]])
      expect(plain(masked(input, cuts)), value).toMatch(
        // A key has no length: what goes on without a break is hidden too.
        kind === 'secret_key' ? /^abc\[redacted\](xyz)?\n$/ : /^abc\[redacted\]xyz\n$/,
      );
  }
});

test('a value that is typed over with backspaces is masked, whether what stood there was one or what stands there is', () => {
  for (const value of ['4111111111111111', '078-05-1120', 'AKIAIOSFODNN7EXAMPLE']) {
    for (let at = 1; at < value.length; at++) {
      const wrong = `${value.slice(0, at)}x\b${value.slice(at)}\n`;
      const back = `${value}${'\b'.repeat(at)}${'\u001b[K'}\n`;
      const left = `${value}\u001b[${at}D${'z'.repeat(at)}\n`;
      for (const input of [wrong, back, left].map((text) => bytes(`: ${text}`)))
        for (const cuts of [[], [...input.keys()]]) {
          const out = plain(masked(input, cuts));
          expect(out, JSON.stringify(input.toString())).toContain('[redacted]');
          for (let part = 0; part + 8 <= value.length; part++)
            expect(out.replaceAll('\b', ''), JSON.stringify(input.toString())).not.toContain(
              value.slice(part, part + 8),
            );
        }
    }
  }
});

test('bold by overstriking is masked', () => {
  const value = 'ada.lovelace@example.com';
  const input = bytes(
    `see ${Array.from(value)
      .map((c) => `${c}\b${c}`)
      .join('')} there\n`,
  );
  expect(masked(input)).toBe('see [redacted] there\n');
});

test('a carriage return inside a value does not hide it, nor does readline’s way over the right edge', () => {
  for (const { value } of EVERY) {
    for (let at = 1; at < value.length; at++) {
      for (const edge of ['\r', ' \r']) {
        const input = bytes(`$ "${value.slice(0, at)}${edge}${value.slice(at)}"\n`);
        for (const cuts of [[], [...input.keys()]])
          expect(masked(input, cuts).replaceAll(/ ?\r/g, ''), JSON.stringify(input.toString())).toBe(
            '$ "[redacted]"\n',
          );
      }
    }
  }
});

test('a terminal’s title is masked, and text goes on behind it', () => {
  for (const end of ['\u0007', '\u001b\\']) {
    const title = `\u001b]0;mail of ada@example.com${end}`;
    const input = bytes(`card 4111 1111${title} 1111 1111 left\n`);
    for (const cuts of [[], ...[...input.keys()].map((cut) => [cut]), [...input.keys()]]) {
      const out = masked(input, cuts);
      expect(out, String(cuts)).not.toContain('ada@');
      expect(out, String(cuts)).not.toContain('1111');
      expect(out, String(cuts)).toContain(' left\n');
    }
    const alone = bytes(`${title}$ `);
    for (const cuts of [[], ...[...alone.keys()].map((cut) => [cut])])
      expect(masked(alone, cuts)).toBe(`\u001b]0;mail of [redacted]${end}$ `);
  }
});

test('a private key is hidden up to its end line, and what follows is shown', () => {
  const key = [
    '-----BEGIN RSA PRIVATE KEY-----',
    'Proc-Type: 4,ENCRYPTED',
    '',
    ...Array.from({ length: 12 }, () => 'MIIEow+/A1'.repeat(6)),
    '-----END RSA PRIVATE KEY-----',
  ];
  for (const eol of ['\n', '\r\n']) {
    const input = bytes(`$ cat key${eol}${key.join(eol)}${eol}ada$ ls${eol}`);
    for (let cut = 0; cut < input.length; cut += 7) {
      const out = masked(input, [cut, Math.min(input.length, cut + 3)]);
      expect(out.replaceAll(/[\r\n]+/g, '|'), `at ${cut}`).toBe('$ cat key|[redacted]|ada$ ls|');
      expect(out.split('\n').length, 'as many lines').toBe(input.toString().split('\n').length);
    }
  }
  const oneLine = `{"key":"-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n","n":1}\n`;
  expect(masked(bytes(oneLine))).toBe(`{"key":"[redacted]\\n","n":1}\n`);
});

test('a private key without an end does not hide the prompt behind it', () => {
  const input = bytes(
    '$ head -3 key\r\n-----BEGIN OPENSSH PRIVATE KEY-----\r\nb3BlbnNzaC1rZXktdjEA\r\nAAAEbm9uZQ\r\nada@web:~$ ls\r\n',
  );
  for (const cuts of [[], [...input.keys()]])
    expect(masked(input, cuts).replaceAll(/[\r\n]+/g, '|')).toBe('$ head -3 key|[redacted]|ada@web:~$ ls|');
});

test('a token longer than what may wait is hidden to its end', () => {
  const token = `eyJ${'aB3_'.repeat(10_000)}.eyJ${'x9-Z'.repeat(3_000)}.abc`;
  const input = bytes(`x ${token} tail\n`);
  for (const size of [input.length, 32_768, 1_000]) {
    const cuts = Array.from({ length: Math.floor(input.length / size) }, (_, i) => (i + 1) * size).filter(
      (at) => at < input.length,
    );
    expect(masked(input, cuts), `in pieces of ${size}`).toBe('x [redacted] tail\n');
  }
});

test('nothing waits behind a prompt, and what waits is let go when it is quiet', () => {
  const masker = createStreamMasker(ALL);
  const say = (text: string) => Buffer.from(masker.push(bytes(text))).toString();
  expect(say('ada@web:~$ ')).toBe('ada@web:~$ ');
  expect(masker.heldBytes).toBe(0);
  expect(say('number: 4111')).toBe('number: ');
  expect(Buffer.from(masker.idle()).toString()).toBe('4111');
  expect(say('11')).toBe('');
  expect(Buffer.from(masker.idle()).toString()).toBe('11');
  expect(say('1')).toBe('');
  expect(Buffer.from(masker.idle()).toString()).toBe('');
  expect(say('111111111\n')).toBe('[redacted]\n');
  expect(say('next ada@example.com')).toBe('next ');
  expect(Buffer.from(masker.idle()).toString()).toBe('[redacted]');
  expect(say(', 12345678')).toBe(', ');
  expect(Buffer.from(masker.idle()).toString()).toBe('');
  expect(Buffer.from(masker.idle(1000)).toString()).toBe('12345678');
});

test('the echo of what was typed does not wait, and what was not typed does', () => {
  const masker = createStreamMasker(ALL);
  for (const key of 'mail ada@web 4111 1111') {
    masker.typed(bytes(key));
    expect(Buffer.from(masker.push(bytes(key))).toString()).toBe(key);
  }
  expect(Buffer.from(masker.push(bytes('\r\n4111 1111'))).toString()).toBe('\r\n');
  expect(Buffer.from(masker.push(bytes(' 1111 1111\r\n'))).toString()).toBe('[redacted]\r\n');
});

test('random bytes pass as they are, and so does a compressed file, in pieces of any size', () => {
  for (let round = 0; round < 6; round++) {
    const input = randomBytes(3_000_000);
    const masker = createStreamMasker(ALL);
    const out = createHash('sha256');
    for (let at = 0; at < input.length; ) {
      const size = 1 + ((at * 7919) % 40_000);
      out.update(masker.push(input.subarray(at, at + size)));
      at += size;
    }
    out.update(masker.flush());
    expect(out.digest('hex')).toBe(createHash('sha256').update(input).digest('hex'));
  }
});

test('random bytes pass as they are wherever they are cut, however long nothing comes between', () => {
  // The same ones each time: among them are some that look like short addresses.
  const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(3_000_000));
  for (const largest of [300, 30_000]) {
    const input = Buffer.concat([noise, randomBytes(largest * 10)]);
    const masker = createStreamMasker(ALL, undefined, { keepWidth: largest === 300 });
    const out = createHash('sha256');
    for (let at = 0, i = 0; at < input.length; i++) {
      const size = 1 + ((at * 7919) % largest);
      out.update(masker.push(input.subarray(at, at + size)));
      out.update(masker.idle(i % 3 === 0 ? 1_100 : 30));
      at += size;
    }
    out.update(masker.flush());
    expect(out.digest('hex')).toBe(createHash('sha256').update(input).digest('hex'));
    expect(masker.hits).toBe(0);
  }
});

test('a value behind what a terminal uses to end bold is masked', () => {
  expect(masked(bytes('\u001b[1mbold\u001b[m\u000f bob@x.io\n'))).not.toContain('bob@x.io');
});

test('a value among bytes that are no text is masked', () => {
  for (const value of [
    '4111111111111111',
    'ada.lovelace@example.com',
    'AKIAIOSFODNN7EXAMPLE',
    '2001:db8::8a2e:370:7334',
  ]) {
    const junk = Buffer.concat([Buffer.of(0, 1, 200, 255, 254, 3), randomBytes(200), Buffer.of(0)]);
    const out = masked(Buffer.concat([junk, bytes(value), Buffer.of(0, 255), randomBytes(100)]));
    expect(out.includes(value), value).toBe(false);
  }
  const wide = Buffer.from('card 4111111111111111 of ada.lovelace@example.com\n', 'utf16le');
  expect(masked(wide).replaceAll('\u0000', '')).toBe('card [redacted] of [redacted]\n');
});

test('on a terminal what stands in is as wide as the value', () => {
  const masker = createStreamMasker(
    [
      { detect: 'payment_card', with: 'partial' },
      { detect: 'ip_address', with: 'redact' },
    ],
    undefined,
    { keepWidth: true },
  );
  const out = Buffer.from(masker.push(bytes('4111 1111 1111 1111|1.2.3.4|\n'))).toString();
  expect(out).toBe('************1111   |[redact|\n');
});

test('what waits is bounded, whatever comes', () => {
  const floods = [
    () => '\u001b[1m4',
    () => 'a'.repeat(5000),
    () => '\u001b]0;' + 'x1'.repeat(400),
    () => '4\b',
    () => '-----BEGIN ',
    () => 'eyJ' + 'a'.repeat(900),
    () => '::1'.repeat(100),
    () => '\u00c2',
  ];
  for (const flood of floods) {
    const masker = createStreamMasker(ALL);
    let most = 0;
    for (let i = 0; i < 1_000; i++) {
      masker.push(bytes(flood()));
      most = Math.max(most, masker.heldBytes);
    }
    masker.flush();
    expect(most, flood().slice(0, 20)).toBeLessThanOrEqual(LIMITS.streamHeldBytesMax + 8192);
  }
});

test('when other detectors come into force in the middle of a value, nothing of it slips through', () => {
  const masker = createStreamMasker([{ detect: 'email', with: 'redact' }]);
  const said = [Buffer.from(masker.push(bytes('card 41111111'))).toString(), Buffer.from(masker.idle()).toString()];
  masker.remask(ALL);
  said.push(Buffer.from(masker.push(bytes('11111111\nada@exam'))).toString());
  masker.remask([
    { detect: 'payment_card', with: 'redact' },
    { detect: 'email', with: 'redact' },
  ]);
  said.push(Buffer.from(masker.push(bytes('ple.com\n'))).toString());
  masker.remask([]);
  said.push(Buffer.from(masker.push(bytes('ada@example.com\n'))).toString());
  expect(said.join('|')).toBe('card |41111111|[redacted]\n|[redacted]\n|ada@example.com\n');
});

test('a value that an editor draws over the right edge is masked where it stands, on both rows', () => {
  const detect = [
    { detect: 'payment_card', with: 'redact' },
    { detect: 'national_id', with: 'redact' },
  ] as const;
  const draw = (value: string, at: number, isDoubled: boolean): Buffer =>
    bytes(
      `\u001b[1;1H...${value.slice(0, at)}${isDoubled ? value[at] : ''}\u001b[2;1H${value.slice(at)}...\u001b[3;1H~\r\n`,
    );
  for (const value of ['4111111111111111', '5500-0000-0000-0004', '078-05-1120']) {
    for (let at = 1; at < value.length; at++) {
      for (const isDoubled of [true, false]) {
        const masker = createStreamMasker(detect, undefined, { keepWidth: true });
        const out = Buffer.from(masker.push(draw(value, at, isDoubled))).toString();
        const stars = (count: number): string => '*'.repeat(count);
        expect(out, `${value} at ${at}`).toBe(
          `\u001b[1;1H...${stars(at + (isDoubled ? 1 : 0))}\u001b[2;1H${stars(value.length - at)}...\u001b[3;1H~\r\n`,
        );
      }
    }
  }
});
