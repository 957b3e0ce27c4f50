/**
 * Heads of HTTP/1.1, strictly: one reading, or refused. A head is read whole from Latin-1 text; nothing of it is copied on,
 * what goes upstream is written anew from what was read here.
 * RFC 9112 sections 2 to 6, 11.2 (request smuggling); fields that smuggle are refused, also where the RFC would repair.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import { fieldName, HOP_BY_HOP, listed, namedByConnection } from '../fields.ts';
import { MadeOf } from '../made-of.ts';
import {
  type BodyFraming,
  type Header,
  NO_BODY,
  type RequestHead,
  type ResponseHead,
  STREAM_BODY,
} from '../message.ts';
import { readTargetOf, requireAuthority } from '../path.ts';
import { KNOWN_BYTES_MAX } from './known-head.ts';

const malformed = (reason: string): GatewayError => new GatewayError('http.malformed', { reason });
const smuggling = (reason: string): GatewayError => new GatewayError('http.smuggling', { reason });

/** Any byte that no head may have, besides line ends: those are looked at line by line. */
const BAD_BYTES = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/;
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([^ \t]+) HTTP\/(1\.[01])$/;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?$/;
const DIGITS = /^[0-9]{1,15}$/;

interface Fields {
  headers: Header[];
  host: string | undefined;
  contentLength: string | undefined;
  transferEncoding: string | undefined;
  connection: string[];
  upgrade: string;
  expect: string;
  keepAlive: boolean | undefined;
}

const badBytes = (): GatewayError => smuggling('a control character, or a bare CR or LF');

/** Where the line ends that begins at `at`: at a CRLF, or with the text. @throws GatewayError `http.smuggling` for any other CR or LF */
function lineEnd(text: string, at: number): number {
  const end = text.indexOf('\r', at);
  const feed = text.indexOf('\n', at);
  if (end === -1) {
    if (feed !== -1) throw badBytes();
    return text.length;
  }
  if (feed !== end + 1) throw badBytes();
  return end;
}

