/**
 * Maskers of bodies that are one thing from end to end: text by detectors, JSON by paths and detectors, and what is only known
 * by its first byte. Refuses to know headers. docs/reference/http-masking.md.
 */
import { createStreamMasker, JsonMasker, type JsonMaskerOptions, type StreamMasker } from '@sallyport/mask';
import type { BodyMasker } from '../message.ts';

const NOTHING = new Uint8Array(0);
const UNMASKABLE = 'http.body_unmaskable';
/** A stream that was silent so long is read as if it had ended there, but for keys. */
const QUIET_MS = 1_000;

/** Text by detectors alone. */
export class TextBody implements BodyMasker {
  readonly #masker: StreamMasker;
  constructor({ detect, key }: JsonMaskerOptions) {
    this.#masker = createStreamMasker(detect, key);
  }
  get heldBytes(): number {
    return this.#masker.heldBytes;
  }
  push(chunk: Uint8Array): Uint8Array {
    return this.#masker.push(chunk);
  }
  end(): Uint8Array {
    return this.#masker.flush();
  }
  idle(): Uint8Array {
    return this.#masker.idle(QUIET_MS);
  }
}

export class JsonBody implements BodyMasker {
  readonly #masker: JsonMasker;
  constructor(masks: JsonMaskerOptions) {
    this.#masker = new JsonMasker(masks);
  }
  get isGiven(): boolean {
    return this.#masker.isGiven;
  }
  get failed(): typeof UNMASKABLE | undefined {
    return this.#masker.broken ? UNMASKABLE : undefined;
  }
  get heldBytes(): number {
    return this.#masker.heldBytes;
  }
  push(chunk: Uint8Array): Uint8Array {
    return this.#masker.push(chunk);
  }
  end(): Uint8Array {
    return this.#masker.end();
  }
  idle(): Uint8Array {
    return this.#masker.idle(QUIET_MS);
  }
}

/** Bytes that no detector changes, as a part among others. */
export class ClearBody implements BodyMasker {
  readonly heldBytes = 0;
  push(chunk: Uint8Array): Uint8Array {
    return chunk;
  }
  end(): Uint8Array {
    return NOTHING;
  }
  idle(): Uint8Array {
    return NOTHING;
  }
}
