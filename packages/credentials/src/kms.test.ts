/**
 * Every kind of KMS by the one interface: Vault's transit engine as a fake, the clouds' by their own SDKs against servers that
 * are fakes. Signing in to Azure is a fake too: a token it takes cannot be had without it.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type GatewayError, Secret } from '@sallyport/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AzureKeysSdk, azureKeysBy } from './azure-keys.ts';
import { cloudSdk, SDK_MS_MAX } from './cloud-sdk.ts';
import type { Kms } from './kms.ts';
import { KMS_KINDS, kmsProblems, openKms } from './kms-kinds.ts';
import type { Settings } from './source.ts';
import {
  type FakeKms,
  googleSignIn,
  startFakeAwsKms,
  startFakeAzureKeys,
  startFakeGcpKms,
  startFakeVault,
} from './testing/index.ts';

const sdkDir = path.join(import.meta.dirname, '../../../test/sdks');
const isHere = existsSync(path.join(sdkDir, 'node_modules/@azure/keyvault-keys/package.json'));
const host = {
  nowMs: () => Date.now(),
  sdkDir,
  variable: () => 'root',
  readText: () => Promise.reject(new Error('none')),
};
const before = { ...process.env };
const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-kms-'));

beforeAll(
  () =>
    void Object.assign(process.env, googleSignIn(dir), {
      AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
      AWS_EC2_METADATA_DISABLED: 'true',
    }),
);
afterAll(() => {
  process.env = before;
  rmSync(dir, { recursive: true, force: true });
});

/** Azure's own clients, signed in by a fake. */
const azure = azureKeysBy(async () => {
  const [keys] = await cloudSdk<AzureKeysSdk>(host, 'azure_keys', ['@azure/keyvault-keys', '@azure/identity']);
  class FakeCredential {
    getToken() {
      return Promise.resolve({ token: 'fake', expiresOnTimestamp: Date.now() + 3_600_000 });
    }
  }
  // Key Vault's client takes a challenge of its own domain alone: a fake at an address is none.
  const unchecked = <T extends new (...args: never[]) => object>(Client: T): T =>
    class {
      constructor(at: string, credential: object) {
        return new (Client as unknown as new (at: string, credential: object, options: object) => object)(
          at,
          credential,
          { disableChallengeResourceVerification: true },
        );
      }
    } as unknown as T;
  const taken = { KeyClient: unchecked(keys.KeyClient), CryptographyClient: unchecked(keys.CryptographyClient) };
  return [taken, { DefaultAzureCredential: FakeCredential }];
});

async function startVault(): Promise<FakeKms> {
  const vault = await startFakeVault();
  const settings = { address: vault.address, auth: 'token', key: 'sallyport', key_env: 'TOKEN' };
  return { ...vault, kind: 'vault_transit', settings, asked: [], rotate: () => undefined };
}
const reasonOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => {
      throw new Error('it worked');
    },
    (caught: unknown) => caught as GatewayError,
  );
  expect(error.code).toBe('credential.unavailable');
  return JSON.stringify(error.detail);
};

