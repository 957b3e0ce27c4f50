/** The kernel against the masker that reads every token: the same bytes after every push, whatever comes and however it is cut. */
import { createMaskKey, JsonMasker, type JsonPathMask, JsonPlan } from '@sallyport/mask';
import type { DetectMask, Detector, MaskMethod } from '@sallyport/model';
import { DETECTORS } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { openJsonKernel } from './json-kernel.ts';

const KEY = createMaskKey(Buffer.from('0123456789abcdef'));
const METHODS: readonly MaskMethod[] = ['redact', 'null', 'partial', 'hash'];

/** Numerical Recipes' generator: the same every time. */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
type Random = ReturnType<typeof randomOf>;
const pick = <T>(random: Random, all: readonly T[]): T => all[random(all.length)]!;

const NAMES = ['ssn', 'a', 'b', 'token', 'élan', 'customers', 'x'.repeat(17), 'kind', '', 'sixteen bytes :)'];
const VALUES = [
  '4111 1111 1111 1111',
  '4111-1111-1111-1111 and 5500005555555559',
  'ada@example.com',
  'write to bob@example.com, or ada@example.com!',
  '078-05-1120',
  'DE89 3704 0044 0532 0130 00',
  'MT84MALT011000012345MTLCAST001S',
  '+49 (30) 901820-00',
  '10.1.2.3 fe80::1 2001:db8:0:0:0:0:0:1',
  `AKIA${'ABCDEFGH12345678'}`,
  `sk-${'abcdefghij'.repeat(3)}`,
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln',
  '-----BEGIN PRIVATE KEY-----',
  'RSSMRA85T10A562S AB 12 34 56 C X1234567L 12345678Z',
  '12345678901 1 85 05 78 006 084 36',
  'no mail @ all 12 34',
  '2026-11-21T10:00:00.000Z',
  'lorem ipsum dolor sit amet, consectetur adipiscing elit',
  '0f8fad5b-d9cb-469f-a165-70867728950e',
  'Grüße, 世界 😀',
  '',
  'x',
] as const;
const ESCAPES = [
  '\\n',
  '\\t',
  '\\"',
  '\\\\',
  '\\/',
  '\\u00e9',
  '\\u0040',
  '\\u0034',
  '\\ud83d\\ude00',
  '\\ud83d',
  '\\udc00',
];
const NUMBERS = [
  '0',
  '-1',
  '12.50',
  '1e5',
  '4111111111111111',
  '-4111111111111111',
  '4.111111111111111e15',
  '4111111111111111.0',
  '41111111.5',
  '1700000000000',
  '12345678901',
  '123456789.25',
  '1E400',
  '078051120',
  '00012',
];
const LITERALS = ['true', 'false', 'null', 'NaN', '-Infinity'];
const BLANKS = ['', '', '', ' ', '\n', '\r\n', '\n          ', `\n${' '.repeat(40)}`, '\t'];

function stringOf(random: Random, text: string): string {
  let raw = JSON.stringify(text).slice(1, -1);
  for (let n = random(8) === 0 ? 1 + random(3) : 0; n > 0; n--) {
    const at = random(raw.length + 1);
    // Never in the middle of an escape.
    if (!raw.slice(Math.max(0, at - 6), at).includes('\\'))
      raw = raw.slice(0, at) + pick(random, ESCAPES) + raw.slice(at);
  }
  return `"${raw}"`;
}
function valueOf(random: Random, depth: number): string {
  const blank = (): string => pick(random, BLANKS);
  const kind = depth === 0 && random(8) > 0 ? 6 + random(4) : random(depth > 4 ? 6 : 10);
  if (kind < 4) {
    const more = random(30) === 0 ? 'lorem ipsum '.repeat(random(40)) : '';
    return stringOf(random, more + pick(random, VALUES));
  }
  if (kind === 4) return pick(random, NUMBERS);
  if (kind === 5) return pick(random, LITERALS);
  const count = random(5);
  const items = Array.from({ length: count }, () => {
    const value = valueOf(random, depth + 1);
    const key = random(12) === 0 ? pick(random, VALUES) : pick(random, NAMES);
    return kind < 8
      ? `${blank()}${stringOf(random, key)}${blank()}:${blank()}${value}${blank()}`
      : `${blank()}${value}${blank()}`;
  });
  return kind < 8 ? `{${items.join(',') || blank()}}` : `[${items.join(',') || blank()}]`;
}

