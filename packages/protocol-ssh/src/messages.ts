/**
 * The messages of authentication (RFC 4252, RFC 4256) and of channels (RFC 4254), typed; each type names its section.
 * Refuses what does not parse to its end where the standard says where it ends. Texts are UTF-8; bytes stay bytes.
 */
import { GatewayError } from '@sallyport/core';

export const MSG = {
  ignore: 2,
  serviceRequest: 5,
  serviceAccept: 6,
  userauthRequest: 50,
  userauthFailure: 51,
  userauthSuccess: 52,
  userauthBanner: 53,
  /** PK_OK, PASSWD_CHANGEREQ or INFO_REQUEST: it hangs on the method. */
  userauthMethod: 60,
  userauthInfoResponse: 61,
  globalRequest: 80,
  requestSuccess: 81,
  requestFailure: 82,
  channelOpen: 90,
  channelOpenConfirmation: 91,
  channelOpenFailure: 92,
  channelWindowAdjust: 93,
  channelData: 94,
  channelExtendedData: 95,
  channelEof: 96,
  channelClose: 97,
  channelRequest: 98,
  channelSuccess: 99,
  channelFailure: 100,
} as const;

/** RFC 4254 section 5.1. */
export const OPEN_FAILURE = { prohibited: 1, connectFailed: 2, unknownType: 3, shortage: 4 } as const;
/** RFC 4253 section 11.1. */
export const DISCONNECT = {
  protocolError: 2,
  byApplication: 11,
  tooManyConnections: 12,
  noMoreAuthMethods: 14,
} as const;
export const STDERR = 1;

const malformed = (what: string): GatewayError => new GatewayError('protocol.malformed', { what });

/** Reads a message from its front, behind the type byte. @throws GatewayError `protocol.malformed` */
export class Reader {
  readonly #bytes: Buffer;
  #at: number;
  constructor(bytes: Buffer, at = 1) {
    this.#bytes = bytes;
    this.#at = at;
  }
  get at(): number {
    return this.#at;
  }
  get left(): number {
    return this.#bytes.length - this.#at;
  }
  byte(): number {
    if (this.left < 1) throw malformed('byte');
    return this.#bytes[this.#at++]!;
  }
  bool(): boolean {
    return this.byte() !== 0;
  }
  uint32(): number {
    if (this.left < 4) throw malformed('uint32');
    this.#at += 4;
    return this.#bytes.readUInt32BE(this.#at - 4);
  }
  uint64(): bigint {
    if (this.left < 8) throw malformed('uint64');
    this.#at += 8;
    return this.#bytes.readBigUInt64BE(this.#at - 8);
  }
  /** Lent: a part of the message. */
  string(): Buffer {
    const length = this.uint32();
    if (length > this.left) throw malformed('string');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
  text(): string {
    return this.string().toString('utf8');
  }
  /** What is left, lent. */
  rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }
}

export type Field =
  | { readonly kind: 'byte'; readonly value: number }
  | { readonly kind: 'uint32'; readonly value: number }
  | { readonly kind: 'string'; readonly value: Uint8Array }
  | { readonly kind: 'raw'; readonly value: Uint8Array };
export const byte = (value: number): Field => ({ kind: 'byte', value });
export const bool = (value: boolean): Field => ({ kind: 'byte', value: value ? 1 : 0 });
export const uint32 = (value: number): Field => ({ kind: 'uint32', value });
export const string = (value: string | Uint8Array): Field => ({
  kind: 'string',
  value: typeof value === 'string' ? Buffer.from(value) : value,
});
export const raw = (value: Uint8Array): Field => ({ kind: 'raw', value });

function sizeOf(field: Field): number {
  if (field.kind === 'byte') return 1;
  if (field.kind === 'uint32') return 4;
  return field.value.length + (field.kind === 'string' ? 4 : 0);
}

export function encode(...fields: readonly Field[]): Buffer {
  const bytes = Buffer.allocUnsafe(fields.reduce((sum, field) => sum + sizeOf(field), 0));
  let at = 0;
  for (const field of fields) {
    switch (field.kind) {
      case 'byte':
        at = bytes.writeUInt8(field.value, at);
        break;
      case 'uint32':
        at = bytes.writeUInt32BE(field.value, at);
        break;
      case 'string':
        at = bytes.writeUInt32BE(field.value.length, at);
        bytes.set(field.value, at);
        at += field.value.length;
        break;
      case 'raw':
        bytes.set(field.value, at);
        at += field.value.length;
        break;
      default:
        field satisfies never;
    }
  }
  return bytes;
}

