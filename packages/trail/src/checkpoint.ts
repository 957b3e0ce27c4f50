/**
 * A checkpoint: the signed end of a segment. Refuses to know certificates: it is checked against a public key that the
 * caller trusts (certificates.ts finds one). docs/reference/trail-format.md, Checkpoint statement.
 */
import type { KeyObject } from 'node:crypto';
import { broken, readU64, writeU64 } from './bytes.ts';
import { type ChainIdentity, encodeIdentity } from './chain.ts';
import { leafHash } from './merkle.ts';
import { parseIdentity } from './segment.ts';
import { type AsyncSigner, publicKeyId, type SignerName, type SyncSigner, signatureHolds } from './signer.ts';

const MAGIC = Buffer.from('SLYCHKPT');
const FIXED = 140;
const FLAG_RECOVERED = 1;

/** What a checkpoint says. */
export interface CheckpointClaim {
  readonly identity: ChainIdentity;
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** UTC ms. */
  readonly timeMs: number;
  readonly prev: Buffer;
  readonly head: Buffer;
  /** Closed by a later process that found the segment open. */
  readonly recovered: boolean;
}

export interface Checkpoint extends CheckpointClaim {
  readonly algorithm: number;
  readonly keyId: Buffer;
  /** The signed bytes. */
  readonly statement: Buffer;
  readonly signature: Buffer;
  /** The segment's leaf in the tree. */
  readonly leaf: Buffer;
}

export function encodeCheckpointStatement(claim: CheckpointClaim, signer: SignerName): Buffer {
  const bytes = Buffer.alloc(FIXED);
  bytes.set(MAGIC, 0);
  bytes[8] = 1;
  bytes[9] = signer.algorithm;
  bytes[10] = claim.recovered ? FLAG_RECOVERED : 0;
  writeU64(bytes, claim.firstSequence, 12);
  writeU64(bytes, claim.lastSequence, 20);
  writeU64(bytes, claim.lastSequence - claim.firstSequence + 1, 28);
  writeU64(bytes, claim.timeMs, 36);
  bytes.set(claim.prev, 44);
  bytes.set(claim.head, 76);
  bytes.set(signer.keyId, 108);
  return Buffer.concat([bytes, encodeIdentity(claim.identity)]);
}

/** The body of a checkpoint record. */
export function signCheckpoint(claim: CheckpointClaim, signer: SyncSigner): Buffer {
  const statement = encodeCheckpointStatement(claim, signer);
  return joinSignature(statement, signer.sign(statement));
}
export async function signCheckpointAsync(claim: CheckpointClaim, signer: AsyncSigner): Promise<Buffer> {
  const statement = encodeCheckpointStatement(claim, signer);
  return joinSignature(statement, await signer.sign(statement));
}

function joinSignature(statement: Buffer, signature: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(signature.length);
  return Buffer.concat([statement, length, signature]);
}

/** @throws GatewayError `trail.broken` (`checkpoint`) when malformed or when its count contradicts its sequences */
export function parseCheckpoint(body: Buffer): Checkpoint {
  if (body.length < FIXED + 25 || !body.subarray(0, 8).equals(MAGIC) || body[8] !== 1) throw broken('checkpoint');
  const { identity, end } = parseIdentity(body, FIXED);
  if (body.length < end + 2 || body.length !== end + 2 + body.readUInt16BE(end)) throw broken('checkpoint');
  const firstSequence = readU64(body, 12);
  const lastSequence = readU64(body, 20);
  if (lastSequence < firstSequence || readU64(body, 28) !== lastSequence - firstSequence + 1)
    throw broken('checkpoint');
  const statement = body.subarray(0, end);
  return {
    identity,
    firstSequence,
    lastSequence,
    timeMs: readU64(body, 36),
    prev: body.subarray(44, 76),
    head: body.subarray(76, 108),
    recovered: (body[10]! & FLAG_RECOVERED) !== 0,
    algorithm: body[9]!,
    keyId: body.subarray(108, 140),
    statement,
    signature: body.subarray(end + 2),
    leaf: leafHash(statement),
  };
}

/** True when `key` is the one the checkpoint names and its signature holds. */
export const checkpointHolds = (checkpoint: Checkpoint, key: KeyObject): boolean =>
  publicKeyId(key).equals(checkpoint.keyId) &&
  signatureHolds(checkpoint.algorithm, checkpoint.statement, checkpoint.signature, key);
