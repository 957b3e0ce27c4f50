/** Tokens of other issuers as an agent verifies them by its bundle alone, and everything that must not pass for one. */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { ISSUED_SKEW_S, ISSUED_TOKEN_BYTES_MAX, parseTrustedIssuer, type TrustedIssuer } from '@sallyport/model';
import { describe, expect, test } from 'vitest';
import { claimsIssuer, knownIssuers, stillCounts, verifyIssuedToken } from './issuer-token.ts';

const NOW_MS = 1_800_000_000_000;
const NOW = NOW_MS / 1000;
const WORKER = { subject: '', id: 'w', name: 'worker', kind: 'service' } as const;
const ROBOT = { subject: '', id: 'r', name: 'robot', kind: 'ai_agent' } as const;

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ed = generateKeyPairSync('ed25519');
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwkOf = (key: KeyObject, more: object) => ({ ...key.export({ format: 'jwk' }), use: 'sig', ...more });

const rule = (more: object = {}): TrustedIssuer =>
  parseTrustedIssuer(
    {
      id: 'rule-1',
      projectId: 'p',
      name: 'pods',
      kind: 'jwt',
      issuer: 'https://cluster.example',
      audiences: ['sallyport'],
      maxAgeS: 3_600,
      claims: { 'kubernetes.io/namespace': ['payments'] },
      principal: 'worker',
      principals: [WORKER],
      keys: [jwkOf(ec.publicKey, { kid: 'one' })],
      ...more,
    },
    '',
  );
