/**
 * Every route of the OpenAPI document, walked with two projects: an owner of one is told nothing of the other's things and
 * changes none; fields that are nobody's to set are refused; so is what is too long; and each write leaves its act. A route
 * that is added is walked by itself: where its body or its thing cannot be guessed, the test says what is missing here.
 */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UNWATCHED, WATCHED } from '../acts/watched.ts';
import { Database } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import {
  exampleOf,
  type OpenApi,
  type Operation,
  objectsIn,
  operationsOf,
  parametersOf,
} from '../testing/operations.ts';
import { addProject, type SecondProject } from '../testing/second-project.ts';
import { INSTALLATION_PERMISSIONS } from './permissions.ts';

/** In every name of the other project's things, and nowhere else. */
const CANARY = 'azure7q';

interface Thing {
  readonly id: string;
  /** Where it has one. */
  readonly name?: string;
}
/** A thing of each kind, by the segment before the parameter that names it. */
type Things = Record<string, Thing>;

let plane: TestControlPlane;
let document: OpenApi;
let operations: readonly Operation[];
let blue: SecondProject;
const things: Things = {};
/** What the other project's admin was told when a thing could not be made. */
const refusals: Record<string, string> = {};
const client = () => plane.controlPlane.app.get(Database, { strict: false }).client;
const asBlue = (method: string, path: string, body?: unknown) =>
  plane.call<Record<string, unknown>>(method, path, body, blue.token);

const POLICY = (name: string) =>
  `kind: Policy\nname: ${name}\nrules:\n  - name: no-ddl\n    when: sql.effects.exists(e, e == "ddl")\n    verdict: deny\n`;

/** Whose things a thing of that name may name. */
const sideOf = (name: string): string => (name.startsWith(CANARY) ? CANARY : 'own');

const trustRule = (name: string) => ({
  name,
  issuer: 'https://issuer.example',
  audiences: ['sallyport'],
  claims: { sub: 'walked' },
  principal: `${sideOf(name)}-principals`,
});

