/**
 * The channels of exec and attach inside WebSocket messages: the first byte says which. Refuses other subprotocols than the two
 * that tell how a command ended. Kubernetes, staging/src/k8s.io/apimachinery/pkg/util/remotecommand/constants.go.
 */
import { randomBytes } from 'node:crypto';
import { GatewayError } from '@sallyport/core';
import { encodeWebSocketFrame, type FrameHead, FrameReader, type FrameSink, OPCODES } from '@sallyport/http';

export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;
export const ERROR = 3;
export const RESIZE = 4;
/** v5: the channel named by the next byte is over. */
export const CLOSING = 255;

export const EXEC_SUBPROTOCOLS: readonly string[] = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];
/** Of port-forward: kubectl's, and the one of client libraries. */
export const FORWARD_SUBPROTOCOLS: readonly string[] = ['SPDY/3.1+portforward.k8s.io', 'v4.channel.k8s.io'];

/** What is read as a whole: a status, a size. */
const WHOLE_BYTES_MAX = 64 * 1024;

export interface ChannelSink {
  /** A piece of a stream's bytes, lent for the call; none for a message that has none. */
  stream(channel: number, bytes: Buffer): void;
  /** A whole message of the channels that carry none. */
  whole(channel: number, bytes: Buffer): void;
  /** Ping, pong, close. */
  control(opcode: number, payload: Buffer): void;
  /** What a channel's message cannot be. */
  odd(reason: string): void;
}

const isStream = (channel: number): boolean => channel <= STDERR;

/** Of one frame; more is no stream of a terminal or a file (client-go sends 32 KiB). */
const FRAME_BYTES_MAX = 64 * 1024 * 1024;
const malformed = (reason: string): GatewayError => new GatewayError('kubernetes.stream', { reason });

/** Bytes of one side in, channels out. */
export class ChannelReader implements FrameSink {
  readonly #frames: FrameReader;
  readonly #sink: ChannelSink;
  /** Of the message that comes; -1 until its first byte. */
  #channel = -1;
  #gathered: Uint8Array[] = [];
  #size = 0;
  #control: Uint8Array[] = [];

  constructor(fromClient: boolean, sink: ChannelSink) {
    this.#frames = new FrameReader(fromClient);
    this.#sink = sink;
  }

  /** @throws GatewayError `kubernetes.stream` */
  push(chunk: Uint8Array): void {
    this.#frames.push(chunk, this);
    if (this.#frames.broken) throw malformed('a frame that is none');
  }

  head(frame: FrameHead): void {
    if (frame.length > FRAME_BYTES_MAX) throw malformed('a frame too long');
    if (frame.opcode >= OPCODES.close) this.#control = [];
    else if (frame.opcode === OPCODES.binary) this.#channel = -1;
    else if (frame.opcode === OPCODES.text) this.#sink.odd('a text message');
  }

  payload(_raw: Uint8Array, plain: Uint8Array): void {
    if (this.#frames.isControl) return void this.#control.push(Uint8Array.from(plain));
    let rest = plain;
    if (this.#channel < 0) {
      this.#channel = rest[0]!;
      rest = rest.subarray(1);
      this.#gathered = [];
      this.#size = 0;
    }
    if (isStream(this.#channel)) {
      this.#size += rest.length;
      if (rest.length > 0) this.#sink.stream(this.#channel, asBuffer(rest));
      return;
    }
    this.#size += rest.length;
    if (this.#size > WHOLE_BYTES_MAX) this.#sink.odd('a message too long');
    else this.#gathered.push(Uint8Array.from(rest));
  }

  end(frame: FrameHead): void {
    if (frame.opcode >= OPCODES.close) this.#sink.control(frame.opcode, Buffer.concat(this.#control));
    else if (frame.fin && this.#channel >= 0) this.#endMessage();
  }

  #endMessage(): void {
    if (!isStream(this.#channel)) this.#sink.whole(this.#channel, Buffer.concat(this.#gathered));
    else if (this.#size === 0) this.#sink.stream(this.#channel, Buffer.alloc(0));
  }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** One whole frame. @param masked as a client must */
export const frame = (opcode: number, payload: Uint8Array, masked: boolean): Buffer =>
  encodeWebSocketFrame(opcode, payload, masked ? randomBytes(4) : undefined);

/** One whole message of a channel. @param masked as a client must */
export const channelFrame = (channel: number, bytes: Uint8Array, masked: boolean): Buffer =>
  encodeWebSocketFrame(OPCODES.binary, bytes, masked ? randomBytes(4) : undefined, channel);

/** How a command ended, as the error channel tells it; undefined for what is no status. */
export function endOf(status: Buffer): { readonly code?: number } | undefined {
  const read = parsed(status);
  if (read === undefined) return undefined;
  if (read['status'] === 'Success') return { code: 0 };
  const { causes } = (read['details'] ?? {}) as { causes?: unknown };
  if (!Array.isArray(causes)) return {};
  for (const cause of causes as readonly { reason?: unknown; message?: unknown }[])
    if (cause.reason === 'ExitCode' && /^\d{1,3}$/.test(String(cause.message))) return { code: Number(cause.message) };
  return {};
}

export function sizeOf(resize: Buffer): { readonly columns: number; readonly rows: number } | undefined {
  const { Width, Height } = parsed(resize) ?? {};
  return Number.isInteger(Width) && Number.isInteger(Height) && isSize(Number(Width)) && isSize(Number(Height))
    ? { columns: Number(Width), rows: Number(Height) }
    : undefined;
}
const isSize = (value: number): boolean => value >= 0 && value <= 65_535;

function parsed(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // No status, no size: whoever asks says what that means.
    return undefined;
  }
}
