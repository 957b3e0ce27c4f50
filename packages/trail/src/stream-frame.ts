/**
 * Frames of streams: what a command or a terminal showed and was sent, its size, its end, and files that went through.
 * Refuses to read what the bytes say: they are as the client saw them. docs/reference/trail-format.md, Recording.
 */
import { broken } from './bytes.ts';
import { readVarint, varintSize, writeVarint } from './varint.ts';

/** Which way bytes went: `pty` is a terminal, where output and errors are one stream; `input` is what the client sent. */
export const FRAME_STREAMS = ['stdout', 'stderr', 'pty', 'input'] as const;
export type FrameStream = (typeof FRAME_STREAMS)[number];

export type StreamFrame =
  | {
      readonly kind: 'terminal_output';
      readonly atMs: number;
      readonly number: number;
      readonly stream: Exclude<FrameStream, 'input'>;
      readonly bytes: Uint8Array;
    }
  | {
      readonly kind: 'terminal_input';
      readonly atMs: number;
      readonly number: number;
      readonly bytes: Uint8Array;
    }
  /** The terminal has this size from here on; the first one comes before any output. */
  | {
      readonly kind: 'resize';
      readonly atMs: number;
      readonly number: number;
      readonly columns: number;
      readonly rows: number;
    }
  /** The command has ended: with a code, by a signal (its name without SIG), or without a word (both absent). */
  | {
      readonly kind: 'exit';
      readonly atMs: number;
      readonly number: number;
      readonly code?: number;
      readonly signal?: string;
    }
  /** Bytes of a stream that are not in the recording; `digest` is SHA-256 of them as hex. */
  | {
      readonly kind: 'stream_cut';
      readonly atMs: number;
      readonly number: number;
      readonly stream: FrameStream;
      readonly bytes: number;
      readonly digest: string;
    }
  /** A file that was read, written or changed through the session; its contents are not in the recording. */
  | {
      readonly kind: 'file';
      readonly atMs: number;
      readonly number: number;
      /** What was done: `read`, `write`, `rename`, … */
      readonly op: string;
      readonly path: string;
      /** The other path of a rename or link; '' without. */
      readonly target: string;
      /** Bytes that went through; absent where none did. */
      readonly size?: number;
      /** SHA-256 of what went through as hex; '' where it is not known. */
      readonly digest: string;
      /** The program or protocol: `sftp`, `scp`, `rsync`, `git`. */
      readonly via: string;
    };

/** In order of their type numbers, which begin at 12. */
export const STREAM_FRAME_TYPES = [
  'terminal_output',
  'terminal_input',
  'resize',
  'exit',
  'stream_cut',
  'file',
] as const;

const EMPTY = Buffer.alloc(0);

/** What stands behind the statement's number: numbers, then bytes. */
export function streamFrameBody(frame: StreamFrame): {
  readonly numbers: readonly number[];
  readonly tail: Uint8Array;
} {
  switch (frame.kind) {
    case 'terminal_output':
      return { numbers: STREAM_NUMBERS[frame.stream], tail: frame.bytes };
    case 'terminal_input':
      return { numbers: [], tail: frame.bytes };
    case 'resize':
      return { numbers: [frame.columns, frame.rows], tail: EMPTY };
    case 'exit':
      return {
        numbers: [frame.code === undefined ? 0 : frame.code + 1],
        tail: frame.signal === undefined ? EMPTY : Buffer.from(frame.signal),
      };
    case 'stream_cut':
      return { numbers: [...STREAM_NUMBERS[frame.stream], frame.bytes], tail: Buffer.from(frame.digest, 'hex') };
    case 'file':
      return {
        numbers: [frame.size === undefined ? 0 : frame.size + 1],
        tail: Buffer.concat([
          ...[frame.op, frame.path, frame.target, frame.via].flatMap(sizedText),
          Buffer.from(frame.digest, 'hex'),
        ]),
      };
    default:
      return frame satisfies never;
  }
}

/** One list per stream, since output is written once per packet. */
const STREAM_NUMBERS: { readonly [K in FrameStream]: readonly number[] } = {
  stdout: [1],
  stderr: [2],
  pty: [3],
  input: [4],
};

function sizedText(text: string): readonly Buffer[] {
  const bytes = Buffer.from(text);
  const size = Buffer.alloc(varintSize(bytes.length));
  writeVarint(size, bytes.length, 0);
  return [size, bytes];
}

/** @param at where the body goes on behind the number @throws GatewayError `trail.broken` (`frame`) */
export function decodeStreamFrame(
  kind: StreamFrame['kind'],
  atMs: number,
  number: number,
  body: Buffer,
  at: { offset: number },
): StreamFrame {
  const rest = (): Buffer => body.subarray(at.offset);
  switch (kind) {
    case 'terminal_output': {
      const stream = streamOf(readVarint(body, at));
      if (stream === 'input') throw broken('frame');
      return { kind, atMs, number, stream, bytes: rest() };
    }
    case 'terminal_input':
      return { kind, atMs, number, bytes: rest() };
    case 'resize': {
      const columns = readVarint(body, at);
      return { kind, atMs, number, columns, rows: readVarint(body, at) };
    }
    case 'exit': {
      const code = readVarint(body, at);
      const signal = rest().toString();
      return {
        kind,
        atMs,
        number,
        ...(code === 0 ? {} : { code: code - 1 }),
        ...(signal === '' ? {} : { signal }),
      };
    }
    case 'stream_cut': {
      const stream = streamOf(readVarint(body, at));
      const bytes = readVarint(body, at);
      return { kind, atMs, number, stream, bytes, digest: rest().toString('hex') };
    }
    case 'file': {
      const size = readVarint(body, at);
      const text = (): string => {
        const end = readVarint(body, at) + at.offset;
        if (end > body.length) throw broken('frame');
        const read = body.toString('utf8', at.offset, end);
        at.offset = end;
        return read;
      };
      const [op, path, target, via] = [text(), text(), text(), text()];
      const digest = rest().toString('hex');
      return { kind, atMs, number, op, path, target, ...(size === 0 ? {} : { size: size - 1 }), digest, via };
    }
    default:
      return kind satisfies never;
  }
}

function streamOf(code: number): FrameStream {
  const stream = FRAME_STREAMS[code - 1];
  if (stream === undefined) throw broken('frame');
  return stream;
}
