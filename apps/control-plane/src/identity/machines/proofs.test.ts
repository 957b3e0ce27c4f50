/** Assertions and proofs that machines sign themselves: private_key_jwt and DPoP, and what must not pass for them. */
import { createHash, randomUUID } from 'node:crypto';
import { parseAccessTokenClaims } from '@sallyport/model';
import { calculateJwkThumbprint, decodeJwt, exportJWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../../testing/control-plane.ts';
import { type IssuerKey, newKey } from './issuer.fixture.ts';

const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
let plane: TestControlPlane;
let key: IssuerKey;
beforeAll(async () => {
  plane = await startTestControlPlane();
  key = await newKey('mine');
  await plane.call('POST', '/v1/principals', { name: 'worker', kind: 'service' });
  await plane.call('POST', '/v1/principals', { name: 'other', kind: 'service' });
  await plane.call('POST', '/v1/resources', { name: 'db', type: 'postgres', postgres: { host: 'db.internal' } });
  await plane.call('POST', '/v1/grants', { name: 'g', principal: 'worker', resource: 'db', effects: ['read'] });
  expect((await plane.call('POST', '/v1/principals/worker/keys', { jwk: key.jwk })).status).toBe(201);
}, 60_000);
afterAll(async () => await plane.stop());

const seconds = (more = 0) => Math.floor(plane.clock.nowMs() / 1000) + more;
async function assertion(
  more: Record<string, unknown> = {},
  by = key,
  header: Record<string, unknown> = {},
): Promise<string> {
  const claims = {
    iss: 'worker',
    sub: 'worker',
    aud: `${plane.url}/v1/oauth/token`,
    jti: randomUUID(),
    iat: seconds(),
    exp: seconds(60),
    ...more,
  };
  const payload = Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
  return await new SignJWT(payload).setProtectedHeader({ alg: by.alg, kid: by.kid, ...header }).sign(by.privateKey);
}
const signIn = (client_assertion: string, more: Record<string, string> = {}) =>
  plane.oauth<{ access_token: string; error?: string; code?: string }>({
    grant_type: 'client_credentials',
    client_assertion_type: ASSERTION,
    client_assertion,
    ...more,
  });

describe('private_key_jwt', () => {
  test('opens a session for the client whose key signed it, once', async () => {
    const text = await assertion();
    const { status, body } = await signIn(text);
    expect(status).toBe(200);
    expect(
      (await plane.call<{ principal: { name: string } }>('GET', '/v1/whoami', undefined, body.access_token)).body
        .principal.name,
    ).toBe('worker');
    expect((await signIn(text)).body).toMatchObject({ error: 'invalid_client', code: 'auth.failed' });
  });

  test('of two that carry the same id at the same time one passes', async () => {
    const text = await assertion();
    const answers = await Promise.all([signIn(text), signIn(text), signIn(text)]);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  test.each<[string, Record<string, unknown>]>([
    ['for another server', { aud: 'https://elsewhere.example/v1/oauth/token' }],
    ['without an id', { jti: undefined }],
    ['without an end', { exp: undefined }],
    ['that has ended', { exp: -40 }],
    ['that lives an hour', { exp: 3_600 }],
    ['from the future', { iat: 120 }],
    ['of another client', { iss: 'other', sub: 'other' }],
    ['about another client', { sub: 'other' }],
    ['of a person', { iss: 'admin', sub: 'admin' }],
  ])('one %s is refused like every other', async (_what, more) => {
    const times = Object.fromEntries(
      Object.entries(more).map(([name, value]) => [name, typeof value === 'number' ? seconds(value) : value]),
    );
    const { status, body } = await signIn(await assertion(times));
    expect({ status, error: body.error, code: body.code }).toEqual({
      status: 401,
      error: 'invalid_client',
      code: 'auth.failed',
    });
  });

  test('one signed by another key, or named for another client beside it, or too long, is refused', async () => {
    const evil = await newKey('mine');
    expect((await signIn(await assertion({}, evil))).status).toBe(401);
    expect((await signIn(await assertion({}, evil, { jwk: evil.jwk }))).status).toBe(401);
    expect((await signIn(await assertion(), { client_id: 'other' })).status).toBe(401);
    expect((await signIn('x'.repeat(5_000))).status).toBe(400);
    expect((await signIn(await assertion(), { client_secret: 'sps_x' })).status).toBe(400);
  });

  test('a removed key signs nothing, and a private one is not taken', async () => {
    const brief = await newKey('brief');
    const made = await plane.call<{ id: string; kid: string }>('POST', '/v1/principals/worker/keys', {
      jwk: brief.jwk,
    });
    expect((await signIn(await assertion({}, brief))).status).toBe(200);
    expect((await plane.call('DELETE', `/v1/principals/worker/keys/${made.body.id}`)).status).toBe(204);
    expect((await signIn(await assertion({}, brief))).status).toBe(401);
    const whole = await exportJWK(brief.privateKey);
    expect((await plane.call('POST', '/v1/principals/worker/keys', { jwk: whole })).status).toBe(400);
    expect((await plane.call('POST', '/v1/principals/admin/keys', { jwk: brief.jwk })).status).toBe(409);
  });
});

describe('DPoP', () => {
  async function proof(
    by: IssuerKey,
    more: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
  ): Promise<string> {
    const claims = { jti: randomUUID(), htm: 'POST', htu: `${plane.url}/v1/oauth/token`, iat: seconds(), ...more };
    const { kid: _kid, use: _use, ...jwk } = by.jwk;
    return await new SignJWT(claims)
      .setProtectedHeader({ typ: 'dpop+jwt', alg: by.alg, jwk: jwk as never, ...header })
      .sign(by.privateKey);
  }
  const form = async (fields: Record<string, string>, dpop?: string) => {
    const response = await fetch(`${plane.url}/v1/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams(fields),
      headers: dpop === undefined ? {} : { dpop },
    });
    return {
      status: response.status,
      body: (await response.json()) as { access_token: string; token_type: string; error?: string },
    };
  };
  const bound = async (dpop: string) =>
    await form(
      { grant_type: 'client_credentials', client_assertion_type: ASSERTION, client_assertion: await assertion() },
      dpop,
    );
  const get = async (scheme: string, token: string, dpop?: string, path = '/v1/whoami') =>
    (
      await fetch(`${plane.url}${path}`, {
        headers: { authorization: `${scheme} ${token}`, ...(dpop === undefined ? {} : { dpop }) },
      })
    ).status;
  const ath = (token: string) => createHash('sha256').update(token).digest('base64url');

  test('binds a session to a key: without a fresh proof by it the token is worth nothing', async () => {
    const mine = await newKey('dpop');
    const evil = await newKey('dpop');
    const { body } = await bound(await proof(mine));
    expect(body.token_type).toBe('DPoP');
    const token = body.access_token;
    const forGet = { htm: 'GET', htu: `${plane.url}/v1/whoami`, ath: ath(token) };
    const good = await proof(mine, forGet);
    expect(await get('DPoP', token, good, '/v1/whoami?x=1')).toBe(200);
    for (const [what, status] of [
      ['the same proof again', await get('DPoP', token, good)],
      ['as a bearer token', await get('Bearer', token)],
      ['as a bearer token with a proof', await get('Bearer', token, await proof(mine, forGet))],
      ['without a proof', await get('DPoP', token)],
      ['by another key', await get('DPoP', token, await proof(evil, forGet))],
      ['for another method', await get('DPoP', token, await proof(mine, { ...forGet, htm: 'POST' }))],
      [
        'for another address',
        await get('DPoP', token, await proof(mine, { ...forGet, htu: `${plane.url}/v1/grants` })),
      ],
      ['for another token', await get('DPoP', token, await proof(mine, { ...forGet, ath: ath('x') }))],
      ['for no token', await get('DPoP', token, await proof(mine, { ...forGet, ath: undefined }))],
      ['old', await get('DPoP', token, await proof(mine, { ...forGet, iat: seconds(-100) }))],
      ['of another type', await get('DPoP', token, await proof(mine, forGet, { typ: 'JWT' }))],
      ['junk', await get('DPoP', token, 'x')],
      [
        'a bearer token called bound',
        await get('DPoP', plane.adminToken, await proof(mine, { ...forGet, ath: ath(plane.adminToken) })),
      ],
    ] as const)
      expect(status, what).toBe(401);
    const exchange = {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource: 'db',
    };
    expect((await form(exchange)).status).toBe(400);
    expect((await form(exchange, await proof(evil))).status).toBe(400);
    expect((await form(exchange, await proof(mine))).status).toBe(200);
  });

  test('a bound session becomes no bearer token: what is made of it is bound to the same key', async () => {
    const mine = await newKey('dpop');
    const thumbprint = await calculateJwkThumbprint(mine.jwk);
    await plane.call('PATCH', '/v1/principals/worker', { roles: ['member', 'admin'] });
    const { body } = await bound(await proof(mine));
    const exchange = (more: Record<string, string> = {}) => ({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: body.access_token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource: 'db',
      ...more,
    });
    const cnf = async (more: Record<string, string>) => {
      const made = await form(exchange(more), await proof(mine));
      return parseAccessTokenClaims(decodeJwt(made.body.access_token), '').cnf;
    };
    const x5t = createHash('sha256').update('certificate').digest('base64url');
    expect(await cnf({})).toEqual({ jkt: thumbprint });
    expect(await cnf({ cnf_jkt: thumbprint })).toEqual({ jkt: thumbprint });
    expect(await cnf({ cnf_x5t_s256: x5t })).toEqual({ jkt: thumbprint, 'x5t#S256': x5t });
    expect((await form(exchange({ cnf_jkt: x5t }), await proof(mine))).body).toMatchObject({ code: 'auth.forbidden' });
    // As the actor too.
    await plane.call('POST', '/v1/principals', { name: 'whom', kind: 'service' });
    await plane.call('POST', '/v1/grants', { name: 'g-whom', principal: 'whom', resource: 'db', effects: ['read'] });
    const whom = await plane.call<{ token: string }>('POST', '/v1/principals/whom/tokens', { name: 't' });
    const actor = {
      subject_token: whom.body.token,
      actor_token: body.access_token,
      actor_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    };
    expect(await cnf(actor)).toEqual({ jkt: thumbprint });
    // And by REST: an API token for itself is bound, a client secret is refused.
    const post = async (path: string, json: object) =>
      await fetch(`${plane.url}${path}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `DPoP ${body.access_token}`,
          dpop: await proof(mine, { htu: `${plane.url}${path}`, ath: ath(body.access_token) }),
        },
        body: JSON.stringify(json),
      });
    const made = await post('/v1/principals/worker/tokens', { name: 'mine' });
    expect(made.status).toBe(201);
    const { token } = (await made.json()) as { token: string };
    expect(await get('Bearer', token)).toBe(401);
    const forGet = { htm: 'GET', htu: `${plane.url}/v1/whoami`, ath: ath(token) };
    expect(await get('DPoP', token, await proof(mine, forGet))).toBe(200);
    expect((await post('/v1/principals/worker/secrets', {})).status).toBe(403);
    await plane.call('PATCH', '/v1/principals/worker', { roles: ['member'] });
  });

  test('a bad proof at the token endpoint is an error of its own, and gives no token', async () => {
    const mine = await newKey('dpop');
    expect((await bound(await proof(mine, { htm: 'GET' }))).body).toMatchObject({ error: 'invalid_dpop_proof' });
    const whole = await exportJWK(mine.privateKey);
    expect((await bound(await proof(mine, {}, { jwk: whole as never }))).body).toMatchObject({
      error: 'invalid_dpop_proof',
    });
  });
});

