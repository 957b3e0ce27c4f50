/**
 * Which addresses an HTTP upstream may have: what a name resolves to is checked, and the checked address is the one dialled
 * (a name that resolves to something else a moment later, DNS rebinding, gains nothing).
 * Refuses loopback, link-local with the clouds' metadata, unspecified, multicast and broadcast addresses, also those written
 * inside an IPv6 address, unless the resource names that very address.
 */
import dns from 'node:dns';
import net from 'node:net';
import { addressKind, GatewayError } from '@sallyport/core';
import type { WebTarget } from './web-target.ts';

/** True when nothing behind a resource has a reason to be there. Pure. */
export function isForbidden(address: string, loopbackAllowed: boolean): boolean {
  const kind = addressKind(address);
  return kind === 'loopback' ? !loopbackAllowed : kind === 'nowhere' || kind === 'metadata';
}

const forbidden = (host: string): GatewayError =>
  new GatewayError('upstream.unreachable', { host, reason: 'at an address that may not be dialled' });

/** Resolves once and lets through only what may be dialled. For `net.connect`, which dials what it is given. */
const checkedLookup =
  (loopbackAllowed: boolean): net.LookupFunction =>
  (hostname, options, callback) => {
    dns.lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '', 0);
      const found = addresses.filter(({ address }) => !isForbidden(address, loopbackAllowed));
      const [first] = found;
      if (first === undefined) return callback(forbidden(hostname), '', 0);
      if (options.all === true) callback(null, found);
      else callback(null, first.address, first.family);
    });
  };

/** An address that stands in the resource itself is meant, whatever it is; a name is resolved here and checked. */
export function pinnedAddress({ host, port, loopback: loopbackAllowed }: WebTarget): net.NetConnectOpts {
  if (net.isIP(host) !== 0) return { host, port };
  return { host, port, lookup: checkedLookup(loopbackAllowed) };
}
