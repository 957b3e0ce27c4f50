/**
 * Where the texts of a packed message stand, by what frames them there: protobuf, MessagePack, CBOR. Each reads bytes that may be
 * of any of them. Refuses to know schemas, and what the texts say; packed-texts.ts looks into them.
 * Protocol Buffers, "Encoding"; MessagePack specification, "Formats"; RFC 8949 section 3.
 */

/** Bytes of a text, or of a message inside. */
export interface Field {
  readonly start: number;
  readonly end: number;
  /** It may be a message. */
  readonly isBytes: boolean;
  /** One text with the field before it, or with one behind it. */
  readonly piece?: 'first' | 'next';
}

/**
 * @param ownBytes at most so many bytes of another form stand before the message: lengths and kinds that a service writes
 * @returns undefined for what is none of the format
 */
export type FieldReader = (
  bytes: Uint8Array,
  from: number,
  to: number,
  ownBytes: number,
) => readonly Field[] | undefined;

export const FIELD_READERS: readonly FieldReader[] = [protobufFields, messagePackFields, cborFields];

function protobufFields(bytes: Uint8Array, from: number, to: number): readonly Field[] | undefined {
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
        fields.push({ start: length.next, end: at, isBytes: true });
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

/** Any bytes are MessagePack: what is none is passed over, and a wrong beginning soon meets a right one. Each place is read once. */
function messagePackFields(bytes: Uint8Array, from: number, to: number, ownBytes: number): readonly Field[] {
  const fields: Field[] = [];
  const isRead = new Uint8Array(to - from);
  for (let start = from; start < to && start <= from + ownBytes; start++) {
    for (let at = start; at < to && isRead[at - from] === 0; ) {
      isRead[at - from] = 1;
      const byte = bytes[at] as number;
      const text = at + 1 + headBytes(byte);
      const end = text + lengthOf(bytes, at);
      if (end > to) at++;
      else {
        if (end > text) fields.push({ start: text, end, isBytes: byte >= 0xc4 && byte < 0xd9 });
        at = end;
      }
    }
  }
  return fields;
}

/** Bytes between the first one and what it frames: lengths, kinds of extensions, numbers. */
function headBytes(byte: number): number {
  if (byte < 0xc4 || byte > 0xdf) return 0;
  return MESSAGE_PACK_HEADS[byte - 0xc4] as number;
}
// From c4 on: bin, ext, float, uint, int, fixext, str, array, map.
const MESSAGE_PACK_HEADS = [1, 2, 4, 2, 3, 5, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1, 1, 1, 1, 1, 1, 2, 4, 2, 4, 2, 4];

/** Bytes of a text, of bytes or an extension at `at`; 0 for what is none. */
function lengthOf(bytes: Uint8Array, at: number): number {
  const byte = bytes[at] as number;
  if (byte >= 0xa0 && byte <= 0xbf) return byte & 31;
  if (byte >= 0xd4 && byte <= 0xd8) return 1 << (byte - 0xd4);
  const size = MESSAGE_PACK_LENGTHS.get(byte) ?? 0;
  return size === 0 ? 0 : bigEndian(bytes, at + 1, size);
}
/** By first byte: how many bytes its length has. */
const MESSAGE_PACK_LENGTHS: ReadonlyMap<number, number> = new Map([
  [0xc4, 1],
  [0xc5, 2],
  [0xc6, 4],
  [0xc7, 1],
  [0xc8, 2],
  [0xc9, 4],
  [0xd9, 1],
  [0xda, 2],
  [0xdb, 4],
]);

/** Read to the end or not at all, since letters begin texts of CBOR. */
function cborFields(bytes: Uint8Array, from: number, to: number, ownBytes: number): readonly Field[] | undefined {
  for (let start = from; start < to && start <= from + ownBytes; start++) {
    const fields = cborSequence(bytes, start, to);
    if (fields !== undefined) return fields;
  }
  return undefined;
}

const BREAK = 0xff;

function cborSequence(bytes: Uint8Array, from: number, to: number): readonly Field[] | undefined {
  const fields: Field[] = [];
  /** Of the text that comes in pieces: none yet, or some. */
  let piece: Field['piece'];
  for (let at = from; at < to; ) {
    const byte = bytes[at++] as number;
    const major = byte >> 5;
    const more = byte & 31;
    if (byte === BREAK) {
      piece = undefined;
      continue;
    }
    const isText = major === 2 || major === 3;
    if (more === 31) {
      if (major < 2 || major > 5) return undefined;
      if (isText) piece = 'first';
      continue;
    }
    const size = more < 24 ? 0 : 1 << (more - 24);
    if (more > 27 || size > to - at) return undefined;
    const value = size === 0 ? more : bigEndian(bytes, at, size);
    at += size;
    if (!isText) continue;
    if (value > to - at) return undefined;
    if (value > 0) fields.push({ start: at, end: at + value, isBytes: major === 2, ...(piece && { piece }) });
    if (piece === 'first' && value > 0) piece = 'next';
    at += value;
  }
  return fields;
}

function bigEndian(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + (bytes[at + i] ?? 0);
  return value;
}
