/**
 * Which addresses an HTTP upstream may have: what a name resolves to is checked, and the checked address is the one dialled
 * (a name that resolves to something else a moment later, DNS rebinding, gains nothing).
 * Refuses loopback, link-local with the clouds' metadata, unspecified, multicast and broadcast addresses, also those written
 * inside an IPv6 address, unless the resource names that very address.
 */
import dns from 'node:dns';
import net from 'node:net';
import { GatewayError } from '@sallyport/core';
import type { WebTarget } from './web-target.ts';

const loopback = new net.BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

const never = new net.BlockList();
never.addSubnet('0.0.0.0', 8, 'ipv4');
never.addSubnet('169.254.0.0', 16, 'ipv4');
never.addSubnet('224.0.0.0', 4, 'ipv4');
never.addSubnet('240.0.0.0', 4, 'ipv4');
// Metadata services beside link-local: Alibaba Cloud, Oracle Cloud, and AWS over IPv6.
never.addAddress('100.100.100.200', 'ipv4');
never.addAddress('192.0.0.192', 'ipv4');
never.addAddress('fd00:ec2::254', 'ipv6');
never.addAddress('::', 'ipv6');
never.addSubnet('fe80::', 10, 'ipv6');
never.addSubnet('ff00::', 8, 'ipv6');

/** IPv4 inside IPv6: mapped, compatible, NAT64 (RFC 6052) and 6to4. */
const EMBEDDED = new net.BlockList();
EMBEDDED.addSubnet('::ffff:0:0', 96, 'ipv6');
EMBEDDED.addSubnet('::', 96, 'ipv6');
EMBEDDED.addSubnet('64:ff9b::', 96, 'ipv6');

/** True when nothing behind a resource has a reason to be there. Pure. */
export function isForbidden(address: string, loopbackAllowed: boolean): boolean {
  const family = net.isIP(address);
  if (family === 0) return true;
  if (family === 4) return never.check(address, 'ipv4') || (!loopbackAllowed && loopback.check(address, 'ipv4'));
  const bare = address.replace(/%.*$/, '');
  if (never.check(bare, 'ipv6')) return true;
  if (loopback.check(bare, 'ipv6')) return !loopbackAllowed;
  if (EMBEDDED.check(bare, 'ipv6')) return isForbidden(lastFourBytes(bare), loopbackAllowed);
  return bare.toLowerCase().startsWith('2002:') ? isForbidden(sixToFour(bare), loopbackAllowed) : false;
}

/** The eight groups of an IPv6 address. */
function groups(address: string): readonly number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const text =
    dotted === null
      ? address
      : `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`;
  const [head = '', tail] = text.split('::');
  const read = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const before = read(head);
  if (tail === undefined) return before;
  const after = read(tail);
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
}

const dotted = (high: number, low: number): string => `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
const lastFourBytes = (address: string): string => {
  const all = groups(address);
  return dotted(all[6] ?? 0, all[7] ?? 0);
};
const sixToFour = (address: string): string => {
  const all = groups(address);
  return dotted(all[1] ?? 0, all[2] ?? 0);
};

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
