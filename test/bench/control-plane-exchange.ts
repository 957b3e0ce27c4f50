/** Token exchange at a steady rate: an API token of a service becomes an access token for a resource it has a grant on. */
import type pg from 'pg';
import type { Rest } from '../../scripts/stack/rest.ts';
import { addressOf, type LoadResult, openLoop, type Shot } from './control-plane-load.ts';

const SERVICES = 50;

interface Right {
  readonly principal: string;
  readonly resource: string;
}

/** @param count requests @param perSecond rate */
export async function measureExchange(
  sql: pg.Pool,
  admin: Rest,
  rest: string,
  count: number,
  perSecond: number,
  cpuMs: () => number,
): Promise<LoadResult> {
  const { rows } = await sql.query<Right>(
    `select distinct on (p.id) p.name as principal, g.resource
     from principals p join memberships m on m.principal_id = p.id join groups r on r.id = m.group_id
       join grants g on g.group_name = r.name and g.project_id = p.project_id
     where p.name like 'company-%' and g.resource is not null and g.revoked_at is null and p.disabled_at is null
     order by p.id limit $1`,
    [SERVICES],
  );
  const bodies: string[] = [];
  for (const { principal, resource } of rows) {
    const made = await admin.call<{ token: string }>('POST', `/v1/principals/${principal}/tokens`, {
      name: `bench-${Math.random()}`,
      scopes: [],
      expiresInSeconds: 3_600,
    });
    bodies.push(
      new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: made.token,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        resource,
      }).toString(),
    );
  }
  const shots = (n: number): readonly Shot[] =>
    Array.from({ length: n }, (_, i) => ({
      method: 'POST',
      url: `${rest}/v1/oauth/token`,
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-forwarded-for': addressOf(i % 200) },
      body: bodies[i % bodies.length]!,
    }));
  // What is read once, and compiled by the engine, is so before.
  await openLoop(shots(SERVICES * 4), perSecond, 200, cpuMs);
  return await openLoop(shots(count), perSecond, 200, cpuMs);
}
