/** Trust rules as they travel to agents: with keys that are looked after, whom they make, and nothing that must stay here. Real database. */
import { parseTrustedIssuer } from '@sallyport/model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BundlesRepository } from '../../bundles/bundles.repository.ts';
import { Database } from '../../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';
import { addProject } from '../../testing/second-project.ts';
import { newKey, TestIssuer } from './issuer.fixture.ts';
import { PublishedKeys } from './published-keys.ts';

let plane: TestControlPlane;
let issuer: TestIssuer;
let projectId = '';
beforeAll(async () => {
  issuer = await TestIssuer.start();
  plane = await startTestControlPlane({
    SALLYPORT_ISSUER_LOOPBACK: 'on',
    SALLYPORT_PROJECT_NETWORKS: '10.20.0.0/16',
  });
  await plane.call('POST', '/v1/principals', { name: 'worker', kind: 'service' });
  const { body } = await plane.call<{ projectId: string }>('GET', '/v1/whoami');
  const found = await plane.call<{ items: { id: string; name: string }[] }>('GET', '/v1/projects');
  projectId = body.projectId ?? found.body.items.find(({ name }) => name === 'default')!.id;
  await rule('pods', {});
}, 60_000);
afterAll(async () => {
  await plane.stop();
  await issuer.stop();
});

const rule = (name: string, more: object) =>
  plane.call<{ id: string }>('POST', '/v1/trust-rules', {
    name,
    issuer: issuer.url,
    audiences: ['sallyport'],
    claims: { sub: `${name}-1` },
    principal: 'worker',
    ...more,
  });
const resource = (issuerTokens: string) => ({
  name: 'db',
  type: 'postgres',
  postgres: { host: 'db.internal' },
  issuerTokens,
});
const state = async () => {
  const snapshot = await plane.controlPlane.app.get(BundlesRepository, { strict: false }).snapshot(projectId);
  return { revision: snapshot.revision, issuers: (snapshot.issuers ?? []).map((one) => parseTrustedIssuer(one, '')) };
};
const look = () => plane.controlPlane.app.get(PublishedKeys, { strict: false }).run();
const named = async (name: string) => (await state()).issuers.find((one) => one.name === name);

test('nothing is asked of issuers and nothing travels until a resource takes their tokens', async () => {
  await plane.call('POST', '/v1/resources', resource('never'));
  const before = issuer.asked;
  await look();
  expect(issuer.asked).toBe(before);
  expect((await state()).issuers).toEqual([]);
});

test('keys are fetched once among all who ask, and travel with the principal of the rule', async () => {
  expect((await plane.call('PUT', '/v1/resources/db', resource('offline'))).status).toBe(200);
  const before = issuer.asked;
  await Promise.all([look(), look(), look()]);
  expect(issuer.asked - before).toBeLessThanOrEqual(1);
  expect(await named('pods')).toMatchObject({
    kind: 'jwt',
    issuer: issuer.url,
    claims: { sub: ['pods-1'] },
    principals: [{ subject: '', name: 'worker', kind: 'service' }],
    keys: [{ kid: 'one' }],
  });
});

test('rules of one issuer ask it once for all of them', async () => {
  await rule('second', {});
  await rule('third', {});
  const before = issuer.asked;
  await look();
  expect(issuer.asked - before).toBe(1);
  expect((await named('third'))?.keys).toHaveLength(1);
  for (const name of ['second', 'third']) await plane.call('DELETE', `/v1/trust-rules/${name}`);
});

test('a rotated key makes a revision, and the same keys make none', async () => {
  const { revision } = await state();
  plane.clock.offsetMs += 6 * 60_000;
  await look();
  expect((await state()).revision).toBe(revision);
  issuer.keys = [await newKey('two')];
  plane.clock.offsetMs += 6 * 60_000;
  await look();
  const after = await state();
  expect(after.revision).toBeGreaterThan(revision);
  expect((await named('pods'))?.keys.map(({ kid }) => kid)).toEqual(['two']);
});

test('an issuer that is away keeps its keys for a day, and then has none', async () => {
  issuer.broken = { status: 500, body: '' };
  plane.clock.offsetMs += 3_600_000;
  await look();
  expect((await named('pods'))?.keys).toHaveLength(1);
  plane.clock.offsetMs += 24 * 3_600_000;
  await look();
  expect(await named('pods')).toBeUndefined();
  issuer.broken = undefined;
  plane.clock.offsetMs += 60_000;
  await look();
  expect((await named('pods'))?.keys).toHaveLength(1);
});

