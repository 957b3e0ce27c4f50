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
    ), marks(id, mark) as (
      select i.principal_id, 'identity:' || coalesce(own.project_id::text, '') || '|' || i.provider || '|' || i.subject
      from identities i left join identity_providers own on own.project_id = i.project_id and own.name = i.provider
      union all
      select principal_id, 'email:' || project_id || '|' || lower(verified_email) from identities
      where verified_email is not null and project_id in (select project_id from home)
      union all
      select id, 'person:' || person_id from principals where person_id is not null and project_id in (select project_id from home)
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

/** Of each of the given principals the one id that stands for their person: the same for all accounts of one. */
export async function personsOf(tx: Tx, principalIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const persons = new Map<string, string>();
  for (const id of new Set(principalIds)) persons.set(id, [...(await accountsOf(tx, [id]))].toSorted()[0] ?? id);
  return persons;
}
