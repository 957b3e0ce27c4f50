import { randomBytes } from 'node:crypto';
import { LIMITS } from '@sallyport/core';
import { DETECTORS, type DetectMask, MASK_METHODS } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { openKernel, WINDOW_BYTES } from './kernel.ts';
import { createMaskKey } from './methods.ts';
import { createRowMasker, type RowColumn, type RowPlan } from './rows.ts';
import { createReferenceMasker } from './rows-reference.ts';

const key = createMaskKey(Buffer.alloc(32, 7));
const TEXT = 25;

type Cell = string | Uint8Array | null;

function rowOf(cells: readonly Cell[]): Buffer {
  const parts = cells.map((cell) => {
    const bytes = cell === null ? Buffer.alloc(0) : Buffer.from(cell as string);
    const head = Buffer.alloc(4);
    head.writeInt32BE(cell === null ? -1 : bytes.length);
    return Buffer.concat([head, bytes]);
  });
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(7);
  head[0] = 68;
  head.writeInt32BE(6 + body.length, 1);
  head.writeInt16BE(cells.length, 5);
  return Buffer.concat([head, body]);
}

/** The cells of whole rows, as text; checks every length on the way. */
function cellsOf(bytes: Uint8Array): (string | null)[][] {
  const view = Buffer.from(bytes);
  const rows: (string | null)[][] = [];
  for (let at = 0; at < view.length; ) {
    expect(view[at]).toBe(68);
    const end = at + 1 + view.readInt32BE(at + 1);
    const cells: (string | null)[] = [];
    let cell = at + 7;
    for (let i = view.readInt16BE(at + 5); i > 0; i--) {
      const length = view.readInt32BE(cell);
      cells.push(length < 0 ? null : view.toString('utf8', cell + 4, cell + 4 + length));
      cell += 4 + Math.max(0, length);
    }
    expect(cell).toBe(end);
    rows.push(cells);
    at = end;
  }
  return rows;
}

const text = (method?: RowColumn['method']): RowColumn => ({ typeOid: TEXT, format: 0, ...(method && { method }) });
const partialAll: readonly DetectMask[] = DETECTORS.map((detect) => ({ detect, with: 'partial' }));
const usual: readonly DetectMask[] = [
  { detect: 'payment_card', with: 'partial' },
  { detect: 'email', with: 'partial' },
  { detect: 'national_id', with: 'redact' },
  { detect: 'iban', with: 'hash' },
];

const VALUES = [
  '4111111111111111',
  '4111 1111 1111 1111',
  '5500-0055-5555-5559',
  '378282246310005',
  '6011000990139424',
  'ada.lovelace+x@mail.example.com',
  'x@y.co',
  'mülle@exämple.com',
  'a@b.com@c.com',
  '123-45-6789',
  '912-55-1234',
  '666-45-6789',
  'DE89 3704 0044 0532 0130 00',
  'gb82west12345698765432',
  'AB 12 34 56 C',
  '12345678Z',
  'X1234567L',
  '1 84 12 76 451 089 46',
  '86095742719',
  'RSSMRA85T10A562S',
  '+49 30 1234567',
  '10.1.2.3',
  '2001:db8::8a2e:370:7334',
  'AKIAIOSFODNN7EXAMPLE',
  `ghp_${'a1B2'.repeat(9)}`,
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc',
  '-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----',
  '{"card": 4111111111111111, "mail": "ada@example.com"}',
  '{"a": "x\\u0040example.com"}',
  'C:\\new\\table',
  '{"a": "x\\n4111111111111111\\t\\\\"}',
  '\\',
  '\\\\n4111111111111111\\ n',
  'd41d8cd98f00b204e9800998ecf8427e',
  '550e8400-e29b-41d4-a716-446655440000',
  '2026-11-21 02:30:00.123456+00',
  'Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore',
  'ünïcödé ☃ 漢字',
  '',
  ' ',
  '0.4111111111111111',
  '4111111111111111.00',
  '41111111111111111111111',
  'x4111111111111111',
  '+',
  '@',
  '....',
  '::',
  '1e+15',
];

// A small linear congruential generator, so that a failure can be run again.
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
const GLUE = [
  '',
  ' ',
  '-',
  '.',
  ',',
  ':',
  '@',
  '+',
  '_',
  '\\n',
  '4',
  'a',
  '"',
  '1234',
  'é',
  '/',
  '=',
  '\n',
  '12-',
  '  ',
];
const ALPHABET = '0123456789012345678901234567890123456789  --..@@aAbBdDeEgGxXzZ+:_\\\\nu"é';