const POD = {
  iss: 'https://cluster.example',
  aud: ['sallyport'],
  sub: 'system:serviceaccount:payments:worker',
  iat: NOW - 60,
  nbf: NOW - 60,
  exp: NOW + 600,
  'kubernetes.io': { namespace: 'payments', serviceaccount: { name: 'worker' } },
};
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
function jwt(claims: object = {}, header: object = {}, key: KeyObject = ec.privateKey): string {
  const whole = { alg: 'ES256', kid: 'one', typ: 'JWT', ...header } as { alg: string };
  const input = `${part(whole)}.${part({ ...POD, ...claims })}`;
  const digest = key.asymmetricKeyType === 'ed25519' ? null : `sha${whole.alg.slice(2)}`;
  const padding = whole.alg.startsWith('PS') ? { padding: 6, saltLength: -1 } : {};
  const signature = sign(digest, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363', ...padding });
  return `${input}.${signature.toString('base64url')}`;
}
const judge = (token: string, rules: readonly TrustedIssuer[] = [rule()], nowMs = NOW_MS) =>
  verifyIssuedToken(token, knownIssuers(rules), nowMs);
const kind = (token: string, rules?: readonly TrustedIssuer[], nowMs?: number) => judge(token, rules, nowMs).kind;

test('a service account’s token makes the principal of its rule, and says by which', () => {
  const answer = judge(jwt());
  expect(answer).toMatchObject({
    kind: 'good',
    proof: { ruleId: 'rule-1', principal: WORKER },
    rule: { name: 'pods' },
  });
});

test.each([
  ['ES384', p384],
  ['RS256', rsa],
  ['RS512', rsa],
  ['PS256', rsa],
  ['EdDSA', ed],
] as const)('%s is verified with a key of its kind, and not with another', (alg, pair) => {
  const rules = [rule({ keys: [jwkOf(pair.publicKey, { kid: 'one' })] })];
  const token = jwt({}, { alg }, pair.privateKey);
  expect(kind(token, rules)).toBe('good');
  expect(kind(token)).toBe('bad');
  const changed = Buffer.from(token.split('.')[2]!, 'base64url');
  changed[5]! ^= 1;
  expect(kind(`${token.slice(0, token.lastIndexOf('.'))}.${changed.toString('base64url')}`, rules)).toBe('bad');
});

describe('refused', () => {
  test.each<[string, object]>([
    ['another issuer', { iss: 'https://cluster.example/' }],
    ['no issuer', { iss: undefined }],
    ['another audience', { aud: ['other'] }],
    ['an audience that only begins so', { aud: 'sallyport.evil' }],
    ['no audience', { aud: undefined }],
    ['no subject', { sub: undefined }],
    ['expired', { exp: NOW - ISSUED_SKEW_S }],
    ['no expiry', { exp: undefined }],
    ['an expiry that is a text', { exp: String(NOW + 600) }],
    ['not yet valid', { nbf: NOW + ISSUED_SKEW_S + 1 }],
    ['a beginning that is a text', { nbf: 'x' }],
    ['issued in the future', { iat: NOW + ISSUED_SKEW_S + 1 }],
    ['issued too long ago', { iat: NOW - 3_600 - ISSUED_SKEW_S - 1 }],
    ['issued too long ago, with an end that only the skew still allows', { iat: NOW - 3_640, exp: NOW - 15 }],
    ['not said when', { iat: undefined }],
    ['a life that is too long', { exp: NOW + 3_600 + ISSUED_SKEW_S }],
    ['another namespace', { 'kubernetes.io': { namespace: 'payments2' } }],
    ['a namespace with a slash behind it', { 'kubernetes.io': { namespace: 'payments/x' } }],
    ['no namespace', { 'kubernetes.io': undefined }],
    ['a token that acts for somebody already', { act: { sub: 'x' } }],
    ['a token that says who may act', { may_act: { sub: 'x' } }],
    ['a token that is bound to a key', { cnf: { jkt: 'x' } }],
    ['several audiences and a party the rule does not name', { aud: ['sallyport', 'b'], azp: 'b' }],
  ])('%s', (_what, claims) => expect(kind(jwt(claims))).toBe('bad'));

  test.each<[string, string]>([
    ['alg none', `${part({ alg: 'none' })}.${part(POD)}.`],
    ['alg none with something for a signature', `${part({ alg: 'none', kid: 'one' })}.${part(POD)}.AA`],
    ['another type', jwt({}, { typ: 'logout+jwt' })],
    ['a critical header', jwt({}, { crit: ['b64'], b64: false })],
    ['an unknown key id', jwt({}, { kid: 'two' })],
    ['a key id that is a path', jwt({}, { kid: '../../../etc/passwd' }, stranger.privateKey)],
    ['a key id that is no text', jwt({}, { kid: 1 })],
    ['another key under the id', jwt({}, {}, stranger.privateKey)],
    ['a key that it brings', jwt({}, { jwk: jwkOf(stranger.publicKey, {}) }, stranger.privateKey)],
    [
      'a key that it points at',
      jwt({}, { jku: 'https://evil.example', x5u: 'https://evil.example' }, stranger.privateKey),
    ],
    ['an algorithm of another curve', jwt({}, { alg: 'ES384' })],
    [
      'a signature in DER',
      jwt().replace(/[\w-]+$/, sign('sha256', Buffer.from('x'), ec.privateKey).toString('base64url')),
    ],
    ['a fourth part', `${jwt()}.x`],
    ['a space behind it', `${jwt()} `],
    ['junk', 'a.b.c'],
    ['lists for maps', `${part([])}.${part([])}.AA`],
    ['far too much of it', jwt({ pad: 'x'.repeat(ISSUED_TOKEN_BYTES_MAX) })],
  ])('%s', (_what, token) => expect(kind(token)).toBe('bad'));

  test('HMAC with the public key as its secret', () => {
    const input = `${part({ alg: 'HS256', kid: 'one' })}.${part(POD)}`;
    for (const secret of [JSON.stringify(rule().keys[0]), String(rule().keys[0]!.x)])
      expect(kind(`${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`)).toBe('bad');
  });

  test('an algorithm of the right key that is not on the list: RSA with SHA-1', () => {
    const rules = [rule({ keys: [jwkOf(rsa.publicKey, { kid: 'one' })] })];
    expect(kind(jwt({}, { alg: 'RS256' }, rsa.privateKey), rules)).toBe('good');
    expect(kind(jwt({}, { alg: 'RS1' }, rsa.privateKey), rules)).toBe('bad');
  });

  test('a key too short to sign, and one that cannot be read, which do not keep the others away', () => {
    const short = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const rules = [
      rule({
        keys: [
          jwkOf(short.publicKey, { kid: 'short' }),
          { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'odd' },
          jwkOf(ec.publicKey, { kid: 'one' }),
        ],
      }),
    ];
    expect(kind(jwt({}, { alg: 'RS256', kid: 'short' }, short.privateKey), rules)).toBe('bad');
    expect(kind(jwt({}, { kid: 'odd' }), rules)).toBe('bad');
    expect(kind(jwt(), rules)).toBe('good');
  });

  test('a token without a key id where several keys would do, and not where one does', () => {
    const two = [rule({ keys: [jwkOf(ec.publicKey, { kid: 'one' }), jwkOf(stranger.publicKey, { kid: 'two' })] })];
    expect(kind(jwt({}, { kid: undefined }), two)).toBe('bad');
    expect(kind(jwt({}, { kid: undefined }))).toBe('good');
  });
});

test('clocks that differ by less than half a minute either way are no reason', () => {
  expect(kind(jwt({ exp: NOW - ISSUED_SKEW_S + 1 }))).toBe('good');
  expect(kind(jwt({ iat: NOW + ISSUED_SKEW_S, nbf: NOW + ISSUED_SKEW_S }))).toBe('good');
});

test('two rules that make different principals of one token hold for none, and two that make the same hold', () => {
  const other = rule({ id: 'rule-2', name: 'robots', principal: 'robot', principals: [ROBOT] });
  expect(kind(jwt(), [rule(), other])).toBe('bad');
  expect(kind(jwt(), [rule(), rule({ id: 'rule-2', name: 'again' })])).toBe('good');
});

test('a template knows the values that were seen, and makes nobody', () => {
  const known = { subject: '["acme/a-b"]', id: 'x', name: 'ci-acme-a-b', kind: 'service' };
  const rules = [rule({ principal: 'ci-{project_path}', claims: { namespace_path: ['acme'] }, principals: [known] })];
  const job = (path: string) => judge(jwt({ namespace_path: 'acme', project_path: path }), rules);
  expect(job('acme/a-b')).toMatchObject({ kind: 'good', proof: { principal: known } });
  // Written alike, and another one.
  expect(job('acme/a/b').kind).toBe('bad');
  expect(job('acme/new').kind).toBe('bad');
});

test('a JWT-SVID goes by its subject’s trust domain', () => {
  const mesh = rule({
    kind: 'svid',
    issuer: 'spiffe://example.org',
    claims: { sub: ['spiffe://example.org/ns/payments/sa/*'] },
  });
  const svid = (sub: string) => kind(jwt({ sub, iss: undefined, iat: undefined, nbf: undefined }), [mesh]);
  expect(svid('spiffe://example.org/ns/payments/sa/worker')).toBe('good');
  expect(svid('spiffe://example.com/ns/payments/sa/worker')).toBe('bad');
  expect(svid('spiffe://example.org/ns/payments/sa/a/b')).toBe('bad');
  // What it says of its issuer does not make it one of the domain, however wide the rule is.
  const wide = rule({ kind: 'svid', issuer: 'spiffe://example.org', claims: { sub: ['spiffe://**'] } });
  const foreign = { sub: 'spiffe://evil.example/ns/payments/sa/worker', iss: 'spiffe://example.org' };
  expect(kind(jwt(foreign), [wide])).toBe('bad');
  expect(kind(jwt({ ...foreign, sub: 'spiffe://example.org/x' }), [wide])).toBe('good');
});

test('one that names our own issuer is never asked of others', () => {
  expect(claimsIssuer(jwt({ iss: 'sallyport:1' }), 'sallyport:1')).toBe(true);
  expect(claimsIssuer(jwt(), 'sallyport:1')).toBe(false);
  expect(claimsIssuer('x', 'sallyport:1')).toBe(false);
});

test('what opened a session counts as long as its rule makes the same principal of it', () => {
  const answer = judge(jwt());
  if (answer.kind === 'bad') throw new Error(answer.why);
  const counts = (rules: readonly TrustedIssuer[]): boolean => stillCounts(answer.proof, rules);
  expect(counts([rule()])).toBe(true);
  expect(counts([rule({ maxAgeS: 60 })])).toBe(true);
  expect(counts([rule({ keys: [] })])).toBe(true);
  expect(counts([])).toBe(false);
  expect(counts([rule({ audiences: ['other'] })])).toBe(false);
  expect(counts([rule({ issuer: 'https://other.example' })])).toBe(false);
  expect(counts([rule({ claims: { sub: ['other'] } })])).toBe(false);
  expect(counts([rule({ principal: 'robot', principals: [ROBOT] })])).toBe(false);
  expect(counts([rule({ principals: [] })])).toBe(false);
});
