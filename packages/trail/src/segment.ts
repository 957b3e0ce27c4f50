/**
 * The head of a segment file: which chain it belongs to and where in it it starts.
 * Refuses to know files and checkpoints. docs/reference/trail-format.md, Segment file.
 */
import { isDnsLabel, uuidText } from '@sallyport/core';
import { broken, readU64, writeU64 } from './bytes.ts';
import { type ChainIdentity, type ChainPosition, encodeIdentity } from './chain.ts';

const MAGIC = Buffer.from('SLYTRAIL');
// Format version, digest SHA-256, payload cipher AES-256-CTR, seal X25519.
const ALGORITHMS = Buffer.of(1, 1, 1, 1);
const FIXED = 52;

export interface SegmentHeader {
  readonly identity: ChainIdentity;
  readonly firstSequence: number;
  /** Head before the first event. */
  readonly prev: Buffer;
  /** Length of the header in bytes: where records begin. */
  readonly length: number;
}

/** The header of a segment that goes on from `position`. */
export function encodeSegmentHeader(identity: ChainIdentity, position: ChainPosition): Buffer {
  const head = Buffer.alloc(FIXED);
  head.set(MAGIC, 0);
  head.set(ALGORITHMS, 8);
  writeU64(head, position.sequence + 1, 12);
  head.set(position.head, 20);
  return Buffer.concat([head, encodeIdentity(identity)]);
}

/** @throws GatewayError `trail.broken` (`segment`, `version`) when the bytes are no whole header of this version */
export function parseSegmentHeader(bytes: Buffer): SegmentHeader {
  if (bytes.length < FIXED + 25 || !bytes.subarray(0, 8).equals(MAGIC)) throw broken('segment');
  if (!bytes.subarray(8, 12).equals(ALGORITHMS)) throw broken('version');
  const { identity, end } = parseIdentity(bytes, FIXED);
  return { identity, firstSequence: readU64(bytes, 12), prev: bytes.subarray(20, 52), length: end };
}

/** @throws GatewayError `trail.broken` (`identity`) */
export function parseIdentity(bytes: Buffer, at: number): { readonly identity: ChainIdentity; readonly end: number } {
  const length = bytes[at + 16] ?? 0;
  const end = at + 25 + length;
  if (bytes.length < end) throw broken('identity');
  const instance = bytes.toString('ascii', at + 17, at + 17 + length);
  const epoch = readU64(bytes, at + 17 + length);
  if (!isDnsLabel(instance) || epoch === 0) throw broken('identity');
  return { identity: { agentId: uuidText(bytes.subarray(at, at + 16)), instance, epoch }, end };
}

export const sameChain = (a: ChainIdentity, b: ChainIdentity): boolean =>
  a.agentId === b.agentId && a.instance === b.instance && a.epoch === b.epoch;
