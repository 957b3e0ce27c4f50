/**
 * Every list of the API, found in its own OpenAPI document: each sort in both directions, page by page, while rows come
 * in between; each filter; and odd text in every place that takes text.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { enrollAgent } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly schema: { readonly enum?: readonly string[]; readonly type?: string };
}
interface Operation {
  readonly parameters?: readonly Parameter[];
}
type Item = Readonly<Record<string, unknown>>;
interface Page {
  readonly items: readonly Item[];
  readonly nextCursor: string | null;
}

let plane: TestControlPlane;
let paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
let serial = 0;
/** Of the resource `db`. */
let dbId = '';

/** Makes one more row of a list. */
const MAKE: Readonly<Record<string, (name: string) => Promise<unknown>>> = {
  '/v1/principals': (name) =>
    plane.call('POST', '/v1/principals', { name, kind: serial % 2 === 0 ? 'service' : 'ai_agent' }),
  '/v1/principals/{principal}/tokens': (name) => plane.call('POST', '/v1/principals/admin/tokens', { name }),
  '/v1/groups': (name) => plane.call('POST', '/v1/groups', { name }),
  '/v1/projects': (name) => plane.call('POST', '/v1/projects', { name }),
  '/v1/webhooks': (name) =>
    plane.call('POST', '/v1/webhooks', { name, url: 'http://127.0.0.1:9/x', events: ['trail.head'] }),
  '/v1/trust-rules': (name) =>
    plane.call('POST', '/v1/trust-rules', {
      name,
      issuer: 'https://issuer.example',
      audiences: ['sallyport'],
      claims: { sub: 'listed' },
      principal: 'listed-machine',
    }),
  '/v1/accounts': async () => {
    const { body } = await plane.call<{ id: string }>('POST', '/v1/principals', {
      name: `account-${serial}`,
      kind: 'person',
    });
    const createdAt = new Date(1_700_000_000_000 + Math.floor(serial / 2) * 1_000);
    const data = { id: randomUUID(), projectId: projectId(), principalId: body.id, createdAt };
    return await database().localAccount.create({ data, select: { id: true } });
  },
  '/v1/identity-providers': (name) =>
    plane.call('POST', '/v1/identity-providers', {
      name,
      kind: 'oidc',
      config: { issuer: 'https://idp.example', clientId: 'x', clientAuth: 'none' },
    }),
  '/v1/agents': async (name) => {
    const { body } = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name });
    const root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
    return await enrollAgent(plane.controlPlane.ready.enroll, root, body.joinToken);
  },
  '/v1/credentials': (name) =>
    plane.call('POST', '/v1/credentials', { name, kind: 'env', username: 'app', reference: 'PGPASSWORD' }),
  '/v1/leases': () =>
    database().credentialLease.create({
      data: {
        id: randomUUID(),
        projectId: projectId(),
        agentId: randomUUID(),
        kind: 'ephemeral',
        credentialId: randomUUID(),
        resourceId: serial % 2 === 0 ? dbId : randomUUID(),
        principalId: randomUUID(),
        account: 'sp_x',
        openedAt: new Date(1_700_000_000_000),
        expiresAt: new Date(1_700_000_000_000 + Math.floor(serial / 2) * 1_000),
        createdAt: new Date(1_700_000_000_000 + Math.floor(serial / 2) * 1_000),
      },
    }),
  '/v1/resources': (name) =>
    plane.call('POST', '/v1/resources', { name, type: 'postgres', postgres: { host: 'db.internal' } }),
  '/v1/grants': (name) =>
    plane.call('POST', '/v1/grants', { name, principal: 'admin', resource: 'db', effects: ['read'] }),
  '/v1/reviews': (name) =>
    plane.call('POST', '/v1/reviews', { name, scope: {}, reviewers: { by: 'group', groups: ['admins'] } }),
  '/v1/reviews/{review}/items': async (name) => {
    const round = await database().reviewRound.findFirstOrThrow({ where: { campaign: { name: 'listed' } } });
    return await database().reviewItem.create({
      data: {
        id: randomUUID(),
        projectId: projectId(),
        roundId: round.id,
        grantId: randomUUID(),
        grantName: name,
        subject: { ...SUBJECT, principalId: null },
        holders: [],
        reviewers: [],
        evidence: EVIDENCE,
        proposal: 'keep',
        proposalReason: '',
      },
    });
  },
  '/v1/policies': (name) =>
    plane.call('POST', '/v1/policies', {
      source: `kind: Policy\nname: ${name}\nrules:\n  - name: no-ddl\n    when: sql.effects.exists(e, e == "ddl")\n    verdict: deny\n`,
    }),
  '/v1/change-proposals': () =>
    database().changeProposal.create({
      data: {
        id: randomUUID(),
        projectId: projectId(),
        areas: ['policy'],
        method: 'POST',
        path: '/v1/policies',
        sealed: new Uint8Array(),
        requires: ['policy:create'],
        changes: [],
        baseline: new Uint8Array(32),
        proposerId: randomUUID(),
        proposerName: 'ana',
        permissions: [],
        createdAt: new Date(1_700_000_000_000 + Math.floor(serial / 2) * 1_000),
        expiresAt: new Date(Date.now() + 600_000),
      },
    }),
  '/v1/access-policies': (name) =>
    plane.call('POST', '/v1/access-policies', { name, requesters: {}, resources: {}, effects: ['read'], approve: {} }),
  '/v1/access-requests': () => {
    const at = new Date(Date.now() + serial * 1000);
    return database().accessRequest.create({
      data: {
        id: randomUUID(),
        projectId: projectId(),
        policyId: randomUUID(),
        policyName: 'p',
        principalId: randomUUID(),
        principalName: 'carla',
        principalKind: 'person',
        requestedById: randomUUID(),
        requestedByName: 'carla',
        requestedByKind: 'person',
        effects: ['read'],
        durationMs: 1000n,
        reason: '',
        resource: 'db',
        state: 'denied',
        requestedAt: at,
        expiresAt: at,
      },
    });
  },
  '/v1/approver-delegations': () => {
    const startsAt = new Date(1_700_000_000_000 + Math.floor(serial / 2) * 1_000);
    const endsAt = new Date(startsAt.getTime() + 3_600_000);
    const data = { id: randomUUID(), projectId: projectId(), ofId: randomUUID(), toId: randomUUID() };
    return database().approverDelegation.create({ data: { ...data, startsAt, endsAt, createdAt: startsAt } });
  },
  '/v1/approvals': () => {
    const at = new Date(Date.now() + serial * 1000);
    return database().approvalRequest.create({
      data: {
        id: `apr-list${String(serial).padStart(6, '0')}`,
        projectId: projectId(),
        agentId: randomUUID(),
        sessionId: randomUUID(),
        resourceId: serial % 2 === 0 ? dbId : randomUUID(),
        principalId: randomUUID(),
        digest: 'd'.repeat(64),
        mode: 'wait',
        rule: 'a/b',
        body: {
          principal: { id: randomUUID(), name: 'bot', kind: 'service' },
          text: 'delete',
          parameters: [],
          effects: ['write'],
          approval: { groups: ['dba'], count: 1, expiresMs: 60_000 },
          recentStatements: [],
        },
        groups: ['dba'],
        count: 1,
        // Two of a time, so that the id must decide.
        requestedAt: new Date(at.getTime() - (at.getTime() % 2_000)),
        expiresAt: new Date(Date.now() + 600_000),
      },
    });
  },
  '/v1/sessions': () =>
    database().session.create({
      data: {
        id: randomUUID(),
        projectId: projectId(),
        agentId: randomUUID(),
        resourceId: randomUUID(),
        resourceName: 'db',
        protocol: 'postgres',
        principalId: randomUUID(),
        principalName: 'bot',
        principalKind: 'service',
        tokenId: 't',
        clientAddress: '127.0.0.1:1',
        database: 'd',
        role: '',
        application: '',
        openedAt: new Date(1_700_000_000_000 + Math.floor(serial / 2) * 1_000),
      },
    }),
};
const SUBJECT = {
  principal: 'bot',
  group: null,
  resource: 'db',
  labels: null,
  effects: [],
  roles: [],
  kind: 'standing',
};
const EVIDENCE = {
  allowed: 0,
  held: 0,
  denied: 0,
  lastAt: null,
  effects: [],
  reached: [],
  reachedMore: 0,
  holders: [],
};
const database = () => plane.controlPlane.app.get(Database, { strict: false }).client;
let project = '';
const projectId = (): string => project;
const addTo = async (list: string): Promise<void> => {
  serial += 1;
  // Names that come out of order, so that no sort is right by luck.
  const made = (await MAKE[list]!(`n${(serial * 7) % 10}-${serial}`)) as { status?: number; body?: unknown };
  expect(made.status ?? 201, `${list} ${JSON.stringify(made.body)}`).toBe(201);
};
const urlOf = (list: string): string => list.replace('{principal}', 'admin').replace('{review}', 'listed');
const listsOf = (): string[] =>
  Object.entries(paths)
    .filter(([, methods]) => methods['get']?.parameters?.some((one) => one.name === 'sort') === true)
    .map(([path]) => path);
