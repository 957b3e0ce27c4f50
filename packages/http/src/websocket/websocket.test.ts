import { bodyMasks, encodeWebSocketFrame, FrameReader, WebSocketSide } from '@sallyport/http';
import type { MaskSet } from '@sallyport/model';
import { describe, expect, test } from 'vitest';

const MASKS: MaskSet = {
  columns: [],
  detect: [{ detect: 'email', with: 'partial' }],
  json: [{ path: 'ssn', with: 'redact' }],
};
const DETECT: MaskSet = { columns: [], detect: MASKS.detect };
const KEY = Buffer.of(1, 2, 3, 4);

interface Frame {
  readonly fin: boolean;
  readonly opcode: number;
  readonly text: string;
}
/** As an endpoint of our own reads them. */
function framesOf(bytes: Uint8Array, fromClient = false): Frame[] {
  const frames: Frame[] = [];
  let text = Buffer.alloc(0);
  const reader = new FrameReader(fromClient);
  reader.push(bytes, {
    head: () => (text = Buffer.alloc(0)),
    payload: (_raw, plain) => (text = Buffer.concat([text, plain])),
    end: ({ fin, opcode }) => frames.push({ fin, opcode, text: text.toString() }),
  });
  expect(reader.broken).toBe(false);
  return frames;
}
function through(chunks: readonly Uint8Array[], masks: MaskSet | undefined, fromClient = false) {
  const sent: Buffer[] = [];
  const said: string[] = [];
  const side = new WebSocketSide(fromClient, masks === undefined ? undefined : bodyMasks(masks), {
    send: (bytes) => void sent.push(Buffer.from(bytes)),
    message: (text, bytes) => void said.push(text === undefined ? `binary ${bytes}` : Buffer.from(text).toString()),
  });
  for (const chunk of chunks) side.push(chunk);
  return { sent: Buffer.concat(sent), said, failed: side.failed };
}
const bytewise = (bytes: Uint8Array): Uint8Array[] => Array.from(bytes, (byte) => Uint8Array.of(byte));
/** Not the last fragment. */
const open = (frame: Buffer): Buffer => {
  frame[0]! &= 0x7f;
  return frame;
};
const text = (message: string): Buffer => encodeWebSocketFrame(1, Buffer.from(message));

test('words of control frames that may hold what a path names are hidden whole', () => {
  const close = Buffer.concat([Buffer.of(3, 232), Buffer.from('{"ssn":"1"}')]);
  const frames = [encodeWebSocketFrame(9, Buffer.from('{"ssn":"1"}')), encodeWebSocketFrame(8, close)];
  const seen = framesOf(through(frames, MASKS).sent).map(({ opcode, text: said }) => [opcode, said.slice(-10)]);
  expect(seen).toEqual([
    [9, '[redacted]'],
    [8, '[redacted]'],
  ]);
  expect(through(frames, DETECT).sent).toEqual(Buffer.concat(frames));
});

describe('messages to a client', () => {
  const bytes = Buffer.concat([
    text('{"ssn":"1","mail":"ada@example.com"}'),
    open(encodeWebSocketFrame(1, Buffer.from('to ada@'))),
    encodeWebSocketFrame(9, Buffer.from('ping')),
    encodeWebSocketFrame(0, Buffer.from('example.com')),
    text('[DONE]'),
    text(`{"long":"${'x'.repeat(70_000)}"}`),
    encodeWebSocketFrame(8, Buffer.from('\u0003\u00e8bob@example.com', 'latin1')),
  ]);
  const shown = [
    [1, '{"ssn":"[redacted]","mail":"a***@e***.com"}'],
    [9, 'ping'],
    [1, 'to a***@e***.com'],
    [1, '[DONE]'],
    [1, `{"long":"${'x'.repeat(70_000)}"}`],
  ];
  test('are masked whole, wherever frames and the stream are cut', () => {
    for (const chunks of [[bytes], bytewise(bytes)]) {
      const { sent, said, failed } = through(chunks, MASKS);
      expect(failed).toBeUndefined();
      const frames = framesOf(sent);
      expect(frames.slice(0, -1).map((frame) => [frame.opcode, frame.text])).toEqual(shown);
      expect(frames.every((frame) => frame.fin)).toBe(true);
      expect(frames.at(-1)?.text.endsWith('b***@e***.com')).toBe(true);
      expect(said).toEqual(shown.filter(([opcode]) => opcode === 1).map(([, message]) => message));
    }
  });
  test('pass byte for byte where nothing is masked', () => {
    for (const chunks of [[bytes], bytewise(bytes)]) expect(through(chunks, undefined).sent).toEqual(bytes);
  });
  test.each([
    ['JSON that is none', text('{"ssn":1,}'), MASKS],
    ['binary, where a path is masked', encodeWebSocketFrame(2, Buffer.from('x')), MASKS],
    ['binary with a find in it', encodeWebSocketFrame(2, Buffer.from('ada@example.com')), DETECT],
    ['no UTF-8', encodeWebSocketFrame(1, Buffer.of(0xc1, 0x80)), DETECT],
    ['longer than may be held', encodeWebSocketFrame(1, Buffer.alloc(1_100_000, 'x')), DETECT],
  ])('that cannot be masked are cut: %s', (_name, frame, masks) => {
    const { sent, failed } = through([frame], masks);
    expect(failed).toBe('http.body_unmaskable');
    expect(sent).toHaveLength(0);
  });
  test('binary without a find passes', () => {
    const frame = encodeWebSocketFrame(2, Buffer.of(0, 1, 255));
    expect(through([frame], DETECT)).toMatchObject({ sent: frame, said: ['binary 3'] });
  });
});

test('messages to a server pass as they came, and are recorded without their mask', () => {
  const bytes = Buffer.concat([
    encodeWebSocketFrame(1, Buffer.from('hello'), KEY),
    open(encodeWebSocketFrame(1, Buffer.from('a'), KEY)),
    encodeWebSocketFrame(0, Buffer.from('b'), KEY),
  ]);
  for (const chunks of [[bytes], bytewise(bytes)])
    expect(through(chunks, undefined, true)).toEqual({ sent: bytes, said: ['hello', 'ab'], failed: undefined });
});

describe('frames an endpoint must refuse', () => {
  test.each([
    ['compressed', true, Buffer.of(0xc1, 0x80, 0, 0, 0, 0)],
    ['reserved opcode', true, Buffer.of(0x83, 0x80, 0, 0, 0, 0)],
    ['unmasked from a client', true, Buffer.of(0x81, 0x01, 65)],
    ['masked from a server', false, Buffer.of(0x81, 0x81, 0, 0, 0, 0, 65)],
    ['length of two bytes that fits into one', false, Buffer.of(0x81, 126, 0, 5)],
    ['length of eight bytes that fits into two', false, Buffer.of(0x81, 127, 0, 0, 0, 0, 0, 0, 1, 0)],
    ['length with its first bit set', false, Buffer.of(0x81, 127, 255, 0, 0, 0, 0, 0, 1, 0)],
    ['fragmented ping', false, Buffer.of(0x09, 0)],
    ['long ping', false, Buffer.of(0x89, 126, 0, 126)],
    ['continuation of nothing', false, Buffer.of(0x80, 0)],
    ['a message inside a message', false, Buffer.of(0x01, 0, 0x81, 0)],
    ['a close with half a code', false, Buffer.of(0x88, 1, 3)],
  ])('%s', (_name, fromClient, bytes) => {
    for (const chunks of [[bytes], bytewise(bytes)])
      expect(through(chunks, undefined, fromClient).failed).toBe('http.malformed');
  });
});
