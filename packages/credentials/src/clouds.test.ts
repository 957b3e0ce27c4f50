/**
 * The clouds' sources: AWS's SDK against a server that is a fake, RDS tokens against an independent signature of AWS's
 * documented algorithm, Google's and Azure's against SDKs that are fakes (none of the clouds can run here).
 */
import { createHash, createHmac } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GatewayError } from '@sallyport/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { awsRdsIamSource } from './aws-rds-iam.ts';
import { awsSecretsSource } from './aws-secrets.ts';
import { type AzureSdk, azureKeyVaultSource } from './azure-key-vault.ts';
import { cloudSdk, SDK_VERSIONS, type SdkPackage } from './cloud-sdk.ts';
import { type GcpSdk, gcpSecretSource } from './gcp-secret.ts';
import { openSources } from './index.ts';
import { type Ask, type Settings, settingProblems } from './source.ts';

/** Where `npm test` puts the clouds' own SDKs. */
const sdkDir = path.join(import.meta.dirname, '../../../test/sdks');
const isHere = existsSync(path.join(sdkDir, 'node_modules/@azure/identity/package.json'));
const host = { nowMs: () => 0, sdkDir, variable: () => undefined, readText: () => Promise.reject(new Error('none')) };
const ask = (settings: Settings, username = 'app'): Ask => ({
  username,
  settings,
  key: undefined,
  target: { host: 'db.abc.eu-central-1.rds.amazonaws.com', port: 5432 },
});
const errorOf = (work: Promise<unknown>): Promise<GatewayError> =>
  work.then(
    () => {
      throw new Error('it worked');
    },
    (error: unknown) => error as GatewayError,
  );
const AWS_KEYS = {
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
};
const before = { ...process.env };

beforeAll(() => void Object.assign(process.env, AWS_KEYS, { AWS_EC2_METADATA_DISABLED: 'true' }));
afterAll(() => {
  process.env = before;
});

test.skipIf(!isHere)(
  'a secret of AWS is asked by name and stage; what is refused says no word of the secret',
  async () => {
    const asked: { target: string; body: Record<string, unknown> }[] = [];
    const fake = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk.toString()));
      request.on('end', () => {
        const body = JSON.parse(text) as Record<string, unknown>;
        asked.push({ target: String(request.headers['x-amz-target']), body });
        const known = body['SecretId'] === 'prod/db';
        response.writeHead(known ? 200 : 400, { 'content-type': 'application/x-amz-json-1.1' });
        response.end(
          JSON.stringify(
            known
              ? { Name: 'prod/db', SecretString: '{"username":"svc","password":"aws-pass"}' }
              : { __type: 'ResourceNotFoundException', message: 'canary words' },
          ),
        );
      });
    });
    await new Promise<void>((done) => fake.listen(0, '127.0.0.1', done));
    const endpoint = `http://127.0.0.1:${(fake.address() as AddressInfo).port}`;
    const source = awsSecretsSource(host);
    const settings = { region: 'eu-central-1', endpoint, secret_id: 'prod/db', version_stage: 'AWSPENDING' };
    const fetched = await source.fetch(ask({ ...settings, field: 'password', username_field: 'username' }));
    expect([fetched.username, fetched.secret.reveal()]).toEqual(['svc', 'aws-pass']);
    expect(asked).toEqual([
      { target: 'secretsmanager.GetSecretValue', body: { SecretId: 'prod/db', VersionStage: 'AWSPENDING' } },
    ]);
    const error = await errorOf(source.fetch(ask({ ...settings, secret_id: 'other' })));
    expect(error.code).toBe('credential.unavailable');
    expect(JSON.stringify(error.detail)).toContain('ResourceNotFoundException');
    expect(JSON.stringify(error.detail)).not.toContain('canary');
    fake.close();
  },
  30_000,
);

