/**
 * The body behind an HTTP/1.1 head, as it comes: by length, in chunks, or to the end of the connection. Incremental and
 * bounded; chunks are undone here and made anew by who sends on. Chunk extensions are refused: parsers differ about them.
 * RFC 9112 sections 6 and 7.1.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import type { Header, ResponseFraming } from '../message.ts';
import { readTrailers } from './head.ts';
import { KEPT_CHUNK_MAX } from './known-head.ts';

export interface BodyOwner {
  /** Lent for the call. */
  bodyBytes(bytes: Buffer): void;
  bodyEnd(trailers: readonly Header[]): void;
}

type State = 'length' | 'size' | 'data' | 'data-end' | 'trailers' | 'until-close' | 'done';

const NO_TRAILERS: readonly Header[] = Object.freeze([]);
const CR = 0x0d;
const LF = 0x0a;
/** Hex digits of a chunk's size: 4 GiB and more in one chunk is nobody's. */
const SIZE_DIGITS_MAX = 8;

const smuggling = (reason: string): GatewayError => new GatewayError('http.smuggling', { reason });

export class BodyReader {
  readonly #owner: BodyOwner;
  #state: State = 'done';
  #left = 0;
  #digits = 0;
  #sawCr = false;
  #trailers = '';
  #lines = 0;
  /** The stretch of a chunk that was told last: short reads come as the same few chunks, and services answer alike. */
  #chunk: Buffer | undefined;
  #from = 0;
  #stretch: Buffer | undefined;

  constructor(owner: BodyOwner) {
    this.#owner = owner;
  }

  /** The body of the next message begins. */
  begin(framing: ResponseFraming): void {
    this.#left = 0;
    this.#digits = 0;
    this.#sawCr = false;
    this.#trailers = '';
    this.#lines = 0;
    if (framing.kind === 'length') {
      this.#state = 'length';
      this.#left = framing.bytes;
    } else this.#state = framing.kind === 'stream' ? 'size' : framing.kind === 'until-close' ? 'until-close' : 'done';
  }

  get done(): boolean {
    return this.#state === 'done';
  }

  /**
   * Reads from `at`. @returns where the next message begins, or the chunk's length
   * @throws GatewayError `http.smuggling`, `http.malformed`, `http.header_limit`
   */
  read(chunk: Buffer, at: number): number {
    let from = at;
    while (from < chunk.length && this.#state !== 'done') from = this.#step(chunk, from);
    return from;
  }

  /** The connection is at its end. @returns true when that is the body's end, too */
  closed(): boolean {
    if (this.#state !== 'until-close') return this.#state === 'done';
    this.#finish(NO_TRAILERS);
    return true;
  }

  #finish(trailers: readonly Header[]): void {
    this.#state = 'done';
    this.#owner.bodyEnd(trailers);
  }

  #step(chunk: Buffer, from: number): number {
    switch (this.#state) {
      case 'length':
      case 'data':
        return this.#counted(chunk, from);
      case 'size':
        return this.#size(chunk, from);
      case 'data-end':
        return this.#dataEnd(chunk, from);
      case 'trailers':
        return this.#trailer(chunk, from);
      case 'until-close':
        this.#owner.bodyBytes(from === 0 ? chunk : chunk.subarray(from));
        return chunk.length;
      case 'done':
        return from;
      default:
        return this.#state satisfies never;
    }
  }

  #counted(chunk: Buffer, from: number): number {
    const size = Math.min(this.#left, chunk.length - from);
    this.#left -= size;
    const inChunk = this.#state === 'data';
    if (this.#left === 0) this.#state = inChunk ? 'data-end' : 'done';
    this.#owner.bodyBytes(from === 0 && size === chunk.length ? chunk : this.#stretchOf(chunk, from, size));
    if (this.#left === 0 && !inChunk) this.#owner.bodyEnd(NO_TRAILERS);
    return from + size;
  }

  /** A view costs more than what is done with the bytes of a small answer. */
  #stretchOf(chunk: Buffer, from: number, size: number): Buffer {
    if (chunk.length > KEPT_CHUNK_MAX) return chunk.subarray(from, from + size);
    const last = this.#stretch;
    if (last !== undefined && chunk === this.#chunk && from === this.#from && size === last.length) return last;
    this.#chunk = chunk;
    this.#from = from;
    this.#stretch = chunk.subarray(from, from + size);
    return this.#stretch;
  }

  #size(chunk: Buffer, from: number): number {
    const byte = chunk[from] as number;
    if (this.#sawCr) {
      if (byte !== LF) throw smuggling('chunk size');
      this.#sawCr = false;
      this.#digits = 0;
      this.#state = this.#left === 0 ? 'trailers' : 'data';
      return from + 1;
    }
    if (byte === CR) {
      if (this.#digits === 0) throw smuggling('chunk size');
      this.#sawCr = true;
      return from + 1;
    }
    const digit = hexDigit(byte);
    if (digit === -1 || ++this.#digits > SIZE_DIGITS_MAX) throw smuggling('chunk size');
    this.#left = this.#left * 16 + digit;
    return from + 1;
  }

  #dataEnd(chunk: Buffer, from: number): number {
    const byte = chunk[from] as number;
    if (byte !== (this.#sawCr ? LF : CR)) throw smuggling('chunk end');
    if (this.#sawCr) {
      this.#state = 'size';
      this.#left = 0;
    }
    this.#sawCr = !this.#sawCr;
    return from + 1;
  }

  /** Ends with an empty line: at once, or after CRLF CRLF. */
  #trailer(chunk: Buffer, from: number): number {
    const lineEnd = chunk.indexOf(LF, from);
    const to = lineEnd === -1 ? chunk.length : lineEnd + 1;
    if (this.#trailers.length + to - from > LIMITS.httpHeadBytesMax || this.#lines > LIMITS.httpHeadersMax)
      throw new GatewayError('http.header_limit', { reason: 'trailers' });
    this.#trailers += chunk.toString('latin1', from, to);
    if (lineEnd === -1) return to;
    this.#lines++;
    const text = this.#trailers;
    if (!text.endsWith('\r\n')) throw smuggling('trailers');
    if (text === '\r\n') this.#finish(NO_TRAILERS);
    else if (text.endsWith('\r\n\r\n')) this.#finish(readTrailers(text.slice(0, -4)));
    return to;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