describe.each([
  ['vault_transit', true, startVault, undefined],
  ['aws_kms', isHere, startFakeAwsKms, 'alias/none'],
  ['gcp_kms', isHere, startFakeGcpKms, 'none'],
  ['azure_keys', isHere, startFakeAzureKeys, 'none'],
] as const)('%s', (kind, possible, start, none) => {
  const open = (fake: FakeKms, more: Settings = {}): Kms =>
    kind === 'azure_keys'
      ? azure.open('k', { ...fake.settings, ...more }, host)
      : openKms('k', kind, { ...fake.settings, ...more }, host);

  test.skipIf(!possible)(
    'what it wraps it unwraps, also after its own key was rotated, and holds no byte of the key in clear',
    async () => {
      const fake = await start();
      try {
        expect(kmsProblems(kind, fake.settings)).toEqual([]);
        const kms = open(fake);
        const key = randomBytes(32);
        const wrapped = await kms.wrap(new Secret(key));
        expect((await kms.unwrap(wrapped)).reveal()).toEqual(key);
        fake.rotate();
        const again = await kms.wrap(new Secret(key));
        for (const text of [wrapped, again]) expect((await open(fake).unwrap(text)).reveal()).toEqual(key);
        for (const form of ['hex', 'base64', 'base64url'] as const) expect(wrapped).not.toContain(key.toString(form));
      } finally {
        await fake.stop();
      }
    },
    60_000,
  );

  test.skipIf(!possible)(
    'what it did not wrap, a key it does not have and a service that is away are unavailable, without a word of its own',
    async () => {
      const fake = await start();
      try {
        const kms = open(fake);
        const key = new Secret(randomBytes(32));
        const wrapped = await kms.wrap(key);
        // Its own form, with another ending.
        const damaged = `${wrapped.slice(0, -8)}AAAAAAAA`;
        const reasons = [
          await reasonOf(kms.unwrap(damaged)),
          await reasonOf(kms.unwrap('')),
          ...(none === undefined ? [] : [await reasonOf(open(fake, { key: none }).wrap(key))]),
        ];
        fake.setAway(true);
        reasons.push(await reasonOf(kms.unwrap(wrapped)), await reasonOf(kms.wrap(key)));
        for (const reason of reasons) expect(reason).not.toContain('canary');
        fake.setAway(false);
        expect((await kms.unwrap(wrapped)).reveal()).toEqual(key.reveal());
      } finally {
        await fake.stop();
      }
    },
    60_000,
  );
});

describe.each([
  ['aws_kms', startFakeAwsKms],
  ['gcp_kms', startFakeGcpKms],
  ['azure_keys', startFakeAzureKeys],
] as const)('%s', (kind, start) => {
  test.skipIf(!isHere)(
    'a service that takes questions and answers none is unavailable after our own limit, not after the SDK’s',
    async () => {
      const fake = await start();
      try {
        const kms =
          kind === 'azure_keys' ? azure.open('k', fake.settings, host) : openKms('k', kind, fake.settings, host);
        const wrapped = await kms.wrap(new Secret(randomBytes(32)));
        fake.setAway('silent');
        expect(await reasonOf(kms.unwrap(wrapped))).toContain(`within ${SDK_MS_MAX / 1_000} s`);
      } finally {
        await fake.stop();
      }
    },
    60_000,
  );
});

test('every kind is refused by name with what it does not know, and with what it lacks', () => {
  expect(KMS_KINDS).toEqual(['vault_transit', 'aws_kms', 'gcp_kms', 'azure_keys']);
  for (const kind of KMS_KINDS) {
    const problems = kmsProblems(kind, { canary: 'x' }).map(({ setting }) => setting);
    expect(problems, kind).toEqual(expect.arrayContaining(['canary', 'key']));
  }
  const named = (kind: string, settings: Settings): readonly string[] =>
    kmsProblems(kind, settings).map(({ setting }) => setting);
  expect(named('aws_kms', { region: 'eu-central-1', key: 'a', endpoint: 'http://kms.example' })).toEqual(['endpoint']);
  expect(named('gcp_kms', { project: 'p', location: 'l', key_ring: 'r', key: 'k/../x' })).toEqual(['key']);
  expect(named('azure_keys', { vault_url: 'https://v.example', key: 'k', algorithm: 'RSA1_5' })).toEqual(['algorithm']);
});

test.skipIf(!isHere)(
  'what another key wrapped unwraps to nothing, and our purpose is bound in where the service can',
  async () => {
    for (const start of [startFakeAwsKms, startFakeGcpKms]) {
      const fake = await start();
      try {
        const other = openKms(
          'k',
          fake.kind,
          { ...fake.settings, key: fake.kind === 'aws_kms' ? 'alias/b' : 'b' },
          host,
        );
        const wrapped = await other.wrap(new Secret(randomBytes(32)));
        expect(await reasonOf(openKms('k', fake.kind, fake.settings, host).unwrap(wrapped))).toContain(fake.kind);
        expect(fake.asked).toHaveLength(2);
        for (const call of fake.asked) expect(call).toContain('sallyport/kek/1');
      } finally {
        await fake.stop();
      }
    }
  },
  60_000,
);