/** RFC 4252 section 5. `method` undefined: one that is not taken here. */
export interface AuthRequest {
  readonly user: string;
  readonly service: string;
  readonly method:
    | { readonly kind: 'password'; readonly password: string }
    | {
        readonly kind: 'publickey';
        readonly algorithm: string;
        readonly key: Buffer;
        /** What was signed is `sessionId` as a string and everything before the signature; undefined for an offer. */
        readonly proof: { readonly signature: Buffer; readonly before: Buffer } | undefined;
      }
    | { readonly kind: 'keyboard-interactive' }
    | { readonly kind: 'none' }
    | { readonly kind: 'other' };
}

export function parseAuthRequest(payload: Buffer): AuthRequest {
  const reader = new Reader(payload);
  const user = reader.text();
  const service = reader.text();
  const name = reader.text();
  return { user, service, method: parseMethod(name, reader, payload) };
}

function parseMethod(name: string, reader: Reader, payload: Buffer): AuthRequest['method'] {
  switch (name) {
    case 'none':
      return { kind: 'none' };
    case 'password':
      // A change of password is nothing that is done here (section 8).
      return reader.bool() ? { kind: 'other' } : { kind: 'password', password: reader.text() };
    case 'publickey': {
      const signed = reader.bool();
      const algorithm = reader.text();
      const key = Buffer.from(reader.string());
      if (!signed) return { kind: 'publickey', algorithm, key, proof: undefined };
      const before = Buffer.from(payload.subarray(0, reader.at));
      return { kind: 'publickey', algorithm, key, proof: { signature: Buffer.from(reader.string()), before } };
    }
    case 'keyboard-interactive':
      return { kind: 'keyboard-interactive' };
    default:
      return { kind: 'other' };
  }
}

/** RFC 4254 section 5.1, with what the types that are known carry (sections 7.2, 6.3.2; OpenSSH PROTOCOL section 2.4). */
export interface ChannelOpen {
  readonly type: string;
  readonly sender: number;
  readonly window: number;
  readonly packetBytes: number;
  readonly data: Buffer;
}
export function parseChannelOpen(payload: Buffer): ChannelOpen {
  const reader = new Reader(payload);
  const type = reader.text();
  const [sender, window, packetBytes] = [reader.uint32(), reader.uint32(), reader.uint32()];
  return { type, sender, window, packetBytes, data: Buffer.from(reader.rest()) };
}

/** RFC 4254 section 7.2: an address that is to be reached, or was, and where the connection began. */
export interface TcpAddresses {
  readonly host: string;
  readonly port: number;
  readonly originHost: string;
  readonly originPort: number;
}
export function parseTcpAddresses(data: Buffer): TcpAddresses {
  const reader = new Reader(data, 0);
  return { host: reader.text(), port: reader.uint32(), originHost: reader.text(), originPort: reader.uint32() };
}

/** RFC 4254 section 5.4. */
export interface ChannelRequest {
  readonly recipient: number;
  readonly type: string;
  readonly wantReply: boolean;
  readonly data: Buffer;
}
export function parseChannelRequest(payload: Buffer): ChannelRequest {
  const reader = new Reader(payload);
  return {
    recipient: reader.uint32(),
    type: reader.text(),
    wantReply: reader.bool(),
    data: Buffer.from(reader.rest()),
  };
}

/** RFC 4254 section 6.2. Modes stay as they came. */
export interface PtyRequest {
  readonly term: string;
  readonly columns: number;
  readonly rows: number;
}
export function parsePty(data: Buffer): PtyRequest {
  const reader = new Reader(data, 0);
  const term = reader.text();
  const [columns, rows] = [reader.uint32(), reader.uint32()];
  reader.uint32();
  reader.uint32();
  reader.string();
  return { term, columns, rows };
}

/** RFC 4254 section 6.7. */
export function parseWindowChange(data: Buffer): { readonly columns: number; readonly rows: number } {
  const reader = new Reader(data, 0);
  return { columns: reader.uint32(), rows: reader.uint32() };
}

/** RFC 4254 section 6.10. */
export interface ExitSignal {
  readonly signal: string;
  readonly message: string;
}
export function parseExitSignal(data: Buffer): ExitSignal {
  const reader = new Reader(data, 0);
  const signal = reader.text();
  reader.bool();
  return { signal, message: reader.text() };
}
