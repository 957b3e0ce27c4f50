/**
 * What the client was shown of an answer and the recorder was not: an answer leaves first, and some of it is for who asked alone.
 * Refuses to keep more of its body than leaves in one piece with its head.
 */
import { Buffer } from 'node:buffer';
import type { BodyMasker, Header } from '@sallyport/http';
import type { AnswerPlan } from './dialect.ts';
import type { MemberSession } from './member.ts';

const BYTES_MAX = 16 * 1024;

export class Unrecorded {
  #status = 0;
  #headers: readonly Header[] | undefined;
  #bytes: Uint8Array | undefined;
  #kept: AnswerPlan['recorded'];

  /** @param kept makes what is put on record of what follows */
  head(status: number, headers: readonly Header[], kept: AnswerPlan['recorded']): void {
    this.#status = status;
    this.#headers = headers;
    this.#kept = kept;
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
    if (bytes !== undefined) this.#keep(member, number, bytes);
  }

  /** Behind what waits. */
  shown(member: MemberSession | undefined, number: number, bytes: Uint8Array): void {
    this.record(member, number);
    this.#keep(member, number, bytes);
  }

  /** The answer is over. */
  end(member: MemberSession | undefined, number: number): void {
    this.record(member, number);
    const kept = this.#kept;
    if (kept !== undefined && kept !== 'nothing') this.#recordMade(member, number, kept, kept.end());
  }

  #keep(member: MemberSession | undefined, number: number, bytes: Uint8Array): void {
    const kept = this.#kept;
    if (kept === undefined) member?.recordBody(number, 'response', bytes);
    else if (kept !== 'nothing') this.#recordMade(member, number, kept, kept.push(bytes));
  }

  #recordMade(member: MemberSession | undefined, number: number, kept: BodyMasker, made: Uint8Array): void {
    // What nobody can read, nobody can take a token out of.
    if (kept.failed !== undefined) this.#kept = 'nothing';
    else member?.recordBody(number, 'response', made);
  }
}
