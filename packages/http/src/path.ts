/**
 * A request target as everybody behind us must read it too: one meaning, or refused. What is refused here is what servers are
 * known to read differently from each other: empty and dot segments, escaped slashes, double escapes, bytes beyond ASCII.
 * Refuses to repair: what is let through is sent on as it came. RFC 3986 sections 3.3 and 3.4, RFC 9112 section 3.2.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import type { Header } from './message.ts';

export interface ReadTarget {
  /** Origin-form as sent on. */
  readonly target: string;
  /** Percent-decoded once. */
  readonly path: string;
  /** Raw, without `?`. */
  readonly query: string;
}

const PLAIN = /^\/(?:[A-Za-z0-9_~!$&'()*+,;=:@.-]+\/)*[A-Za-z0-9_~!$&'()*+,;=:@.-]*$/;
const PATH_BYTES = /^\/(?:[A-Za-z0-9_~!$&'()*+,;=:@./-]|%[0-9A-Fa-f]{2})*$/;
// Beyond RFC 3986's `query`: brackets, braces and pipes, which browsers and programs send as they are and nobody reads twice.
const QUERY_BYTES = /^(?:[A-Za-z0-9_~!$&'()*+,;=:@/?.[\]{}|^`-]|%[0-9A-Fa-f]{2})*$/;
/** Escapes that servers undo at different times: slash, backslash, NUL and other controls, and an escaped escape. */
const UNSAFE_ESCAPE = /%(?:2[fF]|5[cC]|[01][0-9A-Fa-f]|7[fF]|25[0-9A-Fa-f]{2})/;
const DOT_SEGMENT = /\/\.{1,2}(?:[/;]|$)/;
/** Nothing but parameters: without them it is empty. */
const PARAMETERS_ALONE = /\/;[^/]*\//;
const utf8 = new TextDecoder('utf-8', { fatal: true });

const malformed = (reason: string): GatewayError => new GatewayError('http.malformed', { reason });

/** @throws GatewayError `http.malformed`, `http.header_limit` */
export function readTarget(target: string): ReadTarget {
  if (target.length > LIMITS.httpTargetBytesMax) throw new GatewayError('http.header_limit', { reason: 'target' });
  const mark = target.indexOf('?');
  const raw = mark === -1 ? target : target.slice(0, mark);
  const query = mark === -1 ? '' : target.slice(mark + 1);
  if (query !== '' && !QUERY_BYTES.test(query)) throw malformed('query');
  return { target, path: readPath(raw), query };
}

/** A request of which the target alone is refused: whom it came from can be found out, and told in their own words. */
export class RefusedTarget extends GatewayError {
  readonly target: string;
  readonly authority: string;
  readonly headers: readonly Header[];

  constructor(refused: GatewayError, target: string, authority: string, headers: readonly Header[]) {
    super(refused.code, refused.detail, { cause: refused });
    this.target = target;
    this.authority = authority;
    this.headers = headers;
  }
}

/** As `readTarget`, of a request whose other fields are read. @throws RefusedTarget */
export function readTargetOf(target: string, authority: string, headers: readonly Header[]): ReadTarget {
  try {
    return readTarget(target);
  } catch (error) {
    throw error instanceof GatewayError ? new RefusedTarget(error, target, authority, headers) : error;
  }
}

/** @throws GatewayError `http.malformed` */
export function readPath(raw: string): string {
  if (!PLAIN.test(raw)) {
    if (!PATH_BYTES.test(raw)) throw malformed('path');
    if (raw.includes('//')) throw malformed('an empty segment');
    if (UNSAFE_ESCAPE.test(raw)) throw malformed('an escape that is not read the same everywhere');
  }
  const path = raw.includes('%') ? decoded(raw) : raw;
  if (path.includes('/.') && DOT_SEGMENT.test(path)) throw malformed('a dot segment');
  if (path.includes('/;') && PARAMETERS_ALONE.test(path)) throw malformed('an empty segment');
  return path;
}

function decoded(raw: string): string {
  const bytes = Buffer.from(
    raw.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    'latin1',
  );
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new GatewayError('http.malformed', { reason: 'path is not UTF-8' }, { cause });
  }
}

const HOST =
  /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*\.?)(?::(\d{1,5}))?$/;

/**
 * A Host field or :authority: a name or an address, and perhaps a port; no user information, no other bytes.
 * @throws GatewayError `http.malformed`
 */
export function requireAuthority(value: string): string {
  const match = value.length <= 300 ? HOST.exec(value) : null;
  if (match === null || Number(match[1] ?? 0) > 65_535) throw malformed('host');
  return value;
}

/** The name or address of an authority, lower case, without port, brackets and closing dot. */
export function hostOf(authority: string): string {
  const bare = authority.startsWith('[')
    ? authority.slice(1, authority.indexOf(']'))
    : authority.replace(/:\d*$/, '').replace(/\.$/, '');
  return bare.toLowerCase();
}
