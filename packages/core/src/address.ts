/**
 * What an IP address is, before anybody dials it: the one list that resources, issuers' documents and agents' names are held to
 * (RFC 6890 and the clouds' metadata services). Pure. Refuses to look a name up: whoever dials checks what its name resolved to.
 */

/**
 * `nowhere`: unspecified, multicast, reserved, or no address at all. `metadata`: link-local, and where clouds answer whoever asks.
 * `private`: another host in each network (RFC 1918, RFC 4193, shared address space).
 */
export type AddressKind = 'public' | 'private' | 'loopback' | 'metadata' | 'nowhere';

/** An address as one number: IPv4 of 32 bits, IPv6 of 128. */
interface Address {
  readonly bits: 32 | 128;
  readonly value: bigint;
}
type Subnet = Address & { readonly prefix: number };

function subnets(text: string): readonly Subnet[] {
  return text.split(' ').map((subnet) => {
    const [net = '', prefix] = subnet.split('/');
    const address = read(net) as Address;
    return { ...address, prefix: Number(prefix) };
  });
}

const isIn = ({ bits, value }: Address, list: readonly Subnet[]): boolean =>
  list.some((net) => net.bits === bits && (value ^ net.value) >> BigInt(bits - net.prefix) === 0n);

/** In order: the first list that has it says what it is. Metadata: Alibaba Cloud, Oracle Cloud, AWS over IPv6, and link-local. */
const KINDS: readonly (readonly [AddressKind, readonly Subnet[]])[] = [
  ['nowhere', subnets('0.0.0.0/8 224.0.0.0/4 240.0.0.0/4 ::/128 ff00::/8')],
  ['loopback', subnets('127.0.0.0/8 ::1/128')],
  ['metadata', subnets('169.254.0.0/16 100.100.100.200/32 192.0.0.192/32 fe80::/10 fd00:ec2::254/128')],
  ['private', subnets('10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7 fec0::/10')],
];

/** IPv4 in the last bits of IPv6: mapped, compatible, NAT64 (RFC 6052). */
const EMBEDDED = subnets('::ffff:0:0/96 ::/96 64:ff9b::/96');
const SIX_TO_FOUR = subnets('2002::/16');

/** @param text a literal, IPv6 without brackets; a zone (`%eth0`) is left out */
export function addressKind(text: string): AddressKind {
  const address = read(text.replace(/%.*$/, ''));
  return address === undefined ? 'nowhere' : kindOf(address);
}

function kindOf(address: Address): AddressKind {
  const kind = KINDS.find(([, list]) => isIn(address, list))?.[0];
  if (kind !== undefined) return kind;
  if (isIn(address, EMBEDDED)) return kindOf({ bits: 32, value: address.value & 0xffff_ffffn });
  if (isIn(address, SIX_TO_FOUR)) return kindOf({ bits: 32, value: (address.value >> 80n) & 0xffff_ffffn });
  return 'public';
}

function read(text: string): Address | undefined {
  const value = text.includes(':') ? readSix(text) : readFour(text);
  return value === undefined ? undefined : { bits: text.includes(':') ? 128 : 32, value };
}

/** Four decimal numbers; other spellings (`127.1`, `0x7f.1`, leading zeros) are read as one thing here and another there. */
function readFour(text: string): bigint | undefined {
  const parts = text.split('.');
  const isRead = parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
  return isRead ? parts.reduce((all, part) => (all << 8n) | BigInt(part), 0n) : undefined;
}

/** RFC 4291 section 2.2. */
function readSix(text: string): bigint | undefined {
  const dotted = /[^:]*\.[^:]*$/.exec(text)?.[0];
  const four = dotted === undefined ? 0n : readFour(dotted);
  if (four === undefined) return undefined;
  const hex =
    dotted === undefined
      ? text
      : `${text.slice(0, -dotted.length)}${(four >> 16n).toString(16)}:${(four & 0xffffn).toString(16)}`;
  const halves = hex.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const [head = [], tail] = halves;
  const written = head.length + (tail?.length ?? 0);
  const isWhole = halves.length === 1 ? written === 8 : halves.length === 2 && written < 8;
  if (!isWhole || ![...head, ...(tail ?? [])].every((group) => /^[\da-f]{1,4}$/i.test(group))) return undefined;
  const groups = [...head, ...Array.from({ length: 8 - written }, () => '0'), ...(tail ?? [])];
  return groups.reduce((all, group) => (all << 16n) | BigInt(`0x${group}`), 0n);
}
