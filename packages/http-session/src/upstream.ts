/** The service behind a resource in the words of its requests. Refuses to know addresses: the relay dials. */
import type { Resource } from '@sallyport/model';

export interface Upstream {
  readonly secure: boolean;
  /** As `URL.origin`. */
  readonly origin: string;
  /** Host, and port where it is not the scheme's own. */
  readonly authority: string;
  /** Path before every target, without its closing slash; '' for the root. */
  readonly base: string;
}

const known = new WeakMap<Resource, Upstream>();

/** Read once for each resource: it is asked for at every connection. */
export function upstreamOf(resource: Resource): Upstream {
  const found = known.get(resource);
  if (found !== undefined) return found;
  const target = resource.http ?? resource.mcp ?? resource.kubernetes;
  const url = new URL(target?.url ?? 'https://invalid.invalid');
  const made: Upstream = {
    secure: url.protocol === 'https:',
    origin: url.origin,
    authority: url.host,
    base: url.pathname.replace(/\/$/, ''),
  };
  known.set(resource, made);
  return made;
}
