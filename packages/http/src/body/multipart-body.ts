/**
 * Multipart bodies (RFC 2046 section 5.1, RFC 7578): each part by its own type, headers of parts by detectors, delimiters as they
 * came. Refuses parts in an encoding that hides text, and delimiters that are not named. Limits: httpPartHeadBytesMax.
 */
import { LIMITS } from '@sallyport/core';
import type { JsonMaskerOptions } from '@sallyport/mask';
import type { BodyMasker } from '../message.ts';
import { maskLooseText } from './message-text.ts';
import { TextBody } from './plain-bodies.ts';

const UNMASKABLE = 'http.body_unmaskable';
const NOTHING = new Uint8Array(0);
const NEWLINE = Buffer.from('\n');
const LF = 10;
const CR = 13;

/** What a part's masker is made of: its type and its transfer encoding. */
export type OpenPart = (contentType: string, transferEncoding: string) => BodyMasker | undefined;

const HEAD_END = /\n\r?\n/;
/**
 * What readers take in more ways than one, so that a type could hide in it: a line that goes on in the next one, a blank before a
 * colon, a line that ends with CR, a type or a coding twice.
 */
const UNSURE: readonly RegExp[] = [
  /^[ \t]/m,
  /^[^\s:]+[ \t]+:/m,
  /\r(?!\n)/,
  /^content-type:[^]*^content-type:/im,
  /^content-transfer-encoding:[^]*^content-transfer-encoding:/im,
];

export class MultipartBody implements BodyMasker {
  #broken = false;
  readonly #masks: JsonMaskerOptions;
  readonly #open: OpenPart;
  readonly #delimiter: Buffer;
  #state: 'preamble' | 'head' | 'body' | 'epilogue' = 'preamble';
  /** Of the part, or of the text before the first and behind the last one. */
  #part: BodyMasker;
  #held: Uint8Array = NEWLINE;
  /** The line end that stands before what comes was never sent, or has gone out: a delimiter may begin at once. */
  #isStart = true;
  #out: Uint8Array[] = [];

  constructor(boundary: string, masks: JsonMaskerOptions, open: OpenPart) {
    this.#masks = masks;
    this.#open = open;
    this.#part = new TextBody(masks);
    this.#delimiter = Buffer.from(`\n--${boundary}`, 'latin1');
  }

  get failed(): BodyMasker['failed'] {
    return this.#broken ? UNMASKABLE : this.#part.failed;
  }
  get heldBytes(): number {
    return this.#held.length + this.#part.heldBytes;
  }

  push(chunk: Uint8Array): Uint8Array {
    let input: Uint8Array = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = NOTHING;
    while (this.failed === undefined) {
      const rest = this.#step(input);
      if (rest === undefined) break;
      input = rest;
    }
    return this.#taken();
  }

  end(): Uint8Array {
    const held = this.#held;
    this.#held = NOTHING;
    if (this.failed !== undefined) return NOTHING;
    this.#content(held);
    this.#emit(this.#part.end());
    return this.#taken();
  }
  idle(): Uint8Array {
    return this.#part.idle();
  }

  /** @returns what is to be read next; undefined when more has to come */
  #step(input: Uint8Array): Uint8Array | undefined {
    switch (this.#state) {
      case 'preamble':
      case 'body':
        return this.#upToDelimiter(Buffer.from(input.buffer, input.byteOffset, input.byteLength));
      case 'head':
        return this.#head(Buffer.from(input.buffer, input.byteOffset, input.byteLength));
      case 'epilogue':
        this.#emit(this.#part.push(input));
        return undefined;
      default:
        return this.#state satisfies never;
    }
  }

  #upToDelimiter(input: Buffer): Uint8Array | undefined {
    for (let at = input.indexOf(this.#delimiter); at >= 0; at = input.indexOf(this.#delimiter, at + 1)) {
      const lineEnd = input.indexOf(LF, at + this.#delimiter.length);
      if (lineEnd < 0) {
        const end = input.toString('latin1', at + this.#delimiter.length);
        // The last delimiter may stand without a line end; more than white space behind one is no delimiter.
        if (/^-?-?[ \t]*\r?$/.test(end)) return this.#hold(input, at);
        continue;
      }
      const end = input.toString('latin1', at + this.#delimiter.length, lineEnd);
      if (!/^(?:--)?[ \t]*\r?$/.test(end)) continue;
      const from = at > 0 && input[at - 1] === CR ? at - 1 : at;
      this.#content(input.subarray(0, from));
      this.#emit(this.#part.end());
      if (this.failed !== undefined) return undefined;
      this.#emit(this.#isStart ? input.subarray(from + 1, lineEnd + 1) : input.subarray(from, lineEnd + 1));
      this.#isStart = false;
      this.#part = new TextBody(this.#masks);
      this.#state = end.startsWith('--') ? 'epilogue' : 'head';
      return input.subarray(lineEnd + 1);
    }
    // A delimiter, with the CR before it, may have begun.
    const safe = Math.max(0, input.length - this.#delimiter.length - 1);
    const begun = input.subarray(safe).findIndex((byte) => byte === LF || byte === CR);
    return this.#hold(input, begun < 0 ? input.length : safe + begun);
  }

  #hold(input: Buffer, at: number): undefined {
    const from = at > 0 && at < input.length && input[at - 1] === CR ? at - 1 : at;
    this.#content(input.subarray(0, from));
    this.#held = Uint8Array.from(input.subarray(from));
    if (this.#held.length > LIMITS.httpPartHeadBytesMax) this.#broken = true;
    return undefined;
  }

  /** Bytes of a part, or from before the first one. */
  #content(bytes: Uint8Array): void {
    const shown = this.#isStart && bytes.length > 0 ? bytes.subarray(1) : bytes;
    if (bytes.length > 0) this.#isStart = false;
    this.#emit(this.#part.push(shown));
  }

  #head(input: Buffer): Uint8Array | undefined {
    const isEmpty = input[0] === LF || (input[0] === CR && input[1] === LF);
    const end = HEAD_END.exec(input.toString('latin1', 0, LIMITS.httpPartHeadBytesMax));
    const to = isEmpty ? input.indexOf(LF) + 1 : end === null ? -1 : end.index + end[0].length;
    if (to < 0) {
      if (input.length > LIMITS.httpPartHeadBytesMax) this.#broken = true;
      this.#held = Uint8Array.from(input);
      return undefined;
    }
    const head = input.toString('latin1', 0, to);
    const valueOf = (name: string): string => new RegExp(`^${name}:[ \\t]*([^\\r\\n]*)`, 'im').exec(head)?.[1] ?? '';
    const part = this.#open(valueOf('content-type'), valueOf('content-transfer-encoding').trim().toLowerCase());
    if (part === undefined || UNSURE.some((way) => way.test(head))) {
      this.#broken = true;
      return undefined;
    }
    this.#part = part;
    this.#emit(maskLooseText(input.subarray(0, to), this.#masks));
    this.#state = 'body';
    this.#isStart = true;
    return Buffer.concat([NEWLINE, input.subarray(to)]);
  }

  #emit(bytes: Uint8Array): void {
    // What parts give may be lent.
    if (bytes.length > 0) this.#out.push(Uint8Array.from(bytes));
  }
  #taken(): Uint8Array {
    const out = this.#out;
    this.#out = [];
    return out.length === 0 ? NOTHING : Buffer.concat(out);
  }
}
