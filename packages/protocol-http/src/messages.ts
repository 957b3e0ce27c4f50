/**
 * What of an HTTP request people read, and what an approval of it is bound to.
 * Refuses to read bodies.
 */
import { hash, randomUUID } from 'node:crypto';
import { type Header, madeOf, type RequestHead } from '@sallyport/http';

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