function randomValue(random: (below: number) => number): string {
  const style = random(4);
  if (style === 0) return VALUES[random(VALUES.length)]!;
  if (style === 1) return Array.from({ length: random(150) }, () => ALPHABET[random(ALPHABET.length)]!).join('');
  if (style === 2) {
    // A true value with one character changed.
    const value = VALUES[random(VALUES.length)]!;
    const at = random(value.length + 1);
    return value.slice(0, at) + ALPHABET[random(ALPHABET.length)]! + value.slice(at + 1);
  }
  return Array.from(
    { length: 1 + random(6) },
    () => GLUE[random(GLUE.length)]! + VALUES[random(VALUES.length)]! + GLUE[random(GLUE.length)]!,
  ).join('');
}

/** A number that begins like a card's and is one, often. */
function randomCard(random: (below: number) => number): string {
  const length = 12 + random(9);
  const digits = [2 + random(5), ...Array.from({ length: length - 2 }, () => random(10))];
  let sum = 0;
  digits.toReversed().forEach((digit, i) => {
    const add = i % 2 === 0 ? digit * 2 : digit;
    sum += add > 9 ? add - 9 : add;
  });
  digits.push((10 - (sum % 10)) % 10);
  return digits.map((digit) => (random(9) === 0 ? `${digit}${random(2) === 0 ? ' ' : '-'}` : `${digit}`)).join('');
}

const OIDS = [25, 1043, 114, 3802, 1009, 20, 701, 1700, 17, 23, 1114, 869, 16_500, 2249, 1231];

function agrees(plan: RowPlan, chunk: Uint8Array): void {
  const expected = createReferenceMasker(plan).mask(chunk);
  for (const masker of ['mask', 'maskShared'] as const) {
    const got = createRowMasker(plan)[masker](chunk);
    expect({ ...got, output: Buffer.from(got.output).toString('latin1') }).toEqual({
      ...expected,
      output: Buffer.from(expected.output).toString('latin1'),
    });
  }
}

