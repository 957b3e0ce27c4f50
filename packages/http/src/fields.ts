/**
 * Header fields: what belongs to a connection and is never sent on, what frames a message, what may stand in a trailer.
 * Refuses to know versions; RFC 9110 sections 5.5, 6.5.1 and 7.6.1.
 */
import { GatewayError } from '@sallyport/core';
import type { Header } from './message.ts';

/** Fields of one connection, and those that frame a message: read here, never passed. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** What no Connection field may name: taken away, the request would mean something else behind us. */
const NEVER_NAMED: ReadonlySet<string> = new Set([
  'accept',
  'authorization',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'if-match',
  'if-none-match',
  'impersonate-user',
  'origin',
  'prefer',
  'proxy-authorization',
  'range',
  'transfer-encoding',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-http-method-override',
]);

/** Framing, routing, identity and conditions (RFC 9110 section 6.5.1): in a trailer they would come after they were judged. */
const NEVER_TRAILERS: ReadonlySet<string> = new Set([
  ...NEVER_NAMED,
  ...HOP_BY_HOP,
  'set-cookie',
  'www-authenticate',
  'x-method-override',
]);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** A value: visible ASCII, spaces, tabs, and bytes beyond ASCII; no CR, LF, NUL or other control. */
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;

export const isToken = (text: string): boolean => KNOWN.has(text) || TOKEN.test(text);
export const hasControl = (text: string): boolean => CONTROL.test(text);

const KNOWN = new Map<string, string>();
const KNOWN_MAX = 1_000;

/** A field's name in lower case; undefined when it is none. Names repeat: what was read once is remembered. */
export function fieldName(raw: string): string | undefined {
  const known = KNOWN.get(raw);
  if (known !== undefined) return known;
  if (raw.length > 256 || !TOKEN.test(raw)) return undefined;
  // A copy: a slice would keep its whole head alive.
  const name = Buffer.from(raw.toLowerCase(), 'latin1').toString('latin1');
  if (KNOWN.size < KNOWN_MAX) KNOWN.set(Buffer.from(raw, 'latin1').toString('latin1'), name).set(name, name);
  return name;
}

/** Members of a list-valued field, lower case. */
export const listed = (value: string): readonly string[] =>
  value
    .split(',')
    .map((item) => item.trim().toLowerCase())
    .filter((item) => item !== '');

/**
 * The names that Connection fields take away besides the usual.
 * @throws GatewayError `http.smuggling` when one of them is what requests are judged by
 */
export function namedByConnection(connection: readonly string[], refuse = true): ReadonlySet<string> {
  const named = new Set<string>();
  for (const name of connection) {
    if (NEVER_NAMED.has(name)) {
      if (refuse) throw new GatewayError('http.smuggling', { reason: 'Connection names a field of the message' });
    } else named.add(name);
  }
  return named;
}

/** Trailer fields that may be passed on; the others are left out (RFC 9110 section 6.5.1 lets a recipient drop them). */
export const passedTrailers = (trailers: readonly Header[]): readonly Header[] =>
  trailers.length === 0 ? trailers : trailers.filter(([name]) => !NEVER_TRAILERS.has(name));
