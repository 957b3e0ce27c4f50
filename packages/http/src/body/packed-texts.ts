/**
 * Texts inside a message of protobuf that stand flush with what frames them: a length or a tag that looks like a letter or a digit
 * makes another word of a value, and no detector sees it there. Refuses to know the message's type; what is neither a message nor
 * messages as gRPC frames them has none. Protocol Buffers, "Encoding"; gRPC over HTTP2, Length-Prefixed-Message.
 */
import { maskDetectedCell } from '@sallyport/mask';
import type { DetectMask } from '@sallyport/model';

/** Messages inside messages that are looked into. */
const DEPTH_MAX = 16;
/** Nothing that is looked for is shorter. */
const TEXT_BYTES_MIN = 6;
/** No text of one field runs into that of the next. */
const BETWEEN = Buffer.from('\n\0\n');

/** True where something is found in a text of the message that is not seen in the bytes as they stand. */
export function isFoundPacked(bytes: Uint8Array, detect: readonly DetectMask[]): boolean {
  const texts: Uint8Array[] = [];
  for (const { start, end } of framesOf(bytes)) collect(bytes, start, end, DEPTH_MAX, texts);
  if (texts.length === 0) return false;
  const whole = Buffer.concat(texts);
  return maskDetectedCell(whole, detect, {}) !== whole;
}

/** A flag, and four bytes of length. */
const FRAME_HEAD_BYTES = 5;

/** Each message of a run that gRPC frames, and all of it as one: how its bytes begin does not tell the two apart. */
function framesOf(bytes: Uint8Array): readonly Field[] {
  const frames: Field[] = [{ start: 0, end: bytes.length }];
  // gRPC-Web sets the highest bit where trailers come.
  for (let at = 0; at + FRAME_HEAD_BYTES <= bytes.length && ((bytes[at] as number) & 0x7e) === 0; ) {
    const start = at + FRAME_HEAD_BYTES;
    const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(at + 1, start);
    at = start + (a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d);
    frames.push({ start, end: Math.min(at, bytes.length) });
  }
  return frames;
}

/** Each field of a message that has bytes: its text, and the message it may be. */
function collect(bytes: Uint8Array, from: number, to: number, depth: number, texts: Uint8Array[]): void {
  const fields = fieldsOf(bytes, from, to);
  if (fields === undefined) return;
  for (const { start, end } of fields) {
    if (end - start < TEXT_BYTES_MIN) continue;
    if (isWord(bytes[start - 1]) || isWord(bytes[end])) texts.push(bytes.subarray(start, end), BETWEEN);
    if (depth > 0) collect(bytes, start, end, depth - 1, texts);
  }
}

interface Field {
  readonly start: number;
  readonly end: number;
}

/** @returns undefined for what is no message as a whole */
function fieldsOf(bytes: Uint8Array, from: number, to: number): readonly Field[] | undefined {
  const fields: Field[] = [];
  for (let at = from; at < to; ) {
    const tag = varint(bytes, at, to);
    if (tag === undefined || tag.value < 8) return undefined;
    at = tag.next;
    switch (tag.value & 7) {
      case 0: {
        const value = varint(bytes, at, to);
        if (value === undefined) return undefined;
        at = value.next;
        break;
      }
      case 1:
        at += 8;
        break;
      case 2: {
        const length = varint(bytes, at, to);
        if (length === undefined || length.value > to - length.next) return undefined;
        at = length.next + length.value;
        fields.push({ start: length.next, end: at });
        break;
      }
      // A group's fields stand between its two tags.
      case 3:
      case 4:
        break;
      case 5:
        at += 4;
        break;
      default:
        return undefined;
    }
    if (at > to) return undefined;
  }
  return fields;
}

function varint(
  bytes: Uint8Array,
  from: number,
  to: number,
): { readonly value: number; readonly next: number } | undefined {
  let value = 0;
  for (let i = 0; i < 10 && from + i < to; i++) {
    const byte = bytes[from + i] as number;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, next: from + i + 1 };
  }
  return undefined;
}

/** A letter, a digit, or a sign that values have inside. */
const isWord = (byte: number | undefined): boolean =>
  byte !== undefined &&
  ((byte >= 48 && byte <= 57) ||
    (byte >= 65 && byte <= 90) ||
    (byte >= 97 && byte <= 122) ||
    byte === 43 ||
    byte === 45 ||
    byte === 46 ||
    byte === 95 ||
    byte >= 0x80);
