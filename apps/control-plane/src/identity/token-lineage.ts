/** Who had a hand in making a token, however many hands between. Nobody answers by a token that the other side made. */
import { parseUuid } from '@sallyport/core';
import type { Tx } from '../db/database.ts';

/** @returns principal ids; none for a call without a token of ours */
export async function lineageOf(tx: Tx, tokenId: string): Promise<readonly string[]> {
  if (parseUuid(tokenId) === undefined) return [];
  return (await tx.apiToken.findUnique({ where: { id: tokenId }, select: { lineage: true } }))?.lineage ?? [];
}
