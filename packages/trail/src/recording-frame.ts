/**
 * Frames of a recording: what the client sent and what it saw, in order of time. Refuses to read row messages: their bytes
 * are the protocol's own, whole and as the client saw them; nor what a client loads. docs/reference/trail-format.md.
 */
import { Buffer } from 'node:buffer';
import { ByteBatch, broken, textSize, writeRange, writeShortAscii, writeText } from './bytes.ts';
import { decodeHttpFrame, HTTP_FRAME_TYPES, type HttpFrame, type HttpSide, sideCode } from './http-frame.ts';
import { decodeStreamFrame, STREAM_FRAME_TYPES, type StreamFrame, streamFrameBody } from './stream-frame.ts';
import { readVarint, varint, varintSize, writeVarint } from './varint.ts';

export type RecordingFrame =
  | { readonly kind: 'statement'; readonly atMs: number; readonly number: number; readonly text: string }
  | { readonly kind: 'columns'; readonly atMs: number; readonly number: number; readonly names: readonly string[] }
  | {
      readonly kind: 'rows';
      readonly atMs: number;
      readonly number: number;
      readonly count: number;
      readonly bytes: Buffer;
    }
  | {
      readonly kind: 'complete' | 'error' | 'notice';
      readonly atMs: number;
      readonly number: number;
      readonly text: string;
    }
  /** Rows that are not in the recording; `digest` is SHA-256 of their bytes as hex. */
  | {
      readonly kind: 'cut';
      readonly atMs: number;
      readonly number: number;
      readonly rows: number;
      readonly bytes: number;
      readonly digest: string;
    }
  /** What the client sent behind a statement, without the protocol's framing; what detectors found is masked. */
  | {
      readonly kind: 'input';
      readonly atMs: number;
      readonly number: number;
      /** Line ends in `bytes`; 0 for what is not text. */
      readonly lines: number;
      readonly bytes: Buffer;
    }
  /** What the client sent and the recording does not have; `digest` is SHA-256 of it, as it was sent, as hex. */
  | {
      readonly kind: 'input_cut';
      readonly atMs: number;
      readonly number: number;
      readonly lines: number;
      readonly bytes: number;
      readonly digest: string;
    }
  | StreamFrame
  | HttpFrame
  /** A stream that has no statements. */
  | { readonly kind: 'client' | 'server'; readonly atMs: number; readonly bytes: Buffer };

const TYPES = [
  'statement',
  'columns',
  'rows',
  'complete',
  'error',
  'notice',
  'cut',
  'client',
  'server',
  'input',
  'input_cut',
  ...STREAM_FRAME_TYPES,
  ...HTTP_FRAME_TYPES,
] as const;

type Kind = RecordingFrame['kind'];

/** By property: each frame would look its kind up in a map. */
const CODES = Object.freeze(Object.fromEntries(TYPES.map((kind, index) => [kind, index + 1])) as Record<Kind, number>);

type NumberedText = 'statement' | 'complete' | 'error' | 'notice';