/** Bodies that a schema alone does not tell; of a write to a thing of that name. */
const ACCESS_POLICY = (name: string) => ({ name, requesters: {}, resources: {}, effects: ['read'], approve: {} });
const BODIES: Readonly<Record<string, (name: string) => unknown>> = {
  'POST /v1/principals': (name) => ({ name, kind: 'service' }),
  'POST /v1/webhooks': (name) => ({ name, url: 'http://127.0.0.1:9/x', events: ['trail.head'] }),
  'POST /v1/credentials': (name) => ({ name, kind: 'stored', username: 'u', secret: 's' }),
  'POST /v1/resources': (name) => ({ name, type: 'postgres', postgres: { host: 'db.internal' } }),
  'PUT /v1/resources/{resource}': (name) => ({
    name,
    description: 'put',
    type: 'postgres',
    postgres: { host: 'db.internal' },
  }),
  'PATCH /v1/resources/{resource}': () => ({ description: 'walked' }),
  'POST /v1/grants': (name) => ({
    name,
    group: `${sideOf(name)}-groups`,
    resource: `${sideOf(name)}-resources`,
    effects: ['read'],
  }),
  'PUT /v1/grants/{grant}': (name) => ({
    name,
    group: `${sideOf(name)}-groups`,
    resource: `${sideOf(name)}-resources`,
    effects: ['ddl'],
  }),
  'PATCH /v1/grants/{grant}': () => ({ effects: ['read', 'write'] }),
  'POST /v1/access-policies': (name) => ACCESS_POLICY(name),
  'PUT /v1/access-policies/{policy}': (name) => ({ ...ACCESS_POLICY(name), durationMax: '2h' }),
  'POST /v1/access-requests/{id}/extend': () => ({ duration: '1h', reason: 'walked' }),
  'POST /v1/policies': (name) => ({ source: POLICY(name) }),
  'POST /v1/policies/check': (name) => ({ source: POLICY(name) }),
  'PUT /v1/policies/{policy}': (name) => ({ source: `${POLICY(name)}    message: No.\n` }),
  'POST /v1/apply': (name) => ({ documents: [{ file: 'w.yaml', text: `kind: Group\nname: ${name}\n` }] }),
  'PATCH /v1/principals/{principal}': () => ({ displayName: 'walked' }),
  'PATCH /v1/groups/{group}': () => ({ description: 'walked' }),
  'PATCH /v1/webhooks/{name}': () => ({ events: ['*'] }),
  'PATCH /v1/credentials/{credential}': () => ({ username: 'walked' }),
  'POST /v1/trust-rules': (name) => trustRule(name),
  'PUT /v1/trust-rules/{rule}': (name) => ({ ...trustRule(name), audiences: ['walked'] }),
  'PATCH /v1/accounts/{principal}': () => ({ breakGlass: true }),
  'POST /v1/principals/{principal}/keys': () => ({
    jwk: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }),
  }),
  'POST /v1/identity-providers': (name) => ({
    name,
    kind: 'oidc',
    config: { issuer: 'https://127.0.0.1:9', clientId: 'c' },
    secrets: { clientSecret: 's' },
  }),
  'PATCH /v1/identity-providers/{name}': () => ({ displayName: 'walked' }),
  'POST /v1/identity-providers/{name}/preview': () => ({ claims: { sub: 's' } }),
  'PUT /v1/reviews/{review}': (name) => ({
    ...(exampleOf(document, { $ref: '#/components/schemas/ReviewDocument' }) as object),
    name,
    description: 'put',
  }),
  'PATCH /v1/projects/{project}': () => ({ description: 'walked' }),
};
/** Things that REST does not make. */
const MAKERS: Readonly<Record<string, (projectId: string) => Promise<Thing>>> = {
  agents: async (projectId) => {
    const data = {
      id: randomUUID(),
      projectId,
      name: `${CANARY}-agent`,
      sealKey: new Uint8Array(32),
      keyHash: new Uint8Array(32),
    };
    return await client().agent.create({ data, select: { id: true, name: true } });
  },
  sessions: async (projectId) => {
    const none = { onBehalfOfId: null, onBehalfOfName: null, database: 'd', role: '', application: CANARY };
    const data = {
      ...none,
      id: randomUUID(),
      projectId,
      agentId: things['agents']!.id,
      resourceId: things['resources']!.id,
      resourceName: things['resources']!.name!,
      protocol: 'postgres',
      principalId: things['principals']!.id,
      principalName: things['principals']!.name!,
      principalKind: 'service',
      tokenId: 't',
      clientAddress: '127.0.0.1:1',
      openedAt: new Date(),
    };
    return await client().session.create({ data, select: { id: true } });
  },
  approvals: async (projectId) => {
    const soon = new Date(Date.now() + 600_000);
    const principal = { id: things['principals']!.id, name: things['principals']!.name!, kind: 'service' };
    const body = {
      principal,
      text: `select ${CANARY}`,
      parameters: [],
      effects: ['write'],
      approval: { groups: [], count: 1, expiresMs: 60_000 },
      recentStatements: [],
    };
    const data = {
      id: `apr-${CANARY}00000001`,
      projectId,
      agentId: things['agents']!.id,
      sessionId: things['sessions']!.id,
      resourceId: things['resources']!.id,
      principalId: principal.id,
      digest: 'd'.repeat(64),
      mode: 'wait',
      rule: 'a/b',
      body,
      groups: [],
      count: 1,
      requestedAt: new Date(),
      expiresAt: soon,
    };
    return await client().approvalRequest.create({ data, select: { id: true } });
  },
  'access-requests': async (projectId) => {
    const who = { principalId: things['principals']!.id, principalName: CANARY, principalKind: 'service' };
    const data = {
      ...who,
      id: randomUUID(),
      projectId,
      policyId: things['access-policies']!.id,
      policyName: CANARY,
      requestedById: who.principalId,
      requestedByName: CANARY,
      requestedByKind: 'service',
      resource: CANARY,
      effects: ['read'],
      durationMs: 60_000n,
      reason: CANARY,
      requestedAt: new Date(),
      expiresAt: new Date(Date.now() + 600_000),
    };
    return await client().accessRequest.create({ data, select: { id: true } });
  },
  links: async (projectId) => {
    const principal = await client().principal.findFirstOrThrow({ where: { projectId, name: `${CANARY}-admin` } });
    const data = {
      id: randomUUID(),
      projectId,
      webhookId: things['webhooks']!.id,
      teamId: 'T0',
      slackUserId: 'U0',
      slackName: CANARY,
      principalId: principal.id,
    };
    return await client().slackLink.create({ data, select: { id: true } });
  },
  'change-proposals': async (projectId) => {
    const data = {
      id: randomUUID(),
      projectId,
      areas: ['policy'],
      method: 'POST',
      path: `/v1/policies?${CANARY}`,
      sealed: new Uint8Array(),
      requires: ['policy:create'],
      changes: [],
      baseline: new Uint8Array(32),
      proposerId: randomUUID(),
      proposerName: `${CANARY}-proposer`,
      permissions: [],
      expiresAt: new Date(Date.now() + 600_000),
    };
    return await client().changeProposal.create({ data, select: { id: true } });
  },
  accounts: async (projectId) => {
    const name = `${CANARY}-person`;
    const { body } = await asBlue('POST', '/v1/principals', { name, kind: 'person' });
    const id = String(body['id']);
    await client().localAccount.create({ data: { id: randomUUID(), projectId, principalId: id } });
    return { id, name };
  },
  passkeys: async (projectId) => {
    const account = await client().localAccount.findFirstOrThrow({ where: { projectId } });
    const key = { credentialId: new Uint8Array([1]), publicKey: new Uint8Array(), counter: 0n, transports: [] };
    const data = { ...key, id: randomUUID(), projectId, accountId: account.id, name: CANARY };
    return await client().passkey.create({ data, select: { id: true } });
  },
  keys: async () => {
    const path = `/v1/principals/${CANARY}-principals/keys`;
    const { body } = await asBlue('POST', path, BODIES['POST /v1/principals/{principal}/keys']!(''));
    return { id: String(body['id']) };
  },
  leases: async (projectId) => {
    const data = {
      id: randomUUID(),
      projectId,
      agentId: things['agents']!.id,
      kind: 'ephemeral',
      credentialId: things['credentials']!.id,
      resourceId: things['resources']!.id,
      principalId: things['principals']!.id,
      account: `${CANARY}-account`,
      openedAt: new Date(),
      expiresAt: new Date(Date.now() + 600_000),
    };
    return await client().credentialLease.create({ data, select: { id: true } });
  },
  'approver-delegations': async (projectId) => {
    const data = {
      id: randomUUID(),
      projectId,
      ofId: (await client().principal.findFirstOrThrow({ where: { projectId, kind: 'person' } })).id,
      toId: things['principals']!.id,
      startsAt: new Date(),
      endsAt: new Date(Date.now() + 600_000),
    };
    return await client().approverDelegation.create({ data, select: { id: true } });
  },
  secrets: async () => {
    const { body } = await asBlue('POST', `/v1/principals/${CANARY}-principals/secrets`, {});
    return { id: String(body['id']) };
  },
  tokens: async () => {
    const { body } = await asBlue('POST', `/v1/principals/${CANARY}-admin/tokens`, { name: 't' });
    return { id: String(body['id']) };
  },
};
/** Segments whose parameter names a thing made elsewhere, or no thing of a project. */
const SAME_AS: Readonly<Record<string, string>> = { members: 'principals' };
const NO_THING: Readonly<Record<string, string>> = { package: 'files of the agent’s package, alike for everybody' };
/** Answers to a good request of the project's own admin that are no 2xx, with the reason. */
const OWN_ANSWERS: Readonly<Record<string, readonly number[]>> = {
  'GET /v1/sessions/{id}/recording': [404],
  // The provider is one of OpenID Connect.
  'POST /v1/identity-providers/{name}/saml-keys': [404],
  // Another's: they ask, prolong and withdraw themselves; and what it names is not there.
  'POST /v1/access-requests/{id}/approve': [403],
  'POST /v1/access-requests/{id}/extend': [403],
  'POST /v1/access-requests/{id}/withdraw': [403],
  // Nothing came of it yet.
  'POST /v1/access-requests/{id}/revoke': [409],
  'POST /v1/sessions/{id}/erase': [409],
  'POST /v1/change-proposals/{id}/approve': [409],
  // Somebody else's.
  'POST /v1/change-proposals/{id}/answer': [403],
  // Answered by the call before.
  'POST /v1/change-proposals/{id}/reject': [409],
  'POST /v1/change-proposals/{id}/withdraw': [409],
  'POST /v1/approvals/{id}/deny': [409],
  'POST /v1/approvals/{id}/delegate': [409],
  'POST /v1/approvals/{id}/revoke': [409],
  // No agent that could try it is connected.
  'POST /v1/credentials/{credential}/test': [409],
  'POST /v1/credentials/{credential}/rotate': [409],
  // No round has begun.
  'GET /v1/reviews/{review}/export': [404],
  'POST /v1/reviews/{review}/answers': [404],
  'DELETE /v1/credentials/{credential}': [204],
};
/** Calls that change nothing, though they are no GET. */
const CHANGES_NOTHING = new Set([
  'POST /v1/identity-providers/{name}/test',
  'POST /v1/identity-providers/{name}/preview',
]);
/** Streams that end when the client does. */
const STREAMS = new Set(['GET /v1/sessions/{id}/watch']);

