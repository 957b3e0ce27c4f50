/**
 * A request to an HTTP service as a statement: effects by method or route, facts of families `http` and `body`.
 * Refuses to know what the service does with it: where a method lies about that, a route of the resource says better.
 */
import { GatewayError } from '@sallyport/core';
import { headerOf, hostOf, type RequestHead } from '@sallyport/http';
import type { DialectSession, RequestBody } from '@sallyport/http-session';
import type { Effect, HttpTarget, Statement } from '@sallyport/model';
import { headerFacts, queryFacts, requestDigest, requestText } from './messages.ts';

const READ: readonly Effect[] = Object.freeze(['read']);
const WRITE: readonly Effect[] = Object.freeze(['write']);
const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Methods by which another method is asked for: judged as what was written, served as what was meant. */
const OVERRIDES = ['x-http-method-override', 'x-method-override', 'x-http-method'];

/** @throws GatewayError `http.method_refused`, `http.malformed` */
export function classifyRequest(
  request: RequestHead,
  body: RequestBody | undefined,
  session: DialectSession,
): Statement {
  const target = session.resource.http as HttpTarget;
  const { method } = request;
  if (target.methods !== undefined && !target.methods.includes(method)) throw new GatewayError('http.method_refused');
  if (OVERRIDES.some((name) => headerOf(request.headers, name) !== undefined))
    throw new GatewayError('http.malformed', { reason: 'a method inside the headers' });
  const read = body?.read === true ? body.bytes : undefined;
  const size = body?.size ?? 0;
  const type = headerOf(request.headers, 'content-type') ?? '';
  const effects = request.upgrade !== '' || !READING.has(method) ? WRITE : READ;
  return {
    protocol: 'http',
    digest: requestDigest('http', request, read, size),
    text: requestText(request, read),
    parameters: [],
    effects,
    understood: true,
    facts: {
      http: {
        method,
        scheme: request.scheme,
        host: hostOf(request.authority),
        path: request.path,
        route: '',
        operation: '',
        query: queryFacts(request.query),
        headers: headerFacts(request.headers),
        contentType: (type.split(';')[0] ?? '').trim().toLowerCase(),
        size,
        upgrade: request.upgrade,
      },
      ...(body === undefined ? {} : { body: { read: false } }),
    },
    inTransaction: false,
    wroteInTransaction: false,
  };
}
