/**
 * MCP servers as resources (streamable HTTP, 2025-06-18): each message of a client is a statement, lists show what may be
 * used, answers are masked message by message. docs/adr/0037-mcp.md.
 * Refuses batches, paths besides the server's one address, tools that were never listed, and sessions and events that were
 * given to somebody else.
 */
import { GatewayError } from '@sallyport/core';
import { type Header, headerOf, headerValues, hostOf, type RequestHead } from '@sallyport/http';
import type { DialectSession, HttpDialect, RequestBody } from '@sallyport/http-session';
import type { HttpFacts, McpTarget, Statement } from '@sallyport/model';
import { answerPlan, type ListRules, sessionIdOf } from './answer.ts';
import { statementOf, streamStatement } from './classify.ts';
import { denyMessage } from './deny.ts';
import { acceptedBy, listLook, mayList } from './look.ts';
import { type RpcMessage, readMessage } from './message.ts';
import { EventOwners, SessionOwners } from './sessions.ts';
import { type ToolMemory, ToolWatch, toolMemory } from './tools.ts';

/** What a server learns of its client besides the message. */
const SENT_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'content-type',
  'mcp-session-id',
  'mcp-protocol-version',
  'last-event-id',
  'user-agent',
  'traceparent',
  'tracestate',
]);

/** Of two the first would be judged, and another read by the server. */
const ONCE = ['mcp-session-id', 'mcp-protocol-version', 'last-event-id'] as const;

/** @param memory what servers said of their tools at first */
export function createMcpDialect(memory: ToolMemory = toolMemory()): HttpDialect {
  const watch = new ToolWatch(memory);
  const owners = new SessionOwners();
  const events = new EventOwners();
  const messages = new WeakMap<RequestHead, RpcMessage>();
  const requireSession = (request: RequestHead, session: DialectSession): void => {
    for (const name of ONCE)
      if (headerValues(request.headers, name).length > 1) throw new GatewayError('mcp.malformed', { reason: name });
    const id = sessionIdOf(request.headers);
    if (id !== undefined) owners.require(id, session);
  };
  const requireMessage = (request: RequestHead, body: RequestBody | undefined, session: DialectSession): RpcMessage => {
    const message = readMessage(requireJson(request, body));
    requireSession(request, session);
    return message;
  };
  return {
    protocol: 'mcp',
    gathers: ({ method }) => method === 'POST',
    look: (request, body, session) => {
      if (request.method !== 'POST') return undefined;
      requireAddress(request);
      const { method, params } = requireMessage(request, body, session);
      const tool = params['name'];
      if (method !== 'tools/call' || typeof tool !== 'string' || watch.isListed(session.resource.id, tool))
        return undefined;
      return mayList(session) ? listLook(request, tool, session, watch) : undefined;
    },
    classify: (request, body, session) => {
      requireAddress(request);
      const http = httpFacts(request, body);
      if (request.method !== 'POST') {
        if (request.method !== 'GET' && request.method !== 'DELETE') throw new GatewayError('http.method_refused');
        if (body !== undefined && body.size !== 0) throw new GatewayError('mcp.malformed', { reason: 'a body' });
        requireSession(request, session);
        // A server may find what it said again by the event's id alone, whosesoever session it was.
        const last = headerOf(request.headers, 'last-event-id');
        if (last !== undefined && events.opened(last, session) === undefined)
          throw new GatewayError('mcp.session_unknown');
        return streamStatement(http);
      }
      const message = requireMessage(request, body, session);
      messages.set(request, message);
      const { id } = session.resource;
      const changed =
        message.method === 'tools/call' && watch.isChanged(id, String(message.params['name']), acceptedBy(session));
      const statement = statementOf({ message, http, changed }, targetOf(session));
      const tool = statement.facts.mcp?.tool ?? '';
      if (tool !== '' && !watch.isListed(id, tool)) throw new GatewayError('mcp.tool_unknown');
      return statement;
    },
    forward: (request, _body, session) => {
      const message = messages.get(request);
      const headers: Header[] = [];
      for (const [name, value] of request.headers) {
        const sent = name === 'last-event-id' ? events.opened(value, session) : value;
        if (SENT_HEADERS.has(name) && sent !== undefined) headers.push([name, sent]);
      }
      if (headerOf(headers, 'accept') === undefined) headers.push(['accept', 'application/json, text/event-stream']);
      const target = new URL(targetOf(session).url).pathname.endsWith('/') ? '/' : '';
      return { method: request.method, target, headers, ...(message === undefined ? {} : { body: message.bytes }) };
    },
    answer: (_request, response, session, masks, statement) => {
      const given = sessionIdOf(response.headers);
      if (given !== undefined && response.status < 400) owners.given(given, session);
      return answerPlan(response, session, masks, listRules(session, statement, watch), (id) =>
        events.sealed(id, session),
      );
    },
    deny: (refusal, request) => denyMessage(refusal, request === undefined ? undefined : messages.get(request)),
  };
}

/** Judged as they would be asked for, and not recorded: nobody asked yet. */
function listRules(session: DialectSession, statement: Statement, watch: ToolWatch): ListRules {
  const target = targetOf(session);
  const http = statement.facts.http as HttpFacts;
  const may = (method: string, params: Readonly<Record<string, unknown>>, changed = false): boolean => {
    const message: RpcMessage = { kind: 'request', id: 0, method, params, bytes: new Uint8Array(0), meaning: '' };
    let asked: Statement;
    try {
      asked = statementOf({ message, http, changed }, target);
    } catch (error) {
      // A name that no call may have.
      if (error instanceof GatewayError) return false;
      throw error;
    }
    return session.road.gate.decide(asked).kind !== 'deny';
  };
  const { id } = session.resource;
  return {
    mayCall: (tool) => may('tools/call', { name: tool }, watch.isChanged(id, tool, acceptedBy(session))),
    mayGet: (prompt) => may('prompts/get', { name: prompt }),
    mayRead: (uri) => may('resources/read', { uri }),
    changed: (tool, description) =>
      watch.seen(
        id,
        tool,
        description,
        (first, digest) => {
          session.road.toolChanged?.(tool, first, digest);
          session.recorder.note(
            session.road.statementNumber(statement),
            'notice',
            `Sallyport: the description of tool ${JSON.stringify(tool)} is not the one it had at first (digest ${digest}).`,
          );
        },
        acceptedBy(session),
      ),
  };
}

const targetOf = ({ resource }: DialectSession): McpTarget => resource.mcp as McpTarget;

/** One address: what stands behind it in a path is nobody's. */
function requireAddress(request: RequestHead): void {
  if (request.path !== '/' || request.query !== '') throw new GatewayError('mcp.malformed', { reason: 'path' });
}

function requireJson(request: RequestHead, body: RequestBody | undefined): Uint8Array {
  const type = (headerOf(request.headers, 'content-type') ?? '').split(';')[0]!.trim().toLowerCase();
  const coding = headerOf(request.headers, 'content-encoding');
  if (type !== 'application/json' || coding !== undefined)
    throw new GatewayError('mcp.malformed', { reason: 'content type or coding' });
  if (body === undefined) throw new GatewayError('mcp.malformed', { reason: 'no body' });
  if (!body.read) throw new GatewayError('http.too_large');
  return body.bytes;
}

const httpFacts = (request: RequestHead, body: RequestBody | undefined): HttpFacts => ({
  method: request.method,
  scheme: request.scheme,
  host: hostOf(request.authority),
  path: request.path,
  route: '',
  operation: '',
  query: {},
  headers: {},
  contentType: body === undefined ? '' : 'application/json',
  size: body?.size ?? 0,
  upgrade: '',
});
