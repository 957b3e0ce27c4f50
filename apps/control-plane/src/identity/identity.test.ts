/** Principals, tokens, client credentials and token exchange over HTTP on a real database. */
import { LIMITS } from '@sallyport/core';
import { type AccessTokenClaims, parseAccessTokenClaims } from '@sallyport/model';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Database } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { addProject } from '../testing/second-project.ts';
import { IdentityRepository } from './identity.repository.ts';

let plane: TestControlPlane;
beforeAll(async () => {
  plane = await startTestControlPlane();
  await plane.call('POST', '/v1/groups', { name: 'bots' });
  await plane.call('POST', '/v1/resources', {
    name: 'payments-db',
    type: 'postgres',
    labels: { env: 'prod' },
    postgres: { host: 'db.internal' },
  });
  await plane.call('POST', '/v1/grants', {
    name: 'bots',
    group: 'bots',
    labels: { env: 'prod' },
    effects: ['read', 'write'],
    roles: ['app'],
  });
}, 60_000);
afterAll(async () => await plane.stop());

const database = () => plane.controlPlane.app.get(Database, { strict: false }).client;
let serial = 0;
async function newPrincipal(kind: string, more: object = {}): Promise<{ name: string; id: string; token: string }> {
  const name = `p${serial++}`;
  const made = await plane.call<{ id: string }>('POST', '/v1/principals', { name, kind, ...more });
  const { body } = await plane.call<{ token: string }>('POST', `/v1/principals/${name}/tokens`, { name: 'test' });
  return { name, id: made.body.id, token: body.token };
}
const ACCESS = 'urn:ietf:params:oauth:token-type:access_token';
const exchange = (subject: string, more: Record<string, string> = {}) =>
  plane.oauth<{ access_token: string; error?: string; code?: string; issued_token_type: string; expires_in: number }>({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: subject,
    subject_token_type: ACCESS,
    resource: 'payments-db',
    ...more,
  });
async function claimsOf(token: string): Promise<AccessTokenClaims> {
  const keys = (await plane.call<JSONWebKeySet>('GET', '/v1/keys', undefined, '')).body;
  const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(keys), {
    typ: 'at+jwt',
    algorithms: ['ES256'],
  });
  expect(protectedHeader.kid).toBeDefined();
  return parseAccessTokenClaims(payload, '');
}

test('a token is shown once, kept as a digest alone, and works until it is deleted', async () => {
  const { name, token } = await newPrincipal('service');
  expect(token).toMatch(/^sp_[A-Za-z0-9_-]{43}$/);
  const rows = await database().apiToken.findMany();
  expect(JSON.stringify(rows.map((row) => Buffer.from(row.hash).toString('latin1')))).not.toContain(token);
  const who = await plane.call<{ token: { id: string } }>('GET', '/v1/whoami', undefined, token);
  expect(who.status).toBe(200);
  const list = await plane.call<{ items: object[] }>('GET', `/v1/principals/${name}/tokens`);
  expect(JSON.stringify(list.body)).not.toContain(token);
  expect((await plane.call('DELETE', `/v1/tokens/${who.body.token.id}`, undefined, token)).status).toBe(204);
  expect((await plane.call('GET', '/v1/whoami', undefined, token)).status).toBe(401);
});

test('an expired token and a disabled principal’s read like a wrong one', async () => {
  const { name, token } = await newPrincipal('service');
  const { name: other, token: expired } = await newPrincipal('service');
  await plane.call('PATCH', `/v1/principals/${name}`, { disabled: true });
  await database().apiToken.updateMany({ where: { principal: { name: other } }, data: { expiresAt: new Date(1) } });
  const wrong = `sp_${'A'.repeat(43)}`;
  const answers = await Promise.all(
    [token, expired, wrong].map((one) => plane.call('GET', '/v1/whoami', undefined, one)),
  );
  for (const { body } of answers) expect({ ...body, requestId: '' }).toEqual({ ...answers[2]!.body, requestId: '' });
});

