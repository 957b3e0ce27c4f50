/**
 * From the call that takes a right away to its end at every agent: the bundle without it verified and in force at many linked
 * agents, and real sessions of a real agent cut. Four kinds: principal, membership, grant, token.
 * Refuses to count the call's answer as the end.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { accessToken } from '../../scripts/stack/rest.ts';
import type { Stack } from '../../scripts/stack/stack.ts';
import type { BenchLink } from './control-plane-links.ts';

export const KINDS = ['principal', 'membership', 'grant', 'token'] as const;
export type Kind = (typeof KINDS)[number];

export interface RevokeTimes {
  readonly kind: Kind;
  readonly agents: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Real sessions that a real agent cut. */
  readonly sessions: number;
  readonly sessionMaxMs: number;
}

const WHO = 'cut-service';
const GROUP = 'cut-group';
const GRANT = 'cut-grant';
/** Of the demo; its agent is the real one. */
const RESOURCE = 'payments-db';
const LABEL = { bench: 'cut' };

/** What is measured besides: a resource of each linked agent, and one principal with a right on all by its group. */
export async function prepare(
  stack: Stack,
  sql: pg.Pool,
  projectId: string,
  links: readonly BenchLink[],
): Promise<void> {
  const { admin } = stack;
  await sql.query(
    `insert into resources (id, project_id, name, kind, labels, spec, agents, credential_id, updated_at)
     select gen_random_uuid(), $1, 'cut-' || a, 'postgres', $2, r.spec, array[a], r.credential_id, now()
     from unnest($3::text[]) a, (select spec, credential_id from resources where name = $4 and project_id = $1) r`,
    [projectId, LABEL, links.map(({ name }) => name), RESOURCE],
  );
  await sql.query('update resources set labels = labels || $1 where name = $2 and project_id = $3', [
    LABEL,
    RESOURCE,
    projectId,
  ]);
  await admin.call('POST', '/v1/groups', { name: GROUP });
  await admin.call('POST', '/v1/principals', { name: WHO, kind: 'service', roles: ['member'] });
}

/** Gives the right anew, and waits until every agent knows it. */
async function give(
  stack: Stack,
  links: readonly BenchLink[],
): Promise<{ token: string; tokenId: string; who: string }> {
  const { admin } = stack;
  const { id } = await admin.call<{ id: string }>('PATCH', `/v1/principals/${WHO}`, { disabled: false });
  await admin.call('PUT', `/v1/groups/${GROUP}/members/${WHO}`);
  await admin.call('DELETE', `/v1/grants/${GRANT}`).catch(() => undefined);
  await admin.call('POST', '/v1/grants', { name: GRANT, group: GROUP, labels: LABEL, effects: ['read'] });
  const made = await admin.call<{ token: string; id: string }>('POST', `/v1/principals/${WHO}/tokens`, {
    name: `cut-${performance.now()}`,
    scopes: [],
    expiresInSeconds: 3_600,
  });
  await Promise.all(links.map((link) => link.until((now) => hasRight(now, link, id))));
  // Access tokens say the second they were made in: one of the second of a revocation ends with it.
  await sleep(1_000);
  return { token: made.token, tokenId: made.id, who: id };
}

function hasRight(
  { bundle, engine }: NonNullable<BenchLink['bundles']['current']>,
  link: BenchLink,
  who: string,
): boolean {
  const resource = bundle.resources.find(({ name }) => name === `cut-${link.name}`);
  return resource !== undefined && engine.grantsFor(who, resource.id, Date.now()).length > 0;
}

/** Opens sessions through the real agent. @returns when each was cut, performance.now() */
async function openSessions(stack: Stack, token: string, count: number): Promise<readonly Promise<number>[]> {
  const password = await accessToken(stack.dev.rest, token, RESOURCE);
  const sessions: Promise<number>[] = [];
  for (let i = 0; i < count; i++) {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: stack.dev.agent.postgresPlaintext!,
      user: RESOURCE,
      database: stack.dev.demo.database,
      password,
    });
    const cut = new Promise<number>((resolve) => client.once('end', () => resolve(performance.now())));
    client.on('error', () => undefined);
    await client.connect();
    await client.query('select 1');
    sessions.push(cut);
  }
  return sessions;
}

export async function measureRevoke(
  stack: Stack,
  links: readonly BenchLink[],
  kind: Kind,
  rounds: number,
  sessionsEach: number,
  received: () => number,
): Promise<{ readonly times: RevokeTimes; readonly bytesEach: number }> {
  const { admin } = stack;
  const times: number[] = [];
  const sessionTimes: number[] = [];
  let bytesEach = 0;
  for (let round = 0; round < rounds; round++) {
    const { token, tokenId, who } = await give(stack, links);
    const cuts = await openSessions(stack, token, sessionsEach);
    const before = new Map(links.map((link) => [link.name, link.bundles.current!.bundle.revocations.length]));
    // A token ends what was opened with it by a revocation; the other three by the right itself.
    const isOver = (link: BenchLink) => (now: NonNullable<BenchLink['bundles']['current']>) =>
      kind === 'token' ? now.bundle.revocations.length > before.get(link.name)! : !hasRight(now, link, who);
    const bytes = received();
    const started = performance.now();
    const ends = links.map((link) => link.until(isOver(link)));
    const act: Readonly<Record<Kind, () => Promise<unknown>>> = {
      principal: () => admin.call('PATCH', `/v1/principals/${WHO}`, { disabled: true }),
      membership: () => admin.call('DELETE', `/v1/groups/${GROUP}/members/${WHO}`),
      grant: () => admin.call('POST', `/v1/grants/${GRANT}/revoke`),
      token: () => admin.call('DELETE', `/v1/tokens/${tokenId}`),
    };
    const acted = act[kind]();
    for (const end of await Promise.all(ends)) times.push(end - started);
    for (const cut of await Promise.all(cuts)) sessionTimes.push(cut - started);
    await acted;
    bytesEach = Math.max(bytesEach, (received() - bytes) / links.length);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))]!;
  const result = {
    kind,
    agents: links.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    sessions: sessionTimes.length,
    sessionMaxMs: Math.max(...sessionTimes),
  };
  return { times: result, bytesEach };
}
