/**
 * What an approval of a request is bound to. Refuses to read bodies.
 */
import { hash, randomUUID } from 'node:crypto';
import { type Header, madeOf, type RequestHead } from '@sallyport/http';

/**
 * Over what an approval is bound to: method, target, every header that is sent on but those that differ each time (of Prefer,
 * RFC 7240: how long to wait; the rest of it tells some services what to do), and the body's bytes.
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
  'kubectl-command',
  'kubectl-session',
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

/** The gateway's own, and a bound on the wait. */
const WAITING = /^(?:respond-async|wait\s*=\s*"?\d+"?)$/i;

const boundHeaders = (headers: readonly Header[]): string =>
  JSON.stringify(
    headers
      .filter(([name]) => !UNBOUND.has(name))
      .map(([name, value]) => (name === 'prefer' ? [name, preferencesIn(value)] : [name, value]))
      .filter(([name, value]) => name !== 'prefer' || value !== ''),
  );

const preferencesIn = (value: string): string =>
  value
    .split(',')
    .filter((preference) => !WAITING.test(preference.trim()))
    .join(',');
