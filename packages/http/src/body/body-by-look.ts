/**
 * A body whose type says that no path leads into it, looked at before that is believed: many services say `text/html` of JSON, and
 * some say of a body whatever they are asked to (`response-content-type`, `callback`). What looks like no picture and no markup is
 * read as what may be JSON. Refuses text in UTF-16 that goes by another type, and archives and documents that do.
 */
import type { BodyMasker } from '../message.ts';
import { ClearBody } from './plain-bodies.ts';

/**
 * `markup` begins with `<`, a `sheet` as CSS does, `media` has bytes that no text has, `open` begins as no packed document, `plain`
 * may be one; neither is in UTF-16. `table` is as `media`, but its text is JSON or nothing that is read.
 */
export type Look = 'markup' | 'sheet' | 'media' | 'table' | 'open' | 'plain';
/** `between`: neither what it says nor JSON from its first letter on; JSON may stand in it. */
type Seen = 'as said' | 'text' | 'between' | 'unreadable' | 'not yet';

const UNMASKABLE = 'http.body_unmaskable';
const NOTHING = new Uint8Array(0);
const LOOKED_AT_BYTES = 512;
const PDF = Buffer.from('%PDF-');
const BLANKS: ReadonlySet<number> = new Set([9, 10, 12, 13, 32]);
const LESS_THAN = 60;
const QUOTE = 34;
const BRACE = 123;
const BRACKET = 91;
/** Names, selectors, at-rules, comments. */
const OPENS_SHEET = /[A-Za-z.#@/*:_<&-]/;

export class BodyByLook implements BodyMasker {
  readonly #look: Look;
  readonly #asSaid: () => BodyMasker;
  readonly #asText: () => BodyMasker;
  #held: Uint8Array = NOTHING;
  #inner: BodyMasker | undefined;
  #unreadable = false;
  #isBetween = false;

  /** @param asText reads what may be JSON */
  constructor(look: Look, asText: () => BodyMasker, asSaid: () => BodyMasker = () => new ClearBody()) {
    this.#look = look;
    this.#asText = asText;
    this.#asSaid = asSaid;
  }
  get failed(): BodyMasker['failed'] {
    return this.#unreadable ? UNMASKABLE : this.#inner?.failed;
  }
  get heldBytes(): number {
    return this.#held.length + (this.#inner?.heldBytes ?? 0);
  }

  push(chunk: Uint8Array): Uint8Array {
    return this.#inner === undefined ? this.#looked(chunk, false) : this.#given(chunk, this.#inner);
  }
  end(): Uint8Array {
    const shown = this.#inner === undefined ? this.#looked(NOTHING, true) : NOTHING;
    const rest = this.#unreadable ? NOTHING : (this.#inner?.end() ?? NOTHING);
    return shown.length === 0 ? rest : Buffer.concat([shown, rest]);
  }
  idle(): Uint8Array {
    return this.#inner?.idle() ?? NOTHING;
  }

  #looked(chunk: Uint8Array, isLast: boolean): Uint8Array {
    if (this.#unreadable) return NOTHING;
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const head = bytes.subarray(0, LOOKED_AT_BYTES);
    const isWhole = isLast || bytes.length >= LOOKED_AT_BYTES;
    const seen = lookAt(this.#look, head, isWhole);
    if (seen === 'not yet') {
      this.#held = Uint8Array.from(bytes);
      return NOTHING;
    }
    this.#held = NOTHING;
    this.#unreadable = seen === 'unreadable';
    if (this.#unreadable) return NOTHING;
    this.#isBetween = seen === 'between';
    this.#inner = seen === 'text' ? this.#asText() : this.#asSaid();
    return this.#given(bytes, this.#inner);
  }

  #given(bytes: Uint8Array, inner: BodyMasker): Uint8Array {
    if (this.#isBetween && (bytes.includes(QUOTE) || bytes.includes(BRACE))) this.#unreadable = true;
    return this.#unreadable ? NOTHING : inner.push(bytes);
  }
}

function lookAt(look: Look, head: Uint8Array, isWhole: boolean): Seen {
  switch (look) {
    case 'open':
      return openLook(head, isWhole, [...PACKED_STARTS, ...OTHER_STARTS]);
    case 'plain':
      return openLook(head, isWhole, OTHER_STARTS);
    case 'media':
      return mediaLook(head, isWhole);
    case 'table':
      return tableLook(head, isWhole);
    case 'markup':
    case 'sheet':
      return textLook(head, isWhole, look);
    default:
      return look satisfies never;
  }
}

/** How archives and documents begin whose text nobody sees in their bytes. */
const PACKED_STARTS: readonly Buffer[] = [
  'PK\x03\x04',
  '%PDF-',
  '{\\rtf',
  '\x1f\x8b\x08',
  'BZh',
  '\xfd7zXZ\0',
  '\x28\xb5\x2f\xfd',
  '7z\xbc\xaf\x27\x1c',
  'Rar!\x1a\x07',
  // Office before its zips.
  '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1',
  'SQLite format 3\0',
].map((start) => Buffer.from(start, 'latin1'));

/** How text begins that is none in ASCII: byte order marks of UTF-16, UTF-32 and UTF-7, `<?xm` in EBCDIC. */
const OTHER_STARTS: readonly Buffer[] = ['\xff\xfe', '\xfe\xff', '\0\0\xfe\xff', '+/v', '\x4c\x6f\xa7\x94'].map(
  (start) => Buffer.from(start, 'latin1'),
);

function openLook(head: Uint8Array, isWhole: boolean, starts: readonly Buffer[]): Seen {
  if (head.length > 0 && mayBeWide(head)) {
    if (head.length >= 4) return 'unreadable';
    if (!isWhole) return 'not yet';
  }
  for (const start of starts) {
    const both = Math.min(start.length, head.length);
    if (start.compare(head, 0, both, 0, both) !== 0) continue;
    if (head.length >= start.length) return 'unreadable';
    if (!isWhole) return 'not yet';
  }
  return 'as said';
}

function textLook(head: Uint8Array, isWhole: boolean, look: Look): Seen {
  const from = head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? 3 : 0;
  const first = head.subarray(from).find((byte) => !BLANKS.has(byte));
  const mayBeMark = head.length < 3 && head[0] === 0xef;
  if (first === undefined || (mayBeMark && !isWhole)) return isWhole ? 'between' : 'not yet';
  const isSo = look === 'markup' ? first === LESS_THAN : OPENS_SHEET.test(String.fromCharCode(first));
  if (isSo) return 'as said';
  return first === BRACE || first === BRACKET || first === QUOTE ? 'text' : 'between';
}

function mediaLook(head: Uint8Array, isWhole: boolean): Seen {
  if (PDF.every((byte, i) => head[i] === byte)) return 'as said';
  const [a, b] = head;
  const isWide = (a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff) || mayBeWide(head);
  if (isWide && head.length >= 4) return 'unreadable';
  if (head.length < 4 && !isWhole) return 'not yet';
  if (head.some(isNoText) || !isUtf8(head, isWhole)) return 'as said';
  return isWhole ? 'text' : 'not yet';
}

function tableLook(head: Uint8Array, isWhole: boolean): Seen {
  const seen = mediaLook(head, isWhole);
  if (seen !== 'text') return seen;
  const text = textLook(head, isWhole, 'markup');
  return text === 'text' || text === 'not yet' ? text : 'unreadable';
}

const isPrintable = (byte: number): boolean => byte >= 32 && byte < 127;
/** UTF-16 without a mark: a NUL beside each of the first letters. */
const mayBeWide = (head: Uint8Array): boolean =>
  [0, 1].some((low) => head.subarray(0, 4).every((byte, at) => (at % 2 === low ? isPrintable(byte) : byte === 0)));

/** Controls besides line ends, tabs, form feeds and escapes. */
const isNoText = (byte: number): boolean =>
  byte < 9 || byte === 11 || (byte > 13 && byte < 27) || (byte > 27 && byte < 32);

/** A character that is cut at the end is none that is wrong. */
function isUtf8(head: Uint8Array, isWhole: boolean): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: !isWhole || head.length === LOOKED_AT_BYTES });
    return true;
  } catch {
    return false;
  }
}
