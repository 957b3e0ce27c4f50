/**
 * The transport of SSH on either side: key exchange, ciphers, packets (RFC 4253), by ssh2, of which only this file knows.
 * What ssh2 would make of authentication and channels is left out: messages from 50 on, and the two about services, come and
 * go here as bytes. Refuses to know what they mean. Strict key exchange (Terrapin) on both sides; no compression.
 * Limits: a packet is at most 35,000 bytes (ssh2, RFC 4253 section 6.1); LIMITS.sshRekeyBytes.
 */
import { createPrivateKey, randomFillSync, sign } from 'node:crypto';
import { GatewayError, LIMITS } from '@sallyport/core';
import { certificateType, type PrivateKey, privateKeyOf } from '@sallyport/ssh-certificates';
import crypto from 'ssh2/lib/protocol/crypto.js';
import kex from 'ssh2/lib/protocol/kex.js';
import keyParser from 'ssh2/lib/protocol/keyParser.js';
import Protocol, { type SigningKey } from 'ssh2/lib/protocol/Protocol.js';
import type { Algorithms } from './codec/algorithms.ts';
import { Outgoing } from './codec/outgoing.ts';
import { SplitPackets } from './codec/split-packets.ts';

/** Signatures we check (RFC 8308 section 3.1). */
const SIGNATURE_ALGORITHMS =
  'ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256';
const CERTIFIED_HOST_KEYS = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'];

/** ssh2's own ciphers are ready. Called once per process. @returns false without its native addon: three times slower */
export async function loadTransport(): Promise<boolean> {
  await crypto.init;
  return crypto.bindingAvailable;
}

/**
 * Reads OpenSSH's own format and PEM; of a password-protected one there is no use here.
 * @throws GatewayError `credential.unavailable`
 */
export function parsePrivateKey(text: string): PrivateKey {
  try {
    const parsed = keyParser.parseKey(text);
    const key = Array.isArray(parsed) ? parsed[0] : parsed;
    // ssh2 reads OpenSSH's own format; node reads the rest.
    if (key === undefined || key instanceof Error) return privateKeyOf(createPrivateKey(text));
    return { type: key.type, key: createPrivateKey(key.getPrivatePEM() ?? ''), blob: key.getPublicSSH() };
  } catch (cause) {
    throw new GatewayError('credential.unavailable', { reason: 'not a private key that can be read' }, { cause });
  }
}

export interface HostKey {
  /** Ed25519. */
  readonly key: PrivateKey;
  /** Blob of its certificate, if it has one. */
  readonly certificate: Buffer | undefined;
}

export interface TransportOwner {
  /** Bytes for the peer, lent for the call. */
  wire(bytes: Buffer): void;
  /** Keys were exchanged: the first time, or again. */
  exchanged(first: boolean): void;
  /** One message, type byte first; lent for the call. Never before the first exchange. */
  message(payload: Buffer): void;
  /** The peer said that it goes (RFC 4253 section 11.1), with its number for why; the transport is unusable from here on. */
  left(reason: number): void;
  /** The transport is unusable from here on. */
  broken(error: Error): void;
}

export type TransportRole =
  | { readonly kind: 'server'; readonly hostKey: HostKey }
  /** @param trusts the key or certificate the host shows; called before anything is sent under the new keys */
  | { readonly kind: 'client'; readonly trusts: (blob: Buffer) => boolean };

const IDENT = 'Sallyport';
/** ssh2's own limit, without what stands before and behind. */
const PACKET_BYTES_MAX = 35_000 - 20;
/** The addon's ciphers that take a whole packet with room for the tag behind it: what its length without itself is a multiple of. */
const BLOCKS: ReadonlyMap<string, number> = new Map([
  ['AESGCMCipherBinding', 16],
  ['ChaChaPolyCipherBinding', 8],
]);
/** Of deciphers, those whose `_packet` is all that is kept of a read; they are the addon's, too. */
const READS: ReadonlySet<string> = new Set(['AESGCMDecipherBinding', 'ChaChaPolyDecipherBinding']);
/** Reads from here on are decrypted in memory that is used again; smaller ones have Node's pool. */
const LARGE_READ_BYTES = 8 * 1024;
const SCRATCH_BYTES = 128 * 1024;
// One is enough but where a connection comes inside another one.
const scratch: Buffer[] = [];
/** Length and padding length. */
const PACKET_HEAD = 5;
const TAG_BYTES = 16;
// Random bytes are asked for in pieces of this size, not once per packet.
const paddings = Buffer.allocUnsafeSlow(8_192);
let paddingAt = paddings.length;
const FIRST_CONNECTION_MESSAGE = 50;
const SERVICE_REQUEST = 5;
const SERVICE_ACCEPT = 6;
const DISCONNECT = 1;
const EXT_INFO = 7;
const LAST_TRANSPORT_MESSAGE = 49;

