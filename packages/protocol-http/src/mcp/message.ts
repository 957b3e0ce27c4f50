/**
 * One JSON-RPC 2.0 message of a client, read once: what is judged is what is sent on, written anew from this reading.
 * Refuses batches, keys in another spelling, and what is no message: a server may take those for something else.
 * MCP 2025-06-18, "Base protocol" and "Transports"; RFC 8259.
 */
import { GatewayError } from '@sallyport/core';

export type JsonObject = Readonly<Record<string, unknown>>;

export interface RpcMessage {
  readonly kind: 'request' | 'notification' | 'response';
  /** As JSON; undefined of a notification. */
  readonly id: string | number | undefined;
  /** Of a response: `response`. */
  readonly method: string;
  readonly params: JsonObject;
  /** As it goes to the server. */
  readonly bytes: Uint8Array;
  /** What the message asks for, whatever its id and who waits for it: an approval is bound to this. */
  readonly meaning: string;
}

const malformed = (reason: string): GatewayError => new GatewayError('mcp.malformed', { reason });
const METHOD = /^[A-Za-z0-9_$./-]{1,128}$/;
const ENVELOPE = ['jsonrpc', 'id', 'method', 'params', 'result', 'error'] as const;
/** Words of params that say what is asked for. */
const PARAMS = ['name', 'arguments', 'uri', 'cursor', 'ref', 'argument', 'context', '_meta'] as const;
/** … and of what a completion is asked for. */
const REF = ['type', 'name', 'uri'] as const;
const ARGUMENT = ['name', 'value'] as const;
const CONTEXT = ['arguments'] as const;

/**
 * @param bytes a whole body
 * @throws GatewayError `mcp.malformed`
 */
export function readMessage(bytes: Uint8Array): RpcMessage {
  const text = utf8(bytes);
  const read = parse(text);
  if (Array.isArray(read)) throw malformed('a batch: send one message at a time');
  if (!isObject(read)) throw malformed('no JSON-RPC message');
  requireSpelling(read, ENVELOPE);
  if (read['jsonrpc'] !== '2.0') throw malformed('jsonrpc is not "2.0"');
  const { id, method, params } = read;
  if (id !== undefined && typeof id !== 'string' && typeof id !== 'number')
    throw malformed('id is neither text nor number');
  if (typeof id === 'number' && !Number.isSafeInteger(id)) throw malformed('id is no whole number');
  if (method === undefined) return response(read, id);
  if (typeof method !== 'string' || !METHOD.test(method)) throw malformed('method is no name');
  if (params !== undefined && !isObject(params)) throw malformed('params is no object');
  const given = params ?? {};
  requireSpelling(given, PARAMS);
  if (isObject(given['ref'])) requireSpelling(given['ref'], REF);
  if (isObject(given['argument'])) requireSpelling(given['argument'], ARGUMENT);
  if (isObject(given['context'])) requireSpelling(given['context'], CONTEXT);
  // Some servers read a text that is JSON: nothing in it would be judged.
  if (given['arguments'] != null && !isObject(given['arguments'])) throw malformed('arguments is no object');
  const sent = { ...given };
  delete sent['_meta'];
  const progress = isObject(given['_meta']) ? given['_meta']['progressToken'] : undefined;
  const carriesProgress = typeof progress === 'string' || typeof progress === 'number';
  const onward = carriesProgress ? { ...sent, _meta: { progressToken: progress } } : sent;
  const message = {
    jsonrpc: '2.0',
    ...(id === undefined ? {} : { id }),
    method,
    ...(params === undefined ? {} : { params: onward }),
  };
  return {
    kind: id === undefined ? 'notification' : 'request',
    id,
    method,
    params: plain(sent) as JsonObject,
    bytes: Buffer.from(JSON.stringify(message)),
    meaning: JSON.stringify([method, sent]),
  };
}

/** An answer to something the server asked. */
function response(read: JsonObject, id: string | number | undefined): RpcMessage {
  const { result, error } = read;
  if (id === undefined || (result === undefined) === (error === undefined))
    throw malformed('neither a request nor an answer');
  const message = { jsonrpc: '2.0', id, ...(result === undefined ? { error } : { result }) };
  const text = JSON.stringify(message);
  return {
    kind: 'response',
    id,
    method: 'response',
    params: { answer: plain(result ?? error) },
    bytes: Buffer.from(text),
    meaning: text,
  };
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON_RAW.isRawJSON(value);

/** JSON.parse source text access (ECMA-262, 2026), which the types of this version do not know. */
interface RawJson {
  rawJSON(text: string): unknown;
  isRawJSON(value: unknown): boolean;
}
const JSON_RAW = JSON as unknown as RawJson;

/**
 * Numbers that JavaScript would write in another way stay as they are written. Of two equal keys the last one counts, for
 * whoever reads it next too.
 * @throws SyntaxError
 */
export const parseExactly = (text: string): unknown =>
  JSON.parse(text, ((_key: string, value: unknown, context: { readonly source?: string }) =>
    typeof value === 'number' && context.source !== undefined && String(value) !== context.source
      ? JSON_RAW.rawJSON(context.source)
      : value) as (key: string, value: unknown) => unknown);

function parse(text: string): unknown {
  try {
    return parseExactly(text);
  } catch (cause) {
    throw new GatewayError('mcp.malformed', { reason: 'no JSON' }, { cause });
  }
}

/** Without raw numbers, for facts. */
const plain = (value: unknown): unknown =>
  value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown);

/** Some readers take `Method` for `method`. */
function requireSpelling(value: JsonObject, words: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (words.includes(key)) continue;
    const folded = key.normalize('NFKC').toLowerCase();
    if (words.includes(folded)) throw malformed(`a key in another spelling: ${folded}`);
  }
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new GatewayError('mcp.malformed', { reason: 'no UTF-8' }, { cause });
  }
}
