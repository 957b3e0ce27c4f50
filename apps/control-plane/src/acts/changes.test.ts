/** What an act tells of a change: what was, what is, and never a secret; and that no watched change goes without an act. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { Prisma } from '../generated/prisma/client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { recordActOf, systemActor } from './acts.ts';
import { changeOf, columnsOf } from './changes.ts';
import { UNWATCHED, WATCHED } from './watched.ts';

let plane: TestControlPlane;
const database = (): Database => plane.controlPlane.app.get(Database, { strict: false });
/** `changes` of the newest act upon a target. */
async function changesOf(target: string): Promise<unknown> {
  const act = await database().client.controlAct.findFirstOrThrow({ where: { target }, orderBy: { id: 'desc' } });
  return (act.detail as { changes?: unknown }).changes;
}

beforeAll(async () => {
  plane = await startTestControlPlane();
}, 60_000);
afterAll(async () => await plane.stop());

test('every table is watched, or named as not administered', () => {
  const tables = Object.keys(Prisma.ModelName).map((name) => name.charAt(0).toLowerCase() + name.slice(1));
  expect(tables.filter((table) => !(table in WATCHED) && !(table in UNWATCHED))).toEqual([]);
  expect(Object.keys(WATCHED).filter((table) => !tables.includes(table))).toEqual([]);
});

test('an open field that no table has is a slip', () => {
  for (const [table, { open, quiet = [] }] of Object.entries(WATCHED)) {
    const known = columnsOf(table);
    expect(
      [...open, ...quiet].filter((field) => !known.includes(field)),
      table,
    ).toEqual([]);
  }
});

test('a change tells the fields that differ, before and after; a policy the lines that differ', async () => {
  await plane.call('POST', '/v1/groups', { name: 'ops', description: 'old' });
  await plane.call('PATCH', '/v1/groups/ops', { description: 'new' });
  expect(await changesOf('group/ops')).toEqual([
    { thing: 'group', name: 'ops', before: { description: 'old' }, after: { description: 'new' } },
  ]);
  const policy = (verdict: string) =>
    `kind: Policy\nname: p\nrules:\n  - name: no-ddl\n    when: sql.effects.exists(e, e == "ddl")\n    verdict: ${verdict}\n`;
  expect((await plane.call('POST', '/v1/policies', { source: policy('deny') })).status).toBe(201);
  expect((await plane.call('PUT', '/v1/policies/p', { source: policy('allow') })).status).toBe(200);
  expect(await changesOf('policy/p')).toMatchObject([
    { before: { source: ['    verdict: deny'], revision: 1 }, after: { source: ['    verdict: allow'], revision: 2 } },
  ]);
  await plane.call('DELETE', '/v1/groups/ops');
  expect(await changesOf('group/ops')).toMatchObject([{ thing: 'group', before: { description: 'new' }, after: null }]);
});

test('acts are read by who may read the trail, with what each changed', async () => {
  interface Acts {
    readonly items: { id: string; action: string; detail: { changes?: unknown } }[];
    readonly nextCursor: string | null;
  }
  const read = async (query: string): Promise<Acts> => (await plane.call<Acts>('GET', `/v1/acts?${query}`)).body;
  const { items } = await read('target=group/ops');
  expect(items.map((act) => act.action)).toEqual(['group.deleted', 'group.updated', 'group.created']);
  expect(items[1]!.detail.changes).toMatchObject([{ before: { description: 'old' }, after: { description: 'new' } }]);
  const first = await read('target=group/ops&limit=2');
  const second = await read(`target=group/ops&limit=2&cursor=${first.nextCursor}`);
  expect([...first.items, ...second.items]).toEqual(items);
  expect((await plane.call('GET', '/v1/acts?cursor=x')).status).toBe(400);
});

test('what is sensitive or secret is told as changed, and what it says is not', async () => {
  const canary = 'canary-5f2b';
  await plane.call('POST', '/v1/credentials', { name: 'c', kind: 'stored', username: `${canary}-u`, secret: canary });
  await plane.call('PUT', '/v1/credentials/c/secret', { secret: `${canary}-2` });
  expect(await changesOf('credential/c')).toEqual([
    {
      thing: 'credential',
      name: 'c',
      before: { sealed: '[hidden]', version: 1 },
      after: { sealed: '[hidden]', version: 2 },
    },
  ]);
  const target = { name: 'db', type: 'postgres', postgres: { host: `${canary}.internal` }, credential: 'c' };
  await plane.call('POST', '/v1/resources', target);
  await plane.call('PATCH', '/v1/resources/db', { approval: 'ticket', postgres: { host: `${canary}.example` } });
  expect(await changesOf('resource/db')).toEqual([
    {
      thing: 'resource',
      name: 'db',
      before: { spec: { approval: 'wait', postgres: '[hidden]' } },
      after: { spec: { approval: 'ticket', postgres: '[hidden]' } },
    },
  ]);
  await plane.call('POST', '/v1/principals', { name: 'kim', kind: 'person', email: `${canary}@example.com` });
  await plane.call('POST', '/v1/principals/kim/tokens', { name: 't' });
  const acts = await database().client.controlAct.findMany();
  expect(JSON.stringify(acts.map((act) => act.detail))).not.toContain(canary);
});

test('a watched change without an act is rolled back', async () => {
  const before = await database().client.group.count();
  const { id: projectId } = await database().client.project.findFirstOrThrow();
  const group = () => ({ id: crypto.randomUUID(), projectId, name: 'silent' });
  await expect(database().transaction((tx) => tx.group.create({ data: group() }))).rejects.toMatchObject({
    code: 'internal',
  });
  expect(await database().client.group.count()).toBe(before);
  // After the act is early enough: it joins it.
  await database().transaction(async (tx) => {
    await recordActOf(tx, systemActor(projectId, 't'), 'group.created', 'group/silent');
    await tx.group.create({ data: group() });
  });
  expect(await changesOf('group/silent')).toMatchObject([{ name: 'silent', before: null }]);
});

test('a change of a thousand rows is told in part, with how many more there were', async () => {
  const { id: projectId } = await database().client.project.findFirstOrThrow();
  await database().transaction(async (tx) => {
    await tx.group.createMany({
      data: Array.from({ length: 1_000 }, (_, n) => ({ id: crypto.randomUUID(), projectId, name: `g${n}` })),
    });
    await recordActOf(tx, systemActor(projectId, 't'), 'group.created', 'group/many');
  });
  const act = await database().client.controlAct.findFirstOrThrow({ where: { target: 'group/many' } });
  expect(act.detail).toMatchObject({ moreChanges: 950 });
  expect(JSON.stringify(act.detail).length).toBeLessThan(60_000);
});

test('a long text without lines is told by its digest', () => {
  const columns = ['name', 'description'];
  const change = changeOf(WATCHED['group']!, columns, null, { name: 'g', description: 'x'.repeat(5_000) });
  expect(change?.after?.['description']).toMatch(/^5000 characters, sha256 [0-9a-f]{64}$/);
});
