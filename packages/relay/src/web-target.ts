/**
 * Where a resource of the HTTP kinds is: its URL in the words that dialling and TLS need. Refuses to judge addresses.
 * Read once for each resource: it is asked for at every connection.
 */
import type { Resource } from '@sallyport/model';

export interface WebTarget {
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  readonly tls: 'verify-full' | 'require' | 'disable';
  readonly ca: string | undefined;
  readonly serverName: string | undefined;
  /** Loopback addresses may be dialled. */
  readonly loopback: boolean;
}

const known = new WeakMap<Resource, WebTarget>();

/** Undefined for a resource of another kind. */
export function webTarget(resource: Resource): WebTarget | undefined {
  const found = known.get(resource);
  if (found !== undefined) return found;
  const target = resource.http ?? resource.mcp ?? resource.kubernetes;
  if (target === undefined) return undefined;
  const url = new URL(target.url);
  const secure = url.protocol === 'https:';
  const made: WebTarget = {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port === '' ? (secure ? 443 : 80) : url.port),
    secure,
    tls: secure ? (target.tls ?? 'verify-full') : 'disable',
    ca: target.ca,
    serverName: target.serverName,
    loopback: target.private === true,
  };
  known.set(resource, made);
  return made;
}
