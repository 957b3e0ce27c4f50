/**
 * The channels of exec and attach inside WebSocket messages: the first byte says which. Refuses other subprotocols than the two
 * that tell how a command ended. Kubernetes, staging/src/k8s.io/apimachinery/pkg/util/remotecommand/constants.go.
 */
import { FrameReader } from './codec.ts';

export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;
export const ERROR = 3;
export const RESIZE = 4;
/** v5: the channel named by the next byte is over. */
export const CLOSING = 255;

export const EXEC_SUBPROTOCOLS: readonly string[] = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];
export const TUNNEL_SUBPROTOCOL = 'SPDY/3.1+portforward.k8s.io';

/** What is read as a whole: a status, a size. */
const WHOLE_BYTES_MAX = 64 * 1024;

export interface ChannelSink {
  /** A piece of a stream's bytes, lent for the call. */
  stream(channel: number, bytes: Buffer): void;
  /** A whole message of the channels that carry none. */
  whole(channel: number, bytes: Buffer): void;
  /** Ping, pong, close. */
  control(opcode: number, payload: Buffer): void;
  /** What a channel's message cannot be. */
  odd(reason: string): void;
}

const isStream = (channel: number): boolean => channel <= STDERR;

/** Bytes of one side in, channels out. */
export function channelReader(fromClient: boolean, sink: ChannelSink): FrameReader {
  let channel = -1;
  let gathered: Buffer[] = [];
  let size = 0;
  return new FrameReader(fromClient, {
    control: (opcode, payload) => sink.control(opcode, payload),
    data: (opcode, bytes, first, last) => {
      if (opcode !== 2) return sink.odd('a text message');
      let rest = bytes;
      if (first) channel = -1;
      if (channel < 0 && rest.length > 0) {
        channel = rest[0]!;
        rest = rest.subarray(1);
        gathered = [];
        size = 0;
      }
      if (channel < 0) return;
      if (isStream(channel)) {
        if (rest.length > 0 || last) sink.stream(channel, rest);
        return;
      }
      size += rest.length;
      if (size > WHOLE_BYTES_MAX) return sink.odd('a message too long');
      gathered.push(Buffer.from(rest));
      if (last) sink.whole(channel, Buffer.concat(gathered));
    },
  });
}

export const onChannel = (channel: number, bytes: Uint8Array): Buffer => Buffer.concat([Buffer.of(channel), bytes]);

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

export function parsed(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // No status, no size: whoever asks says what that means.
    return undefined;
  }
}
