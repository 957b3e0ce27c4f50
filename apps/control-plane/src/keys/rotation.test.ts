/** Rotation with a moved clock on a real control plane: successors are known before they sign, and old signatures hold. */
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { Keys } from './keys.ts';
import { KEY_PLANS, ROTATION_DELAY_MS } from './purposes.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
let plane: TestControlPlane;
let keys: Keys;
let botToken: string;
beforeAll(async () => {
  plane = await startTestControlPlane();
  keys = plane.controlPlane.app.get(Keys, { strict: false });
  await plane.call('POST', '/v1/resources', { name: 'db', type: 'postgres', postgres: { host: 'db.internal' } });
  await plane.call('POST', '/v1/principals', { name: 'bot', kind: 'service', roles: ['member'] });
  await plane.call('POST', '/v1/grants', { name: 'bot', principal: 'bot', resource: 'db', effects: ['read'] });
  const made = await plane.call<{ token: string }>('POST', '/v1/principals/bot/tokens', { name: 'test' });
  botToken = made.body.token;
}, 60_000);
afterAll(async () => await plane.stop());

const jwks = async (): Promise<JSONWebKeySet> =>
  (await plane.call<JSONWebKeySet>('GET', '/v1/keys', undefined, '')).body;
const published = async (): Promise<readonly (string | undefined)[]> => (await jwks()).keys.map((key) => key.kid);
async function accessToken(): Promise<string> {
  const { body } = await plane.oauth<{ access_token: string }>({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: botToken,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    resource: 'db',
  });
  return body.access_token;
}
const kidOf = (token: string): string => decodeProtectedHeader(token).kid!;
const verified = async (token: string) =>
  await jwtVerify(token, createLocalJWKSet(await jwks()), { currentDate: plane.clock.now() });

test('a rotated key is published at once, signs every token from its minute on, and tokens of the old one still verify', async () => {
  const old = await accessToken();
  const { body } = await plane.call<{ id: string }>('POST', '/v1/keys/rotate', { purpose: 'access_token' });
  expect(await published()).toEqual(expect.arrayContaining([kidOf(old), body.id]));
  expect(kidOf(await accessToken())).toBe(kidOf(old));

  plane.clock.offsetMs += ROTATION_DELAY_MS;
  const fresh = await Promise.all([accessToken(), accessToken(), accessToken()]);
  expect(fresh.map(kidOf)).toEqual([body.id, body.id, body.id]);
  for (const token of [old, ...fresh]) expect((await verified(token)).payload.sub).toBeDefined();

  plane.clock.offsetMs += KEY_PLANS.access_token.overlapMs - ROTATION_DELAY_MS;
  expect(await published()).toContain(kidOf(old));
  plane.clock.offsetMs += 2 * ROTATION_DELAY_MS;
  expect(await published()).not.toContain(kidOf(old));
  await expect(verified(old)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' });
  expect(kidOf(await accessToken())).toBe(body.id);
});

test('in half a year of hourly looks each key is known long before it signs, and there is always one that does', async () => {
  const ours = async (): Promise<Set<string>> =>
    new Set((await keys.verificationKeys()).filter(({ use }) => use !== 'ssh_user').map(({ kid }) => kid));
  let known = await ours();
  const signers = new Set<string>();
  for (let hours = 0; hours < 182 * 24; hours += 8) {
    plane.clock.offsetMs += 8 * HOUR_MS;
    await keys.rotateDue();
    for (const purpose of ['access_token', 'approval'] as const) {
      const { keyId } = await keys.sign(purpose, Buffer.from('x'));
      signers.add(keyId);
      expect(known, `${purpose} after ${hours} h`).toContain(keyId);
    }
    known = await ours();
  }
  // Ninety days each: the first, and two successors, for both purposes.
  expect(signers.size).toBe(6);
  expect(known.size).toBeLessThanOrEqual(4);
});

test('a control plane that was off until every signing key had ended signs again from its start', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-cp-'));
  chmodSync(dir, 0o711);
  const first = await startTestControlPlane({}, dir);
  await first.controlPlane.stop();
  first.clock.offsetMs = 500 * DAY_MS;
  const again = await startTestControlPlane({}, dir, first.clock);
  try {
    const late = again.controlPlane.app.get(Keys, { strict: false });
    for (const purpose of ['access_token', 'approval', 'bundle', 'trail'] as const)
      expect((await late.sign(purpose, Buffer.from('x'))).signature.length).toBe(64);
  } finally {
    await again.stop();
  }
}, 90_000);
