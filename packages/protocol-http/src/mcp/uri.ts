/**
 * The URI of an MCP server's resource, as everybody reads it: a rule about `file:///etc/` must not be passed by `file:///x/../etc/`.
 * Refuses spellings that have a plainer one; to repair them would be to guess what the server makes of them. RFC 3986 section 6.2.
 */
import { GatewayError } from '@sallyport/core';

const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):/;
/** Escapes of what needs none, of what ends a segment or begins an escape, of controls, and those in lower case. */
const NEEDLESS = /%(?:[46][1-9A-F]|[57][0-9A]|3[0-9]|2[DEF5]|5[CF]|7[EF]|[01]|[^0-9A-F]|.[^0-9A-F]|.?$)/;
const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: ':80', https: ':443' };

/** @returns the same @throws GatewayError `mcp.malformed` */
export function requireOneMeaning(uri: string): string {
  const refuse = (reason: string): never => {
    throw new GatewayError('mcp.malformed', { reason: `uri: ${reason}` });
  };
  if (uri.includes('\\')) refuse('a backslash');
  if (NEEDLESS.test(uri)) refuse('an escape that has a plainer form');
  const scheme = SCHEME.exec(uri)?.[1] ?? '';
  if (scheme !== scheme.toLowerCase()) refuse('a scheme in capitals');
  const behind = scheme === '' ? uri : uri.slice(scheme.length + 1);
  const hasAuthority = behind.startsWith('//');
  const rest = hasAuthority ? behind.slice(2) : behind;
  const end = hasAuthority ? (/[/?#]/.exec(rest)?.index ?? rest.length) : 0;
  const authority = rest.slice(0, end);
  if (scheme === 'file' && (!hasAuthority || authority !== '')) refuse('a file is written file:///…');
  const port = DEFAULT_PORTS[scheme];
  if (port !== undefined) {
    if (!hasAuthority || authority === '') refuse('no host');
    if (authority !== authority.toLowerCase() || authority.includes('@') || authority.endsWith(port))
      refuse('a host that has a plainer form');
    if (/\.(?::\d*)?$|:$/.test(authority)) refuse('a host that has a plainer form');
  }
  const path = rest.slice(end).split(/[?#]/, 1)[0] ?? '';
  const segments = path.split('/');
  // The last may be empty: it ends with its slash.
  if (segments.slice(1, -1).includes('')) refuse('an empty segment');
  if (segments.some((segment) => /^\.{1,2}(?:;|$)/.test(segment))) refuse('a dot segment');
  return uri;
}
