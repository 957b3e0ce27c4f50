/** Who had a hand in making a token, however many hands between. Nobody answers by a token that the other side made. */
import { parseUuid } from '@sallyport/core';
import type { Tx } from '../db/database.ts';

/** @returns principal ids; none for a call without a token of ours */
export async function lineageOf(tx: Tx, tokenId: string): Promise<readonly string[]> {
  if (parseUuid(tokenId) === undefined) return [];
  return (await tx.apiToken.findUnique({ where: { id: tokenId }, select: { lineage: true } }))?.lineage ?? [];
}

/**
 * Who had a hand in the tokens of persons by which a session was opened. Machines are given theirs by administrators, who go
 * on answering for them.
 * @returns principal ids; none where the token is gone, which ends its session; undefined for a session that is not on record
 */
export async function handsBehindSession(tx: Tx, sessionId: string): Promise<readonly string[] | undefined> {
  const rows = await tx.$queryRaw<{ hands: string[] }[]>`
    select array(
      select distinct unnest(made.lineage)::text from issued_access given
        join api_tokens made on made.id = given.api_token_id
        join principals whose on whose.id = made.principal_id and whose.kind = 'person'
      where given.jti in (opened.token_id, opened.token_id || '~subject')) as hands
    from sessions opened where opened.id = ${sessionId}::uuid`;
  return rows[0]?.hands;
}
