/**
 * Bind values as an approver can read them, by their format and type. PostgreSQL protocol-message-formats, Bind; pg_type.dat.
 * Refuses to judge them: what it cannot read is shown in hex.
 */
import { isUtf8 } from 'node:buffer';
import type { StatementParameter } from '@sallyport/model';
import { isPlain } from '../codec.ts';
import type { BindMessage } from '../messages.ts';
import type { Prepared } from '../mirror.ts';

export const NO_PARAMETERS: readonly StatementParameter[] = [];

/** Bind values as an approver can read them. */
export function parametersOf(bytes: Buffer, message: BindMessage, prepared: Prepared): readonly StatementParameter[] {
  if (message.values.length === 0) return NO_PARAMETERS;
  const parameters: StatementParameter[] = [];
  for (let i = 0; i < message.values.length; i++) {
    const range = message.values[i];
    const type = prepared.types[i] ?? 0;
    if (range === undefined) {
      parameters.push({ text: undefined, type });
      continue;
    }
    const { start, end } = range;
    const format =
      message.formats.length === 0 ? 0 : message.formats.length === 1 ? message.formats[0]! : message.formats[i]!;
    const text =
      format === 0
        ? isPlain(bytes, start, end)
          ? bytes.toString('latin1', start, end)
          : textOf(bytes.subarray(start, end))
        : binaryText(bytes.subarray(start, end), type);
    parameters.push({ text, type });
  }
  return parameters;
}

/** Text of a value in text format; hex of what is none. */
export const textOf = (value: Buffer): string =>
  isUtf8(value) && !value.includes(0) ? value.toString('utf8') : `\\x${value.toString('hex')}`;

/** By type OID (pg_type.dat): the ones drivers send in binary most. */
export function binaryText(value: Buffer, type: number): string {
  switch (type) {
    case 16:
      if (value.length === 1) return value[0] === 0 ? 'false' : 'true';
      break;
    case 21:
      if (value.length === 2) return String(value.readInt16BE());
      break;
    case 23:
      if (value.length === 4) return String(value.readInt32BE());
      break;
    case 26:
      if (value.length === 4) return String(value.readUInt32BE());
      break;
    case 20:
      if (value.length === 8) return String(value.readBigInt64BE());
      break;
    case 700:
      if (value.length === 4) return String(value.readFloatBE());
      break;
    case 701:
      if (value.length === 8) return String(value.readDoubleBE());
      break;
    case 25:
    case 1043:
    case 1042:
    case 19:
    case 114:
    case 142:
    case 705:
      return textOf(value);
    case 3802:
      if (value[0] === 1) return textOf(value.subarray(1));
      break;
    default:
  }
  return `\\x${value.toString('hex')}`;
}
