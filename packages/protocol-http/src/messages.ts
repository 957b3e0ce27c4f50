/**
 * What of an HTTP request rules read: query and headers as facts, its text for people, its digest for approvals.
 * Refuses to read bodies. RFC 3986 section 3.4; WHATWG URL, application/x-www-form-urlencoded parsing.
 */
import { hash, randomUUID } from 'node:crypto';
import { type Header, madeOf, type RequestHead } from '@sallyport/http';

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

/** Of the fields that are judged: the access token is not among them, whichever field it came in. */
export function headerFacts(headers: readonly Header[]): Readonly<Record<string, string>> {
  const facts = Object.create(null) as Record<string, string>;
  for (const [name, value] of headers) {
    if (SECRET_FIELDS.has(name)) continue;
    const known = facts[name];
    facts[name] = known === undefined ? value : `${known}, ${value}`;
  }
  return Object.freeze(facts);
}

/** What an approver sees: the request line, and the body as text where it was read. @param unread bytes of one that was not; -1 = unknown */
export function requestText(request: RequestHead, text: string | undefined, unread: number): string {
  const line = `${request.method} ${request.target}`;
  if (text === undefined)
    return unread === 0 ? line : `${line}\n\n[a body${unread < 0 ? '' : ` of ${unread} bytes`} that was not read]`;
  return text === '' ? line : `${line}\n\n${text}`;
}

/**
 * Over what an approval is bound to: method, target, every header that is sent on but those that differ each time, and the
 * body's bytes.
 * @param body 'unread' = there is one nobody has seen: then no other request has this digest, and no approval fits twice
 */
export function requestDigest(protocol: string, request: RequestHead, body: Uint8Array | 'none' | 'unread'): string {
  const own = body === 'unread' ? randomUUID() : '';
  const { method, target } = request;
  // As JSON of [protocol, method, target, headers, own], of which the headers are mostly there already.
  const text = `["${protocol}",${JSON.stringify(method)},${JSON.stringify(target)},${madeOf(request, boundHeaders)},"${own}"]`;
  return hash('sha256', typeof body === 'string' ? text : Buffer.concat([Buffer.from(text), body]), 'hex');
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

const boundHeaders = (headers: readonly Header[]): string =>
  JSON.stringify(headers.filter(([name]) => !UNBOUND.has(name)));
