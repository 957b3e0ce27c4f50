/** Every row of rows/pieces.ts: cut in two at every place, letter by letter, and in bytes that come as they come. */
import {
  type BodyMasker,
  encodeWebSocketFrame,
  OPCODES,
  openBodyMasker,
  openJoinedTexts,
  WebSocketSide,
} from '@sallyport/http';
import type { MaskSet } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { NEVER, PIECES, type PiecesRow, SHOWN, TEXT } from './rows/pieces.ts';

const MASKS: MaskSet = {
  columns: [],
  detect: [
    { detect: 'payment_card', with: 'redact' },
    { detect: 'email', with: 'redact' },
  ],
  json: [{ path: '**.secret', with: 'redact' }],
};
const letters = Array.from(TEXT);
const cuts: readonly (readonly string[])[] = [
  [TEXT],
  letters,
  ...letters.slice(1).map((_, i) => [letters.slice(0, i + 1).join(''), letters.slice(i + 1).join('')]),
  ...[2, 3, 5, 7].map((step) =>
    Array.from({ length: Math.ceil(letters.length / step) }, (_, i) =>
      letters.slice(i * step, (i + 1) * step).join(''),
    ),
  ),
];

function shown(row: PiecesRow, bytes: Buffer, step: number): string {
  const masker = openBodyMasker(MASKS, {
    contentType: row.type,
    contentEncoding: '',
    streams: row.streams,
  }) as BodyMasker;
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += step) {
    out.push(Buffer.from(masker.push(bytes.subarray(at, at + step))), Buffer.from(masker.idle()));
    expect(masker.failed).toBeUndefined();
  }
  out.push(Buffer.from(masker.end()));
  expect(masker.failed).toBeUndefined();
  return Buffer.concat(out).toString();
}

describe.each(PIECES)('$name', (row) => {
  test('wherever it is cut', () => {
    for (const pieces of cuts) {
      const messages = row.messages(pieces);
      for (const step of [1_000_000, 29]) {
        const text = shown(row, Buffer.from(messages.join('')), step);
        expect(row.read([text]), JSON.stringify(pieces)).toBe(SHOWN);
        for (const value of NEVER) expect(text).not.toContain(value);
      }
    }
  });

  test('messages come when they come, and stay what they are but for the pieces', () => {
    const masker = openBodyMasker(MASKS, {
      contentType: row.type,
      contentEncoding: '',
      streams: row.streams,
    }) as BodyMasker;
    const clear = row.messages(['all clear. ']).filter((message) => !message.includes('"done":true'));
    let seen = 0;
    for (const message of clear) {
      const out = Buffer.from(masker.push(Buffer.from(message))).toString();
      seen += out.length > 0 ? 1 : 0;
    }
    expect(seen).toBe(clear.length);
  });

  test('over a WebSocket', () => {
    const messages = row
      .messages(letters)
      .flatMap((one) => [...one.matchAll(/^(?:data: )?(\{.*|\[DONE\])$/gm)].map(([, data = '']) => data));
    const got: string[] = [];
    const side = new WebSocketSide(
      false,
      { plan: undefined, detect: MASKS.detect },
      { send: () => undefined, message: (text) => void got.push(Buffer.from(text ?? []).toString()) },
      openJoinedTexts(MASKS, undefined, row.streams),
    );
    for (const message of messages) {
      // In two frames.
      const bytes = Buffer.from(message);
      const half = Math.floor(bytes.length / 2);
      const first = Buffer.from(encodeWebSocketFrame(OPCODES.text, bytes.subarray(0, half)));
      first[0]! &= 0x7f;
      side.push(first);
      side.push(Buffer.from(encodeWebSocketFrame(OPCODES.continuation, bytes.subarray(half))));
    }
    side.push(Buffer.from(encodeWebSocketFrame(OPCODES.close, Buffer.of(3, 232))));
    expect(side.failed).toBeUndefined();
    for (const value of NEVER) expect(got.join('\n')).not.toContain(value);
    expect(got.join('\n')).toContain('agreed');
  });
});

describe('what cannot be put together is cut', () => {
  const streams = [{ path: 'choices[].delta.content' }];
  test.each([
    ['a member twice', '{"choices":[{"delta":{"content":"4111 1111 ","content":"4111 1111 "}}]}'],
    ['no JSON', '{"choices":[{"delta":{content:"4111 1111 "}}]}'],
    ['too long', JSON.stringify({ choices: [{ delta: { content: 'x'.repeat(70_000) } }] })],
    [
      'too many',
      JSON.stringify({ choices: Array.from({ length: 65 }, (_, index) => ({ index, delta: { content: 'x' } })) }),
    ],
  ])('%s', (_name, data) => {
    const masker = openBodyMasker(MASKS, {
      contentType: 'text/event-stream',
      contentEncoding: '',
      streams,
    }) as BodyMasker;
    masker.push(Buffer.from(`data: ${data}\n\n`));
    expect(masker.failed).toBe('http.body_unmaskable');
  });
  test('but where a mask names the text itself it is masked by it', () => {
    const masks: MaskSet = { ...MASKS, json: [{ path: '**.delta', with: 'redact' }] };
    const masker = openBodyMasker(masks, {
      contentType: 'text/event-stream',
      contentEncoding: '',
      streams,
    }) as BodyMasker;
    const out = Buffer.from(masker.push(Buffer.from('data: {"choices":[{"delta":{"content":"x"}}]}\n\n'))).toString();
    expect(out).toBe('data: {"choices":[{"delta":"[redacted]"}]}\n\n');
  });
});

test.each([[undefined], [[{ path: 'token' }]]])('a value over lines of one event, with streams %j', (streams) => {
  for (const data of ['4111 1111', '4111 11112222', 'ada.lovelace@example.com']) {
    const whole = data.startsWith('4111') ? '4111 1111 1111 1111' : data;
    for (let at = 1; at < whole.length; at++) {
      const masker = openBodyMasker(
        { ...MASKS, json: [] },
        { contentType: 'text/event-stream', contentEncoding: '', ...(streams === undefined ? {} : { streams }) },
      ) as BodyMasker;
      const event = `data: to ${whole.slice(0, at)}\ndata: ${whole.slice(at)} end\n\ndata: next\n\n`;
      const out = Buffer.from(masker.push(Buffer.from(event))).toString();
      const text = out.replaceAll(/^data: /gm, '').replaceAll('\n', '');
      expect(text.includes('11 11') || text.includes('1111') || text.includes('lovelace'), `${at}: ${out}`).toBe(false);
      expect(out).toContain('data: next');
    }
  }
});