const sortsOf = (list: string): readonly string[] =>
  paths[list]!['get']!.parameters!.find((one) => one.name === 'sort')!.schema.enum!;
const get = async (url: string): Promise<Page> => {
  const answer = await plane.call<Page>('GET', url);
  expect(answer.status, `${url} ${JSON.stringify(answer.body)}`).toBe(200);
  return answer.body;
};

beforeAll(async () => {
  plane = await startTestControlPlane();
  project = (await database().project.findFirstOrThrow({ where: { name: 'default' } })).id;
  paths = (await plane.call<{ paths: typeof paths }>('GET', '/openapi.json')).body.paths;
  const db = { name: 'db', type: 'postgres', postgres: { host: 'db.internal' } };
  dbId = (await plane.call<{ id: string }>('POST', '/v1/resources', db)).body.id;
  await plane.call('POST', '/v1/grants', { name: 'g', principal: 'admin', resource: 'db', effects: ['read'] });
  await plane.call('POST', '/v1/principals', { name: 'listed-machine', kind: 'service' });
  const listed = { name: 'listed', scope: {}, reviewers: { by: 'group', groups: ['admins'] } };
  await plane.call('POST', '/v1/reviews', listed);
  await plane.call('POST', '/v1/reviews/listed/start');
  for (const list of listsOf()) for (let i = 0; i < 5; i++) await addTo(list);
}, 120_000);
afterAll(async () => await plane.stop());

