/**
 * Frames of a recording: what the client sent and what it saw, in order of time. Refuses to read row messages: their bytes
 * are the protocol's own, whole and as the client saw them. docs/reference/trail-format.md, Recording.
 */
import { broken } from './bytes.ts';

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
  /** A stream that has no statements. */
  | { readonly kind: 'client' | 'server'; readonly atMs: number; readonly bytes: Buffer };

const TYPES = ['statement', 'columns', 'rows', 'complete', 'error', 'notice', 'cut', 'client', 'server'] as const;

/** Bytes of one frame. `sinceMs` is the chunk's first instant: times in a chunk count from there. */
export function encodeFrame(frame: RecordingFrame, sinceMs: number): Buffer {
  const body = encodeBody(frame);
  const head = [
    ...varint(Math.max(0, Math.floor(frame.atMs) - sinceMs)),
    TYPES.indexOf(frame.kind) + 1,
    ...varint(body.length),
  ];
  return Buffer.concat([Buffer.from(head), body]);
}

function encodeBody(frame: RecordingFrame): Buffer {
  switch (frame.kind) {
    case 'statement':
    case 'complete':
    case 'error':
    case 'notice':
      return Buffer.concat([Buffer.from(varint(frame.number)), Buffer.from(frame.text)]);
    case 'columns': {
      const names = frame.names.flatMap((name) => {
        const bytes = Buffer.from(name);
        return [Buffer.from(varint(bytes.length)), bytes];
      });
      return Buffer.concat([Buffer.from(varint(frame.number)), ...names]);
    }
    case 'rows':
      return Buffer.concat([Buffer.from([...varint(frame.number), ...varint(frame.count)]), frame.bytes]);
    case 'cut':
      return Buffer.concat([
        Buffer.from([...varint(frame.number), ...varint(frame.rows), ...varint(frame.bytes)]),
        Buffer.from(frame.digest, 'hex'),
      ]);
    case 'client':
    case 'server':
      return frame.bytes;
    default:
      return frame satisfies never;
  }
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

function decodeBody(kind: RecordingFrame['kind'], atMs: number, body: Buffer): RecordingFrame {
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
    case 'cut': {
      const rows = readVarint(body, at);
      const bytes = readVarint(body, at);
      return { kind, atMs, number, rows, bytes, digest: body.toString('hex', at.offset) };
    }
    default:
      return kind satisfies never;
  }
}

function varint(value: number): number[] {
  if (!Number.isSafeInteger(value) || value < 0) throw broken('number');
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return bytes;
}

function readVarint(bytes: Buffer, at: { offset: number }): number {
  let value = 0;
  for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
    const byte = bytes[at.offset++];
    if (byte === undefined) throw broken('frame');
    value += (byte & 127) * scale;
    if (byte < 128) return value;
  }
  throw broken('frame');
}
