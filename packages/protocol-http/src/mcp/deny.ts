/**
 * A refusal as an MCP client reads it: of a tool's call a result that says it failed and why, so that the model reads it; of
 * everything else a JSON-RPC error. Where no message is known it is an HTTP answer with a JSON-RPC error in it.
 */
import type { Header } from '@sallyport/http';
import { type DeniedAnswer, type HttpRefusal, machineBlock } from '@sallyport/http-session';
import type { RpcMessage } from './message.ts';

/** Servers' own codes are from -32000 to -32099 (JSON-RPC 2.0 section 5.1). */
const REFUSED = -32_001;
const HEADERS: readonly Header[] = [
  ['content-type', 'application/json'],
  ['cache-control', 'no-store'],
];
const CHALLENGE: Header = ['www-authenticate', 'Bearer realm="sallyport"'];

export function denyMessage(refusal: HttpRefusal, message: RpcMessage | undefined): DeniedAnswer {
  const data = machineBlock(refusal);
  // A client that is told 404 opens another session by itself.
  const isSession = refusal.code === 'mcp.session_unknown';
  if (message?.id === undefined || message.kind === 'response' || isSession) {
    const body = { jsonrpc: '2.0', id: null, error: { code: REFUSED, message: `Sallyport: ${refusal.message}`, data } };
    const headers = refusal.status === 401 ? [...HEADERS, CHALLENGE] : HEADERS;
    return { status: refusal.status, headers, body: json(body) };
  }
  const { id } = message;
  if (message.method !== 'tools/call')
    return {
      status: 200,
      headers: HEADERS,
      body: json({ jsonrpc: '2.0', id, error: { code: REFUSED, message: `Sallyport: ${refusal.message}`, data } }),
    };
  const result = { content: [{ type: 'text', text: textFor(refusal) }], isError: true, _meta: { sallyport: data } };
  return { status: 200, headers: HEADERS, body: json({ jsonrpc: '2.0', id, result }) };
}

const WAITS: ReadonlySet<string> = new Set(['approval.required']);

function textFor({ code, message, rule, requestId, retry }: HttpRefusal): string {
  const lines = [`Sallyport: ${message}`];
  if (WAITS.has(code))
    lines.push(
      `A person has to approve this call. Approval request: ${requestId}. Once it is approved, call the same tool with the same arguments again: it passes once.`,
    );
  else lines.push(`Request: ${requestId}. Try again: ${retry}.`);
  if (rule !== '') lines.push(`Rule: ${rule}.`);
  return lines.join('\n');
}

const json = (value: object): Buffer => Buffer.from(`${JSON.stringify(value)}\n`);
