/**
 * What is done with a stream on its way: masked as it comes, recorded as the client sees it, counted. Refuses to mask what
 * is a transfer's protocol: that is given to `countedFilter`. A masked stream may wait a moment for what follows.
 */
import { createStreamMasker, type MaskKey, PIPE_LONG_MS, pipeQuietMs, type StreamMasker } from '@sallyport/mask';
import type { DetectMask, Detector } from '@sallyport/model';
import type { RecorderPort } from '@sallyport/protocol-kit';

/** Each returns what goes on, lent for the call. */
export interface Filter {
  /** From the host. */
  down(chunk: Buffer, isStderr: boolean): Buffer;
  /** From the client. */
  up(chunk: Buffer): Buffer;
  /** The host says no more on either stream: what was held back. */
  rest(isStderr: boolean): Buffer;
  /** True while the record of it is behind: the host gets no window. */
  readonly saturated: boolean;
  /** Each call costs something besides what its bytes cost: fewer and larger chunks are cheaper. */
  readonly gathers?: boolean;
  /** Nothing of a chunk from the host is kept behind the call. */
  readonly takesLent?: boolean;
  /** Something of what `down` gave is to be done by `settle`, which need not stand before the client's having it. */
  readonly owes?: boolean;
  /** Called after each `down`, while what it was called with is as it was. */
  settle?(): void;
}

export interface StreamFilterOptions {
  readonly recorder: RecorderPort;
  readonly number: number;
  readonly pty: boolean;
  /** Of what the client sends, what may be recorded as it goes; absent: nothing. */
  recordInput?(chunk: Buffer): void;
  readonly detect: readonly DetectMask[];
  readonly key: MaskKey | undefined;
  /** Bytes of the host, and how many stretches of them were masked so far. */
  counted(bytes: number, masked: number): void;
  /** Something is held back: ask `quiet` in a moment. */
  holds(): void;
  nowMs(): number;
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const NOTHING = Buffer.alloc(0);
const PATIENCE_MS = 1_200;

export class StreamFilter implements Filter {
  readonly #options: StreamFilterOptions;
  #out: StreamMasker;
  #err: StreamMasker;
  #isMasked = false;
  #lastMs = 0;
  /** The record leaves out what comes, and digests it: in few and large pieces. */
  #isCut = false;
  owes = false;

  constructor(options: StreamFilterOptions) {
    this.#options = options;
    this.#out = this.#masker(options.detect);
    this.#err = this.#masker(options.detect);
  }

  #masker(detect: readonly DetectMask[]): StreamMasker {
    this.#isMasked = detect.length > 0;
    return createStreamMasker(detect, this.#options.key, { keepWidth: this.#options.pty, isLent: true });
  }

  get saturated(): boolean {
    return this.#options.recorder.saturated;
  }

  get gathers(): boolean {
    return this.#isMasked || this.#isCut;
  }

  /** Whoever reads a terminal along may read later. */
  get takesLent(): boolean {
    return !this.#options.pty;
  }

  /** What waits longer than this waits for what follows, and is not asked for again. */
  get holds(): boolean {
    const patienceMs = this.#options.pty ? PATIENCE_MS : PIPE_LONG_MS + PATIENCE_MS;
    if (this.#options.nowMs() - this.#lastMs > patienceMs) return false;
    return this.#out.heldBytes > 0 || this.#err.heldBytes > 0;
  }

  /** Other masks are in force: what was held back, and what has begun to go, is judged by them. */
  remask(detect: readonly DetectMask[]): void {
    if (this.#isMasked) {
      this.#out.remask(detect);
      this.#err.remask(detect);
      return;
    }
    this.#out = this.#masker(detect);
    this.#err = this.#masker(detect);
  }

  down(chunk: Buffer, isStderr: boolean): Buffer {
    const masker = isStderr ? this.#err : this.#out;
    const bytes = asBuffer(masker.push(chunk));
    this.owes = this.#record(bytes, isStderr, true);
    if (this.owes) this.#isCut = true;
    this.#options.counted(chunk.length, this.#out.hits + this.#err.hits);
    if (masker.heldBytes > 0) {
      this.#lastMs = this.#options.nowMs();
      this.#options.holds();
    }
    return bytes;
  }

  settle(): void {
    if (!this.owes) return;
    this.owes = false;
    this.#options.recorder.settle();
  }

  up(chunk: Buffer): Buffer {
    if (this.#options.pty) this.#out.typed(chunk);
    this.#options.recordInput?.(chunk);
    return chunk;
  }

  rest(isStderr: boolean): Buffer {
    const bytes = asBuffer((isStderr ? this.#err : this.#out).flush());
    this.#record(bytes, isStderr);
    this.#options.counted(0, this.#out.hits + this.#err.hits);
    return bytes;
  }

  /** Nothing came since `holds` was said. @returns what need not wait longer, of stdout and of stderr */
  quiet(): readonly [Buffer, Buffer] {
    const sinceMs = this.#options.nowMs() - this.#lastMs;
    const quietMs = this.#options.pty ? sinceMs : pipeQuietMs(sinceMs);
    if (quietMs === undefined) return [NOTHING, NOTHING];
    const out = asBuffer(this.#out.idle(quietMs));
    const err = asBuffer(this.#err.idle(quietMs));
    this.#record(out, false);
    this.#record(err, true);
    return [out, err];
  }

  #record(bytes: Buffer, isStderr: boolean, isLater = false): boolean {
    if (bytes.length === 0) return false;
    const stream = this.#options.pty ? 'pty' : isStderr ? 'stderr' : 'stdout';
    return this.#options.recorder.streamOutput(this.#options.number, stream, bytes, isLater);
  }
}

/** Bytes pass as they are, and are counted. */
export const countedFilter = (counted: (bytes: number, up: boolean) => void): Filter => ({
  saturated: false,
  takesLent: true,
  down: (chunk) => {
    counted(chunk.length, false);
    return chunk;
  },
  up: (chunk) => {
    counted(chunk.length, true);
    return chunk;
  },
  rest: () => NOTHING,
});

/** Looks for what may not leave in a file, as it passes. Content in its order; each file has one of its own. */
export class ContentScan {
  readonly #masker: StreamMasker;

  constructor(detect: readonly Detector[]) {
    this.#masker = createStreamMasker(
      detect.map((one) => ({ detect: one, with: 'redact' as const })),
      undefined,
      { isLent: true },
    );
  }

  /** @returns true once something was found: what comes with it may not go on */
  found(content: Uint8Array): boolean {
    this.#masker.push(content);
    // Nobody knows whether more follows: what is a find where the file ends here is one.
    this.#masker.idle();
    return this.#masker.hits > 0;
  }
}
