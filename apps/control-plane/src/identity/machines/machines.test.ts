/** Machines that sign in with what their platform gave them, and everything that must not pass for it. Real database, real HTTP. */
import { createHmac } from 'node:crypto';
import { parseAccessTokenClaims } from '@sallyport/model';
import { decodeJwt, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Database } from '../../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';
import { IdentityRepository } from '../identity.repository.ts';
import { newKey, TestIssuer } from './issuer.fixture.ts';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
const ACCESS = 'urn:ietf:params:oauth:token-type:access_token';

let plane: TestControlPlane;
let issuer: TestIssuer;
beforeAll(async () => {
  issuer = await TestIssuer.start();
  plane = await startTestControlPlane({ SALLYPORT_ISSUER_LOOPBACK: 'on' });
  await plane.call('POST', '/v1/groups', { name: 'ci' });
  await plane.call('POST', '/v1/principals', { name: 'worker', kind: 'service' });
  await plane.call('POST', '/v1/principals', { name: 'robot', kind: 'ai_agent' });
  await plane.call('POST', '/v1/resources', { name: 'db', type: 'postgres', postgres: { host: 'db.internal' } });
  for (const principal of ['worker', 'robot'])
    await plane.call('POST', '/v1/grants', { name: `g-${principal}`, principal, resource: 'db', effects: ['read'] });
  await plane.call('POST', '/v1/grants', { name: 'g-ci', group: 'ci', resource: 'db', effects: ['read'] });
  const made = await rule({
    name: 'pods',
    kind: 'kubernetes',
    claims: { 'kubernetes.io/namespace': 'payments', 'kubernetes.io/serviceaccount/name': 'worker' },
    principal: 'worker',
  });
  expect(made.status).toBe(201);
}, 60_000);
afterAll(async () => {
  await plane.stop();
  await issuer.stop();
});

const database = () => plane.controlPlane.app.get(Database, { strict: false }).client;
const rule = (more: object) =>
  plane.call<{ id: string; errors?: { field: string }[] }>('POST', '/v1/trust-rules', {
    issuer: issuer.url,
    audiences: ['sallyport'],
    ...more,
  });
const POD = {
  sub: 'system:serviceaccount:payments:worker',
  'kubernetes.io': { namespace: 'payments', serviceaccount: { name: 'worker', uid: 'u-1' } },
};
type Token = {
  access_token: string;
  token_type: string;
  issued_token_type?: string;
  error?: string;
  code?: string;
  expires_in: number;
};
const trade = (subject: string, more: Record<string, string> = {}) =>
  plane.oauth<Token>({ grant_type: EXCHANGE, subject_token: subject, subject_token_type: JWT, ...more });
const whoami = async (token: string) =>
  (await plane.call<{ principal: { name: string } }>('GET', '/v1/whoami', undefined, token)).body.principal?.name;

test('a pod trades its service account’s token for an access token of a resource', async () => {
  const { status, body } = await trade(await issuer.token(POD), { resource: 'db' });
  expect(status).toBe(200);
  const claims = parseAccessTokenClaims(decodeJwt(body.access_token), '');
  expect(claims).toMatchObject({ nam: 'worker', knd: 'service' });
  const act = await database().controlAct.findFirst({
    where: { action: 'session.signed_in' },
    orderBy: { id: 'desc' },
  });
  expect(act).toMatchObject({ principalName: 'worker', detail: { by: 'trust:pods', subject: POD.sub } });
});

test('without a resource it gets an API session, no longer than its own token lives', async () => {
  const { body } = await trade(await issuer.token(POD));
  expect(body).toMatchObject({ issued_token_type: ACCESS, token_type: 'Bearer' });
  expect(body.expires_in).toBeLessThanOrEqual(300);
  expect(await whoami(body.access_token)).toBe('worker');
});

test('an AI agent acts for a pod, each by its own token, and both names stand in the token', async () => {
  await rule({ name: 'robot', claims: { sub: 'robot-7' }, principal: 'robot' });
  const actor = await issuer.token({ sub: 'robot-7' });
  const { body } = await trade(await issuer.token(POD), { resource: 'db', actor_token: actor, actor_token_type: JWT });
  expect(parseAccessTokenClaims(decodeJwt(body.access_token), '')).toMatchObject({
    nam: 'robot',
    obo: { nam: 'worker' },
  });
});

