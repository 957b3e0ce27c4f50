/**
 * Frames of a WebSocket, one direction (RFC 6455 section 5): strict, incremental, payload never gathered here. Refuses what an
 * endpoint must refuse: extensions nobody agreed to, unknown opcodes, wrong masking, lengths not in their shortest form,
 * fragmented or long control frames, continuations of nothing.
 */

export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface FrameHead {
  readonly fin: boolean;
  readonly opcode: number;
  /** Bytes of payload. */
  readonly length: number;
  /** The frame's header as it came. */
  readonly raw: Uint8Array;
}

/** Told of each frame in order. Bytes are lent for the call. */
export interface FrameSink {
  head(frame: FrameHead): void;
  /** @param raw as it came; @param plain without the mask */
  payload(raw: Uint8Array, plain: Uint8Array): void;
  end(frame: FrameHead): void;
}

/** Of a ping, a pong or a close (section 5.5). */
export const CONTROL_BYTES_MAX = 125;
const HEAD_BYTES_MAX = 14;

export class FrameReader {
  /** Set once the peer broke the protocol: nothing more is read. */
  broken = false;
  readonly #fromClient: boolean;
  readonly #head = Buffer.alloc(HEAD_BYTES_MAX);
  #headBytes = 0;
  #frame: FrameHead | undefined;
  #left = 0;
  #key: Uint8Array | undefined;
  #keyAt = 0;
  /** A message has begun and not ended. */
  #inMessage = false;

  /** @param fromClient its frames are masked; a server's never are (section 5.1) */
  constructor(fromClient: boolean) {
    this.#fromClient = fromClient;
  }

  /** The frame that comes is a control frame. */
  get isControl(): boolean {
    return (this.#frame?.opcode ?? 0) >= 8;
  }

  push(chunk: Uint8Array, sink: FrameSink): void {
    for (let at = 0; at < chunk.length && !this.broken; ) {
      if (this.#frame === undefined) {
        this.#head[this.#headBytes++] = chunk[at++]!;
        if (this.#headBytes === this.#headSize()) this.#begin(sink);
        continue;
      }
      const take = Math.min(this.#left, chunk.length - at);
      const raw = chunk.subarray(at, at + take);
      this.#left -= take;
      at += take;
      sink.payload(raw, this.#unmasked(raw));
      if (this.#left === 0) this.#endFrame(sink);
    }
  }

  /** Bytes the header has, as far as it is known; more than there are while it is not. */
  #headSize(): number {
    if (this.#headBytes < 2) return 2;
    const length = this.#head[1]! & 0x7f;
    return 2 + (length === 127 ? 8 : length === 126 ? 2 : 0) + ((this.#head[1]! & 0x80) === 0 ? 0 : 4);
  }

  #begin(sink: FrameSink): void {
    const head = this.#head;
    const [first, second] = [head[0]!, head[1]!];
    const opcode = first & 15;
    const fin = (first & 0x80) !== 0;
    const short = second & 0x7f;
    const length = short === 127 ? Number(head.readBigUInt64BE(2)) : short === 126 ? head.readUInt16BE(2) : short;
    const isControl = opcode >= 8;
    const isWrong =
      (first & 0x70) !== 0 ||
      (opcode > 2 && opcode < 8) ||
      opcode > 10 ||
      ((second & 0x80) !== 0) !== this.#fromClient ||
      (short === 126 && length < 126) ||
      (short === 127 && (length < 65_536 || length > Number.MAX_SAFE_INTEGER)) ||
      (isControl && (!fin || length > CONTROL_BYTES_MAX)) ||
      (!isControl && (opcode === 0) !== this.#inMessage) ||
      (opcode === 8 && length === 1);
    if (isWrong) {
      this.broken = true;
      return;
    }
    if (!isControl) this.#inMessage = !fin;
    const raw = Uint8Array.from(head.subarray(0, this.#headBytes));
    this.#key = this.#fromClient ? raw.subarray(raw.length - 4) : undefined;
    this.#keyAt = 0;
    this.#headBytes = 0;
    this.#frame = { fin, opcode, length, raw };
    this.#left = length;
    sink.head(this.#frame);
    if (length === 0) this.#endFrame(sink);
  }

  #endFrame(sink: FrameSink): void {
    const frame = this.#frame;
    this.#frame = undefined;
    if (frame !== undefined) sink.end(frame);
  }

  #unmasked(raw: Uint8Array): Uint8Array {
    const key = this.#key;
    if (key === undefined) return raw;
    const plain = Buffer.allocUnsafe(raw.length);
    for (let i = 0; i < raw.length; i++) plain[i] = raw[i]! ^ key[(this.#keyAt + i) & 3]!;
    this.#keyAt = (this.#keyAt + raw.length) & 3;
    return plain;
  }
}

/**
 * One whole frame.
 * @param key four random bytes for a frame to a server; absent for one to a client
 * @param first a byte before the payload, for protocols that begin their messages with one
 */
export function encodeWebSocketFrame(opcode: number, payload: Uint8Array, key?: Uint8Array, first?: number): Buffer {
  const before = first === undefined ? 0 : 1;
  const length = payload.length + before;
  const size = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const body = size + (key === undefined ? 0 : 4);
  // Every byte of it is written.
  const frame = Buffer.allocUnsafe(body + length);
  frame[0] = 0x80 | opcode;
  frame[1] = (key === undefined ? 0 : 0x80) | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (size === 4) frame.writeUInt16BE(length, 2);
  if (size === 10) frame.writeBigUInt64BE(BigInt(length), 2);
  if (first !== undefined) frame[body] = first;
  frame.set(payload, body + before);
  if (key === undefined) return frame;
  frame.set(key, size);
  for (let i = 0; i < length; i++) frame[body + i]! ^= key[i & 3]!;
  return frame;
}
