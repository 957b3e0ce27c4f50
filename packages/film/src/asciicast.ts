/**
 * Frames as asciicast v2 (docs.asciinema.org/manual/asciicast/v2): a header, then one JSON line per event with its time in
 * seconds. Players of asciinema and xterm read it. Refuses to change what was shown: bytes that are no UTF-8 become U+FFFD,
 * which is what a terminal shows, and nothing else.
 */
import { TextDecoder } from 'node:util';
import type { FilmFrame } from './film-frame.ts';

export interface AsciicastOptions {
  /** UTC ms. */
  readonly openedAtMs: number;
  readonly title: string;
  /** Frames of this statement alone; without, all streams of the session on one screen. */
  readonly number?: number;
  /** What is before stands at its beginning, all at once: the screen is then what it was. */
  readonly fromMs?: number;
}

/** What a film without a terminal is shown in. */
const COLUMNS = 80;
const ROWS = 24;
/** Statements that a film shows as chapters. */
const MARK_UNITS_MAX = 200;
const EARLY_MAX = 1_000;

/** One per film. The header leaves with the first event, since the terminal's size comes before it. */
export class AsciicastWriter {
  readonly #options: AsciicastOptions;
  readonly #decoders = new Map<string, TextDecoder>();
  #hasBegun = false;
  /** Marks that came before the terminal's size. */
  #early: FilmFrame[] = [];

  constructor(options: AsciicastOptions) {
    this.#options = options;
  }

  /** Lines for a frame with their ends; '' for one that shows nothing. */
  lines(frame: FilmFrame): string {
    const { number } = this.#options;
    if (number !== undefined && frame.number !== number) return '';
    switch (frame.kind) {
      case 'resize':
        if (!this.#hasBegun) return this.#header(frame.columns, frame.rows);
        // A terminal that was never seen has no size.
        if (frame.columns === 0 || frame.rows === 0) return '';
        return this.#event(frame.atMs, 'r', `${frame.columns}x${frame.rows}`);
      case 'terminal_output':
        return this.#text(frame.atMs, 'o', `${frame.number}/${frame.stream}`, shownOf(frame));
      case 'terminal_input':
        return this.#text(frame.atMs, 'i', `${frame.number}/input`, frame.bytes);
      case 'statement': {
        const text = frame.text.length > MARK_UNITS_MAX ? `${frame.text.slice(0, MARK_UNITS_MAX)}…` : frame.text;
        if (text === '') return '';
        if (!this.#hasBegun && this.#early.length < EARLY_MAX) {
          this.#early.push(frame);
          return '';
        }
        return this.#event(frame.atMs, 'm', text);
      }
      case 'stream_cut':
        return this.#event(frame.atMs, 'm', `${frame.bytes} more bytes of ${frame.stream} are not in the recording`);
      case 'exit':
        return this.#event(frame.atMs, 'm', endText(frame));
      default:
        return frame satisfies never;
    }
  }

  /** Characters that never came whole; and the header of a film in which nothing happened. */
  end(): string {
    return this.#hasBegun ? '' : this.#header(COLUMNS, ROWS);
  }

  #text(atMs: number, code: 'o' | 'i', stream: string, bytes: Uint8Array): string {
    let decoder = this.#decoders.get(stream);
    if (decoder === undefined) {
      decoder = new TextDecoder('utf-8', { ignoreBOM: true });
      this.#decoders.set(stream, decoder);
    }
    // A character may go on in the next frame.
    const text = decoder.decode(bytes, { stream: true });
    return text === '' ? '' : this.#event(atMs, code, text);
  }

  #event(atMs: number, code: 'o' | 'i' | 'r' | 'm', text: string): string {
    const begin = this.#hasBegun ? '' : this.#header(COLUMNS, ROWS);
    const seconds = Math.max(0, atMs - (this.#options.fromMs ?? 0)) / 1000;
    return `${begin}[${seconds.toFixed(3)}, "${code}", ${JSON.stringify(text)}]\n`;
  }

  #header(columns: number, rows: number): string {
    this.#hasBegun = true;
    const { openedAtMs, title, fromMs } = this.#options;
    const timestamp = Math.floor((openedAtMs + (fromMs ?? 0)) / 1000);
    const header = { version: 2, width: columns || COLUMNS, height: rows || ROWS, timestamp, title };
    const marks = this.#early.splice(0).map((frame) => this.lines(frame));
    return `${JSON.stringify(header)}\n${marks.join('')}`;
  }
}

export const endText = (end: { readonly code?: number; readonly signal?: string }): string =>
  end.signal !== undefined ? `ended by ${end.signal}` : end.code !== undefined ? `exit ${end.code}` : 'ended';

/** Without a terminal nobody adds the carriage return that a screen needs. */
function shownOf(frame: FilmFrame & { readonly kind: 'terminal_output' }): Uint8Array {
  if (frame.stream === 'pty' || !frame.bytes.includes(10)) return frame.bytes;
  const out: number[] = [];
  frame.bytes.forEach((byte, i) => {
    if (byte === 10 && frame.bytes[i - 1] !== 13) out.push(13);
    out.push(byte);
  });
  return Uint8Array.from(out);
}
