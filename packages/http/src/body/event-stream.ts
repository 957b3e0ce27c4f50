/**
 * Server-Sent Events (WHATWG HTML section 9.2): each event's data is masked as the message it is, lines and events cut anywhere;
 * texts that come in pieces (joined-texts.ts) across events. An event in which nothing is found goes byte for byte. Refuses
 * events that are too long to be read as a whole. Limits: httpEventBytesMax.
 */
import { LIMITS } from '@sallyport/core';
import type { JsonMaskerOptions } from '@sallyport/mask';
import type { BodyMasker } from '../message.ts';
import type { JoinedMessage, JoinedTexts } from './joined-texts.ts';
import { LineSplitter } from './line-splitter.ts';
import { maskLines, maskWords } from './message-text.ts';

interface Line {
  readonly text: Uint8Array;
  end: Uint8Array;
}

const UNMASKABLE = 'http.body_unmaskable';
const NEWLINE = Buffer.from('\n');
const DATA = Buffer.from('data');
const COLON = 58;
const SPACE = Buffer.from(' ');
const NONE = Buffer.alloc(0);
/** '' = a comment. Whatever else stands before a colon is no field to any reader. */
const OTHER_FIELDS: ReadonlySet<string> = new Set(['', 'event', 'id', 'retry']);

export class EventStream implements BodyMasker {
  failed: typeof UNMASKABLE | undefined;
  readonly #masks: JsonMaskerOptions;
  /** What goes with a message: its event's name, as a line. */
  readonly #texts: JoinedTexts<string> | undefined;
  readonly #lines = new LineSplitter();
  #event: Line[] = [];
  #eventBytes = 0;
  #isFirst = true;
  #out: Uint8Array[] = [];

  constructor(masks: JsonMaskerOptions, texts?: JoinedTexts<string>) {
    this.#masks = masks;
    this.#texts = texts;
  }
  get heldBytes(): number {
    return this.#eventBytes + this.#lines.heldBytes + (this.#texts?.heldBytes ?? 0);
  }

  push(chunk: Uint8Array): Uint8Array {
    this.#lines.push(chunk, (text, end, late) => {
      if (late) this.#late(end);
      else this.#line(text, end);
    });
    if (this.#eventBytes + this.#lines.heldBytes > LIMITS.httpEventBytesMax) this.failed = UNMASKABLE;
    return this.#taken();
  }
  end(): Uint8Array {
    // An event that has not ended is none to its reader.
    if (this.failed === undefined) this.#emit(this.#texts?.end() ?? []);
    const rest = this.#lines.rest();
    if (rest.length > 0) this.#event.push({ text: rest, end: new Uint8Array(0) });
    this.#flush();
    return this.#taken();
  }
  /** What waits is no event yet: its reader could do nothing with it. */
  idle(): Uint8Array {
    return this.#taken();
  }

  /** The LF of a line end that was cut between CR and LF. */
  #late(end: Uint8Array): void {
    const last = this.#event.at(-1);
    if (last === undefined) this.#out.push(Uint8Array.from(end));
    else last.end = Buffer.concat([last.end, end]);
  }
  #line(line: Uint8Array, end: Uint8Array): void {
    if (this.failed !== undefined) return;
    let text = line;
    // Readers pass over one at the very beginning.
    if (this.#isFirst && text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf) {
      this.#out.push(Uint8Array.from(text.subarray(0, 3)));
      text = text.subarray(3);
    }
    this.#isFirst = false;
    this.#event.push({ text: Uint8Array.from(text), end: Uint8Array.from(end) });
    this.#eventBytes += text.length + end.length;
    if (text.length === 0) this.#flush();
  }

  #flush(): void {
    const event = this.#event;
    this.#event = [];
    this.#eventBytes = 0;
    if (event.length === 0 || this.failed !== undefined) return;
    const data = event.filter(isData);
    const joined = Buffer.concat(data.flatMap((line, i) => (i === 0 ? [valueOf(line)] : [NEWLINE, valueOf(line)])));
    const shown = data.length === 0 ? joined : this.#shown(joined, event);
    if (shown === undefined) {
      this.failed = UNMASKABLE;
      return;
    }
    const isSame = shown === joined;
    let isFirst = true;
    for (const line of event) {
      if (!isData(line)) this.#out.push(this.#other(line), line.end);
      else if (isSame) this.#out.push(line.text, line.end);
      else if (isFirst) {
        isFirst = false;
        this.#out.push(...dataLines(shown, line.end.length === 0 ? NEWLINE : line.end));
      }
    }
  }

  #shown(joined: Buffer, event: readonly Line[]): Uint8Array | undefined {
    const texts = this.#texts;
    if (texts === undefined) return maskLines(joined, this.#masks);
    const named = event.findLast(({ text }) => fieldOf(text) === 'event');
    const head = named === undefined ? '' : Buffer.from(this.#other(named)).toString('latin1');
    const name = head === '' ? '' : head.slice(head.indexOf(':') + 1).trim();
    const shown = texts.mask(joined, name, head);
    if (shown === undefined) return undefined;
    this.#emit(shown.before);
    return joined.equals(shown.data) ? joined : shown.data;
  }

  /** Events of our own, each whole. */
  #emit(messages: readonly JoinedMessage<string>[]): void {
    for (const { data, context } of messages) {
      if (context !== '') this.#out.push(Buffer.from(`${context}\n`, 'latin1'));
      this.#out.push(...dataLines(data, NEWLINE), NEWLINE);
    }
  }

  /** Names of events, ids and comments are for their reader too. */
  #other(line: Line): Uint8Array {
    const { text } = line;
    const value = OTHER_FIELDS.has(fieldOf(text)) ? text.indexOf(COLON) + 1 : 0;
    const shown = maskWords(text.subarray(value), this.#masks);
    return value === 0
      ? shown
      : Buffer.concat([
          text.subarray(0, value),
          value < text.length && text[value] === 32 && shown[0] !== 32 ? SPACE : NONE,
          shown,
        ]);
  }

  #taken(): Uint8Array {
    const out = this.#out;
    this.#out = [];
    return out.length === 0 ? EMPTY : Buffer.concat(out);
  }
}

const EMPTY = new Uint8Array(0);

const isData = ({ text }: Line): boolean =>
  DATA.every((byte, i) => text[i] === byte) && (text.length === 4 || text[4] === COLON);

const fieldOf = (text: Uint8Array): string => {
  const colon = text.indexOf(COLON);
  return Buffer.from(colon < 0 ? text : text.subarray(0, colon)).toString('latin1');
};

/** What stands behind the colon and one space. */
const valueOf = ({ text }: Line): Uint8Array => text.subarray(text[5] === 32 ? 6 : 5);

function dataLines(data: Uint8Array, end: Uint8Array): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let from = 0; from <= data.length; ) {
    const at = data.indexOf(10, from);
    const to = at < 0 ? data.length : at;
    out.push(DATA_PREFIX, data.subarray(from, to), end);
    from = to + 1;
  }
  return out;
}

const DATA_PREFIX = Buffer.from('data: ');