export class SshTransport {
  readonly #owner: TransportOwner;
  readonly #protocol: Protocol;
  readonly #outgoing: Outgoing;
  /** The packet that is written into `#outgoing` right now. */
  #staged: Buffer | undefined;
  #exchanges = 0;
  #broken = false;
  /** Nothing that comes is heard any more: it cannot be read. What is sent still can be. */
  #deaf = false;
  #bytesUnderKeys = 0;
  /** Messages of the read at hand, and how many of them nobody has kept. */
  #told = 0;
  #passed = 0;
  /** Of the last large read nothing was kept. */
  #isPassing = false;
  readonly #split = new SplitPackets();

  constructor(role: TransportRole, algorithms: Algorithms, owner: TransportOwner) {
    this.#owner = owner;
    this.#outgoing = new Outgoing((bytes) => owner.wire(bytes));
    const server = role.kind === 'server';
    const ciphers = {
      cipher: [...algorithms.cipher],
      mac: [...algorithms.mac],
      compress: ['none'],
      lang: [],
    };
    const offered = server ? offeredHostKeys(role.hostKey) : hostKeysWanted(algorithms.hostKey);
    const offer = new kex.KexInit({
      kex: [
        ...algorithms.kex,
        ...(server ? ['kex-strict-s-v00@openssh.com'] : ['ext-info-c', 'kex-strict-c-v00@openssh.com']),
      ],
      serverHostKey: offered,
      cs: ciphers,
      sc: ciphers,
    });
    this.#protocol = new Protocol({
      server,
      ident: IDENT,
      offer,
      ...(server
        ? { hostKeys: this.#hostKeys(role.hostKey) }
        : { hostVerifier: (key) => this.#verify(key, role.trusts) }),
      onWrite: (data) => this.#written(data),
      onError: (error) => this.#break(error),
      onHandshakeComplete: () => this.#exchanged(),
      messageHandlers: {},
    });
    this.#listen();
  }

  /** Sends the identification (RFC 4253 section 4.2). */
  start(): void {
    this.#protocol.start();
  }

  /** The exchange hash of the first exchange: what signatures are bound to (RFC 4252 section 7). */
  get sessionId(): Buffer {
    return this.#protocol._kex.sessionID;
  }

  get usable(): boolean {
    return !this.#broken && !this.#deaf;
  }

  /** Bytes of the peer, lent for the call. */
  bytes(chunk: Buffer): void {
    if (this.#broken || this.#deaf) return;
    this.#count(chunk.length);
    // ssh2 decrypts in place and keeps a packet whose tag has not come, and owners keep messages: the bytes have to be their
    // own. Where nothing was kept of one large read, as of data that flows by, the next one is made in the same place.
    const isLarge = chunk.length >= LARGE_READ_BYTES && chunk.length <= SCRATCH_BYTES;
    const room = isLarge && this.#isPassing ? (scratch.pop() ?? Buffer.allocUnsafeSlow(SCRATCH_BYTES)) : undefined;
    const own = room === undefined ? Buffer.from(chunk) : room.subarray(0, chunk.length);
    if (room !== undefined) room.set(chunk);
    this.#told = this.#passed = 0;
    this.#split.lends = this.#isPassing;
    try {
      this.#protocol.parse(own, 0, own.length);
      this.#split.over(this.#told !== this.#passed);
      if (!isLarge) return;
      this.#isPassing = this.#told === this.#passed && !this.#refersTo(own);
      if (room !== undefined && this.#isPassing) scratch.push(room);
    } catch (error) {
      this.#break(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Nothing is kept of the message at hand: what was called with it is about to return. */
  passed(): void {
    this.#passed++;
  }

  #refersTo(own: Buffer): boolean {
    const decipher = this.#protocol._decipher;
    if (decipher === undefined || !READS.has(decipher.constructor.name)) return true;
    this.#split.attach(decipher);
    return this.#split.begun?.buffer === own.buffer;
  }

  #written(data: Buffer | string): void {
    if (data === this.#staged) {
      this.#staged = undefined;
      return this.#outgoing.sent(data);
    }
    this.#outgoing.flush();
    this.#owner.wire(typeof data === 'string' ? Buffer.from(data) : data);
  }

  /** What is written into `packet` has left for the peer before anything that its owner does next. */
  flush(): void {
    this.#outgoing.flush();
  }

  /** Room for a message of `size` bytes; what is written there is sent by `sendPacket`, before anything else is asked for. */
  packet(size: number): { readonly buffer: Buffer; readonly at: number } {
    const { write } = this.#protocol._packetRW;
    const block =
      this.#protocol._kexinit === undefined ? BLOCKS.get(this.#protocol._cipher.constructor.name) : undefined;
    if (block !== undefined) {
      this.#staged = this.#stagedPacket(size, block);
      return { buffer: this.#staged, at: PACKET_HEAD };
    }
    return { buffer: write.alloc(size), at: write.allocStart };
  }

  /** As ssh2 lays out a packet that is encrypted in place (RFC 4253 section 6, RFC 5647), without asking for memory. */
  #stagedPacket(size: number, block: number): Buffer {
    let padding = block - ((1 + size) % block);
    if (padding < 4) padding += block;
    const packet = this.#outgoing.reserve(PACKET_HEAD + size + padding + TAG_BYTES);
    packet.writeUInt32BE(1 + size + padding);
    packet[4] = padding;
    if (paddingAt + padding > paddings.length) {
      randomFillSync(paddings);
      paddingAt = 0;
    }
    packet.set(paddings.subarray(paddingAt, paddingAt + padding), PACKET_HEAD + size);
    paddingAt += padding;
    return packet;
  }

  sendPacket(packet: Buffer): void {
    if (this.#broken) return;
    const protocol = this.#protocol;
    const { length } = packet;
    if (protocol._kexinit !== undefined) {
      // Nothing but the exchange goes out while keys are exchanged (RFC 4253 section 7.1).
      protocol._queue ??= [];
      protocol._queue.push(packet);
      return;
    }
    protocol._cipher.encrypt(protocol._packetRW.write.finalize(packet));
    this.#count(length);
  }

  /** One message, type byte first. */
  send(payload: Uint8Array): void {
    if (this.#broken) return;
    const { buffer, at } = this.packet(payload.length);
    buffer.set(payload, at);
    this.sendPacket(buffer);
  }

  /** RFC 4253 section 11.1; also in the middle of an exchange. The transport takes nothing after it. */
  disconnect(reason: number, text: string): void {
    if (this.#broken || this.#exchanges === 0) return;
    const words = Buffer.from(text);
    const payload = Buffer.alloc(1 + 4 + 4 + words.length + 4);
    payload[0] = DISCONNECT;
    payload.writeUInt32BE(reason, 1);
    payload.writeUInt32BE(words.length, 5);
    words.copy(payload, 9);
    const { write } = this.#protocol._packetRW;
    const packet = write.alloc(payload.length, true);
    packet.set(payload, write.allocStartKEX);
    this.#protocol._cipher.encrypt(write.finalize(packet, true));
    this.close();
  }

  /** Forgets keys. */
  close(): void {
    this.#outgoing.flush();
    if (this.#broken) return;
    this.#broken = true;
    this.#protocol.cleanup();
  }

  #break(error: Error): void {
    if (this.#broken || this.#deaf) return;
    this.#deaf = true;
    this.#owner.broken(
      isTooLarge(error, this.#protocol._decipher?._len)
        ? new GatewayError('statement.too_large', {}, { cause: error })
        : error,
    );
  }

  #exchanged(): void {
    this.#bytesUnderKeys = 0;
    this.#owner.exchanged(++this.#exchanges === 1);
  }

  /** Messages of authentication and of channels are ours; the rest, and what breaks the order, is ssh2's. */
  #listen(): void {
    const protocol = this.#protocol;
    const transport = protocol._onPayload;
    protocol._onPayload = (payload) => {
      const type = payload[0];
      this.#told++;
      if (type === undefined || this.#broken || this.#deaf) return undefined;
      if (type >= FIRST_CONNECTION_MESSAGE || type === SERVICE_REQUEST || type === SERVICE_ACCEPT) {
        this.#owner.message(payload);
        return undefined;
      }
      if (type === DISCONNECT) {
        this.#outgoing.flush();
        this.#broken = true;
        this.#owner.left(payload.length >= 5 ? payload.readUInt32BE(1) : 0);
        return undefined;
      }
      return type <= LAST_TRANSPORT_MESSAGE ? transport(payload) : undefined;
    };
    const complete = protocol._onHandshakeComplete;
    protocol._onHandshakeComplete = (negotiated) => {
      // ssh2's own list lacks a comma, so that clients with RSA keys miss SHA-512.
      const wanted = protocol._kex.remoteExtInfoEnabled && this.#exchanges === 0;
      protocol._kex.remoteExtInfoEnabled = false;
      if (wanted) this.send(extInfo());
      complete(negotiated);
    };
  }

  #hostKeys({ key, certificate }: HostKey): Record<string, SigningKey> {
    const { type } = key;
    const keys: Record<string, SigningKey> = {
      [type]: { type, getPublicSSH: () => key.blob, sign: (data) => sign(null, data, key.key) },
    };
    if (certificate === undefined) return keys;
    keys[certificateType(type)] = {
      type,
      getPublicSSH: () => certificate,
      sign: (data) => {
        // The signature itself names the plain key (PROTOCOL.certkeys); ssh2 would name the certificate.
        this.#protocol._kex.negotiated.serverHostKey = type;
        return sign(null, data, key.key);
      },
    };
    return keys;
  }

  #verify(blob: Buffer, trusts: (blob: Buffer) => boolean): boolean {
    if (!trusts(blob)) return false;
    const exchange = this.#protocol._kex;
    const plain = CERTIFIED_HOST_KEYS.find((type) => exchange.negotiated.serverHostKey === certificateType(type));
    if (plain === undefined) return true;
    // ssh2 hashes the blob that the host showed and then reads the key that signed out of the same place: the certificate is
    // what is hashed, and the key inside it is what must have signed.
    exchange.negotiated.serverHostKey = plain;
    const key = plainKeyOf(blob);
    let reads = 0;
    Object.defineProperty(exchange, '_hostKey', {
      configurable: true,
      get: () => (reads++ === 0 ? blob : key),
      set: (value: unknown) => {
        Object.defineProperty(exchange, '_hostKey', { value, writable: true, configurable: true });
      },
    });
    return true;
  }

  /** Keys are used for so many bytes (RFC 4344 section 3.2); peers that renew them earlier do. */
  #count(bytes: number): void {
    this.#bytesUnderKeys += bytes;
    if (this.#bytesUnderKeys < LIMITS.sshRekeyBytes || this.#exchanges === 0 || this.#protocol._kexinit !== undefined)
      return;
    this.#bytesUnderKeys = 0;
    this.#protocol.rekey();
  }
}

/** More than ssh2 takes, yet what a command line or its like could be: whoever sent it may hear so. */
const isTooLarge = (error: Error, size = 0): boolean =>
  error.message.startsWith('Bad packet length') && size > PACKET_BYTES_MAX && size <= LIMITS.sshCommandBytesMax * 2;

const offeredHostKeys = ({ key, certificate }: HostKey): string[] =>
  certificate === undefined ? [key.type] : [certificateType(key.type), key.type];
const hostKeysWanted = (types: readonly string[]): string[] => [
  ...types.filter((type) => CERTIFIED_HOST_KEYS.includes(type)).map(certificateType),
  ...types,
];

/** The key inside a certificate: its type, and the fields behind the nonce. */
function plainKeyOf(certificate: Buffer): Buffer {
  const at = (from: number): number => from + 4 + certificate.readUInt32BE(from);
  const type = certificate.toString('latin1', 4, at(0)).replace(/-cert-v01@openssh\.com$/, '');
  const start = at(at(0));
  let end = start;
  for (let i = 0; i < (type === 'ssh-ed25519' ? 1 : 2); i++) end = at(end);
  const name = Buffer.alloc(4 + type.length);
  name.writeUInt32BE(type.length);
  name.write(type, 4);
  return Buffer.concat([name, certificate.subarray(start, end)]);
}

function extInfo(): Buffer {
  const name = 'server-sig-algs';
  const payload = Buffer.alloc(1 + 4 + 4 + name.length + 4 + SIGNATURE_ALGORITHMS.length);
  payload[0] = EXT_INFO;
  let at = payload.writeUInt32BE(1, 1);
  for (const text of [name, SIGNATURE_ALGORITHMS]) {
    at = payload.writeUInt32BE(text.length, at);
    at += payload.write(text, at, 'latin1');
  }
  return payload;
}