describe('everything that is wrong with a token reads alike', () => {
  const later = (s: number) => Math.floor(Date.now() / 1000) + s;
  const refused = async (token: string, more: Record<string, string> = {}) => {
    const { status, body } = await trade(token, { resource: 'db', ...more });
    expect({ status, error: body.error, code: body.code }).toEqual({
      status: 400,
      error: 'invalid_grant',
      code: 'auth.failed',
    });
  };

  test.each<[string, Record<string, unknown>]>([
    ['another audience', { aud: 'kubernetes' }],
    ['no audience', { aud: undefined }],
    ['another issuer', { iss: 'https://issuer.example' }],
    ['an issuer with a slash at its end', { iss: 'slash' }],
    ['expired', { exp: later(-31), iat: later(-60) }],
    ['no expiry', { exp: undefined }],
    ['not yet valid', { nbf: later(120) }],
    ['issued in the future', { iat: later(120) }],
    ['issued too long ago', { iat: later(-7_200), exp: later(60) }],
    ['a life that is too long', { exp: later(100_000) }],
    ['no time of issue', { iat: undefined }],
    ['no subject', { sub: undefined }],
    ['another namespace', { 'kubernetes.io': { namespace: 'payments-x', serviceaccount: { name: 'worker' } } }],
    ['a namespace written at the top', { 'kubernetes.io': undefined, namespace: 'payments' }],
    ['a token that acts for somebody already', { act: { sub: 'x' } }],
    ['a token that says who may act', { may_act: { sub: 'x' } }],
    ['a token that is bound to a key', { cnf: { jkt: 'x' } }],
    ['several audiences and a party the rule does not name', { aud: ['sallyport', 'other'], azp: 'other' }],
  ])('%s', async (_what, claims) => {
    const iss = claims['iss'] === 'slash' ? `${issuer.url}/` : undefined;
    await refused(await issuer.token({ ...POD, ...claims, ...(iss === undefined ? {} : { iss }) }));
  });

  test('clocks that differ by less than half a minute are no reason', async () => {
    const { status } = await trade(await issuer.token({ ...POD, iat: later(-60), exp: later(-20) }), {
      resource: 'db',
    });
    expect(status).toBe(200);
    expect(
      (await trade(await issuer.token({ ...POD, iat: later(20), nbf: later(20) }), { resource: 'db' })).status,
    ).toBe(200);
  });

  test('no signature, and a signature made with the public key as a secret', async () => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const payload = decodeJwt(await issuer.token(POD));
    await refused(`${part({ alg: 'none' })}.${part(payload)}.`);
    await refused(`${part({ alg: 'none', kid: 'one' })}.${part(payload)}.AA`);
    const input = `${part({ alg: 'HS256', kid: 'one' })}.${part(payload)}`;
    for (const secret of [JSON.stringify(issuer.keys[0]!.jwk), issuer.keys[0]!.jwk.x ?? ''])
      await refused(`${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`);
  });

  test('a key that the token brings or points at itself', async () => {
    const evil = await newKey('evil');
    const before = issuer.asked;
    await refused(await issuer.token(POD, { kid: undefined, jwk: evil.jwk }, evil));
    await refused(await issuer.token(POD, { kid: 'one' }, evil));
    await refused(await issuer.token(POD, { jku: `${issuer.url}/keys`, x5u: `${issuer.url}/keys` }, evil));
    await refused(await issuer.token(POD, { kid: '../../../etc/passwd' }, evil));
    // An unknown key asks the issuer once, and not again for half a minute.
    expect(issuer.asked - before).toBeLessThanOrEqual(1);
  });

  test('a changed claim, an unknown critical header, a logout token, junk, and far too much of it', async () => {
    const token = await issuer.token(POD);
    const [head, , signature] = token.split('.');
    await refused(
      `${head}.${Buffer.from(JSON.stringify({ ...decodeJwt(token), sub: 'x' })).toString('base64url')}.${signature}`,
    );
    await refused(await issuer.token(POD, { typ: 'logout+jwt' }));
    const { privateKey } = issuer.keys[0]!;
    const odd = await new SignJWT({ ...POD, iss: issuer.url, aud: 'sallyport' })
      .setProtectedHeader({ alg: 'ES256', kid: 'one', crit: ['x'], x: 1 })
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(privateKey, { crit: { x: true } });
    await refused(odd);
    for (const junk of ['x', 'a.b.c', '..', `${token}.x`, 'ey.'.repeat(20)]) await refused(junk);
    expect((await trade('x'.repeat(20_000))).status).toBe(400);
  });

  test('one of our own access tokens, and an API token said to be a JWT', async () => {
    const { body } = await trade(await issuer.token(POD), { resource: 'db' });
    await refused(body.access_token);
    await refused(plane.adminToken);
  });

  test('a chain deeper than one: a token in which somebody acts for another acts for nobody, and nobody for it', async () => {
    await rule({ name: 'chain', claims: { sub: 'chain-1' }, principal: 'robot' });
    const robot = await issuer.token({ sub: 'chain-1' });
    const first = await trade(await issuer.token(POD), { resource: 'db', actor_token: robot, actor_token_type: JWT });
    expect(parseAccessTokenClaims(decodeJwt(first.body.access_token), '').obo?.nam).toBe('worker');
    const deep = first.body.access_token;
    for (const type of [JWT, ACCESS]) {
      const asSubject = { subject_token: deep, subject_token_type: type, actor_token: robot, actor_token_type: JWT };
      const asActor = { actor_token: deep, actor_token_type: type };
      for (const more of [asSubject, { ...asSubject, resource: 'db' }, { ...asActor, resource: 'db' }])
        await refused(await issuer.token(POD), { resource: 'db', ...more });
    }
    // And what another issuer says of its own chain.
    const act = { sub: 'b', act: { sub: 'c' } };
    await refused(await issuer.token({ ...POD, act }), { actor_token: robot, actor_token_type: JWT });
    const acted = await issuer.token({ sub: 'chain-1', act });
    await refused(await issuer.token(POD), { actor_token: acted, actor_token_type: JWT });
    await plane.call('DELETE', '/v1/trust-rules/chain');
  });
});

