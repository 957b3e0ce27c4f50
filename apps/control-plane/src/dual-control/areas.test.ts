/** Each area of dual control, by every kind of thing in it: proposed, made exactly so once another person agrees, stale after a change between. */
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WATCHED } from '../acts/watched.ts';
import { Database } from '../db/database.ts';
import { makeKey } from '../identity/saml/saml-keys.ts';
import { idpMetadataXml } from '../identity/saml/test-idp.fixture.ts';
import { Envelope } from '../keys/envelope.ts';
import { type Answer, startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { AREAS, type Area, TOUCHES } from './areas.ts';

type Body = Record<string, unknown> & { id: string; code?: string; state?: string; areas?: readonly string[] };
let plane: TestControlPlane;
const tokens: Record<string, string> = {};
const call = (who: string, method: string, path: string, body?: unknown): Promise<Answer<Body>> =>
  plane.call<Body>(method, path, body, tokens[who]);
const client = () => plane.controlPlane.app.get(Database, { strict: false }).client;

async function addAdmin(name: string): Promise<void> {
  const { body } = await plane.call<Body>('POST', '/v1/principals', {
    name,
    kind: 'person',
    roles: ['owner', 'admin'],
  });
  const made = await plane.call<{ token: string }>('POST', `/v1/principals/${name}/tokens`, { name: 't' });
  tokens[name] = made.body.token;
  await client().apiToken.updateMany({ where: { principalId: body.id }, data: { lineage: [] } });
}
let metadata: (locations: string) => Promise<string>;
beforeAll(async () => {
  plane = await startTestControlPlane();
  const { certificate } = await makeKey('idp', new Date());
  metadata = async (at) => idpMetadataXml('https://idp.example/', `https://idp.example/${at}`, [certificate]);
  await addAdmin('ann');
  await addAdmin('bob');
  await plane.call('POST', '/v1/principals', { name: 'carl', kind: 'person', roles: ['member'] });
  await plane.call('POST', '/v1/principals', { name: 'ci', kind: 'service', roles: ['member'] });
  await plane.call('POST', '/v1/principals', { name: 'directory', kind: 'service', roles: ['provisioner'] });
  await plane.call('POST', '/v1/identity-providers', SAML('before', await metadata('sso')));
  // The key pair of a SAML provider makes itself when it is first needed.
  await fetch(`${plane.url}/v1/saml/before/metadata`);
  // Of ann's, made by bob while he needed nobody for it.
  const forged = await call('bob', 'POST', '/v1/principals/ann/tokens', { name: 'x' });
  tokens['ann-by-bob'] = String(forged.body['token']);
  expect((await call('ann', 'PUT', '/v1/dual-control', { areas: [...AREAS] })).status).toBe(200);
}, 60_000);
afterAll(async () => await plane.stop());

const SAML = (name: string, xml: string) => ({
  name,
  kind: 'saml',
  config: { entityId: 'https://idp.example/', metadata: xml },
});
const RULE = {
  name: 'cluster',
  issuer: 'https://cluster.example',
  audiences: ['sallyport'],
  claims: { sub: 'system:serviceaccount:prod:ci' },
  principal: 'ci',
};
const jwk = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
const POLICY = (verdict: string) => ({
  source: `kind: Policy\nname: p\nrules:\n  - name: no-ddl\n    when: sql.effects.exists(e, e == "ddl")\n    verdict: ${verdict}\n`,
});
/** Proposes, and sees that nothing was done. */
async function proposed(area: string, method: string, path: string, body?: unknown): Promise<string> {
  const before = await client().controlAct.count();
  const answer = await call('ann', method, path, body);
  expect([path, answer.status, answer.body.areas]).toEqual([path, 202, [area]]);
  // The act of proposing alone.
  expect(await client().controlAct.count()).toBe(before + 1);
  return answer.body.id;
}
const approve = (id: string) => call('bob', 'POST', `/v1/change-proposals/${id}/approve`, { reason: 'seen' });
async function made(area: string, method: string, path: string, body?: unknown): Promise<string> {
  const id = await proposed(area, method, path, body);
  const answer = await approve(id);
  expect([path, answer.status, answer.body.state]).toEqual([path, 200, 'executed']);
  return id;
}

test('what is under dual control is watched: a change that is not seen would need nobody', () => {
  for (const area of AREAS) {
    const tables = Object.keys(TOUCHES[area as Area]);
    expect(tables.length).toBeGreaterThan(0);
    expect(tables.filter((table) => WATCHED[table] === undefined)).toEqual([]);
  }
});

test('a SAML provider is made, changed and deleted by two, as it was proposed', async () => {
  const ip = 'identity-provider';
  await made(ip, 'POST', '/v1/identity-providers', SAML('corp', await metadata('sso')));
  const row = await client().identityProvider.findFirstOrThrow({ where: { name: 'corp' } });
  expect(row).toMatchObject({ kind: 'saml', config: { entityId: 'https://idp.example/' } });
  const act = await client().controlAct.findFirstOrThrow({ where: { target: 'identity-provider/corp' } });
  expect(act).toMatchObject({ principalName: 'ann', detail: { agreedBy: { name: 'bob' } } });

  const other = { config: { entityId: 'https://idp.example/', metadata: await metadata('elsewhere') } };
  const late = await proposed(ip, 'PATCH', '/v1/identity-providers/corp', other);
  await made(ip, 'PATCH', '/v1/identity-providers/corp', { mapping: { rules: [{ match: 'db-*', group: 'dba' }] } });
  const stale = await approve(late);
  expect([stale.status, stale.body.code]).toEqual([409, 'proposal.stale']);
  const after = await client().identityProvider.findFirstOrThrow({ where: { name: 'corp' } });
  expect(JSON.stringify(after.config)).toContain('https://idp.example/sso');
  expect(JSON.stringify(after.mapping)).toContain('db-*');

  await made(ip, 'DELETE', '/v1/identity-providers/corp');
  expect(await client().identityProvider.count({ where: { name: 'corp' } })).toBe(0);
});

test('our key towards a SAML provider is rolled over by two; trying the provider out needs one', async () => {
  expect((await call('ann', 'POST', '/v1/identity-providers/before/test')).status).toBe(200);
  const keys = () => client().samlKey.count({ where: { provider: { name: 'before' } } });
  expect(await keys()).toBe(1);
  await made('identity-provider', 'POST', '/v1/identity-providers/before/saml-keys', { signsAfterSeconds: 3_600 });
  expect(await keys()).toBe(2);
});

test('trust rules, keys of machines and tokens of directories are made by two', async () => {
  const ip = 'identity-provider';
  await made(ip, 'POST', '/v1/trust-rules', RULE);
  const stale = await proposed(ip, 'PUT', '/v1/trust-rules/cluster', { ...RULE, audiences: ['one'] });
  await made(ip, 'PUT', '/v1/trust-rules/cluster', { ...RULE, audiences: ['two'] });
  expect((await approve(stale)).body.code).toBe('proposal.stale');
  expect((await call('ann', 'GET', '/v1/trust-rules/cluster')).body['audiences']).toEqual(['two']);
  await made(ip, 'DELETE', '/v1/trust-rules/cluster');
  await made(ip, 'POST', '/v1/principals/ci/keys', { jwk: jwk() });
  expect(await client().clientKey.count()).toBe(1);
  const scim = { name: 'okta', scopes: ['scim:write'], scim: { provider: 'before' } };
  await made(ip, 'POST', '/v1/principals/directory/tokens', scim);
  expect(await client().scimClient.count()).toBe(1);
});

test('secrets of machines and tokens for another are made by two; one’s own token, and taking one away, need nobody', async () => {
  const ip = 'identity-provider';
  await made(ip, 'POST', '/v1/principals/ci/secrets', {});
  expect(await client().clientSecret.count()).toBe(1);
  const id = await proposed(ip, 'POST', '/v1/principals/ci/tokens', { name: 'for-ci' });
  expect((await approve(id)).body.state).toBe('executed');
  const taken = await call('ann', 'POST', `/v1/change-proposals/${id}/answer`);
  const token = taken.body['body'] as { id: string; token: string };
  expect((await plane.call<Body>('GET', '/v1/whoami', undefined, token.token)).body['name'] ?? 'ci').toBe('ci');
  const own = await call('ann', 'POST', '/v1/principals/ann/tokens', { name: 'mine' });
  expect(own.status).toBe(201);
  // By a token in which bob had a hand it is bob's as well.
  const bobs = await call('ann-by-bob', 'POST', '/v1/principals/ann/tokens', { name: 'not-mine' });
  expect([bobs.status, bobs.body.areas]).toEqual([202, [ip]]);
  await call('ann', 'POST', `/v1/change-proposals/${bobs.body.id}/withdraw`);
  expect((await call('ann', 'DELETE', `/v1/tokens/${token.id}`)).status).toBe(204);
});

test('a link to an account needs two, and only its proposer gets it: not who agreed, by no token of theirs, and once', async () => {
  const before = await client().bootstrapLink.count();
  const id = await proposed('identity-provider', 'POST', '/v1/accounts/carl/links', {});
  expect(await client().bootstrapLink.count()).toBe(before);
  const agreed = await approve(id);
  expect(agreed.body).toMatchObject({ state: 'executed', hasAnswer: true });
  expect(JSON.stringify(agreed.body)).not.toContain('/login/link#');
  expect(await client().bootstrapLink.count()).toBe(before + 1);
  const take = (who: string) => call(who, 'POST', `/v1/change-proposals/${id}/answer`);
  expect((await take('bob')).body.code).toBe('proposal.not_yours');
  expect((await take('ann-by-bob')).body.code).toBe('proposal.not_yours');
  const sealed = await client().$queryRaw<
    { text: string }[]
  >`select change_proposals::text as text from change_proposals`;
  expect(sealed.map((row) => row.text).join()).not.toContain(Buffer.from('/login/link').toString('hex'));
  const taken = await take('ann');
  expect(taken.body).toMatchObject({ status: 201 });
  const link = (taken.body['body'] as { link: string }).link;
  expect(link).toContain('/login/link#');
  const begun = await plane.call('POST', '/v1/login/link/begin', { token: link.split('#')[1] });
  expect([200, 201]).toContain(begun.status);
  expect((await take('ann')).status).toBe(404);
  expect(
    await client().controlAct.count({ where: { action: 'change.answer_taken', target: `change-proposal/${id}` } }),
  ).toBe(1);
});

test('that an account is no longer one for emergencies, whose use is an alarm, needs two; that it is one needs one', async () => {
  const row = await client().principal.findFirstOrThrow({ where: { name: 'carl' } });
  await client().localAccount.create({
    data: { id: row.id, projectId: row.projectId, principalId: row.id },
  });
  expect((await call('ann', 'PATCH', '/v1/accounts/carl', { breakGlass: true })).status).toBe(200);
  await made('identity-provider', 'PATCH', '/v1/accounts/carl', { breakGlass: false });
});

test('policies and access policies: proposed, stale after a change between, made as proposed', async () => {
  await made('policy', 'POST', '/v1/policies', POLICY('deny'));
  const late = await proposed('policy', 'DELETE', '/v1/policies/p');
  await made('policy', 'PUT', '/v1/policies/p', POLICY('allow'));
  expect((await approve(late)).body.code).toBe('proposal.stale');
  expect(String((await call('ann', 'GET', '/v1/policies/p')).body['source'])).toContain('verdict: allow');
  const access = {
    name: 'ap',
    requesters: { groups: ['dba'] },
    resources: { labels: { env: 'test' } },
    effects: ['read'],
    durationMax: '1h',
    approve: { groups: ['dba'] },
  };
  await call('ann', 'POST', '/v1/groups', { name: 'dba' });
  await made('policy', 'POST', '/v1/access-policies', access);
  expect((await call('ann', 'GET', '/v1/access-policies/ap')).body['durationMax']).toBeDefined();
});

test('a signing key and the master key are changed by two, and the master key once the change stands', async () => {
  const [ring] = [plane.controlPlane.app.get(Envelope, { strict: false }).ring];
  const first = ring.current.id;
  const late = await proposed('master-key', 'POST', '/v1/keys/master/rotate');
  expect(ring.current.id).toBe(first);
  await made('master-key', 'POST', '/v1/keys/master/rotate');
  const second = ring.current.id;
  expect(second).not.toBe(first);
  const { keyId } = await client().masterKey.findUniqueOrThrow({ where: { id: 1 } });
  expect(keyId).toBe(second);
  for (const { sealed } of await client().signingKey.findMany())
    if (sealed !== null) expect(Buffer.from(sealed).subarray(1, 9).toString('hex')).toBe(second);
  // What was proposed of another state is refused, and nothing of it stays: neither in the database nor in memory.
  expect((await approve(late)).body.code).toBe('proposal.stale');
  expect(ring.current.id).toBe(second);
  await made('master-key', 'POST', '/v1/keys/rotate', { purpose: 'approval' });
}, 60_000);

test('how long sessions are kept is changed by two', async () => {
  await made('retention', 'PUT', '/v1/retention', { sessionsDays: 400, eventsDays: null });
  expect((await call('ann', 'GET', '/v1/retention')).body).toMatchObject({ sessionsDays: 400, eventsDays: null });
});

test('that a proposal ended by its time is an act, and its body is forgotten', async () => {
  const id = await proposed('policy', 'DELETE', '/v1/policies/p');
  plane.clock.offsetMs += 8 * 86_400_000;
  try {
    await expect
      .poll(async () => (await client().changeProposal.findUniqueOrThrow({ where: { id } })).state, { timeout: 20_000 })
      .toBe('expired');
    const row = await client().changeProposal.findUniqueOrThrow({ where: { id } });
    expect(row.sealed.length).toBe(0);
    const acts = await client().controlAct.findMany({ where: { action: 'change.expired' } });
    expect(acts.filter((act) => act.target === `change-proposal/${id}`)).toHaveLength(1);
    expect(acts[0]).toMatchObject({ principalName: null, detail: { call: 'DELETE /v1/policies/p', proposer: 'ann' } });
    const listed = await call('bob', 'GET', '/v1/change-proposals?state=expired');
    expect(JSON.stringify(listed.body)).toContain(id);
    expect((await approve(id)).body.code).toBe('approval.expired');
  } finally {
    plane.clock.offsetMs -= 8 * 86_400_000;
  }
});
