/**
 * Reads exact lengths off a socket in paused mode, so that whatever follows stays in the stream for the pump.
 * Refuses to read without a deadline.
 */
import type { Duplex } from 'node:stream';
import { GatewayError, LIMITS } from '@sallyport/core';

/** @returns exactly `length` bytes, or undefined when the peer has closed before the first @throws GatewayError `protocol.malformed` when it closes in between */
export async function readExactly(socket: Duplex, length: number): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let had = 0;
  for (;;) {
    // Everything there is, and the surplus put back: with bytes left in the buffer, waiting for 'readable' would spin.
    const chunk = socket.read() as Buffer | null;
    if (chunk !== null) {
      parts.push(chunk);
      had += chunk.length;
      if (had < length) continue;
      const all = parts.length === 1 ? chunk : Buffer.concat(parts);
      if (had > length) socket.unshift(all.subarray(length));
      return all.subarray(0, length);
    }
    if (socket.readableEnded || socket.destroyed) {
      if (had === 0) return undefined;
      throw new GatewayError('protocol.malformed', { reason: 'short' });
    }
    await readable(socket);
  }
}

function readable(socket: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    const events = ['readable', 'end', 'close'] as const;
    const done = (): void => {
      for (const event of events) socket.off(event, done);
      socket.off('error', failed);
      resolve();
    };
    const failed = (error: Error): void => {
      for (const event of events) socket.off(event, done);
      socket.off('error', failed);
      reject(error);
    };
    for (const event of events) socket.once(event, done);
    socket.once('error', failed);
  });
}

export interface TypedMessage {
  readonly type: string;
  readonly body: Buffer;
  /** Head and body, to pass it on. */
  readonly bytes: Buffer;
}

/** One typed message. @throws GatewayError `protocol.malformed`, `frame.too_large` */
export async function readMessage(socket: Duplex, bytesMax: number): Promise<TypedMessage | undefined> {
  const head = await readExactly(socket, 5);
  if (head === undefined) return undefined;
  const length = head.readInt32BE(1) - 4;
  if (length < 0) throw new GatewayError('protocol.malformed');
  if (length > bytesMax) throw new GatewayError('frame.too_large');
  const body = length === 0 ? Buffer.alloc(0) : await readExactly(socket, length);
  if (body === undefined) throw new GatewayError('protocol.malformed', { reason: 'short' });
  return { type: head.toString('latin1', 0, 1), body, bytes: Buffer.concat([head, body]) };
}

/** One packet without a type byte: the first of a connection. @throws GatewayError `protocol.malformed`, `frame.too_large` */
export async function readFirstPacket(socket: Duplex): Promise<Buffer | undefined> {
  const head = await readExactly(socket, 4);
  if (head === undefined) return undefined;
  const length = head.readInt32BE(0);
  if (length < 8) throw new GatewayError('protocol.malformed');
  if (length > LIMITS.startupBytesMax) throw new GatewayError('frame.too_large');
  const rest = await readExactly(socket, length - 4);
  if (rest === undefined) throw new GatewayError('protocol.malformed', { reason: 'short' });
  return Buffer.concat([head, rest]);
}