test('every list is known here', () => {
  expect(listsOf().toSorted()).toEqual(Object.keys(MAKE).toSorted());
});

test('each sort, page by page, gives every row once and in order while rows are added', {
  timeout: 120_000,
}, async () => {
  for (const list of listsOf()) {
    for (const sort of sortsOf(list)) {
      const label = `${list}?sort=${sort}`;
      const before = (await get(`${urlOf(list)}?sort=${sort}&limit=200`)).items.map((item) => item['id']);
      const seen: Item[] = [];
      let cursor: string | null = '';
      while (cursor !== null) {
        const page: Page = await get(`${urlOf(list)}?sort=${sort}&limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`);
        seen.push(...page.items);
        cursor = page.nextCursor;
        if (seen.length === 2 || seen.length === 4) await addTo(list);
      }
      const ids = seen.map((item) => item['id']);
      expect(new Set(ids).size, label).toBe(ids.length);
      // Whatever was there when paging began is there, in the same order.
      expect(
        ids.filter((id) => before.includes(id)),
        label,
      ).toEqual(before);
      const field = sort.replace(/^-/, '');
      const values = seen.map((item) => String(item[field]));
      const sorted = values.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
      expect(values, label).toEqual(sort.startsWith('-') ? sorted.toReversed() : sorted);
    }
  }
});

