/**
 * What is sent as JSON and begins as none: an error page, a number by itself. Read as text by the detectors.
 * Refuses what may hold JSON after all: members that a path names, and characters behind `\u`.
 */
import type { DetectMask } from '@sallyport/model';
import type { MaskKey } from '../methods.ts';
import { createStreamMasker, type StreamMasker } from '../stream/stream.ts';

const QUOTE = 34;
const BRACE = 123;
const TEXT_CONTROLS: ReadonlySet<number> = new Set([9, 10, 12, 13, 27]);
const NOTHING = new Uint8Array(0);
const ESCAPE_BYTES = 6;

export class LooseText {
  broken = false;
  readonly #masker: StreamMasker;
  readonly #hasPaths: boolean;
  readonly #detects: boolean;
  #last = '';

  constructor(detect: readonly DetectMask[], key: MaskKey | undefined, hasPaths: boolean) {
    this.#masker = createStreamMasker(detect, key);
    this.#hasPaths = hasPaths;
    this.#detects = detect.length > 0;
  }
  get heldBytes(): number {
    return this.#masker.heldBytes;
  }
  get hits(): number {
    return this.#masker.hits;
  }

  push(chunk: Uint8Array): Uint8Array {
    if (this.#hasPaths && mayHoldMembers(chunk)) this.broken = true;
    if (this.#detects && !this.broken) {
      const seen = this.#last + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1');
      if (/\\u[0-9a-fA-F]{4}/.test(seen)) this.broken = true;
      this.#last = seen.slice(1 - ESCAPE_BYTES);
    }
    return this.broken ? NOTHING : this.#masker.push(chunk);
  }
  end(): Uint8Array {
    return this.broken ? NOTHING : this.#masker.flush();
  }
  idle(quietMs: number): Uint8Array {
    return this.broken ? NOTHING : this.#masker.idle(quietMs);
  }
}

/** Quotes, braces, and what no text has: controls besides line ends, tabs, form feeds and escapes, as packed forms have them. */
function mayHoldMembers(bytes: Uint8Array): boolean {
  if (bytes.includes(QUOTE) || bytes.includes(BRACE)) return true;
  for (const byte of bytes) if (byte < 32 && !TEXT_CONTROLS.has(byte)) return true;
  return false;
}
