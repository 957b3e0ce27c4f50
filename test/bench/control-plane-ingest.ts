/**
 * The record coming in, with the use that access reviews are made from, where the company's 20,000 grants are: an agent's link,
 * real chains and keys, a batch for each session, acknowledged one after another. Ends with what the control plane counted.
 * Refuses to leave the sums unchecked: statements that are not in them are an error.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import type pg from 'pg';
import { ROOT } from '../../scripts/stack/build.ts';
import type { Stack } from '../../scripts/stack/stack.ts';

export interface IngestTimes {
  readonly sessions: number;
  readonly statements: number;
  readonly eventsPerSecond: number;
  /** From a batch's sending until its acknowledgement. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuUs: number;
  /** Sums by principal, resource, day and word that were there in the end. */
  readonly usageRows: number;
}

interface Right {
  readonly principal: string;
  readonly principalName: string;
  readonly resource: string;
  readonly resourceName: string;
}

const STATEMENTS = 100;
/** Opened and closed; each statement judged and finished. */
const EVENTS = 2 + 2 * STATEMENTS;

export async function measureIngest(
  sql: pg.Pool,
  stack: Stack,
  projectId: string,
  sessions: number,
  cpuMs: () => number,
): Promise<IngestTimes> {
  const testing = (file: string): string => path.join(ROOT, 'apps/control-plane/src/testing', file);
  const { enrollAgent, TestLink } = await import(testing('agent-client.ts'));
  const { TestTrail, testSession } = await import(testing('trail-writer.ts'));
  const root = readFileSync(stack.dev.ca, 'utf8');
  const { joinToken } = await stack.admin.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', {
    name: 'bench-record',
  });
  const agent = await enrollAgent(stack.dev.enroll, root, joinToken);
  const epoch = Math.floor(Date.now() / 1_000);
  const link = new TestLink(stack.dev.link, root, agent);
  try {
    link.hello({ instance: 'main', chainEpoch: epoch });
    // From its bundle as an agent has it; twenty thousand pieces of that are not waited for here.
    const { rows: seals } = await sql.query<{ x: string }>(
      "select public_jwk->>'x' as x from signing_keys where purpose = 'trail_seal' and retired_at is null order by not_before desc",
    );
    const sealKey = Buffer.from(seals[0]!.x, 'base64url');
    const agentId: string = agent.identity.agentId;
    const trail = new TestTrail({ agentId, instance: 'main', epoch }, agent.keys.key, sealKey).start();
    let cursor = 0;
    const upload = async (): Promise<void> => {
      const message = trail.take(String(++cursor));
      const from = link.received.length;
      link.send({ trail: message });
      const code: string = await link.until(
        () =>
          link.received
            .slice(from)
            .map((one: { trailAck?: { cursor: string; code?: string } }) => one.trailAck)
            .filter((one: { cursor: string } | undefined) => one?.cursor === message.cursor)
            .map((one: { code?: string }) => one.code ?? '')[0],
        60_000,
      );
      if (code !== '') throw new Error(`A batch was refused: ${code}`);
    };
    await upload();
    const { rows: rights } = await sql.query<Right>(
      `select p.id as principal, p.name as "principalName", r.id as resource, r.name as "resourceName"
       from grants g join principals p on p.id = g.principal_id join resources r on r.name = g.resource and r.project_id = g.project_id
       where g.project_id = $1 and g.name like 'company-%' order by g.name limit $2`,
      [projectId, sessions],
    );
    const times: number[] = [];
    const cpuBefore = cpuMs();
    const started = performance.now();
    for (const right of rights) {
      const id = randomUUID();
      const principal = { id: right.principal, name: right.principalName, kind: 'service' };
      const named = { resourceId: right.resource, resourceName: right.resourceName };
      trail.add({ kind: 'session.opened', session: testSession({ id, projectId, agentId, principal, ...named }) }, id);
      for (let n = 1; n <= STATEMENTS; n++) trail.add(judged(n), id).finished(id, n, 3);
      trail
        .add({ kind: 'session.closed', reason: '', statements: STATEMENTS, rows: 300, bytes: 3_000 }, id)
        .checkpoint();
      const sent = performance.now();
      await upload();
      times.push(performance.now() - sent);
      trail.nextSegment();
    }
    const seconds = (performance.now() - started) / 1_000;
    const cpu = cpuMs() - cpuBefore;
    const usage = await sql.query<{ statements: number; rows: number }>(
      `select coalesce(sum(allowed + denied) filter (where kind = 'total'), 0)::int as statements, count(*)::int as rows
       from usage_days where project_id = $1 and principal_id = any ($2)`,
      [projectId, rights.map(({ principal }) => principal)],
    );
    const statements = rights.length * STATEMENTS;
    if (usage.rows[0]!.statements !== statements)
      throw new Error(`Of ${statements} statements ${usage.rows[0]!.statements} were counted as use.`);
    times.sort((a, b) => a - b);
    const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))]!;
    return {
      sessions: rights.length,
      statements,
      eventsPerSecond: (rights.length * EVENTS) / seconds,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      cpuUs: (cpu * 1_000) / (rights.length * EVENTS),
      usageRows: usage.rows[0]!.rows,
    };
  } finally {
    link.close();
  }
}

/** Reads of thirty tables, two at a time, and now and then a write that is denied. */
const judged = (number: number) => ({
  kind: 'statement.judged',
  number,
  verdict: number % 20 === 0 ? 'deny' : 'allow',
  rule: 'grant',
  code: number % 20 === 0 ? 'policy.denied' : '',
  digest: 'ab'.repeat(32),
  effects: [number % 20 === 0 ? 'write' : 'read'],
  reached: [`public.table_${number % 30}`, `public.table_${(number * 7) % 30}`],
  text: `select a, b from table_${number % 30} join table_${(number * 7) % 30} using (id) where id = $1`,
  parameters: [{ text: String(number), type: 23 }],
  approvalId: '',
  shadow: [],
});