const PATHS = [
  'a',
  'a.b',
  '**.ssn',
  'customers[].a',
  '[].x',
  '**',
  'token.*',
  '[][]',
  'élan',
  `**.${'x'.repeat(17)}`,
  '*."sixteen bytes :)"',
];
const pathsOf = (random: Random): readonly JsonPathMask[] =>
  Array.from({ length: random(4) }, () => ({
    path: pick(random, PATHS),
    with: pick(random, METHODS),
    ...(random(3) === 0 ? { form: 'base64' as const } : {}),
  }));
function detectOf(random: Random): readonly DetectMask[] {
  const some = DETECTORS.filter(() => random(3) === 0);
  const all: readonly Detector[] = random(3) === 0 ? ['payment_card', 'email'] : some;
  return all.map((detect) => ({ detect, with: pick(random, METHODS) }));
}

/** Pushes both the same pieces. */
function compare(
  plan: JsonPlan | undefined,
  detect: readonly DetectMask[],
  bytes: Uint8Array,
  random: Random,
  step = pick(random, [1_000_000, 200, 64, 33]),
): void {
  const key = random(2) === 0 ? KEY : undefined;
  const fast = new JsonMasker({ plan, detect, key });
  const plain = new JsonMasker({ plan, detect, key, kernel: false });
  for (let at = 0; at < bytes.length; ) {
    const to = Math.min(bytes.length, at + 1 + random(step));
    const piece = bytes.subarray(at, to);
    const [got, wanted] = [
      Buffer.from(fast.push(piece)).toString('latin1'),
      Buffer.from(plain.push(piece)).toString('latin1'),
    ];
    if (got !== wanted) expect(got, Buffer.from(bytes).toString('latin1')).toBe(wanted);
    at = to;
  }
  const context = Buffer.from(bytes).toString('latin1');
  expect(Buffer.from(fast.end()).toString('latin1'), context).toBe(Buffer.from(plain.end()).toString('latin1'));
  expect([fast.broken, fast.hits, fast.heldBytes], context).toEqual([plain.broken, plain.hits, plain.heldBytes]);
}

