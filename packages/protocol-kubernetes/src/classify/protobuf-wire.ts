/**
 * Protobuf's wire format, one message at a time: varints and length-delimited fields, which is all that Kubernetes' objects are
 * made of. Refuses groups, fixed widths, numbers that JSON cannot carry exactly, and whatever ends too early.
 * protobuf.dev, "Encoding".
 */
import { GatewayError } from '@sallyport/core';

export const VARINT = 0;
export const BYTES = 2;

export const unreadable = (reason: string, cause?: unknown): GatewayError =>
  new GatewayError('kubernetes.protobuf', { reason }, { cause });

export interface WireField {
  readonly number: number;
  readonly wire: number;
  /** Of a varint, as the signed 64-bit number it is. */
  readonly value: number;
  readonly bytes: Uint8Array;
}

const NO_BYTES = new Uint8Array();

/** @throws GatewayError `kubernetes.protobuf` */
export function* fieldsOfMessage(bytes: Uint8Array): Generator<WireField> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw unreadable('it ends too early');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (value >= 1n << 64n) throw unreadable('a number is too long');
        return value;
      }
    }
    throw unreadable('a number is too long');
  };
  while (at < bytes.length) {
    const tag = varint();
    const [number, wire] = [tag >> 3n, Number(tag & 7n)];
    if (number < 1n || number >= 1n << 29n) throw unreadable('a field without a number');
    const plain = varint();
    if (wire === VARINT) {
      const value = Number(BigInt.asIntN(64, plain));
      if (!Number.isSafeInteger(value)) throw unreadable('a number that JSON cannot carry');
      yield { number: Number(number), wire, value, bytes: NO_BYTES };
    } else if (wire === BYTES) {
      if (plain > BigInt(bytes.length - at)) throw unreadable('it ends too early');
      const start = at;
      at += Number(plain);
      yield { number: Number(number), wire, value: 0, bytes: bytes.subarray(start, at) };
    } else throw unreadable('a field of another wire type');
  }
}

/** @throws GatewayError `kubernetes.protobuf` */
export function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw unreadable('a text that is no UTF-8', error);
  }
}
