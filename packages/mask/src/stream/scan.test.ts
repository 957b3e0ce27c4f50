import { createCipheriv } from 'node:crypto';
import { DETECTORS, type Detector } from '@sallyport/model';
import { expect, test } from 'vitest';
import { ACTS } from './prefilter.ts';
import { END, PlainScan, type Scan } from './scan.ts';
import { scannerOf, WINDOW_BYTES } from './scan-kernel.ts';

const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(400_000));

/** All places where it stops, with why and in which state; it goes on behind each as a masker might. */
function stops(scan: Scan, from: number): readonly string[] {
  const all: string[] = [];
  let at = from;
  let state = 0;
  for (;;) {
    const stop = scan.run(at, state);
    all.push(`${stop} ${scan.at} ${scan.state}`);
    if (stop === END) return all;
    state = stop === ACTS ? scan.state : 0;
    at = scan.at + 1;
  }
}

const SETS: readonly (readonly Detector[])[] = [
  ['payment_card', 'email', 'national_id', 'iban'],
  ['email'],
  ['ip_address', 'phone'],
  ['secret_key', 'jwt'],
  DETECTORS,
];
const PIECES = [
  '4111111111111111',
  'ada@x.io',
  'DE89 3704 0044 0532 0130 00',
  'ä'.repeat(40),
  '\u0000a\u0000b\u0000c\u0000d',
  '123456789',
  'x\ty'.repeat(40),
  'the quick brown fox jumps over the lazy dog, and runs\n'.repeat(9),
  '2026-11-21T18:44:31.221 INFO worker[17] request id=9e3779b1 path=/api/v1/items status=200\r\n'.repeat(5),
  'RSSMRA85T10A562S',
  'a'.repeat(300),
  'eyJhbGciOiJIUzI1NiJ9.e30.x',
  'AKIAIOSFODNN7EXAMPLE',
  '+49 30 901820 2001:db8::1 10.0.0.1',
  '\u001b[31mred\u001b[0m\b\b',
  ' \\- ()'.repeat(20),
];

test('the kernel stops where the plain scan stops, in the same states, whatever stands beside what and wherever it begins', () => {
  let seen = 0;
  for (const detectors of SETS) {
    const { prefilter, scan } = scannerOf(detectors);
    for (let round = 0; round < 120; round++) {
      const parts: Uint8Array[] = [];
      for (let i = 0; i < 14; i++) {
        const at = (round * 977 + i * 131) % 300_000;
        const from = noise[at]! % 5 === 0 ? 600 : noise[at]! % 4;
        parts.push(noise.subarray(at, at + (noise[at + 1]! % 3 === 0 ? from : 0)));
        parts.push(Buffer.from(PIECES[(round * 7 + noise[at + 2]!) % PIECES.length]!));
      }
      const input = Buffer.concat(parts);
      for (const from of [0, 1 + (round % 40)]) {
        const plain = stops(new PlainScan(prefilter, input), from);
        expect(stops(scan(input), from), `${detectors.join()} round ${round} from ${from}`).toEqual(plain);
        seen += plain.length;
      }
    }
  }
  expect(seen).toBeGreaterThan(10_000);
});

test('noise and what is longer than the kernel sees at once are scanned as in one piece', () => {
  const { prefilter, scan } = scannerOf(SETS[0]!);
  const long = Buffer.concat([
    noise.subarray(0, WINDOW_BYTES - 300),
    Buffer.from(`${PIECES[7]!}${PIECES[0]!} and ${PIECES[1]!}`),
    noise.subarray(0, 70_000),
    Buffer.from(PIECES[7]!.repeat(800)),
  ]);
  for (const from of [0, 5, 299, 4_000]) {
    const plain = stops(new PlainScan(prefilter, long), from);
    expect(plain.length).toBeGreaterThan(2);
    expect(stops(scan(long), from)).toEqual(plain);
  }
});

test('lines that the kernel walks side by side are scanned as one behind another, wherever in them something stands', () => {
  const line = (i: number): string =>
    `2026-11-21T18:44:${10 + (i % 50)}.221Z INFO  request ${i} done path=/v1/things/${i * 7919} took=${i % 97}ms\n`;
  const lines = Buffer.from(Array.from({ length: 400 }, (_, i) => line(i)).join(''));
  let seen = 0;
  for (const detectors of SETS) {
    const { prefilter, scan } = scannerOf(detectors);
    for (let round = 0; round < 50; round++) {
      const input = Buffer.from(lines);
      for (let i = 0; i <= round % 4; i++) {
        const piece = Buffer.from(PIECES[(round * 5 + noise[round * 31 + i]!) % PIECES.length]!);
        piece.copy(input, noise.readUInt16LE(round * 13 + i * 2) % input.length);
      }
      for (const from of [0, 1 + round]) {
        const plain = stops(new PlainScan(prefilter, input), from);
        expect(stops(scan(input), from), `${detectors.join()} round ${round} from ${from}`).toEqual(plain);
        seen += plain.length;
      }
    }
  }
  expect(seen).toBeGreaterThan(1_000);
});
