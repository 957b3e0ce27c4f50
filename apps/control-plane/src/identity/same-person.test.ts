/** Who counts as one person: by what a provider has verified, or an administrator has said, and by nothing that anybody may write. Real database. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
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

test('the link is an act on the record', async () => {
  const act = await database().client.controlAct.findFirst({
    where: { action: 'principal.updated', target: 'principal/ana-three' },
    orderBy: { id: 'asc' },
  });
  expect(act?.detail).toMatchObject({ sameAs: 'ana-too' });
});