/** @param text field lines joined by CRLF from `from` on, without the empty line @throws GatewayError */
function readFields(text: string, from: number, trailers: boolean): Fields {
  if (BAD_BYTES.test(text)) throw badBytes();
  const fields: Fields = {
    headers: [],
    host: undefined,
    contentLength: undefined,
    transferEncoding: undefined,
    connection: [],
    upgrade: '',
    expect: '',
    keepAlive: undefined,
  };
  let at = from;
  let count = 0;
  while (at < text.length) {
    const end = lineEnd(text, at);
    if (++count > LIMITS.httpHeadersMax) throw new GatewayError('http.header_limit', { reason: 'count' });
    const colon = text.indexOf(':', at);
    if (colon === -1 || colon >= end) throw malformed('a line that is no field');
    const name = fieldName(text.slice(at, colon));
    // White space before the colon and a folded line end here, too: neither is a token (RFC 9112 sections 5.1 and 5.2).
    if (name === undefined) throw smuggling('a field name');
    let first = colon + 1;
    let last = end;
    while (first < last && isBlank(text.charCodeAt(first))) first++;
    while (last > first && isBlank(text.charCodeAt(last - 1))) last--;
    const value = text.slice(first, last);
    at = end + 2;
    if (trailers) fields.headers.push([name, value]);
    else take(fields, name, value);
  }
  return fields;
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

function take(fields: Fields, name: string, value: string): void {
  switch (name) {
    case 'host':
      if (fields.host !== undefined) throw smuggling('Host twice');
      fields.host = value;
      return;
    case 'content-length':
      if (fields.contentLength !== undefined) throw smuggling('Content-Length twice');
      fields.contentLength = value;
      return;
    case 'transfer-encoding':
      if (fields.transferEncoding !== undefined) throw smuggling('Transfer-Encoding twice');
      fields.transferEncoding = value;
      return;
    case 'connection':
    case 'proxy-connection':
      fields.connection.push(...listed(value));
      return;
    case 'upgrade':
      if (fields.upgrade !== '') throw smuggling('Upgrade twice');
      fields.upgrade = value.toLowerCase();
      return;
    case 'expect':
      if (fields.expect !== '') throw smuggling('Expect twice');
      fields.expect = value.toLowerCase();
      return;
    default:
      fields.headers.push([name, value]);
  }
}

/** Fields that came about the connection are gone; those of the message are left. */
function messageFields(fields: Fields, strict: boolean): readonly Header[] {
  const { connection } = fields;
  const usual = connection.length === 0 || (connection.length === 1 && connection[0] === 'keep-alive');
  const named = usual ? undefined : namedByConnection(connection, strict);
  const { headers } = fields;
  for (const [name] of headers) {
    if (HOP_BY_HOP.has(name) || named?.has(name) === true)
      return headers.filter(([key]) => !HOP_BY_HOP.has(key) && named?.has(key) !== true);
  }
  return headers;
}

function framingOf(fields: Fields, version: string): BodyFraming {
  const { contentLength, transferEncoding } = fields;
  if (transferEncoding !== undefined) {
    if (contentLength !== undefined) throw smuggling('Content-Length and Transfer-Encoding');
    if (version !== '1.1') throw smuggling('Transfer-Encoding before HTTP/1.1');
    if (transferEncoding.toLowerCase() !== 'chunked') throw smuggling('a transfer coding besides chunked');
    return STREAM_BODY;
  }
  if (contentLength === undefined) return NO_BODY;
  if (!DIGITS.test(contentLength)) throw smuggling('Content-Length');
  const bytes = Number(contentLength);
  return bytes === 0 ? NO_BODY : { kind: 'length', bytes };
}

export interface ReadRequest {
  readonly head: RequestHead;
  /** The client lets its connection stand. */
  readonly keepAlive: boolean;
  /** It sent `Content-Length: 0`: a body that is empty, which some methods' requests must say. */
  readonly emptyBody: boolean;
}

/** What the fields of a request say, whatever its line is. */
interface RequestFields {
  readonly authority: string;
  readonly headers: readonly Header[];
  readonly framing: BodyFraming;
  readonly expectContinue: boolean;
  readonly upgrade: string;
  readonly keepAlive: boolean;
  readonly emptyBody: boolean;
}

/**
 * The fields read last on a connection. Clients say the same ones with request after request; what comes again byte by byte
 * means the same, and its list of headers is the same object, so that what was made of it need not be made again.
 */
export class KnownFields {
  #text: string | undefined;
  #version = '';
  #fields: RequestFields | undefined;

  /** @param text the field lines */
  find(text: string, version: string): RequestFields | undefined {
    return text === this.#text && version === this.#version ? this.#fields : undefined;
  }

  keep(text: string, version: string, fields: RequestFields): void {
    if (text.length > KNOWN_BYTES_MAX) return;
    this.#text = text;
    this.#version = version;
    this.#fields = fields;
  }
}

/**
 * @param text the head without the empty line that ends it, as Latin-1
 * @param known of the connection it came on
 * @throws GatewayError `http.malformed`, `http.smuggling`, `http.header_limit`
 */
export function readRequestHead(text: string, scheme: 'http' | 'https', known?: KnownFields): ReadRequest {
  const end = lineEnd(text, 0);
  const first = end === text.length ? text : text.slice(0, end);
  if (BAD_BYTES.test(first)) throw badBytes();
  const line = REQUEST_LINE.exec(first);
  if (line === null) throw malformed('request line');
  const method = line[1] as string;
  const version = line[3] === '1.0' ? '1.0' : '1.1';
  const rest = end === text.length ? '' : text.slice(end + 2);
  let fields = known?.find(rest, version);
  if (fields === undefined) {
    fields = requestFields(rest, version);
    known?.keep(rest, version, fields);
  }
  const { authority, headers, framing, expectContinue, upgrade } = fields;
  const { target, path, query, absolute } = readWhere(method, line[2] as string, authority, headers);
  return {
    head: {
      method,
      scheme,
      authority,
      target,
      path,
      query,
      headers,
      version,
      framing,
      expectContinue,
      upgrade,
      absolute: absolute === true,
    },
    keepAlive: fields.keepAlive,
    emptyBody: fields.emptyBody,
  };
}

function requestFields(text: string, version: string): RequestFields {
  const fields = readFields(text, 0, false);
  // HTTP/1.0 without a Host is a client of another age: which host it means nobody could say.
  if (fields.host === undefined) throw malformed('no Host');
  const authority = requireAuthority(fields.host);
  const framing = framingOf(fields, version);
  if (fields.expect !== '' && fields.expect !== '100-continue') throw malformed('Expect');
  const has = (token: string): boolean => fields.connection.includes(token);
  const upgrade = has('upgrade') && version === '1.1' ? fields.upgrade : '';
  if (upgrade !== '' && framing.kind !== 'none') throw smuggling('an upgrade with a body');
  return {
    authority,
    headers: messageFields(fields, true),
    framing,
    expectContinue: fields.expect !== '' && framing.kind !== 'none' && version === '1.1',
    upgrade,
    keepAlive: version === '1.1' ? !has('close') : has('keep-alive') && !has('close'),
    emptyBody: fields.contentLength !== undefined,
  };
}

/** RFC 9112 section 3.2: origin-form, absolute-form of the very host that Host names, authority-form of CONNECT. */
function readWhere(
  method: string,
  written: string,
  authority: string,
  headers: readonly Header[],
): Pick<RequestHead, 'target' | 'path' | 'query' | 'absolute'> {
  if (method === 'CONNECT') {
    if (requireAuthority(written).toLowerCase() !== authority.toLowerCase())
      throw smuggling('CONNECT elsewhere than Host');
    return { target: written, path: '', query: '' };
  }
  if (written.startsWith('/')) return readTargetOf(written, authority, headers);
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(written);
  if (absolute === null) throw malformed('request target');
  const [, named = '', rest = ''] = absolute;
  if (requireAuthority(named).toLowerCase() !== authority.toLowerCase()) throw smuggling('two hosts');
  return { ...readTargetOf(rest.startsWith('/') ? rest : `/${rest}`, authority, headers), absolute: true };
}

/**
 * The answer's head read last of a service, by one client: services that answer alike say the same but once a second, when Date
 * changes. What comes again byte by byte is read once, and its list of headers is the same object.
 */
export class KnownAnswer {
  #text: string | undefined;
  #method = '';
  #answer: ReadResponse | undefined;

  /** As `readResponseHead`. */
  read(text: string, method: string): ReadResponse {
    const known = this.#answer;
    if (known !== undefined && text === this.#text && method === this.#method) return known;
    const answer = readResponseHead(text, method);
    const { head } = answer;
    if (head.status < 200 || text.length > KNOWN_BYTES_MAX) return answer;
    this.#text = text;
    this.#method = method;
    this.#answer = { ...answer, head: { ...head, made: new MadeOf(head.headers) } };
    return this.#answer;
  }
}

export interface ReadResponse {
  readonly head: ResponseHead;
  /** The connection may be used again after this answer. */
  readonly keepAlive: boolean;
  /** Protocol the server switched to, lower case; '' otherwise. */
  readonly upgrade: string;
  /** Content-Length as it was said, also where no body follows (HEAD, 304); undefined without. */
  readonly saidLength: string | undefined;
}

/**
 * @param text the head without the empty line that ends it @param method of the request it answers
 * @throws GatewayError `http.upstream`
 */
export function readResponseHead(text: string, method: string): ReadResponse {
  try {
    return responseHead(text, method);
  } catch (cause) {
    const reason = cause instanceof GatewayError ? String(cause.detail['reason'] ?? cause.code) : 'head';
    throw new GatewayError('http.upstream', { reason }, { cause });
  }
}

function responseHead(text: string, method: string): ReadResponse {
  const end = lineEnd(text, 0);
  const line = STATUS_LINE.exec(end === text.length ? text : text.slice(0, end));
  if (line === null) throw malformed('status line');
  const version = line[1] === '0' ? '1.0' : '1.1';
  const status = Number(line[2]);
  const fields = readFields(text, end === text.length ? end : end + 2, false);
  const said = framingOf(fields, version);
  const has = (token: string): boolean => fields.connection.includes(token);
  const keepAlive = version === '1.1' ? !has('close') : has('keep-alive');
  const headers =
    fields.host === undefined
      ? messageFields(fields, false)
      : [...messageFields(fields, false), ['host', fields.host] as const];
  const bodiless = method === 'HEAD' || status < 200 || status === 204 || status === 304;
  const open = !bodiless && fields.contentLength === undefined && fields.transferEncoding === undefined;
  return {
    head: { status, headers, framing: bodiless ? NO_BODY : open ? { kind: 'until-close' } : said },
    keepAlive: keepAlive && !open,
    upgrade: status === 101 ? fields.upgrade : '',
    saidLength: fields.contentLength,
  };
}

/** Trailer fields. @throws GatewayError `http.malformed`, `http.smuggling`, `http.header_limit` */
export function readTrailers(text: string): readonly Header[] {
  if (text === '') return [];
  return readFields(text, 0, true).headers;
}

/** True for the methods whose repetition changes nothing and that have no body to send again. */
export const isSafeMethod = (method: string): boolean => method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