describe('the kernel', () => {
  test('is there on this runtime', () => {
    expect(openJsonKernel()).toBeDefined();
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('equals the plain masker on random documents, seed %d', (seed) => {
    const random = randomOf(seed * 7_919);
    for (let turn = 0; turn < 150; turn++) {
      const paths = pathsOf(random);
      const plan = paths.length === 0 ? undefined : new JsonPlan(paths);
      const detect = detectOf(random);
      const documents = Array.from({ length: 1 + random(3) }, () => valueOf(random, 0));
      const bytes = Buffer.from(documents.join(pick(random, ['\n', '\r\n', '', '\n\u001e'])));
      compare(plan, detect, bytes, random);
      // One byte of it is another: mostly no JSON, or no text.
      const wrong = Buffer.from(bytes);
      if (wrong.length > 0)
        wrong[random(wrong.length)] = pick(random, [
          0,
          34,
          92,
          44,
          58,
          123,
          125,
          93,
          48,
          0xc0,
          0xed,
          0xf5,
          random(256),
        ]);
      compare(plan, detect, wrong, random);
    }
  });

  test.each(VALUES)('a value at every distance from its 16-byte steps: %s', (value) => {
    const detect: readonly DetectMask[] = DETECTORS.map((one) => ({ detect: one, with: 'partial' }));
    const random = randomOf(5);
    for (let before = 0; before < 34; before++) {
      const text = `${'x'.repeat(before)} ${value}`;
      const row = `{"a":${JSON.stringify(text)},"${'k'.repeat(before)}":1,${JSON.stringify(value)}:[${JSON.stringify(value)}]}`;
      compare(undefined, detect, Buffer.from(`[${row}, ${row}]`), random);
    }
  });

  test.each(DETECTORS)('strings as short as a find, and shorter: %s', (detector) => {
    const random = randomOf(29);
    const detect: readonly DetectMask[] = [{ detect: detector, with: 'partial' }];
    const letters = ['a', '@', '.', '1', '9', ':', '-', '+', 'é', '\u{1f600}'];
    const short = (): string => Array.from({ length: random(9) }, () => pick(random, letters)).join('');
    for (let turn = 0; turn < 40; turn++) {
      const values = [...Array.from({ length: 30 }, short), 'a@b.cd', '::', '::1', '-----', '1.2.3.4', 'é@é.éé'];
      const row = Object.fromEntries(values.map((value) => [value, value]));
      compare(undefined, detect, Buffer.from(JSON.stringify([row, values])), random);
    }
  });

  test('bodies with other masks take turns, in the middle of their values', () => {
    const random = randomOf(11);
    const bodies = Array.from({ length: 6 }, (_, i) => {
      const options = {
        plan: new JsonPlan([{ path: `rows[].v${i}`, with: 'redact' }]),
        detect: i % 2 === 0 ? [] : detectOf(random),
      };
      const rows = Array.from({ length: 50 }, () => `{"v${i}":"s","v":${valueOf(random, 3)}}`);
      return {
        bytes: Buffer.from(`{"rows":[${rows.join()}]}`),
        fast: new JsonMasker(options),
        plain: new JsonMasker({ ...options, kernel: false }),
        at: 0,
      };
    });
    while (bodies.some(({ at, bytes }) => at < bytes.length)) {
      const body = pick(random, bodies);
      const piece = body.bytes.subarray(body.at, body.at + 50 + random(300));
      expect(Buffer.from(body.fast.push(piece))).toEqual(Buffer.from(body.plain.push(piece)));
      body.at += piece.length;
    }
  });

  test('a chunk of many windows, and one that grows beyond what a window writes at once', () => {
    const plan = new JsonPlan([{ path: '[]', with: 'redact' }]);
    const random = randomOf(3);
    const whole = 10_000_000;
    compare(plan, [], Buffer.from(`[${'1,'.repeat(300_000)}1]`), random, whole);
    const detect: readonly DetectMask[] = [{ detect: 'email', with: 'hash' }];
    const long = 'a@b.cc '.repeat(2_000);
    compare(
      undefined,
      detect,
      Buffer.from(JSON.stringify([...Array<string>(60_000).fill('a@b.cc'), long])),
      random,
      whole,
    );
    compare(undefined, detect, Buffer.from(JSON.stringify(Array(600).fill('a@b.cc '.repeat(120)))), random, whole);
    compare(undefined, detect, Buffer.from(JSON.stringify([`${'x '.repeat(200_000)}a@b.cc`, 'a@b.cc'])), random, whole);
  });

  test('containers as deep as may be, and one deeper', () => {
    const detect: readonly DetectMask[] = [{ detect: 'email', with: 'redact' }];
    const random = randomOf(17);
    for (const depth of [511, 512, 513]) {
      const text = `${'['.repeat(depth)}"ada@example.com"${']'.repeat(depth)}`;
      compare(new JsonPlan([{ path: '**.a', with: 'redact' }]), detect, Buffer.from(text), random);
      compare(undefined, detect, Buffer.from(text.replaceAll('[', '{"a":').replaceAll(']', '}')), random);
    }
  });

  test('more paths than it has room for are walked without it', () => {
    const many = Array.from({ length: 60 }, (_, i) => ({
      path: `**.k${i}.**.l${i}.**.m${i}`,
      with: 'redact' as const,
    }));
    const plan = new JsonPlan(many);
    expect(plan.image).toBeUndefined();
    const text = `[${'{"k7":{"l7":[{"m7":"secret"}]}},'.repeat(20)}1]`;
    compare(plan, [], Buffer.from(text), randomOf(23));
    expect(Buffer.from(new JsonMasker({ plan, detect: [] }).push(Buffer.from(text))).toString()).not.toContain(
      'secret',
    );
  });
});
