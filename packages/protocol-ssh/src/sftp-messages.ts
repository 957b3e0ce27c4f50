/**
 * SFTP, version 3 (draft-ietf-secsh-filexfer-02, and OpenSSH PROTOCOL section 4), packet by packet in both directions.
 * Refuses a packet that is longer than OpenSSH's own limit, and knows nothing of paths and rules.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import { byte, encode, Reader, raw, string, uint32 } from './messages.ts';

export const FXP = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attrs: 105,
  extended: 200,
  extendedReply: 201,
} as const;
export const FX = {
  ok: 0,
  eof: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  unsupported: 8,
} as const;
/** Section 6.3. */
export const OPEN_READ = 0x01;
export const OPEN_CHANGES = 0x02 | 0x04 | 0x08 | 0x10 | 0x20;
const ATTR_SIZE = 0x01;

/** Cuts a stream into packets; what is incomplete waits, at most one packet. */
export class PacketSplitter {
  #kept: Buffer[] = [];
  #length = 0;

  /** @param packet lent for the call: type byte first, without its length @throws GatewayError `frame.too_large` */
  feed(chunk: Buffer, packet: (bytes: Buffer) => void): void {
    let bytes = chunk;
    if (this.#length > 0) {
      this.#kept.push(Buffer.from(chunk));
      this.#length += chunk.length;
      if (this.#length < this.#wanted()) return;
      bytes = Buffer.concat(this.#kept);
      this.#kept = [];
      this.#length = 0;
    }
    let at = 0;
    while (bytes.length - at >= 4) {
      const size = bytes.readUInt32BE(at);
      if (size < 1 || size > LIMITS.sftpPacketBytesMax) throw new GatewayError('frame.too_large', { size });
      if (bytes.length - at - 4 < size) break;
      packet(bytes.subarray(at + 4, at + 4 + size));
      at += 4 + size;
    }
    if (at < bytes.length) {
      this.#kept = [Buffer.from(bytes.subarray(at))];
      this.#length = bytes.length - at;
    }
  }

  /** How many bytes the packet at the front has, as far as that is known. */
  #wanted(): number {
    const first = this.#kept[0]!;
    if (first.length < 4) this.#kept = [Buffer.concat(this.#kept)];
    const head = this.#kept[0]!;
    return head.length < 4 ? 4 : 4 + head.readUInt32BE(0);
  }
}

/** With its length before it. */
export function framed(packet: Uint8Array): Buffer {
  return encode(uint32(packet.length), raw(packet));
}

export const statusPacket = (id: number, code: number, message: string): Buffer =>
  encode(byte(FXP.status), uint32(id), uint32(code), string(message), string(''));

/** Size of a file as its attributes say (section 5); undefined when they do not. */
export function sizeOf(packet: Buffer): number | undefined {
  const reader = new Reader(packet, 5);
  return (reader.uint32() & ATTR_SIZE) === 0 ? undefined : Number(reader.uint64());
}

/** The one path of a NAME packet; undefined when it is none. */
export function nameIn(packet: Buffer): string | undefined {
  if (packet[0] !== FXP.name) return undefined;
  const reader = new Reader(packet, 5);
  return reader.uint32() === 0 ? undefined : reader.text();
}

/** Extensions a server has that are known here: what they do is judged or harmless. Others are not offered on. */
export const EXTENSIONS: ReadonlySet<string> = new Set([
  'posix-rename@openssh.com',
  'hardlink@openssh.com',
  'lsetstat@openssh.com',
  'fsync@openssh.com',
  'statvfs@openssh.com',
  'fstatvfs@openssh.com',
  'limits@openssh.com',
  'expand-path@openssh.com',
  'home-directory',
]);

/** VERSION with the extensions that may be used through us. */
export function filteredVersion(packet: Buffer): Buffer {
  const reader = new Reader(packet, 1);
  reader.uint32();
  const pairs: Buffer[] = [];
  while (reader.left > 0) {
    const name = reader.text();
    const value = reader.string();
    if (EXTENSIONS.has(name)) pairs.push(encode(string(name), string(value)));
  }
  return encode(byte(FXP.version), uint32(3), raw(Buffer.concat(pairs)));
}