test('a scope narrows a token, and a narrow token makes no wider one', async () => {
  const { name } = await newPrincipal('service', { roles: ['member', 'auditor'] });
  const { body } = await plane.call<{ token: string }>('POST', `/v1/principals/${name}/tokens`, {
    name: 'narrow',
    scopes: ['token:own', 'grant:read'],
  });
  expect((await plane.call('GET', '/v1/grants', undefined, body.token)).status).toBe(200);
  expect((await plane.call('GET', '/v1/policies', undefined, body.token)).status).toBe(403);
  const wider = await plane.call(
    'POST',
    `/v1/principals/${name}/tokens`,
    { name: 'wider', scopes: ['policy:read'] },
    body.token,
  );
  expect(wider.status).toBe(403);
  const same = await plane.call<{ token: string }>(
    'POST',
    `/v1/principals/${name}/tokens`,
    { name: 'same' },
    body.token,
  );
  expect((await plane.call('GET', '/v1/policies', undefined, same.body.token)).status).toBe(403);
});

test('a token that may make principals makes none with more rights than its own', async () => {
  const { body } = await plane.call<{ token: string }>('POST', '/v1/principals/admin/tokens', {
    name: 'hr',
    scopes: ['principal:create', 'principal:update', 'token:create'],
  });
  expect(
    (await plane.call('POST', '/v1/principals', { name: 'mole', kind: 'person', roles: ['admin'] }, body.token)).status,
  ).toBe(403);
  expect(
    (await plane.call('POST', '/v1/principals/admin/tokens', { name: 'full', scopes: ['grant:create'] }, body.token))
      .status,
  ).toBe(403);
  const same = await plane.call<{ token: string }>('POST', '/v1/principals/admin/tokens', { name: 'same' }, body.token);
  expect((await plane.call('GET', '/v1/grants', undefined, same.body.token)).status).toBe(403);
});

test('a token for somebody else names no scope that its maker lacks, even where it would give nothing today', async () => {
  const { body } = await plane.call<{ token: string }>('POST', '/v1/principals/admin/tokens', {
    name: 'hr',
    scopes: ['token:create', 'grant:read'],
  });
  const { name } = await newPrincipal('service');
  const make = (scopes: readonly string[]) =>
    plane.call('POST', `/v1/principals/${name}/tokens`, { name: 'later', scopes }, body.token);
  expect(await make(['policy:create'])).toMatchObject({ status: 403, body: { code: 'auth.forbidden' } });
  expect((await make(['grant:read'])).status).toBe(201);
});

test('half a character in a text is refused with its field', async () => {
  const made = await plane.call('POST', '/v1/principals', { name: 'half', kind: 'person', displayName: 'x\ud800' });
  expect(made).toMatchObject({ status: 400, body: { errors: [{ field: 'displayName' }] } });
});

test('the last administrator stays', async () => {
  expect((await plane.call('DELETE', '/v1/principals/admin')).body).toMatchObject({ code: 'request.conflict' });
  expect((await plane.call('PATCH', '/v1/principals/admin', { disabled: true })).status).toBe(409);
  expect((await plane.call('GET', '/v1/whoami')).status).toBe(200);
});

test('of the last two administrators who demote each other at once one stays', async () => {
  const { token: first } = await addProject(plane, 'two-admins');
  await plane.call('POST', '/v1/principals', { name: 'second', kind: 'person', roles: ['admin'] }, first);
  const made = await plane.call<{ token: string }>('POST', '/v1/principals/second/tokens', { name: 'x' }, first);
  const tokens = { admin: first, second: made.body.token };
  const give = (name: string, role: string, token: string) =>
    plane.call('PATCH', `/v1/principals/${name}`, { roles: [role] }, token);
  for (let round = 0; round < 10; round++) {
    const done = await Promise.all([give('second', 'member', tokens.admin), give('admin', 'member', tokens.second)]);
    expect(done.filter(({ status }) => status === 200)).toHaveLength(1);
    const [left, gone] = done[0]!.status === 200 ? (['admin', 'second'] as const) : (['second', 'admin'] as const);
    expect((await give(gone, 'admin', tokens[left])).status).toBe(200);
  }
}, 60_000);

