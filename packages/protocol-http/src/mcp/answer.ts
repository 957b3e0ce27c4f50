/**
 * What a client gets of an MCP server's answer: lists without what it may not use, changed tools flagged, the rest masked.
 * Refuses an answer that is neither JSON nor events where something has to be masked in it.
 */
import { GatewayError } from '@sallyport/core';
import {
  type Header,
  headerOf,
  type JoinedTexts,
  maskHeaders,
  openJoinedTexts,
  type ResponseHead,
} from '@sallyport/http';
import type { AnswerPlan, DialectSession } from '@sallyport/http-session';
import { type MaskKey, maskDetected } from '@sallyport/mask';
import type { HttpTextStream, MaskSet } from '@sallyport/model';
import { maskMessage, masksAnything } from './mask.ts';
import { isObject, type JsonObject } from './message.ts';
import { EventMessages, OneMessage, type Rewrite } from './stream.ts';

export interface ListRules {
  /** Whether a call of the tool, without arguments, would be refused for good. */
  mayCall(tool: string): boolean;
  mayGet(prompt: string): boolean;
  mayRead(uri: string): boolean;
  /** The tool's description was shown. @returns true when it is not the first one */
  changed(tool: string, description: JsonObject): boolean;
}

const SHOWN_HEADERS: ReadonlySet<string> = new Set([
  'content-type',
  'mcp-session-id',
  'mcp-protocol-version',
  'cache-control',
  'retry-after',
  'allow',
  'date',
]);

/** The protocol has none. */
const trailers = (): readonly Header[] => [];

/** @throws GatewayError `http.body_unmaskable` */
export function answerPlan(
  response: ResponseHead,
  session: DialectSession,
  masks: MaskSet,
  rules: ListRules,
  eventId: (id: string) => string,
): AnswerPlan {
  const headers = shownHeaders(response.headers, masks, session.road.maskKey);
  const type = (headerOf(response.headers, 'content-type') ?? '').split(';')[0]!.trim().toLowerCase();
  if (response.framing.kind === 'none') return { headers, trailers };
  if ((headerOf(response.headers, 'content-encoding') ?? 'identity').toLowerCase() !== 'identity')
    throw new GatewayError('http.body_unmaskable', { reason: 'coded' });
  let rows = 0;
  const passesMedia = session.resource.mcp?.media === 'pass';
  const rewrite: Rewrite = (message) => {
    rows++;
    return maskMessage(withLists(message, rules), masks, session.road.maskKey, passesMedia);
  };
  // An accepted notification is answered by nothing, in chunks, without a type: nothing is what passes then.
  if (type === 'application/json' || type === '')
    return { masker: new OneMessage(rewrite), headers, trailers, rows: () => rows };
  const mayShow = (value: string): boolean => maskDetected(value, masks.detect, session.road.maskKey).text === value;
  if (type === 'text/event-stream')
    return {
      masker: new EventMessages(rewrite, mayShow, eventId, textsOf(session, masks)),
      headers,
      trailers,
      rows: () => rows,
    };
  if (masksAnything(masks)) throw new GatewayError('http.body_unmaskable', { type });
  return { headers, trailers };
}

function shownHeaders(all: readonly Header[], masks: MaskSet, key: MaskKey | undefined): readonly Header[] {
  const shown = all.filter(([name]) => SHOWN_HEADERS.has(name));
  if (!masksAnything(masks) && masks.headers === undefined) return shown;
  // A session's name is the client's to say again as it came.
  return shown.flatMap((one) => (one[0] === 'mcp-session-id' ? [one] : maskHeaders([one], masks, key)));
}

/** What tells a server's notifications apart. */
const BY = ['progressToken', 'logger'];
const withBy = new WeakMap<readonly HttpTextStream[], readonly HttpTextStream[]>();

/** By detectors alone: masks by path were there before, and count from elsewhere. */
function textsOf({ resource, road }: DialectSession, { detect }: MaskSet): JoinedTexts<undefined> | undefined {
  const given = resource.mcp?.streams;
  if (given === undefined) return undefined;
  let streams = withBy.get(given);
  if (streams === undefined) {
    streams = given.map((stream) => ({ by: BY, ...stream }));
    withBy.set(given, streams);
  }
  return openJoinedTexts({ columns: [], detect }, road.maskKey, streams);
}

/** Every member that looks like a list is one, whatever was asked: an answer may come on another stream. */
function withLists(message: JsonObject, rules: ListRules): JsonObject {
  const result = message['result'];
  if (!isObject(result)) return message;
  const made: Record<string, unknown> = { ...result };
  if (Array.isArray(result['tools']))
    made['tools'] = result['tools'].flatMap((tool: unknown) => shownTool(tool, rules));
  if (Array.isArray(result['prompts']))
    made['prompts'] = named(result['prompts'], 'name', (name) => rules.mayGet(name));
  if (Array.isArray(result['resources']))
    made['resources'] = named(result['resources'], 'uri', (uri) => rules.mayRead(uri));
  if (Array.isArray(result['resourceTemplates']))
    made['resourceTemplates'] = named(result['resourceTemplates'], 'uriTemplate', (uri) => rules.mayRead(uri));
  return { ...message, result: made };
}

const named = (items: readonly unknown[], key: string, may: (name: string) => boolean): readonly unknown[] =>
  items.filter((item) => isObject(item) && typeof item[key] === 'string' && may(item[key]));

const CHANGED = 'Sallyport: this description is not the one this tool had at first.';

function shownTool(tool: unknown, rules: ListRules): readonly unknown[] {
  if (!isObject(tool) || typeof tool['name'] !== 'string') return [];
  // Before it is filtered: what changed stays known, though nobody here sees it.
  const changed = rules.changed(tool['name'], tool);
  if (!rules.mayCall(tool['name'])) return [];
  if (!changed) return [tool];
  const text = typeof tool['description'] === 'string' ? `${CHANGED}\n\n${tool['description']}` : CHANGED;
  const meta = isObject(tool['_meta']) ? tool['_meta'] : {};
  return [{ ...tool, description: text, _meta: { ...meta, 'sallyport/changed': true } }];
}

export const sessionIdOf = (headers: readonly Header[]): string | undefined => headerOf(headers, 'mcp-session-id');