test('a rule that is given another issuer does not believe the keys of the one before', async () => {
  const other = await TestIssuer.start();
  const doc = { name: 'pods', audiences: ['sallyport'], claims: { sub: 'pods-1' }, principal: 'worker' };
  expect((await plane.call('PUT', '/v1/trust-rules/pods', { ...doc, issuer: other.url })).status).toBe(200);
  expect(await named('pods')).toBeUndefined();
  await look();
  expect((await named('pods'))?.issuer).toBe(other.url);
  await plane.call('PUT', '/v1/trust-rules/pods', { ...doc, issuer: issuer.url });
  await other.stop();
});

test('rules that are off, whose tokens are good once, and of disabled principals stay here', async () => {
  await rule('off', { enabled: false });
  await rule('once', { oneTime: true });
  await plane.call('POST', '/v1/principals', { name: 'gone', kind: 'service' });
  await rule('gone', { principal: 'gone' });
  plane.clock.offsetMs += 60_000;
  await look();
  expect((await state()).issuers.map(({ name }) => name).sort()).toEqual(['gone', 'pods']);
  expect((await plane.call('PATCH', '/v1/principals/gone', { disabled: true })).status).toBe(200);
  expect((await state()).issuers.map(({ name }) => name)).toEqual(['pods']);
});

test('a template brings those who have signed in, by the values that make them', async () => {
  await rule('ci', {
    claims: { sub: 'ci-1' },
    principal: 'ci-{project}',
    create: { kind: 'service', groups: [] },
    keys: { from: 'upload', keys: { keys: issuer.keys.map(({ jwk }) => jwk) } },
  });
  expect(await named('ci')).toBeUndefined();
  const iat = Math.floor(plane.clock.nowMs() / 1000);
  const { revision } = await state();
  const { status } = await plane.oauth({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: await issuer.token({ sub: 'ci-1', project: 'acme/x', iat, exp: iat + 300 }),
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  });
  expect(status).toBe(200);
  expect((await state()).revision).toBeGreaterThan(revision);
  expect((await named('ci'))?.principals).toEqual([
    { subject: '["acme/x"]', id: expect.any(String), name: 'ci-acme-x', kind: 'service' },
  ]);
});

test('an admin of a project leads nobody to the control plane’s host or a network that was not named, nor by a rule that stood before, nor behind one of ours', async () => {
  const blue = await addProject(plane, 'blue');
  await plane.call('POST', '/v1/principals', { name: 'worker', kind: 'service' }, blue.token);
  await plane.call('POST', '/v1/resources', resource('offline'), blue.token);
  const give = (name: string, more: object) =>
    plane.call<{ id: string; errors?: { field: string }[] }>(
      'POST',
      '/v1/trust-rules',
      { name, audiences: ['sallyport'], claims: { sub: 'blue-1' }, principal: 'worker', ...more },
      blue.token,
    );
  for (const url of [issuer.url, 'https://127.0.0.1/x', 'https://[::ffff:10.21.0.5]/x', 'https://10.21.0.5/x']) {
    expect((await give('bad', { issuer: url })).body.errors?.[0]?.field, url).toBe('issuer');
    const byUrl = await give('bad', { issuer: 'https://idp.example', keys: { from: 'url', url } });
    expect(byUrl.body.errors?.[0]?.field, url).toBe('keys.url');
  }
  expect((await give('named', { issuer: 'https://10.20.0.5' })).status).toBe(201);
  await plane.call('DELETE', '/v1/trust-rules/named', undefined, blue.token);

  const { id } = (await give('old', { issuer: 'https://idp.example' })).body;
  const { client } = plane.controlPlane.app.get(Database, { strict: false });
  await client.trustRule.update({ where: { id }, data: { issuer: issuer.url } });
  await rule('ours', { claims: { sub: 'ours-1' } });
  const before = issuer.asked;
  await look();
  expect(issuer.asked - before).toBe(1);
  expect((await named('ours'))?.keys).toHaveLength(1);
  expect((await client.issuerKeySet.findUnique({ where: { ruleId: id } }))?.fetchedAt).toBeNull();
  const token = await issuer.token({ sub: 'blue-1', aud: 'sallyport' });
  const { body } = await plane.call<{ rules: { rule: string; principal: string | null }[] }>(
    'POST',
    '/v1/trust-rules/preview',
    { token },
    blue.token,
  );
  expect(body.rules).toMatchObject([{ rule: 'old', principal: null }]);
  expect(issuer.asked - before).toBe(1);
});
