/**
 * Channels of one SSH connection, either side (RFC 4254 section 5): numbers, windows, data, ends. Bytes go from channel to
 * channel without a stream between; what a peer's window does not take waits here, and whoever sends is told to stop by not
 * getting window. Refuses to know what a channel is for. A peer that sends beyond its window ends the connection.
 * Limits: LIMITS.sshChannelsMax, LIMITS.sshWindowBytes.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import type { SshTransport } from './codec.ts';
import {
  bool,
  byte,
  type ChannelOpen,
  type ChannelRequest,
  encode,
  MSG,
  OPEN_FAILURE,
  parseChannelOpen,
  parseChannelRequest,
  Reader,
  raw,
  STDERR,
  string,
  uint32,
} from './messages.ts';

/** What a channel tells its owner. `chunk` is lent for the call. */
export interface ChannelOwner {
  /** Nothing of a chunk is kept behind the call, by nobody it is given to: its memory is used again at once. */
  readonly takesLent?: boolean;
  data(chunk: Buffer, isStderr: boolean): void;
  eof(): void;
  /** Both sides are closed: nothing is said after this. */
  closed(): void;
  request(request: ChannelRequest): void;
  /** Everything that waited for the peer's window has gone. */
  drained(): void;
}

export interface ChannelsOwner {
  /** The peer opens one: answer by `accept` or `refuse`, now or later. */
  opened(open: ChannelOpen): void;
  globalRequest(name: string, wantReply: boolean, data: Buffer): void;
  /** The peer does not keep to the protocol, which was noticed late. */
  broken(error: unknown): void;
}

const PACKET_BYTES = 32 * 1024;
const OPENING_MAX = 64;
/** Requests before anybody owns the channel. */
const EARLY_MAX = 64;

interface Waiting {
  readonly bytes: Buffer;
  readonly stderr: boolean;
  /** Memory of the process's that the bytes stand in: another's when they have gone. */
  readonly room: Buffer | undefined;
}

/** Less has memory of its own size. */
const ROOM_BYTES_MIN = 24 * 1024;
const ROOMS_KEPT = 64;
// Where windows are shorter than reads, much waits for a moment: new memory for it each time would be garbage by the gigabyte.
const rooms: Buffer[] = [];

/** @param bytes at most a packet's */
function waiting(bytes: Buffer, stderr: boolean): Waiting {
  if (bytes.length < ROOM_BYTES_MIN) return { bytes: Buffer.from(bytes), stderr, room: undefined };
  const room = rooms.pop() ?? Buffer.allocUnsafeSlow(PACKET_BYTES);
  bytes.copy(room);
  return { bytes: room.subarray(0, bytes.length), stderr, room };
}

export class Channel {
  #owner: ChannelOwner | undefined;
  /** What the peer said before anybody owned the channel, no more than its window; undefined from then on. */
  #early: ((owner: ChannelOwner) => void)[] | undefined = [];
  readonly local: number;
  readonly #channels: Channels;
  remote = 0;
  #outgoing = 0;
  #packetBytes = 0;
  #incoming = LIMITS.sshWindowBytes;
  #owed = 0;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #eofWanted = false;
  #eofSent = false;
  #closeWanted = false;
  #closeSent = false;
  #peerEof = false;
  #peerClosed = false;
  /** Answers to our requests, in order (section 5.4). */
  readonly #replies: ((ok: boolean) => void)[] = [];

  constructor(channels: Channels, local: number) {
    this.#channels = channels;
    this.local = local;
  }