test.skipIf(!isHere)(
  'an RDS token carries the signature that AWS’s algorithm gives',
  async () => {
    const fetched = await awsRdsIamSource(host).fetch(ask({ region: 'eu-central-1' }, 'app user'));
    expect(fetched.expiresAtMs).toBe(15 * 60_000);
    const url = new URL(`https://${fetched.secret.reveal()}`);
    expect(url.host).toBe('db.abc.eu-central-1.rds.amazonaws.com:5432');
    const query = Object.fromEntries(url.searchParams);
    expect(query).toMatchObject({
      Action: 'connect',
      DBUser: 'app user',
      'X-Amz-Expires': '900',
      'X-Amz-SignedHeaders': 'host',
    });
    expect(query['X-Amz-Signature']).toBe(presigned(url, query));
  },
  30_000,
);

/** AWS Signature Version 4, query form, for service rds-db: written from AWS's page "Create a signed AWS API request". */
function presigned(url: URL, query: Readonly<Record<string, string>>): string {
  const encode = (text: string): string =>
    encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
  const canonicalQuery = Object.keys(query)
    .filter((name) => name !== 'X-Amz-Signature')
    .sort()
    .map((name) => `${encode(name)}=${encode(query[name]!)}`)
    .join('&');
  const empty = createHash('sha256').update('').digest('hex');
  const canonical = ['GET', '/', canonicalQuery, `host:${url.host}`, '', 'host', empty].join('\n');
  const [, date = '', region = '', service = ''] = query['X-Amz-Credential']!.split('/');
  expect([region, service]).toEqual(['eu-central-1', 'rds-db']);
  const scope = `${date}/${region}/${service}/aws4_request`;
  const digest = createHash('sha256').update(canonical).digest('hex');
  const toSign = ['AWS4-HMAC-SHA256', query['X-Amz-Date'], scope, digest].join('\n');
  const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const key = [date, region, service, 'aws4_request'].reduce<Buffer | string>(
    hmac,
    `AWS4${AWS_KEYS.AWS_SECRET_ACCESS_KEY}`,
  );
  return hmac(key, toSign).toString('hex');
}

/** A fake of the part of Google's SDK that is used. */
const fakeGcp = (asked: string[]): GcpSdk =>
  ({
    SecretManagerServiceClient: class {
      accessSecretVersion({ name }: { name: string }) {
        asked.push(name);
        if (name.includes('/none/')) return Promise.reject(Object.assign(new Error('canary words'), { code: 5 }));
        return Promise.resolve([{ payload: { data: Buffer.from('gcp-pass') } }]);
      }
      close() {
        return Promise.resolve();
      }
    },
  }) as unknown as GcpSdk;

test('a secret of Google is asked by project, name and version', async () => {
  const asked: string[] = [];
  const source = gcpSecretSource(host, () => Promise.resolve([fakeGcp(asked)]));
  const fetched = await source.fetch(ask({ project: 'prod-1', secret: 'db' }));
  expect(fetched.secret.reveal()).toBe('gcp-pass');
  expect(asked).toEqual(['projects/prod-1/secrets/db/versions/latest']);
  const error = await errorOf(source.fetch(ask({ project: 'prod-1', secret: 'none' })));
  expect([error.code, JSON.stringify(error.detail).includes('canary')]).toEqual(['credential.unavailable', false]);
});

/** A fake of the parts of Azure's SDKs that are used. */
const fakeAzure = (asked: unknown[]): AzureSdk =>
  [
    {
      SecretClient: class {
        constructor(url: string) {
          asked.push(url);
        }
        getSecret(name: string, options: { version?: string }) {
          asked.push(name, options.version);
          return Promise.resolve({ value: '{"p":"azure-pass"}' });
        }
      },
    },
    { DefaultAzureCredential: class {} },
  ] as unknown as AzureSdk;

