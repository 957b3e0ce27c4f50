/**
 * Recording frames as lines of JSON for people's tools: statements, columns, rows as cells, what the client loaded, what
 * ended them. What the detectors find is shown in part unless it is asked for in clear. Refuses to know who asks.
 */
import {
  type Cell,
  CopyReader,
  type FrameStream,
  type HttpFrame,
  isHttpFrame,
  PostgresRowReader,
  type RecordingFrame,
} from '@sallyport/trail';
import { hideDetected } from '../masking/detected.ts';
import { ShownBodies } from './shown-bodies.ts';
import { ShownStreams } from './shown-streams.ts';

/** One per stream: rows may begin in one frame and end in the next. */
export class FrameLines {
  readonly #show: (text: string) => string;
  readonly #clear: boolean;
  readonly #rows = new PostgresRowReader();
  readonly #input = new CopyReader();
  readonly #streams: ShownStreams;
  readonly #bodies: ShownBodies;
  #number = 0;
  #atMs = 0;
  constructor(clear: boolean) {
    this.#clear = clear;
    this.#streams = new ShownStreams(clear);
    this.#bodies = new ShownBodies(clear);
    this.#show = clear ? (text) => text : hideDetected;
  }

  /** Lines with their newlines; '' when a frame only begins a row. */
  line(frame: RecordingFrame): string {
    this.#atMs = frame.atMs;
    const ended = this.#ended(frame);
    const value = this.#valueOf(frame);
    return textOf([...ended, ...(value === undefined ? [] : [value])]);
  }

  /** What was kept back of streams and need not wait longer: while nothing comes, or at the end. */
  rest(quietMs?: number): string {
    const kept = quietMs === undefined ? this.#streams.end() : this.#streams.quiet(quietMs);
    return textOf(kept.map((one) => streamLine(this.#atMs, one.number, one.stream, one.bytes)));
  }

  /** Last lines of a COPY may lack their ends: they are shown once a frame tells that nothing follows. */
  #ended(frame: RecordingFrame): readonly object[] {
    if (!('number' in frame)) return [];
    if (frame.kind === 'exit' || frame.kind === 'stream_cut')
      return this.#streams.end(frame.number).map((one) => streamLine(frame.atMs, one.number, one.stream, one.bytes));
    if (isOfStream(frame)) return [];
    if (frame.kind === 'http_end') {
      const rest = this.#bodies.end(frame);
      return rest.length === 0 ? [] : [bodyLine(frame.atMs, frame, rest)];
    }
    if (isHttpFrame(frame)) return [];
    // A statement's answer may come while the next statement is judged already: only frames of data and of ends count.
    if (frame.kind === 'statement' || frame.kind === 'columns' || frame.kind === 'notice') return [];
    const { kind, atMs } = frame;
    const other = frame.number !== this.#number;
    const number = this.#number;
    if (other && kind !== 'rows' && kind !== 'input') return [];
    this.#number = frame.number;
    const input = other || kind !== 'input' ? this.#input.end() : [];
    const rows = other || (kind !== 'rows' && kind !== 'input') ? this.#rows.end() : [];
    return [
      ...(input.length === 0 ? [] : [{ atMs, kind: 'input', number, rows: this.#cells(input) }]),
      ...(rows.length === 0 ? [] : [{ atMs, kind: 'rows', number, rows: this.#cells(rows) }]),
    ];
  }

  #valueOf(frame: RecordingFrame): object | undefined {
    const { kind, atMs } = frame;
    switch (frame.kind) {
      case 'statement':
      case 'complete':
      case 'error':
      case 'notice':
        return { atMs, kind, number: frame.number, text: this.#show(frame.text) };
      case 'columns':
        return { atMs, kind, number: frame.number, columns: frame.names };
      case 'rows': {
        const rows = this.#rows.push(frame.bytes);
        return rows.length === 0 ? undefined : { atMs, kind, number: frame.number, rows: this.#cells(rows) };
      }
      case 'input': {
        const rows = this.#input.push(frame.bytes);
        return rows.length === 0 ? undefined : { atMs, kind, number: frame.number, rows: this.#cells(rows) };
      }
      case 'input_cut':
        return { atMs, kind, number: frame.number, rows: frame.lines, bytes: frame.bytes, ...this.#digest(frame) };
      case 'cut':
        return { atMs, kind, number: frame.number, rows: frame.rows, bytes: frame.bytes, ...this.#digest(frame) };
      case 'client':
      case 'server':
        return { atMs, kind, bytes: frame.bytes.toString('base64') };
      case 'terminal_output':
        return this.#stream(frame.atMs, frame.number, frame.stream, frame.bytes);
      case 'terminal_input':
        return this.#stream(frame.atMs, frame.number, 'input', frame.bytes);
      case 'resize':
        return { atMs, kind, number: frame.number, size: [frame.columns, frame.rows] };
      case 'exit':
        return { atMs, kind, number: frame.number, code: frame.code, signal: frame.signal };
      case 'stream_cut': {
        const { number, stream, bytes } = frame;
        return { atMs, kind, number, stream, bytes, ...this.#digest(frame) };
      }
      case 'file': {
        const { number, op, size, digest, via } = frame;
        return {
          atMs,
          kind,
          number,
          op,
          path: this.#show(frame.path),
          target: this.#show(frame.target),
          size,
          digest,
          via,
        };
      }
      case 'http_head':
        this.#bodies.begin(frame);
        return { atMs, kind, number: frame.number, side: frame.side, text: this.#show(frame.text) };
      case 'http_body': {
        const shown = this.#bodies.show(frame);
        return shown.length === 0 ? undefined : bodyLine(atMs, frame, shown);
      }
      case 'http_end': {
        const { number, side, bytes, cut } = frame;
        return { atMs, kind, number, side, bytes, cut, ...this.#digest(frame) };
      }
      default:
        return frame satisfies never;
    }
  }

  /** Of what was left out. A digest of one short line would tell the line to whoever can guess. */
  #digest({ digest }: { readonly digest: string }): { readonly digest?: string } {
    return this.#clear ? { digest } : {};
  }

  #stream(atMs: number, number: number, stream: FrameStream, bytes: Uint8Array): object | undefined {
    const shown = this.#streams.show(number, stream, atMs, bytes);
    return shown.length === 0 ? undefined : streamLine(atMs, number, stream, shown);
  }

  #cells(rows: readonly (readonly Cell[])[]): readonly (readonly (string | null)[])[] {
    return rows.map((row) => row.map((cell) => (cell === undefined ? null : this.#cell(cell))));
  }

  /** What is not text shows as hex, in which no detector sees anything. */
  #cell(cell: string): string {
    if (this.#clear || !cell.startsWith('\\x')) return this.#show(cell);
    const bytes = Buffer.from(cell.slice(2), 'hex').toString('latin1');
    return hideDetected(bytes) === bytes ? this.#show(cell) : '[redacted]';
  }
}

const textOf = (lines: readonly object[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('');

const streamLine = (atMs: number, number: number, stream: FrameStream, bytes: Uint8Array): object => ({
  atMs,
  kind: stream === 'input' ? 'terminal_input' : 'terminal_output',
  number,
  stream,
  bytes: Buffer.from(bytes).toString('base64'),
});

const bodyLine = (atMs: number, { number, side }: HttpFrame, bytes: Uint8Array): object => ({
  atMs,
  kind: 'http_body',
  number,
  side,
  bytes: Buffer.from(bytes).toString('base64'),
});

const isOfStream = ({ kind }: RecordingFrame): boolean =>
  kind === 'terminal_output' || kind === 'terminal_input' || kind === 'resize' || kind === 'file';
