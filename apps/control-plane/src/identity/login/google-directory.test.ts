/** Groups of Google Workspace, read from a fake of its directory (testing/google-directory.fake.ts): whole, or not at all. */
import { LIMITS, Secret } from '@sallyport/core';
import { exportPKCS8, generateKeyPair } from 'jose';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ADMINISTRATOR, GoogleDirectoryFake, SERVICE_ACCOUNT } from '../../testing/google-directory.fake.ts';
import { GoogleDirectory } from './google-directory.ts';
import { ProviderHttp } from './provider-fetch.ts';

const google = new GoogleDirectoryFake();
let nowMs = Date.now();
beforeAll(async () => {
  google.nowMs = () => nowMs;
  await google.start();
});
beforeEach(() => {
  google.groups = { 'ana@corp.example': ['DBA@corp.example', 'all@corp.example'], 'lone@corp.example': [] };
  google.failures = [];
  google.tokenFailure = undefined;
  google.pageMax = 200;
  google.tokens = 0;
  google.pages.length = 0;
  nowMs = Date.now();
});
afterAll(() => google.stop());

const directory = (config: object = {}, key = google.privateKey): GoogleDirectory =>
  new GoogleDirectory(
    { kind: 'google_directory', serviceAccount: SERVICE_ACCOUNT, actAs: ADMINISTRATOR, ...config },
    new Secret(key),
    new ProviderHttp({ loopback: true }),
    () => nowMs,
    google.endpoints,
  );
const groupsOf = (email: string | undefined, from = directory()) => from.groupsOf({ email });
const AWAY = { code: 'auth.provider_unavailable' };

test('the groups of a person are their addresses in lower case; somebody in none has none', async () => {
  expect(await groupsOf('ana@corp.example')).toEqual(['dba@corp.example', 'all@corp.example']);
  expect(await groupsOf('lone@corp.example')).toEqual([]);
});

test('every page is read, each by the token of the one before', async () => {
  const all = Array.from({ length: 450 }, (_, i) => `g${i}@corp.example`);
  google.groups = { 'ana@corp.example': all };
  expect(await groupsOf('ana@corp.example')).toEqual(all);
  expect(google.pages.map(({ pageToken }) => pageToken === null)).toEqual([true, false, false]);
});

test('one group more than a sign-in may bring is an error with its own name, and reading stops there', async () => {
  const many = Array.from({ length: LIMITS.groupsPerSignInMax + 500 }, (_, i) => `g${i}@corp.example`);
  google.groups = { 'ana@corp.example': many.slice(0, LIMITS.groupsPerSignInMax) };
  expect(await groupsOf('ana@corp.example')).toHaveLength(LIMITS.groupsPerSignInMax);
  google.groups = { 'ana@corp.example': many };
  google.pages.length = 0;
  await expect(groupsOf('ana@corp.example')).rejects.toMatchObject({ code: 'auth.groups_overage' });
  expect(google.pages.length).toBe(LIMITS.groupsPerSignInMax / 200 + 1);
});

test('the token is asked for once and used until shortly before its end', async () => {
  const one = directory();
  await groupsOf('ana@corp.example', one);
  await groupsOf('lone@corp.example', one);
  expect(google.tokens).toBe(1);
  nowMs += 301_000;
  await groupsOf('ana@corp.example', one);
  expect(google.tokens).toBe(2);
});

test('a token that Google has taken back is replaced by a fresh one, once', async () => {
  const one = directory();
  await groupsOf('ana@corp.example', one);
  google.expireTokens();
  expect(await groupsOf('ana@corp.example', one)).toHaveLength(2);
  expect(google.tokens).toBe(2);
  google.failures = [
    { status: 401, reason: 'authError' },
    { status: 401, reason: 'authError' },
  ];
  await expect(groupsOf('ana@corp.example', one)).rejects.toMatchObject(AWAY);
});

test.each([
  [403, 'forbidden'],
  [429, 'rateLimitExceeded'],
  [403, 'quotaExceeded'],
  [500, 'backendError'],
  [503, 'backendError'],
])('an answer of %i (%s) is no answer, not "no groups"', async (status, reason) => {
  google.failures = [{ status, reason }];
  await expect(groupsOf('ana@corp.example')).rejects.toMatchObject(AWAY);
});

test('an error in the middle of the pages gives none of them', async () => {
  google.pageMax = 1;
  const one = directory();
  await groupsOf('lone@corp.example', one);
  let asked = 0;
  google.groups = {
    get 'ana@corp.example'() {
      if (++asked === 2) google.failures = [{ status: 500, reason: 'backendError' }];
      return ['a@corp.example', 'b@corp.example', 'c@corp.example'];
    },
  };
  await expect(groupsOf('ana@corp.example', one)).rejects.toMatchObject(AWAY);
});

test('a person whom the directory does not know, or without an address, does not get in as somebody without groups', async () => {
  await expect(groupsOf('stranger@other.example')).rejects.toMatchObject(AWAY);
  await expect(groupsOf(undefined)).rejects.toMatchObject(AWAY);
});

test('a delegation that is missing, a wrong key, and another administrator are refused at the token', async () => {
  google.tokenFailure = 'unauthorized_client';
  await expect(groupsOf('ana@corp.example')).rejects.toMatchObject(AWAY);
  google.tokenFailure = undefined;
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  await expect(groupsOf('ana@corp.example', directory({}, await exportPKCS8(privateKey)))).rejects.toMatchObject(AWAY);
  await expect(groupsOf('ana@corp.example', directory({ actAs: 'other@corp.example' }))).rejects.toMatchObject(AWAY);
});
