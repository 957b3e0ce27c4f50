/**
 * Typed messages of both directions, each from the section of PostgreSQL's "Message Formats" that its name says.
 * Refuses to judge them; a body that does not have exactly its documented form throws `protocol.malformed`.
 * Limits: LIMITS.startupBytesMax, LIMITS.passwordBytesMax.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import { BodyReader, bytesOfInt16, bytesOfInt32, frame, HEAD_BYTES, int32, KeptText } from './codec.ts';

// --- before sign-in: packets without a type byte ---------------------------------------------------------------------

const SSL_REQUEST = 80877103;
const GSSENC_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;

export type StartupPacket =
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gssenc' }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secret: Buffer }
  | {
      readonly kind: 'startup';
      readonly major: number;
      readonly minor: number;
      readonly parameters: ReadonlyMap<string, string>;
    };

/**
 * How long the packet at the start of `bytes` is; undefined while its length has not arrived.
 * @throws GatewayError `protocol.malformed` for a length no packet has
 */
export function startupBytes(bytes: Buffer): number | undefined {
  if (bytes.length < 4) return undefined;
  const length = int32(bytes, 0);
  if (length < 8 || length > LIMITS.startupBytesMax) throw new GatewayError('protocol.malformed', { length });
  return length;
}

/** Reads one whole packet. @throws GatewayError `protocol.malformed` */
export function parseStartupPacket(bytes: Buffer): StartupPacket {
  const code = int32(bytes, 4);
  if (code === SSL_REQUEST || code === GSSENC_REQUEST) {
    if (bytes.length !== 8) throw new GatewayError('protocol.malformed', { length: bytes.length });
    return { kind: code === SSL_REQUEST ? 'ssl' : 'gssenc' };
  }
  if (code === CANCEL_REQUEST) {
    // Protocol 3.0 has 4 bytes of key, 3.2 up to 256.
    if (bytes.length < 16 || bytes.length > 12 + 256) throw new GatewayError('protocol.malformed');
    return { kind: 'cancel', processId: int32(bytes, 8), secret: Buffer.from(bytes.subarray(12)) };
  }
  const parameters = new Map<string, string>();
  const body = new BodyReader(bytes, 8, bytes.length);
  // Other versions have another form; the caller refuses them by number.
  if (code >>> 16 !== 3) return { kind: 'startup', major: code >>> 16, minor: code & 0xffff, parameters };
  for (;;) {
    const name = body.text();
    if (name === '') break;
    const value = body.text();
    if (parameters.has(name) || name.includes('\uFFFD') || value.includes('\uFFFD')) {
      throw new GatewayError('protocol.malformed', { parameters: parameters.size });
    }
    parameters.set(name, value);
  }
  body.done();
  return { kind: 'startup', major: 3, minor: code & 0xffff, parameters };
}

export const sslRequest = (): Buffer => bytesOfInt32(8, SSL_REQUEST);

export function startupMessage(parameters: Readonly<Record<string, string>>): Buffer {
  const body = Buffer.from(
    `${Object.entries(parameters)
      .map(([name, value]) => `${name}\0${value}\0`)
      .join('')}\0`,
  );
  return Buffer.concat([bytesOfInt32(8 + body.length, 3 << 16), body]);
}

export const cancelRequest = (processId: number, secret: Uint8Array): Buffer =>
  Buffer.concat([bytesOfInt32(12 + secret.length, CANCEL_REQUEST, processId), secret]);

// --- signing in ------------------------------------------------------------------------------------------------------

/** PasswordMessage. @throws GatewayError `protocol.malformed` for an empty one, or one with a zero inside */
export function parsePassword(bytes: Buffer): string {
  if (bytes.length > LIMITS.passwordBytesMax) throw new GatewayError('protocol.malformed', { length: bytes.length });
  const body = new BodyReader(bytes, HEAD_BYTES, bytes.length);
  const password = body.text();
  body.done();
  return password;
}

export const authenticationOk = (): Buffer => frame('R', bytesOfInt32(0));
export const authenticationCleartextPassword = (): Buffer => frame('R', bytesOfInt32(3));
export const passwordMessage = (password: string): Buffer => frame('p', password);
export const saslInitialResponse = (mechanism: string, response: string): Buffer =>
  frame('p', mechanism, bytesOfInt32(Buffer.byteLength(response)), Buffer.from(response));
export const saslResponse = (response: string): Buffer => frame('p', Buffer.from(response));
export const negotiateProtocolVersion = (minor: number, unknown: readonly string[]): Buffer =>
  frame('v', bytesOfInt32((3 << 16) | minor, unknown.length), ...unknown);
