/**
 * One request to a resource behind the agent's HTTPS listener, for the tools that call APIs. Asks not to be kept waiting
 * (`Prefer: respond-async`): a held request is answered with a place to ask again.
 */
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../context.ts';
import { CliError } from '../exit-codes.ts';
import { agentTls, requireEndpoints } from '../proxy/agent-endpoint.ts';
import { accessTokensFor, reasonOf, type WayInOptions } from '../proxy/way-in.ts';
import type { Held } from './held-calls.ts';

export interface ApiRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | undefined;
}

export interface ApiAnswer {
  readonly status: number;
  readonly type: string;
  readonly location: string | undefined;
  readonly text: string;
  /** The body is longer than is kept. */
  readonly isCut: boolean;
}

const KEPT_BYTES = 1024 * 1024;
const POLL_MS = 1_500;

/** @param kinds types of resource that are meant @throws CliError, ApiError, GatewayError */
export async function openAgentHttp(
  context: Context,
  name: string,
  kinds: readonly string[],
  options: WayInOptions,
): Promise<(request: ApiRequest, held: (what: Held) => void, signal: AbortSignal) => Promise<ApiAnswer>> {
  await context.requireToken();
  const [resource, root] = await Promise.all([context.api.resources.get(name), context.api.rootCertificate()]);
  if (!kinds.includes(resource.type))
    throw new CliError(
      'usage',
      `${name} is of type ${resource.type}: this tool is for ${kinds.join(' and ')}.`,
      'list_resources says which tool goes with which.',
    );
  const endpoints = requireEndpoints(resource.name, resource.endpoints, resource.endpoints[0]?.protocol ?? 'http');
  const tokens = accessTokensFor(context, resource.name, options, reasonOf(options));
  const send = async (path: string, request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer> => {
    const token = await tokens.get();
    const [address] = endpoints;
    return await new Promise<ApiAnswer>((resolve, reject) => {
      const options: https.RequestOptions = {
        ...(agentTls(address!, root) as Pick<
          https.RequestOptions,
          'ca' | 'minVersion' | 'servername' | 'checkServerIdentity'
        >),
        host: address!.host,
        port: address!.port,
        method: request.method,
        path,
        signal,
        agent: false,
        headers: { ...request.headers, 'proxy-authorization': `Bearer ${token}`, prefer: 'respond-async' },
      };
      const asked = https.request(options, (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size <= KEPT_BYTES) chunks.push(chunk);
        });
        answer.on('error', reject);
        answer.on('end', () =>
          resolve({
            status: answer.statusCode ?? 0,
            type: answer.headers['content-type'] ?? '',
            location: answer.headers.location,
            text: Buffer.concat(chunks).toString('utf8'),
            isCut: size > KEPT_BYTES,
          }),
        );
      });
      asked.on('error', reject);
      asked.end(request.body);
    });
  };
  return async (request, held, signal) => {
    const path = request.path.startsWith('/') ? request.path : `/${request.path}`;
    let answer = await send(`/r/${resource.name}${path}`, request, signal);
    const place = answer.location;
    // The gateway's own alone: a service that answers 202 names a place of its own, and has done what it was asked.
    const approvalId = heldPlace(resource.name, place);
    if (answer.status !== 202 || place === undefined || approvalId === undefined) return answer;
    held(heldOf(answer.text, approvalId));
    while (answer.status === 202) {
      await sleep(POLL_MS, undefined, { signal });
      answer = await send(place, { method: 'GET', path: place }, signal);
      if (answer.location !== place) break;
    }
    return answer;
  };
}

function heldPlace(resource: string, place: string | undefined): string | undefined {
  const [, name, approvalId] = /^\/r\/([^/]+)\/\.sallyport\/held\/([A-Za-z0-9-]{1,64})$/.exec(place ?? '') ?? [];
  return name === resource ? approvalId : undefined;
}

function heldOf(text: string, approvalId: string): Held {
  try {
    const { title = '', sallyport: { rule = '' } = {} } = JSON.parse(text) as {
      readonly title?: string;
      readonly sallyport?: { readonly rule?: string };
    };
    // An older agent says less.
    return { approvalId, says: rule === '' ? '' : `${title} Rule: ${rule}.` };
  } catch {
    return { approvalId, says: '' };
  }
}
