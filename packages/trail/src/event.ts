/**
 * The 128-byte event header. Refuses to know payload fields and keys: it sees a payload as bytes with a digest.
 * docs/reference/trail-format.md, Event header.
 */
import { uuidText } from '@sallyport/core';
import type { TrailEventKind } from '@sallyport/model';
import { broken, isSha256, readU64, sha256, sha256Into, writeU32, writeU64, ZERO16 } from './bytes.ts';
import { kindOf } from './kinds.ts';

export const FORMAT_VERSION = 1;
export const EVENT_HEADER_BYTES = 128;
/** Where its sequence stands in the header. */
export const SEQUENCE_AT = 8;
export const FLAG_ENCRYPTED = 1;
export const FLAG_CONTINUED = 2;

/** A parsed header with views into the bytes it came from. */
export interface EventRecord {
  readonly flags: number;
  readonly kindCode: number;
  /** Undefined for `payload.part` and for a kind of a later version. */
  readonly kind: TrailEventKind | undefined;
  readonly sequence: number;
  /** UTC ms. */
  readonly timeMs: number;
  readonly keystreamOffset: number;
  /** UUID text; '' for none. */
  readonly sessionId: string;
  /** 16 bytes; zero when the payload is in clear. */
  readonly keyId: Buffer;
  readonly payloadLength: number;
  readonly prev: Buffer;
  /** SHA-256 of the header: the chain's head after this event. */
  readonly head: Buffer;
  /** As stored; undefined when it was erased. */
  readonly payload: Buffer | undefined;
}

export interface HeaderFields {
  readonly flags: number;
  readonly kindCode: number;
  readonly sequence: number;
  readonly timeMs: number;
  readonly keystreamOffset: number;
  readonly sessionId: Buffer;
  readonly keyId: Buffer;
}

/**
 * Writes a header at `at`, for the payload as stored.
 * @param head the chain's head: read as what the event is bound to, then overwritten with the new one
 */
export function writeEventHeader(into: Buffer, at: number, fields: HeaderFields, payload: Buffer, head: Buffer): void {
  header[0] = FORMAT_VERSION;
  header[1] = fields.flags;
  header[2] = fields.kindCode >>> 8;
  header[3] = fields.kindCode;
  writeU32(header, payload.length, 4);
  writeU64(header, fields.sequence, SEQUENCE_AT);
  writeU64(header, fields.timeMs, 16);
  writeU64(header, fields.keystreamOffset, 24);
  header.set(fields.sessionId, 32);
  header.set(fields.keyId, 48);
  sha256Into(payload, header, 64);
  header.set(head, 96);
  into.set(header, at);
  sha256Into(header, head, 0);
}

/** Made in one place and copied, so that no view has to be made to digest it. */
const header = Buffer.allocUnsafeSlow(EVENT_HEADER_BYTES);

/**
 * Reads the body of an event record; checks its own shape and payload digest, not its place in a chain.
 * @param erased the record type says that the payload was erased
 * @throws GatewayError `trail.broken` (`event`, `version`, `payload-digest`)
 */
export function parseEventRecord(body: Buffer, erased: boolean): EventRecord {
  if (body.length < EVENT_HEADER_BYTES) throw broken('event');
  if (body[0] !== FORMAT_VERSION) throw broken('version');
  const payloadLength = body.readUInt32BE(4);
  if (body.length !== EVENT_HEADER_BYTES + (erased ? 0 : payloadLength)) throw broken('event');
  const payload = erased ? undefined : body.subarray(EVENT_HEADER_BYTES);
  const sequence = readU64(body, SEQUENCE_AT);
  if (payload !== undefined && !isSha256(payload, body, 64)) throw broken('payload-digest', { sequence });
  const session = body.subarray(32, 48);
  const kindCode = body.readUInt16BE(2);
  return {
    flags: body[1]!,
    kindCode,
    kind: kindOf(kindCode),
    sequence,
    timeMs: readU64(body, 16),
    keystreamOffset: readU64(body, 24),
    sessionId: session.equals(ZERO16) ? '' : uuidText(session),
    keyId: body.subarray(48, 64),
    payloadLength,
    prev: body.subarray(96, 128),
    head: sha256(body.subarray(0, EVENT_HEADER_BYTES)),
    payload,
  };
}
