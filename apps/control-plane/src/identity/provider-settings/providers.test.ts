/** Identity providers as settings: made, shown without secrets, tried out, previewed, removed. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';

let plane: TestControlPlane;
let issuer: string;
beforeAll(async () => {
  plane = await startTestControlPlane({ SALLYPORT_DEMO_IDP: 'on' });
  issuer = (JSON.parse(readFileSync(path.join(plane.dir, 'data/ready.json'), 'utf8')) as { demoIdp: string }).demoIdp;
  await plane.call('POST', '/v1/groups', { name: 'dba' });
  await plane.call('POST', '/v1/groups', { name: 'engineers' });
}, 60_000);
afterAll(async () => await plane.stop());

const okta = () => ({
  name: 'okta',
  kind: 'oidc',
  config: { issuer, clientId: 'sallyport' },
  secrets: { clientSecret: 'canary-client-secret' },
  mapping: { rules: [{ match: 'eng-*', group: 'engineers' }] },
});

test('a provider is added, and its secret is in no answer, no act and no row', async () => {
  const made = await plane.call<{ id: string; hasSecrets: boolean; callback: string }>(
    'POST',
    '/v1/identity-providers',
    okta(),
  );
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({ hasSecrets: true, callback: `${plane.url}/v1/login/callback/okta` });
  const shown = await plane.call('GET', '/v1/identity-providers/okta');
  const listed = await plane.call<{ items: { name: string; from: string }[] }>('GET', '/v1/identity-providers');
  expect(listed.body.items.map((one) => [one.name, one.from])).toEqual([
    ['demo', 'environment'],
    ['okta', 'database'],
  ]);
  expect(JSON.stringify([made.body, shown.body, listed.body, plane.log])).not.toContain('canary-client-secret');
});

test.each([
  ['no issuer', { config: { clientId: 'x' } }, 'config.issuer'],
  ['an unknown setting', { config: { issuer: 'https://a.example', clientId: 'x', more: 1 } }, 'config.more'],
  [
    'a symmetric algorithm',
    { config: { issuer: 'https://a.example', clientId: 'x', algorithms: ['HS256'] } },
    'config.algorithms.0',
  ],
  [
    'a parameter that is ours',
    { config: { issuer: 'https://a.example', clientId: 'x', authorizationParameters: { state: 'x' } } },
    'config.authorizationParameters.state',
  ],
  ['no secret where one is needed', { secrets: undefined }, 'clientSecret'],
  ['a secret nobody knows', { secrets: { password: 'x' } }, 'secrets.password'],
  ['a group that cannot be', { mapping: { rules: [{ match: 'x', group: '\n' }] } }, 'mapping.rules.0.group'],
])('%s is refused by field', async (_what, change, field) => {
  const answer = await plane.call<{ code: string; errors: { field: string }[] }>('POST', '/v1/identity-providers', {
    ...okta(),
    name: 'wrong',
    ...change,
  });
  expect(answer.status).toBe(400);
  expect(answer.body.errors.map((one) => one.field)).toContain(field);
});

test.each(['okta', 'demo', 'local'])('the name %s is taken', async (name) => {
  expect((await plane.call('POST', '/v1/identity-providers', { ...okta(), name })).status).toBe(409);
});

test('a preview says what claims would give and why, and changes nothing', async () => {
  const preview = await plane.call('POST', '/v1/identity-providers/okta/preview', {
    claims: { sub: '00u1', preferred_username: 'ana', email: 'ana@x.example', groups: ['eng-db', 'dba', 'sales'] },
  });
  expect(preview.body).toEqual({
    subject: '00u1',
    username: 'ana',
    displayName: '',
    email: 'ana@x.example',
    principal: null,
    given: ['eng-db', 'dba', 'sales'],
    groups: ['dba', 'engineers'],
    why: [
      { given: 'eng-db', group: 'engineers', why: 'rule 1 (eng-*)' },
      { given: 'dba', group: 'dba', why: 'same name' },
      { given: 'sales', group: null, why: 'same name, but there is no group sales here' },
    ],
    problems: [],
  });
  expect((await plane.call('GET', '/v1/principals/ana')).status).toBe(404);
});

test('a preview can try a mapping that is not saved', async () => {
  const preview = await plane.call<{ groups: string[] }>('POST', '/v1/identity-providers/okta/preview', {
    claims: { sub: '1', roles: 'a;b' },
    mapping: { groupsClaim: 'roles', separator: ';', rules: [{ match: '*', group: 'dba' }] },
  });
  expect(preview.body.groups).toEqual(['dba']);
});

test('a preview of a forged token says so', async () => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = `${part({ alg: 'none' })}.${part({ sub: '1', groups: ['dba'] })}.`;
  const preview = await plane.call<{ problems: string[]; groups: string[] }>(
    'POST',
    '/v1/identity-providers/okta/preview',
    { token },
  );
  expect(preview.body.groups).toEqual(['dba']);
  expect(preview.body.problems).toHaveLength(1);
});

test('Entra’s link in place of groups has its own error in a preview', async () => {
  const preview = await plane.call('POST', '/v1/identity-providers/okta/preview', {
    claims: { sub: '1', _claim_names: { groups: 'src1' } },
  });
  expect(preview.body).toMatchObject({ status: 403, code: 'auth.groups_overage' });
});

test('a test finds metadata, keys and clock in order', async () => {
  const { body } = await plane.call<{ ok: boolean; checks: { check: string; ok: boolean }[] }>(
    'POST',
    '/v1/identity-providers/okta/test',
  );
  expect(body.checks.filter((one) => !one.ok)).toEqual([]);
  expect(body.ok).toBe(true);
});

test('a test of a provider that is not there says discovery failed, and names nothing of our network', async () => {
  await plane.call('PATCH', '/v1/identity-providers/okta', {
    config: { issuer: 'http://127.0.0.1:1', clientId: 'sallyport' },
  });
  const { body } = await plane.call<{ ok: boolean; checks: { check: string; ok: boolean }[] }>(
    'POST',
    '/v1/identity-providers/okta/test',
  );
  expect(body).toMatchObject({ ok: false, checks: [{ check: 'discovery', ok: false }] });
  expect(JSON.stringify(body)).not.toMatch(/ECONNREFUSED/);
});

test('who may only read sees no preview and changes nothing', async () => {
  await plane.call('POST', '/v1/principals', { name: 'aud', kind: 'person', roles: ['auditor'] });
  const { body } = await plane.call<{ token: string }>('POST', '/v1/principals/aud/tokens', { name: 't' });
  expect((await plane.call('GET', '/v1/identity-providers/okta', undefined, body.token)).status).toBe(200);
  expect((await plane.call('POST', '/v1/identity-providers/okta/preview', { claims: {} }, body.token)).status).toBe(
    403,
  );
  expect((await plane.call('PATCH', '/v1/identity-providers/okta', {}, body.token)).status).toBe(403);
});

const apply = (text: string, dryRun = false) =>
  plane.call<{ changes: { kind: string; action: string; diff: string[] }[] }>('POST', '/v1/apply', {
    documents: [{ file: 'okta.yaml', text }],
    dryRun,
  });
const DOCUMENT = `kind: IdentityProvider
name: okta
config: { issuer: 'https://corp.okta.example', clientId: sallyport }
mapping: { prefix: sp- }
`;

test('a document changes a provider and leaves its secret; applied again it changes nothing', async () => {
  const first = await apply(DOCUMENT);
  expect(first.body.changes[0]).toMatchObject({ kind: 'IdentityProvider', action: 'update' });
  expect((await apply(DOCUMENT)).body.changes[0]).toMatchObject({ action: 'none', diff: [] });
  const shown = await plane.call('GET', '/v1/identity-providers/okta');
  expect(shown.body).toMatchObject({ hasSecrets: true, mapping: { prefix: 'sp-' } });
});

test('a document for a public client makes one; a wrong one is refused with its line', async () => {
  const made = await apply(
    DOCUMENT.replace('name: okta', 'name: pub').replace('clientId:', 'clientAuth: none, clientId:'),
  );
  expect(made.body.changes[0]).toMatchObject({ action: 'create' });
  const wrong = await plane.call<{ errors: { line: number; field: string }[] }>('POST', '/v1/apply', {
    documents: [{ file: 'x.yaml', text: `${DOCUMENT}secrets: { clientSecret: x }\n` }],
  });
  expect(wrong.status).toBe(422);
  expect(wrong.body.errors[0]).toMatchObject({ field: 'secrets' });
});

test('removed, it is gone', async () => {
  expect((await plane.call('DELETE', '/v1/identity-providers/okta')).status).toBe(204);
  expect((await plane.call('GET', '/v1/identity-providers/okta')).status).toBe(404);
});
