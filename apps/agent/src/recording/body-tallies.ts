/**
 * How much of each HTTP body is in the recording, and the digest of the whole; several requests of one session run at once.
 * Refuses to write frames. Limits: recordedHttpBodyBytes, recordedHttpBodyBytesMax.
 */
import { Buffer } from 'node:buffer';
import { createHash, type Hash, hash } from 'node:crypto';
import { LIMITS } from '@sallyport/core';
import type { RecordingLevel } from '@sallyport/model';
import type { RecordedBody } from '@sallyport/protocol-kit';
import type { HttpSide } from '@sallyport/trail';

interface Tally {
  readonly number: number;
  readonly side: HttpSide;
  /** What may still be kept; what comes behind a hole never is. */
  room: number;
  bytes: number;
  cut: number;
  /** False where nothing of bodies is recorded. */
  readonly digests: boolean;
  /** All there is so far, while it is one small piece: most bodies never are more, and one call digests them. */
  only: Uint8Array | undefined;
  hash: Hash | undefined;
}

/** Up to this size a first piece waits for its end; a longer one is digested as it comes. */
const ONLY_BYTES_MAX = 4 * 1024;

/** More than run at once in one session, nearly always. */
const PLACES = 64;

const NO_MEMORY = Buffer.alloc(0);
/** A letter for each byte: quicker to write than hex, and no Buffer whose memory V8 must track. */
const digestOf = (bytes: Uint8Array): string => hash('sha256', bytes, 'binary');
const DIGEST_OF_NOTHING = digestOf(NO_MEMORY);

/**
 * The small piece that came last by one side, which the digest waits for: its body has ended, nearly always, before another one
 * begins. Services answer alike, and what is the same byte by byte has the digest that is known. Only of one session: by the time
 * it takes, nobody learns what another was shown.
 */
class LastPiece {
  #memory: Buffer = NO_MEMORY;
  #bytes: Buffer = NO_MEMORY;
  /** Of these bytes; '' = not taken yet. */
  #digest = '';
  #tally: Tally | undefined;

  /** @param bytes lent: they are read into again */
  wait(tally: Tally, bytes: Uint8Array): void {
    const before = this.#tally;
    if (before?.only !== undefined) before.only = Buffer.from(before.only);
    this.#tally = tally;
    if (!this.#bytes.equals(bytes)) {
      if (bytes.length > this.#memory.length) this.#memory = Buffer.allocUnsafeSlow(bytes.length);
      if (bytes.length !== this.#bytes.length) this.#bytes = this.#memory.subarray(0, bytes.length);
      this.#memory.set(bytes);
      this.#digest = '';
    }
    tally.only = this.#bytes;
  }

  digestOf(tally: Tally, only: Uint8Array): string {
    if (tally !== this.#tally) return digestOf(only);
    this.#tally = undefined;
    if (this.#digest === '') this.#digest = digestOf(only);
    return this.#digest;
  }
}

export class BodyTallies {
  /** Found by their numbers, without a map: one that bodies enter and leave all the time is made anew for each few of them. */
  #places: (Tally | undefined)[] = [];
  /** Whose place another body took. */
  #others: Map<number, Tally> | undefined;
  readonly #lastPieces: Readonly<Record<HttpSide, LastPiece>> = { request: new LastPiece(), response: new LastPiece() };

  begin(number: number, side: HttpSide, level: RecordingLevel, bytesMax = LIMITS.recordedHttpBodyBytes): void {
    const room =
      level === 'full'
        ? Number.POSITIVE_INFINITY
        : level === 'statements'
          ? 0
          : Math.min(bytesMax, LIMITS.recordedHttpBodyBytesMax);
    const digests = level !== 'statements';
    const tally: Tally = { number, side, room, bytes: 0, cut: 0, digests, only: undefined, hash: undefined };
    if (this.#places.length === 0) this.#places = Array.from({ length: 2 * PLACES });
    const place = placeOf(number, side);
    const before = this.#places[place];
    this.#others?.delete(keyOf(number, side));
    if (before !== undefined && before.number !== number)
      (this.#others ??= new Map()).set(keyOf(before.number, side), before);
    this.#places[place] = tally;
  }

  #find(number: number, side: HttpSide): Tally | undefined {
    const tally = this.#places[placeOf(number, side)];
    return tally?.number === number ? tally : this.#others?.get(keyOf(number, side));
  }

  /** @param fits false while the writer is behind @returns how many of the bytes are to be kept, from the first */
  add(number: number, side: HttpSide, bytes: Uint8Array, fits: boolean): number {
    const tally = this.#find(number, side);
    if (tally === undefined) return 0;
    if (tally.digests) this.#digest(tally, bytes);
    tally.bytes += bytes.length;
    const kept = fits ? Math.min(tally.room, bytes.length) : 0;
    tally.room = kept < bytes.length ? 0 : tally.room - kept;
    tally.cut += bytes.length - kept;
    return kept;
  }

  /** Forgets the body. */
  end(number: number, side: HttpSide): RecordedBody | undefined {
    const tally = this.#find(number, side);
    if (tally === undefined) return undefined;
    const place = placeOf(number, side);
    if (this.#places[place] === tally) this.#places[place] = undefined;
    else this.#others?.delete(keyOf(number, side));
    return { bytes: tally.bytes, cut: tally.cut, digest: tally.digests ? this.#wholeDigest(tally) : '' };
  }

  /** Bodies that have not ended. */
  open(): readonly { readonly number: number; readonly side: HttpSide }[] {
    return [...this.#places, ...(this.#others?.values() ?? [])].filter((tally) => tally !== undefined);
  }

  #digest(tally: Tally, bytes: Uint8Array): void {
    if (tally.bytes === 0 && bytes.length <= ONLY_BYTES_MAX) {
      this.#lastPieces[tally.side].wait(tally, bytes);
      return;
    }
    tally.hash ??= createHash('sha256');
    if (tally.only !== undefined) tally.hash.update(tally.only);
    tally.only = undefined;
    tally.hash.update(bytes);
  }

  #wholeDigest(tally: Tally): string {
    const { only, hash: begun } = tally;
    tally.only = undefined;
    if (begun !== undefined) return begun.digest('binary');
    return only === undefined ? DIGEST_OF_NOTHING : this.#lastPieces[tally.side].digestOf(tally, only);
  }
}

/** Numbers of statements are far below 2^52. */
const keyOf = (number: number, side: HttpSide): number => number * 2 + (side === 'request' ? 0 : 1);
const placeOf = (number: number, side: HttpSide): number => keyOf(number % PLACES, side);
