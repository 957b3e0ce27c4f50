/**
 * Messages of a pipeline that wait for the permit of the statement they belong to: their bytes, the questions they are to the
 * server, and what of them is not judged. Refuses to judge and to send.
 * Bytes stay in the lent chunk, as one stretch where they follow each other there, until it is given back.
 * Limits: LIMITS.parameterBytesMax, LIMITS.statementBytesMax.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import type { Permit } from '@sallyport/protocol-kit';
import type { Entry } from './flight.ts';
import type { Portal, Prepared } from './mirror.ts';

/** Beyond this, pieces of a pipeline are copied together. */
const GATHER_BYTES = 256 * 1024;

export class Pending {
  readonly entries: Entry[] = [];
  /** What has no permit, in order. */
  readonly judge: (Prepared | Portal)[] = [];
  /** Set once everything in it is judged. */
  permit: Permit | undefined;
  #size = 0;
  #parts: Buffer[] = [];
  /** The end of it, while that lies in the lent chunk. */
  #lent: Buffer | undefined;
  #from = 0;
  #to = 0;

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  /** The first of `judge` has its permit. */
  judged(): void {
    // V8 leaves compiled code for a shift that empties an array.
    if (this.judge.length === 1) this.judge.pop();
    else this.judge.shift();
  }

  /** A message of ours, or a copy of the client's. @throws GatewayError `frame.too_large` */
  add(message: Buffer, item: Entry): void {
    this.#cut();
    this.#parts.push(message);
    this.#added(message.length, item);
  }

  /** A message in the lent chunk. @throws GatewayError `frame.too_large` */
  addLent(bytes: Buffer, at: number, end: number, item: Entry): void {
    if (this.#lent === bytes && this.#to === at) this.#to = end;
    else {
      this.#cut();
      this.#lent = bytes;
      this.#from = at;
      this.#to = end;
    }
    this.#added(end - at, item);
  }

  /** The lent chunk is about to be given back, or there are many parts: all of it in memory of its own. */
  copy(): void {
    this.#cut();
    this.#parts = this.#parts.length === 0 ? [] : [Buffer.concat(this.#parts)];
  }

  /** All bytes, in order. */
  bytes(): readonly Buffer[] {
    this.#cut();
    return this.#parts;
  }

  #added(size: number, item: Entry): void {
    this.#size += size;
    this.entries.push(item);
    if (this.#size > LIMITS.parameterBytesMax + LIMITS.statementBytesMax)
      throw new GatewayError('frame.too_large', { pending: this.#size });
    if (this.#parts.length > 1 && this.#size > GATHER_BYTES) this.copy();
  }

  /** The stretch in the lent chunk becomes a part. */
  #cut(): void {
    const lent = this.#lent;
    if (lent === undefined) return;
    const isWhole = this.#from === 0 && this.#to === lent.length;
    const part = isWhole ? lent : lent.subarray(this.#from, this.#to);
    if (this.#parts.length === 0) this.#parts = [part];
    else this.#parts.push(part);
    this.#lent = undefined;
  }
}
