import { randomBytes } from 'node:crypto';
import { GatewayError, LIMITS } from '@sallyport/core';
import { expect, test } from 'vitest';
import { ByteBatch } from './bytes.ts';
import { GOLDEN_FRAMES, GOLDEN_SESSION, GOLDEN_STREAM_FRAMES } from './golden.fixture.ts';
import { openRecordingChunk, sealRecordingChunk } from './recording-chunk.ts';
import { decodeFrames, encodeFrame, FrameWriter, type RecordingFrame } from './recording-frame.ts';
import { replayRecording } from './recording-reader.ts';
import { CopyReader } from './replay-copy.ts';
import { PostgresRowReader, readPostgresRows } from './replay-postgres.ts';
import { SessionKey } from './session-key.ts';

async function recordingOf(key: SessionKey, groups: readonly (readonly RecordingFrame[])[]) {
  const stored: Buffer[] = [];
  const chunks = [];
  for (const [index, frames] of groups.entries()) {
    const [fromMs, toMs] = [frames[0]!.atMs, frames.at(-1)!.atMs];
    const plain = Buffer.concat(frames.map((frame) => encodeFrame(frame, fromMs)));
    const head = { sessionId: GOLDEN_SESSION, keyId: key.keyId, index, fromMs, toMs };
    const { bytes, digest } = await sealRecordingChunk(head, plain, key.recordingKey());
    stored.push(bytes);
    chunks.push({ index, digest, fromMs, toMs });
  }
  const reads: number[] = [];
  const readChunk = async (index: number): Promise<Buffer> => {
    reads.push(index);
    return stored[index]!;
  };
  return { stored, reads, source: { sessionId: GOLDEN_SESSION, chunks, readChunk } };
}

test('a replay yields every frame, and from an instant only what follows without reading what came before', async () => {
  const key = new SessionKey(GOLDEN_SESSION);
  const { reads, source } = await recordingOf(key, [
    GOLDEN_FRAMES.slice(0, 3),
    GOLDEN_FRAMES.slice(3, 6),
    GOLDEN_FRAMES.slice(6),
  ]);
  expect(await collect(replayRecording(source, key.reader()))).toEqual(GOLDEN_FRAMES);
  reads.length = 0;
  const late = await collect(replayRecording(source, key.reader(), 301));
  expect(late).toEqual(GOLDEN_FRAMES.filter((frame) => frame.atMs >= 301));
  expect(reads).toEqual([1, 2]);
});

test('a chunk that is altered, swapped or under another key is refused', async () => {
  const key = new SessionKey(GOLDEN_SESSION);
  const { stored, source } = await recordingOf(key, [GOLDEN_FRAMES.slice(0, 3), GOLDEN_FRAMES.slice(3)]);
  const run = (readChunk: (index: number) => Promise<Buffer>, by = key) =>
    collect(replayRecording({ ...source, readChunk }, by.reader()));
  await expect(run(async (index) => stored[1 - index]!)).rejects.toThrow(GatewayError);
  await expect(run(source.readChunk, new SessionKey(GOLDEN_SESSION))).rejects.toThrow(GatewayError);
  const chunk = stored[0]!;
  for (let i = 0; i < chunk.length; i++) {
    const bytes = Buffer.from(chunk);
    bytes[i]! ^= 1;
    await expect(openRecordingChunk(bytes, key.recordingKey())).rejects.toThrow(GatewayError);
  }
});

test('frames cut at any byte are refused or end at a frame', () => {
  for (const golden of [GOLDEN_FRAMES, GOLDEN_STREAM_FRAMES]) {
    const bytes = Buffer.concat(golden.map((frame) => encodeFrame(frame, 12)));
    for (let cut = 0; cut < bytes.length; cut++) {
      try {
        const frames = [...decodeFrames(bytes.subarray(0, cut), 12)];
        expect(frames).toEqual(golden.slice(0, frames.length));
      } catch (error) {
        expect(error).toBeInstanceOf(GatewayError);
      }
    }
  }
});

test('rows of PostgreSQL read as cells, with NULL apart from empty and binary as hex', () => {
  const row = Buffer.from('440000001d0004' + '00000003416461' + 'ffffffff' + '00000000' + '0000000400000007', 'hex');
  row.writeInt32BE(row.length - 1, 1);
  expect([...readPostgresRows(Buffer.concat([row, row]))]).toEqual([
    ['Ada', undefined, '', '\\x00000007'],
    ['Ada', undefined, '', '\\x00000007'],
  ]);
  for (let cut = 0; cut <= row.length; cut++) {
    const reader = new PostgresRowReader();
    expect([...reader.push(row.subarray(0, cut)), ...reader.push(row.subarray(cut))].length).toBe(1);
  }
  for (let cut = 1; cut < row.length; cut++)
    expect(() => [...readPostgresRows(row.subarray(0, cut))]).toThrow(GatewayError);
});

const copyData = (text: string, encoding: BufferEncoding = 'utf8'): Buffer => {
  const body = Buffer.from(text, encoding);
  const head = Buffer.from('6400000000', 'hex');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};
const BINARY = Buffer.concat([
  Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'),
  Buffer.alloc(8),
  Buffer.from('0003' + '00000003416461' + 'ffffffff' + '0000000400000007', 'hex'),
  Buffer.from('0001' + '00000000', 'hex'),
  Buffer.from('ffff', 'hex'),
]);

