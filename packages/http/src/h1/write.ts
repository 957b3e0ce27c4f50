/**
 * Heads and chunks of HTTP/1.1, written anew from what was read. Refuses a byte that could end a line or a head: an answer is
 * split by one, so nothing is written that a reader here would not read back the same. RFC 9112 sections 3, 4 and 7.1.
 */
import { Buffer } from 'node:buffer';
import { GatewayError } from '@sallyport/core';
import { hasControl, isToken } from '../fields.ts';
import type { BodyFraming, Header } from '../message.ts';
import { isSafeMethod } from './head.ts';
import { KNOWN_BYTES_MAX } from './known-head.ts';
import { STATUS_CODES } from './status.ts';

/** White space and controls; nothing wider than Latin-1 may be cut to it. */
const NOT_IN_TARGET = /[\0-\x20\x7f]|[^\0-\xff]/;
const NOTHING = Buffer.alloc(0);
const CONTROL_OR_WIDE = /[\0-\x08\x0a-\x1f\x7f]|[^\0-\xff]/;

/** Each with its CRLF. @throws GatewayError `http.malformed` for what cannot be written on one line */
export function fieldLines(headers: readonly Header[]): string {
  let text = '';
  for (const [name, value] of headers) {
    if (CONTROL_OR_WIDE.test(value) || !isToken(name))
      throw new GatewayError('http.malformed', { reason: 'a header value' });
    text += `${name}: ${value}\r\n`;
  }
  return text;
}

/**
 * Header lines as they were written last on a connection: of the very same fields they are the same again. Fields are compared
 * as objects: what reads and changes them makes new ones for what is new.
 */
export class KnownLines {
  #before = '';
  #headers: readonly Header[] = [];
  #lines: Buffer = NOTHING;

  /** @param before the line that stands before them, with its CRLF */
  of(headers: readonly Header[], before = ''): Buffer {
    const known = this.#headers;
    let same = headers === known || headers.length === known.length;
    if (headers !== known) for (let i = 0; same && i < headers.length; i++) same = headers[i] === known[i];
    if (!same || before !== this.#before) {
      const text = `${before}${fieldLines(headers)}`;
      // Memory of its own: an idle connection would keep a whole piece of Buffer's pool.
      this.#lines = Buffer.allocUnsafeSlow(text.length);
      this.#lines.write(text, 'latin1');
      this.#headers = headers;
      this.#before = before;
    }
    return this.#lines;
  }
}

/** What a head says besides its fields. */
interface RequestLine {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
}

/**
 * The head that was written last on a connection to a service. What says the same for the third time is the same bytes, which
 * nobody writes into: most clients of varied requests never get there, and nothing is made for them.
 */
export class KnownRequestHead {
  readonly #fields = new KnownLines();
  #lines: Buffer | undefined;
  #method = '';
  #target = '';
  #authority = '';
  #behind = '';
  #head: Buffer | undefined;

  lines(headers: readonly Header[]): Buffer {
    return this.#fields.of(headers);
  }

  #isSame({ method, target, authority }: RequestLine, lines: Buffer, behind: string): boolean {
    return (
      lines === this.#lines &&
      target === this.#target &&
      method === this.#method &&
      authority === this.#authority &&
      behind === this.#behind
    );
  }

  /** @param lines as `lines` gave them @param behind what stands behind them */
  find(line: RequestLine, lines: Buffer, behind: string): Buffer | undefined {
    return this.#head !== undefined && this.#isSame(line, lines, behind) ? this.#head : undefined;
  }

  /** @returns the head that was not found, and is written */
  keep(line: RequestLine, lines: Buffer, behind: string, head: Buffer): Buffer {
    this.#head = undefined;
    if (head.length <= KNOWN_BYTES_MAX && this.#isSame(line, lines, behind)) {
      this.#head = Buffer.allocUnsafeSlow(head.length);
      this.#head.set(head);
    }
    this.#lines = lines;
    this.#method = line.method;
    this.#target = line.target;
    this.#authority = line.authority;
    this.#behind = behind;
    return head;
  }
}

/** Beyond it, Buffer's own method is quicker than a letter at a time. */
const SHORT_UNITS_MAX = 255;

/** Latin-1 at `at`, where there is room. Buffer's own method goes through ten functions before its first letter. */
function writeLatin1(into: Buffer, text: string, at: number): void {
  if (text.length > SHORT_UNITS_MAX) into.write(text, at, 'latin1');
  else for (let i = 0; i < text.length; i++) into[at + i] = text.charCodeAt(i);
}

/** What stands behind the lines of a head, too: into memory with room for both. @returns where it ends */
export function writeHead(into: Buffer, lines: Uint8Array, last: string, at = 0): number {
  into.set(lines, at);
  writeLatin1(into, last, at + lines.length);
  return at + lines.length + last.length;
}

function framingLine(framing: BodyFraming, emptyBody: boolean): string {
  switch (framing.kind) {
    case 'none':
      return emptyBody ? 'content-length: 0\r\n' : '';
    case 'length':
      return `content-length: ${framing.bytes}\r\n`;
    case 'stream':
      return 'transfer-encoding: chunked\r\n';
    default:
      return framing satisfies never;
  }
}

