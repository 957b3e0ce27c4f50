import { LIMITS } from '@sallyport/core';
import { expect, test } from 'vitest';
import { frameBytes, PartialFrame } from './codec.ts';
import {
  bind,
  close,
  describe,
  execute,
  parse,
  parseBind,
  parseExecute,
  parseFields,
  parseParse,
  parseRowDescription,
  parseStartupPacket,
  parseTarget,
  query,
  startupBytes,
  startupMessage,
} from './messages.ts';

const frames = [
  query('select 1'),
  parse('s', 'select $1', [23, 25]),
  bind('p', 's', ['a', 'b']),
  describe({ kind: 'portal', name: 'p' }),
  execute('p', 7),
  close({ kind: 'statement', name: 's' }),
];

test('a frame cut at any byte is put together as it was', () => {
  for (const whole of frames) {
    for (let at = 0; at <= whole.length; at++) {
      const partial = new PartialFrame();
      expect(partial.fill(whole.subarray(0, at), 0)).toBe(at);
      expect(partial.fill(whole.subarray(at), 0)).toBe(whole.length - at);
      expect(partial.take()?.equals(whole)).toBe(true);
      expect(partial.isEmpty).toBe(true);
    }
  }
});

test('a frame takes only what is its own', () => {
  const partial = new PartialFrame();
  const both = Buffer.concat([frames[0]!, frames[1]!]);
  partial.fill(both.subarray(0, 3), 0);
  expect(partial.fill(both, 3)).toBe(frames[0]!.length);
});

const header = (length: number): Buffer => {
  const bytes = Buffer.from('Q\0\0\0\0');
  bytes.writeInt32BE(length, 1);
  return bytes;
};

test('lengths below the header or above the limit are refused', () => {
  expect(() => frameBytes(header(3), 0)).toThrowError(expect.objectContaining({ code: 'protocol.malformed' }));
  expect(() => frameBytes(header(-1), 0)).toThrowError(expect.objectContaining({ code: 'protocol.malformed' }));
  expect(frameBytes(header(4), 0)).toBe(5);
  expect(frameBytes(header(LIMITS.frameBytesMax), 0)).toBe(LIMITS.frameBytesMax + 1);
  expect(() => frameBytes(header(LIMITS.frameBytesMax + 1), 0)).toThrowError(
    expect.objectContaining({ code: 'frame.too_large' }),
  );
});

test('an announced length takes no memory before its bytes are there', () => {
  const before = process.memoryUsage().arrayBuffers;
  const partial = new PartialFrame();
  partial.fill(header(LIMITS.frameBytesMax), 0);
  partial.fill(Buffer.from('x'), 0);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
});

test('every message loses its meaning with any byte cut off or added', () => {
  const parsers: [Buffer, (bytes: Buffer) => unknown][] = [
    [frames[1]!, (bytes) => parseParse(bytes, 0, bytes.length)],
    [frames[2]!, (bytes) => parseBind(bytes, 0, bytes.length)],
    [frames[3]!, (bytes) => parseTarget(bytes, 0, bytes.length)],
    [frames[4]!, (bytes) => parseExecute(bytes, 0, bytes.length)],
  ];
  for (const [whole, read] of parsers) {
    expect(() => read(whole)).not.toThrow();
    for (let at = 5; at < whole.length; at++) expect(() => read(whole.subarray(0, at)), `${at}`).toThrow();
    expect(() => read(Buffer.concat([whole, Buffer.of(0)]))).toThrow();
  }
});

test('values that lie about their length are refused', () => {
  const whole = Buffer.from(frames[2]!);
  const at = whole.indexOf('a') - 4;
  for (const length of [-2, 1_000, 0x7fffffff]) {
    whole.writeInt32BE(length, at);
    expect(() => parseBind(whole, 0, whole.length)).toThrowError(
      expect.objectContaining({ code: 'protocol.malformed' }),
    );
  }
});

test('names that differ in a byte never read alike', () => {
  const one = parse('x', 'select 1');
  const named = (byte: number): string => {
    const copy = Buffer.from(one);
    copy[5] = byte;
    return parseParse(copy, 0, copy.length).name;
  };
  expect(named(0xff)).not.toBe(named(0xfe));
});

test('a startup packet is read back as it was said', () => {
  const packet = startupMessage({ user: 'a', database: 'b' });
  expect(startupBytes(packet)).toBe(packet.length);
  expect(parseStartupPacket(packet)).toEqual({
    kind: 'startup',
    major: 3,
    minor: 0,
    parameters: new Map([
      ['user', 'a'],
      ['database', 'b'],
    ]),
  });
  for (let at = 8; at < packet.length; at++) expect(() => parseStartupPacket(packet.subarray(0, at))).toThrow();
  expect(() => parseStartupPacket(Buffer.concat([packet, Buffer.of(0)]))).toThrow();
});

test('random bodies are refused or read, never more', () => {
  let seed = 42;
  const random = (): number => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return seed >>> 8;
  };
  for (let i = 0; i < 20_000; i++) {
    const body = Buffer.from(Array.from({ length: 5 + (random() % 40) }, () => random() & 255));
    for (const read of [parseParse, parseBind, parseTarget, parseExecute, parseRowDescription, parseFields]) {
      try {
        read(body, 0, body.length);
      } catch (error) {
        expect(error).toHaveProperty('code');
      }
    }
  }
});
