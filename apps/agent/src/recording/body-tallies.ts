/**
 * How much of each HTTP body is in the recording, and the digest of the whole; several requests of one session run at once.
 * Refuses to write frames. Limits: recordedHttpBodyBytes, recordedHttpBodyBytesMax.
 */
import { createHash, type Hash } from 'node:crypto';
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
  readonly hash: Hash | undefined;
}

export class BodyTallies {
  readonly #tallies = new Map<string, Tally>();

  begin(number: number, side: HttpSide, level: RecordingLevel, bytesMax = LIMITS.recordedHttpBodyBytes): void {
    const room =
      level === 'full'
        ? Number.POSITIVE_INFINITY
        : level === 'statements'
          ? 0
          : Math.min(bytesMax, LIMITS.recordedHttpBodyBytesMax);
    const hash = level === 'statements' ? undefined : createHash('sha256');
    this.#tallies.set(`${number}/${side}`, { number, side, room, bytes: 0, cut: 0, hash });
  }

  /** @param fits false while the writer is behind @returns how many of the bytes are to be kept, from the first */
  add(number: number, side: HttpSide, bytes: Uint8Array, fits: boolean): number {
    const tally = this.#tallies.get(`${number}/${side}`);
    if (tally === undefined) return 0;
    tally.bytes += bytes.length;
    tally.hash?.update(bytes);
    const kept = fits ? Math.min(tally.room, bytes.length) : 0;
    tally.room = kept < bytes.length ? 0 : tally.room - kept;
    tally.cut += bytes.length - kept;
    return kept;
  }

  /** Forgets the body. */
  end(number: number, side: HttpSide): RecordedBody | undefined {
    const key = `${number}/${side}`;
    const tally = this.#tallies.get(key);
    if (tally === undefined) return undefined;
    this.#tallies.delete(key);
    return { bytes: tally.bytes, cut: tally.cut, digest: tally.hash?.digest('hex') ?? '' };
  }

  /** Bodies that have not ended. */
  open(): readonly { readonly number: number; readonly side: HttpSide }[] {
    return [...this.#tallies.values()];
  }
}
