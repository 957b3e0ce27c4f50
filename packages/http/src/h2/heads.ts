/**
 * Heads of HTTP/2 as this package's own: what nghttp2 let through is read once more, by the rules of RFC 9113 section 8 that
 * keep it from turning into something else when it is written as HTTP/1.1 (downgrade smuggling).
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import { fieldName, HOP_BY_HOP, hasControl, isToken } from '../fields.ts';
import {
  type BodyFraming,
  type Header,
  NO_BODY,
  type RequestHead,
  type ResponseHead,
  STREAM_BODY,
} from '../message.ts';
import { readTargetOf, requireAuthority } from '../path.ts';

const malformed = (reason: string): GatewayError => new GatewayError('http.malformed', { reason });
const smuggling = (reason: string): GatewayError => new GatewayError('http.smuggling', { reason });
const DIGITS = /^[0-9]{1,15}$/;

export interface Http2ReadFields {
  readonly pseudo: Map<string, string>;
  readonly headers: Header[];
  host: string | undefined;
  /** Once it was read. */
  authority: string | undefined;
  length: string | undefined;
  expect: string;
}

/** @param raw names and values in turn, as node:http2 gives them */
function readFields(raw: readonly string[]): Http2ReadFields {
  const fields: Http2ReadFields = {
    pseudo: new Map(),
    headers: [],
    host: undefined,
    authority: undefined,
    length: undefined,
    expect: '',
  };
  if (raw.length / 2 > LIMITS.httpHeadersMax + 4) throw new GatewayError('http.header_limit', { reason: 'count' });
  const cookies: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const written = raw[at] as string;
    const value = (raw[at + 1] as string).trim();
    if (hasControl(value)) throw smuggling('a control character');
    if (written.startsWith(':')) {
      if (fields.pseudo.has(written)) throw smuggling('a pseudo-field twice');
      fields.pseudo.set(written, value);
      continue;
    }
    const name = fieldName(written);
    if (name === undefined || name !== written) throw smuggling('a field name');
    // A connection has no fields of its own in HTTP/2 (RFC 9113 section 8.2.2).
    if (HOP_BY_HOP.has(name) && name !== 'te' && name !== 'trailer') throw smuggling('a field of the connection');
    if (name === 'te' || name === 'trailer') continue;
    if (name === 'host') {
      if (fields.host !== undefined) throw smuggling('Host twice');
      fields.host = value;
    } else if (name === 'content-length') {
      if (fields.length !== undefined) throw smuggling('Content-Length twice');
      fields.length = value;
    } else if (name === 'expect') fields.expect = value.toLowerCase();
    else if (name === 'cookie') cookies.push(value);
    else fields.headers.push([name, value]);
  }
  // Crumbs are one field outside HTTP/2 (RFC 9113 section 8.2.3).
  if (cookies.length > 0) fields.headers.push(['cookie', cookies.join('; ')]);
  return fields;
}

function framingOf(length: string | undefined, ended: boolean): BodyFraming {
  if (length !== undefined && !DIGITS.test(length)) throw smuggling('Content-Length');
  if (ended) {
    if (length !== undefined && Number(length) !== 0) throw smuggling('a length without a body');
    return NO_BODY;
  }
  return length === undefined ? STREAM_BODY : { kind: 'length', bytes: Number(length) };
}

/**
 * The fields read last on a connection: of a request that says the same but its method and path they are what they were, and
 * their list is the same object.
 */
export class KnownHttp2Fields {
  #raw: readonly string[] = [];
  #fields: Http2ReadFields | undefined;

  /** @throws as `readHttp2Request` */
  read(raw: readonly string[]): Http2ReadFields {
    const known = this.#fields;
    if (known !== undefined && this.#isKnown(raw)) return known;
    const fields = readFields(raw);
    this.#raw = raw;
    this.#fields = fields;
    return fields;
  }

  #isKnown(raw: readonly string[]): boolean {
    const known = this.#raw;
    if (raw.length !== known.length) return false;
    for (let at = 0; at < raw.length; at += 2) {
      const name = raw[at];
      if (name !== known[at]) return false;
      if (raw[at + 1] !== known[at + 1] && name !== ':path' && name !== ':method') return false;
    }
    return true;
  }
}

function authorityOf({ pseudo, host }: Http2ReadFields): string {
  const authority = requireAuthority(pseudo.get(':authority') ?? host ?? '');
  if (host !== undefined && host.toLowerCase() !== authority.toLowerCase()) throw smuggling('two hosts');
  return authority;
}

/** A pseudo-field as it came; each stands once at most, which is looked at where all fields are read. */
function pseudoOf(raw: readonly string[], name: string): string | undefined {
  for (let at = 0; at + 1 < raw.length; at += 2) if (raw[at] === name) return (raw[at + 1] as string).trim();
  return undefined;
}

