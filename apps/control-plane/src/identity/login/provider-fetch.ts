/**
 * The one way to an identity provider's endpoints: https (plain http on loopback alone), no redirects, a time and a size
 * limit. Refuses to follow what an answer points to: a discovery document or a redirect must not lead into our own network.
 */
import http from 'node:http';
import https from 'node:https';
import { addressKind, GatewayError } from '@sallyport/core';

const TIMEOUT_MS = 5_000;
const ANSWER_BYTES_MAX = 1024 * 1024;
const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost']);

export const isLoopback = (url: URL): boolean => LOOPBACK.has(url.hostname);

/**
 * @param said by whom: what a provider that is elsewhere says of its endpoints never leads to this host
 * @returns the same URL @throws GatewayError `auth.provider_unavailable` for a scheme or host that is not allowed
 */
export function requireProviderUrl(text: string, said?: URL): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const kind = addressKind(url?.hostname.replace(/^\[|\]$/g, '') ?? '');
  const isHere = url !== undefined && (isLoopback(url) || kind === 'loopback');
  const fits =
    kind !== 'metadata' &&
    (url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url))) &&
    (said === undefined || isLoopback(said) || !isHere);
  if (url === undefined || !fits || url.username !== '' || url.password !== '')
    throw new GatewayError('auth.provider_unavailable', { reason: 'https is expected (http on loopback alone)' });
  return url;
}

/**
 * Like `fetch`, for the libraries that take one. The answer is read whole, up to its limit. By Node's own client and its kept
 * connections: `fetch` was a quarter of the CPU of a sign-in.
 */
export async function providerFetch(url: string, init: RequestInit): Promise<Response> {
  const target = requireProviderUrl(url);
  const { body, method = 'GET' } = init;
  const headers = new Headers(init.headers ?? {});
  // Nothing here decodes.
  headers.set('accept-encoding', 'identity');
  const text = bodyOf(body);
  if (body instanceof URLSearchParams && !headers.has('content-type'))
    headers.set('content-type', 'application/x-www-form-urlencoded;charset=UTF-8');
  if (text !== undefined) headers.set('content-length', String(text.length));
  const options = { method, headers: Object.fromEntries(headers), signal: init.signal ?? undefined };
  const answer = await exchange(target, options, text);
  const { status } = answer;
  if (status >= 300 && status < 400 && status !== 304)
    throw new GatewayError('auth.provider_unavailable', { reason: 'a redirect', status });
  if (answer.headers.has('content-encoding') && answer.headers.get('content-encoding') !== 'identity')
    throw new GatewayError('auth.provider_unavailable', { reason: 'an encoding that was not asked for' });
  const isBodyless = status === 204 || status === 205 || status === 304;
  return new Response(isBodyless ? null : answer.body, { status, headers: answer.headers });
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