test('COPY out reads as a cell for each line, a last line without its end too, however the messages are cut', () => {
  const sent = Buffer.concat([copyData('1\tAda\n'), copyData('2\t\\N\r\n'), copyData(''), copyData('3\t\u00e9')]);
  for (let cut = 0; cut <= sent.length; cut++) {
    const reader = new PostgresRowReader();
    const rows = [...reader.push(sent.subarray(0, cut)), ...reader.push(sent.subarray(cut)), ...reader.end()];
    expect(rows).toEqual([['1\tAda'], ['2\t\\N'], ['3\t\u00e9']]);
  }
  expect(readPostgresRows(sent)).toHaveLength(3);
  expect(() => readPostgresRows(sent.subarray(0, -1))).toThrow(GatewayError);
});

test('binary COPY reads as its cells, in messages or as a stream that is cut anywhere', () => {
  const expected = [['Ada', undefined, '\\x00000007'], ['']];
  expect(readPostgresRows(copyData(BINARY.toString('latin1'), 'latin1'))).toEqual(expected);
  for (let cut = 0; cut <= BINARY.length; cut++) {
    const reader = new CopyReader();
    const rows = [reader.push(BINARY.subarray(0, cut)), reader.push(BINARY.subarray(cut)), reader.end()].flat();
    expect(rows).toEqual(expected);
  }
});

test('a COPY that is no tuples after its signature shows nothing rather than guesses', () => {
  const broken = Buffer.concat([BINARY.subarray(0, 19), Buffer.from('0001fffffff0aabb', 'hex'), BINARY.subarray(19)]);
  expect(new CopyReader().push(broken)).toEqual([]);
});

test('a line longer than the limit is named, not kept, and the next one reads', () => {
  const reader = new CopyReader();
  const piece = Buffer.alloc(256 * 1024, 'x');
  const rows = [reader.push(Buffer.from('a\n')), ...Array.from({ length: 9 }, () => reader.push(piece))].flat();
  rows.push(...reader.push(Buffer.from('xx\nb\n')), ...reader.end());
  expect(rows).toEqual([['a'], [`[more than ${LIMITS.recordedLineBytesMax} bytes]`], ['b']]);
});

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of source) all.push(one);
  return all;
}

test('chunks that are sealed beside each other open to what they were, of any size', async () => {
  const key = randomBytes(32);
  const sizes = [0, 1, 65_536, 131_073, LIMITS.recordingChunkBytesMax];
  const chunks = [1, 2, 3].flatMap((round) =>
    sizes.flatMap((size) => [randomBytes(size), Buffer.alloc(size, `${round} of ${size}\n`)]),
  );
  const head = { sessionId: GOLDEN_SESSION, keyId: Buffer.alloc(16, 1), fromMs: 0, toMs: 1 };
  const sealed = await Promise.all(chunks.map((plain, index) => sealRecordingChunk({ ...head, index }, plain, key)));
  const opened = await Promise.all(sealed.map(({ bytes }) => openRecordingChunk(bytes, key)));
  expect(opened.every((plain, at) => plain.equals(chunks[at]!))).toBe(true);
});

test('a text is kept letter by letter, whatever its length and its letters, and so is what stands behind it', () => {
  for (const units of [0, 1, 126, 127, 128, 300])
    for (const last of ['', 'a', 'é', '数', '😀', '\ud800']) {
      const text = 'x'.repeat(units) + last;
      const batch = new ByteBatch(16);
      const out = new FrameWriter(batch);
      out.text('statement', 1, 2, text);
      out.httpHead(2, 2, 'response', Buffer.from(text));
      out.text('complete', 3, 2, 'done');
      const shown = text.toWellFormed();
      expect([...decodeFrames(batch.view, 0)]).toEqual([
        { kind: 'statement', atMs: 1, number: 2, text: shown },
        { kind: 'http_head', atMs: 2, number: 2, side: 'response', text: shown },
        { kind: 'complete', atMs: 3, number: 2, text: 'done' },
      ]);
    }
});

test('a row too large to be gathered is shown by its size, whatever frames it comes in, and the next one is whole', () => {
  const row = (text: string): Buffer => {
    const cell = Buffer.from(text);
    const bytes = Buffer.alloc(11 + cell.length);
    bytes[0] = 0x44;
    bytes.writeInt32BE(bytes.length - 1, 1);
    bytes.writeInt16BE(1, 5);
    bytes.writeInt32BE(cell.length, 7);
    cell.copy(bytes, 11);
    return bytes;
  };
  const large = row('y'.repeat(LIMITS.replayedRowBytesMax));
  const all = Buffer.concat([row('a'), large, row('b'), row('')]);
  for (const size of [all.length, 256 * 1024, 1_000_003]) {
    const reader = new PostgresRowReader();
    const rows: (readonly unknown[])[] = [];
    for (let at = 0; at < all.length; at += size) rows.push(...reader.push(all.subarray(at, at + size)));
    expect(rows.map(String), `in pieces of ${size}`).toEqual(['a', `(${large.length} bytes)`, 'b', '']);
    expect(reader.pending).toBe(0);
  }
});
