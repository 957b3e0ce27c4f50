/**
 * The layering law. Each row says what a part may import, and each ban says why, because a rule
 * without a reason is deleted by the first person in a hurry. Reads import lines only: no build needed.
 */
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = process.env['LAYERS_ROOT'] ?? join(import.meta.dirname, '..');
const SCOPE = '@sallyport/';

/** Part → the workspace packages it may import. Absent from a list means forbidden. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  'packages/core': [],
  'packages/model': ['core'],
  'packages/contract': ['core', 'model'],
  'packages/sql': ['core', 'model'],
  'packages/policy': ['core', 'model'],
  'packages/shell': ['core', 'model'],
  'packages/mask': ['core', 'model'],
  'packages/film': ['core'],
  'packages/http': ['core', 'model', 'mask'],
  'packages/trail': ['core', 'model'],
  'packages/credentials': ['core', 'ssh-certificates'],
  'packages/ssh-certificates': ['core'],
  'packages/embedded-postgres': ['core'],
  'packages/protocol-kit': ['core', 'model', 'policy', 'mask', 'trail'],
  // Two protocols drive requests over one listener: what they share on the road (docs/adr on HTTP, "Parts").
  'packages/http-session': ['core', 'model', 'mask', 'http', 'protocol-kit'],
  'packages/protocol-*': [
    'core',
    'model',
    'sql',
    'shell',
    'mask',
    'film',
    'http',
    'http-session',
    'protocol-kit',
    'ssh-certificates',
  ],
  'packages/relay': ['core', 'model', 'protocol-kit'],
  'packages/api-client': [],
  'apps/agent': [
    'core',
    'model',
    'contract',
    'policy',
    'sql',
    'shell',
    'mask',
    'film',
    'trail',
    'protocol-kit',
    'relay',
    'protocol-postgres',
    'protocol-ssh',
    'protocol-http',
    'protocol-kubernetes',
    'http',
    'http-session',
    'credentials',
    'ssh-certificates',
  ],
  'apps/control-plane': [
    'core',
    'model',
    'contract',
    'policy',
    'sql',
    'shell',
    'mask',
    'film',
    'http',
    'trail',
    'embedded-postgres',
    'credentials',
    'ssh-certificates',
  ],
  'apps/cli': [
    'core',
    'model',
    'api-client',
    'film',
    'trail',
    'relay',
    'policy',
    'sql',
    'shell',
    'mask',
    'ssh-certificates',
  ],
};

/** Bans on modules, from outside the workspace or across a wall. */
const BANNED: readonly { part: string; modules: RegExp; why: string }[] = [
  {
    part: 'packages/{core,model,policy,shell,mask,film,trail,http,http-session,protocol-*}',
    modules: /^node:(net|tls|fs|https?|child_process|dgram|worker_threads)(\/|$)/,
    why: 'pure: bytes and values in, values out; the relay owns sockets and the agent owns disks',
  },
  {
    part: 'packages/sql',
    // worker_threads alone is open: a large statement is parsed in a worker so that the loop never stalls (ADR 0006).
    modules: /^node:(net|tls|fs|https?|child_process|dgram)(\/|$)/,
    why: 'pure: bytes and values in, values out; the relay owns sockets and the agent owns disks',
  },
  {
    part: 'apps/agent',
    modules: /^(@nestjs\/|@prisma\/|ioredis$)/,
    why: 'an agent runs on customer hosts: no framework, no database client',
  },
  {
    part: 'apps/control-plane',
    modules: /^@sallyport\/(protocol-|relay$)/,
    why: 'the control plane decides, it never carries traffic',
  },
  {
    part: '{apps,packages}/*',
    modules: /(^|\/)apps\/|^@sallyport\/(agent|control-plane|cli|console)(\/|$)/,
    why: 'an app is an end, not a library',
  },
  {
    part: '{apps,packages}/*',
    modules: /(^|\/)gen\/contract/,
    why: 'generated wire types are parsed once, at the edge, in packages/contract/src/messages.ts',
  },
];

const IMPORT = /\bfrom\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/g;
const importsOf = (file: string): string[] =>
  [...readFileSync(join(ROOT, file), 'utf8').matchAll(IMPORT)].map((m) => (m[1] ?? m[2])!);
const sources = (part: string): string[] =>
  globSync(`${part}/src/**/*.ts`, { cwd: ROOT }).filter((f) => !f.endsWith('.test.ts') && !f.includes('/generated/'));

