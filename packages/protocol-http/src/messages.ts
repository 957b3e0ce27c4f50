/**
 * What of an HTTP request rules read: query and headers as facts, its text for people, its digest for approvals.
 * Refuses to read bodies. RFC 3986 section 3.4; WHATWG URL, application/x-www-form-urlencoded parsing.
 */
import { hash } from 'node:crypto';
import type { Header, RequestHead } from '@sallyport/http';

/** Names of which nothing is told to rules, approvers or the record. */
export const SECRET_FIELDS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'x-api-key',
  'x-auth-token',
  'x-csrf-token',
  'x-amz-security-token',
]);

const NO_QUERY: Readonly<Record<string, readonly string[]>> = Object.freeze({});

const decoded = (text: string): string => {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  // Bytes that are no UTF-8 read as U+FFFD, as forms do.
  const latin1 = spaced.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(latin1, 'latin1').toString('utf8');
};

/** Every value of every parameter, in order; a parameter without `=` has the value ''. */
export function queryFacts(query: string): Readonly<Record<string, readonly string[]>> {
  if (query === '') return NO_QUERY;
  const facts = Object.create(null) as Record<string, string[]>;
  for (const part of query.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = decoded(equals === -1 ? part : part.slice(0, equals));
    const value = equals === -1 ? '' : decoded(part.slice(equals + 1));
    const known = facts[name];
    if (known === undefined) facts[name] = [value];
    else known.push(value);
  }
  return facts;
}

export function headerFacts(headers: readonly Header[]): Readonly<Record<string, string>> {
  const facts = Object.create(null) as Record<string, string>;
  for (const [name, value] of headers) {
    if (SECRET_FIELDS.has(name)) continue;
    const known = facts[name];
    facts[name] = known === undefined ? value : `${known}, ${value}`;
  }
  return facts;
}

/** What an approver sees: the request line, and the body as text where it was read. */
export const requestText = (request: RequestHead, body: Uint8Array | undefined): string => {
  const line = `${request.method} ${request.target}`;
  if (body === undefined || body.length === 0) return line;
  return `${line}\n\n${Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8')}`;
};

/**
 * Over what an approval is bound to: method, target, every header that is sent on but those that differ each time, and the
 * body's bytes. @param body undefined = none, or not read: then its size stands for it
 */
export function requestDigest(
  protocol: string,
  request: RequestHead,
  body: Uint8Array | undefined,
  size: number,
): string {
  const text = JSON.stringify([protocol, request.method, request.target, boundHeaders(request.headers), size]);
  return hash('sha256', body === undefined ? text : Buffer.concat([Buffer.from(text), body]), 'hex');
}

/** Trace ids, dates and the like: a client that asks again says others. */
const UNBOUND: ReadonlySet<string> = new Set([
  'date',
  'prefer',
  'traceparent',
  'tracestate',
  'user-agent',
  'x-amzn-trace-id',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-spanid',
  'x-b3-traceid',
  'x-request-id',
  'x-correlation-id',
]);

const boundHeaders = (headers: readonly Header[]): readonly Header[] => headers.filter(([name]) => !UNBOUND.has(name));