export const parameterStatus = (name: string, value: string): Buffer => frame('S', name, value);
export const backendKeyData = (processId: number, secret: Uint8Array): Buffer =>
  frame('K', bytesOfInt32(processId), secret);
/** The tag of a command that is done. */
export const commandComplete = (tag: string): Buffer => frame('C', Buffer.from(`${tag}\0`));

export const readyForQuery = (status: TransactionStatus): Buffer => frame('Z', Buffer.from(status));

/** `I` idle, `T` in a transaction block, `E` in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E';

export function parseTransactionStatus(bytes: Buffer, at: number, end: number): TransactionStatus {
  const status = String.fromCharCode(bytes[at + HEAD_BYTES] ?? 0);
  if (end - at !== 6 || (status !== 'I' && status !== 'T' && status !== 'E'))
    throw new GatewayError('upstream.protocol', { message: 'ReadyForQuery' });
  return status;
}

// --- client → server -------------------------------------------------------------------------------------------------

export interface Range {
  readonly start: number;
  readonly end: number;
}
export interface ParseMessage {
  readonly name: string;
  /** Of the text, in the given buffer. */
  readonly text: Range;
  /** Type OIDs as declared; 0 = left to the server. */
  readonly types: readonly number[];
}

export function parseParse(bytes: Buffer, at: number, end: number): ParseMessage {
  const body = new BodyReader(bytes, at + HEAD_BYTES, end);
  const name = body.name();
  const text = body.range();
  const count = uint16(body);
  const types: number[] = [];
  for (let i = 0; i < count; i++) types.push(body.uint32());
  body.done();
  return { name, text, types };
}

export interface BindMessage {
  readonly portal: string;
  readonly statement: string;
  /** None = all text, one = for all, else one for each. */
  readonly formats: readonly number[];
  /** Ranges of values in the given buffer; undefined = NULL. */
  readonly values: readonly (Range | undefined)[];
  readonly resultFormats: readonly number[];
}

const NO_NUMBERS: readonly number[] = [];
const NO_VALUES: readonly (Range | undefined)[] = [];

export function parseBind(bytes: Buffer, at: number, end: number): BindMessage {
  const body = new BodyReader(bytes, at + HEAD_BYTES, end);
  const portal = body.name();
  const statement = body.name();
  const formats = formatCodes(body);
  const count = uint16(body);
  let values = NO_VALUES;
  if (count > 0) {
    const list: (Range | undefined)[] = [];
    for (let i = 0; i < count; i++) {
      const length = body.int32();
      if (length === -1) list.push(undefined);
      else {
        const start = body.at;
        body.skip(length);
        list.push({ start, end: start + length });
      }
    }
    values = list;
  }
  const resultFormats = formatCodes(body);
  body.done();
  if (formats.length > 1 && formats.length !== count)
    throw new GatewayError('protocol.malformed', { formats: formats.length });
  return { portal, statement, formats, values, resultFormats };
}

const uint16 = (body: BodyReader): number => body.int16() & 0xffff;

function formatCodes(body: BodyReader): readonly number[] {
  const count = uint16(body);
  if (count === 0) return NO_NUMBERS;
  const codes: number[] = [];
  for (let i = 0; i < count; i++) {
    const code = body.int16();
    if (code !== 0 && code !== 1) throw new GatewayError('protocol.malformed', { format: code });
    codes.push(code);
  }
  return codes;
}

/** What Describe and Close name. */
export interface Target {
  readonly kind: 'statement' | 'portal';
  readonly name: string;
}

export function parseTarget(bytes: Buffer, at: number, end: number): Target {
  const body = new BodyReader(bytes, at + HEAD_BYTES, end);
  const kind = body.uint8();
  const name = body.name();
  body.done();
  if (kind === 83) return { kind: 'statement', name };
  if (kind === 80) return { kind: 'portal', name };
  throw new GatewayError('protocol.malformed', { target: kind });
}

export function parseExecute(
  bytes: Buffer,
  at: number,
  end: number,
): { readonly portal: string; readonly rowsMax: number } {
  const body = new BodyReader(bytes, at + HEAD_BYTES, end);
  const portal = body.name();
  const rowsMax = body.int32();
  body.done();
  return { portal, rowsMax };
}

const tags = new KeptText('utf8');
/** The tag of a CommandComplete. */
export const parseTag = (bytes: Buffer, at: number, end: number): string => tags.of(bytes, at + HEAD_BYTES, end - 1);

export const query = (text: string): Buffer => frame('Q', text);
export const parse = (name: string, text: string | Uint8Array, types: readonly number[] = []): Buffer =>
  typeof text === 'string'
    ? frame('P', name, text, bytesOfInt16(types.length), bytesOfInt32(...types))
    : frame('P', name, text, Buffer.of(0), bytesOfInt16(types.length), bytesOfInt32(...types));
