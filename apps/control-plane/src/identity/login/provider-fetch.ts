/**
 * The one way to an identity provider's endpoints: https (plain http on loopback alone), no redirects, a time and a size
 * limit. Refuses to follow what an answer points to: a discovery document or a redirect must not lead into our own network.
 */
import { GatewayError } from '@sallyport/core';

const TIMEOUT_MS = 5_000;
const ANSWER_BYTES_MAX = 1024 * 1024;
const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost']);

export const isLoopback = (url: URL): boolean => LOOPBACK.has(url.hostname);

/** @returns the same URL @throws GatewayError `auth.provider_unavailable` for a scheme or host that is not allowed */
export function requireProviderUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const fits = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url));
  if (url === undefined || !fits || url.username !== '' || url.password !== '')
    throw new GatewayError('auth.provider_unavailable', { reason: 'https is expected (http on loopback alone)' });
  return url;
}

/** Like `fetch`, for the libraries that take one. The answer is read whole, up to its limit. */
export async function providerFetch(url: string, init: RequestInit): Promise<Response> {
  const target = requireProviderUrl(url);
  const response = await fetch(target, {
    ...init,
    redirect: 'manual',
    signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(init.signal ? [init.signal] : [])]),
  });
  if (response.status >= 300 && response.status < 400 && response.status !== 304)
    throw new GatewayError('auth.provider_unavailable', { reason: 'a redirect', status: response.status });
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += (part as Uint8Array).length;
    if (size > ANSWER_BYTES_MAX) throw new GatewayError('auth.provider_unavailable', { reason: 'too large an answer' });
    parts.push(part as Uint8Array);
  }
  const isBodyless = response.status === 204 || response.status === 205 || response.status === 304;
  const headers = new Headers(response.headers);
  // The body was decoded on the way.
  headers.delete('content-encoding');
  headers.delete('content-length');
  return new Response(isBodyless ? null : Buffer.concat(parts), { status: response.status, headers });
}
