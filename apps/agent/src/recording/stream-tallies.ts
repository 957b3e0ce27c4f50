/**
 * How much of each statement's streams is in the recording, and what is not: several statements of one session run at once.
 * Refuses to write frames. Limits: recordedStreamBytesPerStatementMax, recordedTerminalBytesPerStatementMax.
 */
import { createHash, type Hash } from 'node:crypto';
import { LIMITS } from '@sallyport/core';
import type { FrameStream } from '@sallyport/trail';

interface Tally {
  terminal: boolean;
  recordedBytes: number;
  readonly cuts: Map<FrameStream, { bytes: number; readonly hash: Hash }>;
}

export class StreamTallies {
  readonly #tallies = new Map<number, Tally>();
  /** Left out, counted, and not yet digested: lent until `settle`. */
  #owed: { readonly hash: Hash; readonly bytes: Uint8Array } | undefined;

  /** The statement has a terminal: it may show more. */
  isTerminal(number: number): void {
    this.#of(number).terminal = true;
  }

  /** Bytes that `results` still keeps of a stream: none once it was cut. */
  room(number: number, stream: FrameStream): number {
    const tally = this.#of(number);
    if (tally.cuts.has(stream)) return 0;
    const most = tally.terminal
      ? LIMITS.recordedTerminalBytesPerStatementMax
      : LIMITS.recordedStreamBytesPerStatementMax;
    return Math.max(0, most - tally.recordedBytes);
  }

  count(number: number, bytes: number): void {
    this.#of(number).recordedBytes += bytes;
  }

  /** @param isLater digested by `settle`, which comes before the bytes change */
  leaveOut(number: number, stream: FrameStream, bytes: Uint8Array, isLater: boolean): void {
    this.settle();
    const { cuts } = this.#of(number);
    let cut = cuts.get(stream);
    if (cut === undefined) {
      cut = { bytes: 0, hash: createHash('sha256') };
      cuts.set(stream, cut);
    }
    cut.bytes += bytes.length;
    if (isLater) this.#owed = { hash: cut.hash, bytes };
    else cut.hash.update(bytes);
  }

  settle(): void {
    const owed = this.#owed;
    if (owed === undefined) return;
    this.#owed = undefined;
    owed.hash.update(owed.bytes);
  }

  /** Statements whose streams have not ended. */
  open(): readonly number[] {
    return [...this.#tallies.keys()];
  }

  /** Forgets the statement. @returns what was left out of its streams */
  end(number: number): readonly { readonly stream: FrameStream; readonly bytes: number; readonly digest: string }[] {
    this.settle();
    const tally = this.#tallies.get(number);
    this.#tallies.delete(number);
    return [...(tally?.cuts ?? [])].map(([stream, cut]) => ({
      stream,
      bytes: cut.bytes,
      digest: cut.hash.digest('hex'),
    }));
  }

  #of(number: number): Tally {
    let tally = this.#tallies.get(number);
    if (tally === undefined) {
      tally = { terminal: false, recordedBytes: 0, cuts: new Map() };
      this.#tallies.set(number, tally);
    }
    return tally;
  }
}
