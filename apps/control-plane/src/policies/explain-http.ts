/**
 * A request, a cluster's call or an MCP message as a person writes it to ask what would be decided: `POST /v1/payouts` with
 * headers and a body below, `delete namespaces/shop`, `tools/call run_query {"sql": "…"}`; so also as the trail shows them.
 * Reads with what agents read with. Refuses to ask the service: what hangs on its answer (a tool that changed) is not known.
 */
import { GatewayError } from '@sallyport/core';
import {
  asksForAnotherMethod,
  effectsAt,
  type Header,
  headerFacts,
  placeOf,
  queryFacts,
  readGraphqlQuery,
  readRequestBody,
  readTarget,
  requireAuthority,
  routeFacts,
} from '@sallyport/http';
import {
  fieldsOf,
  type HttpTarget,
  type McpTarget,
  objectFactsOf,
  type Resource,
  type StatementFacts,
} from '@sallyport/model';
import { type HttpReading, readHttpCase } from '@sallyport/policy';
import { readCommand } from '@sallyport/shell';
import { kubernetesCall } from './explain-kubernetes.ts';

const NOT_READ: HttpReading = { understood: false, effects: [], facts: {} };
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** @param resource of kind http, kubernetes or mcp */
export function readHttpStatement(text: string, resource: Pick<Resource, 'kind' | 'http' | 'mcp'>): HttpReading {
  try {
    if (resource.kind === 'kubernetes') return readCall(text);
    if (resource.kind === 'mcp') return readMessage(text, resource.mcp);
    return resource.http === undefined ? NOT_READ : readRequest(text, resource.http);
  } catch (error) {
    // What the agent's own reading refuses is refused there, whatever the rules say.
    if (error instanceof GatewayError) return NOT_READ;
    throw error;
  }
}

function readRequest(text: string, target: HttpTarget): HttpReading {
  const [head = '', ...lines] = text.replace(/^\s+/, '').split(/\r?\n/);
  const line = /^([A-Z]{1,20})\s+(\/\S*)(\s+HTTP\/[\d.]+)?\s*$/.exec(head);
  if (line === null) return NOT_READ;
  const method = line[1]!;
  const { path, query } = readTarget(line[2]!);
  const headers: Header[] = [];
  let at = 0;
  for (; at < lines.length; at++) {
    const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(lines[at]!);
    if (field === null) break;
    headers.push([field[1]!.toLowerCase(), field[2]!]);
  }
  const body = Buffer.from(
    lines
      .slice(lines[at] === '' ? at + 1 : at)
      .join('\n')
      .trimEnd(),
  );
  if (body.length > 0 && !headers.some(([name]) => name === 'content-type'))
    headers.push(['content-type', 'application/json']);
  const place = placeOf(target, method, path);
  const graphql = place.graphql !== 'no';
  const upgrade = headers.find(([name]) => name === 'upgrade')?.[1]?.toLowerCase() ?? '';
  const reading =
    body.length > 0
      ? readRequestBody(headers, body, { graphql, query })
      : graphql && SAFE.has(method) && query !== ''
        ? readGraphqlQuery(query)
        : undefined;
  const kind = reading?.facts.read === true ? reading.facts.graphqlKind : '';
  const isSafe = (isGraphql: boolean): boolean =>
    upgrade === '' && kind !== 'mutation' && (isGraphql && kind !== '' ? true : SAFE.has(method));
  const facts: StatementFacts = {
    http: {
      method,
      scheme: target.url.startsWith('http:') ? 'http' : 'https',
      host: requireAuthority(new URL(target.url).host),
      path,
      ...routeFacts(place),
      ...queryFacts(query),
      headers: headerFacts(headers),
      contentType:
        headers
          .find(([name]) => name === 'content-type')?.[1]
          .split(';', 1)[0]!
          .trim()
          .toLowerCase() ?? '',
      size: body.length,
      upgrade,
    },
    ...(reading === undefined ? {} : { body: reading.facts }),
  };
  // Agents refuse these unjudged.
  const refused = target.methods?.includes(method) === false || asksForAnotherMethod(headers);
  return refused
    ? NOT_READ
    : { understood: true, effects: effectsAt(place, (isGraphql) => [isSafe(isGraphql) ? 'read' : 'write']), facts };
}

function readCall(text: string): HttpReading {
  const call = kubernetesCall(text);
  if (call === undefined) return NOT_READ;
  const fields = call.object === undefined ? undefined : fieldsOf(call.object);
  const { replicas, images, privileged, hostPath, hostNetwork, serviceAccount } = objectFactsOf(fields ?? []);
  const of = {
    replicas,
    images: [...images],
    privileged,
    host_path: hostPath,
    host_network: hostNetwork,
    service_account: serviceAccount,
  };
  return readHttpCase({ k8s: { ...call, ...of } } as Parameters<typeof readHttpCase>[0], readCommand);
}

function readMessage(text: string, target: McpTarget | undefined): HttpReading {
  const match = /^\s*([a-z]+\/[a-z/_]+)(?:\s+(\S+))?\s*([\s\S]*)$/.exec(text);
  if (match === null) return NOT_READ;
  const [, method = '', name = '', rest = ''] = match;
  const given = rest.trim() === '' ? undefined : parsed(rest);
  if (given === null) return NOT_READ;
  const word =
    method === 'tools/call' ? { tool: name } : method === 'prompts/get' ? { prompt: name } : { resource_uri: name };
  const reading = readHttpCase({ mcp: { method, ...word, arguments: given } } as Parameters<typeof readHttpCase>[0]);
  const effects = method === 'tools/call' ? target?.tools?.find((tool) => fits(tool.name, name))?.effects : undefined;
  return effects === undefined ? reading : { ...reading, effects };
}

/** `*` at its ends stands for anything. */
function fits(pattern: string, name: string): boolean {
  const core = pattern.replace(/^\*|\*$/g, '');
  if (pattern === '*') return true;
  const [open, close] = [pattern.startsWith('*'), pattern.endsWith('*')];
  if (open && close) return name.includes(core);
  return open ? name.endsWith(core) : close ? name.startsWith(core) : name === pattern;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // The caller says that it is not understood.
    return null;
  }
}
