/**
 * Which hosts an agent may end TLS for when programs reach them by its forward proxy: the names that resources register, and
 * no others. The control plane constrains the agent's issuer to them, and the agent asks again when they change.
 * Refuses wildcards and names that no certificate can carry.
 */
/** What is read of a target; kinds that are reached in another way have none. */
interface ProxiedTarget {
  readonly url: string;
  /** `host` or `host:port` by which the forward proxy knows the resource; the URL's own when absent. */
  readonly hosts?: readonly string[] | undefined;
}

export interface ProxiedResource {
  readonly name: string;
  readonly http?: ProxiedTarget | undefined;
  readonly mcp?: ProxiedTarget | undefined;
}

const LABELS = /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const V4 = /^(?:\d{1,3}\.){3}\d{1,3}$/;

/** Lower case, without the dot of the root and without the brackets of an IPv6 address; undefined for what is no host. */
export function canonicalHost(text: string): string | undefined {
  const host = text.toLowerCase().replace(/\.$/, '');
  const address = /^\[([0-9a-f:.]+)\]$/.exec(host)?.[1] ?? (host.includes(':') ? host : undefined);
  if (address !== undefined) {
    const url = `http://[${address}]/`;
    return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : undefined;
  }
  if (V4.test(host))
    return host.split('.').every((part) => String(Number(part)) === part && Number(part) < 256) ? host : undefined;
  // What an URL reads as an IPv4 address in another spelling (`127.1`, `0x7f000001`) is no name either.
  if (host.length > 253 || !LABELS.test(host) || /(^|\.)(\d+|0x[0-9a-f]*)$/.test(host)) return undefined;
  return host;
}

interface Authority {
  /** Canonical. */
  readonly host: string;
  /** Undefined = none is named. */
  readonly port: number | undefined;
}

/** `host` or `host:port`, an IPv6 address before a port in brackets; undefined for what is neither. */
export function readAuthority(text: string): Authority | undefined {
  const whole = canonicalHost(text);
  if (whole !== undefined) return { host: whole, port: undefined };
  const [, name = '', digits = ''] = /^([^:]+|\[[^\]]+\]):(\d{1,5})$/.exec(text) ?? [];
  const host = canonicalHost(name);
  const port = Number(digits);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

export function authorityText({ host, port }: Authority): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return port === undefined ? name : `${name}:${port}`;
}

export const isAddress = (host: string): boolean => host.includes(':') || V4.test(host);

/** Hosts by which the forward proxy knows a resource, canonical, `host` or `host:port`; empty where it is not reached that way. */
export function proxyHosts(resource: ProxiedResource): readonly string[] {
  return authoritiesOf(resource).map(authorityText);
}

/** True when the forward proxy takes `host:port` for this resource. @param host canonical */
export function isProxiedAt(resource: ProxiedResource, host: string, port: number): boolean {
  const target = targetOf(resource);
  if (target === undefined) return false;
  const own = portOf(target.url);
  const ports = (named: number | undefined): readonly (number | undefined)[] =>
    named === undefined ? (target.hosts === undefined ? [own] : [own, 443, 80]) : [named];
  return authoritiesOf(resource).some((one) => one.host === host && ports(one.port).includes(port));
}

/** Sorted, each once: what an issuer is constrained to. Hosts of plain HTTP alone are not among them. */
export function interceptedHosts(resources: readonly ProxiedResource[]): readonly string[] {
  const ends = resources.filter((resource) => {
    const target = targetOf(resource);
    return target !== undefined && (target.hosts !== undefined || target.url.startsWith('https:'));
  });
  return [...new Set(ends.flatMap((resource) => authoritiesOf(resource).map(({ host }) => host)))].sort();
}

const targetOf = ({ http, mcp }: ProxiedResource): ProxiedTarget | undefined => http ?? mcp;

function authoritiesOf(resource: ProxiedResource): readonly Authority[] {
  const target = targetOf(resource);
  if (target === undefined) return [];
  return (target.hosts ?? [authorityOf(target.url)]).flatMap((text) => {
    const authority = readAuthority(text);
    return authority === undefined ? [] : [authority];
  });
}

const authorityOf = (url: string): string => (URL.canParse(url) ? `${new URL(url).hostname}:${portOf(url)}` : '');

function portOf(url: string): number {
  const { port, protocol } = new URL(url);
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}
