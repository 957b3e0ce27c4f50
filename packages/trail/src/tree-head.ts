/**
 * Signed heads of the tree over segments, and the line of a heads file. Refuses to know where heads are kept: they should
 * leave the building. docs/reference/trail-format.md, Tree heads.
 */
import type { KeyObject } from 'node:crypto';
import { parseUuid, uuidText } from '@sallyport/core';
import { broken, readU64, writeU64 } from './bytes.ts';
import { type AsyncSigner, publicKeyId, type SignerName, signatureHolds } from './signer.ts';

const MAGIC = Buffer.from('SLYTHEAD');
const BYTES = 108;

export interface TreeHeadClaim {
  /** UUID text. */
  readonly controlPlaneId: string;
  readonly size: number;
  /** UTC ms. */
  readonly timeMs: number;
  readonly root: Buffer;
}
export interface TreeHead extends TreeHeadClaim {
  readonly algorithm: number;
  readonly keyId: Buffer;
  readonly statement: Buffer;
  readonly signature: Buffer;
}

export function encodeTreeHeadStatement(claim: TreeHeadClaim, signer: SignerName): Buffer {
  const id = parseUuid(claim.controlPlaneId);
  if (id === undefined) throw broken('identity');
  const bytes = Buffer.alloc(BYTES);
  bytes.set(MAGIC, 0);
  bytes[8] = 1;
  bytes[9] = signer.algorithm;
  bytes.set(id, 12);
  writeU64(bytes, claim.size, 28);
  writeU64(bytes, claim.timeMs, 36);
  bytes.set(claim.root, 44);
  bytes.set(signer.keyId, 76);
  return bytes;
}

export async function signTreeHead(claim: TreeHeadClaim, signer: AsyncSigner): Promise<TreeHead> {
  const statement = encodeTreeHeadStatement(claim, signer);
  return parseTreeHead(statement, Buffer.from(await signer.sign(statement)));
}

/** @throws GatewayError `trail.broken` (`head`) */
export function parseTreeHead(statement: Buffer, signature: Buffer): TreeHead {
  if (statement.length !== BYTES || !statement.subarray(0, 8).equals(MAGIC) || statement[8] !== 1) throw broken('head');
  return {
    controlPlaneId: uuidText(statement.subarray(12, 28)),
    size: readU64(statement, 28),
    timeMs: readU64(statement, 36),
    root: statement.subarray(44, 76),
    algorithm: statement[9]!,
    keyId: statement.subarray(76, 108),
    statement,
    signature,
  };
}

export const treeHeadHolds = (head: TreeHead, key: KeyObject): boolean =>
  publicKeyId(key).equals(head.keyId) && signatureHolds(head.algorithm, head.statement, head.signature, key);

/** One line of a heads file, with its newline. */
export const formatTreeHead = (head: TreeHead): string =>
  `${JSON.stringify({
    size: head.size,
    root: head.root.toString('hex'),
    time: head.timeMs,
    statement: head.statement.toString('base64'),
    signature: head.signature.toString('base64'),
  })}\n`;

/** Reads a heads file. What a line says for people is ignored. @throws GatewayError `trail.broken` (`head`) */
export function parseTreeHeads(text: string): readonly TreeHead[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const { statement, signature } = parseLine(line);
      return parseTreeHead(Buffer.from(statement, 'base64'), Buffer.from(signature, 'base64'));
    });
}

function parseLine(line: string): { readonly statement: string; readonly signature: string } {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw broken('head');
  }
  const { statement, signature } = (value ?? {}) as Record<string, unknown>;
  if (typeof statement !== 'string' || typeof signature !== 'string') throw broken('head');
  return { statement, signature };
}
