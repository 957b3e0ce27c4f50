/**
 * Frontend messages of PostgreSQL as bytes, well-formed or not: what a driver would never send is what tests need.
 * Refuses nothing; a length may be given that is not the body's. PostgreSQL "Message Formats".
 */
export type Bytes = Uint8Array | string;

const bytesOf = (part: Bytes): Buffer => (typeof part === 'string' ? Buffer.from(part) : Buffer.from(part));
export const int16 = (...values: number[]): Buffer => {
  const out = Buffer.alloc(values.length * 2);
  for (const [i, value] of values.entries()) out.writeUInt16BE(value & 0xffff, i * 2);
  return out;
};
export const int32 = (...values: number[]): Buffer => {
  const out = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) out.writeUInt32BE(value >>> 0, i * 4);
  return out;
};
export const cstring = (text: Bytes): Buffer => Buffer.concat([bytesOf(text), Buffer.of(0)]);

/** A message with its type byte. @param length overrides the honest one (which counts itself) */
export function frame(type: string, body: Bytes = '', length?: number): Buffer {
  const bytes = bytesOf(body);
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(length ?? bytes.length + 4), bytes]);
}

const PROTOCOL_3 = 3 << 16;
export const SSL_REQUEST = Buffer.concat([int32(8, 80877103)]);
export const GSSENC_REQUEST = Buffer.concat([int32(8, 80877104)]);
export const cancelRequest = (processId: number, secret: Uint8Array): Buffer =>
  Buffer.concat([int32(12 + secret.length, 80877102, processId), secret]);

/** A startup packet. @param version as 3 << 16 | minor */
export function startup(parameters: Readonly<Record<string, string>>, version = PROTOCOL_3): Buffer {
  const body = Object.entries(parameters).flatMap(([name, value]) => [cstring(name), cstring(value)]);
  return untyped(Buffer.concat([int32(version), ...body, Buffer.of(0)]));
}
/** A packet without a type byte. @param length overrides the honest one (which counts itself) */
export const untyped = (body: Uint8Array, length?: number): Buffer =>
  Buffer.concat([int32(length ?? body.length + 4), body]);

export const password = (text: Bytes): Buffer => frame('p', cstring(text));
export const query = (text: Bytes): Buffer => frame('Q', cstring(text));
export const parse = (text: Bytes, name = '', types: readonly number[] = []): Buffer =>
  frame('P', Buffer.concat([cstring(name), cstring(text), int16(types.length), int32(...types)]));

export interface BindParts {
  readonly portal?: string;
  readonly statement?: string;
  /** Text values; null = NULL; bytes are sent as they are. */
  readonly values?: readonly (string | Uint8Array | null)[];
  /** One for all, or one each; default text. */
  readonly formats?: readonly number[];
  readonly resultFormats?: readonly number[];
}
export const bind = (parts: BindParts = {}): Buffer => {
  const values = parts.values ?? [];
  const cells = values.flatMap((value) =>
    value === null ? [int32(-1)] : [int32(bytesOf(value).length), bytesOf(value)],
  );
  const formats = parts.formats ?? [];
  const results = parts.resultFormats ?? [];
  return frame(
    'B',
    Buffer.concat([
      cstring(parts.portal ?? ''),
      cstring(parts.statement ?? ''),
      int16(formats.length, ...formats, values.length),
      ...cells,
      int16(results.length, ...results),
    ]),
  );
};
export const describe = (kind: 'S' | 'P', name = ''): Buffer =>
  frame('D', Buffer.concat([bytesOf(kind), cstring(name)]));
export const close = (kind: 'S' | 'P', name = ''): Buffer => frame('C', Buffer.concat([bytesOf(kind), cstring(name)]));
export const execute = (portal = '', rowsMax = 0): Buffer =>
  frame('E', Buffer.concat([cstring(portal), int32(rowsMax)]));
export const sync = (): Buffer => frame('S');
export const flush = (): Buffer => frame('H');
export const terminate = (): Buffer => frame('X');
export const copyData = (data: Bytes): Buffer => frame('d', data);
export const copyDone = (): Buffer => frame('c');
export const copyFail = (why: string): Buffer => frame('f', cstring(why));
/** FunctionCall with text arguments and result. */
export const functionCall = (oid: number, args: readonly string[], resultFormat = 0): Buffer =>
  frame(
    'F',
    Buffer.concat([
      int32(oid),
      int16(0, args.length),
      ...args.flatMap((arg) => [int32(Buffer.byteLength(arg)), bytesOf(arg)]),
      int16(resultFormat),
    ]),
  );

/** Parse, Bind, Execute with the unnamed statement and portal, and Sync. */
export const extended = (text: Bytes, parts: BindParts = {}): Buffer =>
  Buffer.concat([parse(text), bind(parts), describe('P'), execute(), sync()]);