test('a cursor of another sort, of another list’s shape, or of nobody is refused', async () => {
  for (const list of listsOf()) {
    const [first, second] = sortsOf(list);
    const { nextCursor } = await get(`${urlOf(list)}?sort=${first}&limit=1`);
    const forged = Buffer.from(JSON.stringify([first, 's', { gt: '' }, 'x'])).toString('base64url');
    const odd = Buffer.from(JSON.stringify([first, 's', '\u0000', '\u0000'])).toString('base64url');
    for (const [sort, cursor] of [
      [second, nextCursor],
      [first, 'x'],
      [first, forged],
      [first, odd],
    ]) {
      const { status, body } = await plane.call('GET', `${urlOf(list)}?sort=${sort}&cursor=${cursor}`);
      expect([status, body['code']], `${list} ${sort} ${cursor}`).toEqual([400, 'request.invalid']);
    }
  }
});

test.each([
  ['/v1/principals?kind=service', (item: Item) => item['kind'] === 'service'],
  ['/v1/principals?name=n7', (item: Item) => String(item['name']).includes('n7')],
  ['/v1/principals?disabled=false', (item: Item) => item['disabledAt'] == null],
  ['/v1/groups?name=n7', (item: Item) => String(item['name']).includes('n7')],
  ['/v1/credentials?kind=env', (item: Item) => item['kind'] === 'env'],
  ['/v1/resources?type=postgres', (item: Item) => item['type'] === 'postgres'],
  ['/v1/grants?resource=db', (item: Item) => item['resource'] === 'db'],
  ['/v1/grants?principal=admin', (item: Item) => JSON.stringify(item['principal']).includes('admin')],
  ['/v1/grants?kind=standing', (item: Item) => item['kind'] === 'standing'],
  ['/v1/approvals?state=pending', (item: Item) => item['state'] === 'pending'],
  ['/v1/approvals?resource=db', (item: Item) => item['resource'] === 'db'],
  ['/v1/leases?resource=db', (item: Item) => item['resource'] === 'db'],
  ['/v1/sessions?live=true', (item: Item) => item['live'] === true],
] as const)('%s shows what it says, and something', async (url, holds) => {
  const { items } = await get(`${url}&limit=200`);
  expect(items.length).toBeGreaterThan(0);
  expect(items.filter((item) => !holds(item))).toEqual([]);
});

test('a label without a value is refused', async () => {
  const { status, body } = await plane.call('GET', '/v1/resources?label=env');
  expect([status, body['code']]).toEqual([400, 'request.invalid']);
});

test.each([
  ['/v1/grants?kind=standign', 'kind'],
  ['/v1/resources?type=postgresql', 'type'],
  ['/v1/principals?kind=robot', 'kind'],
  ['/v1/credentials?kind=vaults', 'kind'],
])('%s is refused by the field’s name', async (url, field) => {
  const { status, body } = await plane.call<{ errors: object[] }>('GET', url);
  expect(status).toBe(400);
  expect(body.errors).toEqual([expect.objectContaining({ field })]);
});

test.each([
  '/v1/principals?kind=person&name=n7',
  '/v1/principals?disabled=true',
  '/v1/credentials?kind=stored',
  '/v1/resources?label=env%3Dnone',
  '/v1/grants?kind=break_glass',
  '/v1/approvals?state=denied',
  '/v1/approvals?resource=none',
  '/v1/leases?resource=none',
  '/v1/sessions?live=false',
  '/v1/sessions?principal=nobody',
  '/v1/sessions?agent=nobody',
])('%s shows nothing', async (url) => {
  expect((await get(url)).items).toEqual([]);
});

test('a filter that a list does not know is refused, so a slip of the pen never shows everything', async () => {
  const queried = Object.entries(paths).filter(([, methods]) =>
    methods['get']?.parameters?.some((one) => one.in === 'query'),
  );
  expect(queried.length).toBeGreaterThan(30);
  for (const [path] of queried) {
    // Names that every object inherits are dropped on the way, by what guards against them.
    for (const name of ['principel', 'constructor', 'prototype', '__proto__']) {
      const { status, body } = await plane.call<{ errors?: readonly { field: string }[] }>(
        'GET',
        `${path.replace(/\{\w+\}/g, 'admin')}?${name}=ana`,
      );
      expect([status, body.errors?.map(({ field }) => field)], path).toEqual([400, expect.arrayContaining([name])]);
    }
  }
});