/** Parts of a document, checked against its own schema once they are joined to the rest. */
const CHECKED_LATER = ['PATCH /v1/grants/{grant}', 'PATCH /v1/resources/{resource}'];

const segmentOf = (segment: string): string => SAME_AS[segment] ?? segment;
function bodyOf(operation: Operation, name: string): unknown {
  if (operation.body === undefined) return undefined;
  const known = BODIES[operation.label]?.(name);
  if (known !== undefined) return known;
  const example = exampleOf(document, operation.body) as object;
  return 'name' in example ? { ...example, name } : example;
}
/** The path with each parameter as `refer` says. */
const pathOf = (operation: Operation, refer: (segment: string) => string): string =>
  operation.path.replace(
    /([^/{}]+)\/\{\w+\}/g,
    (_, segment: string) => `${segment}/${encodeURIComponent(refer(segment))}`,
  );
/** Routes that need no token follow standards that have unknown parameters ignored (RFC 6749 section 3.2), and know no caller. */
const isPublic = ({ requires }: Operation): boolean => requires.length === 0;
/** Those whose things are all there; the first test says which are not. */
const walkable = (): readonly Operation[] =>
  operations.filter((operation) =>
    parametersOf(operation.path).every(
      ({ segment }) => segment in NO_THING || things[segmentOf(segment)] !== undefined,
    ),
  );
