/**
 * What an IP address is, before anybody dials it: the one list that resources, issuers' documents and agents' names are held to
 * (RFC 6890 and the clouds' metadata services). Pure. Refuses to look a name up: whoever dials checks what its name resolved to.
 */
import { BlockList, isIP } from 'node:net';

/**
 * `nowhere`: unspecified, multicast, reserved, or no address at all. `metadata`: link-local, and where clouds answer whoever asks.
 * `private`: another host in each network (RFC 1918, RFC 4193, shared address space).
 */
export type AddressKind = 'public' | 'private' | 'loopback' | 'metadata' | 'nowhere';

function listOf(...subnets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [net, prefix] of subnets) list.addSubnet(net, prefix, net.includes(':') ? 'ipv6' : 'ipv4');
  return list;
}

/** In order: the first list that has it says what it is. */
const KINDS: readonly (readonly [AddressKind, BlockList])[] = [
  ['nowhere', listOf(['0.0.0.0', 8], ['224.0.0.0', 4], ['240.0.0.0', 4], ['::', 128], ['ff00::', 8])],
  ['loopback', listOf(['127.0.0.0', 8], ['::1', 128])],
  // Alibaba Cloud, Oracle Cloud, and AWS over IPv6, beside link-local.
  [
    'metadata',
    listOf(['169.254.0.0', 16], ['fe80::', 10], ['100.100.100.200', 32], ['192.0.0.192', 32], ['fd00:ec2::254', 128]),
  ],
  [
    'private',
    listOf(['10.0.0.0', 8], ['172.16.0.0', 12], ['192.168.0.0', 16], ['100.64.0.0', 10], ['fc00::', 7], ['fec0::', 10]),
  ],
];

/** IPv4 inside IPv6: mapped, compatible, NAT64 (RFC 6052). */
const EMBEDDED = listOf(['::ffff:0:0', 96], ['::', 96], ['64:ff9b::', 96]);
const SIX_TO_FOUR = listOf(['2002::', 16]);

/** @param address a literal, IPv6 without brackets; a zone (`%eth0`) is left out */
export function addressKind(address: string): AddressKind {
  const bare = address.replace(/%.*$/, '');
  const version = isIP(bare);
  if (version === 0) return 'nowhere';
  const family = version === 4 ? 'ipv4' : 'ipv6';
  const kind = KINDS.find(([, list]) => list.check(bare, family))?.[0];
  if (kind !== undefined) return kind;
  if (version === 4) return 'public';
  if (EMBEDDED.check(bare, 'ipv6')) return addressKind(embedded(bare, 6));
  return SIX_TO_FOUR.check(bare, 'ipv6') ? addressKind(embedded(bare, 1)) : 'public';
}

/** The IPv4 address in two groups of an IPv6 address. */
function embedded(address: string, group: number): string {
  const all = groups(address);
  const [high = 0, low = 0] = [all[group], all[group + 1]];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/** The eight groups of an IPv6 address. */
function groups(address: string): readonly number[] {
  const ends = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const pair = (high: number, low: number): string =>
    (((Number(ends?.[high]) << 8) | Number(ends?.[low])) >>> 0).toString(16);
  const text = ends === null ? address : `${ends[1]}${pair(2, 3)}:${pair(4, 5)}`;
  const [head = '', tail] = text.split('::');
  const read = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const before = read(head);
  if (tail === undefined) return before;
  const after = read(tail);
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
}
