import { createHash } from 'node:crypto';
import { LIMITS } from '@sallyport/core';
import type { DetectMask } from '@sallyport/model';
import type { RecorderPort } from '@sallyport/protocol-kit';
import { expect, test } from 'vitest';
import { frame } from './codec.ts';
import { CopyIn, type CopyInKeeps, copyInKeeps } from './copy-in.ts';

const CARD = '4111111111111111';
const DETECT: readonly DetectMask[] = [
  { detect: 'payment_card', with: 'partial' },
  { detect: 'email', with: 'partial' },
  { detect: 'secret_key', with: 'partial' },
];
const MASKED: CopyInKeeps = { kind: 'masked', isText: true, detect: DETECT, key: undefined };
const CLEAR: CopyInKeeps = { kind: 'clear', isText: true };

interface Kept {
  text: string;
  lines: number;
  readonly cuts: { readonly lines: number; readonly bytes: number; readonly digest: string }[];
  /** Bytes that a recorder takes. */
  room: number;
}

function copy(keeps: CopyInKeeps, room = Number.MAX_SAFE_INTEGER): { readonly to: CopyIn; readonly kept: Kept } {
  const kept: Kept = { text: '', lines: 0, cuts: [], room };
  const recorder: RecorderPort = {
    level: 'full',
    saturated: false,
    onDrained: undefined,
    statement: () => undefined,
    columns: () => undefined,
    rows: () => undefined,
    note: () => undefined,
    resize: () => undefined,
    streamOutput: () => false,
    settle: () => undefined,
    streamInput: () => undefined,
    exit: () => undefined,
    file: () => undefined,
    httpHead: () => undefined,
    httpBody: () => undefined,
    httpEnd: () => undefined,
    input: (_number, bytes, lines) => {
      if (bytes.length > kept.room) return false;
      kept.room -= bytes.length;
      kept.text += Buffer.from(bytes).toString('latin1');
      kept.lines += lines;
      return true;
    },
    inputCut: (_number, lines, bytes, digest) => void kept.cuts.push({ lines, bytes, digest }),
  };
  return { to: new CopyIn(recorder, 1, keeps), kept };
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** @param pieces bodies of CopyData messages */
function load(keeps: CopyInKeeps, pieces: readonly string[], complete = true, room?: number): Kept {
  const { to, kept } = copy(keeps, room);
  for (const piece of pieces) {
    to.message(frame('d', Buffer.from(piece)));
    to.flush();
  }
  to.end(complete);
  return kept;
}

test('a value that is cut at any byte, between messages or inside one, is masked as if it were not', () => {
  const text = `1\t${CARD}\tx\n2\tada@example.com\r\n3\tlast 4111 1111 1111 1111`;
  const expected = load(MASKED, [text]);
  expect(expected.text).toBe('1\t************1111\tx\n2\ta***@e***.com\r\n3\tlast ************1111');
  expect(expected.lines).toBe(2);
  for (let cut = 0; cut <= text.length; cut++) {
    const kept = load(MASKED, [text.slice(0, cut), text.slice(cut)]);
    expect(kept).toMatchObject({ text: expected.text, lines: 2, cuts: [] });
  }
  const message = frame('d', Buffer.from(text));
  for (let cut = 5; cut <= message.length; cut++) {
    const { to, kept } = copy(MASKED);
    for (const piece of [message.subarray(0, cut), message.subarray(cut)]) {
      if (piece.length > 0) to.message(piece);
      to.flush();
    }
    to.end(true);
    expect(kept.text).toBe(expected.text);
  }
  expect(load(MASKED, text.split('')).text).toBe(expected.text);
});

test('lines that end in a carriage return alone are lines', () => {
  const { to, kept } = copy(MASKED);
  to.message(frame('d', Buffer.from(`1\t${CARD}\r2\t41111111`)));
  to.flush();
  expect(kept.text).toBe('1\t************1111\r');
  to.message(frame('d', Buffer.from('11111111\r')));
  to.end(true);
  expect(kept.text).toBe('1\t************1111\r2\t************1111\r');
});

test('a COPY that breaks off keeps no half value', () => {
  const kept = load(MASKED, ['1\tone\n', '2\t41111111'], false);
  expect(kept.text).toBe('1\tone\n');
  expect(kept.cuts).toEqual([{ lines: 0, bytes: 10, digest: digest('2\t41111111') }]);
});

test('a line that is too long is left out, and the next one kept', () => {
  const long = `1\t${'x'.repeat(2 * LIMITS.recordedLineBytesMax)}${CARD}\n`;
  const pieces = long.match(/[^]{1,60000}/g)!;
  const kept = load(MASKED, ['0\tzero\n', ...pieces, `2\t${CARD}\n`]);
  expect(kept.text.slice(0, 99)).toBe('0\tzero\n2\t************1111\n');
  expect(kept.cuts).toEqual([{ lines: 1, bytes: long.length, digest: digest(long) }]);
});

test('a line as long as the limit is kept', () => {
  const line = `${'x'.repeat(LIMITS.recordedLineBytesMax - 1)}\n`;
  expect(load(MASKED, line.match(/[^]{1,60000}/g)!)).toMatchObject({ text: line, cuts: [] });
});

test('a private key over several lines is masked, also when its lines come one by one', () => {
  const key = `-----BEGIN PRIVATE KEY-----\n${'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n'.repeat(20)}-----END PRIVATE KEY-----`;
  const text = `1,before\n2,"${key}"\n3,after\n`;
  const expected = '1,before\n2,"[redacted]"\n3,after\n';
  for (let size = 1; size < 90; size += 7) {
    const kept = load(MASKED, text.match(new RegExp(`[^]{1,${size}}`, 'g'))!);
    expect(kept).toMatchObject({ text: expected, cuts: [] });
  }
});

test('a private key that never ends keeps nothing of what follows', () => {
  const lines = 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n'.repeat(2000);
  const kept = load(MASKED, ['1,before\n-----BEGIN PRIVATE KEY-----\n', ...Array.from({ length: 20 }, () => lines)]);
  expect(kept.text).toBe('1,before\n');
  expect(kept.cuts).toHaveLength(1);
});

test('a number behind escapes that a server undoes is not kept', () => {
  const kept = load(MASKED, [`1\t\\x34111\\061111-1111-1111\n2\tplain\\x41\n3\t\\\\x41\\tb\n`]);
  expect(kept.text).toBe('[redacted]\n2\tplain\\x41\n3\t\\\\x41\\tb\n');
});

test('without masks all is kept as it came, in text and in binary, and lines are counted', () => {
  const text = `1\t${CARD}\n\0\xff2\tx\n`;
  const kept = copy(CLEAR);
  kept.to.message(frame('d', Buffer.from(text, 'latin1')));
  kept.to.end(false);
  expect(kept.kept).toMatchObject({ text, lines: 2, cuts: [] });
});

test('what the recorder does not take is counted and digested as it was sent', () => {
  const line = `${CARD}\n`;
  const text = line.repeat(3000);
  for (const keeps of [MASKED, CLEAR]) {
    const kept = load(keeps, text.match(/[^]{1,9000}/g)!, true, 20_000);
    const taken = kept.text.length;
    expect(taken).toBeGreaterThan(20_000 - 9_000);
    expect(kept.cuts).toEqual([
      { lines: 3000 - kept.lines, bytes: text.length - taken, digest: digest(text.slice(taken)) },
    ]);
  }
});

test('next to masked columns, and in binary under any mask, nothing is kept but the digest', () => {
  const guard = { key: undefined, reach: undefined, touches: false, quotes: false, rowsMax: Number.POSITIVE_INFINITY };
  const columns = [{ schema: 'public', table: 'customers', column: 'ssn', with: 'redact' as const }];
  const none = { ...guard, masks: { columns: [], detect: [] } };
  expect(copyInKeeps(none, true).kind).toBe('clear');
  expect(copyInKeeps(none, false).kind).toBe('clear');
  const detecting = { ...guard, masks: { columns: [], detect: DETECT } };
  expect(copyInKeeps(detecting, true).kind).toBe('masked');
  expect(copyInKeeps(detecting, false).kind).toBe('nothing');
  expect(copyInKeeps({ ...guard, masks: { columns, detect: [] } }, false).kind).toBe('nothing');
  expect(
    copyInKeeps({ ...guard, quotes: true, rowsMax: Number.POSITIVE_INFINITY, masks: { columns, detect: DETECT } }, true)
      .kind,
  ).toBe('nothing');
  const kept = load({ kind: 'nothing', isText: true }, ['1\tone\n', '2\ttwo\n']);
  expect(kept).toMatchObject({ text: '', lines: 0 });
  expect(kept.cuts).toEqual([{ lines: 2, bytes: 12, digest: digest('1\tone\n2\ttwo\n') }]);
});

test('what is held back is bounded', () => {
  const { to } = copy(MASKED);
  const before = process.memoryUsage().arrayBuffers;
  const message = frame('d', Buffer.alloc(64 * 1024, 'x'));
  for (let i = 0; i < 400; i++) {
    to.message(message);
    to.flush();
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * LIMITS.recordedLineBytesMax);
});
