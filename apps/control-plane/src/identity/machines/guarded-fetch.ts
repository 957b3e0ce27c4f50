/**
 * Fetches a small JSON document whose address an administrator, and not a stranger, wrote: https alone, no redirects,
 * bounded in size and time, and never from this host or its cloud's metadata service, whatever a name resolves to.
 * Loopback (and plain HTTP to it) is a setting of its own. Private networks are allowed: clusters live there.
 */
import { lookup } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { GatewayError } from '@sallyport/core';

export const DOCUMENT_BYTES_MAX = 512 * 1024;
const TIMEOUT_MS = 5_000;

export interface FetchOptions {
  /** PEM of a CA to trust instead of the system's. */
  readonly ca: string | undefined;
  readonly loopback: boolean;
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

const FORBIDDEN = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  FORBIDDEN.addSubnet(net, bits, 'ipv4');
FORBIDDEN.addAddress('100.100.100.200', 'ipv4');
FORBIDDEN.addAddress('::', 'ipv6');
FORBIDDEN.addAddress('fd00:ec2::254', 'ipv6');
FORBIDDEN.addSubnet('fe80::', 10, 'ipv6');
FORBIDDEN.addSubnet('ff00::', 8, 'ipv6');
// Ways to write an IPv4 address inside an IPv6 one that would lead round the list above.
FORBIDDEN.addSubnet('64:ff9b::', 96, 'ipv6');
FORBIDDEN.addSubnet('2002::', 16, 'ipv6');

/** May this address be asked? IPv4 inside IPv6 (`::ffff:127.0.0.1`) counts as the IPv4 address. */
export function isAllowedAddress(address: string, loopback: boolean): boolean {
  const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  const family = isIP(plain);
  if (family === 0) return false;
  const kind = family === 4 ? 'ipv4' : 'ipv6';
  if (LOOPBACK.check(plain, kind)) return loopback;
  return !FORBIDDEN.check(plain, kind);
}

const isLoopbackHost = (host: string): boolean =>
  host === 'localhost' || (isIP(host) !== 0 && LOOPBACK.check(host, isIP(host) === 4 ? 'ipv4' : 'ipv6'));

/** @returns why this address may not be fetched, or undefined */
export function whyNotFetched(text: string, loopback: boolean): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) return 'a URL is expected';
  if (url.username !== '' || url.password !== '' || url.hash !== '')
    return 'a URL without user and fragment is expected';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (url.protocol === 'http:') return loopback && isLoopbackHost(host) ? undefined : 'https is expected';
  if (url.protocol !== 'https:') return 'https is expected';
  if (isIP(host) !== 0 && !isAllowedAddress(host, loopback)) return 'this address is not asked';
  return undefined;
}

/** The names' addresses are checked where they are used, so that a second answer of DNS changes nothing. */
const guardedLookup =
  (loopback: boolean): LookupFunction =>
  (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, []);
      const bad = addresses.length === 0 || addresses.some(({ address }) => !isAllowedAddress(address, loopback));
      if (bad) return callback(new Error('the name leads to an address that is not asked'), []);
      if (options.all === true) return callback(null, addresses);
      return callback(null, addresses[0]!.address, addresses[0]!.family);
    });
  };

/** @throws GatewayError `issuer.unavailable` for everything that can go wrong */
export async function fetchJson(address: string, options: FetchOptions): Promise<unknown> {
  const refusal = whyNotFetched(address, options.loopback);
  if (refusal !== undefined) throw new GatewayError('issuer.unavailable', { reason: refusal });
  try {
    return JSON.parse(await get(new URL(address), options)) as unknown;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.slice(0, 200) : 'failed';
    throw new GatewayError('issuer.unavailable', { address: address.slice(0, 200), reason }, { cause });
  }
}

function get(url: URL, options: FetchOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? https.request : http.request;
    const request = send(url, {
      method: 'GET',
      agent: false,
      headers: { accept: 'application/json', 'user-agent': 'sallyport' },
      lookup: guardedLookup(options.loopback),
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    });
    request.on('error', reject);
    request.on('response', (response) => {
      if (response.statusCode !== 200) {
        response.destroy();
        reject(new Error(`it answered ${response.statusCode ?? 'nothing'}`));
        return;
      }
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > DOCUMENT_BYTES_MAX) response.destroy(new Error('the document is too large'));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    });
    request.end();
  });
}
