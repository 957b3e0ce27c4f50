/**
 * Merkle tree hashing, inclusion and consistency proofs over leaves: RFC 6962 section 2, verification as RFC 9162
 * sections 2.1.3.2 and 2.1.4.2. Refuses to know what a leaf stands for.
 */
import { broken, sha256 } from './bytes.ts';

const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);
export const EMPTY_ROOT: Buffer = sha256(Buffer.alloc(0));

export const leafHash = (data: Uint8Array): Buffer => sha256(Buffer.concat([LEAF, data]));
const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => sha256(Buffer.concat([NODE, left, right]));

/** The largest power of two below `size`; size ≥ 2. */
function split(size: number): number {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}

/** Root over `leaves[from, to)`. */
export function merkleRoot(leaves: readonly Buffer[], from = 0, to = leaves.length): Buffer {
  const size = to - from;
  if (size === 0) return EMPTY_ROOT;
  if (size === 1) return leaves[from]!;
  const middle = from + split(size);
  return nodeHash(merkleRoot(leaves, from, middle), merkleRoot(leaves, middle, to));
}

/** Adds leaves one by one, keeping only one digest per complete subtree: what a writer of a long log holds. */
export class MerkleFrontier {
  #size = 0;
  readonly #peaks: Buffer[] = [];
  get size(): number {
    return this.#size;
  }
  add(leaf: Buffer): void {
    let node = leaf;
    for (let size = this.#size; size % 2 === 1; size = Math.floor(size / 2)) node = nodeHash(this.#peaks.pop()!, node);
    this.#peaks.push(node);
    this.#size++;
  }
  root(): Buffer {
    let node = this.#peaks.at(-1);
    if (node === undefined) return EMPTY_ROOT;
    for (let i = this.#peaks.length - 2; i >= 0; i--) node = nodeHash(this.#peaks[i]!, node);
    return node;
  }
}

/** Audit path of leaf `index`, from the bottom. @throws GatewayError `trail.broken` (`proof`) for an index outside */
export function inclusionProof(leaves: readonly Buffer[], index: number, from = 0, to = leaves.length): Buffer[] {
  if (index < 0 || index >= to - from) throw broken('proof');
  if (to - from === 1) return [];
  const middle = split(to - from);
  return index < middle
    ? [...inclusionProof(leaves, index, from, from + middle), merkleRoot(leaves, from + middle, to)]
    : [...inclusionProof(leaves, index - middle, from + middle, to), merkleRoot(leaves, from, from + middle)];
}

/** True when `leaf` is number `index` of the tree of `size` leaves with that root. */
export function inclusionHolds(
  leaf: Buffer,
  index: number,
  size: number,
  proof: readonly Buffer[],
  root: Buffer,
): boolean {
  if (index < 0 || index >= size) return false;
  let node = leaf;
  let at = index;
  let last = size - 1;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      node = nodeHash(sibling, node);
      while (at % 2 === 0 && at !== 0) {
        at = Math.floor(at / 2);
        last = Math.floor(last / 2);
      }
    } else {
      node = nodeHash(node, sibling);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && node.equals(root);
}

/** Proof that the tree of the first `older` leaves is a prefix of the whole. */
export function consistencyProof(leaves: readonly Buffer[], older: number): Buffer[] {
  if (older < 0 || older > leaves.length) throw broken('proof');
  return older === 0 || older === leaves.length ? [] : subProof(leaves, older, 0, leaves.length, true);
}

function subProof(leaves: readonly Buffer[], older: number, from: number, to: number, whole: boolean): Buffer[] {
  const size = to - from;
  if (older === size) return whole ? [] : [merkleRoot(leaves, from, to)];
  const middle = split(size);
  return older <= middle
    ? [...subProof(leaves, older, from, from + middle, whole), merkleRoot(leaves, from + middle, to)]
    : [...subProof(leaves, older - middle, from + middle, to, false), merkleRoot(leaves, from, from + middle)];
}

/** True when the proof shows that the older tree is a prefix of the newer. */
export function consistencyHolds(
  older: { readonly size: number; readonly root: Buffer },
  newer: { readonly size: number; readonly root: Buffer },
  proof: readonly Buffer[],
): boolean {
  if (older.size > newer.size || older.size < 0) return false;
  if (older.size === 0) return proof.length === 0;
  if (older.size === newer.size) return proof.length === 0 && older.root.equals(newer.root);
  let at = older.size - 1;
  let last = newer.size - 1;
  while (at % 2 === 1) {
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  const path = at === 0 ? [older.root, ...proof] : proof;
  const first = path[0];
  if (first === undefined) return false;
  let oldNode = first;
  let newNode = first;
  for (const sibling of path.slice(1)) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      oldNode = nodeHash(sibling, oldNode);
      newNode = nodeHash(sibling, newNode);
      while (at % 2 === 0 && at !== 0) {
        at = Math.floor(at / 2);
        last = Math.floor(last / 2);
      }
    } else {
      newNode = nodeHash(newNode, sibling);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 && oldNode.equals(older.root) && newNode.equals(newer.root);
}