test('every part named in the law exists, and every part is named in it', () => {
  const gone = Object.keys(MAY_IMPORT).filter((part) => globSync(part, { cwd: ROOT }).length === 0);
  expect(gone, 'update the law').toEqual([]);
  const named = new Set(Object.keys(MAY_IMPORT).flatMap((part) => globSync(part, { cwd: ROOT })));
  const lawless = globSync('{apps,packages}/*', { cwd: ROOT }).filter(
    (part) => !named.has(part) && part !== 'packages/testkit',
  );
  expect(lawless, 'give it a row').toEqual([]);
});

test('packages import only from their own layer downward', () => {
  const broken: string[] = [];
  for (const [part, allowed] of Object.entries(MAY_IMPORT)) {
    for (const file of sources(part)) {
      // protocol-kit has a row of its own; the protocol-* glob must not judge it twice.
      if (part === 'packages/protocol-*' && file.startsWith('packages/protocol-kit/')) continue;
      for (const name of importsOf(file).filter((i) => i.startsWith(SCOPE))) {
        const target = name.slice(SCOPE.length).split('/')[0]!;
        if (!allowed.includes(target)) broken.push(`${file} must not import ${name}`);
      }
    }
  }
  expect(broken).toEqual([]);
});

test('banned modules stay out', () => {
  const broken = BANNED.flatMap(({ part, modules, why }) =>
    sources(part).flatMap((file) =>
      importsOf(file)
        .filter((name) => modules.test(name) && file !== 'packages/contract/src/messages.ts')
        .map((name) => `${file} must not import ${name}: ${why}`),
    ),
  );
  expect(broken).toEqual([]);
});

/** Inside one protocol package: a file may import only from a lower rank. Same rank is forbidden too. */
const RANK: Record<string, number> = {
  codec: 0,
  messages: 1,
  // What SSH's nine files are made of besides: docs/adr/0026-ssh-protocol.md, "Files".
  'sftp-messages': 2,
  channels: 2,
  // What PostgreSQL's nine files are made of besides: docs/adr/0007-postgres-protocol.md, "Files".
  scram: 1,
  // The gateway's own setting: docs/adr/0017-approvals-and-budgets.md.
  reason: 1,
  // What a text means something by, for tickets and shapes: the same record.
  meaning: 2,
  catalog: 2,
  // Where in objects of Kubernetes something is masked: asked before a request and in its answer.
  paths: 2,
  // The protocol inside a connection that HTTP gave up.
  websocket: 4,
  mirror: 3,
  flight: 4,
  pending: 5,
  login: 5,
  classify: 5,
  mask: 5,
  record: 5,
  deny: 5,
  'copy-in': 5,
  // What an open transaction did, for a COMMIT that is held: docs/adr/0025-hold-before-commit.md.
  'row-sample': 5.2,
  transaction: 5.4,
  // A connection of the gateway's own: docs/adr/0018-credentials.md.
  errand: 6,
  upstream: 6,
  work: 7,
  'login-shell': 8,
  gathering: 5,
  pipe: 8,
  'sftp-host': 6,
  'sftp-handles': 7.5,
  sftp: 8,
  scp: 8,
  running: 9,
  'line-editor': 2,
  'shell-state': 2,
  'command-shell': 9,
  'recorded-shell': 10,
  forward: 9,
  road: 6,
  answers: 7,
  intake: 7,
  // A transaction of the gateway's own: docs/adr/0025-hold-before-commit.md.
  wrap: 7.5,
  judge: 8,
  simple: 9,
  pipeline: 9,
  requests: 10,
  'session-channel': 11,
  // MCP servers are another dialect of the same package: docs/adr/0037-mcp.md.
  mcp: 12,
  session: 12,
  index: 13,
};

test('inside a protocol package imports run one way', () => {
  const broken: string[] = [];
  for (const file of globSync('packages/protocol-*/src/**/*.ts', { cwd: ROOT })) {
    if (file.startsWith('packages/protocol-kit/') || file.endsWith('.test.ts') || file.includes('/generated/'))
      continue;
    // A folder beside a file holds that file's parts and has its rank.
    const parts = file.split('/').slice(3);
    const part = basename(parts[0]!, '.ts');
    const from = RANK[part];
    if (from === undefined) broken.push(`${file} has no rank: give it one of the nine names, or add a row with an ADR`);
    const up = parts.length === 1 ? './' : '../'.repeat(parts.length - 1);
    for (const name of importsOf(file).filter((i) => i.startsWith(up) && !i.includes('/generated/'))) {
      const to = basename(name.slice(up.length).split('/')[0]!, '.ts');
      const rank = RANK[to];
      if (to !== part && from !== undefined && (rank === undefined || rank >= from))
        broken.push(`${file} must not import ${name}`);
    }
  }
  expect(broken).toEqual([]);
});
