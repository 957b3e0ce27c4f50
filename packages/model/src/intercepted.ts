/**
 * Which hosts an agent may end TLS for when programs reach them by its forward proxy: the names that resources register, and
 * no others. The control plane constrains the agent's issuer to them, and the agent asks again when they change.
 * Refuses wildcards and names that no certificate can carry.
 */
import { ParseError } from '@sallyport/core';

/** What is read of a target; kinds that are reached in another way have none. */
interface ProxiedTarget {
  readonly url: string;
  /** Names by which the forward proxy knows the resource; the URL's own when absent. */
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

export const isAddress = (host: string): boolean => host.includes(':') || V4.test(host);

/** Hosts by which the forward proxy knows a resource, canonical; empty where it is not reached that way. */
export function proxyHosts({ http, mcp }: ProxiedResource): readonly string[] {
  const target = http ?? mcp;
  if (target === undefined) return [];
  const hosts = target.hosts ?? [hostOf(target.url)];
  return hosts.flatMap((host) => canonicalHost(host) ?? []);
}

/** Ports at which the proxy takes a resource for meant: its URL's own, and those of the schemes for names of its own. */
export function proxyPorts({ http, mcp }: ProxiedResource): readonly number[] {
  const target = http ?? mcp;
  if (target === undefined) return [];
  const { port, protocol } = new URL(target.url);
  const own = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
  return target.hosts === undefined ? [own] : [...new Set([own, 443, 80])];
}

/** Sorted, each once: what an issuer is constrained to. Hosts of plain HTTP alone are not among them. */
export function interceptedHosts(resources: readonly ProxiedResource[]): readonly string[] {
  const ends = resources.filter(({ http, mcp }) => {
    const target = http ?? mcp;
    return target !== undefined && (target.hosts !== undefined || target.url.startsWith('https:'));
  });
  return [...new Set(ends.flatMap(proxyHosts))].sort();
}

/** @throws ParseError for a host that no resource can register */
export function requireProxyHost(text: string, path: string): string {
  const host = canonicalHost(text);
  if (host === undefined) throw new ParseError(path, 'a host name or an address is expected, without port or wildcard');
  return host;
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname : '';
}
