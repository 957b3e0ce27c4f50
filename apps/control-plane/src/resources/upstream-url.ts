/**
 * Whether a URL is one an agent should speak to: what a name or address literal shows before anybody resolves it. Pure.
 * Refuses to look a name up: agents do at each connection, and check the address they found.
 */
import { isIP } from 'node:net';
import { addressKind } from '@sallyport/core';

const METADATA_NAMES: ReadonlySet<string> = new Set(['metadata', 'metadata.google.internal', 'instance-data']);

const isLoopbackName = (host: string): boolean => host === 'localhost' || host.endsWith('.localhost');

/** @param host of a URL, lower case, IPv6 in brackets or without @returns what is wrong with it as an upstream */
export function hostProblem(host: string, isPrivate: boolean): string | undefined {
  const name = host.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
  if (isIP(name) === 0) {
    if (!isPrivate && (isLoopbackName(name) || METADATA_NAMES.has(name)))
      return 'the agent’s own host is not a service: say private: true where it is meant';
    return undefined;
  }
  const kind = addressKind(name);
  if (kind === 'nowhere') return 'no server has this address';
  if (!isPrivate && (kind === 'loopback' || kind === 'metadata'))
    return 'a loopback, link-local or metadata address: say private: true where it is meant';
  return undefined;
}

/** A path that two readers could read as two things. */
const DOUBTFUL = /\/\/|\/\.{1,2}(\/|$)|%2e|%2f|%5c|%00|\\/i;

/** @returns the URL as agents get it, and what is wrong with it */
export function readUpstreamUrl(
  text: string,
  isPrivate: boolean,
): { readonly url: string; readonly problem?: undefined } | { readonly problem: string } {
  if (!/^https?:\/\//i.test(text)) return { problem: 'begins with https:// or http://' };
  const url = URL.parse(text);
  if (url === null || url.hostname === '') return { problem: 'is no URL' };
  if (url.username !== '' || url.password !== '' || /^https?:\/\/[^/?#]*@/i.test(text))
    return { problem: 'no user name or password stands in it: make a credential' };
  if (text.includes('?') || text.includes('#')) return { problem: 'ends with its path' };
  if (url.port === '0') return { problem: 'port 0 is no port' };
  if (DOUBTFUL.test(text.slice(text.indexOf('//') + 2)))
    return { problem: 'its path holds no //, dot segments, backslashes or encoded slashes' };
  const problem = hostProblem(url.hostname, isPrivate);
  if (problem !== undefined) return { problem };
  return { url: url.href.replace(/\/$/, '') };
}
