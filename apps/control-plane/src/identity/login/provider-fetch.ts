/**
 * The one way to an identity provider's endpoints: https (plain http on loopback alone), no redirects, a time and a size
 * limit, and nothing beyond the reach of whoever set the provider up, whatever a name resolves to. Refuses to follow what an
 * answer points to: a discovery document or a redirect must not lead into our own network.
 */
import http from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { addressKind, GatewayError } from '@sallyport/core';
import { guardedLookup, isAllowedAddress, type Reach } from '../machines/guarded-fetch.ts';

const TIMEOUT_MS = 5_000;
const ANSWER_BYTES_MAX = 1024 * 1024;
const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost']);
/** As Node's own agents. */
const KEPT = { keepAlive: true, scheduling: 'lifo', timeout: 5_000 } as const;

export const isLoopback = (url: URL): boolean => LOOPBACK.has(url.hostname);
const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '');

/** Asks providers within one reach. Its connections are its own: one that was opened under another reach serves nobody here. */
export class ProviderHttp {
  readonly #reach: Reach;
  readonly #agents: { readonly http: http.Agent; readonly https: https.Agent };
  constructor(reach: Reach) {
    this.#reach = reach;
    const kept = { ...KEPT, lookup: guardedLookup(reach.loopback, reach.networks) };
    this.#agents = { http: new http.Agent(kept), https: new https.Agent(kept) };
  }

  /** @param said see `requireUrl` @returns why nothing is asked there, or undefined. What a name resolves to shows at the connection. */
  whyNot(text: string, said?: URL): string | undefined {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || url.username !== '' || url.password !== '') return 'a URL without user is expected';
    const { loopback, networks } = this.#reach;
    const isPlain = url.protocol === 'http:' && loopback && isLoopback(url);
    if (url.protocol !== 'https:' && !isPlain)
      return loopback ? 'https is expected (http on loopback alone)' : 'https is expected';
    const host = hostOf(url);
    if (isIP(host) !== 0 && !isAllowedAddress(host, loopback, networks)) return 'this address is not asked';
    const isHere = isLoopback(url) || addressKind(host) === 'loopback';
    return said !== undefined && isHere && !isLoopback(said) ? 'a provider that is elsewhere leads here' : undefined;
  }

  /**
   * @param said by whom: what a provider that is elsewhere says of its endpoints never leads to this host
   * @returns the same URL @throws GatewayError `auth.provider_unavailable` for one that is not asked
   */
  requireUrl(text: string, said?: URL): URL {
    const reason = this.whyNot(text, said);
    if (reason !== undefined) throw new GatewayError('auth.provider_unavailable', { reason });
    return new URL(text);
  }

  /**
   * Like the global one, for the libraries that take one. The answer is read whole, up to its limit. By Node's own client and
   * its kept connections: `fetch` was a quarter of the CPU of a sign-in.
   */
  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const target = this.requireUrl(url);
    const agent = target.protocol === 'https:' ? this.#agents.https : this.#agents.http;
    const { body, method = 'GET' } = init;
    const headers = new Headers(init.headers ?? {});
    // Nothing here decodes.
    headers.set('accept-encoding', 'identity');
    const text = bodyOf(body);
    if (body instanceof URLSearchParams && !headers.has('content-type'))
      headers.set('content-type', 'application/x-www-form-urlencoded;charset=UTF-8');
    if (text !== undefined) headers.set('content-length', String(text.length));
    const options = { method, headers: Object.fromEntries(headers), signal: init.signal ?? undefined, agent };
    const answer = await exchange(target, options, text);
    const { status } = answer;
    if (status >= 300 && status < 400 && status !== 304)
      throw new GatewayError('auth.provider_unavailable', { reason: 'a redirect', status });
    if (answer.headers.has('content-encoding') && answer.headers.get('content-encoding') !== 'identity')
      throw new GatewayError('auth.provider_unavailable', { reason: 'an encoding that was not asked for' });
    const isBodyless = status === 204 || status === 205 || status === 304;
    return new Response(isBodyless ? null : answer.body, { status, headers: answer.headers });
  };
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
}

function bodyOf(body: RequestInit['body']): Buffer | undefined {
  if (body === undefined || body === null) return undefined;
  if (typeof body === 'string' || body instanceof URLSearchParams) return Buffer.from(String(body));
  throw new TypeError('a text or a form is expected as the body');
}

function exchange(
  url: URL,
  options: {
    readonly method: string;
    readonly headers: Record<string, string>;
    readonly signal?: AbortSignal | undefined;
    readonly agent: http.Agent;
  },
  body: Buffer | undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? https.request : http.request;
    const request = send(url, options);
    const deadline = setTimeout(() => request.destroy(new Error(`no whole answer in ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
    request.once('close', () => clearTimeout(deadline));
    request.once('error', (error: NodeJS.ErrnoException) => {
      // A kept connection may be closed there as we write. What only reads is asked again; a code counts once.
      const isStale = request.reusedSocket && error.code === 'ECONNRESET' && options.method === 'GET';
      if (isStale) exchange(url, options, body).then(resolve, reject);
      else reject(error);
    });
    request.once('response', (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        size += part.length;
        parts.push(part);
        if (size > ANSWER_BYTES_MAX)
          response.destroy(new GatewayError('auth.provider_unavailable', { reason: 'too large an answer' }));
      });
      response.once('error', reject);
      response.once('end', () => {
        const headers = new Headers();
        for (let i = 0; i < response.rawHeaders.length; i += 2)
          headers.append(response.rawHeaders[i]!, response.rawHeaders[i + 1]!);
        resolve({ status: response.statusCode ?? 0, headers, body: Uint8Array.from(Buffer.concat(parts)) });
      });
    });
    request.end(body);
  });
}