/** All parameters and results in text format. */
export const bind = (portal: string, statement: string, values: readonly string[]): Buffer =>
  frame(
    'B',
    portal,
    statement,
    bytesOfInt16(0, values.length),
    ...values.flatMap((value) => [bytesOfInt32(Buffer.byteLength(value)), Buffer.from(value)]),
    bytesOfInt16(0),
  );
export const describe = (target: Target): Buffer =>
  frame('D', Buffer.from(target.kind === 'statement' ? 'S' : 'P'), Buffer.from(target.name, 'latin1'), Buffer.of(0));
export const close = (target: Target): Buffer =>
  frame('C', Buffer.from(target.kind === 'statement' ? 'S' : 'P'), Buffer.from(target.name, 'latin1'), Buffer.of(0));
export const execute = (portal: string, rowsMax = 0): Buffer => frame('E', portal, bytesOfInt32(rowsMax));
// Sent with every statement, so made once; nobody writes into a message.
const SYNC = frame('S');
const FLUSH = frame('H');
export const sync = (): Buffer => SYNC;
export const flush = (): Buffer => FLUSH;
export const terminate = (): Buffer => frame('X');

// --- server → client -------------------------------------------------------------------------------------------------

export interface FieldDescription {
  readonly name: string;
  /** 0 when the column is no plain column of a relation. */
  readonly tableOid: number;
  readonly attribute: number;
  readonly typeOid: number;
  readonly format: 0 | 1;
}

export function parseRowDescription(bytes: Buffer, at: number, end: number): readonly FieldDescription[] {
  const body = new BodyReader(bytes, at + HEAD_BYTES, end);
  const count = uint16(body);
  const fields: FieldDescription[] = [];
  for (let i = 0; i < count; i++) {
    const name = body.text();
    const tableOid = body.uint32();
    const attribute = body.int16();
    const typeOid = body.uint32();
    body.skip(6);
    const format = body.int16();
    if (format !== 0 && format !== 1) throw new GatewayError('upstream.protocol', { format });
    fields.push({ name, tableOid, attribute, typeOid, format });
  }
  body.done();
  return fields;
}

export function parseParameterDescription(bytes: Buffer, at: number, end: number): readonly number[] {
  const body = new BodyReader(bytes, at + HEAD_BYTES, end);
  const count = uint16(body);
  const types: number[] = [];
  for (let i = 0; i < count; i++) types.push(body.uint32());
  body.done();
  return types;
}

/** One row's cells as text; undefined = NULL. For the gateway's own look-ups. */
export function parseDataRow(bytes: Buffer, at: number, end: number): readonly (string | undefined)[] {
  const body = new BodyReader(bytes, at + HEAD_BYTES, end);
  const count = uint16(body);
  const cells: (string | undefined)[] = [];
  for (let i = 0; i < count; i++) {
    const length = body.int32();
    if (length === -1) cells.push(undefined);
    else {
      body.skip(length);
      cells.push(bytes.toString('utf8', body.at - length, body.at));
    }
  }
  body.done();
  return cells;
}

/** Fields of ErrorResponse and NoticeResponse by their letter ("Error and Notice Message Fields"). */
export type Fields = ReadonlyMap<string, string>;

export function parseFields(bytes: Buffer, at: number, end: number): Fields {
  const body = new BodyReader(bytes, at + HEAD_BYTES, end);
  const fields = new Map<string, string>();
  for (;;) {
    const code = body.uint8();
    if (code === 0) break;
    fields.set(String.fromCharCode(code), body.text());
  }
  body.done();
  return fields;
}

export const encodeFields = (type: 'E' | 'N', fields: Fields): Buffer =>
  frame(type, ...[...fields].flatMap(([code, value]) => [Buffer.from(code), value.replaceAll('\0', '')]), Buffer.of(0));

export const parseStatus = (bytes: Buffer, at: number, end: number): readonly [name: string, value: string] => {
  const body = new BodyReader(bytes, at + HEAD_BYTES, end);
  return [body.text(), body.text()];
};

export function parseNotification(
  bytes: Buffer,
  at: number,
  end: number,
): { readonly processId: number; readonly channel: string; readonly payload: string } {
  const body = new BodyReader(bytes, at + HEAD_BYTES, end);
  return { processId: body.int32(), channel: body.text(), payload: body.text() };
}
export const notification = (processId: number, channel: string, payload: string): Buffer =>
  frame('A', bytesOfInt32(processId), channel, payload);
