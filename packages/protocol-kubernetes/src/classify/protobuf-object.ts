/**
 * An object in Kubernetes' protobuf as the JSON value that a client would have sent instead, by the layouts of k8s.io/api
 * (generated/object-layouts.ts). It is sent on as that JSON, so nothing may be lost on the way: a kind or a field that has no
 * layout is refused, and so is a field that stands twice. apimachinery, pkg/runtime/serializer/protobuf.
 */
import { LIMITS } from '@sallyport/core';
import { OBJECT_LAYOUTS } from '../generated/object-layouts.ts';
import { readObject } from './json-object.ts';
import { BYTES, fieldsOfMessage, textOf, unreadable, VARINT, type WireField } from './protobuf-wire.ts';

interface Layout {
  /** In JSON; '' where the fields of the message stand among those of the outer one. */
  readonly name: string;
  /** `+` many, `%` a map, `L` a list that is a message; a number is a message, a letter how it is written. */
  readonly type: string;
  /** Go leaves it out of JSON when it is empty. */
  readonly leftOut: boolean;
}
type Message = ReadonlyMap<number, Layout>;

interface Layouts {
  readonly kinds: ReadonlyMap<string, number>;
  readonly messages: readonly string[];
  readonly read: Map<number, Message>;
}
let known: Layouts | undefined;

/** 100 KB of text that most agents never need. */
function layouts(): Layouts {
  if (known !== undefined) return known;
  const [kinds = '', messages = ''] = OBJECT_LAYOUTS.split('\n--\n');
  const pairs = kinds
    .split('\n')
    .map((line) => line.split('='))
    .map(([kind = '', number]): [string, number] => [kind, Number(number)]);
  return (known = { kinds: new Map(pairs), messages: messages.split('\n'), read: new Map() });
}

function messageOf(number: number): Message {
  const { messages, read } = layouts();
  let message = read.get(number);
  if (message === undefined) {
    const fields = messages[number]!.split(',').filter((field) => field !== '');
    message = new Map(
      fields.map((field) => {
        const [name = '', at, type = ''] = field.split(':');
        return [Number(at), { name, type: type.replace('?', ''), leftOut: type.endsWith('?') }];
      }),
    );
    read.set(number, message);
  }
  return message;
}

const MAGIC = Buffer.from('k8s\0');

/**
 * @param bytes with the four bytes of Kubernetes' envelope before them
 * @throws GatewayError `kubernetes.protobuf`, `kubernetes.object`
 */
export function readProtobuf(bytes: Uint8Array): unknown {
  if (!Buffer.from(bytes.subarray(0, 4)).equals(MAGIC)) throw unreadable('no envelope of Kubernetes');
  const envelope = once(bytes.subarray(4), new Set([1, 2, 3, 4]));
  const type = once(envelope.get(1) ?? new Uint8Array(), new Set([1, 2]));
  const said = (number: number): string => textOf(envelope.get(number) ?? new Uint8Array());
  // Another coding or format inside this one.
  if (said(3) !== '' || !['', 'application/vnd.kubernetes.protobuf'].includes(said(4)))
    throw unreadable('another coding in the envelope');
  const [apiVersion, kind] = [type.get(1), type.get(2)].map((each) => textOf(each ?? new Uint8Array())) as [
    string,
    string,
  ];
  const { kinds } = layouts();
  const layout = kinds.get(`${apiVersion}/${kind}`) ?? (apiVersion === '' ? undefined : kinds.get(`*/${kind}`));
  if (layout === undefined) throw unreadable(`the kind ${apiVersion}/${kind} is not known`);
  const object: Record<string, unknown> = { kind, apiVersion };
  readInto(object, envelope.get(2) ?? new Uint8Array(), messageOf(layout), 1);
  return object;
}

/** The fields of a message of bytes alone, each at most once. */
function once(bytes: Uint8Array, numbers: ReadonlySet<number>): ReadonlyMap<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (const field of fieldsOfMessage(bytes)) {
    if (!numbers.has(field.number) || field.wire !== BYTES) throw unreadable(`field ${field.number} is not known`);
    if (found.has(field.number)) throw unreadable(`field ${field.number} stands twice`);
    found.set(field.number, field.bytes);
  }
  return found;
}

