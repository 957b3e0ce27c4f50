/**
 * A JSON string that is too long to be looked at as a whole: unescaped, through the stream masker, and escaped again, piece by
 * piece. Refuses to know where it stands; whoever owns it says where it ends.
 */
import type { DetectMask } from '@sallyport/model';
import type { MaskKey } from '../methods.ts';
import { createStreamMasker, type StreamMasker } from '../stream/stream.ts';
import { escapeJson, unescapedJson, unescapeJson } from './json-string.ts';

const NOTHING = new Uint8Array(0);

export class LongString {
  readonly #masker: StreamMasker;
  /** An escape that is cut. */
  #cut: Uint8Array = NOTHING;
  /** A character of UTF-8 that is cut, behind the masker. */
  #half: Uint8Array = NOTHING;

  constructor(detect: readonly DetectMask[], key: MaskKey | undefined) {
    this.#masker = createStreamMasker(detect, key);
  }

  get heldBytes(): number {
    return this.#cut.length + this.#half.length + this.#masker.heldBytes;
  }
  get hits(): number {
    return this.#masker.hits;
  }

  /** @param raw bytes between the quotes @returns what may go on; undefined when an escape in it is none */
  push(raw: Uint8Array): Uint8Array | undefined {
    const input = this.#cut.length === 0 ? raw : Buffer.concat([this.#cut, raw]);
    const unescaped = unescapeJson(input);
    if (unescaped === undefined) return undefined;
    this.#cut = Uint8Array.from(input.subarray(unescaped.read));
    return this.#escaped(this.#masker.push(unescaped.text));
  }

  /** @returns undefined when an escape is cut by the end */
  end(): Uint8Array | undefined {
    const rest = unescapedJson(this.#cut);
    this.#cut = NOTHING;
    if (rest === undefined) return undefined;
    const last = Buffer.concat([this.#masker.push(rest), this.#masker.flush()]);
    return this.#escaped(last, true);
  }

  /** The three bytes of a lone surrogate are read together. */
  #escaped(text: Uint8Array, isLast = false): Uint8Array {
    const all = this.#half.length === 0 ? text : Buffer.concat([this.#half, text]);
    const half = isLast ? -1 : Math.max(all.lastIndexOf(0xed), -1);
    const cut = half >= 0 && half + 3 > all.length ? half : all.length;
    this.#half = Uint8Array.from(all.subarray(cut));
    return escapeJson(all.subarray(0, cut));
  }
}
