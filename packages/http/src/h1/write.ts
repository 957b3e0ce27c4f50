/**
 * Heads and chunks of HTTP/1.1, written anew from what was read. Refuses a byte that could end a line or a head: an answer is
 * split by one, so nothing is written that a reader here would not read back the same. RFC 9112 sections 3, 4 and 7.1.
 */

import { GatewayError } from '@sallyport/core';
import { hasControl, isToken } from '../fields.ts';
import type { BodyFraming, Header } from '../message.ts';
import { STATUS_CODES } from './status.ts';

const CONTROL_OR_WIDE = /[\0-\x08\x0a-\x1f\x7f]|[^\0-\xff]/;

function fieldLines(headers: readonly Header[]): string {
  let text = '';
  for (const [name, value] of headers) {
    if (CONTROL_OR_WIDE.test(value) || !isToken(name))
      throw new GatewayError('http.malformed', { reason: 'a header value' });
    text += `${name}: ${value}\r\n`;
  }
  return text;
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
 * @throws GatewayError `http.malformed` for what cannot be written on one line
 */
export function encodeRequestHead(
  request: {
    readonly method: string;
    readonly target: string;
    readonly authority: string;
    readonly headers: readonly Header[];
  },
  framing: BodyFraming,
  emptyBody: boolean,
  more = '',
): Buffer {
  const { method, target, authority } = request;
  if (!isToken(method) || hasControl(target) || /[ \t]/.test(target) || hasControl(authority))
    throw new GatewayError('http.malformed', { reason: 'request line' });
  return Buffer.from(
    `${method} ${target} HTTP/1.1\r\nhost: ${authority}\r\n${fieldLines(request.headers)}${framingLine(framing, emptyBody)}${more}\r\n`,
    'latin1',
  );
}

const lengthLine = (said: string): string => (said === '' ? '' : `content-length: ${said}\r\n`);

/** @param saidLength a Content-Length that describes a body that does not follow (HEAD, 304); '' = nothing is said */
export function encodeResponseHead(
  status: number,
  headers: readonly Header[],
  framing: BodyFraming | { readonly kind: 'until-close' },
  more = '',
  saidLength?: string,
): Buffer {
  const line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
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
  return Buffer.from(`${line}${fieldLines(headers)}${length}${more}\r\n`, 'latin1');
}

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

export function encodeLastChunk(trailers: readonly Header[]): Buffer {
  return trailers.length === 0 ? LAST : Buffer.from(`0\r\n${fieldLines(trailers)}\r\n`, 'latin1');
}
