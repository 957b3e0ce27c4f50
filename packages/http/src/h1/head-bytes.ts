/**
 * Gathers the bytes of a head to its empty line: whole in one chunk nearly always, in pieces otherwise, bounded.
 * Refuses to read them; a line end that is not CRLF is for the head's reader to refuse.
 */
import { GatewayError, LIMITS } from '@sallyport/core';

const END = Buffer.from('\r\n\r\n');
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
      const found = chunk.indexOf(END, from);
      if (found !== -1) {
        if (found - from > LIMITS.httpHeadBytesMax) throw new GatewayError('http.header_limit', { reason: 'bytes' });
        this.end = found + END.length;
        return chunk.toString('latin1', from, found);
      }
      this.#keep(Buffer.from(chunk.subarray(from)));
      return undefined;
    }
    // The empty line may lie across the border: three bytes back are enough.
    const joined = Buffer.concat([held, chunk.subarray(from, from + LIMITS.httpHeadBytesMax + END.length)]);
    const found = joined.indexOf(END, Math.max(0, held.length - END.length + 1));
    if (found === -1) {
      this.#keep(joined);
      return undefined;
    }
    this.#held = undefined;
    // The line that may stand before a request came in pieces.
    const start = this.#skipsBlank && joined[0] === CR && joined[1] === LF ? 2 : 0;
    this.end = from + found + END.length - held.length;
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
