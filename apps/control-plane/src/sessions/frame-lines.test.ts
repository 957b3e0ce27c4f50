import { gzipSync } from 'node:zlib';
import type { RecordingFrame } from '@sallyport/trail';
import { expect, test } from 'vitest';
import { FrameLines } from './frame-lines.ts';

const CARD = '4111111111111111';
const input = (text: string, number = 1): RecordingFrame => {
  const bytes = Buffer.from(text);
  return { kind: 'input', atMs: 5, number, lines: text.split('\n').length - 1, bytes };
};
const rows = (bytes: Buffer, number = 1): RecordingFrame => ({ kind: 'rows', atMs: 5, number, count: 1, bytes });
const message = (type: string, body: Buffer): Buffer => {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};
const complete: RecordingFrame = { kind: 'complete', atMs: 9, number: 1, text: 'COPY' };

function lines(clear: boolean, frames: readonly RecordingFrame[]): readonly unknown[] {
  const to = new FrameLines(clear);
  const text = frames.map((frame) => to.line(frame)).join('');
  return text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown);
}

test('what a client loaded shows by lines, also when a line goes on in the next frame or lacks its end', () => {
  expect(lines(true, [input('1\tone\n2\tt'), input('wo\n3'), complete])).toEqual([
    { atMs: 5, kind: 'input', number: 1, rows: [['1\tone']] },
    { atMs: 5, kind: 'input', number: 1, rows: [['2\ttwo']] },
    { atMs: 9, kind: 'input', number: 1, rows: [['3']] },
    { atMs: 9, kind: 'complete', number: 1, text: 'COPY' },
  ]);
});

test('what detectors find in it is hidden from who may not see it in clear, and so is the digest of what was left out', () => {
  const cut: RecordingFrame = { kind: 'input_cut', atMs: 6, number: 1, lines: 1, bytes: 17, digest: 'ab'.repeat(32) };
  const digest = 'cd'.repeat(32);
  const others: readonly RecordingFrame[] = [
    { kind: 'cut', atMs: 7, number: 1, rows: 1, bytes: 17, digest },
    { kind: 'stream_cut', atMs: 8, number: 1, stream: 'stdout', bytes: 17, digest },
  ];
  const frames = [input(`${CARD.slice(0, 9)}`), input(`${CARD.slice(9)}\n`), cut, ...others];
  expect(JSON.stringify(lines(false, frames))).not.toMatch(/41111111|abab|cdcd/);
  expect(JSON.stringify(lines(true, frames))).toMatch(new RegExp(`${CARD}.*abab.*cdcd.*cdcd`));
});

test('a value that shows as hex is hidden, too', () => {
  const body = Buffer.concat([Buffer.from('000100000012', 'hex'), Buffer.from(`\x01 ${CARD}`)]);
  const hex = Buffer.from(CARD).toString('hex');
  expect(JSON.stringify(lines(true, [rows(message('D', body))]))).toContain(hex);
  expect(JSON.stringify(lines(false, [rows(message('D', body))]))).not.toContain(hex);
});

test('a statement that is judged while rows come does not tear a row', () => {
  const row = message('D', Buffer.concat([Buffer.from('000100000003', 'hex'), Buffer.from('Ada')]));
  const next: RecordingFrame = { kind: 'statement', atMs: 6, number: 2, text: 'select 2' };
  expect(lines(false, [rows(row.subarray(0, 7)), next, rows(row.subarray(7))])).toEqual([
    { atMs: 6, kind: 'statement', number: 2, text: 'select 2' },
    { atMs: 5, kind: 'rows', number: 1, rows: [['Ada']] },
  ]);
});

test('a COPY out shows by lines, and each of two in one statement begins anew', () => {
  const frames = [rows(message('d', Buffer.from('1\tone\n'))), complete, rows(message('d', Buffer.from('x\n')))];
  expect(lines(false, frames)).toEqual([
    { atMs: 5, kind: 'rows', number: 1, rows: [['1\tone']] },
    { atMs: 9, kind: 'complete', number: 1, text: 'COPY' },
    { atMs: 5, kind: 'rows', number: 1, rows: [['x']] },
  ]);
});

test('bodies of HTTP show without their coding, and without what detectors find unless they are asked for in clear', () => {
  const at = { atMs: 1, number: 3, side: 'response' } as const;
  const packed = gzipSync('{"mail":"ada@example.com","n":1}');
  const frames: readonly RecordingFrame[] = [
    {
      kind: 'http_head',
      ...at,
      text: 'HTTP/1.1 200\ncontent-type: application/json\ncontent-encoding: gzip\nx: ada@example.com\n',
    },
    { kind: 'http_head', atMs: 1, number: 4, side: 'response', text: 'HTTP/1.1 101\nupgrade: websocket\n' },
    { kind: 'http_body', ...at, bytes: packed.subarray(0, 9) },
    { kind: 'http_body', atMs: 1, number: 4, side: 'response', bytes: Buffer.from('to ada@example.com\n') },
    { kind: 'http_body', ...at, bytes: packed.subarray(9) },
    { kind: 'http_end', ...at, bytes: packed.length, cut: 0, digest: 'ab'.repeat(32) },
  ];
  const shown = (clear: boolean): readonly string[] =>
    (
      lines(clear, frames) as readonly {
        readonly kind: string;
        readonly bytes?: string;
        readonly text?: string;
        readonly digest?: string;
      }[]
    ).map(({ kind, bytes, text, digest }) =>
      `${kind} ${kind === 'http_body' ? Buffer.from(bytes ?? '', 'base64').toString() : (text ?? digest ?? '')}`.trim(),
    );
  expect(shown(true)).toEqual([
    'http_head HTTP/1.1 200\ncontent-type: application/json\ncontent-encoding: gzip\nx: ada@example.com',
    'http_head HTTP/1.1 101\nupgrade: websocket',
    'http_body to ada@example.com',
    'http_body {"mail":"ada@example.com","n":1}',
    `http_end ${'ab'.repeat(32)}`,
  ]);
  expect(shown(false)).toEqual([
    'http_head HTTP/1.1 200\ncontent-type: application/json\ncontent-encoding: gzip\nx: a***@e***.com',
    'http_head HTTP/1.1 101\nupgrade: websocket',
    'http_body to a***@e***.com',
    'http_body {"mail":"a***@e***.com","n":1}',
    'http_end',
  ]);
});

test('a stretch of a body shows to those alone who may see it in clear: what stood before it says how it is read', () => {
  const at = { atMs: 1, number: 3, side: 'response' } as const;
  const bytes = Buffer.from(`${Buffer.from('ada@example.com').toString('base64')}\r\nEND:VCARD\r\n`);
  const frames: readonly RecordingFrame[] = [
    { kind: 'http_head', ...at, text: 'HTTP/1.1 206\ncontent-type: text/vcard\n' },
    { kind: 'http_body', ...at, bytes },
    { kind: 'http_end', ...at, bytes: bytes.length, cut: 0, digest: 'ab'.repeat(32) },
  ];
  const shown = (clear: boolean): boolean => JSON.stringify(lines(clear, frames)).includes(bytes.toString('base64'));
  expect([shown(true), shown(false)]).toEqual([true, false]);
});
