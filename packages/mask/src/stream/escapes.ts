/**
 * A terminal's control sequences, byte by byte: what is shown, what is not, what moves back. ECMA-48, and xterm's control
 * sequences (OSC, DCS and C1 in UTF-8). Refuses to know what they do; strings in them (titles, links) are text of their own.
 */
import type { Lane } from './lane.ts';
import { isIgnored } from './prefilter.ts';

export type EscapeState = 'ground' | 'escape' | 'inter' | 'csi' | 'string' | 'string-escape' | 'c2' | 'string-c2';

const ESC = 0x1b;
const BACKSPACE = 8;
const LF = 10;
const CR = 13;
const C2 = 0xc2;
const STEPS_MAX = 4_096;

/** Reads raw bytes into the lanes of a line and of a string. One per direction; `state` says where it stands. */
export class EscapeReader {
  state: EscapeState = 'ground';
  /** Last number in a control sequence. */
  #parameter = 0;
  readonly main: Lane;
  readonly string: Lane;

  constructor(main: Lane, string: Lane) {
    this.main = main;
    this.string = string;
  }

  get inString(): boolean {
    return this.state === 'string' || this.state === 'string-escape' || this.state === 'string-c2';
  }

  /** What `restore` takes to read the same bytes again. */
  mark(): EscapeMark {
    return { state: this.state, parameter: this.#parameter };
  }
  restore(mark: EscapeMark): void {
    this.state = mark.state;
    this.#parameter = mark.parameter;
  }

  read(raw: Uint8Array, from: number, to: number): void {
    for (let at = from; at < to; at++) this.#byte(raw, at, raw[at]!);
  }

  #byte(raw: Uint8Array, at: number, byte: number): void {
    switch (this.state) {
      case 'ground':
        this.#ground(raw, at, byte);
        break;
      case 'escape':
        this.#escape(raw, at, byte);
        break;
      case 'inter':
        if (byte >= 0x30 || byte === ESC) this.state = byte === ESC ? 'escape' : 'ground';
        break;
      case 'csi':
        this.#csi(raw, at, byte);
        break;
      case 'string':
        this.#string(raw, at, byte);
        break;
      case 'string-escape':
        // ESC \ ends it; another ESC sequence ends it too and begins.
        this.string.push(LF, at);
        this.state = 'escape';
        if (byte === 0x5c) this.state = 'ground';
        else this.#escape(raw, at, byte);
        break;
      case 'c2':
      case 'string-c2':
        this.#c1(at, byte);
        break;
      default:
        this.state satisfies never;
    }
  }

  #ground(raw: Uint8Array, at: number, byte: number): void {
    const { main } = this;
    if (byte === ESC) {
      this.state = 'escape';
      main.seam();
    } else if (byte === BACKSPACE) main.back(1);
    else if (byte === CR) {
      if (raw[at + 1] === LF) main.seam();
      else main.return();
    } else if (byte === C2) this.state = 'c2';
    else if (isIgnored(byte)) main.seam();
    else main.push(byte, at);
  }

  #escape(raw: Uint8Array, at: number, byte: number): void {
    if (byte === 0x5b) {
      this.state = 'csi';
      this.#parameter = 0;
    } else if (byte >= 0x80) {
      this.state = 'ground';
      this.#ground(raw, at, byte);
    } else if (byte === 0x5d || byte === 0x50 || byte === 0x58 || byte === 0x5e || byte === 0x5f) this.state = 'string';
    else if (byte >= 0x20 && byte <= 0x2f) this.state = 'inter';
    else if (byte !== ESC) this.state = 'ground';
  }

  #csi(raw: Uint8Array, at: number, byte: number): void {
    if (byte >= 0x30 && byte <= 0x39) this.#parameter = Math.min(STEPS_MAX, this.#parameter * 10 + byte - 0x30);
    else if (byte === 0x3b) this.#parameter = 0;
    else if (byte >= 0x40 && byte <= 0x7e) {
      this.state = 'ground';
      // CUB
      if (byte === 0x44) this.main.back(Math.max(1, this.#parameter));
      // CUP to the first column
      else if (byte === 0x48 && this.#parameter <= 1) this.main.rowStart();
    } else if (byte === ESC) this.state = 'escape';
    else if (byte === 0x18 || byte === 0x1a) this.state = 'ground';
    else if (byte >= 0x80) {
      this.state = 'ground';
      this.#ground(raw, at, byte);
    }
    // A control character inside a sequence is acted upon at once.
    else if (byte === BACKSPACE) this.main.back(1);
  }

  #string(raw: Uint8Array, at: number, byte: number): void {
    if (byte === ESC) this.state = 'string-escape';
    else if (byte === 7 || byte === 0x18 || byte === 0x1a) this.#endString(at);
    else if (byte === C2 && at + 1 < raw.length) this.state = 'string-c2';
    else this.string.push(byte, at);
  }

  #endString(at: number): void {
    // What follows in another string is another text.
    this.string.push(LF, at);
    this.state = 'ground';
  }

  /** The second byte of a character of UTF-8 from U+0080 to U+00BF. */
  #c1(at: number, byte: number): void {
    const inString = this.state === 'string-c2';
    const lane = inString ? this.string : this.main;
    this.state = inString ? 'string' : 'ground';
    if (byte < 0x80 || byte > 0x9f) {
      lane.push(C2, at - 1);
      if (byte >= 0x80) lane.push(byte, at);
      // No character: what came is read for itself.
      else if (inString) this.#string(EMPTY, at, byte);
      else this.#ground(EMPTY, at, byte);
      return;
    }
    if (inString) {
      if (byte === 0x9c) this.#endString(at);
      else lane.seam();
      return;
    }
    lane.seam();
    if (byte === 0x9b) {
      this.state = 'csi';
      this.#parameter = 0;
    } else if (byte === 0x9d || byte === 0x90 || byte === 0x98 || byte === 0x9e || byte === 0x9f) this.state = 'string';
  }
}

const EMPTY = new Uint8Array(0);

export interface EscapeMark {
  readonly state: EscapeState;
  readonly parameter: number;
}
