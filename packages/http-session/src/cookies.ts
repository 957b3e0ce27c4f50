/**
 * Cookies that a service sets, bound to the way in: resources share a host's name, and a client's jar knows hosts and paths alone,
 * so that one service's cookie would go to all others. Refuses to know what is in them, and to pass one that no request could
 * carry. RFC 6265 sections 5.1.4, 5.2 and 5.3.
 */
import type { Header, RequestHead } from '@sallyport/http';
import type { Upstream } from './upstream.ts';

/** @param asked as it came in, prefix and all; @param prefix `/r/<resource>` or '' */
export function boundCookies(
  headers: readonly Header[],
  { authority, base }: Upstream,
  asked: Pick<RequestHead, 'authority' | 'target'>,
  prefix: string,
): readonly Header[] {
  if (!headers.some(([name]) => name === 'set-cookie')) return headers;
  // By the forward proxy the client speaks to the service under its own name.
  if (prefix === base && asked.authority === authority) return headers;
  return headers.flatMap(([name, value]): readonly Header[] => {
    if (name !== 'set-cookie') return [[name, value]];
    const bound = boundCookie(value, base, asked.target, prefix);
    return bound === undefined ? [] : [[name, bound]];
  });
}

/** Without a Domain, which could be a name above several ways in; of several Paths the last one counts. */
function boundCookie(cookie: string, base: string, target: string, prefix: string): string | undefined {
  const [pair = '', ...attributes] = cookie.split(';');
  let path = '';
  const kept = attributes.filter((attribute) => {
    const [name = '', value = ''] = attribute.split(/=(.*)/s);
    const word = name.trim().toLowerCase();
    if (word === 'path') path = value.trim();
    return word !== 'path' && word !== 'domain';
  });
  const shown = path.startsWith('/') ? pathBehind(path, base, prefix) : defaultPath(target, prefix);
  return shown === undefined ? undefined : `${[pair, ...kept].join(';')}; Path=${shown === '' ? '/' : shown}`;
}

/** Undefined for one beside what can be asked for. */
function pathBehind(path: string, base: string, prefix: string): string | undefined {
  if (path === base || path.startsWith(`${base}/`)) {
    const rest = path.slice(base.length);
    // `/r/a/` would leave `/r/a` out.
    return rest === '/' ? prefix : prefix + rest;
  }
  const reaches = base.startsWith(path.endsWith('/') ? path : `${path}/`);
  return reaches ? prefix : undefined;
}

/** What the client would take: up to the last slash. Of `/r/a` that would be all resources'. */
function defaultPath(target: string, prefix: string): string {
  // A semicolon would end the attribute.
  const path = target.split(/[?;]/, 1)[0] ?? '';
  const folder = path.slice(0, path.lastIndexOf('/'));
  return folder.length < prefix.length ? prefix : folder;
}
