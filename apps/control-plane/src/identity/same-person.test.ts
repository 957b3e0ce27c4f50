/** Who counts as one person: by what a provider has verified, or an administrator has said, and by nothing that anybody may write. Real database. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { addProject, type SecondProject } from '../testing/second-project.ts';
import { isSamePerson } from './same-person.ts';

let plane: TestControlPlane;
const ids: Record<string, string> = {};
beforeAll(async () => {
  plane = await startTestControlPlane();
  for (const name of ['ana', 'ana-too', 'ana-three', 'ben', 'eve']) {
    const { body } = await plane.call<{ id: string }>('POST', '/v1/principals', { name, kind: 'person' });
    ids[name] = body.id;
  }
  await plane.call('POST', '/v1/principals', { name: 'bot', kind: 'ai_agent' });
}, 60_000);
afterAll(async () => await plane.stop());

const database = () => plane.controlPlane.app.get(Database, { strict: false });
const same = async (a: string, b: string) => await database().transaction((tx) => isSamePerson(tx, ids[a]!, ids[b]!));
const patch = (name: string, body: object) =>
  plane.call<{ sameAs?: string[] }>('PATCH', `/v1/principals/${name}`, body);
const identity = async (name: string, provider: string, verifiedEmail: string | null) => {
  const { projectId } = await database().client.principal.findUniqueOrThrow({ where: { id: ids[name]! } });
  const id = crypto.randomUUID();
  await database().client.identity.create({
    data: { id, projectId, principalId: ids[name]!, provider, subject: `${provider}-${name}`, verifiedEmail },
  });
  return id;
};

test('an address that nobody verified makes nobody the same: with it one could take an approver’s voice away', async () => {
  await patch('ben', { email: 'ben@corp.example' });
  await patch('eve', { email: 'Ben@corp.example' });
  await identity('eve', 'lax', null);
  expect(await same('eve', 'ben')).toBe(false);
});

test('the same address that providers have verified for two accounts makes them one', async () => {
  const first = await identity('ben', 'corp', 'ben@corp.example');
  const second = await identity('eve', 'okta', 'ben@corp.example');
  expect(await same('eve', 'ben')).toBe(true);
  await database().client.identity.deleteMany({ where: { id: { in: [first, second] } } });
  expect(await same('eve', 'ben')).toBe(false);
});

test('an administrator joins accounts, transitively, and takes one out again', async () => {
  expect((await patch('ana-too', { sameAs: 'ana' })).body.sameAs).toEqual(['ana']);
  expect((await patch('ana-three', { sameAs: 'ana-too' })).body.sameAs).toEqual(['ana', 'ana-too']);
  expect(await same('ana', 'ana-three')).toBe(true);
  expect(await same('ana', 'ben')).toBe(false);
  // One account goes; the others stay one person.
  await plane.call('DELETE', '/v1/principals/ana-too');
  expect(await same('ana', 'ana-three')).toBe(true);
  expect((await patch('ana-three', { sameAs: null })).body.sameAs).toEqual([]);
  expect(await same('ana', 'ana-three')).toBe(false);
});

test('two groups of accounts that are joined become one', async () => {
  await patch('ana', { sameAs: 'ana-three' });
  await patch('ben', { sameAs: 'eve' });
  await patch('eve', { sameAs: 'ana' });
  expect(await same('ben', 'ana-three')).toBe(true);
});

test.each([['ana'], ['bot'], ['nobody']])(
  'the account itself, a machine, and nobody are no other account: %s',
  async (sameAs) => {
    expect([400, 404]).toContain((await patch('ana', { sameAs })).status);
  },
);

describe('what another project says', () => {
  const here = ['gus', 'hal'];
  let blue: SecondProject;
  beforeAll(async () => {
    blue = await addProject(plane, 'blue');
    for (const name of [...here, 'blue-gus', 'blue-hal']) {
      const token = name.startsWith('blue') ? blue.token : undefined;
      const { body } = await plane.call<{ id: string }>('POST', '/v1/principals', { name, kind: 'person' }, token);
      ids[name] = body.id;
    }
  });
  const provider = (name: string, token?: string) =>
    plane.call(
      'POST',
      '/v1/identity-providers',
      { name, kind: 'oidc', config: { issuer: `https://${name}.example`, clientId: 'x', clientAuth: 'none' } },
      token,
    );
  const known = async (name: string, at: string, subject: string) => {
    const { projectId } = await database().client.principal.findUniqueOrThrow({ where: { id: ids[name]! } });
    const data = { id: crypto.randomUUID(), projectId, principalId: ids[name]!, provider: at, subject };
    await database().client.identity.create({ data });
  };
  const join = () => plane.call('PATCH', '/v1/principals/blue-gus', { sameAs: 'blue-hal' }, blue.token);

  test('a provider of another project that has the name of ours knows nobody of ours', async () => {
    expect((await provider('corp-sso')).status).toBe(201);
    expect((await provider('corp-sso', blue.token)).status).toBe(201);
    for (const name of here) await known(name, 'corp-sso', name);
    for (const name of here) await known('blue-gus', 'corp-sso', name);
    expect(await same('gus', 'hal')).toBe(false);
    expect(await same('gus', 'blue-gus')).toBe(false);
  });

  test('accounts that another project’s administrator joined are two persons here, and one person there', async () => {
    for (const name of here) await known(name, 'shared-sso', name);
    await known('blue-gus', 'shared-sso', 'gus');
    await known('blue-hal', 'shared-sso', 'hal');
    expect((await join()).status).toBe(200);
    expect(await same('gus', 'hal')).toBe(false);
    expect(await same('gus', 'blue-gus')).toBe(true);
    expect(await same('blue-gus', 'hal')).toBe(true);
  });
});

test('the link is an act on the record', async () => {
  const act = await database().client.controlAct.findFirst({
    where: { action: 'principal.updated', target: 'principal/ana-three' },
    orderBy: { id: 'asc' },
  });
  expect(act?.detail).toMatchObject({ sameAs: 'ana-too' });
});
