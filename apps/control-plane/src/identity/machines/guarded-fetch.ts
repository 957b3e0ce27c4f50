/**
 * Asks an address that an administrator, and not a stranger, wrote, for a small document or with a message: https alone, no
 * redirects, bounded in size and time, and never this host or its cloud's metadata service, whatever a name resolves to.
 * Loopback (and plain HTTP to it) is a setting of its own. Private networks are allowed, since clusters live there, unless the
 * caller says which.
 */
import { lookup } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { type BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import { addressKind, GatewayError } from '@sallyport/core';

export const DOCUMENT_BYTES_MAX = 512 * 1024;
const TIMEOUT_MS = 5_000;

/** How far the addresses that somebody gave may lead. */
export interface Reach {
  /** This host too, by plain HTTP as well. */
  readonly loopback: boolean;
  /** The private networks; absent = all. */
  readonly networks?: BlockList;
}

export interface FetchOptions extends Reach {
  /** PEM of a CA to trust instead of the system's. */
  readonly ca: string | undefined;
}

/** May this address be asked? @param networks the private ones that may; undefined = all */
export function isAllowedAddress(address: string, loopback: boolean, networks?: BlockList): boolean {
  const kind = addressKind(address);
  switch (kind) {
    case 'loopback':
      return loopback;
    case 'private':
      return networks === undefined || networks.check(address.replace(/%.*$/, ''), isIPv6(address) ? 'ipv6' : 'ipv4');
    case 'public':
      return true;
    case 'nowhere':
    case 'metadata':
      return false;
    default:
      return kind satisfies never;
  }
}

const isLoopbackHost = (host: string): boolean => host === 'localhost' || addressKind(host) === 'loopback';

/** @returns why this address may not be fetched, or undefined */
export function whyNotFetched(text: string, loopback: boolean, networks?: BlockList): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) return 'a URL is expected';
  if (url.username !== '' || url.password !== '' || url.hash !== '')
    return 'a URL without user and fragment is expected';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (url.protocol === 'http:') return loopback && isLoopbackHost(host) ? undefined : 'https is expected';
  if (url.protocol !== 'https:') return 'https is expected';
  if (isIP(host) !== 0 && !isAllowedAddress(host, loopback, networks)) return 'this address is not asked';
  return undefined;
}

/** A name that leads where nothing is asked. */
export class AddressNotAsked extends Error {}

/** The names' addresses are checked where they are used, so that a second answer of DNS changes nothing. */
export const guardedLookup =
  (loopback: boolean, networks?: BlockList): LookupFunction =>
  (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, []);
      const bad =
        addresses.length === 0 || addresses.some(({ address }) => !isAllowedAddress(address, loopback, networks));
      if (bad) return callback(new AddressNotAsked('the name leads to an address that is not asked'), []);
      if (options.all === true) return callback(null, addresses);
      return callback(null, addresses[0]!.address, addresses[0]!.family);
    });
  };

/** @throws GatewayError `issuer.unavailable` for everything that can go wrong */
export async function fetchJson(address: string, options: FetchOptions): Promise<unknown> {
  const refusal = whyNotFetched(address, options.loopback, options.networks);
  if (refusal !== undefined) throw new GatewayError('issuer.unavailable', { reason: refusal });
  try {
    return JSON.parse(await get(new URL(address), options)) as unknown;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.slice(0, 200) : 'failed';
    throw new GatewayError('issuer.unavailable', { address: address.slice(0, 200), reason }, { cause });
  }
}

export interface PostOptions extends Reach {
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** A longer answer is an error. */
  readonly answerBytesMax?: number;
}

export interface Posted {
  readonly status: number;
  /** One value each, as the last of that name says; lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** @returns what was answered, a redirect too, which is not followed @throws Error for an address that is not asked, and as sockets do */
export async function postGuarded(address: string, body: string, options: PostOptions): Promise<Posted> {
  const refusal = whyNotFetched(address, options.loopback, options.networks);
  if (refusal !== undefined) throw new Error(refusal);
  return await exchange(new URL(address), { ...options, method: 'POST', ca: undefined }, body);
}

async function get(url: URL, options: FetchOptions): Promise<string> {
  const headers = { accept: 'application/json', 'user-agent': 'sallyport' };
  const { status, text } = await exchange(url, { ...options, method: 'GET', headers, timeoutMs: TIMEOUT_MS }, '');
  if (status !== 200) throw new Error(`it answered ${status}`);
  return text;
}

function exchange(
  url: URL,
  options: FetchOptions & PostOptions & { readonly method: 'GET' | 'POST' },
  body: string,
): Promise<Posted> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? https.request : http.request;
    const request = send(url, {
      method: options.method,
      agent: false,
      headers: body === '' ? options.headers : { ...options.headers, 'content-length': Buffer.byteLength(body) },
      lookup: guardedLookup(options.loopback, options.networks),
      signal: AbortSignal.timeout(options.timeoutMs),
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > (options.answerBytesMax ?? DOCUMENT_BYTES_MAX))
          response.destroy(new Error('the document is too large'));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, String(value)])),
          text: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    request.end(body);
  });
}