const isAbout = (operation: Operation): boolean =>
  !isPublic(operation) &&
  parametersOf(operation.path).length > 0 &&
  parametersOf(operation.path).every(({ segment }) => !(segment in NO_THING));
/** Reads first, removals last: each must find its thing. */
const inOrder = (all: readonly Operation[]): Operation[] => {
  const rank = ({ method, path }: Operation): number =>
    method === 'GET'
      ? 0
      : method === 'DELETE'
        ? 100 - path.length / 100
        : /\/(revoke|withdraw|erase|kill)$/.test(path)
          ? 50
          : 10;
  return [...all].sort((a, b) => rank(a) - rank(b));
};

beforeAll(async () => {
  plane = await startTestControlPlane();
  document = (await plane.call<OpenApi>('GET', '/openapi.json')).body;
  operations = operationsOf(document);
  blue = await addProject(plane, CANARY, `${CANARY}-admin`);
  // Ours of the same kinds, so that a mix of both projects can be tried.
  for (const operation of operations.filter(({ method, path }) => method === 'POST' && /^\/v1\/[a-z-]+$/.test(path))) {
    const segment = operation.path.slice('/v1/'.length);
    if (operation.requires.some((one) => (INSTALLATION_PERMISSIONS as readonly string[]).includes(one))) continue;
    const name = `${CANARY}-${segment}`;
    const { status, body } = await asBlue('POST', operation.path, bodyOf(operation, name));
    if (status === 201 && typeof body['id'] === 'string') things[segment] = { id: body['id'], name };
    else refusals[segment] = `${status} ${JSON.stringify(body)}`;
    await plane.call('POST', operation.path, bodyOf(operation, `own-${segment}`));
  }
  for (const [segment, make] of Object.entries(MAKERS)) things[segment] = await make(blue.id);
  things['projects'] = { id: blue.id, name: blue.name };
}, 120_000);
afterAll(async () => await plane.stop());

