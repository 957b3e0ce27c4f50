/**
 * What goes on behind the beginning of something that is hidden as a whole, however long it is: a private key up to its END
 * line, a token up to its end. Refuses to hide what is no part of it: the line that shows so is given back.
 * Limits: streamKeyBytesMax.
 */
import { LIMITS } from '@sallyport/core';
import { isAlphanumeric, isToken } from '../bytes.ts';
import { escapesOf } from './controls.ts';
import { isIgnored } from './prefilter.ts';

const LF = 10;
const CR = 13;
const ESC = 0x1b;
// In a key's lines: base64, its armour, headers (RFC 1421), and escapes in a text (`\n`).
const PUNCTUATION = new Set(Buffer.from('+/=-,.: \\'));
const PRIVATE = 'PRIVATE KEY';
const HEADER = /^[A-Za-z][A-Za-z-]*: /;
const BASE64 = /^[A-Za-z0-9+/=\\ ]*$/;
const END = /-----END [A-Z0-9 ]*-----$/;

export interface Swallowed {
  /** What may be shown of it: line ends, escapes. */
  readonly shown: Uint8Array;
  /** Bytes taken. */
  readonly read: number;
  readonly ended: boolean;
  /** Bytes that were taken and are no part of it. */
  readonly rest: Uint8Array;
}

const NOTHING = new Uint8Array(0);

export class Swallow {
  readonly #kind: 'key' | 'run';
  /** The line as it came. */
  #line: number[] = [];
  /** The line as it is read. */
  #text = '';
  #escape: 'no' | 'escape' | 'csi' | 'string' = 'no';
  #bytes = 0;
  /** A key's first line up to its dashes: hidden, whatever follows. */
  #head: 'label' | 'dashes' | 'read';

  constructor(kind: 'key' | 'run') {
    this.#kind = kind;
    this.#head = kind === 'key' ? 'label' : 'read';
  }

  get heldBytes(): number {
    return this.#line.length;
  }

  take(input: Uint8Array): Swallowed {
    const shown: Uint8Array[] = [];
    for (let at = 0; at < input.length; at++) {
      const byte = input[at]!;
      this.#bytes++;
      this.#line.push(byte);
      if (this.#isEscape(byte)) continue;
      const verdict = this.#kind === 'key' ? this.#ofKey(byte) : isToken(byte) || byte === 46 ? 'part' : 'other';
      if (verdict === 'other' && this.#kind === 'key') {
        return { shown: Buffer.concat(shown), read: at + 1, ended: true, rest: this.#release() };
      }
      if (verdict === 'other' || this.#bytes > LIMITS.streamKeyBytesMax) {
        return { shown: Buffer.concat(shown), read: at + 1, ended: true, rest: this.end() };
      }
      if (verdict === 'line' || verdict === 'end' || (this.#kind === 'run' && this.#line.length > 512)) {
        shown.push(escapesOf(Uint8Array.from(this.#line)));
        if (verdict === 'line') shown.push(this.#line.at(-2) === CR ? CRLF : NEWLINE);
        this.#line = [];
        this.#text = '';
      }
      if (verdict === 'end') return { shown: Buffer.concat(shown), read: at + 1, ended: true, rest: NOTHING };
    }
    return { shown: Buffer.concat(shown), read: input.length, ended: false, rest: NOTHING };
  }

  /** Nothing came for long: a line that is no key's is given back, and that was it. */
  quiet(): Uint8Array | undefined {
    return this.#text.trim() === '' || (this.#kind === 'key' && BASE64.test(this.#text)) ? undefined : this.end();
  }

  /** The line that waits: it is a key's only if it looks like one. Of a run, the byte that ended it. */
  end(): Uint8Array {
    if (this.#kind === 'key' && this.#isKeyLine()) {
      this.#line = [];
      return NOTHING;
    }
    return this.#release();
  }

  #release(): Uint8Array {
    const line = this.#line;
    this.#line = [];
    return Uint8Array.from(this.#kind === 'key' ? line : line.slice(-1));
  }

  #ofKey(byte: number): 'part' | 'line' | 'end' | 'other' {
    if (byte === LF) {
      if (!this.#isKeyLine()) return 'other';
      return 'line';
    }
    if (byte === CR || isIgnored(byte)) return 'part';
    if (this.#head !== 'read') {
      if (this.#ofHead(byte)) return 'part';
      this.#head = 'read';
      this.#line = [byte];
      this.#text = '';
    }
    if (!isAlphanumeric(byte) && !PUNCTUATION.has(byte)) return 'other';
    this.#text += String.fromCharCode(byte);
    return byte === 45 && END.test(this.#text) ? 'end' : 'part';
  }

  /** @returns whether the byte still belongs to `-----BEGIN … PRIVATE KEY-----` */
  #ofHead(byte: number): boolean {
    this.#text += String.fromCharCode(byte);
    if (this.#head === 'dashes') return byte === 45 && !this.#text.endsWith(`${PRIVATE}------`);
    if (this.#text.endsWith(PRIVATE)) this.#head = 'dashes';
    return true;
  }

  #isKeyLine(): boolean {
    const text = this.#text.trim();
    return BASE64.test(text) || HEADER.test(text) || text.startsWith('-----BEGIN ') || text.startsWith('-----END ');
  }

  #isEscape(byte: number): boolean {
    switch (this.#escape) {
      case 'no':
        if (byte !== ESC) return false;
        this.#escape = 'escape';
        return true;
      case 'escape':
        this.#escape =
          byte === 0x5b ? 'csi' : byte === 0x5d || byte === 0x50 ? 'string' : byte < 0x30 ? 'escape' : 'no';
        return true;
      case 'csi':
        if (byte >= 0x40) this.#escape = 'no';
        return true;
      case 'string':
        if (byte === 7) this.#escape = 'no';
        else if (byte === ESC) this.#escape = 'escape';
        return true;
      default:
        return this.#escape satisfies never;
    }
  }
}

const NEWLINE = Buffer.from('\n');
const CRLF = Buffer.from('\r\n');
