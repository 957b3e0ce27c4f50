/**
 * SSH's data types (RFC 4251 section 5), read with every length checked and written without padding.
 * Refuses to know what the bytes mean.
 */
import { ParseError } from '@sallyport/core';

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** Reads from the front; every method throws ParseError when the bytes end early. */
export class WireReader {
  readonly #bytes: Buffer;
  readonly #path: string;
  #at = 0;
  /** @param path what is being read, for the error */
  constructor(bytes: Uint8Array, path: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#path = path;
  }
  get at(): number {
    return this.#at;
  }
  get ended(): boolean {
    return this.#at === this.#bytes.length;
  }
  /** What was read between two positions. */
  between(from: number, to: number): Buffer {
    return this.#bytes.subarray(from, to);
  }
  uint32(): number {
    this.#need(4);
    const value = this.#bytes.readUInt32BE(this.#at);
    this.#at += 4;
    return value;
  }
  uint64(): bigint {
    this.#need(8);
    const value = this.#bytes.readBigUInt64BE(this.#at);
    this.#at += 8;
    return value;
  }
  string(): Buffer {
    const length = this.uint32();
    this.#need(length);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
  /** @throws ParseError also for what is no UTF-8 */
  text(): string {
    try {
      return UTF8.decode(this.string());
    } catch (error) {
      throw error instanceof ParseError ? error : new ParseError(this.#path, 'a text is no UTF-8');
    }
  }
  /** @throws ParseError when something is left */
  end(): void {
    if (!this.ended) throw new ParseError(this.#path, `${this.#bytes.length - this.#at} bytes too many`);
  }
  #need(length: number): void {
    if (length > this.#bytes.length - this.#at) throw new ParseError(this.#path, 'the bytes end too early');
  }
}

export function wireUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
export function wireUint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}
export function wireString(value: string | Uint8Array): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([wireUint32(bytes.length), bytes]);
}