/** `%zz` cannot be decoded, so it stays. */
const plainOf = (text: string): string => (text === '%zz' ? text : decodeURIComponent(text));

test('odd text in any query, path or body is refused or finds nothing, and never fails inside', {
  timeout: 120_000,
}, async () => {
  const odd = ['%00', '%zz', "'%22%3B--", '-1', randomUUID(), 'a'.repeat(3_000)];
  const failed: string[] = [];
  const call = async (method: string, url: string, body?: unknown): Promise<void> => {
    const { status, headers } = await plane.call(method, url, body);
    if (status >= 500) failed.push(`${method} ${url.slice(0, 120)} ${status}`);
    if (status >= 400 && !(headers.get('content-type') ?? '').includes('problem+json')) {
      if (!(headers.get('content-type') ?? '').includes('text/html'))
        failed.push(`${method} ${url.slice(0, 120)} is no problem`);
    }
  };
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (path.endsWith('/watch') || path.includes('oauth')) continue;
      for (const text of odd) {
        const url = path.replace(/\{\w+\}/g, text);
        if (method === 'get') {
          for (const { name } of (operation.parameters ?? []).filter((one) => one.in === 'query'))
            await call('GET', `${path.replace(/\{\w+\}/g, 'admin')}?${name}=${text}`);
        }
        if (url === path) continue;
        const body =
          method === 'get' || method === 'delete' ? undefined : { name: plainOf(text), reason: plainOf(text) };
        await call(method.toUpperCase(), url, body);
      }
    }
  }
  expect(failed).toEqual([]);
});

test('what belongs to another project is in no list, and can be neither read nor changed', async () => {
  const other = randomUUID();
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  await client.$executeRaw`insert into projects (id, name) values (${other}::uuid, 'other')`;
  const tables: Readonly<Record<string, string>> = {
    '/v1/principals': 'principals',
    '/v1/groups': 'groups',
    '/v1/webhooks': 'webhooks',
    '/v1/identity-providers': 'identity_providers',
    '/v1/trust-rules': 'trust_rules',
    '/v1/agents': 'agents',
    '/v1/credentials': 'credentials',
    '/v1/resources': 'resources',
    '/v1/grants': 'grants',
    '/v1/policies': 'policies',
    '/v1/approvals': 'approval_requests',
    '/v1/sessions': 'sessions',
  };
  for (const [list, table] of Object.entries(tables)) {
    // A row of ours, copied whole to the other project.
    const id = table === 'approval_requests' ? 'apr-foreign00001' : randomUUID();
    await client.$executeRawUnsafe(
      `insert into ${table} select (jsonb_populate_record(null::${table}, to_jsonb(t) ||
        jsonb_build_object('project_id', $1::text, 'id', $2::text) ||
        case when jsonb_exists(to_jsonb(t), 'name') then '{"name":"foreign"}'::jsonb else '{}' end)).*
        from (select * from ${table} limit 1) t`,
      other,
      id,
    );
    const ids = (await get(`${list}?limit=200`)).items.map((item) => item['id']);
    expect(ids.length, list).toBeGreaterThan(0);
    expect(ids, list).not.toContain(id);
    for (const [path, methods] of Object.entries(paths)) {
      if (!path.startsWith(`${list}/{`)) continue;
      for (const method of Object.keys(methods)) {
        for (const reference of [id, 'foreign']) {
          const url = path.replace(/\{\w+\}/, reference).replace(/\{\w+\}/g, 'admin');
          const body = method === 'get' || method === 'delete' ? undefined : { reason: 'x' };
          const { status } = await plane.call(method.toUpperCase(), url, body);
          // 400: the body was wrong before anything was looked for.
          expect([400, 404], `${method} ${url}`).toContain(status);
        }
      }
    }
    const rows = await client.$queryRawUnsafe<{ n: number }[]>(
      `select count(*)::int as n from ${table} where project_id = $1::uuid`,
      other,
    );
    expect(rows[0]!.n, list).toBe(1);
  }
});
