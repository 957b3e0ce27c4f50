/**
 * Where an answer points to, as its client can go there: what names the service itself names the way in instead.
 * Refuses to follow anything, and to change what points elsewhere: a client that goes there goes without our credential.
 */
import { type Header, type RequestHead } from '@sallyport/http';
import { boundCookies } from './cookies.ts';
import { isHeldPath } from './held.ts';
import type { Upstream } from './upstream.ts';
import type { WayIn } from './way-in.ts';

/** Places and cookies in an answer as its client can use them. */
export function atWayIn(
  headers: readonly Header[],
  upstream: Upstream,
  asked: RequestHead,
  way: WayIn | undefined,
): readonly Header[] {
  const prefix = way?.prefix ?? '';
  return rewriteLocation(boundCookies(headers, upstream, asked, prefix), upstream, asked, prefix);
}

function rewriteLocation(
  headers: readonly Header[],
  upstream: Upstream,
  asked: RequestHead,
  prefix: string,
): readonly Header[] {
  if (!headers.some(pointsSomewhere)) return headers;
  return headers.flatMap((header): readonly Header[] => {
    if (!pointsSomewhere(header)) return [header];
    const [name, value] = header;
    const shown = rewritten(value, upstream, asked, prefix);
    return shown === undefined ? [] : [[name, shown]];
  });
}

// By its index: taken apart as a list, each field would make an iterator.
const pointsSomewhere = ({ 0: name }: Header): boolean => name === 'location' || name === 'content-location';

/** @returns undefined for a place among the gateway's own: no service has a held request there */
function rewritten(value: string, { origin, base }: Upstream, asked: RequestHead, prefix: string): string | undefined {
  const url = URL.parse(value, `${origin}/`);
  if (url === null || url.origin !== origin) return value;
  const absolute = /^[a-z][a-z0-9+.-]*:|^\/\//i.test(value);
  // Relative to the request: it stays below the way in by itself.
  if (!absolute && !value.startsWith('/')) return value;
  const inside = base === '' || url.pathname === base || url.pathname.startsWith(`${base}/`);
  if (!inside) return value;
  if (isHeldPath(url.pathname.slice(base.length))) return undefined;
  const path = `${prefix}${url.pathname.slice(base.length)}${url.search}${url.hash}`;
  return absolute ? `${asked.scheme}://${asked.authority}${path}` : path;
}

const PARAMETER = /([?&])([^=&#>\s"]+)=[^&#>\s"]*/g;

/** Addresses in a header without what the parameter says in them: whoever follows one through us gets it put in again. */
export function withoutParameter(value: string, parameter: string): string {
  return value.replaceAll(PARAMETER, (whole: string, sign: string, name: string) =>
    plainName(name) === parameter ? `${sign}${name}=` : whole,
  );
}

function plainName(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    // Nobody reads another name out of it.
    return name;
  }
}
