/**
 * What a session leaves behind of each statement: its outcome for the trail, its files for replay. Refuses to judge and to wait.
 */
import type { FileFacts } from '@sallyport/model';
import type { RecorderPort, SignedIn } from '@sallyport/protocol-kit';

export class Tally {
  readonly number: number;
  readonly #signed: SignedIn;
  readonly #startedUs: number;
  bytes = 0;
  masked = 0;
  error = '';
  #told = false;

  constructor(number: number, signed: SignedIn, nowUs: number) {
    this.number = number;
    this.#signed = signed;
    this.#startedUs = nowUs;
  }

  /** Tells the outcome, once. */
  finish(nowUs: number): void {
    if (this.#told) return;
    this.#told = true;
    const durationUs = Math.max(0, Math.round(nowUs - this.#startedUs));
    const { number, bytes, error, masked } = this;
    this.#signed.finished({ number, rows: 0, bytes, error, masked, durationUs });
  }
}

/** @param digest hex SHA-256 of the content; '' where it did not move from front to back */
export function recordFile(recorder: RecorderPort, { number, bytes }: Tally, file: FileFacts, digest: string): void {
  const { op, path, target, via } = file;
  const moves = op === 'read' || op === 'write';
  recorder.file(number, { op, path, target, digest, via, ...(moves ? { size: bytes } : {}) });
}
