/** Agents enrolled beside the first: what a project's agents have in common, and what another project's do not. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { ROOT } from '../../scripts/stack/build.ts';
import type { DevFile } from '../../scripts/stack/dev-file.ts';
import { type RunningProcess, startProcess } from '../../scripts/stack/processes.ts';
import { type Rest, restClient } from '../../scripts/stack/rest.ts';
import { openSql } from '../../scripts/stack/sql-client.ts';

const dev = inject('dev');
const admin = restClient(dev.rest, dev.principals['admin']?.token ?? '');
const dir = mkdtempSync('/var/tmp/sallyport-two-agents-');
const agents: RunningProcess[] = [];

const documents = (credential: string): { file: string; text: string }[] => {
  const ca = readFileSync(dev.demo.ca, 'utf8').trim().replaceAll('\n', '\n      ');
  return [
    'kind: Group\nname: hash-readers\n',
    `kind: Resource
name: hash-db
type: postgres
labels: { env: hashed }
credential: ${credential}
postgres:
  host: 127.0.0.1
  port: ${dev.demo.port}
  databases: [${dev.demo.database}]
  tls: verify-full
  auth: [scram-sha-256, scram-sha-256-plus]
  ca: |
      ${ca}
recording: statements
`,
    'kind: Grant\nname: hash-readers\ngroup: hash-readers\nresource: hash-db\neffects: [read]\n',
    `kind: Policy
name: hashed-names
resources: { names: [hash-db] }
masks:
  - { columns: [public.customers.name], with: hash }
`,
  ].map((text, i) => ({ file: `${i}.yaml`, text }));
};

async function enrol(name: string, rest: Rest): Promise<RunningProcess> {
  const { joinToken } = await rest.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', {
    name,
    names: ['127.0.0.1', 'localhost'],
  });
  const dataDir = path.join(dir, name);
  mkdirSync(dataDir, { mode: 0o700 });
  const agent = await startProcess({
    name,
    args: [
      '--max-semi-space-size=4',
      '--initial-old-space-size=64',
      path.join(ROOT, 'apps/agent/dist/agent.mjs'),
      '--exit-with-parent',
    ],
    env: {
      MALLOC_ARENA_MAX: '2',
      MALLOC_MMAP_THRESHOLD_: '1048576',
      MALLOC_TRIM_THRESHOLD_: '1048576',
      SALLYPORT_DATA_DIR: dataDir,
      SALLYPORT_LISTEN_POSTGRES: '127.0.0.1:0',
      SALLYPORT_LISTEN_SSH: '127.0.0.1:0',
      SALLYPORT_LISTEN_HTTPS: '127.0.0.1:0',
      SALLYPORT_ADVERTISE: '127.0.0.1',
      SALLYPORT_HEALTH: '127.0.0.1:0',
      SALLYPORT_JOIN_TOKEN: joinToken,
    },
    logFile: path.join(dir, `${name}.log`),
    readyFile: path.join(dataDir, 'ready.json'),
    readyWithinMs: 60_000,
  });
  agents.push(agent);
  return agent;
}

const through = (agent: RunningProcess, more: Partial<DevFile> = {}): DevFile => ({
  ...dev,
  ...more,
  agent: { ...dev.agent, postgres: Number(String(agent.ready['postgres']).split(':').at(-1)) },
});

/** Tries until the agent knows resource and grant. */
async function names(at: DevFile, principal: string): Promise<readonly string[]> {
  let rows: readonly string[] = [];
  await expect
    .poll(
      async () => {
        const sql = await openSql(at, principal, 'hash-db');
        try {
          const answer = await sql.client.query<{ name: string }>('select name from customers order by id limit 20');
          rows = answer.rows.map(({ name }) => name);
          return rows.length;
        } finally {
          await sql.close();
        }
      },
      { timeout: 30_000 },
    )
    .toBe(20);
  return rows;
}

beforeAll(async () => {
  await admin.call('POST', '/v1/apply', { documents: documents('payments-app'), dryRun: false, prune: false });
  await admin.call('PUT', '/v1/groups/hash-readers/members/payments-bot');
});
afterAll(async () => {
  for (const agent of agents) await agent.stop();
  for (const gone of ['policies/hashed-names', 'grants/hash-readers', 'resources/hash-db', 'groups/hash-readers'])
    await admin.call('DELETE', `/v1/${gone}`);
  await admin.call('POST', '/v1/agents/hash-second/revoke', {});
  rmSync(dir, { recursive: true, force: true });
});

test('an agent that nobody has connected to is small, all its listeners open', { timeout: 120_000 }, async () => {
  const agent = await enrol('hash-second', admin);
  const residentMb = (): number =>
    Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${agent.pid}/status`, 'utf8'))?.[1]) / 1024;
  // Measured on a quiet machine: 94 to 97 MB. With one protocol in memory it is 105 and more.
  await expect.poll(residentMb).toBeLessThan(103);
});

test('a value masked by hash reads alike through every agent of a project, and otherwise in another project', {
  timeout: 120_000,
}, async () => {
  const first = await names(dev, 'payments-bot');
  expect(first.every((name) => /^h:[\w-]{16}$/.test(name))).toBe(true);
  expect(new Set(first).size).toBeGreaterThan(10);
  const second = agents[0]!;
  expect(await names(through(second), 'payments-bot')).toEqual(first);

  await admin.call('POST', '/v1/projects', { name: 'hash-other' });
  const made = await admin.call<{ token: string }>('POST', '/v1/projects/hash-other/admins', { name: 'hasher' });
  const other = restClient(dev.rest, made.token);
  await other.call('POST', '/v1/credentials', { name: 'hash-app', kind: 'stored', username: dev.demo.username });
  await other.call('PUT', '/v1/credentials/hash-app/secret', { secret: dev.demo.password });
  await other.call('POST', '/v1/apply', { documents: documents('hash-app'), dryRun: false, prune: false });
  const reader = { name: 'reader', kind: 'service', displayName: 'Reader', roles: ['member'] };
  await other.call('POST', '/v1/principals', reader);
  await other.call('PUT', '/v1/groups/hash-readers/members/reader');
  const secret = await other.call<{ clientId: string; clientSecret: string }>(
    'POST',
    '/v1/principals/reader/secrets',
    {},
  );
  const third = await enrol('hash-third', other);
  const principals = { reader: { name: 'reader', kind: 'service' as const, groups: [], ...secret } };
  const elsewhere = await names(through(third, { principals }), 'reader');
  expect(elsewhere.every((name) => /^h:[\w-]{16}$/.test(name))).toBe(true);
  expect(elsewhere.filter((name) => first.includes(name))).toEqual([]);
});
