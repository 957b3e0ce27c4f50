/**
 * JSON documents, one on each line, whose texts are read across them (joined-texts.ts). A line in which nothing is found goes byte
 * for byte. Refuses lines that are too long to be read as a whole. Limits: httpEventBytesMax.
 */
import { LIMITS } from '@sallyport/core';
import type { BodyMasker } from '../message.ts';
import type { JoinedMessage, JoinedTexts } from './joined-texts.ts';
import { LineSplitter } from './line-splitter.ts';

const UNMASKABLE = 'http.body_unmaskable';
const NOTHING = new Uint8Array(0);
const NEWLINE = Buffer.from('\n');

export class JsonLines implements BodyMasker {
  failed: typeof UNMASKABLE | undefined;
  readonly #texts: JoinedTexts<string>;
  readonly #lines = new LineSplitter();
  #out: Uint8Array[] = [];

  constructor(texts: JoinedTexts<string>) {
    this.#texts = texts;
  }
  get heldBytes(): number {
    return this.#lines.heldBytes + this.#texts.heldBytes;
  }

  push(chunk: Uint8Array): Uint8Array {
    this.#lines.push(chunk, (text, end) => {
      this.#line(text);
      this.#out.push(Uint8Array.from(end));
    });
    if (this.#lines.heldBytes > LIMITS.httpEventBytesMax) this.failed = UNMASKABLE;
    return this.#taken();
  }
  end(): Uint8Array {
    const rest = this.#lines.rest();
    // A line may be whole without its end.
    if (rest.length > 0) this.#line(rest);
    const last = this.failed === undefined ? this.#texts.end() : [];
    if (rest.length > 0 && last.length > 0) this.#out.push(NEWLINE);
    this.#emit(last);
    return this.#taken();
  }
  /** What waits is no line yet. */
  idle(): Uint8Array {
    return NOTHING;
  }

  #line(text: Uint8Array): void {
    if (this.failed !== undefined || text.length === 0) return;
    const shown = this.#texts.mask(text, '', '');
    if (shown === undefined) {
      this.failed = UNMASKABLE;
      return;
    }
    this.#emit(shown.before);
    this.#out.push(Uint8Array.from(shown.data));
  }
  #emit(messages: readonly JoinedMessage<string>[]): void {
    for (const { data } of messages) this.#out.push(data, NEWLINE);
  }
  #taken(): Uint8Array {
    const out = this.failed === undefined ? this.#out : [];
    this.#out = [];
    return out.length === 0 ? NOTHING : Buffer.concat(out);
  }
}
