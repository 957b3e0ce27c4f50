/**
 * Which principals are one person under several accounts: the same identity at a provider (in this project or through
 * another one), the same e-mail address that a provider has verified, or an administrator's word, taken transitively. For
 * every rule of "somebody else": approvals, access requests, dual control. An address that anybody may write says nothing:
 * with it, an account could take a stranger's voice away. It errs towards "the same", and only ever takes a right away.
 */
import type { Tx } from '../db/database.ts';

/** The given principals and every other account of the same persons. */
export async function accountsOf(tx: Tx, principalIds: readonly string[]): Promise<ReadonlySet<string>> {
  const ids = [...new Set(principalIds)];
  if (ids.length === 0) return new Set();
  const rows = await tx.$queryRaw<{ id: string }[]>`
    with recursive marks(id, mark) as (
      select principal_id, 'identity:' || provider || '|' || subject from identities
      union all
      select principal_id, 'email:' || project_id || '|' || lower(verified_email) from identities where verified_email is not null
      union all
      select id, 'person:' || person_id from principals where person_id is not null
    ), same(id) as (
      select unnest(${ids}::uuid[])
      union
      select other.id from same join marks mine on mine.id = same.id join marks other on other.mark = mine.mark
    )
    select id::text as id from same`;
  return new Set(rows.map((row) => row.id));
}

/** True for a principal and itself. */
export const isSamePerson = async (tx: Tx, a: string, b: string): Promise<boolean> =>
  a === b || (await accountsOf(tx, [a])).has(b);