describe('the row masker', () => {
  test('masks whole columns by each method and leaves NULL as it is', () => {
    const plan = { columns: [text('redact'), text('partial'), text('hash'), text('null'), text()], detect: [], key };
    const chunk = Buffer.concat([
      rowOf(['secret', 'ada@example.com', 'same', 'gone', 'clear']),
      rowOf([null, null, null, null, null]),
      rowOf(['', '', 'same', '', '']),
    ]);
    const masked = createRowMasker(plan).mask(chunk);
    const hash = cellsOf(masked.output)[0]![2]!;
    expect(hash).toMatch(/^h:[A-Za-z0-9_-]{16}$/);
    expect(cellsOf(masked.output)).toEqual([
      ['[redacted]', 'a***@e***.com', hash, null, 'clear'],
      [null, null, null, null, null],
      ['[redacted]', '******', hash, null, ''],
    ]);
    expect(masked).toMatchObject({ consumed: chunk.length, rows: 3, maskedCells: 8 });
  });

  test('a hash without a key is redacted, since an unkeyed digest of a card number gives the number away', () => {
    const plan = { columns: [text('hash'), text()], detect: [{ detect: 'email', with: 'hash' }] as const };
    expect(cellsOf(createRowMasker(plan).mask(rowOf(['a', 'ada@example.com'])).output)).toEqual([
      ['[redacted]', '[redacted]'],
    ]);
  });

  test('replaces only the stretch a detector sees, and several in one cell', () => {
    const plan = { columns: [text(), text()], detect: usual, key };
    const chunk = rowOf(['mail ada@example.com, card 4111 1111 1111 1111.', 'ssn 123-45-6789']);
    expect(cellsOf(createRowMasker(plan).mask(chunk).output)).toEqual([
      ['mail a***@e***.com, card ************1111.', 'ssn [redacted]'],
    ]);
  });

  test('a detector with method null makes the whole cell NULL', () => {
    const plan = { columns: [text()], detect: [{ detect: 'email', with: 'null' }] as const };
    expect(cellsOf(createRowMasker(plan).mask(rowOf(['to ada@example.com'])).output)).toEqual([[null]]);
  });

  test('what is not changed comes back as a view of the chunk, without a copy', () => {
    const plan = { columns: [text()], detect: usual };
    const chunk = rowOf(['nothing here']);
    const { output, maskedCells } = createRowMasker(plan).mask(chunk);
    expect(maskedCells).toBe(0);
    expect(output.buffer).toBe(chunk.buffer);
    expect(output.byteOffset).toBe(chunk.byteOffset);
  });

  test('the output of mask is owned: later calls do not change it', () => {
    const masker = createRowMasker({ columns: [text('redact')], detect: [] });
    const first = masker.mask(rowOf(['a'])).output;
    const before = Buffer.from(first);
    masker.mask(rowOf([Buffer.alloc(5_000, 65)]));
    createRowMasker({ columns: [text('partial')], detect: [] }).maskShared(rowOf(['zzzzzzzzzzzzzzz']));
    expect(Buffer.from(first)).toEqual(before);
  });

  test('stops before another message and before a partial row, at every split point', () => {
    const plan = { columns: [text('redact'), text()], detect: usual, key };
    const rows = [rowOf(['a', 'ada@example.com']), rowOf(['bb', 'clear'])];
    const chunk = Buffer.concat([...rows, Buffer.from('C\0\0\0\x0dSELECT 2\0')]);
    const ends = [0, rows[0]!.length, rows[0]!.length + rows[1]!.length];
    const masker = createRowMasker(plan);
    for (let to = 0; to <= chunk.length; to++) {
      const { consumed, rows: count } = masker.mask(chunk.subarray(0, to));
      expect(consumed).toBe(ends.findLast((end) => end <= to));
      expect(count).toBe(ends.indexOf(consumed));
    }
  });

  test('rows as long as the window, one byte less and one byte more are masked alike', () => {
    const plan = { columns: [text(), text('redact')], detect: usual, key };
    for (const size of [WINDOW_BYTES - 1, WINDOW_BYTES, WINDOW_BYTES + 1]) {
      const mail = 'ada@example.com ';
      const overhead = rowOf([mail, 'x']).length;
      const long = rowOf([mail + ' '.repeat(size - overhead), 'x']);
      expect(long.length).toBe(size);
      const chunk = Buffer.concat([rowOf(['x@y.co', '1']), long, rowOf(['x@y.co', '1'])]);
      agrees(plan, chunk);
      expect(createRowMasker(plan).mask(chunk)).toMatchObject({ rows: 3, maskedCells: 6, consumed: chunk.length });
    }
  });

  test('a chunk of many windows, most rows masked, is the same as row by row', () => {
    const plan = { columns: [text('hash'), text(), text('redact')], detect: usual, key };
    const row = rowOf(['', 'ada@example.com', '']);
    agrees(plan, Buffer.concat(Array.from({ length: 20_000 }, () => row)));
  });

  test('a row over the limit is refused as soon as its length is known', () => {
    const masker = createRowMasker({ columns: [text('redact')], detect: [] });
    const head = (length: number) => {
      const bytes = Buffer.from([68, 0, 0, 0, 0, 0, 1]);
      bytes.writeInt32BE(length, 1);
      return bytes;
    };
    expect(masker.mask(head(LIMITS.maskedRowBytesMax - 1))).toMatchObject({ consumed: 0 });
    expect(() => masker.mask(head(LIMITS.maskedRowBytesMax))).toThrow(
      expect.objectContaining({ code: 'frame.too_large' }),
    );
    expect(() => masker.mask(head(5))).toThrow(expect.objectContaining({ code: 'protocol.malformed' }));
    expect(() => masker.mask(head(-1))).toThrow(expect.objectContaining({ code: 'protocol.malformed' }));
  });

  test('a row whose lengths lie, or that has other columns than the plan, is refused', () => {
    const masker = createRowMasker({ columns: [text('redact')], detect: [] });
    const row = rowOf(['abc']);
    for (const length of [2, 4, -2, 0x7fffffff]) {
      const bad = Buffer.from(row);
      bad.writeInt32BE(length, 7);
      expect(() => masker.mask(bad)).toThrow(expect.objectContaining({ code: 'protocol.malformed' }));
    }
    expect(() => masker.mask(rowOf(['a', 'b']))).toThrow(expect.objectContaining({ code: 'mask.unvouched' }));
    expect(() => masker.mask(rowOf([]))).toThrow(expect.objectContaining({ code: 'mask.unvouched' }));
  });

  test('a plan that can change nothing says so', () => {
    expect(createRowMasker({ columns: [text()], detect: [] }).isClear).toBe(true);
    expect(createRowMasker({ columns: [{ typeOid: 23, format: 0 }], detect: usual }).isClear).toBe(true);
    expect(createRowMasker({ columns: [text()], detect: usual }).isClear).toBe(false);
  });
});