test('an access token carries what it is bound to, and one that grows too large for it is refused, never thinned', async () => {
  const { body } = await signIn(await assertion());
  const x5t = createHash('sha256').update('certificate').digest('base64url');
  const ask = (more: Record<string, string>) =>
    plane.oauth<{ access_token: string; code?: string }>({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: body.access_token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource: 'db',
      ...more,
    });
  const made = await ask({ cnf_x5t_s256: x5t });
  expect(parseAccessTokenClaims(decodeJwt(made.body.access_token), '').cnf).toEqual({ 'x5t#S256': x5t });
  expect((await ask({ cnf_x5t_s256: 'short' })).status).toBe(400);
  const names = ['a'.repeat(36), 'b'.repeat(36)];
  const tokens: string[] = [];
  for (const name of names) {
    await plane.call('POST', '/v1/principals', { name, kind: 'ai_agent' });
    await plane.call('POST', '/v1/grants', {
      name: `g-${name.slice(0, 5)}`,
      principal: name,
      resource: 'db',
      effects: ['read'],
    });
    tokens.push(
      (await plane.call<{ token: string }>('POST', `/v1/principals/${name}/tokens`, { name: 't' })).body.token,
    );
  }
  const both = { subject_token: tokens[0]!, actor_token: tokens[1]!, cnf_x5t_s256: x5t, cnf_jkt: x5t };
  expect((await ask(both)).status).toBe(200);
  const large = await ask({ ...both, reason: 'x'.repeat(200) });
  expect(large).toMatchObject({ status: 400, body: { code: 'auth.token_too_large' } });
});