test('a secret of Azure is asked by vault, name and version', async () => {
  const asked: unknown[] = [];
  const source = azureKeyVaultSource(host, () => Promise.resolve(fakeAzure(asked)));
  const settings = { vault_url: 'https://prod.vault.azure.net', secret: 'db', version: 'ab12', field: 'p' };
  expect((await source.fetch(ask(settings))).secret.reveal()).toBe('azure-pass');
  expect(asked).toEqual(['https://prod.vault.azure.net', 'db', 'ab12']);
});

test('an SDK that is not installed is named with the command that adds it, and one that others may write to is not loaded', async () => {
  const empty = mkdtempSync(path.join(tmpdir(), 'sallyport-sdk-'));
  try {
    const asked = { region: 'eu-central-1', secret_id: 'x', project: 'p', secret: 's', vault_url: 'https://v.example' };
    const reasonOf = async (kind: string): Promise<unknown> => {
      const error = await errorOf(
        openSources({ ...host, sdkDir: empty })
          .get(kind)!
          .fetch(ask(asked)),
      );
      expect(error.code).toBe('credential.unavailable');
      return error.detail['reason'];
    };
    const added = (...packages: readonly SdkPackage[]): string =>
      `its SDK is not installed here: npm install --prefix ${empty} ${packages.map((name) => `${name}@${SDK_VERSIONS[name]}`).join(' ')}`;
    expect(await reasonOf('aws_secrets')).toBe(added('@aws-sdk/client-secrets-manager'));
    expect(await reasonOf('aws_rds_iam')).toBe(added('@aws-sdk/rds-signer'));
    expect(await reasonOf('gcp_secret')).toBe(added('@google-cloud/secret-manager'));
    expect(await reasonOf('azure_key_vault')).toBe(added('@azure/keyvault-secrets', '@azure/identity'));
    chmodSync(empty, 0o777);
    expect(await reasonOf('aws_secrets')).toBe(`others may write to ${empty}: chmod -R go-w ${empty}`);
  } finally {
    rmSync(empty, { recursive: true, force: true });
  }
});

test('the versions that are named are those the tests run with', () => {
  const { dependencies } = JSON.parse(readFileSync(path.join(sdkDir, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  expect(dependencies).toMatchObject(SDK_VERSIONS);
});

test.skipIf(!isHere)(
  'every SDK is loaded from its folder, and has the parts that are used',
  async () => {
    const [gcp] = await cloudSdk<[GcpSdk]>(host, 'gcp_secret', ['@google-cloud/secret-manager']);
    expect(typeof gcp.SecretManagerServiceClient.prototype.accessSecretVersion).toBe('function');
    const [keyVault, identity] = await cloudSdk<AzureSdk>(host, 'x', ['@azure/keyvault-secrets', '@azure/identity']);
    expect(typeof keyVault.SecretClient.prototype.getSecret).toBe('function');
    expect(typeof new identity.DefaultAzureCredential()).toBe('object');
  },
  30_000,
);

test('a setting that a source does not know, or a value that leaves its mount, is refused by name', () => {
  const sources = openSources(host);
  const vault = sources.get('vault')!;
  const good = { address: 'https://vault:8200', engine: 'kv2', path: 'apps/db', auth: 'token' };
  expect(settingProblems(vault, good)).toEqual([]);
  const named = (more: Settings): readonly string[] =>
    settingProblems(vault, { ...good, ...more }).map(({ setting }) => setting);
  expect(named({ path: 'apps/../sys/raw' })).toEqual(['path']);
  expect(named({ path: '../other' })).toEqual(['path']);
  expect(named({ address: 'http://vault:8200' })).toEqual(['address']);
  expect(named({ address: 'https://user:pass@vault' })).toEqual(['address']);
  expect(named({ key_env: 'SALLYPORT_JOIN_TOKEN' })).toEqual(['key_env']);
  expect(named({ password: 'x' })).toEqual(['password']);
  expect(named({ auth: 'approle' })).toEqual(['role_id']);
  expect(settingProblems(sources.get('env')!, { name: 'SALLYPORT_KEK' })).toHaveLength(1);
});
