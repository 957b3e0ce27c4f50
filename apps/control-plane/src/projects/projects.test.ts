/** Two projects in one installation: each has its own people, things, bundle and trail, and neither sees the other. */
import { parseTreeHeads } from '@sallyport/trail';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { addProject } from '../testing/second-project.ts';
import { TrailKeeper } from '../trail/trail-keeper.ts';

let plane: TestControlPlane;
let blue: { readonly id: string; readonly token: string };
const get = <T = Record<string, unknown>>(path: string, token?: string) => plane.call<T>('GET', path, undefined, token);

beforeAll(async () => {
  plane = await startTestControlPlane();
  blue = await addProject(plane, 'blue', 'admin');
}, 60_000);
afterAll(async () => await plane.stop());

test('a token says whose project it is for, and a call that means another one is refused as not found', async () => {
  const me = await get<{ project: { name: string }; roles: string[] }>('/v1/whoami', blue.token);
  expect(me.body).toMatchObject({ project: { name: 'blue', id: blue.id }, roles: ['admin'] });
  const meant = (name: string) =>
    fetch(`${plane.url}/v1/whoami`, { headers: { authorization: `Bearer ${blue.token}`, 'sallyport-project': name } });
  expect((await meant('blue')).status).toBe(200);
  expect(((await (await meant('default')).json()) as { code: string }).code).toBe('project.mismatch');
  expect((await meant('nowhere')).status).toBe(404);
});

test('the same name stands for two things in two projects', async () => {
  for (const token of [plane.adminToken, blue.token])
    expect((await plane.call('POST', '/v1/groups', { name: 'dba' }, token)).status).toBe(201);
  const ids = await Promise.all(
    [plane.adminToken, blue.token].map(async (token) => (await get<{ id: string }>('/v1/groups/dba', token)).body.id),
  );
  expect(new Set(ids).size).toBe(2);
  expect((await get(`/v1/groups/${ids[0]}`, blue.token)).status).toBe(404);
});

test('an admin of a project is shown that project alone, and has no right to the installation', async () => {
  const seen = await get<{ items: { name: string }[] }>('/v1/projects', blue.token);
  expect(seen.body.items.map((one) => one.name)).toEqual(['blue']);
  expect((await get('/v1/projects/default', blue.token)).status).toBe(404);
  expect((await plane.call('POST', '/v1/projects', { name: 'green' }, blue.token)).status).toBe(403);
  expect((await plane.call('PATCH', '/v1/projects/default', { description: 'x' }, blue.token)).status).toBe(403);
  expect((await plane.call('POST', '/v1/keys/rotate', { purpose: 'bundle' }, blue.token)).status).toBe(403);
  const all = await get<{ items: { name: string }[] }>('/v1/projects');
  expect(all.body.items.map((one) => one.name)).toEqual(['blue', 'default']);
});

test('the role of owner is given by owners and counts in the default project alone', async () => {
  const input = { name: 'mole', kind: 'person', roles: ['owner'] };
  expect((await plane.call('POST', '/v1/principals', input, blue.token)).status).toBe(403);
  const database = plane.controlPlane.app.get(Database, { strict: false }).client;
  const mole = { name: 'mole', kind: 'person', roles: ['admin'] };
  await plane.call('POST', '/v1/principals', mole, blue.token);
  await database.principal.updateMany({ where: { name: 'mole' }, data: { roles: ['owner', 'admin'] } });
  const { body } = await plane.call<{ token: string }>('POST', '/v1/principals/mole/tokens', { name: 't' }, blue.token);
  // Its maker has less than the row says, so nothing is given.
  expect(body.token).toBeUndefined();
  await plane.call('POST', '/v1/principals', { name: 'helper', kind: 'person', roles: ['admin'] });
  const helper = await plane.call<{ token: string }>('POST', '/v1/principals/helper/tokens', { name: 't' });
  expect((await plane.call('PATCH', '/v1/principals/admin', { disabled: true }, helper.body.token)).status).toBe(403);
  expect((await plane.call('DELETE', '/v1/principals/admin', undefined, helper.body.token)).status).toBe(403);
  expect((await plane.call('PATCH', '/v1/principals/admin', { roles: ['admin'] })).body).toMatchObject({
    code: 'request.conflict',
  });
});

test('each project has its own bundle revision, which changes of another leave alone', async () => {
  const revision = async (token: string) => (await get<{ revision: number }>('/v1/bundles', token)).body.revision;
  const before = [await revision(plane.adminToken), await revision(blue.token)];
  await plane.call('POST', '/v1/groups', { name: 'only-blue' }, blue.token);
  expect([await revision(plane.adminToken), await revision(blue.token)]).toEqual([before[0], before[1]! + 1]);
});

test('each project has its own chain and tree, and its trail tells of that project alone', async () => {
  await plane.controlPlane.app.get(TrailKeeper, { strict: false }).sealNow();
  const heads = async (token: string) => {
    const { body } = await get<{ items: object[] }>('/v1/trail/heads', token);
    return parseTreeHeads(body.items.map((item) => JSON.stringify(item)).join('\n'));
  };
  expect(new Set((await heads(blue.token)).map((head) => head.controlPlaneId))).toEqual(new Set([blue.id]));
  expect((await heads(plane.adminToken)).some((head) => head.controlPlaneId === blue.id)).toBe(false);
  const events = await get<{ items: { action: string | null; target: string | null }[] }>(
    '/v1/trail/events?kind=control.act&limit=200',
    blue.token,
  );
  expect(events.body.items.map((event) => event.target)).toContain('group/only-blue');
  const others = await get<{ items: { target: string | null }[] }>('/v1/trail/events?kind=control.act&limit=200');
  expect(others.body.items.map((event) => event.target)).not.toContain('group/only-blue');
  expect(others.body.items.map((event) => event.target)).toContain('project/blue');
});

test('a disabled project answers nobody, and comes back with a fresh admin', async () => {
  const green = await addProject(plane, 'green', 'gina');
  expect((await plane.call('PATCH', '/v1/projects/default', { disabled: true })).status).toBe(409);
  expect((await plane.call('PATCH', '/v1/projects/green', { disabled: true })).body).toMatchObject({ name: 'green' });
  expect((await get('/v1/whoami', green.token)).status).toBe(401);
  expect((await plane.call('POST', '/v1/projects/green/admins', { name: 'gus' })).status).toBe(409);
  await plane.call('PATCH', '/v1/projects/green', { disabled: false });
  expect((await plane.call('POST', '/v1/projects/green/admins', { name: 'gina' })).status).toBe(409);
  const gus = await plane.call<{ token: string }>('POST', '/v1/projects/green/admins', { name: 'gus' });
  expect((await get('/v1/whoami', gus.body.token)).status).toBe(200);
});