test('client credentials open a session for a service or AI agent, and every failure reads alike', async () => {
  const { name } = await newPrincipal('ai_agent');
  const { body: secret } = await plane.call<{ clientSecret: string; id: string }>(
    'POST',
    `/v1/principals/${name}/secrets`,
    {},
  );
  const form = { grant_type: 'client_credentials', client_id: name, client_secret: secret.clientSecret };
  const good = await plane.oauth<{ access_token: string }>(form);
  expect(
    (await plane.call<{ principal: { name: string } }>('GET', '/v1/whoami', undefined, good.body.access_token)).body
      .principal.name,
  ).toBe(name);
  const basic = await fetch(`${plane.url}/v1/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${name}:${secret.clientSecret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
  });
  expect(basic.status).toBe(200);
  const wrong = await Promise.all([
    plane.oauth({ ...form, client_secret: 'sps_x' }),
    plane.oauth({ ...form, client_id: 'nobody' }),
    plane.oauth({ ...form, client_id: 'admin' }),
  ]);
  for (const { status, body } of wrong)
    expect({ status, error: body['error'], code: body['code'] }).toEqual({
      status: 401,
      error: 'invalid_client',
      code: 'auth.failed',
    });
  const badBasic = await fetch(`${plane.url}/v1/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${name}:sps_x`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
  });
  expect([badBasic.status, badBasic.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="sallyport"']);
  const person = await newPrincipal('person');
  expect((await plane.call('POST', `/v1/principals/${person.name}/secrets`, {})).status).toBe(409);
});

test('a token that is asked for in the second in which others of the principal ended is not ended with them', async () => {
  const bot = await newPrincipal('ai_agent');
  await plane.call('POST', '/v1/groups', { name: 'leavers' });
  for (const group of ['bots', 'leavers']) await plane.call('PUT', `/v1/groups/${group}/members/${bot.name}`);
  await plane.call('DELETE', `/v1/groups/leavers/members/${bot.name}`);
  const { body } = await exchange(bot.token);
  const { before } = await database().revocation.findFirstOrThrow({ where: { kind: 'principal', targetId: bot.id } });
  const { iat } = await claimsOf(body.access_token);
  expect(iat * 1000).toBeGreaterThanOrEqual(before.getTime());
});

test.each<[string, (bot: { readonly name: string; readonly token: string }) => Promise<{ readonly status: number }>]>([
  [
    'the token was deleted',
    async ({ token }) => {
      const who = await plane.call<{ token: { id: string } }>('GET', '/v1/whoami', undefined, token);
      return plane.call('DELETE', `/v1/tokens/${who.body.token.id}`, undefined, token);
    },
  ],
  ['the principal was disabled', ({ name }) => plane.call('PATCH', `/v1/principals/${name}`, { disabled: true })],
  ['the group was left', ({ name }) => plane.call('DELETE', `/v1/groups/bots/members/${name}`)],
])('an exchange that waits for the end of a second gives nothing when meanwhile %s', async (_what, take) => {
  const bot = await newPrincipal('ai_agent');
  await plane.call('POST', '/v1/groups', { name: 'passing' });
  for (const group of ['bots', 'passing']) await plane.call('PUT', `/v1/groups/${group}/members/${bot.name}`);
  const reads = vi.spyOn(plane.controlPlane.app.get(IdentityRepository, { strict: false }), 'accessTo');
  // The second is not over before everything has happened in it, however slow the machine is.
  plane.clock.stand();
  try {
    await plane.call('DELETE', `/v1/groups/passing/members/${bot.name}`);
    const asked = exchange(bot.token);
    await expect.poll(() => reads.mock.calls.length).toBeGreaterThan(0);
    expect((await take(bot)).status).toBeLessThan(300);
    plane.clock.go();
    expect(await asked).toMatchObject({
      status: 400,
      body: { error: expect.stringMatching(/^invalid_(grant|target)$/) },
    });
  } finally {
    plane.clock.go();
    reads.mockRestore();
  }
});

test('an access token is for one resource, for minutes, small, and names the grants it draws on', async () => {
  const bot = await newPrincipal('ai_agent');
  const none = { status: 400, error: 'invalid_target', code: 'grant.missing' };
  expect(await exchange(bot.token)).toMatchObject({ status: 400, body: none });
  await plane.call('PUT', `/v1/groups/bots/members/${bot.name}`);
  const { body } = await exchange(bot.token);
  expect(body).toMatchObject({ issued_token_type: 'urn:ietf:params:oauth:token-type:jwt', expires_in: 600 });
  expect(body.access_token.length).toBeLessThan(LIMITS.accessTokenBytesMax);
  const resource = await plane.call<{ id: string }>('GET', '/v1/resources/payments-db');
  const grant = await plane.call<{ id: string }>('GET', '/v1/grants/bots');
  const claims = await claimsOf(body.access_token);
  expect(claims).toMatchObject({ aud: resource.body.id, sub: bot.id, nam: bot.name, knd: 'ai_agent' });
  expect(claims.gr).toEqual([Buffer.from(grant.body.id.replaceAll('-', ''), 'hex').toString('base64url')]);
  expect(claims.exp - claims.iat).toBe(600);
  expect((await exchange(bot.token, { resource: 'no-such-db' })).body).toMatchObject({
    error: 'invalid_target',
    code: 'grant.missing',
  });
  expect((await exchange(bot.token, { role: 'app' })).status).toBe(200);
  expect((await exchange(bot.token, { role: 'postgres' })).body).toMatchObject({ error: 'invalid_scope' });
  const spent = await exchange(body.access_token);
  expect(spent).toMatchObject({ status: 400, body: { status: 400, error: 'invalid_grant', code: 'auth.failed' } });
  expect(spent.headers.get('www-authenticate')).toBeNull();
});

test('an AI agent acts for a person: both stand in the token, and both need a grant', async () => {
  const bot = await newPrincipal('ai_agent');
  const person = await newPrincipal('person');
  await plane.call('PUT', `/v1/groups/bots/members/${bot.name}`);
  const forPerson = () => exchange(person.token, { actor_token: bot.token, actor_token_type: ACCESS });
  expect((await forPerson()).body).toMatchObject({ code: 'grant.missing' });
  await plane.call('POST', '/v1/grants', {
    name: `own-${person.name}`,
    principal: person.name,
    resource: 'payments-db',
    effects: ['read'],
  });
  const claims = await claimsOf((await forPerson()).body.access_token);
  expect(claims).toMatchObject({ sub: bot.id, obo: { sub: person.id, nam: person.name, knd: 'person' } });
  expect(claims.gr).toHaveLength(2);
  const act = await database().controlAct.findFirst({ where: { action: 'access.issued' }, orderBy: { id: 'desc' } });
  expect(act).toMatchObject({ principalKind: 'ai_agent', onBehalfOfId: person.id, onBehalfOfKind: 'person' });
  expect((await exchange(bot.token, { actor_token: person.token })).body).toMatchObject({ error: 'invalid_request' });
  expect((await exchange(bot.token, { actor_token: bot.token })).body).toMatchObject({ error: 'invalid_request' });
});

test('a token ends with the last grant of either side, though both have it by one group', async () => {
  const bot = await newPrincipal('ai_agent');
  const person = await newPrincipal('person');
  const group = `both-${bot.name}`;
  await plane.call('POST', '/v1/groups', { name: group });
  for (const { name } of [bot, person]) await plane.call('PUT', `/v1/groups/${group}/members/${name}`);
  const made = await plane.call('POST', '/v1/grants', {
    name: group,
    group,
    resource: 'payments-db',
    effects: ['read'],
    notAfter: new Date(plane.clock.nowMs() + 60_000).toISOString(),
  });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  const lifeOf = async () => {
    const { body } = await exchange(person.token, { actor_token: bot.token, actor_token_type: ACCESS });
    const claims = await claimsOf(body.access_token);
    return claims.exp - claims.iat;
  };
  expect(await lifeOf()).toBeLessThanOrEqual(60);
  // What one of them has for longer lengthens nothing: the other's right has ended by then.
  await plane.call('POST', '/v1/grants', {
    name: `own-${bot.name}`,
    principal: bot.name,
    resource: 'payments-db',
    effects: ['read'],
  });
  expect(await lifeOf()).toBeLessThanOrEqual(60);
});

test('the largest token a principal can have stays under the limit', async () => {
  const long = 'n'.repeat(36);
  const [one, two] = [`a${long.slice(1)}`, `b${long.slice(1)}`];
  await plane.call('POST', '/v1/principals', { name: one, kind: 'ai_agent' });
  await plane.call('POST', '/v1/principals', { name: two, kind: 'ai_agent' });
  const tokens = await Promise.all(
    [one, two].map(
      async (name) =>
        (await plane.call<{ token: string }>('POST', `/v1/principals/${name}/tokens`, { name: 't' })).body.token,
    ),
  );
  for (const name of [one, two]) await plane.call('PUT', `/v1/groups/bots/members/${name}`);
  for (let i = 0; i < 20; i++)
    await plane.call('POST', '/v1/grants', {
      name: `many-${i}`,
      principal: one,
      resource: 'payments-db',
      effects: ['read'],
    });
  const { body, status } = await exchange(tokens[0]!, { actor_token: tokens[1]! });
  expect(status).toBe(200);
  expect(body.access_token.length).toBeLessThan(LIMITS.accessTokenBytesMax);
  expect((await claimsOf(body.access_token)).gr).toEqual(['*']);
});

test('taking a right away leaves a revocation for agents and grows the bundle’s revision', async () => {
  const bot = await newPrincipal('ai_agent');
  await plane.call('PUT', `/v1/groups/bots/members/${bot.name}`);
  const { jti } = await claimsOf((await exchange(bot.token)).body.access_token);
  const { id: projectId } = await database().project.findFirstOrThrow({ where: { name: 'default' } });
  const revision = async () => (await database().bundleState.findFirstOrThrow({ where: { projectId } })).revision;
  const before = await revision();
  const who = await plane.call<{ token: { id: string } }>('GET', '/v1/whoami', undefined, bot.token);
  await plane.call('DELETE', `/v1/tokens/${who.body.token.id}`);
  expect(await database().revocation.count({ where: { kind: 'token', targetId: jti } })).toBe(1);
  await plane.call('DELETE', `/v1/groups/bots/members/${bot.name}`);
  expect(await database().revocation.count({ where: { kind: 'principal', targetId: bot.id } })).toBe(1);
  await plane.call('PATCH', `/v1/principals/${bot.name}`, { disabled: true });
  expect(await database().revocation.count({ where: { kind: 'principal', targetId: bot.id } })).toBe(2);
  expect(await revision()).toBeGreaterThan(before + 2);
});

test('each change is an act with who did it, and without any secret', async () => {
  const { name } = await newPrincipal('service', { email: 'svc@example.org' });
  const { body } = await plane.call<{ clientSecret: string }>('POST', `/v1/principals/${name}/secrets`, {});
  const acts = await database().controlAct.findMany({ where: { target: `principal/${name}` }, orderBy: { id: 'asc' } });
  expect(acts.map((act) => act.action)).toEqual(['principal.created', 'token.created', 'secret.created']);
  expect(acts.every((act) => act.principalName === 'admin' && act.requestId.startsWith('req-'))).toBe(true);
  expect(
    JSON.stringify(acts, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
  ).not.toMatch(new RegExp(`${body.clientSecret}|svc@example.org`));
});

test('lists go page by page, filtered and sorted, and a foreign cursor is refused', async () => {
  for (let i = 0; i < 5; i++) await plane.call('POST', '/v1/groups', { name: `page-${i}` });
  const names: string[] = [];
  let cursor: string | null = '';
  do {
    const query: string = cursor === '' ? '' : `&cursor=${cursor}`;
    const page: { items: { name: string }[]; nextCursor: string | null } = (
      await plane.call<never>('GET', `/v1/groups?name=page-&limit=2&sort=-name${query}`)
    ).body;
    expect(page.items.length).toBeLessThanOrEqual(2);
    names.push(...page.items.map((item) => item.name));
    cursor = page.nextCursor;
  } while (cursor !== null);
  expect(names).toEqual(['page-4', 'page-3', 'page-2', 'page-1', 'page-0']);
  const first = await plane.call<{ nextCursor: string }>('GET', '/v1/groups?limit=1');
  expect((await plane.call('GET', `/v1/groups?sort=-createdAt&cursor=${first.body.nextCursor}`)).body).toMatchObject({
    code: 'request.invalid',
  });
  expect((await plane.call('GET', '/v1/groups?limit=100000')).status).toBe(400);
});

test('an act tells the public fields of a change, those with a default too, and leaves the others out', async () => {
  const { name } = await newPrincipal('service', { email: 'someone@example.org', displayName: 'Job' });
  const act = await database().controlAct.findFirstOrThrow({
    where: { target: `principal/${name}`, action: 'principal.created' },
  });
  const { changes, ...detail } = act.detail as Record<string, unknown>;
  expect(detail).toEqual({ name, kind: 'service', displayName: 'Job', roles: ['member'] });
  expect(changes).toMatchObject([
    { thing: 'principal', before: null, after: { email: '[hidden]', displayName: 'Job' } },
  ]);
});
