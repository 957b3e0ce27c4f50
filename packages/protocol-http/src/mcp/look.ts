/**
 * The list of a server's tools, asked for by the gateway when a client calls one that no list had: a client may know its tools from
 * another day. Refuses to ask more than a few times a minute, and to show anybody what came: names and descriptions are remembered.
 */
import { type Header, headerOf, type RequestHead } from '@sallyport/http';
import type { DialectSession, Look, LookAnswer } from '@sallyport/http-session';
import type { HttpFacts, McpTarget } from '@sallyport/model';
import { statementOf } from './classify.ts';
import { isObject, type JsonObject } from './message.ts';
import { EventMessages, OneMessage } from './stream.ts';
import type { ToolWatch } from './tools.ts';

const ASKED = 'tool lists asked for';
const ASKED_WITHIN_MS = 60_000;
const ASKED_MAX = 5;
/** Of the client's, what a server needs to know it by. */
const KEPT: ReadonlySet<string> = new Set(['mcp-session-id', 'mcp-protocol-version', 'user-agent']);

/** Descriptions that somebody has looked at: sessions that are open are told by the next bundle. */
export const acceptedBy = ({ road, resource }: DialectSession): NonNullable<McpTarget['accepted']> =>
  (road.resourceInForce?.() ?? resource).mcp?.accepted ?? NONE;
const NONE = Object.freeze([]) as readonly never[];

/** A client that calls what is not there, again and again, is no reason to ask each time. */
export function mayList(session: DialectSession): boolean {
  const nowMs = session.nowMs();
  const asked = ((session.state.get(ASKED) as readonly number[] | undefined) ?? []).filter(
    (at) => at > nowMs - ASKED_WITHIN_MS,
  );
  if (asked.length >= ASKED_MAX) return false;
  session.state.set(ASKED, [...asked, nowMs]);
  return true;
}

/** @param tool until it is found; page by page */
export function listLook(
  request: RequestHead,
  tool: string,
  session: DialectSession,
  watch: ToolWatch,
  cursor = '',
): Look {
  const { resource, road } = session;
  const target = resource.mcp as McpTarget;
  const params = cursor === '' ? {} : { cursor };
  const message = {
    kind: 'request',
    id: 0,
    method: 'tools/list',
    params,
    bytes: new Uint8Array(0),
    meaning: '',
  } as const;
  return {
    statement: statementOf({ message, http: FACTS, changed: false }, target),
    forward: () => ({
      method: 'POST',
      target: new URL(target.url).pathname.endsWith('/') ? '/' : '',
      headers: [
        ['accept', 'application/json, text/event-stream'],
        ['content-type', 'application/json'],
        ...request.headers.filter(([name]): boolean => KEPT.has(name)),
      ],
      body: Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 'sallyport-tools', method: 'tools/list', params })),
    }),
    seen: (answer) => {
      const result = listIn(answer);
      for (const one of Array.isArray(result?.['tools']) ? (result['tools'] as readonly unknown[]) : [])
        if (isObject(one) && typeof one['name'] === 'string') {
          const { name } = one;
          const news = (first: string, digest: string): void => road.toolChanged?.(String(name), first, digest);
          watch.seen(resource.id, name, one, news, acceptedBy(session));
        }
      const next = result?.['nextCursor'];
      if (watch.isListed(resource.id, tool) || typeof next !== 'string' || next === '' || next === cursor)
        return undefined;
      return listLook(request, tool, session, watch, next);
    },
  };
}

/** The result of the list; undefined when none came. */
function listIn(answer: LookAnswer): JsonObject | undefined {
  if (answer.kind !== 'answer' || answer.status !== 200) return undefined;
  let found: JsonObject | undefined;
  const keep = (message: JsonObject): undefined => {
    if (message['id'] === 'sallyport-tools' && isObject(message['result'])) found = message['result'];
  };
  const isEvents = typeOf(answer.headers) === 'text/event-stream';
  const reader = isEvents ? new EventMessages(keep) : new OneMessage(keep);
  reader.push(answer.body);
  reader.end();
  return found;
}

const typeOf = (headers: readonly Header[]): string =>
  (headerOf(headers, 'content-type') ?? '').split(';')[0]!.trim().toLowerCase();

/** Of a request that no client made. */
const FACTS: HttpFacts = Object.freeze({
  method: 'POST',
  scheme: 'https',
  host: '',
  path: '/',
  route: '',
  operation: '',
  query: {},
  headers: {},
  contentType: 'application/json',
  size: 0,
  upgrade: '',
});
