/**
 * Records one session as its client saw it, and what it loaded, off the path of statements: frames gather in memory, a
 * full chunk is compressed in zlib's threads, encrypted, written, and named by a `recording.chunk` event. Memory is
 * bounded: when the writer is behind, `full` throttles, else it cuts with a mark. Refuses to mask: it is given masked bytes.
 * Limits: recordedRowBytesPerStatementMax, recordedStreamBytesPerStatementMax, recordingChunkBytesMax, recordingQueueBytesMax, recordingChunkAgeMsMax.
 */
import { Buffer } from 'node:buffer';
import { createHash, type Hash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { LIMITS, type Logger } from '@sallyport/core';
import type { RecordingLevel, TrailEvent } from '@sallyport/model';
import type { RecordedBody, RecordedFile, RecorderPort } from '@sallyport/protocol-kit';
import {
  ByteBatch,
  type FrameStream,
  FrameWriter,
  type HttpSide,
  type SessionKey,
  type StreamFrame,
  sealRecordingChunk,
  textSize,
} from '@sallyport/trail';
import { BodyTallies } from './body-tallies.ts';
import { leaveChunkMemory, takeChunkMemory } from './chunk-memory.ts';
import { fitMessages } from './fit-messages.ts';
import type { RecordingStore } from './recording-store.ts';
import { StreamTallies } from './stream-tallies.ts';

export interface RecorderOptions {
  /** UUID text. */
  readonly sessionId: string;
  readonly key: SessionKey;
  readonly level: RecordingLevel;
  /** UTC ms; times of frames count from here. */
  readonly openedAtMs: number;
  nowMs(): number;
  readonly store: RecordingStore;
  readonly log: Logger;
  /** Gives the `recording.chunk` event to the trail: `spool.recordOutcome(event, key)`. */
  recordChunk(event: TrailEvent & { readonly kind: 'recording.chunk' }): void;
}

/** Room in a chunk for a frame's own bytes before its text or rows. */
const FRAME_ROOM = 64;
/** What a chunk begins with, unless the one before it became full: most sessions never fill one. */
const FIRST_BYTES = 1024;
const NUMBERED_TEXT_BYTES = LIMITS.recordingChunkBytesMax - FRAME_ROOM;

const WRITE_ATTEMPTS = 3;
/** What is kept of a statement's text while the writer is behind; the trail has the whole. */
const SHORT_TEXT_UNITS = 4096;

/** Rows of one statement that are not in the recording. */
interface Cut {
  rows: number;
  bytes: number;
  readonly hash: Hash;
}

/** One per session. `close` when it ends; `tick` every second or so. */
export class SessionRecorder implements RecorderPort {
  readonly level: RecordingLevel;
  onDrained: (() => void) | undefined;
  readonly #options: RecorderOptions;
  readonly #batch = new ByteBatch(FIRST_BYTES);
  readonly #frames: FrameWriter;
  #index = 0;
  #firstMs = 0;
  #lastMs = 0;
  /** Bytes of chunks that are not on the disk yet. */
  #queuedBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #wasSaturated = false;
  /** The statement whose rows come. */
  #number = 0;
  #recordedBytes = 0;
  #cut: Cut | undefined;
  readonly #streams = new StreamTallies();
  readonly #bodies = new BodyTallies();
  #closed = false;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.level = options.level;
    this.#frames = new FrameWriter(this.#batch);
  }

  /** At `full` and behind: the upstream is to be paused until `onDrained`. */
  get saturated(): boolean {
    if (this.level !== 'full') return false;
    const saturated = this.#queuedBytes > LIMITS.recordingQueueBytesMax / 2 || !this.#options.store.hasRoom(0);
    if (saturated) this.#wasSaturated = true;
    return saturated;
  }

  statement(number: number, text: string): void {
    this.#turnTo(number);
    this.#text('statement', number, this.#hasRoom(text.length * 3) ? text : text.slice(0, SHORT_TEXT_UNITS));
  }
  columns(number: number, names: readonly string[]): void {
    if (this.level === 'statements' || this.#closed) return;
    this.#turnTo(number);
    const bytes = names.reduce((sum, name) => sum + 4 + textSize(name), 0);
    // A server allows 1,664 columns with names of 63 bytes; more is not a list of names.
    if (bytes > NUMBERED_TEXT_BYTES) return;
    const atMs = this.#begin(bytes);
    this.#frames.columns(atMs, number, names);
  }
  rows(number: number, bytes: Uint8Array, rowCount: number, isPiece = false, from = 0, to = bytes.length): void {
    if (this.level === 'statements' || this.#closed) return;
    this.#turnTo(number);
    // A row of which pieces come is larger than what `results` keeps of a statement.
    const size = to - from;
    if ((isPiece && this.level !== 'full') || this.#cut !== undefined || !this.#hasRoom(size)) {
      this.#leaveOut(bytes.subarray(from, to), rowCount);
      return;
    }
    const room = LIMITS.recordedRowBytesPerStatementMax - this.#recordedBytes;
    if (this.level === 'full' || size <= room) {
      this.#keep(number, bytes, rowCount, from, to);
      return;
    }
    const fitting = fitMessages(bytes.subarray(from, to), room);
    const cut = from + fitting.length;
    if (fitting.length > 0) this.#keep(number, bytes, fitting.count, from, cut);
    this.#leaveOut(bytes.subarray(cut, to), rowCount - fitting.count);
  }
  input(number: number, bytes: Uint8Array, lines: number): boolean {
    if (this.#closed) return false;
    this.#turnTo(number);
    const fits = this.#recordedBytes + bytes.length <= LIMITS.recordedRowBytesPerStatementMax;
    if (this.level !== 'full' && !(fits && this.#hasRoom(bytes.length))) return false;
    this.#recordedBytes += bytes.length;
    this.#inPieces(bytes, (piece, isLast) => {
      this.#frames.input(this.#begin(piece.length), number, isLast ? lines : 0, piece);
    });
    return true;
  }
  inputCut(number: number, lines: number, bytes: number, digest: string): void {
    if (this.#closed) return;
    this.#turnTo(number);
    this.#frames.inputCut(this.#begin(FRAME_ROOM), number, lines, bytes, digest);
  }
  note(number: number, kind: 'complete' | 'error' | 'notice', text: string): void {
    if (kind !== 'notice') this.#endCut();
    this.#text(kind, number, text);
  }
  resize(number: number, columns: number, rows: number): void {
    this.#streams.isTerminal(number);
    this.#stream({ kind: 'resize', atMs: 0, number, columns, rows }, FRAME_ROOM);
  }
  streamOutput(number: number, stream: 'stdout' | 'stderr' | 'pty', bytes: Uint8Array, isLater = false): boolean {
    return this.#streamed(number, stream, bytes, isLater);
  }
  settle(): void {
    this.#streams.settle();
  }
  streamInput(number: number, bytes: Uint8Array): void {
    this.#streamed(number, 'input', bytes);
  }
  exit(number: number, end: { readonly code?: number; readonly signal?: string }): void {
    this.#endStreams(number);
    this.#stream({ kind: 'exit', atMs: 0, number, ...end }, FRAME_ROOM);
  }
  file(number: number, file: RecordedFile): void {
    const bytes = FRAME_ROOM + Buffer.byteLength(file.path) + Buffer.byteLength(file.target);
    // Paths are a few KiB at most everywhere; the statement has them whole.
    const shown = bytes <= NUMBERED_TEXT_BYTES ? file : { ...file, path: '', target: '' };
    this.#stream({ kind: 'file', atMs: 0, number, ...shown }, bytes);
  }

  httpHead(number: number, side: HttpSide, text: Uint8Array, bodyBytesMax?: number): void {
    if (this.#closed) return;
    this.#bodies.begin(number, side, this.level, bodyBytesMax);
    // A head is 64 KiB at most.
    const shown = beginningOf(text, this.#hasRoom(text.length) ? NUMBERED_TEXT_BYTES : SHORT_TEXT_UNITS);
    this.#frames.httpHead(this.#begin(shown.length), number, side, shown);
  }
  httpBody(number: number, side: HttpSide, bytes: Uint8Array): void {
    if (this.#closed || bytes.length === 0) return;
    const kept = this.#bodies.add(number, side, bytes, this.#hasRoom(bytes.length));
    if (kept === bytes.length && kept <= NUMBERED_TEXT_BYTES)
      this.#frames.httpBody(this.#begin(kept), number, side, bytes);
    else if (kept > 0)
      this.#inPieces(bytes.subarray(0, kept), (piece) => {
        this.#frames.httpBody(this.#begin(piece.length), number, side, piece);
      });
  }
  httpEnd(number: number, side: HttpSide): RecordedBody | undefined {
    const body = this.#bodies.end(number, side);
    if (body !== undefined && !this.#closed)
      this.#frames.httpEnd(this.#begin(FRAME_ROOM), number, side, body.bytes, body.cut, body.digest);
    return body;
  }

  /** Lets a chunk of age leave memory, so that a running session can be watched. */
  tick(): void {
    const age = this.#options.nowMs() - this.#options.openedAtMs - this.#firstMs;
    if (this.#batch.length > 0 && age >= LIMITS.recordingChunkAgeMsMax) this.#sealChunk();
    this.#announceDrained();
  }
  /** Writes what is left. Resolves when all is on the disk, or given up and logged. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#endCut();
      for (const number of this.#streams.open()) this.#endStreams(number);
      for (const { number, side } of this.#bodies.open()) this.httpEnd(number, side);
      if (this.#batch.length > 0) this.#sealChunk();
      this.#closed = true;
    }
    await this.#writing;
  }

  #text(kind: 'statement' | 'complete' | 'error' | 'notice', number: number, text: string): void {
    if (this.#closed) return;
    if (text.length * 3 <= NUMBERED_TEXT_BYTES) {
      this.#frames.text(kind, this.#begin(text.length * 3), number, text);
      return;
    }
    // A long text goes on in the next frame; a surrogate pair is not taken apart.
    const units = Math.floor(NUMBERED_TEXT_BYTES / 3);
    for (let from = 0; from < text.length; ) {
      const last = text.charCodeAt(from + units - 1);
      const take = last >= 0xd800 && last < 0xdc00 ? units - 1 : units;
      this.#frames.text(kind, this.#begin(take * 3), number, text.slice(from, from + take));
      from += take;
    }
  }

  #keep(number: number, bytes: Uint8Array, rowCount: number, from: number, to: number): void {
    const size = to - from;
    this.#recordedBytes += size;
    if (size <= NUMBERED_TEXT_BYTES) {
      if (size > 0) this.#frames.rows(this.#begin(size), number, rowCount, bytes, from, to);
      return;
    }
    this.#inPieces(bytes.subarray(from, to), (piece, isLast) => {
      this.#frames.rows(this.#begin(piece.length), number, isLast ? rowCount : 0, piece);
    });
  }
  /** Rows and lines are counted where they end; of a long run only the last frame says how many there were. */
  #inPieces(bytes: Uint8Array, write: (piece: Uint8Array, isLast: boolean) => void): void {
    for (let from = 0; from < bytes.length; from += NUMBERED_TEXT_BYTES)
      write(bytes.subarray(from, from + NUMBERED_TEXT_BYTES), from + NUMBERED_TEXT_BYTES >= bytes.length);
  }

  /** At `full` everything is kept: the caller pauses while `saturated`. */
  #streamed(number: number, stream: FrameStream, bytes: Uint8Array, isLater = false): boolean {
    if (this.level === 'statements' || this.#closed || bytes.length === 0) return false;
    const room = this.level === 'full' ? bytes.length : this.#streams.room(number, stream);
    const kept = this.#hasRoom(bytes.length) ? Math.min(room, bytes.length) : 0;
    this.#streams.count(number, kept);
    // What came late never stands in the recording behind a hole that is not marked: once cut, a stream stays cut.
    if (kept < bytes.length) this.#streams.leaveOut(number, stream, bytes.subarray(kept), isLater);
    if (kept > 0)
      this.#inPieces(bytes.subarray(0, kept), (piece) => {
        this.#stream(
          stream === 'input'
            ? { kind: 'terminal_input', atMs: 0, number, bytes: piece }
            : { kind: 'terminal_output', atMs: 0, number, stream, bytes: piece },
          piece.length,
        );
      });
    return isLater && kept < bytes.length;
  }
  #endStreams(number: number): void {
    for (const cut of this.#streams.end(number))
      this.#stream({ kind: 'stream_cut', atMs: 0, number, ...cut }, FRAME_ROOM);
  }
  #stream(frame: StreamFrame, bytes: number): void {
    if (this.#closed) return;
    const atMs = this.#begin(bytes);
    this.#frames.streamFrame({ ...frame, atMs });
  }

  #leaveOut(bytes: Uint8Array, rowCount: number): void {
    this.#cut ??= { rows: 0, bytes: 0, hash: createHash('sha256') };
    this.#cut.rows += rowCount;
    this.#cut.bytes += bytes.length;
    this.#cut.hash.update(bytes);
  }
  #endCut(): void {
    const cut = this.#cut;
    this.#cut = undefined;
    this.#recordedBytes = 0;
    if (cut === undefined || this.#closed) return;
    const atMs = this.#begin(FRAME_ROOM);
    this.#frames.cut(atMs, this.#number, cut.rows, cut.bytes, cut.hash.digest('hex'));
  }
  #turnTo(number: number): void {
    if (number === this.#number) return;
    this.#endCut();
    this.#number = number;
  }

  /** At `full` the caller pauses, so what comes is always kept. */
  #hasRoom(bytes: number): boolean {
    if (this.level === 'full') return true;
    return this.#queuedBytes + bytes <= LIMITS.recordingQueueBytesMax && this.#options.store.hasRoom(bytes);
  }

  /** Makes room for a frame and says what time it is, in ms since the session opened. */
  #begin(bytes: number): number {
    if (this.#batch.length > 0 && this.#batch.length + bytes + FRAME_ROOM > LIMITS.recordingChunkBytesMax)
      this.#sealChunk(takeChunkMemory());
    const atMs = Math.max(this.#lastMs, this.#options.nowMs() - this.#options.openedAtMs, 0);
    if (this.#batch.length === 0) {
      this.#firstMs = atMs;
      this.#frames.sinceMs = atMs;
    }
    this.#lastMs = atMs;
    return atMs;
  }

  /** @param next what the next chunk is gathered in */
  #sealChunk(next: Buffer = Buffer.allocUnsafe(FIRST_BYTES)): void {
    const plain = this.#batch.giveAway(next);
    const [index, fromMs, toMs] = [this.#index++, this.#firstMs, this.#lastMs];
    this.#queue(plain.length);
    this.#writing = this.#writing
      .then(() => this.#writeChunk(index, fromMs, toMs, plain))
      .catch((error: unknown) => {
        this.#options.log.error('a recording chunk was lost', { session: this.#options.sessionId, index, error });
      })
      .finally(() => {
        this.#queue(-plain.length);
        leaveChunkMemory(plain);
        this.#announceDrained();
      });
  }

  async #writeChunk(index: number, fromMs: number, toMs: number, plain: Buffer): Promise<void> {
    const { sessionId, key, store } = this.#options;
    const head = { sessionId, keyId: key.keyId, index, fromMs, toMs };
    const { bytes, digest } = await sealRecordingChunk(head, plain, key.recordingKey());
    await this.#persist(() => store.write(sessionId, index, bytes, Buffer.from(digest, 'hex')));
    this.#options.recordChunk({ kind: 'recording.chunk', index, bytes: bytes.length, digest, fromMs, toMs });
  }

  /** At `full` waits for the disk as long as the session lives: its client is paused meanwhile. */
  async #persist(write: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await write();
        return;
      } catch (error) {
        const patient = this.level === 'full' && !this.#closed;
        if (!patient && attempt >= WRITE_ATTEMPTS) throw error;
        await setTimeout(LIMITS.spoolRetryMs);
      }
    }
  }

  #queue(bytes: number): void {
    this.#queuedBytes += bytes;
    this.#options.store.queue(bytes);
  }
  #announceDrained(): void {
    if (!this.#wasSaturated || this.#queuedBytes > LIMITS.recordingQueueBytesMax / 4) return;
    if (!this.#options.store.hasRoom(0)) return;
    this.#wasSaturated = false;
    this.onDrained?.();
  }
}

/** So many bytes of a text in UTF-8 at most, without a letter that would be cut. */
function beginningOf(text: Uint8Array, bytesMax: number): Uint8Array {
  if (text.length <= bytesMax) return text;
  let end = bytesMax;
  while ((text[end]! & 0xc0) === 0x80) end--;
  return text.subarray(0, end);
}