/** Every row of the other project, but for counters and what tells of calls. */
async function stateOfBlue(): Promise<string> {
  const told = ['control_acts', 'trail_', 'bundle_state', 'session_keys', 'signing_keys', 'outbox_messages', 'rate_'];
  const tables = await client().$queryRaw<{ name: string }[]>`
    select c.table_name as name from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'public' and c.column_name = 'project_id' and t.table_type = 'BASE TABLE' order by 1`;
  const rows: unknown[] = [];
  for (const { name } of tables.filter((table) => !told.some((part) => table.name.startsWith(part))))
    rows.push(
      name,
      await client().$queryRawUnsafe(
        `select (to_jsonb(t) - 'last_used_at' - 'last_seen_at')::text as row from "${name}" t where project_id = $1::uuid order by 1`,
        blue.id,
      ),
    );
  return JSON.stringify(rows);
}

test('each parameter of each route has a thing of the other project to name', () => {
  const missing = operations
    .filter(isAbout)
    .flatMap((operation) => parametersOf(operation.path).map(({ segment }) => segmentOf(segment)))
    .filter((segment) => things[segment] === undefined)
    .map((segment) => `${segment}: ${refusals[segment] ?? 'no route makes one'}`);
  expect([...new Set(missing)], 'add a maker or a body above').toEqual([]);
});

test('an owner of one project can neither see nor change a thing of another, by its id, its name, or with one of their own', {
  timeout: 300_000,
}, async () => {
  const before = await stateOfBlue();
  const wrong: string[] = [];
  const owners = walkable().filter(
    (operation) => isAbout(operation) && parametersOf(operation.path)[0]!.segment !== 'projects',
  );
  for (const operation of owners) {
    const parameters = parametersOf(operation.path);
    const ways: ((segment: string, at: number) => string)[] = [
      (segment) => things[segmentOf(segment)]!.id,
      (segment) => things[segmentOf(segment)]!.name ?? things[segmentOf(segment)]!.id,
    ];
    // One thing of ours with one of theirs.
    if (parameters.length > 1)
      ways.push((segment, at) => (at === 0 ? `own-${segmentOf(segment)}` : things[segmentOf(segment)]!.id));
    for (const way of ways) {
      let at = 0;
      const path = pathOf(operation, (segment) => way(segment, at++));
      const { status, body } = await plane.call(operation.method, path, bodyOf(operation, `${CANARY}-x`));
      const said = JSON.stringify(body);
      if (status !== 404) wrong.push(`${operation.method} ${path} answers ${status} ${said.slice(0, 200)}`);
      if (said.includes(CANARY)) wrong.push(`${operation.method} ${path} tells a name: ${said.slice(0, 200)}`);
    }
  }
  expect(wrong).toEqual([]);
  expect(await stateOfBlue()).toBe(before);
});

test('an admin of the other project has no part in this one, nor in the installation', {
  timeout: 300_000,
}, async () => {
  const ours = await plane.call<{ id: string }>('GET', '/v1/principals/own-principals');
  const wrong: string[] = [];
  for (const operation of operations) {
    const isInstallation =
      operation.requires.length > 0 &&
      operation.requires.every((one) => (INSTALLATION_PERMISSIONS as readonly string[]).includes(one));
    if (!isInstallation) continue;
    const path = pathOf(operation, () => 'default');
    const { status } = await asBlue(operation.method, path, bodyOf(operation, 'x'));
    if (status !== 403) wrong.push(`${operation.label} answers ${status}`);
  }
  expect(wrong).toEqual([]);
  expect((await asBlue('GET', `/v1/principals/${ours.body.id}`)).status).toBe(404);
  expect((await asBlue('GET', '/v1/projects/default')).status).toBe(404);
});

