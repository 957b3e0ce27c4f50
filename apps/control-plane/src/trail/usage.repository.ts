/**
 * Use of resources by principals, summed up by day with the batch that tells of it, so that no statement is
 * counted twice or lost. The only SQL of these sums' ingest. Who acts for another is use of both rights: a row for each.
 * Refuses a session of another agent than the one whose chain it is.
 */
import { LIMITS } from '@sallyport/core';
import { Prisma } from '../generated/prisma/client.ts';
import { MORE_WORDS, type UsageRow } from './usage-rows.ts';

/**
 * The statement that counts them, for a statement that stores the batch. In the order of the key, so that two batches cannot
 * wait for each other.
 * @param chain name of a relation with the chain's one row, `id` and `project_id`; none, and nothing is counted
 */
export const countingUse = (chain: Prisma.Sql, agentId: string, rows: readonly UsageRow[]): Prisma.Sql => Prisma.sql`
    with told as (
      select m.id as chain_id, m.project_id, w.principal_id, s.resource_id, e.day, e.kind, e.word, e.allowed, e.held, e.denied,
        e.last, e.sequence,
        e."allowedLast" as allowed_last
      from ${chain} m cross join jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as e(session uuid, day date, kind text, word text,
          allowed int, held int, denied int, last float8, sequence bigint, "allowedLast" float8)
        join sessions s on s.id = e.session and s.agent_id = ${agentId}::uuid and s.project_id = m.project_id
        cross join lateral (select s.principal_id union select s.on_behalf_of_id where s.on_behalf_of_id is not null) w(principal_id)
    ), full_days as (
      select d.principal_id, d.resource_id, d.day from (select distinct principal_id, resource_id, day from told where kind = 'reached') d
      where (select count(*) from usage_days u where u.principal_id = d.principal_id and u.resource_id = d.resource_id
        and u.day = d.day and u.kind = 'reached') >= ${LIMITS.usageWordsPerDayMax}
    ), named as (
      select t.*, case when t.kind = 'reached' and f.day is not null and not exists (
          select from usage_days u where u.principal_id = t.principal_id and u.resource_id = t.resource_id and u.day = t.day
            and u.kind = 'reached' and u.word = t.word) then ${MORE_WORDS} else t.word end as said
      from told t left join full_days f on f.principal_id = t.principal_id and f.resource_id = t.resource_id and f.day = t.day
    )
    insert into usage_days (project_id, principal_id, resource_id, day, kind, word, allowed, held, denied, last_at, last_allowed_at,
      chain_id, sequence)
    select project_id, principal_id, resource_id, day, kind, said, sum(allowed), sum(held), sum(denied),
      to_timestamp(max(last) / 1000), to_timestamp(nullif(max(allowed_last), 0) / 1000), chain_id, max(sequence)
    from named group by project_id, chain_id, principal_id, resource_id, day, kind, said
    order by principal_id, resource_id, day, kind, said
    on conflict (principal_id, resource_id, day, kind, word) do update set
      allowed = usage_days.allowed + excluded.allowed, held = usage_days.held + excluded.held,
      denied = usage_days.denied + excluded.denied, last_at = greatest(usage_days.last_at, excluded.last_at),
      last_allowed_at = greatest(usage_days.last_allowed_at, excluded.last_allowed_at),
      chain_id = case when excluded.last_at >= usage_days.last_at then excluded.chain_id else usage_days.chain_id end,
      sequence = case when excluded.last_at >= usage_days.last_at then excluded.sequence else usage_days.sequence end`;