/**
 * @param ended the stream has no body
 * @param known of the connection it came on
 * @throws GatewayError `http.malformed`, `http.smuggling`, `http.header_limit`
 */
export function readHttp2Request(raw: readonly string[], ended: boolean, known?: KnownHttp2Fields): RequestHead {
  const fields = known === undefined ? readFields(raw) : known.read(raw);
  const { pseudo } = fields;
  const method = pseudoOf(raw, ':method') ?? '';
  if (!isToken(method) || method.length > 32) throw malformed('method');
  if (pseudo.has(':protocol')) throw new GatewayError('http.upgrade_refused');
  fields.authority ??= authorityOf(fields);
  const { authority } = fields;
  if (fields.expect !== '' && fields.expect !== '100-continue') throw malformed('Expect');
  const framing = framingOf(fields.length, ended);
  const { target, path, query } = readWhere(method, raw, fields, authority);
  return {
    method,
    scheme: 'https',
    authority,
    target,
    path,
    query,
    headers: fields.headers,
    version: '2',
    framing,
    expectContinue: fields.expect !== '' && framing.kind !== 'none',
    upgrade: '',
  };
}

function readWhere(
  method: string,
  raw: readonly string[],
  { pseudo, headers }: Http2ReadFields,
  authority: string,
): Pick<RequestHead, 'target' | 'path' | 'query'> {
  if (method === 'CONNECT') return { target: authority, path: '', query: '' };
  if (pseudo.get(':scheme') !== 'https') throw malformed('scheme');
  const target = pseudoOf(raw, ':path') ?? '';
  if (!target.startsWith('/')) throw malformed('request target');
  return readTargetOf(target, authority, headers);
}

export interface ReadHttp2Response {
  readonly head: ResponseHead;
  readonly saidLength: string | undefined;
}

/** @throws GatewayError `http.upstream` */
export function readHttp2Response(raw: readonly string[], ended: boolean, method: string): ReadHttp2Response {
  try {
    const fields = readFields(raw);
    const said = fields.pseudo.get(':status') ?? '';
    if (!/^[1-5][0-9]{2}$/.test(said) || said === '101') throw malformed('status');
    const status = Number(said);
    const bodiless = method === 'HEAD' || status === 204 || status === 304 || ended;
    return {
      head: { status, headers: fields.headers, framing: bodiless ? NO_BODY : framingOf(fields.length, false) },
      saidLength: fields.length,
    };
  } catch (cause) {
    throw new GatewayError('http.upstream', { reason: 'head' }, { cause });
  }
}

/** Trailers as node:http2 gives them. Pseudo-fields and what frames a message are left out. */
export function readHttp2Trailers(raw: readonly string[]): readonly Header[] {
  const trailers: Header[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = fieldName(raw[at] as string);
    const value = raw[at + 1] as string;
    if (name !== undefined && !name.startsWith(':') && !hasControl(value)) trailers.push([name, value]);
  }
  return trailers;
}

/** For node:http2, which wants one value for each name but Set-Cookie. */
export function http2Fields(headers: readonly Header[]): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of headers) {
    if (HOP_BY_HOP.has(name)) continue;
    const known = fields[name];
    if (name === 'set-cookie') fields[name] = Array.isArray(known) ? [...known, value] : [value];
    else fields[name] = known === undefined ? value : `${String(known)}, ${value}`;
  }
  return fields;
}

/** Head of an answer as node:http2 takes it without making an object of it: names and values in turn. */
export function http2Lines(status: number, headers: readonly Header[], length: string | undefined): readonly string[] {
  const lines: string[] = [':status', String(status)];
  for (const [name, value] of headers) {
    if (HOP_BY_HOP.has(name)) continue;
    // node:http2 wants one value for each name but Set-Cookie.
    const at = name === 'set-cookie' ? -1 : placeOf(name, lines);
    if (at === -1) lines.push(name, value);
    else lines[at] = `${lines[at]}, ${value}`;
  }
  if (length !== undefined) lines.push('content-length', length);
  return lines;
}

/** Lines of the answer's head sent last on a connection: of the very same list of fields they are the same again. */
export class KnownHttp2Lines {
  #status = 0;
  #headers: readonly Header[] | undefined;
  #length: string | undefined;
  #lines: readonly string[] = [];

  /** As `http2Lines`. A list of its own each time: node:http2 puts a date at its end where there is none. */
  of(status: number, headers: readonly Header[], length: string | undefined): readonly string[] {
    if (headers !== this.#headers || status !== this.#status || length !== this.#length) {
      this.#lines = http2Lines(status, headers, length);
      this.#status = status;
      this.#headers = headers;
      this.#length = length;
    }
    return this.#lines.slice();
  }
}

/** Where the value of a name stands; -1 where it has none yet. */
function placeOf(name: string, lines: readonly string[]): number {
  for (let at = 0; at < lines.length; at += 2) if (lines[at] === name) return at + 1;
  return -1;
}