  /** Set once, and told in the next microtask what came before. */
  set owner(owner: ChannelOwner) {
    this.#owner = owner;
    if (this.#early?.length === 0) this.#early = undefined;
    else queueMicrotask(() => this.#catchUp(owner));
  }

  #catchUp(owner: ChannelOwner): void {
    try {
      for (let tell = this.#early?.shift(); tell !== undefined; tell = this.#early?.shift()) tell(owner);
    } catch (error) {
      this.#channels.broken(error);
    }
    this.#early = undefined;
  }

  /** In the order in which the peer said it. */
  #tell(tell: (owner: ChannelOwner) => void): void {
    if (this.#early !== undefined) this.#early.push(tell);
    else if (this.#owner !== undefined) tell(this.#owner);
  }

  /** @internal */
  begin(remote: number, window: number, packetBytes: number): void {
    this.remote = remote;
    this.#outgoing = window;
    this.#packetBytes = Math.min(packetBytes, PACKET_BYTES);
    if (this.#packetBytes < 1) throw new GatewayError('protocol.malformed', { what: 'maximum packet size' });
  }

  /** Bytes that wait for the peer's window. */
  get queued(): number {
    return this.#waitingBytes;
  }

  get closing(): boolean {
    return this.#closeWanted || this.#peerClosed;
  }

  /** Takes the bytes at once. @returns false while something waits: give no more window until `drained` */
  write(bytes: Buffer, isStderr = false): boolean {
    if (this.#eofWanted || this.#closeWanted || bytes.length === 0) return true;
    const sent = this.#waiting.length === 0 ? this.#sendNow(bytes, isStderr) : 0;
    if (sent < bytes.length) {
      for (let at = sent; at < bytes.length; at += PACKET_BYTES)
        this.#waiting.push(waiting(bytes.subarray(at, at + PACKET_BYTES), isStderr));
      this.#waitingBytes += bytes.length - sent;
    }
    return this.#waitingBytes === 0;
  }

  /** What was written has left, as far as the peer's window goes. */
  flush(): void {
    this.#channels.flush();
  }

  /** Nothing more will be written. */
  eof(): void {
    if (this.#eofWanted) return;
    this.#eofWanted = true;
    this.#finish();
  }

  /** Closes once everything is written. */
  close(): void {
    if (this.#closeWanted) return;
    this.#closeWanted = true;
    this.#finish();
  }

  /** Closes at once: what waits is given up. */
  abort(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.close();
  }

  /** `bytes` of the data given to the owner were passed on: the peer may send as many more. */
  took(bytes: number): void {
    this.#owed += bytes;
    if (this.#owed < LIMITS.sshWindowBytes / 2 || this.#closeSent || this.#peerEof) return;
    this.#incoming += this.#owed;
    this.#channels.send(encode(byte(MSG.channelWindowAdjust), uint32(this.remote), uint32(this.#owed)));
    this.#owed = 0;
  }

  /** A request of ours. @param replied told once, where an answer is wanted */
  request(type: string, data: Uint8Array, replied?: (ok: boolean) => void): void {
    if (this.#closeSent) return;
    if (replied !== undefined) this.#replies.push(replied);
    this.#channels.send(
      encode(byte(MSG.channelRequest), uint32(this.remote), string(type), bool(replied !== undefined), raw(data)),
    );
  }

  answer(ok: boolean): void {
    if (this.#closeSent) return;
    this.#channels.send(encode(byte(ok ? MSG.channelSuccess : MSG.channelFailure), uint32(this.remote)));
  }

  #sendNow(bytes: Buffer, isStderr: boolean): number {
    let at = 0;
    while (at < bytes.length && this.#outgoing > 0) {
      const size = Math.min(bytes.length - at, this.#outgoing, this.#packetBytes);
      this.#channels.sendData(this.remote, bytes, at, size, isStderr);
      this.#outgoing -= size;
      at += size;
    }
    return at;
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#outgoing > 0) {
      const next = this.#waiting[0]!;
      const sent = this.#sendNow(next.bytes, next.stderr);
      this.#waitingBytes -= sent;
      if (sent < next.bytes.length) this.#waiting[0] = { ...next, bytes: next.bytes.subarray(sent) };
      else if (this.#waiting.shift()?.room !== undefined && rooms.length < ROOMS_KEPT) rooms.push(next.room!);
    }
    if (this.#waiting.length === 0) {
      this.#finish();
      if (!this.#closeWanted) this.#tell((owner) => owner.drained());
    }
  }

  #finish(): void {
    if (this.#waiting.length > 0) return;
    if (this.#eofWanted && !this.#eofSent && !this.#closeSent) {
      this.#eofSent = true;
      this.#channels.send(encode(byte(MSG.channelEof), uint32(this.remote)));
    }
    if (this.#closeWanted && !this.#closeSent) {
      this.#closeSent = true;
      this.#channels.send(encode(byte(MSG.channelClose), uint32(this.remote)));
      this.#end();
    }
  }

  /** Section 5.3: a channel is gone when both have said so. */
  #end(): void {
    if (!this.#closeSent || !this.#peerClosed) return;
    this.#channels.forget(this.local);
    this.gone();
  }

  /** @internal */
  gone(): void {
    for (const replied of this.#replies.splice(0)) replied(false);
    this.#tell((owner) => {
      this.#owner = undefined;
      owner.closed();
    });
  }

  /** @internal From the peer. */
  received(message: number, reader: Reader, payload: Buffer): void {
    switch (message) {
      case MSG.channelData:
        return this.#data(reader.string(), false);
      case MSG.channelExtendedData: {
        const kind = reader.uint32();
        const bytes = reader.string();
        return this.#data(bytes, kind === STDERR);
      }
      case MSG.channelWindowAdjust: {
        this.#channels.passed();
        this.#outgoing += reader.uint32();
        if (this.#outgoing > 0xffff_ffff) throw new GatewayError('protocol.malformed', { what: 'window' });
        return this.#flush();
      }
      case MSG.channelEof:
        if (this.#peerEof) return;
        this.#peerEof = true;
        return this.#tell((owner) => owner.eof());
      case MSG.channelClose:
        if (this.#peerClosed) return;
        this.#peerClosed = true;
        this.#waiting = [];
        this.#waitingBytes = 0;
        this.#closeWanted = true;
        return this.#closeSent ? this.#end() : this.#finish();
      case MSG.channelRequest:
        return this.#requested(parseChannelRequest(payload));
      case MSG.channelSuccess:
      case MSG.channelFailure:
        return this.#replies.shift()?.(message === MSG.channelSuccess);
      default:
        throw new GatewayError('protocol.unexpected', { message });
    }
  }

  #requested(request: ChannelRequest): void {
    if (this.#early === undefined) return this.#owner?.request(request);
    if (this.#early.length >= EARLY_MAX) throw new GatewayError('protocol.unexpected', { reason: 'too many requests' });
    const own = { ...request, data: Buffer.from(request.data) };
    this.#early.push((owner) => owner.request(own));
  }

  #data(bytes: Buffer, isStderr: boolean): void {
    this.#incoming -= bytes.length;
    if (this.#incoming < 0 || this.#peerEof)
      throw new GatewayError('protocol.malformed', { what: 'data beyond the window' });
    if (this.#closeWanted) return this.took(bytes.length);
    if (this.#early !== undefined) {
      const own = Buffer.from(bytes);
      this.#early.push((owner) => owner.data(own, isStderr));
    } else if (this.#owner === undefined) this.took(bytes.length);
    else {
      if (this.#owner.takesLent === true) this.#channels.passed();
      this.#owner.data(bytes, isStderr);
    }
  }

  /** Its owner cannot go on. */
  broken(error: unknown): void {
    this.#channels.broken(error);
  }
}

export class Channels {
  readonly #transport: SshTransport;
  readonly #owner: ChannelsOwner;
  readonly #byId = new Map<number, Channel>();
  readonly #opening = new Map<number, (result: Channel | GatewayError) => void>();
  readonly #globalReplies: ((ok: boolean, data: Buffer) => void)[] = [];
  #next = 0;
  #reserved = 0;

  constructor(transport: SshTransport, owner: ChannelsOwner) {
    this.#transport = transport;
    this.#owner = owner;
  }

  get count(): number {
    return this.#byId.size + this.#reserved;
  }

  send(payload: Uint8Array): void {
    this.#transport.send(payload);
  }

  /** @internal */
  flush(): void {
    this.#transport.flush();
  }

  /** @internal Nothing is kept of the message at hand. */
  passed(): void {
    this.#transport.passed();
  }

  /** Straight into the packet: the one copy there is. */
  sendData(remote: number, bytes: Buffer, from: number, size: number, isStderr: boolean): void {
    const head = isStderr ? 13 : 9;
    const { buffer, at } = this.#transport.packet(head + size);
    buffer[at] = isStderr ? MSG.channelExtendedData : MSG.channelData;
    buffer.writeUInt32BE(remote, at + 1);
    if (isStderr) buffer.writeUInt32BE(STDERR, at + 5);
    buffer.writeUInt32BE(size, at + head - 4);
    bytes.copy(buffer, at + head, from, from + size);
    this.#transport.sendPacket(buffer);
  }

  /** Opens one of ours. @throws nothing: `done` is told, with `upstream.unreachable` when the peer refuses */
  open(type: string, data: Uint8Array, done: (result: Channel | GatewayError) => void): void {
    if (this.#opening.size >= OPENING_MAX) return done(new GatewayError('session.limit', { reason: 'channels' }));
    const local = this.#next++;
    this.#opening.set(local, done);
    this.send(
      encode(
        byte(MSG.channelOpen),
        string(type),
        uint32(local),
        uint32(LIMITS.sshWindowBytes),
        uint32(PACKET_BYTES),
        raw(data),
      ),
    );
  }

  /** The peer's. @returns undefined when there are too many: then it is refused already */
  accept(open: ChannelOpen): Channel | undefined {
    if (this.#byId.size >= LIMITS.sshChannelsMax) {
      this.refuse(open, OPEN_FAILURE.shortage, 'too many channels');
      return undefined;
    }
    const channel = new Channel(this, this.#next++);
    channel.begin(open.sender, open.window, open.packetBytes);
    this.#byId.set(channel.local, channel);
    this.send(
      encode(
        byte(MSG.channelOpenConfirmation),
        uint32(open.sender),
        uint32(channel.local),
        uint32(LIMITS.sshWindowBytes),
        uint32(PACKET_BYTES),
      ),
    );
    return channel;
  }

  refuse(open: ChannelOpen, reason: number, text: string): void {
    this.send(encode(byte(MSG.channelOpenFailure), uint32(open.sender), uint32(reason), string(text), string('')));
  }

  globalRequest(name: string, data: Uint8Array, replied: (ok: boolean, data: Buffer) => void): void {
    this.#globalReplies.push(replied);
    this.send(encode(byte(MSG.globalRequest), string(name), bool(true), raw(data)));
  }

  answerGlobal(ok: boolean, data: Uint8Array = new Uint8Array()): void {
    this.send(ok ? encode(byte(MSG.requestSuccess), raw(data)) : encode(byte(MSG.requestFailure)));
  }

  /** Something is said where an answer has to wait: a peer that counts silences knows that we are there (RFC 4253 section 11.2). */
  alive(): void {
    this.send(encode(byte(MSG.ignore), string('')));
  }

  /** @internal */
  broken(error: unknown): void {
    this.#owner.broken(error);
  }

  forget(local: number): void {
    this.#byId.delete(local);
  }

  /** One message of the peer, 80 to 100. @throws GatewayError `protocol.malformed`, `protocol.unexpected` */
  message(payload: Buffer): void {
    const type = payload[0]!;
    switch (type) {
      case MSG.globalRequest: {
        const reader = new Reader(payload);
        const name = reader.text();
        const wantReply = reader.bool();
        return this.#owner.globalRequest(name, wantReply, Buffer.from(reader.rest()));
      }
      case MSG.requestSuccess:
      case MSG.requestFailure:
        return this.#globalReplies.shift()?.(type === MSG.requestSuccess, Buffer.from(payload.subarray(1)));
      case MSG.channelOpen:
        return this.#owner.opened(parseChannelOpen(payload));
      case MSG.channelOpenConfirmation:
      case MSG.channelOpenFailure:
        return this.#answered(type, new Reader(payload));
      default: {
        if (type < MSG.channelOpen || type > MSG.channelFailure)
          throw new GatewayError('protocol.unexpected', { type });
        const reader = new Reader(payload);
        // A channel that is gone here may still be spoken of by a peer that has not heard.
        this.#byId.get(reader.uint32())?.received(type, reader, payload);
      }
    }
  }

  #answered(type: number, reader: Reader): void {
    const local = reader.uint32();
    const done = this.#opening.get(local);
    if (done === undefined) throw new GatewayError('protocol.unexpected', { type });
    this.#opening.delete(local);
    if (type === MSG.channelOpenFailure) {
      const reason = reader.uint32();
      return done(new GatewayError('upstream.unreachable', { reason, said: reader.text().slice(0, 200) }));
    }
    const channel = new Channel(this, local);
    channel.begin(reader.uint32(), reader.uint32(), reader.uint32());
    this.#byId.set(local, channel);
    done(channel);
  }

  /** The connection is gone. */
  end(): void {
    const error = new GatewayError('upstream.unreachable', { reason: 'connection closed' });
    for (const done of this.#opening.values()) done(error);
    this.#opening.clear();
    for (const channel of this.#byId.values()) channel.gone();
    this.#byId.clear();
  }
}
