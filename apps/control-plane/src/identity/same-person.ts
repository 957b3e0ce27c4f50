/**
 * Which principals are one person under several accounts: the same identity at a provider (in any project, where the provider
 * is every project's), the same e-mail address that a provider has verified, or an administrator's word, taken transitively.
 * For every rule of "somebody else": approvals, access requests, dual control. It errs towards "the same", and only ever takes
 * a right away; so an address that anybody may write says nothing, and neither does what another project says of its own.
 */
import type { Tx } from '../db/database.ts';

/**
 * The given principals and every other account of the same persons, as their own projects know it: a provider that another
 * project has set up, addresses that it verified and accounts that its administrators joined would let these say who has a
 * voice here.
 */
export async function accountsOf(tx: Tx, principalIds: readonly string[]): Promise<ReadonlySet<string>> {
  const ids = [...new Set(principalIds)];
  if (ids.length === 0) return new Set();
  const rows = await tx.$queryRaw<{ id: string }[]>`
    with recursive home as (
      select distinct project_id from principals where id = any (${ids}::uuid[])
    ), same(id) as (
      select unnest(${ids}::uuid[])
      union
      select other.id from same cross join lateral (
        select theirs.principal_id as id from identities mine
          join identities theirs on theirs.provider = mine.provider and theirs.subject = mine.subject
          left join identity_providers my_own on my_own.project_id = mine.project_id and my_own.name = mine.provider
          left join identity_providers own on own.project_id = theirs.project_id and own.name = theirs.provider
        where mine.principal_id = same.id and own.project_id is not distinct from my_own.project_id
        union all
        select theirs.principal_id from identities mine
          join identities theirs on theirs.verified_email = mine.verified_email and theirs.project_id = mine.project_id
        where mine.principal_id = same.id and mine.project_id in (select project_id from home)
        union all
        select theirs.id from principals mine join principals theirs on theirs.person_id = mine.person_id
        where mine.id = same.id and mine.project_id in (select project_id from home)
          and theirs.project_id in (select project_id from home)
      ) other
    )
    select id::text as id from same`;
  return new Set(rows.map((row) => row.id));
}

/** True for a principal and itself. */
export const isSamePerson = async (tx: Tx, a: string, b: string): Promise<boolean> =>
  a === b || (await accountsOf(tx, [a])).has(b);

/** Of each of the given principals the one id that stands for their person: the same for all accounts of one. */
export async function personsOf(tx: Tx, principalIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const persons = new Map<string, string>();
  for (const id of new Set(principalIds)) persons.set(id, [...(await accountsOf(tx, [id]))].toSorted()[0] ?? id);
  return persons;
}
