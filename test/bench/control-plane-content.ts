/**
 * A company's worth of rows: 10,000 principals in 500 groups, 1,000 resources, 20,000 grants, 200 rules. Written by SQL, since
 * making them is not what is measured; policies go through REST, which compiles them.
 */
import type pg from 'pg';
import type { Rest } from '../../scripts/stack/rest.ts';

export interface Content {
  readonly principals: number;
  readonly groups: number;
  readonly resources: number;
  readonly grants: number;
  readonly rules: number;
}

export const COMPANY: Content = { principals: 10_000, groups: 500, resources: 1_000, grants: 20_000, rules: 200 };
/** A fifth of it, for --quick. */
export const SMALL: Content = { principals: 2_000, groups: 100, resources: 200, grants: 4_000, rules: 40 };

const RULES_PER_POLICY = 4;

const policy = (n: number): string => `kind: Policy
name: company-${n}
resources: { labels: { team: team-${n % 20} } }
rules:
${Array.from(
  { length: RULES_PER_POLICY },
  (_, i) => `  - name: rule-${i}
    when: sql.effects.exists(e, e == "ddl") && principal.name != "someone-${n}-${i}"
    verdict: ${i % 2 === 0 ? 'deny' : 'hold\n    approval: { groups: [dba], count: 1, expires: 10m }'}
`,
).join('')}`;

/** @param projectId of the default project; there is a resource in it whose settings the new ones share */
export async function writeContent(sql: pg.Pool, admin: Rest, projectId: string, content: Content): Promise<void> {
  const { principals, groups, resources, grants, rules } = content;
  await sql.query(
    `insert into principals (id, project_id, name, kind, roles, updated_at)
     select gen_random_uuid(), $1, 'company-' || n, 'service', '{member}', now() from generate_series(1, $2::int) n`,
    [projectId, principals],
  );
  await sql.query(
    `insert into groups (id, project_id, name) select gen_random_uuid(), $1, 'company-' || n from generate_series(1, $2::int) n`,
    [projectId, groups],
  );
  // Three groups each.
  await sql.query(
    `insert into memberships (project_id, group_id, principal_id)
     select $1, g.id, p.id
     from (select id, row_number() over (order by name) as n from principals where name like 'company-%' and project_id = $1) p
       cross join generate_series(0, 2) i
       join (select id, row_number() over (order by name) - 1 as n from groups where name like 'company-%' and project_id = $1) g
         on g.n = (p.n * 7 + i * 131) % $2::int
     on conflict do nothing`,
    [projectId, groups],
  );
  await sql.query(
    `insert into resources (id, project_id, name, kind, labels, spec, agents, credential_id, updated_at)
     select gen_random_uuid(), $1, 'company-' || n, 'postgres',
       jsonb_build_object('env', case n % 3 when 0 then 'prod' when 1 then 'test' else 'dev' end, 'team', 'team-' || n % 20),
       r.spec, '{}', r.credential_id, now()
     from generate_series(1, $2::int) n, (select spec, credential_id from resources where name = 'payments-db' and project_id = $1) r`,
    [projectId, resources],
  );
  // Half by group on a resource, a quarter each by principal and by labels.
  await sql.query(
    `insert into grants (id, project_id, name, principal_id, group_name, resource, labels, effects, roles, updated_at)
     select gen_random_uuid(), $1, 'company-' || n,
       case when n % 4 = 1 then p.id end,
       case when n % 4 <> 1 then 'company-' || (n % $3::int + 1) end,
       case when n % 4 <> 0 then 'company-' || (n % $4::int + 1) end,
       case when n % 4 = 0 then jsonb_build_object('env', case n % 3 when 0 then 'prod' else 'test' end, 'team', 'team-' || n % 20) end,
       '{read,write}', '{}', now()
     from generate_series(1, $2::int) n
       join (select id, row_number() over (order by name) as m from principals where name like 'company-%' and project_id = $1) p
         on p.m = n % $5::int + 1`,
    [projectId, grants, groups, resources, principals],
  );
  const documents = Array.from({ length: rules / RULES_PER_POLICY }, (_, n) => ({
    file: `company-${n}.yaml`,
    text: policy(n),
  }));
  await admin.call('POST', '/v1/apply', { documents, dryRun: false, prune: false });
  await sql.query('analyze');
}
