/**
 * Recorded streams as a viewer may see them: what detectors find is hidden, however frames cut it. One per viewing.
 * Refuses to know who views. A stream was masked as its resource says before it was recorded; this is for what was not.
 */
import { createStreamMasker, type StreamMasker } from '@sallyport/mask';
import { DETECTORS } from '@sallyport/model';
import type { FrameStream } from '@sallyport/trail';

const EVERY_DETECTOR = DETECTORS.map((detect) => ({ detect, with: 'partial' as const }));
/** A frame that came so much later than the one before does not complete it. */
const QUIET_MS = 50;

interface Shown {
  readonly masker: StreamMasker;
  readonly number: number;
  readonly stream: FrameStream;
  lastMs: number;
}

export class ShownStreams {
  readonly #clear: boolean;
  readonly #streams = new Map<string, Shown>();

  constructor(clear: boolean) {
    this.#clear = clear;
  }

  /** @returns what may be shown by now; what may be the beginning of a value comes with a later frame */
  show(number: number, stream: FrameStream, atMs: number, bytes: Uint8Array): Uint8Array {
    if (this.#clear) return bytes;
    const id = `${number}/${stream}`;
    let shown = this.#streams.get(id);
    if (shown === undefined) {
      shown = {
        masker: createStreamMasker(EVERY_DETECTOR, undefined, { keepWidth: stream === 'pty' }),
        number,
        stream,
        lastMs: atMs,
      };
      this.#streams.set(id, shown);
    }
    const quietMs = atMs - shown.lastMs;
    shown.lastMs = atMs;
    const before = quietMs < QUIET_MS ? undefined : Buffer.from(shown.masker.idle(quietMs));
    const now = shown.masker.push(bytes);
    return before === undefined || before.length === 0 ? now : Buffer.concat([before, now]);
  }

  /** What was kept back of streams whose statement has ended; of all with no number. */
  end(
    number?: number,
  ): readonly { readonly number: number; readonly stream: FrameStream; readonly bytes: Uint8Array }[] {
    return [...this.#streams]
      .filter(([, shown]) => number === undefined || shown.number === number)
      .map(([id, { masker, number: of, stream }]) => {
        this.#streams.delete(id);
        return { number: of, stream, bytes: masker.flush() };
      })
      .filter(({ bytes }) => bytes.length > 0);
  }

  /** Nothing came for a while: what need not wait longer. */
  quiet(
    quietMs: number,
  ): readonly { readonly number: number; readonly stream: FrameStream; readonly bytes: Uint8Array }[] {
    return [...this.#streams.values()]
      .map(({ masker, number, stream }) => ({ number, stream, bytes: masker.idle(quietMs) }))
      .filter(({ bytes }) => bytes.length > 0);
  }
}