/**
 * @param more lines of the connection's own (`connection: upgrade`), each with its CRLF
 * @param known of the connection it is for
 * @throws GatewayError `http.malformed` for what cannot be written on one line
 */
export function encodeRequestHead(
  request: RequestLine & { readonly headers: readonly Header[] },
  framing: BodyFraming,
  emptyBody: boolean,
  more = '',
  known?: KnownRequestHead,
): Buffer {
  const { headers } = request;
  const behind = `${framingLine(framing, emptyBody)}${more}\r\n`;
  if (known === undefined) return requestHead(request, Buffer.from(fieldLines(headers), 'latin1'), behind);
  const lines = known.lines(headers);
  return known.find(request, lines, behind) ?? known.keep(request, lines, behind, requestHead(request, lines, behind));
}

function requestHead({ method, target, authority }: RequestLine, lines: Buffer, behind: string): Buffer {
  if (!(isSafeMethod(method) || isToken(method)) || NOT_IN_TARGET.test(target) || hasControl(authority))
    throw new GatewayError('http.malformed', { reason: 'request line' });
  const first = `${method} ${target} HTTP/1.1\r\nhost: ${authority}\r\n`;
  const head = Buffer.allocUnsafe(first.length + lines.length + behind.length);
  writeLatin1(head, first, 0);
  writeHead(head, lines, behind, first.length);
  return head;
}

const lengthLine = (said: string): string => (said === '' ? '' : `content-length: ${said}\r\n`);

const statusLines: (string | undefined)[] = [];

/** What stands before the fields of an answer. @param status three digits */
export const statusLine = (status: number): string =>
  (statusLines[status] ??= `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`);

/** What stands behind the fields of an answer whose length was said last, as nearly all say it. */
let lengthSaid = { bytes: 0, lines: 'content-length: 0\r\n\r\n' };

/**
 * What stands behind the fields of an answer, to the end of its head.
 * @param saidLength a Content-Length that describes a body that does not follow (HEAD, 304); '' = nothing is said
 */
export function lastLines(
  status: number,
  framing: BodyFraming | { readonly kind: 'until-close' },
  more = '',
  saidLength?: string,
): string {
  if (framing.kind === 'length' && more === '') {
    const { bytes } = framing;
    if (bytes !== lengthSaid.bytes) lengthSaid = { bytes, lines: `${framingLine(framing, false)}\r\n` };
    return lengthSaid.lines;
  }
  const length =
    framing.kind === 'until-close'
      ? ''
      : framing.kind !== 'none'
        ? framingLine(framing, false)
        : saidLength !== undefined
          ? lengthLine(saidLength)
          : status === 204 || status < 200 || status === 304
            ? ''
            : 'content-length: 0\r\n';
  return `${length}${more}\r\n`;
}

/** @param saidLength as for `lastLines` @throws GatewayError `http.malformed` for what cannot be written on one line */
export const encodeResponseHead = (
  status: number,
  headers: readonly Header[],
  framing: BodyFraming | { readonly kind: 'until-close' },
  more = '',
  saidLength?: string,
): Buffer =>
  Buffer.from(`${statusLine(status)}${fieldLines(headers)}${lastLines(status, framing, more, saidLength)}`, 'latin1');

const CRLF = Buffer.from('\r\n');
const LAST = Buffer.from('0\r\n\r\n');

/** One chunk, in one piece. `bytes` is copied; empty = nothing. */
export function encodeChunk(bytes: Uint8Array): Buffer {
  if (bytes.length === 0) return Buffer.alloc(0);
  const size = Buffer.from(`${bytes.length.toString(16)}\r\n`, 'latin1');
  const chunk = Buffer.allocUnsafe(size.length + bytes.length + CRLF.length);
  size.copy(chunk, 0);
  chunk.set(bytes, size.length);
  CRLF.copy(chunk, size.length + bytes.length);
  return chunk;
}

/** What a relay reads at once, and what stands around a chunk. */
const LENT_CHUNK_BYTES_MAX = 160 * 1024;
const CHUNK_ROOM = 16;
let lent: Buffer | undefined;

/**
 * As `encodeChunk`, in memory that the next call writes into: for who takes the bytes at once.
 * @returns undefined for more than it takes
 */
export function lentChunk(bytes: Uint8Array): Buffer | undefined {
  if (bytes.length === 0 || bytes.length > LENT_CHUNK_BYTES_MAX - CHUNK_ROOM) return undefined;
  lent ??= Buffer.allocUnsafeSlow(LENT_CHUNK_BYTES_MAX);
  const from = lent.write(`${bytes.length.toString(16)}\r\n`, 0, 'latin1');
  lent.set(bytes, from);
  CRLF.copy(lent, from + bytes.length);
  return lent.subarray(0, from + bytes.length + CRLF.length);
}

export function encodeLastChunk(trailers: readonly Header[]): Buffer {
  return trailers.length === 0 ? LAST : Buffer.from(`0\r\n${fieldLines(trailers)}\r\n`, 'latin1');
}
