/** Access tokens across a rotation of the signing key, with a clock given. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import { type TokenTrust, verifyAccessToken } from './access-token.ts';

const ROTATED = 1_800_000_000_000;
const OVERLAP = 86_400_000;
const DB = '0190b3a4-0000-7000-8000-0000000000aa';
const PROJECT = '0190b3a4-0000-7000-8000-0000000000bb';
const ISSUER = 'sallyport:0190b3a4';

const pair = () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey: createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' })), publicKey };
};
const old = pair();
const fresh = pair();
const about = (kid: string, notBefore: number, notAfter: number) =>
  ({ kid, use: 'access_token', issuer: ISSUER, jwk: { kty: 'EC', crv: 'P-256', x: '' }, notBefore, notAfter }) as const;
const trust: TokenTrust = {
  issuer: ISSUER,
  projectId: PROJECT,
  key: (kid) =>
    ({
      old: { key: old.publicKey, about: about('old', 0, ROTATED + OVERLAP) },
      fresh: { key: fresh.publicKey, about: about('fresh', ROTATED, ROTATED + 90 * OVERLAP) },
    })[kid],
};

function token(kid: string, key: KeyObject, atMs: number): string {
  const iat = Math.floor(atMs / 1000);
  const claims = {
    iss: ISSUER,
    aud: DB,
    sub: '0190b3a4-0000-7000-8000-0000000000cc',
    nam: 'bot',
    knd: 'service',
    jti: 'abcdefghijkl',
    iat,
    exp: iat + 300,
    prj: PROJECT,
    gr: ['*'],
  };
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${part({ alg: 'ES256', typ: 'at+jwt', kid })}.${part(claims)}`;
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}
const kindAt = (text: string, nowMs: number): string => verifyAccessToken(text, trust, DB, nowMs).kind;

test('tokens of the old key and of the new one both open sessions while the old one overlaps', () => {
  expect(kindAt(token('old', old.privateKey, ROTATED - 1_000), ROTATED + 60_000)).toBe('good');
  expect(kindAt(token('fresh', fresh.privateKey, ROTATED), ROTATED)).toBe('good');
  expect(kindAt(token('fresh', fresh.privateKey, ROTATED + 60_000), ROTATED + 60_000)).toBe('good');
});

test('a clock that lags by the allowed skew takes a token of a key that has just begun, one that lags more does not', () => {
  const text = token('fresh', fresh.privateKey, ROTATED);
  expect(kindAt(text, ROTATED - 30_000)).toBe('good');
  expect(kindAt(text, ROTATED - 31_000)).toBe('bad');
});

test('after its overlap the old key opens nothing, and neither key speaks for the other', () => {
  const late = ROTATED + OVERLAP;
  expect(kindAt(token('old', old.privateKey, late), late)).toBe('good');
  expect(kindAt(token('old', old.privateKey, late), late + 1)).toBe('bad');
  expect(kindAt(token('fresh', old.privateKey, ROTATED), ROTATED)).toBe('bad');
  expect(kindAt(token('gone', fresh.privateKey, ROTATED), ROTATED)).toBe('bad');
});

test('a token whose signature was right before is judged again in all else, and its signature again by another key', () => {
  const text = token('fresh', fresh.privateKey, ROTATED);
  expect(kindAt(text, ROTATED)).toBe('good');
  expect(kindAt(text, ROTATED)).toBe('good');
  expect(kindAt(text, ROTATED + 331_000)).toBe('bad');
  expect(verifyAccessToken(text, trust, PROJECT, ROTATED).kind).toBe('bad');
  expect(verifyAccessToken(text, { ...trust, projectId: DB }, DB, ROTATED).kind).toBe('bad');
  expect(verifyAccessToken(text, { ...trust, issuer: 'another' }, DB, ROTATED).kind).toBe('bad');
  expect(verifyAccessToken(text, { ...trust, key: () => undefined }, DB, ROTATED).kind).toBe('bad');
  const [head, claims, signature] = text.split('.') as [string, string, string];
  const other = signature.startsWith('A') ? `B${signature.slice(1)}` : `A${signature.slice(1)}`;
  expect(kindAt(`${head}.${claims}.${other}`, ROTATED)).toBe('bad');
  const replaced: TokenTrust = {
    ...trust,
    key: () => ({ key: old.publicKey, about: about('fresh', ROTATED, ROTATED + OVERLAP) }),
  };
  expect(verifyAccessToken(text, replaced, DB, ROTATED).kind).toBe('bad');
  expect(kindAt(text, ROTATED)).toBe('good');
});
