import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger, LIMITS } from '@sallyport/core';
import type { RecordingLevel, TrailEvent } from '@sallyport/model';
import { PostgresRowReader, type RecordingFrame, replayRecording, SessionKey } from '@sallyport/trail';
import { afterAll, expect, test } from 'vitest';
import { DiskBudget } from '../spool/disk-budget.ts';
import { SessionRecorder } from './recorder.ts';
import { RecordingStore } from './recording-store.ts';

const SESSION = '0190b3a4-5c6d-7e8f-9a0b-1c2d3e4f5061';
const log = createLogger('test', { level: 'error', write: () => undefined, nowMs: () => 0 });

const root = mkdtempSync(join(tmpdir(), 'recording-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function bench(level: RecordingLevel, budgetBytes = 1e9) {
  const dir = mkdtempSync(join(root, 'r-'));
  const budget = new DiskBudget(budgetBytes);
  const store = new RecordingStore(dir, budget, log);
  const key = new SessionKey(SESSION);
  const clock = { nowMs: 1000 };
  const chunks: (TrailEvent & { kind: 'recording.chunk' })[] = [];
  const recorder = new SessionRecorder({
    sessionId: SESSION,
    key,
    level,
    openedAtMs: 1000,
    nowMs: () => clock.nowMs,
    store,
    log,
    recordChunk: (event) => void chunks.push(event),
  });
  const readChunk = async (index: number): Promise<Buffer> =>
    readFileSync(join(dir, 'recordings', `${SESSION}-${String(index).padStart(8, '0')}.rec`));
  const replay = async (fromMs = 0): Promise<RecordingFrame[]> => {
    await recorder.close();
    const frames: RecordingFrame[] = [];
    for await (const frame of replayRecording({ sessionId: SESSION, chunks, readChunk }, key.reader(), fromMs))
      frames.push(frame);
    return frames;
  };
  return { dir, budget, store, clock, chunks, recorder, replay };
}

/** A DataRow with one cell. */
function row(text: string): Buffer {
  const cell = Buffer.from(text);
  const bytes = Buffer.alloc(11 + cell.length);
  bytes[0] = 0x44;
  bytes.writeInt32BE(bytes.length - 1, 1);
  bytes.writeInt16BE(1, 5);
  bytes.writeInt32BE(cell.length, 7);
  bytes.set(cell, 11);
  return bytes;
}

test('a session replays as its client saw it, and from any instant', async () => {
  const { recorder, clock, replay } = bench('results');
  recorder.statement(1, 'select name from customers');
  clock.nowMs += 5;
  recorder.columns(1, ['name']);
  recorder.rows(1, Buffer.concat([row('Ada'), row('G***')]), 2);
  recorder.note(1, 'complete', 'SELECT 2');
  clock.nowMs += 9000;
  recorder.tick();
  recorder.statement(2, 'drop table customers');
  recorder.note(2, 'error', '42501');
  const frames = await replay();
  expect(frames.map((frame) => [frame.kind, frame.atMs])).toEqual([
    ['statement', 0],
    ['columns', 5],
    ['rows', 5],
    ['complete', 5],
    ['statement', 9005],
    ['error', 9005],
  ]);
  expect(frames[2]).toMatchObject({ count: 2, bytes: Buffer.concat([row('Ada'), row('G***')]) });
  expect((await replay(6000)).map((frame) => frame.kind)).toEqual(['statement', 'error']);
});

test('at level statements rows are not kept', async () => {
  const { recorder, replay } = bench('statements');
  recorder.statement(1, 'select 1');
  recorder.columns(1, ['a']);
  recorder.rows(1, row('1'), 1);
  recorder.note(1, 'complete', 'SELECT 1');
  expect((await replay()).map((frame) => frame.kind)).toEqual(['statement', 'complete']);
});

test.each([0, 5])(
  'at level results a statement keeps whole rows up to the limit, then counts and digests the rest: %i bytes into a chunk',
  async (from) => {
    const { recorder, replay } = bench('results');
    const around = Buffer.alloc(from, 'D');
    const add = (number: number, some: readonly Buffer[]): void => {
      const bytes = Buffer.concat([around, ...some, around]);
      recorder.rows(number, bytes, some.length, false, from, bytes.length - from);
    };
    const rows = Array.from({ length: 3000 }, (_, i) => row(`row ${i} ${'x'.repeat(40)}`));
    recorder.statement(1, 'select');
    for (let i = 0; i < rows.length; i += 700) add(1, rows.slice(i, i + 700));
    recorder.note(1, 'complete', 'SELECT 3000');
    add(2, [row('next statement')]);
    const frames = await replay();
    const kept = frames.flatMap((frame) => (frame.kind === 'rows' && frame.number === 1 ? [frame] : []));
    const count = kept.reduce((sum, frame) => sum + frame.count, 0);
    const bytes = Buffer.concat(kept.map((frame) => frame.bytes));
    expect(bytes).toEqual(Buffer.concat(rows.slice(0, count)));
    expect(bytes.length).toBeLessThanOrEqual(LIMITS.recordedRowBytesPerStatementMax);
    expect(bytes.length).toBeGreaterThan(LIMITS.recordedRowBytesPerStatementMax - 100);
    const rest = Buffer.concat(rows.slice(count));
    expect(frames.find((frame) => frame.kind === 'cut')).toMatchObject({
      number: 1,
      rows: 3000 - count,
      bytes: rest.length,
      digest: createHash('sha256').update(rest).digest('hex'),
    });
    expect(frames.map((frame) => frame.kind).slice(-3)).toEqual(['cut', 'complete', 'rows']);
    expect(frames.at(-1)).toMatchObject({ count: 1, bytes: row('next statement') });
  },
);

test('at level results a row that comes in pieces is left out, whatever bytes are in it', async () => {
  const { recorder, replay } = bench('results');
  const large = row('\0'.repeat(300_000));
  recorder.rows(1, row('small'), 1);
  for (let from = 0; from < large.length; from += 30_000) {
    const piece = large.subarray(from, from + 30_000);
    recorder.rows(1, piece, from + piece.length === large.length ? 1 : 0, true);
  }
  recorder.note(1, 'complete', 'SELECT 2');
  const frames = await replay();
  expect(frames.map((frame) => frame.kind)).toEqual(['rows', 'cut', 'complete']);
  expect(frames[1]).toMatchObject({
    rows: 1,
    bytes: large.length,
    digest: createHash('sha256').update(large).digest('hex'),
  });
});

const LEVELS = ['statements', 'results', 'full'] as const;
for (const level of LEVELS) {
  test(`at level ${level} what a client loads is kept, ${level === 'full' ? 'all of it' : 'up to the limit'}`, async () => {
    const { recorder, replay } = bench(level);
    const block = Buffer.from('1\tone\n'.repeat(1000));
    const digest = 'cd'.repeat(32);
    recorder.statement(1, 'copy t from stdin');
    let kept = 0;
    while (kept < 50 && recorder.input(1, block, 1000)) kept++;
    if (kept < 50) recorder.inputCut(1, 1000, block.length, digest);
    recorder.note(1, 'complete', 'COPY 50000');
    recorder.statement(2, 'copy t from stdin');
    expect(recorder.input(2, block, 1000)).toBe(true);
    const frames = await replay();
    const input = frames.flatMap((frame) => (frame.kind === 'input' && frame.number === 1 ? [frame] : []));
    expect(Buffer.concat(input.map((frame) => frame.bytes))).toEqual(Buffer.alloc(kept * block.length, block));
    expect(input.reduce((sum, frame) => sum + frame.lines, 0)).toBe(kept * 1000);
    if (level === 'full') {
      expect(kept).toBe(50);
      return;
    }
    expect(kept).toBe(Math.floor(LIMITS.recordedRowBytesPerStatementMax / block.length));
    const cut = { kind: 'input_cut', number: 1, lines: 1000, bytes: block.length, digest };
    expect(frames.find((frame) => frame.kind === 'input_cut')).toMatchObject(cut);
  });
}

test('a block of input that is larger than a chunk goes on in the next, and memory stays bounded at results', async () => {
  const full = bench('full');
  const large = Buffer.alloc(700_000, 'x');
  expect(full.recorder.input(1, large, 0)).toBe(true);
  const frames = await full.replay();
  expect(Buffer.concat(frames.flatMap((frame) => (frame.kind === 'input' ? [frame.bytes] : [])))).toEqual(large);
  const behind = bench('results', 100);
  behind.budget.add(90);
  expect(behind.recorder.input(1, Buffer.from('a\n'), 1)).toBe(false);
  await behind.recorder.close();
});

test('at level full every byte is kept, in order, whatever the sizes', async () => {
  const { recorder, chunks, replay } = bench('full');
  const rows = [row('a'), row('x'.repeat(700_000)), row('b'), row('y'.repeat(300_000)), row('')];
  recorder.statement(1, `select '${'é'.repeat(400_000)}😀'`);
  for (const one of rows) recorder.rows(1, one, 1);
  const frames = await replay();
  const text = frames.flatMap((frame) => (frame.kind === 'statement' ? [frame.text] : [])).join('');
  expect(text).toBe(`select '${'é'.repeat(400_000)}😀'`);
  const reader = new PostgresRowReader();
  const read = frames.flatMap((frame) => (frame.kind === 'rows' ? reader.push(frame.bytes) : []));
  expect(read.map(([cell]) => cell?.length)).toEqual([1, 700_000, 1, 300_000, 0]);
  expect(chunks.length).toBeGreaterThan(5);
});

test('at level full a writer that is behind asks for a pause and says when it is over; nothing is lost', async () => {
  const { recorder, replay } = bench('full');
  const one = row('z'.repeat(60_000));
  let sent = 0;
  while (!recorder.saturated) {
    recorder.rows(1, one, 1);
    sent++;
  }
  expect(sent).toBeLessThan(LIMITS.recordingQueueBytesMax / 60_000);
  await new Promise<void>((resolve) => (recorder.onDrained = resolve));
  expect(recorder.saturated).toBe(false);
  const frames = await replay();
  expect(frames.reduce((sum, frame) => sum + (frame.kind === 'rows' ? frame.count : 0), 0)).toBe(sent);
});

test('at level results a writer that is behind cuts with a mark and memory stays bounded', async () => {
  const { recorder, store, replay } = bench('results');
  const some = row('z'.repeat(60_000));
  for (let number = 1; number <= 300; number++) {
    recorder.statement(number, 'select');
    recorder.rows(number, some, 1);
    recorder.note(number, 'complete', 'SELECT 1');
  }
  expect(store.queuedBytes).toBeLessThanOrEqual(LIMITS.recordingQueueBytesMax + LIMITS.recordingChunkBytesMax);
  const frames = await replay();
  const cuts = frames.filter((frame) => frame.kind === 'cut').length;
  const rows = frames.filter((frame) => frame.kind === 'rows').length;
  expect(cuts).toBeGreaterThan(0);
  expect(cuts + rows).toBe(300);
});

test('when the share of the disk is used up results cuts and full pauses', async () => {
  const cutting = bench('results', 100);
  cutting.budget.add(90);
  cutting.recorder.rows(1, row('a'), 1);
  cutting.recorder.note(1, 'complete', 'SELECT 1');
  expect((await cutting.replay()).map((frame) => frame.kind)).toEqual(['cut', 'complete']);
  const pausing = bench('full', 100);
  pausing.budget.add(90);
  expect(pausing.recorder.saturated).toBe(true);
});

test('at level full what a client loads is paused as well when the writer is behind', async () => {
  const { recorder, replay } = bench('full');
  const one = Buffer.alloc(60_000, 'z\n');
  let sent = 0;
  for (; !recorder.saturated; sent++) expect(recorder.input(1, one, 30_000)).toBe(true);
  expect(sent).toBeLessThan(LIMITS.recordingQueueBytesMax / 60_000);
  await new Promise<void>((resolve) => (recorder.onDrained = resolve));
  const frames = await replay();
  expect(frames.reduce((sum, frame) => sum + (frame.kind === 'input' ? frame.lines : 0), 0)).toBe(sent * 30_000);
});

test('at level full a disk that takes nothing pauses the client until it does', async () => {
  const { dir, recorder, chunks, replay } = bench('full');
  const recordings = join(dir, 'recordings');
  rmSync(recordings, { recursive: true });
  for (let i = 0; i < 60; i++) recorder.rows(1, row('x'.repeat(50_000)), 1);
  expect(recorder.saturated).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(chunks).toEqual([]);
  mkdirSync(recordings);
  await new Promise<void>((resolve) => (recorder.onDrained = resolve));
  const frames = await replay();
  expect(frames.reduce((sum, frame) => sum + (frame.kind === 'rows' ? frame.count : 0), 0)).toBe(60);
});

test('chunks go to the control plane once each, and again after a lost link, until they are acknowledged', async () => {
  const { dir, recorder, budget, store, chunks } = bench('full');
  for (let i = 0; i < 20; i++) recorder.rows(1, row('x'.repeat(50_000)), 1);
  await recorder.close();
  const collect = async (from: RecordingStore) => {
    const all = [];
    for (let chunk = await from.next(); chunk !== undefined; chunk = await from.next()) all.push(chunk);
    return all;
  };
  const sent = await collect(store);
  expect(sent.map((chunk) => chunk.digest.toString('hex'))).toEqual(chunks.map((chunk) => chunk.digest));
  store.acknowledge(SESSION, 0);
  store.rewind();
  expect((await collect(store)).map((chunk) => chunk.index)).toEqual(chunks.slice(1).map((chunk) => chunk.index));
  const files = (): readonly string[] => readdirSync(join(dir, 'recordings'));
  await expect.poll(() => files().length, { timeout: 20_000 }).toBe(chunks.length - 1);
  const next = new RecordingStore(dir, new DiskBudget(1e9), log);
  expect((await collect(next)).length).toBe(chunks.length - 1);
  for (const chunk of chunks) store.acknowledge(SESSION, chunk.index);
  await expect.poll(files, { timeout: 20_000 }).toEqual([]);
  expect(budget.used).toBe(0);
});

test('chunks that are sent from memory are those of the files, and more of them than memory takes are read', async () => {
  const { dir, recorder, store } = bench('full');
  // Does not compress, so that it is more than what is kept.
  for (let i = 0; i < 40; i++) {
    recorder.rows(1, row(randomBytes(30_000).toString('latin1')), 1);
    if (recorder.saturated) await new Promise<void>((resolve) => (recorder.onDrained = resolve));
  }
  await recorder.close();
  const collect = async (): Promise<string[]> => {
    const all: string[] = [];
    for (let chunk = await store.next(); chunk !== undefined; chunk = await store.next()) {
      expect(createHash('sha256').update(chunk.bytes).digest()).toEqual(chunk.digest);
      const name = `${chunk.sessionId}-${String(chunk.index).padStart(8, '0')}.rec`;
      expect(readFileSync(join(dir, 'recordings', name)).equals(chunk.bytes)).toBe(true);
      all.push(name);
    }
    return all;
  };
  const first = await collect();
  expect(first.length).toBeGreaterThan(4);
  store.rewind();
  expect(await collect()).toEqual(first);
});

test('streams of several statements replay byte for byte beside each other, with sizes, ends and files', async () => {
  const { recorder, clock, replay } = bench('results');
  recorder.statement(1, '');
  recorder.resize(1, 80, 24);
  recorder.streamOutput(1, 'pty', Buffer.from('$ '));
  clock.nowMs += 7;
  recorder.statement(2, 'make');
  recorder.streamOutput(2, 'stdout', Buffer.of(0, 255));
  recorder.streamInput(1, Buffer.from('ls'));
  recorder.streamOutput(2, 'stderr', Buffer.from('no rule'));
  recorder.streamOutput(1, 'pty', Buffer.from('ls'));
  recorder.exit(2, { code: 2 });
  recorder.file(3, { op: 'write', path: '/a', target: '', size: 5, digest: 'ab'.repeat(32), via: 'sftp' });
  recorder.exit(1, { signal: 'HUP' });
  const frames = await replay();
  expect(frames.map((frame) => [frame.kind, 'number' in frame ? frame.number : 0])).toEqual([
    ['statement', 1],
    ['resize', 1],
    ['terminal_output', 1],
    ['statement', 2],
    ['terminal_output', 2],
    ['terminal_input', 1],
    ['terminal_output', 2],
    ['terminal_output', 1],
    ['exit', 2],
    ['file', 3],
    ['exit', 1],
  ]);
  expect(frames[4]).toMatchObject({ atMs: 7, stream: 'stdout', bytes: Buffer.of(0, 255) });
  expect(frames[9]).toMatchObject({ path: '/a', size: 5, via: 'sftp' });
});

test('at level results a command keeps its first bytes, and the rest of each stream is counted and digested at its end', async () => {
  const { recorder, replay } = bench('results');
  const most = LIMITS.recordedStreamBytesPerStatementMax;
  const out = Buffer.alloc(most + 1000, 'o');
  recorder.statement(1, 'cat big');
  recorder.streamOutput(1, 'stderr', Buffer.from('warning'));
  for (let at = 0; at < out.length; at += 40_000) recorder.streamOutput(1, 'stdout', out.subarray(at, at + 40_000));
  recorder.streamOutput(1, 'stderr', Buffer.from('late'));
  recorder.exit(1, { code: 0 });
  const frames = await replay();
  const kept = frames.flatMap((frame) => (frame.kind === 'terminal_output' ? [frame.bytes] : []));
  expect(Buffer.concat(kept).length).toBe(most);
  const rest = out.subarray(most - 'warning'.length);
  expect(frames.slice(-3)).toMatchObject([
    {
      kind: 'stream_cut',
      stream: 'stdout',
      bytes: rest.length,
      digest: createHash('sha256').update(rest).digest('hex'),
    },
    { kind: 'stream_cut', stream: 'stderr', bytes: 4, digest: createHash('sha256').update('late').digest('hex') },
    { kind: 'exit', code: 0 },
  ]);
});

test('a terminal keeps more than a command, and level statements keeps no stream at all', async () => {
  const terminal = bench('results');
  terminal.recorder.resize(1, 80, 24);
  const much = Buffer.alloc(3 * LIMITS.recordedStreamBytesPerStatementMax, 't');
  terminal.recorder.streamOutput(1, 'pty', much);
  const shown = (await terminal.replay()).flatMap((frame) => (frame.kind === 'terminal_output' ? [frame.bytes] : []));
  expect(Buffer.concat(shown).equals(much)).toBe(true);
  const none = bench('statements');
  none.recorder.streamOutput(1, 'stdout', much);
  none.recorder.exit(1, { code: 1 });
  expect((await none.replay()).map((frame) => frame.kind)).toEqual(['exit']);
});

test('a session that ends without an exit still says what was left out, and full keeps everything it paused for', async () => {
  const cut = bench('results');
  cut.recorder.streamOutput(1, 'stdout', Buffer.alloc(LIMITS.recordedStreamBytesPerStatementMax + 9));
  expect((await cut.replay()).at(-1)).toMatchObject({ kind: 'stream_cut', bytes: 9 });
  const full = bench('full');
  const bytes = Buffer.alloc(6 * 1024 * 1024, 'f');
  for (let at = 0; at < bytes.length; at += 65_536) {
    if (full.recorder.saturated) await new Promise<void>((resolve) => (full.recorder.onDrained = resolve));
    full.recorder.streamOutput(1, 'stdout', bytes.subarray(at, at + 65_536));
  }
  const all = (await full.replay()).flatMap((frame) => (frame.kind === 'terminal_output' ? [frame.bytes] : []));
  expect(Buffer.concat(all).equals(bytes)).toBe(true);
});

test('of HTTP bodies the first bytes are kept, the whole is counted and digested, requests beside each other', async () => {
  const { recorder, replay } = bench('results');
  const body = Buffer.alloc(200_000, 'x');
  recorder.httpHead(1, 'request', Buffer.from('GET / HTTP/1.1\r\n\r\n'));
  recorder.httpHead(2, 'request', Buffer.from('GET /2 HTTP/1.1\r\n\r\n'), 10);
  recorder.httpHead(1, 'response', Buffer.from('HTTP/1.1 200\r\n\r\n'));
  recorder.httpHead(2, 'response', Buffer.from('HTTP/1.1 200\r\n\r\n'), 10);
  for (let at = 0; at < body.length; at += 50_000) recorder.httpBody(1, 'response', body.subarray(at, at + 50_000));
  recorder.httpBody(2, 'response', Buffer.from('0123456789abc'));
  recorder.httpBody(2, 'response', Buffer.from('d'));
  const ended = recorder.httpEnd(1, 'response');
  expect(ended).toEqual({
    bytes: 200_000,
    cut: 200_000 - LIMITS.recordedHttpBodyBytes,
    digest: createHash('sha256').update(body).digest('binary'),
  });
  expect(recorder.httpEnd(1, 'response')).toBeUndefined();
  const frames = await replay();
  const kept = (number: number): string =>
    frames
      .filter((frame) => frame.kind === 'http_body' && frame.number === number)
      .map((frame) => ('bytes' in frame ? Buffer.from(frame.bytes as Uint8Array).toString() : ''))
      .join('');
  expect(kept(1)).toHaveLength(LIMITS.recordedHttpBodyBytes);
  expect(kept(2)).toBe('0123456789');
  // What has not ended ends with the session.
  expect(
    frames.filter((frame) => frame.kind === 'http_end').map((frame) => [frame.number, frame.bytes, frame.cut]),
  ).toEqual([
    [1, 200_000, ended?.cut],
    [1, 0, 0],
    [2, 0, 0],
    [2, 14, 4],
  ]);
  const digests = frames.flatMap((frame) => (frame.kind === 'http_end' ? [frame.digest] : []));
  const bodies = [body, '', '', '0123456789abcd'];
  expect(digests).toEqual(bodies.map((whole) => createHash('sha256').update(whole).digest('hex')));
});

test('sessions that fill chunks beside each other keep what is theirs, whatever memory came before', async () => {
  const sessions = ['a', 'b', 'c'].map((letter) => ({ letter, ...bench('full') }));
  for (const { letter, recorder } of sessions)
    recorder.httpHead(1, 'response', Buffer.from(`HTTP/1.1 200\nname: ${letter}é\n`));
  for (let round = 0; round < 40; round++) {
    for (const { letter, recorder } of sessions) recorder.httpBody(1, 'response', Buffer.alloc(30_000 + round, letter));
    // Chunks that were full are sealed meanwhile, and their memory is taken again.
    if (round % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  for (const { letter, chunks, replay } of sessions) {
    const frames = await replay();
    expect(chunks.length).toBeGreaterThan(3);
    expect(frames[0]).toMatchObject({ kind: 'http_head', text: `HTTP/1.1 200\nname: ${letter}é\n` });
    const body = Buffer.concat(
      frames.flatMap((frame) => (frame.kind === 'http_body' ? [Buffer.from(frame.bytes)] : [])),
    );
    expect(body.length).toBe(30_000 * 40 + (39 * 40) / 2);
    expect(body.every((byte) => byte === letter.charCodeAt(0))).toBe(true);
  }
});

test('at level full an HTTP body is kept whole, at level statements only what was asked and answered', async () => {
  const full = bench('full');
  const body = Buffer.alloc(600_000, 'y');
  full.recorder.httpHead(1, 'response', Buffer.from('HTTP/1.1 200\r\n\r\n'), 10);
  full.recorder.httpBody(1, 'response', body);
  expect(full.recorder.httpEnd(1, 'response')?.cut).toBe(0);
  const kept = (await full.replay()).flatMap((frame) => (frame.kind === 'http_body' ? [Buffer.from(frame.bytes)] : []));
  expect(Buffer.concat(kept)).toEqual(body);
  const least = bench('statements');
  least.recorder.httpHead(1, 'response', Buffer.from('HTTP/1.1 200\r\n\r\n'));
  least.recorder.httpBody(1, 'response', body);
  expect(least.recorder.httpEnd(1, 'response')).toEqual({ bytes: 600_000, cut: 600_000, digest: '' });
  expect((await least.replay()).map((frame) => frame.kind)).toEqual(['http_head', 'http_end']);
});
