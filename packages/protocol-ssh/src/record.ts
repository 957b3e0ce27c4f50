/**
 * What a session leaves behind of each statement: its outcome for the trail. Refuses to judge and to wait.
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

export function noteEnd(recorder: RecorderPort, number: number, error: string, said: string): void {
  recorder.note(number, error === '' ? 'complete' : 'error', said);
}

/** @param digest hex SHA-256 of the content; '' where it did not move from front to back */
export function noteFile(
  recorder: RecorderPort,
  { number, bytes, error }: Tally,
  file: FileFacts,
  digest: string,
): void {
  const what = [file.op, JSON.stringify(file.path), ...(file.target === '' ? [] : [JSON.stringify(file.target)])].join(
    ' ',
  );
  const content = digest === '' ? '' : ` sha256 ${digest}`;
  recorder.note(number, error === '' ? 'complete' : 'error', `${what}: ${bytes} bytes${content}`);
}
