import { GatewayError } from '@sallyport/core';
import { expect, test } from 'vitest';
import { Fields, FieldWriter } from './fields.ts';
import { GOLDEN_EVENTS } from './golden.fixture.ts';
import { decodeEventPayload } from './payload-decode.ts';
import { encodeEventPayload } from './payload-encode.ts';

test.each([1, 127, 128, 16_383, 16_384, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER])(
  'the number %d survives',
  (value) => {
    const out = new FieldWriter(1);
    out.integer(5, value);
    expect(new Fields(Buffer.from(out.view)).integer(5)).toBe(value);
  },
);

test.each([-1, 1.5, Number.NaN, 2 ** 53])('the number %d is refused', (value) => {
  expect(() => new FieldWriter().integer(1, value)).toThrow(GatewayError);
});

test.each([0, 1, 42, 43, 63, 64, 126, 127, 128, 129, 5000])(
  'text of %d units survives, in one, two, three and four bytes each',
  (length) => {
    for (const unit of ['a', 'é', '数', '😀']) {
      const out = new FieldWriter(1);
      out.presentText(3, unit.repeat(length));
      out.integer(4, 7);
      const fields = new Fields(Buffer.from(out.view));
      expect([fields.text(3), fields.integer(4)]).toEqual([unit.repeat(length), 7]);
    }
  },
);

test.each([0, 126, 127, 128, 16_383, 16_384, 70_000])(
  'a nested sequence of %d bytes gets a length as short as can be',
  (length) => {
    const out = new FieldWriter(1);
    const start = out.open(2);
    if (length > 0) out.bytes(1, Buffer.alloc(Math.max(1, length - 2), 1));
    out.close(start);
    out.integer(3, 9);
    const fields = new Fields(Buffer.from(out.view));
    expect(fields.bytes(2).subarray(0, 1)).toEqual(Buffer.from(length > 0 ? [3] : []));
    expect([fields.nested(2).all(1).length, fields.integer(3)]).toEqual([length > 0 ? 1 : 0, 9]);
  },
);

test('a field of the other wire type is refused, and one that is not there is empty', () => {
  const out = new FieldWriter();
  out.integer(1, 5);
  out.bytes(2, Buffer.from('b'));
  const fields = new Fields(Buffer.from(out.view));
  for (const read of [() => fields.text(1), () => fields.bytes(1), () => fields.all(1), () => fields.integer(2)])
    expect(read).toThrow(GatewayError);
  expect([fields.integer(3), fields.text(3), fields.all(3), fields.optional(3, String)]).toEqual([
    0,
    '',
    [],
    undefined,
  ]);
});

test('a field of a later version is skipped', () => {
  for (const event of GOLDEN_EVENTS) {
    const out = new FieldWriter();
    out.bytes(100, Buffer.from('later'));
    out.integer(101, 5);
    const payload = Buffer.concat([encodeEventPayload(event), out.view]);
    expect(decodeEventPayload(event.kind, payload)).toEqual(event);
  }
});

test('a payload cut at any byte is refused or read, never anything else', () => {
  for (const event of GOLDEN_EVENTS) {
    const payload = encodeEventPayload(event);
    for (let cut = 0; cut < payload.length; cut++) {
      try {
        decodeEventPayload(event.kind, payload.subarray(0, cut));
      } catch (error) {
        expect(error).toBeInstanceOf(GatewayError);
      }
    }
  }
});

test('random payloads are refused or read, never anything else', () => {
  let seed = 42;
  const random = () => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
  for (let i = 0; i < 3000; i++) {
    const event = GOLDEN_EVENTS[i % GOLDEN_EVENTS.length]!;
    const payload = encodeEventPayload(event);
    for (let j = 0; j < 3 && payload.length > 0; j++)
      payload[Math.floor(random() * payload.length)] = Math.floor(random() * 256);
    try {
      decodeEventPayload(event.kind, payload);
    } catch (error) {
      expect(error).toBeInstanceOf(GatewayError);
    }
  }
});
