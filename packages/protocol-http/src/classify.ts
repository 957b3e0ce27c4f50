/**
 * A request to an HTTP service as a statement: effects by method, route or GraphQL operation, facts of families `http` and
 * `body`. Refuses to know what the service does with it: where a method lies about that, a route of the resource says better.
 */
import { GatewayError } from '@sallyport/core';
import {
  asksForAnotherMethod,
  asksForToken,
  effectsAt,
  type Header,
  headerFacts,
  headerOf,
  hostOf,
  madeOf,
  type Place,
  placeOf,
  queryFacts,
  type ReadBody,
  type RequestHead,
  readGraphqlQuery,
  readRequestBody,
  routeFacts,
  textWithoutTokens,
} from '@sallyport/http';
import { type DialectSession, type InsteadOfBody, type RequestBody, requestDigest } from '@sallyport/http-session';
import type { Effect, HttpTarget, Statement } from '@sallyport/model';
import { KnownRequests } from './classify/known-requests.ts';
import { requestText } from './messages.ts';

const READ: readonly Effect[] = Object.freeze(['read']);
const WRITE: readonly Effect[] = Object.freeze(['write']);
const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

const HAS_LOWER_CASE = /[a-z]/;

const contentTypeOf = (headers: readonly Header[]): string =>
  ((headerOf(headers, 'content-type') ?? '').split(';')[0] ?? '').trim().toLowerCase();

/** Requests whose answers may name fields otherwise than the service does. */
const renaming = new WeakSet<RequestHead>();
export const renamesFields = (request: RequestHead): boolean => renaming.has(request);

/** Bodies that ask for a token, as they are kept and shown. */
const asking = new WeakMap<RequestHead, string>();
/** Whether its answer may be one (RFC 6749 section 5.1). */
export const isAnsweredByToken = (request: RequestHead): boolean => asking.has(request) || asksForToken(request.query);
export function withoutTokens(request: RequestHead): InsteadOfBody | undefined {
  const text = asking.get(request);
  return text === undefined
    ? undefined
    : { contentType: headerOf(request.headers, 'content-type') ?? '', bytes: Buffer.from(text) };
}

/** @throws GatewayError `http.method_refused`, `http.malformed` */
export function classifyRequest(
  request: RequestHead,
  body: RequestBody | undefined,
  session: DialectSession,
): Statement {
  const target = session.resource.http as HttpTarget;
  const { method } = request;
  const known = body === undefined ? madeOf(request, knownRequests) : undefined;
  const again = known?.find(request, target);
  if (again !== undefined) return another(again);
  if (target.methods !== undefined && !target.methods.includes(method)) throw new GatewayError('http.method_refused');
  // Methods are case-sensitive, and there are services that think otherwise (RFC 9110 section 9.1).
  if (HAS_LOWER_CASE.test(method)) throw new GatewayError('http.method_refused');
  if (madeOf(request, asksForAnotherMethod))
    throw new GatewayError('http.malformed', { reason: 'a method inside the headers' });
  const place = placeOf(target, method, request.path);
  const reading = readingOf(request, body, place);
  // Nobody reads what is asked over a WebSocket.
  const isUnheard = request.upgrade !== '' && place.graphql !== 'no';
  if (reading?.renames === true || isUnheard) renaming.add(request);
  if (body?.read === true) {
    const kept = textWithoutTokens(request, reading?.text ?? uncodedText(request, body));
    if (kept !== undefined) asking.set(request, kept);
  }
  const statement = statementOf(request, body, reading, place);
  if (reading === undefined && !isUnheard) known?.keep(request, target, statement);
  return another(statement);
}

/** What a request is read into. */
type Read = Pick<Statement, 'protocol' | 'digest' | 'text' | 'parameters' | 'effects' | 'understood' | 'facts'>;

/** Each request is a statement of its own. By name: a spread is made outside of compiled code. */
const another = ({ protocol, digest, text, parameters, effects, understood, facts }: Read): Statement => ({
  protocol,
  digest,
  text,
  parameters,
  effects,
  understood,
  facts,
  inTransaction: false,
  wroteInTransaction: false,
});

/** Of a body that rules have unread. */
const uncodedText = ({ headers }: RequestHead, { bytes }: RequestBody): string =>
  headerOf(headers, 'content-encoding') === undefined ? Buffer.from(bytes).toString() : '';

const knownRequests = (): KnownRequests<HttpTarget, Read> => new KnownRequests();

function statementOf(
  request: RequestHead,
  body: RequestBody | undefined,
  reading: ReadBody | undefined,
  place: Place,
): Read {
  const { method } = request;
  const size = body?.size ?? 0;
  const seen = body === undefined ? 'none' : body.read ? body.bytes : 'unread';
  const text = requestText(request, body === undefined ? '' : shownText(request, reading), size);
  return {
    protocol: 'http',
    digest: requestDigest('http', request, seen),
    // Texts that were put together are compared outside of compiled code, and the record compares those that come again.
    text: body === undefined ? Buffer.from(text).toString() : text,
    parameters: [],
    effects: effectsAt(place, (isGraphql) => effectsOf(request, reading, isGraphql)),
    understood: true,
    facts: {
      http: {
        method,
        scheme: request.scheme,
        host: hostOf(request.authority),
        path: request.path,
        ...routeFacts(place),
        ...queryFacts(request.query),
        headers: madeOf(request, headerFacts),
        contentType: madeOf(request, contentTypeOf),
        size,
        upgrade: request.upgrade,
      },
      ...(reading === undefined ? {} : { body: reading.facts }),
    },
  };
}

/** As approvers read it: nothing of what is unread. */
const shownText = (request: RequestHead, reading: ReadBody | undefined): string | undefined =>
  reading?.text === undefined ? undefined : (asking.get(request) ?? reading.text);

function readingOf({ headers, query }: RequestHead, body: RequestBody | undefined, place: Place): ReadBody | undefined {
  const graphql = place.graphql !== 'no';
  // Many servers take it from the URL, whatever the method.
  if (body === undefined) return graphql && query !== '' ? readGraphqlQuery(query) : undefined;
  if (!body.read) return { facts: { read: false }, renames: graphql, text: undefined };
  return readRequestBody(headers, body.bytes, { graphql, query });
}

/** A GraphQL query reads although it is posted, and one that was not read may do anything. */
function effectsOf(
  { method, upgrade }: RequestHead,
  reading: ReadBody | undefined,
  isGraphql: boolean,
): readonly Effect[] {
  if (upgrade !== '') return WRITE;
  const kind = reading?.facts.read === true ? reading.facts.graphqlKind : '';
  if (kind === 'mutation' || (isGraphql && reading?.facts.read === false)) return WRITE;
  // Whoever only says that it is GraphQL has not asked one who knows it.
  if (isGraphql && kind !== '') return READ;
  return READING.has(method) ? READ : WRITE;
}
