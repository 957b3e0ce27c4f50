import { expect, test } from 'vitest';
import {
  consistencyHolds,
  consistencyProof,
  inclusionHolds,
  inclusionProof,
  leafHash,
  MerkleFrontier,
  merkleRoot,
} from './merkle.ts';

// The test vectors that Certificate Transparency implementations share.
const DATA = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const LEAVES = DATA.map((hex) => leafHash(Buffer.from(hex, 'hex')));

test('roots are those of RFC 6962, at once and leaf by leaf', () => {
  const frontier = new MerkleFrontier();
  for (const [i, leaf] of LEAVES.entries()) {
    frontier.add(leaf);
    expect(merkleRoot(LEAVES.slice(0, i + 1)).toString('hex')).toBe(ROOTS[i]);
    expect(frontier.root().toString('hex')).toBe(ROOTS[i]);
  }
});

const many = Array.from({ length: 33 }, (_, i) => leafHash(Buffer.of(i)));

test('every leaf of every size up to 33 has a proof that holds for it alone', () => {
  for (let size = 1; size <= many.length; size++) {
    const leaves = many.slice(0, size);
    const root = merkleRoot(leaves);
    for (let i = 0; i < size; i++) {
      const proof = inclusionProof(leaves, i);
      expect(inclusionHolds(leaves[i]!, i, size, proof, root)).toBe(true);
      expect(inclusionHolds(leafHash(Buffer.of(99)), i, size, proof, root)).toBe(false);
      if (size > 1) expect(inclusionHolds(leaves[i]!, (i + 1) % size, size, proof, root)).toBe(false);
      if (proof.length > 0) expect(inclusionHolds(leaves[i]!, i, size, proof.slice(1), root)).toBe(false);
    }
  }
});

test('every older tree is shown to be a prefix, and no other tree is', () => {
  for (let newer = 1; newer <= many.length; newer++) {
    const leaves = many.slice(0, newer);
    const head = { size: newer, root: merkleRoot(leaves) };
    for (let older = 1; older <= newer; older++) {
      const proof = consistencyProof(leaves, older);
      const former = { size: older, root: merkleRoot(leaves, 0, older) };
      expect(consistencyHolds(former, head, proof)).toBe(true);
      expect(consistencyHolds({ ...former, root: leafHash(Buffer.of(200)) }, head, proof)).toBe(false);
      if (older < newer) expect(consistencyHolds(former, { ...head, root: former.root }, proof)).toBe(false);
    }
  }
});
