/**
 * Calendars and cards: lines that are folded are put together before anything looks at them, and stay so. Refuses properties in
 * an encoding of their own (quoted-printable, base64, `data:` URIs), in which no value would be found, and text with NULs.
 * RFC 5545 sections 3.1 and 3.2.7, RFC 6350 section 3.2, vCard 2.1 (whose parameters may lack their names); RFC 2397.
 */
import type { BodyMasker } from '../message.ts';

const UNMASKABLE = 'http.body_unmaskable';
const NOTHING = new Uint8Array(0);
const FOLD = /(?:\r\n|\n|\r)[ \t]/g;
/** What the next chunk may make a fold of. */
const OPEN_END = /(?:\r\n|\n|\r)$/;
const ENCODED =
  /;\s{0,8}(?:encoding\s{0,8}=\s{0,8}"?(?:quoted-printable|base64|b|q)|quoted-printable|base64)"?\s{0,8}[;:]/i;
const DATA = /\bdata:(?:[a-z]{1,32}\/|[;,])|;\s{0,8}base64\s{0,8}\\?,/i;
/** Longer than what these find. */
const LOOK_BACK_CHARS = 64;

export class FoldedText implements BodyMasker {
  readonly #inner: BodyMasker;
  readonly #passesEncoded: boolean;
  #refused = false;
  #held = '';
  /** The end of what was looked at. */
  #last = '';

  constructor(inner: BodyMasker, passesEncoded: boolean) {
    this.#inner = inner;
    this.#passesEncoded = passesEncoded;
  }
  get failed(): BodyMasker['failed'] {
    return this.#refused ? UNMASKABLE : this.#inner.failed;
  }
  get heldBytes(): number {
    return this.#held.length + this.#inner.heldBytes;
  }

  push(chunk: Uint8Array): Uint8Array {
    const text = this.#held + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1');
    const end = OPEN_END.exec(text)?.index ?? text.length;
    this.#held = text.slice(end);
    return this.#read(text.slice(0, end));
  }
  end(): Uint8Array {
    const rest = this.#read(this.#held);
    this.#held = '';
    return this.#refused ? NOTHING : Buffer.concat([rest, this.#inner.end()]);
  }
  idle(): Uint8Array {
    return this.#refused ? NOTHING : this.#inner.idle();
  }

  #read(folded: string): Uint8Array {
    const text = folded.replaceAll(FOLD, '');
    const seen = this.#last + text;
    this.#last = seen.slice(-LOOK_BACK_CHARS);
    if (text.includes('\0') || (!this.#passesEncoded && (ENCODED.test(seen) || DATA.test(seen)))) this.#refused = true;
    return this.#refused ? NOTHING : this.#inner.push(Buffer.from(text, 'latin1'));
  }
}