test('no list, search or count answers with a thing of another project, whatever it is asked for', {
  timeout: 300_000,
}, async () => {
  const wrong: string[] = [];
  const ids = Object.values(things).map((thing) => thing.id);
  const reads = operations.filter(
    ({ method, path, requires, label }) =>
      method === 'GET' &&
      parametersOf(path).length === 0 &&
      requires.length > 0 &&
      !STREAMS.has(label) &&
      !label.includes('export'),
  );
  for (const operation of reads) {
    const asked = [
      '',
      ...operation.query.flatMap(({ name }) =>
        Object.values(things).flatMap((thing) => [
          `?${name}=${thing.id}`,
          ...(thing.name === undefined ? [] : [`?${name}=${thing.name}`]),
        ]),
      ),
    ];
    for (const query of asked) {
      const { status, body } = await plane.call(operation.method, `${operation.path}${query}`);
      if (status === 400) continue;
      // What an owner did to the other project is an act of their own project too; the project's name is theirs to know.
      const items = (body as { items?: { target?: unknown }[] }).items?.filter(
        (item) => item.target !== `project/${CANARY}`,
      );
      const said = JSON.stringify(items ?? body);
      const plain = said.replaceAll(`"name":"${CANARY}"`, '').replaceAll(blue.id, '');
      if (plain.includes(CANARY) || ids.some((id) => plain.includes(id)))
        wrong.push(`${operation.method} ${operation.path}${query}: ${plain.slice(0, 300)}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('what a body names by id is looked for in the caller’s project alone', async () => {
  const wrong: string[] = [];
  const tries: readonly (readonly [string, string, object])[] = [
    ['POST', '/v1/grants', { name: 'g1', principal: things['principals']!.id, resource: 'r', effects: ['read'] }],
    [
      'POST',
      '/v1/resources',
      { name: 'r1', type: 'postgres', postgres: { host: 'h' }, credential: things['credentials']!.name },
    ],
    ['POST', '/v1/policies/explain', { resource: things['resources']!.id, statement: 'select 1' }],
    [
      'POST',
      '/v1/policies/explain',
      { resource: 'own-resources', statement: 'select 1', principal: things['principals']!.id },
    ],
    ['PUT', `/v1/groups/own-groups/members/${things['principals']!.id}`, {}],
  ];
  for (const [method, path, body] of tries) {
    const answer = await plane.call(method, path, body);
    if (answer.status < 400 || answer.status >= 500) wrong.push(`${method} ${path} ${answer.status}`);
  }
  expect(wrong).toEqual([]);
  const exchange = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: plane.adminToken,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  };
  const audience = await plane.oauth<{ error: string }>({ ...exchange, resource: things['resources']!.id });
  expect(audience.body.error).toBe('invalid_target');
  const { body: bot } = await asBlue('POST', `/v1/principals/${CANARY}-principals/tokens`, { name: 'actor' });
  const across = await plane.oauth<{ error: string }>({
    ...exchange,
    actor_token: String(bot['token']),
    resource: 'own-resources',
  });
  expect(across.body.error).toBe('invalid_grant');
});

test('fields that are nobody’s to set are refused by name on every write', { timeout: 120_000 }, async () => {
  const extra: Readonly<Record<string, unknown>> = {
    id: randomUUID(),
    projectId: blue.id,
    project_id: blue.id,
    hash: 'x',
    sealed: 'x',
    version: 7,
    createdAt: new Date(0).toISOString(),
    permissions: ['project:create'],
    passwordHash: 'x',
  };
  const wrong: string[] = [];
  const writes = operations.filter((operation) => operation.body !== undefined && !isPublic(operation));
  for (const operation of writes) {
    const body = bodyOf(operation, `own-${randomUUID().slice(0, 8)}`) as object;
    const path = pathOf(operation, (segment) => `own-${segmentOf(segment)}`);
    for (const [field, value] of Object.entries(extra)) {
      if (field in body) continue;
      const { status, body: said } = await plane.call(operation.method, path, { ...body, [field]: value });
      const names = ((said as { errors?: { field: string }[] }).errors ?? []).map((error) => error.field);
      const known = objectsIn(document, operation.body!)[0]?.[1].properties?.[field] !== undefined;
      // 404: the thing to be changed is not there, which was looked for before the body.
      if (known || status === 404) continue;
      if (![400, 422].includes(status) || !names.includes(field)) wrong.push(`${operation.label} ${field}: ${status}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('no schema of a request takes fields that it does not name, at any depth', () => {
  const loose = operations
    .filter(
      (operation) => operation.body !== undefined && !isPublic(operation) && !CHECKED_LATER.includes(operation.label),
    )
    .flatMap((operation) =>
      objectsIn(document, operation.body!)
        // A map by free keys says what its values are.
        .filter(([, schema]) => schema.additionalProperties === undefined || schema.additionalProperties === true)
        .map(([at]) => `${operation.label}${at}`),
    );
  expect(loose).toEqual([]);
});

test('what is too long is refused on every route, in path, query and body', { timeout: 300_000 }, async () => {
  const wrong: string[] = [];
  const check = async (operation: Operation, path: string, body: unknown, what: string): Promise<void> => {
    const { status } = await plane.call(operation.method, path, body);
    if (status < 400 || status >= 500) wrong.push(`${operation.label} ${what}: ${status}`);
  };
  for (const operation of operations.filter(({ label, requires }) => !STREAMS.has(label) && requires.length > 0)) {
    const own = pathOf(operation, (segment) => `own-${segmentOf(segment)}`);
    const body = bodyOf(operation, 'own-long');
    if (parametersOf(operation.path).length > 0) {
      await check(
        operation,
        pathOf(operation, () => 'l'.repeat(3_000)),
        body,
        'path',
      );
    } else {
      for (const { name, schema } of operation.query) {
        const text = (Array.isArray(schema.type) ? schema.type[0] : schema.type) === 'string';
        if (text) await check(operation, `${own}?${name}=${'l'.repeat(8_000)}`, undefined, `?${name}`);
      }
    }
    for (const [field, value] of Object.entries(objectsIn(document, operation.body ?? {})[0]?.[1].properties ?? {})) {
      const { type, maxLength, maxItems } = { ...value } as { type?: string; maxLength?: number; maxItems?: number };
      if (type === 'string')
        await check(operation, own, { ...(body as object), [field]: 'l'.repeat((maxLength ?? 70_000) + 1) }, field);
      if (type === 'array')
        await check(
          operation,
          own,
          { ...(body as object), [field]: Array.from({ length: (maxItems ?? 20_000) + 1 }, () => 'l') },
          field,
        );
    }
  }
  expect(wrong).toEqual([]);
});

test('the project’s own admin is answered by each of these routes, and each write leaves an act with before and after', {
  timeout: 300_000,
}, async () => {
  const wrong: string[] = [];
  const watched = new Set(Object.values(WATCHED).map((one) => one.thing));
  expect(Object.keys(UNWATCHED).length).toBeGreaterThan(0);
  const mine = walkable().filter(
    (operation) =>
      isAbout(operation) && parametersOf(operation.path)[0]!.segment !== 'projects' && !STREAMS.has(operation.label),
  );
  for (const operation of inOrder(mine)) {
    const path = pathOf(operation, (segment) => things[segmentOf(segment)]!.id);
    const last = (await client().controlAct.findFirst({ orderBy: { id: 'desc' } }))?.id ?? 0n;
    const { status, body } = await asBlue(
      operation.method,
      path,
      bodyOf(operation, things[segmentOf(parametersOf(operation.path).at(-1)!.segment)]!.name ?? 'x'),
    );
    const allowed = OWN_ANSWERS[operation.label] ?? [];
    if ((status >= 300 && !allowed.includes(status)) || status === 400)
      wrong.push(`${operation.label} answers ${status} ${JSON.stringify(body).slice(0, 200)}`);
    if (operation.method === 'GET' || status >= 300) continue;
    const acts = await client().controlAct.findMany({ where: { id: { gt: last }, projectId: blue.id } });
    if (acts.length === 0 && !CHANGES_NOTHING.has(operation.label)) wrong.push(`${operation.label} leaves no act`);
    for (const act of acts) {
      const changes = (act.detail as { changes?: { thing: string }[] }).changes ?? [];
      if (changes.some((change) => !watched.has(change.thing))) wrong.push(`${operation.label} tells an unknown thing`);
      const [noun] = act.target.split('/');
      if (
        watched.has(noun!) &&
        changes.length === 0 &&
        /\.(created|updated|deleted|disabled|rotated)$/.test(act.action)
      )
        wrong.push(`${operation.label}: ${act.action} tells no change`);
    }
  }
  expect(wrong).toEqual([]);
});
