/**
 * One direction of a WebSocket: frames pass as they come, or whole messages are masked and sent as one frame each. Refuses
 * messages that must be masked and cannot be read: binary ones, and those longer than may be held. Limits: httpEventBytesMax.
 */
import { LIMITS } from '@sallyport/core';
import type { JsonMaskerOptions } from '@sallyport/mask';
import type { JoinedMessage, JoinedTexts } from '../body/joined-texts.ts';
import { maskLooseText, maskMessage, maskWords } from '../body/message-text.ts';
import { isFoundPacked } from '../body/packed-texts.ts';
import { utf8Text } from '../request/strict-json.ts';
import {
  CONTROL_BYTES_MAX,
  encodeWebSocketFrame,
  type FrameHead,
  FrameReader,
  type FrameSink,
  OPCODES,
} from './frame-reader.ts';

export interface WebSocketPorts {
  /** What goes on; copies what it keeps. */
  send(bytes: Uint8Array): void;
  /** A message as its reader gets it, for the recording; `undefined` = binary, of so many bytes. */
  message(text: Uint8Array | undefined, bytes: number): void;
}

/** What is kept of a message that passes untouched, for the recording. */
const RECORDED_BYTES_MAX = LIMITS.recordedHttpBodyBytes;
const NOTHING = new Uint8Array(0);

export class WebSocketSide implements FrameSink {
  /** It cannot go on: the peer broke the protocol, or what came cannot be masked. */
  failed: 'http.malformed' | 'http.body_unmaskable' | undefined;
  /** Messages that ended. */
  messages = 0;
  readonly #reader: FrameReader;
  readonly #masks: JsonMaskerOptions | undefined;
  readonly #ports: WebSocketPorts;
  readonly #texts: JoinedTexts<undefined> | undefined;
  /** Of the message that comes: text or binary, what is kept of it, and its bytes in all. */
  #opcode = 0;
  #parts: Uint8Array[] = [];
  #kept = 0;
  #bytes = 0;
  #control: Uint8Array[] = [];

  /**
   * @param masks undefined: everything passes as it came
   * @param fromClient the direction: only a client's frames are masked in the protocol's own sense
   * @param texts that come in pieces, one in each message
   */
  constructor(
    fromClient: boolean,
    masks: JsonMaskerOptions | undefined,
    ports: WebSocketPorts,
    texts?: JoinedTexts<undefined>,
  ) {
    this.#reader = new FrameReader(fromClient);
    const isClear = masks === undefined || (masks.plan === undefined && masks.detect.length === 0);
    this.#masks = isClear ? undefined : masks;
    this.#ports = ports;
    this.#texts = texts;
  }

  get heldBytes(): number {
    return this.#masks === undefined ? 0 : this.#kept;
  }

  push(chunk: Uint8Array): void {
    if (this.failed !== undefined) return;
    this.#reader.push(chunk, this);
    if (this.#reader.broken) this.failed ??= 'http.malformed';
  }

  head(frame: FrameHead): void {
    if (frame.opcode >= 8) this.#control = [];
    else if (frame.opcode !== OPCODES.continuation) {
      this.#opcode = frame.opcode;
      this.#parts = [];
      this.#kept = this.#bytes = 0;
    }
    if (this.#masks === undefined) this.#ports.send(frame.raw);
  }

  payload(raw: Uint8Array, plain: Uint8Array): void {
    if (this.#isControl(raw, plain)) return;
    this.#bytes += plain.length;
    if (this.#masks === undefined) {
      this.#ports.send(raw);
      const room = RECORDED_BYTES_MAX - this.#kept;
      if (room > 0) this.#keep(plain.subarray(0, room));
    } else if (this.#bytes > LIMITS.httpEventBytesMax) {
      this.failed = 'http.body_unmaskable';
      this.#parts = [];
    } else this.#keep(plain);
  }

  /** Control frames stand between fragments of a message, whole. */
  #isControl(raw: Uint8Array, plain: Uint8Array): boolean {
    if (!this.#reader.isControl) return false;
    if (this.#masks === undefined) this.#ports.send(raw);
    else this.#control.push(Uint8Array.from(plain));
    return true;
  }

  end(frame: FrameHead): void {
    if (frame.opcode >= 8) this.#endControl(frame.opcode);
    else if (frame.fin && this.failed === undefined) this.#endMessage();
  }

  #endControl(opcode: number): void {
    const masks = this.#masks;
    if (masks === undefined) return;
    if (opcode === OPCODES.close) this.#emit(this.#texts?.end() ?? []);
    this.#ports.send(encodeWebSocketFrame(opcode, maskControl(opcode, Buffer.concat(this.#control), masks)));
  }

  #endMessage(): void {
    this.messages++;
    const whole = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#kept = 0;
    const isText = this.#opcode === OPCODES.text;
    const masks = this.#masks;
    if (masks === undefined) {
      this.#ports.message(isText ? whole : undefined, this.#bytes);
      return;
    }
    const shown = isText ? this.#maskedText(whole, masks) : maskedBinary(whole, masks);
    if (shown === undefined) {
      this.failed = 'http.body_unmaskable';
      return;
    }
    this.#ports.send(encodeWebSocketFrame(this.#opcode, shown));
    this.#ports.message(isText ? shown : undefined, shown.length);
  }

  /** Text that is not UTF-8 is no message (section 8.1). */
  #maskedText(text: Uint8Array, masks: JsonMaskerOptions): Uint8Array | undefined {
    if (utf8Text(text) === undefined) return undefined;
    if (this.#texts === undefined) return maskMessage(text, masks);
    const shown = this.#texts.mask(text, '', undefined);
    this.#emit(shown?.before ?? []);
    return shown?.data;
  }
  /** Messages of our own. */
  #emit(messages: readonly JoinedMessage<undefined>[]): void {
    for (const { data } of messages) {
      this.#ports.send(encodeWebSocketFrame(OPCODES.text, data));
      this.#ports.message(data, data.length);
    }
  }

  #keep(plain: Uint8Array): void {
    this.#parts.push(Uint8Array.from(plain));
    this.#kept += plain.length;
  }
}

/** What a ping, a pong or a close says; a close says a code before its reason (section 5.5.1). */
export function maskControl(opcode: number, payload: Buffer, masks: JsonMaskerOptions): Buffer {
  const code = opcode === OPCODES.close ? payload.subarray(0, 2) : NOTHING;
  const words = payload.subarray(code.length);
  const shown = maskWords(words, masks);
  if (shown === words) return payload;
  const whole = Buffer.concat([code, shown]);
  // A reason is a text: it is cut between characters.
  let end = Math.min(whole.length, CONTROL_BYTES_MAX);
  while (end < whole.length && ((whole[end] as number) & 0xc0) === 0x80) end--;
  return whole.subarray(0, end);
}

/** What is packed cannot be put together again: it passes whole, where nothing is found in it, or not at all. */
function maskedBinary(bytes: Uint8Array, masks: JsonMaskerOptions): Uint8Array | undefined {
  const isClear = masks.plan === undefined && maskLooseText(bytes, masks) === bytes;
  return isClear && !isFoundPacked(bytes, masks.detect) ? bytes : undefined;
}
