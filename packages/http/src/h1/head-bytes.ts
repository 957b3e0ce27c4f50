/**
 * Gathers the bytes of a head to its empty line: whole in one chunk nearly always, in pieces otherwise, bounded.
 * Refuses to read them; a line end that is not CRLF is for the head's reader to refuse.
 */
import { Buffer } from 'node:buffer';
import { GatewayError, LIMITS } from '@sallyport/core';

/** The length of the empty line, with the end of the line before it: CR LF CR LF. */
const END_BYTES = 4;
const CR = 0x0d;
const LF = 0x0a;

export class HeadBytes {
  readonly #skipsBlank: boolean;
  #held: Buffer | undefined;
  /** Of the head found last: where in the chunk it ends. */
  end = 0;

  /** @param skipsBlank an empty line before a head is nothing (RFC 9112 section 2.2) */
  constructor(skipsBlank: boolean) {
    this.#skipsBlank = skipsBlank;
  }

  /** A head has begun and is not whole. */
  get begun(): boolean {
    return this.#held !== undefined;
  }

  /**
   * @returns the head's text without its empty line, as Latin-1; undefined while it is not whole: the chunk was kept
   * @throws GatewayError `http.header_limit`
   */
  take(chunk: Buffer, from: number): string | undefined {
    const held = this.#held;
    if (held === undefined) {
      const found = endOfHead(chunk, from);
      if (found !== -1) {
        if (found - from > LIMITS.httpHeadBytesMax) throw new GatewayError('http.header_limit', { reason: 'bytes' });
        this.end = found + END_BYTES;
        return chunk.toString('latin1', from, found);
      }
      this.#keep(Buffer.from(chunk.subarray(from)));
      return undefined;
    }
    // The empty line may lie across the border: three bytes back are enough.
    const joined = Buffer.concat([held, chunk.subarray(from, from + LIMITS.httpHeadBytesMax + END_BYTES)]);
    const found = endOfHead(joined, Math.max(0, held.length - END_BYTES + 1));
    if (found === -1) {
      this.#keep(joined);
      return undefined;
    }
    this.#held = undefined;
    // The line that may stand before a request came in pieces.
    const start = this.#skipsBlank && joined[0] === CR && joined[1] === LF ? 2 : 0;
    this.end = from + found + END_BYTES - held.length;
    if (found > LIMITS.httpHeadBytesMax) throw new GatewayError('http.header_limit', { reason: 'bytes' });
    return joined.toString('latin1', start, Math.max(start, found));
  }

  #keep(bytes: Buffer): void {
    if (bytes.length > LIMITS.httpHeadBytesMax) throw new GatewayError('http.header_limit', { reason: 'bytes' });
    this.#held = bytes;
  }

  /** One empty line before a request line is skipped (RFC 9112 section 2.2); @returns where the head begins */
  static skipBlank(chunk: Buffer, from: number): number {
    return chunk[from] === CR && chunk[from + 1] === LF ? from + 2 : from;
  }
}

/**
 * Where CR LF CR LF begins; -1 without. Every fourth byte is looked at, for one of four is in it: Buffer's own search goes
 * through more code than a head has bytes.
 */
function endOfHead(bytes: Buffer, from: number): number {
  const { length } = bytes;
  for (let at = from + END_BYTES - 1; at < length; ) {
    const byte = bytes[at] as number;
    // All but a few bytes of a head are letters.
    if (byte > CR || (byte !== CR && byte !== LF)) at += END_BYTES;
    else if (byte === CR) at += 1;
    else if (bytes[at - 1] === CR && bytes[at - 2] === LF && bytes[at - 3] === CR) return at - END_BYTES + 1;
    else at += 2;
  }
  return -1;
}
