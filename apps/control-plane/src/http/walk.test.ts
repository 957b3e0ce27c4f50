/**
 * Every route of the OpenAPI document, walked with two projects: an owner of one is told nothing of the other's things and
 * changes none; fields that are nobody's to set are refused; so is what is too long; and each write leaves its act. A route
 * that is added is walked by itself: where its body or its thing cannot be guessed, the test says what is missing in testing/walked-bodies.ts or walked-things.ts.
 */
import { randomUUID } from 'node:crypto';
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
  resolve,
  type Schema,
} from '../testing/operations.ts';
import { addProject, type SecondProject } from '../testing/second-project.ts';
import {
  BODIES,
  CANARY,
  CHANGES_NOTHING,
  CHECKED_LATER,
  NO_THING,
  OWN_ANSWERS,
  SAME_AS,
  STREAMS,
} from '../testing/walked-bodies.ts';
import { makersOf, type Things } from '../testing/walked-things.ts';
import { INSTALLATION_PERMISSIONS } from './permissions.ts';

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

const segmentOf = (segment: string): string => SAME_AS[segment] ?? segment;
function bodyOf(operation: Operation, name: string): unknown {
  if (operation.body === undefined) return undefined;
  const known = BODIES[operation.label]?.(name, document);
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
/** Whatever stands in them points at nothing. */
const FREE_TEXTS = new Set([
  'description',
  'displayName',
  'name',
  'reason',
  'secret',
  'source',
  'statement',
  'text',
  'ticket',
  'username',
]);
/** Looked for by name too. */
const NAMED = new Set(['principals', 'groups', 'resources', 'credentials']);
const mayBe = ({ enum: known, format, pattern, maxLength }: Schema, text: string): boolean =>
  known === undefined &&
  (format === undefined || format === 'uuid') &&
  (pattern === undefined || new RegExp(pattern).test(text)) &&
  text.length <= (maxLength ?? text.length);
/** Kept sealed or not kept, and shown to nobody. */
const NOT_READ = new Set([
  'POST /v1/trust-rules/preview token',
  'POST /v1/credentials secret',
  'PUT /v1/credentials/{credential}/secret secret',
]);
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
  for (const [segment, make] of Object.entries(makersOf({ client, things, asBlue, document: () => document })))
    things[segment] = await make(blue.id);
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

test('a body that names things of another project, in whatever field, binds none of them and tells nothing of them', {
  timeout: 300_000,
}, async () => {
  const before = await stateOfBlue();
  const wrong: string[] = [];
  const theirs = Object.values(things)
    .map((thing) => thing.id)
    .filter((id) => /^[0-9a-f-]{36}$/.test(id));
  const writes = operations.filter(
    (operation) =>
      operation.body !== undefined &&
      !isPublic(operation) &&
      !operation.path.startsWith('/v1/projects') &&
      !operation.requires.every((one) => (INSTALLATION_PERMISSIONS as readonly string[]).includes(one)),
  );
  for (const operation of writes) {
    const path = pathOf(operation, (segment) => `own-${segmentOf(segment)}`);
    const fields = Object.entries(objectsIn(document, operation.body!)[0]?.[1].properties ?? {}).filter(
      ([field]) => !FREE_TEXTS.has(field),
    );
    for (const [field, schema] of fields)
      for (const [kind, thing] of Object.entries(things)) {
        const real = resolve(document, schema);
        const { type } = real;
        const one = type === 'array' ? resolve(document, real.items ?? {}) : real;
        if (one.type !== 'string') continue;
        for (const named of new Set([thing.id, ...(NAMED.has(kind) ? [thing.name ?? thing.id] : [])])) {
          if (!mayBe(one, named)) continue;
          const name = `mix-${randomUUID().slice(0, 8)}`;
          const body = { ...(bodyOf(operation, name) as object), [field]: type === 'array' ? [named] : named };
          const { status, body: said } = await plane.call(operation.method, path, body);
          if (status >= 500) wrong.push(`${operation.label} ${field}=${kind}: ${status}`);
          const told = JSON.stringify(said).replaceAll(named, '');
          if (told.includes(CANARY) || theirs.some((id) => told.includes(id)))
            wrong.push(`${operation.label} ${field}=${kind} tells: ${told.slice(0, 300)}`);
        }
      }
  }
  expect(await stateOfBlue()).toBe(before);
  // Not one of our rows points at one of theirs.
  const columns = await client().$queryRaw<{ table_name: string; column_name: string }[]>`
    select c.table_name, c.column_name from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'public' and t.table_type = 'BASE TABLE' and c.udt_name = 'uuid' and c.column_name <> 'project_id' and c.column_name <> 'id'
      and exists (select 1 from information_schema.columns p where p.table_schema = 'public' and p.table_name = c.table_name and p.column_name = 'project_id')`;
  for (const { table_name: table, column_name: column } of columns) {
    const rows = await client().$queryRawUnsafe<unknown[]>(
      `select 1 from "${table}" where project_id <> $1::uuid and "${column}" = any($2::uuid[])`,
      blue.id,
      theirs,
    );
    if (rows.length > 0) wrong.push(`${table}.${column} points into the other project`);
  }
  expect(wrong).toEqual([]);
});

test('characters that turn text round or move a cursor are refused in whatever people read later', {
  timeout: 120_000,
}, async () => {
  const taken: string[] = [];
  for (const operation of operations.filter((one) => one.body !== undefined && !isPublic(one))) {
    const path = pathOf(operation, (segment) => `own-${segmentOf(segment)}`);
    for (const [field, schema] of Object.entries(objectsIn(document, operation.body!)[0]?.[1].properties ?? {})) {
      if (resolve(document, schema).type !== 'string' || NOT_READ.has(`${operation.label} ${field}`)) continue;
      for (const text of ['a\u202Eb', 'a\u001b[2Kb']) {
        const body = { ...(bodyOf(operation, `t-${randomUUID().slice(0, 8)}`) as object), [field]: text };
        const { status } = await plane.call(operation.method, path, body);
        if (status < 400 || status >= 500) taken.push(`${operation.label} ${field}: ${status}`);
      }
    }
  }
  expect(taken).toEqual([]);
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

test('what is of another kind than it should be, in whatever field or query, is refused and is no error of ours', {
  timeout: 300_000,
}, async () => {
  const values = [null, {}, [[]], 2 ** 63, "0000-01-01T00:00:00Z'"];
  const instants = ['0000-01-01T00:00:00Z', '9999-12-31T23:59:59-14:00'];
  const wrong: string[] = [];
  const look = async (operation: Operation, path: string, body: unknown, what: string): Promise<void> => {
    const { status } = await plane.call(operation.method, path, body);
    if (status >= 500) wrong.push(`${operation.label} ${what}: ${status}`);
  };
  for (const operation of operations.filter(({ label }) => !STREAMS.has(label))) {
    const own = pathOf(operation, (segment) => `own-${segmentOf(segment)}`);
    for (const { name } of operation.query)
      for (const text of [`a&${name}=b`, "'", ...instants])
        await look(operation, `${own}?${name}=${text}`, undefined, `?${name}=${text}`);
    if (operation.body === undefined) continue;
    await look(operation, own, [], 'as a list');
    for (const field of Object.keys(objectsIn(document, operation.body)[0]?.[1].properties ?? {}))
      for (const value of [...values, ...(/(At|Before|After|since|until)$/i.test(field) ? instants : [])]) {
        const body = { ...(bodyOf(operation, `k-${randomUUID().slice(0, 8)}`) as object), [field]: value };
        await look(operation, own, body, `${field}=${JSON.stringify(value)}`);
      }
  }
  expect(wrong).toEqual([]);
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
