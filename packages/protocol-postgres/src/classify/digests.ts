/**
 * Digests of what was asked: text, declared types and parameters, SHA-256. Approvals are bound to them. Each execution pays one:
 * short ones are put together in one place. Refuses to read the text.
 */
import { hash } from 'node:crypto';
import { bytesOfInt32 } from '../codec.ts';

/** Everything a digest has before the parameters. With no parameters this is all of it but the closing count. */
export const digestHead = (text: string, types: readonly number[]): Buffer =>
  Buffer.concat([Buffer.from(`postgres\0${text}\0`), bytesOfInt32(types.length, ...types)]);

const NONE = bytesOfInt32(0);

/** Lower-case hex SHA-256. `parameters`: formats and values as the Bind message has them; undefined without any. */
export function digestOf(head: Buffer, parameters: Uint8Array | undefined): string {
  return hash('sha256', Buffer.concat([head, parameters ?? NONE]), 'hex');
}

/** Where short ones are put together; views of it by their length, which are few. */
const scratch = Buffer.allocUnsafeSlow(1024);
const views: Buffer[] = [];

/** As `digestOf`, of parameters that stand in `bytes` from `start` to `end`: what every execution pays. */
export function digestOfRange(head: Buffer, bytes: Buffer, start: number, end: number): string {
  const size = head.length + end - start;
  if (size > scratch.length) return digestOf(head, bytes.subarray(start, end));
  scratch.set(head, 0);
  for (let i = start, at = head.length; i < end; i++) scratch[at++] = bytes[i]!;
  return hash('sha256', (views[size] ??= scratch.subarray(0, size)), 'hex');
}

/** Of a text without parameters, in one call: what every simple query pays. */
export const digestOfText = (text: string): string => hash('sha256', `postgres\0${text}\0\0\0\0\0\0\0\0\0`, 'hex');
