/**
 * WebSocket frames (RFC 6455 section 5) of one direction: incremental, at any split; payloads pass as they come. Refuses what no
 * peer of an API server sends: reserved bits, unmasked frames of a client, masked ones of a server, control frames in pieces.
 */
import { randomBytes } from 'node:crypto';
import { GatewayError } from '@sallyport/core';

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

const HEAD_BYTES_MAX = 14;
/** Of one frame; more is no stream of a terminal or a file (client-go sends 32 KiB). */
const FRAME_BYTES_MAX = 64 * 1024 * 1024;

export interface FrameSink {
  /** A piece of a data frame's payload, unmasked, lent for the call. `first` of its message; `last` when the message is over. */
  data(opcode: number, bytes: Buffer, first: boolean, last: boolean): void;
  control(opcode: number, payload: Buffer): void;
}

const malformed = (reason: string): GatewayError => new GatewayError('kubernetes.stream', { reason });

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #fromClient: boolean;
  #head: Buffer = Buffer.alloc(0);
  #left = 0;
  #mask: Buffer | undefined;
  #masked = 0;
  #opcode = 0;
  #final = false;
  /** Opcode of the message that is open; 0 = none. */
  #message = 0;
  #isFirst = true;
  #control: Buffer[] | undefined;

  constructor(fromClient: boolean, sink: FrameSink) {
    this.#fromClient = fromClient;
    this.#sink = sink;
  }

  /** @throws GatewayError `kubernetes.stream` */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        const piece = chunk.subarray(at, at + this.#left);
        at += piece.length;
        this.#payload(piece);
        continue;
      }
      const room = HEAD_BYTES_MAX - this.#head.length;
      const head = Buffer.concat([this.#head, chunk.subarray(at, at + room)]);
      const size = headSize(head);
      if (size === undefined || head.length < size) {
        this.#head = head;
        return;
      }
      at += size - this.#head.length;
      this.#head = Buffer.alloc(0);
      this.#begin(head.subarray(0, size));
    }
  }

  #begin(head: Buffer): void {
    const [first = 0, second = 0] = head;
    if ((first & 0x70) !== 0) throw malformed('reserved bits');
    const isMasked = (second & 0x80) !== 0;
    if (isMasked !== this.#fromClient) throw malformed('masking');
    this.#opcode = first & 15;
    this.#final = (first & 0x80) !== 0;
    const short = second & 127;
    const size = short < 126 ? short : short === 126 ? head.readUInt16BE(2) : Number(head.readBigUInt64BE(2));
    if (size > FRAME_BYTES_MAX) throw malformed('a frame too long');
    this.#mask = isMasked ? Buffer.from(head.subarray(head.length - 4)) : undefined;
    this.#masked = 0;
    this.#left = size;
    if (this.#opcode >= CLOSE) {
      if (!this.#final || size > 125 || this.#opcode > PONG) throw malformed('a control frame');
      this.#control = [];
    } else {
      if (this.#opcode > BINARY || (this.#opcode === CONTINUATION) !== (this.#message !== 0))
        throw malformed('an opcode');
      if (this.#opcode !== CONTINUATION) {
        this.#message = this.#opcode;
        this.#isFirst = true;
      }
    }
    if (size === 0) this.#payload(Buffer.alloc(0));
  }

  #payload(piece: Buffer): void {
    this.#left -= piece.length;
    let bytes = piece;
    if (this.#mask !== undefined) {
      bytes = Buffer.allocUnsafe(piece.length);
      for (let i = 0; i < piece.length; i++) bytes[i] = piece[i]! ^ this.#mask[this.#masked++ & 3]!;
    }
    const isEnd = this.#left === 0;
    if (this.#control !== undefined) {
      this.#control.push(Buffer.from(bytes));
      if (!isEnd) return;
      const payload = Buffer.concat(this.#control);
      this.#control = undefined;
      this.#sink.control(this.#opcode, payload);
      return;
    }
    const isLast = isEnd && this.#final;
    const opcode = this.#message;
    const isFirst = this.#isFirst;
    if (isLast) this.#message = 0;
    this.#isFirst = false;
    this.#sink.data(opcode, bytes, isFirst, isLast);
  }
}

/** Bytes of the head that begins here; undefined until the first two are there. */
function headSize(head: Buffer): number | undefined {
  const second = head[1];
  if (second === undefined) return undefined;
  const short = second & 127;
  return 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + ((second & 0x80) === 0 ? 0 : 4);
}

/** One whole frame. @param masked as a client must */
export function frame(opcode: number, payload: Uint8Array, masked: boolean): Buffer {
  const size = payload.length;
  const extra = size < 126 ? 0 : size < 65_536 ? 2 : 8;
  const head = Buffer.alloc(2 + extra + (masked ? 4 : 0));
  head[0] = 0x80 | opcode;
  head[1] = (masked ? 0x80 : 0) | (extra === 0 ? size : extra === 2 ? 126 : 127);
  if (extra === 2) head.writeUInt16BE(size, 2);
  if (extra === 8) head.writeBigUInt64BE(BigInt(size), 2);
  if (!masked) return Buffer.concat([head, payload]);
  const key = randomBytes(4);
  key.copy(head, 2 + extra);
  const body = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i++) body[i] = payload[i]! ^ key[i & 3]!;
  return Buffer.concat([head, body]);
}
