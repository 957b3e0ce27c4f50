/**
 * The first packets of a PostgreSQL connection and the few messages of signing in, as bytes.
 * Refuses to know sockets, and everything after AuthenticationOk. PostgreSQL protocol-message-formats: StartupMessage,
 * SSLRequest, GSSENCRequest, CancelRequest, AuthenticationCleartextPassword, PasswordMessage, ErrorResponse.
 */
import { GatewayError } from '@sallyport/core';

export type FirstPacket =
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gss' }
  /** The whole packet, to be passed on as it is. */
  | { readonly kind: 'cancel'; readonly bytes: Buffer }
  | { readonly kind: 'startup'; readonly version: number; readonly parameters: ReadonlyMap<string, string> };

const CANCEL = 80_877_102;
const SSL = 80_877_103;
const GSS = 80_877_104;
const CANCEL_KEY_BYTES_MAX = 256;

export const AUTH_OK = 0;
export const AUTH_CLEARTEXT = 3;

/**
 * @param bytes the packet with its length word
 * @throws GatewayError `protocol.malformed`; `protocol.unsupported` for a protocol other than 3
 */
export function parseFirstPacket(bytes: Buffer): FirstPacket {
  if (bytes.length < 8 || bytes.readInt32BE(0) !== bytes.length) throw new GatewayError('protocol.malformed');
  const code = bytes.readInt32BE(4);
  if (code === SSL || code === GSS) {
    if (bytes.length !== 8) throw new GatewayError('protocol.malformed');
    return { kind: code === SSL ? 'ssl' : 'gss' };
  }
  if (code === CANCEL) {
    if (bytes.length < 16 || bytes.length > 12 + CANCEL_KEY_BYTES_MAX) throw new GatewayError('protocol.malformed');
    return { kind: 'cancel', bytes };
  }
  if (code >>> 16 !== 3) throw new GatewayError('protocol.unsupported');
  return { kind: 'startup', version: code, parameters: parseParameters(bytes) };
}

function parseParameters(bytes: Buffer): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  let at = 8;
  const next = (): string => {
    const end = bytes.indexOf(0, at);
    if (end < 0) throw new GatewayError('protocol.malformed');
    const text = bytes.toString('utf8', at, end);
    at = end + 1;
    return text;
  };
  for (let key = next(); key !== ''; key = next()) {
    if (parameters.has(key)) throw new GatewayError('protocol.malformed');
    parameters.set(key, next());
  }
  if (at !== bytes.length) throw new GatewayError('protocol.malformed');
  return parameters;
}

export function encodeStartup(version: number, parameters: ReadonlyMap<string, string>): Buffer {
  const words = [...parameters].flatMap(([key, value]) => [key, value]).map((word) => `${word}\0`);
  const body = Buffer.from(`${words.join('')}\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + body.length, 0);
  head.writeInt32BE(version, 4);
  return Buffer.concat([head, body]);
}

/** A typed message: type byte, length, body. */
export function encodeMessage(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

export const encodePassword = (password: string): Buffer => encodeMessage('p', Buffer.from(`${password}\0`));

export function encodeAuthentication(code: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeInt32BE(code);
  return encodeMessage('R', body);
}

/** A FATAL ErrorResponse. @param sqlstate five characters, as `28000` */
export function encodeFatal(sqlstate: string, message: string, hint?: string): Buffer {
  const fields = [`SFATAL`, 'VFATAL', `C${sqlstate}`, `M${message}`, ...(hint === undefined ? [] : [`H${hint}`])];
  return encodeMessage('E', Buffer.from(`${fields.map((field) => `${field.replaceAll('\0', '')}\0`).join('')}\0`));
}
