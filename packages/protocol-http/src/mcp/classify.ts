/**
 * A message to an MCP server as a statement: each call of a tool by itself, with its arguments as facts. Lists and reads are
 * `read`; a call is `exec` unless the resource says less of the tool; what is not known is `exec`.
 * Refuses to know transports.
 */
import { createHash } from 'node:crypto';
import { GatewayError } from '@sallyport/core';
import { type Effect, fieldsOf, type HttpFacts, type McpTarget, type Statement } from '@sallyport/model';
import { isObject, type JsonObject, type RpcMessage } from './message.ts';
import { requireOneMeaning } from './uri.ts';

const READ: readonly Effect[] = Object.freeze(['read']);
const EXEC: readonly Effect[] = Object.freeze(['exec']);
const READING: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'response',
  'tools/list',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'completion/complete',
  'logging/setLevel',
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/roots/list_changed',
]);

const bare = (method: string): string => method.replaceAll(/[^A-Za-z]/g, '').toLowerCase();
/** What a lenient server could take for a known method. */
const SPELLINGS: ReadonlyMap<string, string> = new Map(
  [...READING, 'tools/call'].map((method) => [bare(method), method]),
);

export interface Asked {
  readonly message: RpcMessage;
  readonly http: HttpFacts;
  /** The tool's description is not the one that was shown first. */
  readonly changed: boolean;
}

/** @throws GatewayError `mcp.malformed` for a call that names no tool, other spellings, and arguments that cannot be read whole */
export function statementOf({ message, http, changed }: Asked, target: McpTarget): Statement {
  const { method, params } = message;
  if ((SPELLINGS.get(bare(method)) ?? method) !== method)
    throw new GatewayError('mcp.malformed', { reason: 'a method in another spelling' });
  const tool = method === 'tools/call' ? textOf(params, 'name') : '';
  const args = fieldsOf(argumentsOf(method, params));
  const isCompletion = method === 'completion/complete';
  const about = isCompletion ? refOf(params) : params;
  const isOfResource = (isCompletion || method.startsWith('resources/')) && about['uri'] !== undefined;
  const isOfPrompt = method === 'prompts/get' || (isCompletion && !isOfResource);
  if (args === undefined)
    throw new GatewayError('mcp.malformed', { reason: 'arguments deeper or longer than are read' });
  return {
    protocol: 'mcp',
    digest: createHash('sha256').update(`mcp\0${message.meaning}`).digest('hex'),
    text: textFor(message, tool),
    parameters: [],
    effects: method === 'tools/call' ? effectsOf(tool, target) : READING.has(method) ? READ : EXEC,
    understood: true,
    facts: {
      http,
      mcp: {
        method,
        tool,
        resourceUri: isOfResource ? requireOneMeaning(textOf(about, 'uri')) : '',
        prompt: isOfPrompt ? textOf(about, 'name') : '',
        arguments: args,
        changed,
      },
    },
    inTransaction: false,
    wroteInTransaction: false,
  };
}

/** Of a completion: what is being written, and what was before. What a server may read in another way is refused. */
function argumentsOf(method: string, params: JsonObject): unknown {
  if (method === 'response') return params['answer'];
  if (method !== 'completion/complete') return params['arguments'] ?? {};
  const { argument, context = {} } = params;
  const before = isObject(context) ? (context['arguments'] ?? {}) : undefined;
  if (!isObject(argument) || typeof argument['name'] !== 'string' || !isObject(before))
    throw new GatewayError('mcp.malformed', { reason: 'a completion of another form' });
  if (Object.hasOwn(before, argument['name']))
    throw new GatewayError('mcp.malformed', { reason: 'an argument that is there twice' });
  return { ...before, [argument['name']]: argument['value'] };
}

/** The prompt or the template that a completion is for: rules about these speak of it, too. */
function refOf({ ref }: JsonObject): JsonObject {
  if (isObject(ref) && ref['type'] === 'ref/prompt' && ref['uri'] === undefined) return ref;
  if (isObject(ref) && ref['type'] === 'ref/resource' && typeof ref['uri'] === 'string') return ref;
  throw new GatewayError('mcp.malformed', { reason: 'a completion of nothing' });
}

/** Opening and closing of a session's streams. */
export function streamStatement(http: HttpFacts): Statement {
  const method = http.method === 'DELETE' ? 'session/delete' : 'session/listen';
  return {
    protocol: 'mcp',
    digest: createHash('sha256').update(`mcp\0${method}`).digest('hex'),
    text: method,
    parameters: [],
    effects: READ,
    understood: true,
    facts: { http, mcp: { method, tool: '', resourceUri: '', prompt: '', arguments: [], changed: false } },
    inTransaction: false,
    wroteInTransaction: false,
  };
}

/** The first pattern that fits counts. */
export function effectsOf(tool: string, { tools = [] }: McpTarget): readonly Effect[] {
  return tools.find(({ name }) => fits(name, tool))?.effects ?? EXEC;
}

/** `*` at the ends of a pattern stands for anything. */
function fits(pattern: string, name: string): boolean {
  if (pattern === '*') return true;
  const [open, close] = [pattern.startsWith('*'), pattern.endsWith('*')];
  const word = pattern.slice(open ? 1 : 0, close ? -1 : undefined);
  if (open && close) return name.includes(word);
  if (open) return name.endsWith(word);
  return close ? name.startsWith(word) : name === word;
}

function textOf(params: RpcMessage['params'], key: string): string {
  const value = params[key];
  if (typeof value !== 'string' || value === '')
    throw new GatewayError('mcp.malformed', { reason: `${key} is missing` });
  // Two names that look alike, or that one reader trims and another does not, are one name to a person and two to a rule.
  if (/\p{C}/u.test(value) || value !== value.trim() || value !== value.normalize('NFKC'))
    throw new GatewayError('mcp.malformed', {
      reason: `${key} has spaces around it, or characters that are not plain`,
    });
  return value;
}

/** As approvers read it. */
function textFor({ method, params }: RpcMessage, tool: string): string {
  const isPlain = method === 'tools/call' && Object.keys(params).every((key) => key === 'name' || key === 'arguments');
  const rest = isPlain ? (params['arguments'] ?? {}) : params;
  const head = tool === '' ? method : `${method} ${tool}`;
  const body = JSON.stringify(rest, undefined, 2);
  return body === '{}' ? head : `${head}\n${body}`;
}
