/**
 * A private Sallyport in front of the bench's database: one resource with nothing asked of the agent but its work, and
 * one with everything on. Its control plane runs and ingests all the while.
 * Refuses to reach into either process: what it sets up goes through the REST API, as an admin would.
 */
import { accessToken, clientToken } from '../../scripts/stack/rest.ts';
import { ANY_PORTS, type Stack, startStack } from '../../scripts/stack/stack.ts';
import { type BenchTarget, DATABASE, UPSTREAM_USER } from './target.ts';

/** No mask, no detector, a grant and no rule that speaks; statements are recorded. */
export const PLAIN = 'bench-plain';
/** Rules, two masked columns, four detectors, answers recorded. */
export const EVERYTHING = 'bench-everything';

export interface BenchStack {
  readonly stack: Stack;
  /** A fresh access token for one of the two resources; minutes long. */
  token(resource: string): Promise<string>;
}

const resource = (name: string, env: string, recording: string, port: number): string => `kind: Resource
name: ${name}
type: postgres
description: The benchmark's database.
labels: { env: ${env} }
credential: bench
postgres:
  host: 127.0.0.1
  port: ${port}
  databases: [${DATABASE}]
  tls: disable
  auth: [scram-sha-256]
recording: ${recording}
approval: wait
exceeded: deny
holdInTransactionMsMax: 30s
offline: { sessions: 24h, newSessions: 24h }
`;

const grant = (name: string): string => `kind: Grant
name: ${name}
group: benchers
resource: ${name}
effects: [read]
`;

const POLICY = `kind: Policy
name: bench-everything
resources: { names: [${EVERYTHING}] }
rules:
  - name: no-ddl
    when: sql.effects.exists(e, e == "ddl")
    verdict: deny
  - name: bulk-delete
    when: sql.statements.exists(s, s.kind == "delete" && !s.filtered)
    verdict: hold
    approval: { groups: [dba], count: 1, expires: 10m }
  - name: masked-use
    when: sql.statements.exists(s, s.masked_use)
    verdict: deny
masks:
  - { columns: [public.wide.email, public.wide.card], with: partial }
  - { detect: [payment_card, email, national_id, iban], with: partial }
`;

/** @param dir a folder of its own, wiped; @param say progress, one line a step */
export async function startBenchStack(
  dir: string,
  target: BenchTarget,
  say: (line: string) => void,
): Promise<BenchStack> {
  const stack = await startStack({ dir, ports: ANY_PORTS, fresh: true, say });
  try {
    const { admin } = stack;
    await admin.call('POST', '/v1/credentials', { name: 'bench', kind: 'stored', username: UPSTREAM_USER });
    await admin.call('PUT', '/v1/credentials/bench/secret', { secret: target.upstreamPassword });
    const documents = [
      'kind: Group\nname: benchers\ndescription: Runs the benchmark.\n',
      resource(PLAIN, 'bench', 'statements', target.server.port),
      resource(EVERYTHING, 'bench', 'results', target.server.port),
      grant(PLAIN),
      grant(EVERYTHING),
      POLICY,
    ].map((text, i) => ({ file: `bench-${i}.yaml`, text }));
    await admin.call('POST', '/v1/apply', { documents, dryRun: false, prune: false });
    await admin.call('POST', '/v1/principals', {
      name: 'bencher',
      kind: 'service',
      displayName: 'Benchmark',
      roles: ['member'],
    });
    await admin.call('PUT', '/v1/groups/benchers/members/bencher');
    const { clientId, clientSecret } = await admin.call<{ clientId: string; clientSecret: string }>(
      'POST',
      '/v1/principals/bencher/secrets',
      {},
    );
    const { rest } = stack.dev;
    const token = async (name: string): Promise<string> =>
      accessToken(rest, await clientToken(rest, clientId, clientSecret), name);
    return { stack, token };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}