describe('a rule', () => {
  test.each<[string, object, string]>([
    ['that pins nothing', { claims: {} }, 'claims'],
    ['whose pattern matches everything', { claims: { sub: '**' } }, 'claims'],
    [
      'for GitHub’s issuer that pins no repository',
      { issuer: 'https://token.actions.githubusercontent.com', kind: 'github', claims: { ref: 'refs/heads/main' } },
      'claims',
    ],
    [
      'that calls GitHub’s issuer something else',
      { issuer: 'https://token.actions.githubusercontent.com', claims: { ref: 'refs/heads/main' } },
      'kind',
    ],
    ['that makes a person', { claims: { sub: 'admin' }, principal: 'admin' }, 'principal'],
    ['for a principal that is not there', { claims: { sub: 'x-1' }, principal: 'nobody' }, 'principal'],
    ['whose template could name anybody', { claims: { sub: 'abc*' }, principal: '{sub}' }, 'principal'],
    [
      'with keys over plain HTTP',
      { claims: { sub: 'abc' }, issuer: 'http://issuer.example', principal: 'worker' },
      'issuer',
    ],
    [
      'with keys of the cloud’s metadata service',
      { claims: { sub: 'abc' }, keys: { from: 'url', url: 'https://169.254.169.254/x' }, principal: 'worker' },
      'keys.url',
    ],
    [
      'with a private key uploaded',
      {
        claims: { sub: 'abc' },
        keys: { from: 'upload', keys: { keys: [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y', d: 'd' }] } },
        principal: 'worker',
      },
      'keys.keys',
    ],
    [
      'with a symmetric key uploaded',
      { claims: { sub: 'abc' }, keys: { from: 'upload', keys: { keys: [{ kty: 'oct' }] } }, principal: 'worker' },
      'keys.keys',
    ],
    ['of SPIFFE without a trust domain', { kind: 'spiffe', claims: { sub: 'abc' }, principal: 'worker' }, 'issuer'],
  ])('%s is refused', async (_what, more, field) => {
    const { status, body } = await rule({ name: 'bad', claims: { sub: 'abc' }, principal: 'worker', ...more });
    expect(status).toBe(400);
    expect(body.errors?.map((error) => error.field)).toContain(field);
  });

  test('gives nobody more than whoever writes it has', async () => {
    await plane.call('POST', '/v1/principals', { name: 'boss', kind: 'service', roles: ['admin'] });
    const { body } = await plane.call<{ token: string }>('POST', '/v1/principals/admin/tokens', {
      name: 'narrow',
      scopes: ['trust-rule:create'],
    });
    const made = await plane.call(
      'POST',
      '/v1/trust-rules',
      { name: 'up', issuer: issuer.url, audiences: ['sallyport'], claims: { sub: 'boss-1' }, principal: 'boss' },
      body.token,
    );
    expect(made.status).toBe(403);
  });

  test('with a template makes a principal for each project, and keeps apart those that are written alike', async () => {
    await rule({
      name: 'gitlab',
      kind: 'gitlab',
      claims: { namespace_path: 'acme' },
      principal: 'ci-{project_path}',
      create: { kind: 'service', groups: ['ci'] },
    });
    const job = (path: string) =>
      issuer.token({ sub: `project_path:${path}`, namespace_path: 'acme', project_path: path });
    const first = await trade(await job('acme/a-b'), { resource: 'db' });
    expect(parseAccessTokenClaims(decodeJwt(first.body.access_token), '').nam).toBe('ci-acme-a-b');
    expect((await trade(await job('acme/a-b'), { resource: 'db' })).status).toBe(200);
    // The same name, another project: not the same machine.
    expect((await trade(await job('acme/a/b'), { resource: 'db' })).body).toMatchObject({ error: 'invalid_grant' });
    await plane.call('POST', '/v1/principals', { name: 'ci-acme-boss', kind: 'service', roles: ['approver'] });
    expect((await trade(await job('acme/boss'), { resource: 'db' })).body).toMatchObject({ error: 'invalid_grant' });
  });

  test('with uploaded keys needs no discovery, and believes no other key', async () => {
    const key = await newKey('cluster', 'RS256');
    await rule({
      name: 'island',
      issuer: 'https://kubernetes.default.svc.cluster.local',
      kind: 'kubernetes',
      keys: { from: 'upload', keys: { keys: [{ ...key.jwk, alg: undefined }] } },
      claims: { sub: 'system:serviceaccount:payments:worker' },
      principal: 'worker',
    });
    const claims = { ...POD, iss: 'https://kubernetes.default.svc.cluster.local' };
    expect((await trade(await issuer.token(claims, {}, key), { resource: 'db' })).status).toBe(200);
    expect(
      (await trade(await issuer.token(claims, { kid: 'cluster', alg: 'ES256' }, issuer.keys[0]), { resource: 'db' }))
        .status,
    ).toBe(400);
  });

  test('of SPIFFE goes by the subject’s trust domain', async () => {
    const key = await newKey('svid');
    await rule({
      name: 'mesh',
      kind: 'spiffe',
      issuer: 'spiffe://example.org',
      keys: { from: 'upload', keys: { keys: [{ ...key.jwk, use: 'jwt-svid' }] } },
      claims: { sub: 'spiffe://example.org/ns/payments/sa/*' },
      principal: 'worker',
    });
    const svid = (sub: string, more = {}) =>
      issuer.token({ iss: undefined, iat: undefined, sub, ...more }, { typ: 'JOSE' }, key);
    expect((await trade(await svid('spiffe://example.org/ns/payments/sa/worker'), { resource: 'db' })).status).toBe(
      200,
    );
    for (const sub of [
      'spiffe://example.com/ns/payments/sa/worker',
      'spiffe://example.org/ns/other/sa/worker',
      'spiffe://example.org/ns/payments/sa/a/b',
    ])
      expect((await trade(await svid(sub), { resource: 'db' })).status, sub).toBe(400);
  });

  test('is told apart by the client id where two hold, and neither holds without it', async () => {
    await rule({ name: 'two-a', claims: { sub: 'both' }, principal: 'worker' });
    await rule({ name: 'two-b', claims: { sub: 'both' }, principal: 'robot' });
    const token = await issuer.token({ sub: 'both' });
    expect((await trade(token)).status).toBe(400);
    expect(await whoami((await trade(token, { client_id: 'robot' })).body.access_token)).toBe('robot');
  });

  test('says in a preview what a token would give, and why not', async () => {
    const { body } = await plane.call<{ rules: { rule: string; principal: string | null; why: string | null }[] }>(
      'POST',
      '/v1/trust-rules/preview',
      { token: await issuer.token(POD) },
    );
    expect(body.rules.find((one) => one.rule === 'pods')).toEqual({ rule: 'pods', principal: 'worker', why: null });
    expect(body.rules.find((one) => one.rule === 'robot')).toMatchObject({
      principal: null,
      why: expect.stringContaining('sub'),
    });
  });

  test('whose tokens are good once takes each by its id once, and none without one', async () => {
    await rule({ name: 'once', claims: { sub: 'job-once' }, principal: 'worker', oneTime: true });
    const job = (more: object) => issuer.token({ sub: 'job-once', ...more });
    const token = await job({ jti: 'run-1' });
    expect((await plane.call<{ rules: unknown[] }>('POST', '/v1/trust-rules/preview', { token })).status).toBe(200);
    const answers = await Promise.all([1, 2, 3].map(() => trade(token, { resource: 'db' })));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect((await trade(token)).body).toMatchObject({ error: 'invalid_grant', code: 'auth.failed' });
    // Signed anew, with the same id: the id is what counts.
    expect((await trade(await job({ jti: 'run-1', more: 1 }))).status).toBe(400);
    expect((await trade(await job({ jti: 'run-2' }))).status).toBe(200);
    for (const jti of [undefined, '', 7, 'x'.repeat(501)]) expect((await trade(await job({ jti }))).status).toBe(400);
  });

  test('whose tokens are good once takes one that waits for the end of a second, and once', async () => {
    await rule({ name: 'waits', claims: { sub: 'job-waits' }, principal: 'worker', oneTime: true });
    await plane.call('PUT', '/v1/groups/ci/members/worker');
    const token = await issuer.token({ sub: 'job-waits', jti: 'run-1' });
    const reads = vi.spyOn(plane.controlPlane.app.get(IdentityRepository, { strict: false }), 'accessTo');
    plane.clock.stand();
    try {
      await plane.call('DELETE', '/v1/groups/ci/members/worker');
      const asked = trade(token, { resource: 'db' });
      await expect.poll(() => reads.mock.calls.length).toBeGreaterThan(0);
      plane.clock.go();
      expect((await asked).status).toBe(200);
    } finally {
      plane.clock.go();
      reads.mockRestore();
    }
    expect((await trade(token, { resource: 'db' })).body).toMatchObject({ error: 'invalid_grant' });
  });

  test('that is removed ends what it opened', async () => {
    await rule({ name: 'brief', claims: { sub: 'brief-1' }, principal: 'worker' });
    const token = await issuer.token({ sub: 'brief-1' });
    const api = (await trade(token)).body.access_token;
    const access = (await trade(token, { resource: 'db' })).body.access_token;
    expect((await plane.call('DELETE', '/v1/trust-rules/brief')).status).toBe(204);
    expect((await plane.call('GET', '/v1/whoami', undefined, api)).status).toBe(401);
    expect(
      await database().revocation.count({ where: { kind: 'token', targetId: String(decodeJwt(access).jti) } }),
    ).toBe(1);
    expect((await trade(token)).status).toBe(400);
  });
});

describe('an issuer', () => {
  test('that rotates its key is believed with the new one, and is not asked more often than allowed', async () => {
    plane.clock.offsetMs += 31_000;
    const fresh = await newKey('two');
    issuer.keys = [...issuer.keys, fresh];
    expect((await trade(await issuer.token(POD), { resource: 'db' })).status).toBe(200);
    const before = issuer.asked;
    for (let i = 0; i < 5; i++) await trade(await issuer.token(POD, { kid: `made-up-${i}` }), { resource: 'db' });
    expect(issuer.asked).toBe(before);
    plane.clock.offsetMs -= 31_000;
  });

  test('that is away, redirects, or sends too much changes nothing for keys that are known', async () => {
    for (const broken of [
      { status: 500, body: '' },
      { status: 302, body: '', headers: { location: 'http://127.0.0.1:1/' } },
      { status: 200, body: JSON.stringify({ keys: [], pad: 'x'.repeat(600_000) }) },
      { status: 200, body: '{"keys":[{"kty":"oct","k":"AA"}]}' },
    ]) {
      issuer.broken = broken;
      plane.clock.offsetMs += 11 * 60_000;
      const iat = Math.floor(plane.clock.nowMs() / 1000);
      expect((await trade(await issuer.token({ ...POD, iat, exp: iat + 300 }), { resource: 'db' })).status).toBe(200);
    }
    issuer.broken = undefined;
    plane.clock.offsetMs = 0;
  });
});
