/**
 * Cuts the client's bytes into messages and keeps what has to wait: one message at a time is judged, and while a statement
 * is held, described or read elsewhere, everything behind it waits here. PostgreSQL protocol, "Message Formats".
 * What is too large to judge is thrown away as it comes, never gathered. Limits: LIMITS.heldQueueBytesMax, frameBytesMax,
 * statementBytesMax, parameterBytesMax.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import { frameBytes, HEAD_BYTES, letter, PartialFrame } from './codec.ts';
import type { Road } from './road.ts';

export interface IntakeHandler {
  /** One whole message, lent. False = not taken: offered again once the intake is unblocked. */
  frame(type: number, bytes: Buffer, at: number, end: number): boolean;
  /** A piece of a COPY message that is passed on as it comes. */
  copyData(piece: Buffer): void;
  /** A message of this type was larger than can be judged, and is gone. */
  tooLarge(type: number): void;
  /** The lent chunk is about to be given back. */
  endOfChunk(): void;
}

const COPY_DATA = letter('d');
/** Every message a client may send once it is signed in; the first byte tells. */
const TYPES: ReadonlySet<number> = new Set(Buffer.from('QPBDECHSXFdcf'));
const SMALL_FRAME_BYTES_MAX = 64 * 1024;
/** Around a statement of the largest size: names, types, formats. */
const SLACK_BYTES = 256 * 1024;

export class Intake {
  readonly #road: Road;
  readonly #handler: IntakeHandler;
  readonly #partial = new PartialFrame();
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #blocked = false;
  /** What must be so before the client is read on; undefined = somebody calls `resume`. */
  #until: (() => boolean) | undefined;
  #streaming = 0;
  #discarding = 0;
  #discarded: number | undefined;

  constructor(road: Road, handler: IntakeHandler) {
    this.#road = road;
    this.#handler = handler;
  }

  get isBlocked(): boolean {
    return this.#blocked;
  }

  /** @throws GatewayError `protocol.malformed`, `frame.too_large`, and what the handler throws */
  bytes(chunk: Buffer): void {
    if (this.#blocked) {
      this.#keep(chunk, false);
      return;
    }
    this.#consume(chunk);
    this.#handler.endOfChunk();
  }

  /** Stops reading the client: until `until` holds (asked after each of the server's answers), or until `resume`. */
  block(until?: () => boolean): void {
    this.#blocked = true;
    this.#until = until;
  }

  /** Ends a wait: runs the step, then reads on what the client sent meanwhile, unless the step made another wait. */
  resume(step: () => void): void {
    this.#blocked = false;
    this.#until = undefined;
    step();
    if (this.#blocked) return;
    const waiting = this.#waiting;
    if (waiting.length > 0) {
      this.#waiting = [];
      this.#waitingBytes = 0;
      this.#consume(waiting.length === 1 ? waiting[0]! : Buffer.concat(waiting));
    }
    this.#handler.endOfChunk();
    if (this.#waitingBytes <= LIMITS.heldQueueBytesMax) this.#road.queueIsLong(false);
  }

  /** The server answered something. */
  progressed(): void {
    if (this.#blocked && this.#until?.() === true) this.resume(() => undefined);
  }

  #keep(bytes: Buffer, first: boolean): void {
    const copy = Buffer.from(bytes);
    if (first) this.#waiting.unshift(copy);
    else this.#waiting.push(copy);
    this.#waitingBytes += copy.length;
    if (this.#waitingBytes > LIMITS.heldQueueBytesMax) this.#road.queueIsLong(true);
  }

  #consume(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#blocked) {
        this.#keep(chunk.subarray(at), true);
        return;
      }
      if (this.#streaming > 0) at = this.#stream(chunk, at);
      else if (this.#discarding > 0) at = this.#discard(chunk, at);
      else if (this.#partial.isEmpty) {
        // A packet without a type byte (a second startup, an SSLRequest) would be waited for as a message of great length.
        if (!TYPES.has(chunk[at]!)) throw new GatewayError('protocol.unexpected', { type: chunk[at]! });
        at = this.#frames(chunk, at);
        if (this.#blocked || at === chunk.length) continue;
        if (!TYPES.has(chunk[at]!)) throw new GatewayError('protocol.unexpected', { type: chunk[at]! });
        if (chunk.length - at < HEAD_BYTES || !this.#isLong(chunk, at)) at = this.#partial.fillHead(chunk, at);
      } else if (this.#partial.head === undefined) {
        at = this.#partial.fillHead(chunk, at);
        const { head } = this.#partial;
        if (head === undefined || !this.#isLong(head, 0)) at = this.#fill(chunk, at);
        else this.#head(head);
      } else at = this.#fill(chunk, at);
    }
  }

  /** A header that came in pieces turned out to begin a long message. */
  #head(head: Buffer): void {
    const copy = Buffer.from(head);
    this.#partial.clear();
    if (this.#streaming > 0) this.#stream(copy, 0);
    else this.#discard(copy, 0);
  }

  #fill(chunk: Buffer, from: number): number {
    const at = this.#partial.fill(chunk, from);
    const whole = this.#partial.take();
    if (whole !== undefined && !this.#handler.frame(whole[0]!, whole, 0, whole.length)) this.#keep(whole, true);
    // What is kept must stay before the rest of this chunk, which #consume puts behind it.
    if (whole !== undefined && this.#blocked && at < chunk.length) {
      this.#keep(chunk.subarray(at), false);
      return chunk.length;
    }
    return at;
  }

  #frames(bytes: Buffer, from: number): number {
    let at = from;
    while (at + HEAD_BYTES <= bytes.length && !this.#blocked) {
      const size = frameBytes(bytes, at);
      if (at + size > bytes.length || !this.#handler.frame(bytes[at]!, bytes, at, at + size)) break;
      at += size;
    }
    return at;
  }

  #isLong(bytes: Buffer, at: number): boolean {
    const type = bytes[at]!;
    const size = frameBytes(bytes, at);
    if (type === COPY_DATA) {
      if (this.#road.copyIn !== undefined) this.#streaming = size;
      else this.#discarding = size;
      return true;
    }
    if (size <= SMALL_FRAME_BYTES_MAX) return false;
    const name = String.fromCharCode(type);
    const max = name === 'B' ? LIMITS.parameterBytesMax : LIMITS.statementBytesMax;
    if (name !== 'F' && name !== 'Q' && name !== 'P' && name !== 'B')
      throw new GatewayError('frame.too_large', { type, size });
    if (name !== 'F' && size <= max + SLACK_BYTES) return false;
    this.#discarding = size;
    this.#discarded = type;
    return true;
  }

  #stream(chunk: Buffer, at: number): number {
    // The server ends a COPY at any time; a client in the middle of a message cannot know, and the rest means nothing.
    if (this.#road.copyIn === undefined) {
      this.#discarding = this.#streaming;
      this.#streaming = 0;
      throw new GatewayError('protocol.unexpected', { why: 'COPY ended inside a message' });
    }
    const count = Math.min(this.#streaming, chunk.length - at);
    this.#streaming -= count;
    this.#handler.copyData(chunk.subarray(at, at + count));
    return at + count;
  }

  #discard(chunk: Buffer, at: number): number {
    const count = Math.min(this.#discarding, chunk.length - at);
    this.#discarding -= count;
    if (this.#discarding === 0 && this.#discarded !== undefined) {
      const type = this.#discarded;
      this.#discarded = undefined;
      this.#handler.tooLarge(type);
    }
    return at + count;
  }
}
