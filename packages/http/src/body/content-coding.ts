/**
 * Content codings (RFC 9110 section 8.4): undone so that a body can be read, done again so that the client gets what it asked
 * for. Refuses unknown ones, several at once, and bodies that grow beyond belief. Limits: httpInflatedBytesFree, httpInflateRatioMax.
 */
import {
  constants,
  createBrotliCompress,
  createBrotliDecompress,
  createGunzip,
  createGzip,
  createInflate,
  createZstdCompress,
  createZstdDecompress,
} from 'node:zlib';
import { LIMITS } from '@sallyport/core';
import type { BodyMasker } from '../message.ts';
import { type Coder, ZlibStep } from './zlib-step.ts';

export const CODINGS = ['gzip', 'deflate', 'br', 'zstd'] as const;
export type Coding = (typeof CODINGS)[number];

const NOTHING = new Uint8Array(0);

/** @returns the coding, `identity` for none, undefined for what is not known here, or several */
export function codingOf(contentEncoding: string): Coding | 'identity' | undefined {
  if (contentEncoding === '') return 'identity';
  const names = contentEncoding
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '' && name !== 'identity');
  if (names.length === 0) return 'identity';
  const name = names[0] === 'x-gzip' ? 'gzip' : names[0];
  return names.length === 1 ? CODINGS.find((coding) => coding === name) : undefined;
}

function decoderOf(coding: Coding): Coder {
  switch (coding) {
    case 'gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    case 'zstd':
      return createZstdDecompress();
    default:
      return coding satisfies never;
  }
}

interface Encoder {
  readonly coder: Coder;
  readonly process: number;
  readonly flush: number;
  readonly finish: number;
}
/** The fastest level of each: the answer is compressed a second time, for one client. `deflate` is answered as gzip. */
function encoderOf(coding: Coding): Encoder {
  switch (coding) {
    case 'gzip':
    case 'deflate':
      return {
        coder: createGzip({ level: 1 }),
        process: constants.Z_NO_FLUSH,
        flush: constants.Z_SYNC_FLUSH,
        finish: constants.Z_FINISH,
      };
    case 'br':
      return {
        coder: createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
        process: constants.BROTLI_OPERATION_PROCESS,
        flush: constants.BROTLI_OPERATION_FLUSH,
        finish: constants.BROTLI_OPERATION_FINISH,
      };
    case 'zstd':
      return {
        coder: createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
        process: constants.ZSTD_e_continue,
        flush: constants.ZSTD_e_flush,
        finish: constants.ZSTD_e_end,
      };
    default:
      return coding satisfies never;
  }
}

const PROCESS = { gzip: 0, deflate: 0, br: constants.BROTLI_OPERATION_PROCESS, zstd: constants.ZSTD_e_continue };

/** Undoes one coding while the body streams; memory does not depend on what it grows to. */
class Decoder {
  readonly #step: ZlibStep;
  readonly #flush: number;
  #in = 0;
  #out = 0;
  #bomb = false;

  constructor(coding: Coding) {
    this.#step = new ZlibStep(decoderOf(coding));
    this.#flush = PROCESS[coding];
  }
  get failed(): boolean {
    return this.#step.failed || this.#bomb;
  }
  /** @param take each piece is lent for the call; false ends it */
  write(chunk: Uint8Array, take: (piece: Uint8Array) => boolean): void {
    this.#in += chunk.length;
    this.#step.write(this.#flush, chunk, (piece) => {
      this.#out += piece.length;
      const ratio = this.#out / this.#in;
      this.#bomb = this.#out > LIMITS.httpInflatedBytesFree && ratio > LIMITS.httpInflateRatioMax;
      return !this.#bomb && take(piece);
    });
  }
  close(): void {
    this.#step.close();
  }
}

/** A masker over what a coding hides. */
export class CodedBody implements BodyMasker {
  readonly #decoder: Decoder;
  readonly #encoder: Encoder | undefined;
  readonly #encoding: ZlibStep | undefined;
  readonly #inner: BodyMasker;
  /** Bytes went in since the encoder was flushed. */
  #pending = false;

  readonly #eager: boolean;

  /**
   * @param recode false: what comes out stays undone
   * @param eager nothing waits in the encoder: a stream of events is read as it comes
   */
  constructor(coding: Coding, inner: BodyMasker, recode: boolean, eager: boolean) {
    this.#eager = eager;
    this.#decoder = new Decoder(coding);
    this.#encoder = recode ? encoderOf(coding) : undefined;
    this.#encoding = this.#encoder === undefined ? undefined : new ZlibStep(this.#encoder.coder);
    this.#inner = inner;
  }

  get failed(): (BodyMasker['failed'] & string) | undefined {
    if (this.#decoder.failed || this.#encoding?.failed === true) return 'http.body_unmaskable';
    return this.#inner.failed;
  }
  get heldBytes(): number {
    return this.#inner.heldBytes + (this.#pending ? 1 : 0);
  }

  push(chunk: Uint8Array): Uint8Array {
    const parts: Uint8Array[] = [];
    this.#decoder.write(chunk, (piece) => {
      this.#add(parts, this.#inner.push(piece));
      return this.#inner.failed === undefined;
    });
    if (this.failed !== undefined) this.#close();
    else if (this.#eager) this.#flush(parts);
    return joined(parts);
  }

  end(): Uint8Array {
    const parts: Uint8Array[] = [];
    this.#add(parts, this.#inner.end());
    if (this.#encoding !== undefined) parts.push(this.#encoding.all(this.#encoder?.finish ?? 0, NOTHING));
    this.#close();
    return joined(parts);
  }

  idle(): Uint8Array {
    const parts: Uint8Array[] = [];
    this.#add(parts, this.#inner.idle());
    this.#flush(parts);
    return joined(parts);
  }

  /** What the encoder keeps goes out, so that it can be read as it comes. */
  #flush(parts: Uint8Array[]): void {
    if (this.#encoding === undefined || !this.#pending) return;
    this.#pending = false;
    parts.push(this.#encoding.all(this.#encoder?.flush ?? 0, NOTHING));
  }

  #add(parts: Uint8Array[], shown: Uint8Array): void {
    if (shown.length === 0) return;
    this.#pending = this.#encoding !== undefined;
    // What the masker gives may be lent, as the decoder's piece is.
    parts.push(this.#encoding?.all(this.#encoder?.process ?? 0, shown) ?? Uint8Array.from(shown));
  }
  #close(): void {
    this.#decoder.close();
    this.#encoding?.close();
  }
}

const joined = (parts: readonly Uint8Array[]): Uint8Array =>
  parts.length === 0 ? NOTHING : parts.length === 1 ? parts[0]! : Buffer.concat(parts);

/**
 * The whole of a body that is in memory, without its coding.
 * @param bytesMax a longer one is not read
 * @returns undefined for a coding that is not known, for what is damaged or cut, and for what is too long
 */
export function decodeBody(bytes: Uint8Array, contentEncoding: string, bytesMax: number): Uint8Array | undefined {
  const coding = codingOf(contentEncoding);
  if (coding === undefined) return undefined;
  if (coding === 'identity') return bytes.length > bytesMax ? undefined : bytes;
  const decoder = new Decoder(coding);
  const parts: Uint8Array[] = [];
  let size = 0;
  decoder.write(bytes, (piece) => {
    size += piece.length;
    if (size <= bytesMax) parts.push(Uint8Array.from(piece));
    return size <= bytesMax;
  });
  const isRead = !decoder.failed && size <= bytesMax;
  decoder.close();
  return isRead ? Buffer.concat(parts) : undefined;
}