function readInto(object: Record<string, unknown>, bytes: Uint8Array, message: Message, depth: number): void {
  if (depth > LIMITS.bodyDepthMax) throw unreadable('too deep');
  const seen = new Set<number>();
  for (const field of fieldsOfMessage(bytes)) {
    const layout = message.get(field.number);
    if (layout === undefined) throw unreadable(`field ${field.number} is not known`);
    const { name, type } = layout;
    if (type.startsWith('+')) {
      const list = (object[name] ??= []) as unknown[];
      list.push(valueOf(field, type.slice(1), depth));
      continue;
    }
    if (type.startsWith('%')) {
      entryInto((object[name] ??= {}) as Record<string, unknown>, field, type.slice(1), depth);
      continue;
    }
    if (seen.has(field.number)) throw unreadable(`field ${field.number} stands twice`);
    seen.add(field.number);
    if (name === '') {
      if (field.wire !== BYTES) throw unreadable(`field ${field.number} is of another type`);
      readInto(object, field.bytes, messageOf(Number(type)), depth + 1);
      continue;
    }
    const value = valueOf(field, type, depth);
    // A zero is said all the same: what a scale leaves out is zero, and a rule asks for it.
    if (value === undefined || (layout.leftOut && (value === '' || value === false))) continue;
    object[name] = value;
  }
}

function entryInto(map: Record<string, unknown>, field: WireField, type: string, depth: number): void {
  if (field.wire !== BYTES) throw unreadable(`field ${field.number} is of another type`);
  let key = '';
  let value: unknown;
  const seen = new Set<number>();
  for (const part of fieldsOfMessage(field.bytes)) {
    if (seen.has(part.number) || part.number > 2) throw unreadable('an entry of a map');
    seen.add(part.number);
    if (part.number === 1) key = String(valueOf(part, 's', depth));
    else value = valueOf(part, type, depth);
  }
  // What is left out of an entry is empty.
  if (!seen.has(2))
    value = valueOf(
      { number: 2, wire: isNumber(type) ? VARINT : BYTES, value: 0, bytes: new Uint8Array() },
      type,
      depth,
    );
  if (Object.hasOwn(map, key)) throw unreadable('a key stands twice');
  // `__proto__` is a key as any other.
  Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
}

const isNumber = (type: string): boolean => type === 'i' || type === 'o';

/** undefined = what JSON would call null: a time that is none. */
function valueOf(field: WireField, type: string, depth: number): unknown {
  if (field.wire !== (isNumber(type) ? VARINT : BYTES)) throw unreadable(`field ${field.number} is of another type`);
  const { bytes } = field;
  switch (type[0]) {
    case 'i':
      return field.value;
    case 'o':
      return field.value !== 0;
    case 's':
      return textOf(bytes);
    case 'b':
      return Buffer.from(bytes).toString('base64');
    case 'L': {
      const list: unknown[] = [];
      for (const each of fieldsOfMessage(bytes)) {
        if (each.number !== 1) throw unreadable(`field ${each.number} is not known`);
        list.push(valueOf(each, type.slice(1), depth + 1));
      }
      return list;
    }
    case 'Q':
      return textOf(once(bytes, new Set([1])).get(1) ?? new Uint8Array());
    case 'R':
    case 'F':
      return embedded(once(bytes, new Set([1])).get(1));
    case 'I':
      return numberOrText(bytes);
    case 'T':
    case 'U':
      return timeOf(bytes, type === 'U');
    default: {
      const object: Record<string, unknown> = {};
      readInto(object, bytes, messageOf(Number(type)), depth + 1);
      return object;
    }
  }
}

/** JSON in bytes: what stands there stands in the outer JSON. */
const embedded = (bytes: Uint8Array | undefined): unknown =>
  bytes === undefined || bytes.length === 0 ? undefined : readObject(bytes, 'json');

function numberOrText(bytes: Uint8Array): number | string {
  const found = new Map<number, WireField>();
  for (const field of fieldsOfMessage(bytes)) {
    if (field.number > 3 || found.has(field.number) || field.wire !== (field.number === 3 ? BYTES : VARINT))
      throw unreadable('a number or a text');
    found.set(field.number, field);
  }
  const kind = found.get(1)?.value ?? 0;
  if (kind === 0) return found.get(2)?.value ?? 0;
  if (kind !== 1) throw unreadable('a number or a text');
  return textOf(found.get(3)?.bytes ?? new Uint8Array());
}

/** Of the years 1 to 9999, as RFC 3339 has them. */
const [FIRST_SECOND, LAST_SECOND] = [-62_135_596_800, 253_402_300_799];

function timeOf(bytes: Uint8Array, isFine: boolean): string | undefined {
  if (bytes.length === 0) return undefined;
  let [seconds, nanos] = [0, 0];
  const seen = new Set<number>();
  for (const field of fieldsOfMessage(bytes)) {
    if (field.wire !== VARINT || field.number > 2 || seen.has(field.number)) throw unreadable('a time');
    seen.add(field.number);
    if (field.number === 1) seconds = field.value;
    else nanos = field.value;
  }
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND || nanos < 0 || nanos >= 1e9) throw unreadable('a time');
  const whole = new Date(seconds * 1_000).toISOString().slice(0, -5);
  return isFine ? `${whole}.${String(Math.floor(nanos / 1_000)).padStart(6, '0')}Z` : `${whole}Z`;
}