/** Appends frames to a chunk in the making: called several times per statement, so nothing is allocated for the usual ones. */
export class FrameWriter {
  readonly #batch: ByteBatch;
  /** What frames' times count from: the chunk's first instant, ms since the session opened. */
  sinceMs = 0;
  constructor(batch: ByteBatch) {
    this.#batch = batch;
  }
  text(kind: NumberedText, atMs: number, number: number, text: string): void {
    const code = kind === 'statement' ? CODES.statement : kind === 'complete' ? CODES.complete : CODES[kind];
    const start = this.#batch.length;
    const into = this.#open(code, atMs, number, 0, text.length);
    if (writeShortAscii(into, text, this.#at)) return;
    this.#batch.truncate(start);
    this.#open(code, atMs, number, 0, Buffer.byteLength(text)).write(text, this.#at);
  }
  columns(atMs: number, number: number, names: readonly string[]): void {
    let length = 0;
    for (let i = 0; i < names.length; i++) {
      const bytes = textSize(names[i]!);
      length += varintSize(bytes) + bytes;
    }
    const into = this.#open(CODES.columns, atMs, number, 0, length);
    for (let i = 0; i < names.length; i++) {
      this.#at = writeVarint(into, textSize(names[i]!), this.#at);
      this.#at += writeText(into, names[i]!, this.#at);
    }
  }
  /** @param bytes row messages as the client saw them, those from `from` to `to`; @param count how many of them end here */
  rows(atMs: number, number: number, count: number, bytes: Uint8Array, from = 0, to = bytes.length): void {
    this.#counted(CODES.rows, atMs, number, count, bytes, from, to);
  }
  cut(atMs: number, number: number, rows: number, bytes: number, digest: string): void {
    this.#numbered(CODES.cut, atMs, number, [...varint(rows), ...varint(bytes)], Buffer.from(digest, 'hex'));
  }
  /** @param bytes what the client sent, masked; @param lines how many line ends are in it */
  input(atMs: number, number: number, lines: number, bytes: Uint8Array): void {
    this.#counted(CODES.input, atMs, number, lines, bytes, 0, bytes.length);
  }
  inputCut(atMs: number, number: number, lines: number, bytes: number, digest: string): void {
    this.#numbered(CODES.input_cut, atMs, number, [...varint(lines), ...varint(bytes)], Buffer.from(digest, 'hex'));
  }
  /** @param text UTF-8 */
  httpHead(atMs: number, number: number, side: HttpSide, text: Uint8Array): void {
    this.#sided(CODES.http_head, atMs, number, side, text.length).set(text, this.#at);
  }
  httpBody(atMs: number, number: number, side: HttpSide, bytes: Uint8Array): void {
    this.#sided(CODES.http_body, atMs, number, side, bytes.length).set(bytes, this.#at);
  }
  /** @param digest a letter for each byte; '' without */
  httpEnd(atMs: number, number: number, side: HttpSide, bytes: number, cut: number, digest: string): void {
    const into = this.#open(CODES.http_end, atMs, number, 1 + varintSize(bytes) + varintSize(cut), digest.length);
    into[this.#at++] = sideCode(side);
    this.#at = writeVarint(into, cut, writeVarint(into, bytes, this.#at));
    for (let i = 0; i < digest.length; i++) into[this.#at + i] = digest.charCodeAt(i);
  }
  /** Streams of a command, a terminal's included, and HTTP: the bytes are copied once. */
  streamFrame(frame: StreamFrame | HttpFrame): void {
    switch (frame.kind) {
      case 'http_head':
        return this.httpHead(frame.atMs, frame.number, frame.side, Buffer.from(frame.text));
      case 'http_body':
        return this.httpBody(frame.atMs, frame.number, frame.side, frame.bytes);
      case 'http_end':
        return this.httpEnd(
          frame.atMs,
          frame.number,
          frame.side,
          frame.bytes,
          frame.cut,
          Buffer.from(frame.digest, 'hex').toString('latin1'),
        );
      default:
        this.#streamFrame(frame);
    }
  }
  #streamFrame(frame: StreamFrame): void {
    const { numbers, tail } = streamFrameBody(frame);
    let size = tail.length;
    for (const one of numbers) size += varintSize(one);
    const into = this.#open(CODES[frame.kind], frame.atMs, frame.number, 0, size);
    for (const one of numbers) this.#at = writeVarint(into, one, this.#at);
    into.set(tail, this.#at);
  }
  stream(kind: 'client' | 'server', atMs: number, bytes: Uint8Array): void {
    const into = this.#head(CODES[kind], atMs, bytes.length);
    into.set(bytes, this.#at);
  }

  #at = 0;
  #head(code: number, atMs: number, bodyBytes: number): Buffer {
    const delta = Math.max(0, Math.floor(atMs) - this.sinceMs);
    const start = this.#batch.length;
    const into = this.#batch.reserve(varintSize(delta) + 1 + varintSize(bodyBytes) + bodyBytes);
    this.#at = writeVarint(into, delta, start);
    into[this.#at++] = code;
    this.#at = writeVarint(into, bodyBytes, this.#at);
    return into;
  }
  #open(code: number, atMs: number, number: number, extraBytes: number, restBytes: number): Buffer {
    const into = this.#head(code, atMs, varintSize(number) + extraBytes + restBytes);
    this.#at = writeVarint(into, number, this.#at);
    return into;
  }
  #sided(code: number, atMs: number, number: number, side: HttpSide, restBytes: number): Buffer {
    const into = this.#open(code, atMs, number, 1, restBytes);
    into[this.#at++] = sideCode(side);
    return into;
  }
  #counted(
    code: number,
    atMs: number,
    number: number,
    count: number,
    bytes: Uint8Array,
    from: number,
    to: number,
  ): void {
    const into = this.#open(code, atMs, number, varintSize(count), to - from);
    this.#at = writeVarint(into, count, this.#at);
    writeRange(into, bytes, from, to, this.#at);
  }
  #numbered(code: number, atMs: number, number: number, extra: number[], rest: Buffer): void {
    const into = this.#open(code, atMs, number, extra.length, rest.length);
    into.set(extra, this.#at);
    into.set(rest, this.#at + extra.length);
  }
}

/** Bytes of one frame; for tools and tests. `sinceMs` is the chunk's first instant. */
export function encodeFrame(frame: RecordingFrame, sinceMs: number): Buffer {
  const batch = new ByteBatch(256);
  const out = new FrameWriter(batch);
  out.sinceMs = sinceMs;
  switch (frame.kind) {
    case 'statement':
    case 'complete':
    case 'error':
    case 'notice':
      out.text(frame.kind, frame.atMs, frame.number, frame.text);
      break;
    case 'columns':
      out.columns(frame.atMs, frame.number, frame.names);
      break;
    case 'rows':
      out.rows(frame.atMs, frame.number, frame.count, frame.bytes);
      break;
    case 'cut':
      out.cut(frame.atMs, frame.number, frame.rows, frame.bytes, frame.digest);
      break;
    case 'input':
      out.input(frame.atMs, frame.number, frame.lines, frame.bytes);
      break;
    case 'input_cut':
      out.inputCut(frame.atMs, frame.number, frame.lines, frame.bytes, frame.digest);
      break;
    case 'client':
    case 'server':
      out.stream(frame.kind, frame.atMs, frame.bytes);
      break;
    default:
      out.streamFrame(frame);
  }
  return Buffer.from(batch.view);
}

/** All frames of an opened chunk. Frames of a later version are skipped. @throws GatewayError `trail.broken` (`frame`) */
export function* decodeFrames(bytes: Buffer, sinceMs: number): Generator<RecordingFrame> {
  const at = { offset: 0 };
  while (at.offset < bytes.length) {
    const atMs = sinceMs + readVarint(bytes, at);
    const type = bytes[at.offset++];
    const length = readVarint(bytes, at);
    if (type === undefined || length > bytes.length - at.offset) throw broken('frame');
    const body = bytes.subarray(at.offset, at.offset + length);
    at.offset += length;
    const kind = TYPES[type - 1];
    if (kind !== undefined) yield decodeBody(kind, atMs, body);
  }
}

function decodeBody(kind: Kind, atMs: number, body: Buffer): RecordingFrame {
  if (kind === 'client' || kind === 'server') return { kind, atMs, bytes: body };
  const at = { offset: 0 };
  const number = readVarint(body, at);
  switch (kind) {
    case 'statement':
    case 'complete':
    case 'error':
    case 'notice':
      return { kind, atMs, number, text: body.toString('utf8', at.offset) };
    case 'columns': {
      const names: string[] = [];
      while (at.offset < body.length) {
        const end = readVarint(body, at) + at.offset;
        if (end > body.length) throw broken('frame');
        names.push(body.toString('utf8', at.offset, end));
        at.offset = end;
      }
      return { kind, atMs, number, names };
    }
    case 'rows': {
      const count = readVarint(body, at);
      return { kind, atMs, number, count, bytes: body.subarray(at.offset) };
    }
    case 'input': {
      const lines = readVarint(body, at);
      return { kind, atMs, number, lines, bytes: body.subarray(at.offset) };
    }
    case 'cut': {
      const rows = readVarint(body, at);
      const bytes = readVarint(body, at);
      return { kind, atMs, number, rows, bytes, digest: body.toString('hex', at.offset) };
    }
    case 'input_cut': {
      const lines = readVarint(body, at);
      const bytes = readVarint(body, at);
      return { kind, atMs, number, lines, bytes, digest: body.toString('hex', at.offset) };
    }
    case 'http_head':
    case 'http_body':
    case 'http_end':
      return decodeHttpFrame(kind, atMs, number, body, at);
    default:
      return decodeStreamFrame(kind, atMs, number, body, at);
  }
}