describe('the kernel', () => {
  test('is there on this runtime', () => {
    expect(openKernel()).toBeDefined();
  });

  test('equals the reference on every known value, with every method', () => {
    for (const method of MASK_METHODS) {
      const detect = DETECTORS.map((one) => ({ detect: one, with: method }));
      for (const value of VALUES) {
        agrees({ columns: [text()], detect, key }, rowOf([value]));
        agrees({ columns: [text(method)], detect: [], key }, rowOf([value]));
        for (const one of detect) agrees({ columns: [text()], detect: [one], key }, rowOf([value]));
      }
    }
  });

  test('equals the reference on random and adversarial cells', () => {
    const random = randomFrom(20261121);
    for (let round = 0; round < 1_500; round++) {
      const columns = Array.from({ length: 1 + random(4) }, (): RowColumn => {
        const typeOid = random(2) === 0 ? TEXT : OIDS[random(OIDS.length)]!;
        const method = random(4) === 0 ? MASK_METHODS[random(4)] : undefined;
        return { typeOid, format: random(4) === 0 ? 1 : 0, ...(method && { method }) };
      });
      const detect = DETECTORS.filter(() => random(2) === 0).map((one) => ({
        detect: one,
        with: MASK_METHODS[random(4)]!,
      }));
      const plan = { columns, detect, ...(random(5) > 0 && { key }) };
      const rows = Array.from({ length: 1 + random(12) }, () =>
        rowOf(columns.map(() => (random(8) === 0 ? null : random(5) === 0 ? randomCard(random) : randomValue(random)))),
      );
      agrees(plan, Buffer.concat(rows));
    }
  });

  test('equals the reference at every distance from the edges of its 64-byte blocks', () => {
    const plan = { columns: [text()], detect: partialAll, key };
    const hot = { columns: [text()], detect: usual, key };
    for (const value of VALUES) {
      for (let lead = 0; lead <= 130; lead += 1) {
        const chunk = rowOf([`${'w'.repeat(Math.max(0, lead - 1))} ${value} tail`]);
        agrees(lead % 2 === 0 ? plan : hot, chunk);
      }
    }
  });

  test('hashes as node:crypto does, at every length around the blocks of the digest and with keys of any length', () => {
    for (const keyBytes of [16, 32, 63, 64, 65, 200]) {
      const plan = { columns: [text('hash')], detect: [], key: createMaskKey(randomBytes(keyBytes)) };
      agrees(plan, Buffer.concat(Array.from({ length: 200 }, (_, length) => rowOf([randomBytes(length)]))));
    }
  });

  test('equals the reference on bytes that are no text at all', () => {
    const plan = { columns: [text(), text('partial')], detect: usual, key };
    for (let i = 0; i < 300; i++) agrees(plan, rowOf([randomBytes(i % 200), randomBytes(i % 40)]));
  });

  test('equals the reference on binary numbers', () => {
    const random = randomFrom(7);
    const columns = [20, 701, 1700].map((typeOid): RowColumn => ({ typeOid, format: 1 }));
    const plan = { columns, detect: partialAll, key };
    const numbers = [4111111111111111n, 378282246310005n, 86095742719n, 0n, -1n, 9_999_999_999n, 10_000_000_000n];
    for (let i = 0; i < 200; i++) {
      const value = i < numbers.length ? numbers[i]! : BigInt(random(2 ** 31)) * BigInt(random(2 ** 31));
      const int8 = Buffer.alloc(8);
      int8.writeBigInt64BE(value);
      const float8 = Buffer.alloc(8);
      float8.writeDoubleBE(Number(value));
      agrees(plan, rowOf([int8, float8, numericBinary(value)]));
    }
    expect(cellsOf(createRowMasker(plan).mask(rowOf([null, null, numericBinary(4111111111111111n)])).output)).toEqual([
      [null, null, null],
    ]);
  });
});

function numericBinary(value: bigint): Buffer {
  const groups: number[] = [];
  for (let rest = value < 0n ? -value : value; rest > 0n; rest /= 10_000n) groups.unshift(Number(rest % 10_000n));
  const bytes = Buffer.alloc(8 + groups.length * 2);
  bytes.writeUInt16BE(groups.length, 0);
  bytes.writeInt16BE(groups.length - 1, 2);
  bytes.writeUInt16BE(value < 0n ? 0x4000 : 0, 4);
  groups.forEach((group, i) => bytes.writeUInt16BE(group, 8 + i * 2));
  return bytes;
}
