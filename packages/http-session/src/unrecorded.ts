/**
 * What the client was shown of an answer and the recorder was not: an answer leaves first. Refuses to keep more of its body
 * than leaves in one piece with its head.
 */
import { Buffer } from 'node:buffer';
import type { Header } from '@sallyport/http';
import type { MemberSession } from './member.ts';

const BYTES_MAX = 16 * 1024;

export class Unrecorded {
  #status = 0;
  #headers: readonly Header[] | undefined;
  #bytes: Uint8Array | undefined;
  #isSecret = false;

  /** @param isSecret what follows is never put on record */
  head(status: number, headers: readonly Header[], isSecret = false): void {
    this.#status = status;
    this.#headers = headers;
    this.#isSecret = isSecret;
  }

  /**
   * What follows the head at once, where it is lent and may have changed before both leave.
   * @param isGiven nobody writes into it again
   * @returns it in memory of its own; undefined where it cannot wait, and is given to `shown` once it is shown
   */
  body(bytes: Uint8Array, isGiven = false): Uint8Array | undefined {
    if (this.#headers === undefined || this.#bytes !== undefined || bytes.length > BYTES_MAX) return undefined;
    if (isGiven) return (this.#bytes = bytes);
    this.#bytes = Buffer.allocUnsafe(bytes.length);
    this.#bytes.set(bytes);
    return this.#bytes;
  }

  record(member: MemberSession | undefined, number: number): void {
    const headers = this.#headers;
    if (headers === undefined) return;
    const bytes = this.#bytes;
    this.#headers = undefined;
    this.#bytes = undefined;
    member?.recordAnswer(number, this.#status, headers);
    if (bytes !== undefined && !this.#isSecret) member?.recordBody(number, 'response', bytes);
  }

  /** Behind what waits. */
  shown(member: MemberSession | undefined, number: number, bytes: Uint8Array): void {
    this.record(member, number);
    if (!this.#isSecret) member?.recordBody(number, 'response', bytes);
  }
}
