/**
 * The Vault source against Vault itself, where SALLYPORT_TEST_VAULT names a binary or scripts/test-vault.ts has built one,
 * and against the fake that is held to it.
 */
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GatewayError, Secret } from '@sallyport/core';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ask, CredentialSource, Fetched, Settings } from './source.ts';
import { type FakeVault, hasVault, startFakeVault, startVaultServer } from './testing/index.ts';
import { vaultSource } from './vault.ts';

const isHere = hasVault;

interface Store {
  readonly address: string;
  readonly appRole: { readonly roleId: string; readonly secretId: string };
  readonly jwt: string;
  /** Whether an account of a lease is there. */
  account(fetched: Fetched): Promise<boolean>;
  /** As a server's helper asks whether a one-time password is good; it is spent by that. */
  verifyOtp(otp: string): Promise<boolean>;
  /** Makes its tokens unknown, as a restarted store would. */
  forgetTokens(): Promise<void>;
  stop(): Promise<void>;
}

const ask = (settings: Settings, key?: string): Ask => ({
  username: 'app',
  settings,
  key: key === undefined ? undefined : new Secret(key),
  target: undefined,
});
const codeOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => 'none',
    (error: unknown) => (error instanceof GatewayError ? error.code : String(error)),
  );

describe.each([
  ['the fake', true, startFake],
  ['Vault itself', isHere, startVault],
] as const)('%s', (_name, possible, start) => {
  let store: Store;
  let source: CredentialSource;
  let nowMs = Date.now();
  const files = new Map<string, string>();
  const base = (more: Settings): Settings => ({ address: store.address, auth: 'token', ...more });

  beforeAll(async () => {
    if (!possible) return;
    store = await start();
    files.set('/jwt', store.jwt);
    source = vaultSource({
      nowMs: () => nowMs,
      sdkDir: '',
      variable: (name) => (name === 'VAULT_KEY' ? 'root' : undefined),
      readText: async (file) => {
        const text = files.get(file);
        if (text === undefined) throw new Error('no such file');
        return await Promise.resolve(text);
      },
    });
  }, 120_000);
  afterAll(async () => await store?.stop(), 60_000);

  test.skipIf(!possible)('KV version 2 and 1 give a password and a user name by field', async () => {
    const two = await source.fetch(
      ask(base({ engine: 'kv2', path: 'apps/db', field: 'password', username_field: 'user' }), 'root'),
    );
    expect([two.username, two.secret.reveal()]).toEqual(['kv-user', 'kv-two-pass']);
    const one = await source.fetch(ask(base({ engine: 'kv1', mount: 'kv', path: 'apps/db', key_env: 'VAULT_KEY' })));
    expect([one.username, one.secret.reveal()]).toEqual(['app', 'kv-one-pass']);
    expect(await codeOf(source.fetch(ask(base({ engine: 'kv2', path: 'apps/none' }), 'root')))).toBe(
      'credential.unavailable',
    );
    expect(await codeOf(source.fetch(ask(base({ engine: 'kv2', path: 'apps/db', field: 'none' }), 'root')))).toBe(
      'credential.unavailable',
    );
  });

  test.skipIf(!possible)('AppRole and Kubernetes sign in, and what is wrong with them says no secret', async () => {
    const { roleId, secretId } = store.appRole;
    const settings = base({ auth: 'approle', role_id: roleId, engine: 'kv2', path: 'apps/db', field: 'password' });
    expect((await source.fetch(ask(settings, secretId))).secret.reveal()).toBe('kv-two-pass');
    const wrong = source.fetch(ask({ ...settings, role_id: 'other' }, 'canary-secret-id'));
    const error = await wrong.catch((cause: unknown) => cause as GatewayError);
    expect(error).toBeInstanceOf(GatewayError);
    expect(JSON.stringify((error as GatewayError).detail)).not.toContain('canary');
    const pod = base({
      auth: 'kubernetes',
      auth_role: 'app',
      jwt_file: '/jwt',
      engine: 'kv2',
      path: 'apps/db',
      field: 'password',
    });
    expect((await source.fetch(ask(pod))).secret.reveal()).toBe('kv-two-pass');
    expect(await codeOf(source.fetch(ask({ ...pod, jwt_file: '/none' })))).toBe('credential.unavailable');
    files.set('/forged', 'not-a-token');
    expect(await codeOf(source.fetch(ask({ ...pod, jwt_file: '/forged' })))).toBe('credential.unavailable');
  });

  test.skipIf(!possible)('a sign-in is never shared with a credential that has another secret', async () => {
    const asked = (key: string): Ask => ask(base({ engine: 'kv2', path: 'apps/db', field: 'password' }), key);
    expect((await source.fetch(asked('root'))).secret.reveal()).toBe('kv-two-pass');
    expect(await codeOf(source.fetch(asked('not-the-token')))).toBe('credential.unavailable');
  });

  test.skipIf(!possible)(
    'a database account is leased, prolonged and given back, and giving back twice is no error',
    async () => {
      const asked = ask(base({ engine: 'database', path: 'app' }), 'root');
      const fetched = await source.fetch(asked);
      const id = fetched.lease?.id ?? '';
      expect(fetched.lease?.expiresAtMs).toBeGreaterThan(nowMs);
      expect(await store.account(fetched)).toBe(true);
      expect(await source.renew?.(asked, id)).toBeGreaterThan(nowMs);
      await source.revoke?.(asked, id);
      expect(await store.account(fetched)).toBe(false);
      await source.revoke?.(asked, id);
      expect(await codeOf(source.renew!(asked, id))).toBe('credential.unavailable');
    },
  );

  test.skipIf(!possible)('a token that the store has forgotten is made anew', async () => {
    const { roleId, secretId } = store.appRole;
    const asked = ask(
      base({ auth: 'approle', role_id: roleId, engine: 'kv2', path: 'apps/db', field: 'password' }),
      secretId,
    );
    await source.fetch(asked);
    await store.forgetTokens();
    nowMs += 1;
    expect((await source.fetch(asked)).secret.reveal()).toBe('kv-two-pass');
  });
});

describe('SSH', () => {
  const possible = isHere;
  let store: Store;
  let source: CredentialSource;
  const settings = (more: Settings): Settings => ({ address: store.address, auth: 'token', ...more });
  const session = (): string => {
    const { publicKey } = generateKeyPairSync('ed25519');
    const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
    const lengthed = (bytes: Buffer): Buffer => Buffer.concat([Buffer.of(0, 0, 0, bytes.length), bytes]);
    return `ssh-ed25519 ${Buffer.concat([lengthed(Buffer.from('ssh-ed25519')), lengthed(raw)]).toString('base64')}`;
  };

  beforeAll(async () => {
    if (!possible) return;
    store = await startVault();
    source = vaultSource({
      nowMs: () => Date.now(),
      sdkDir: '',
      variable: () => undefined,
      readText: () => Promise.reject(new Error('none')),
    });
  }, 120_000);
  afterAll(async () => await store?.stop(), 60_000);

  test.skipIf(!possible)('Vault itself signs a session’s key for the accounts and the time asked', async () => {
    const publicKey = session();
    const asked = ask(settings({ engine: 'ssh', path: 'app' }), 'root');
    const made = await source.sshCertificate!(asked, { publicKey, principals: ['deploy', 'app'], ttlMs: 120_000 });
    expect([...made.certificate.principals].sort()).toEqual(['app', 'deploy']);
    expect([...made.certificate.extensions.keys()]).toEqual(['permit-pty']);
    expect(made.expiresAtMs).toBeGreaterThan(Date.now());
    expect(made.expiresAtMs).toBeLessThan(Date.now() + 180_000);
    expect(made.certificate.publicKey.blob.toString('base64')).toBe(publicKey.split(' ')[1]);
    const refused = (more: { principals?: readonly string[]; ttlMs?: number }): Promise<string> =>
      codeOf(source.sshCertificate!(asked, { publicKey, principals: ['app'], ttlMs: 60_000, ...more }));
    // The role's own limits, and what would be asked for by another meaning of the text.
    expect(await refused({ principals: ['root'] })).toBe('credential.unavailable');
    expect(await refused({ ttlMs: 48 * 3_600_000 })).toBe('credential.unavailable');
    expect(await refused({ principals: [] })).toBe('credential.unavailable');
    expect(await refused({ principals: ['app,root'] })).toBe('credential.unavailable');
    expect(await codeOf(source.fetch(asked))).toBe('credential.unavailable');
    const passwords = ask(settings({ engine: 'kv2', path: 'apps/db' }), 'root');
    expect(await codeOf(source.sshCertificate!(passwords, { publicKey, principals: ['app'], ttlMs: 60_000 }))).toBe(
      'credential.unavailable',
    );
  });

  test.skipIf(!possible)(
    'a one-time password of Vault itself is leased, and void once its lease is revoked',
    async () => {
      const asked = {
        ...ask(settings({ engine: 'ssh_otp', path: 'otp' }), 'root'),
        target: { host: '127.0.0.1', port: 22 },
      };
      const used = await source.fetch(asked);
      expect(used.username).toBe('app');
      expect(await store.verifyOtp(used.secret.reveal())).toBe(true);
      expect(await store.verifyOtp(used.secret.reveal())).toBe(false);
      // A session does not end because its spent password cannot be prolonged.
      expect(await source.renew?.(asked, used.lease?.id ?? '')).toBeGreaterThan(Date.now());
      await source.revoke?.(asked, used.lease?.id ?? '');
      const unused = await source.fetch(asked);
      await source.revoke?.(asked, unused.lease?.id ?? '');
      expect(await store.verifyOtp(unused.secret.reveal())).toBe(false);
      expect(await codeOf(source.fetch({ ...asked, target: { host: '192.0.2.1', port: 22 } }))).toBe(
        'credential.unavailable',
      );
      expect(await codeOf(source.fetch({ ...asked, target: undefined }))).toBe('credential.unavailable');
    },
  );
});

test('a redirect is not followed, and a store that is away is said so', async () => {
  let followed = false;
  const other = createServer((_request, response) => {
    followed = true;
    response.end('{}');
  });
  const server = createServer((_request, response) => {
    response.writeHead(307, { location: `http://127.0.0.1:${(other.address() as AddressInfo).port}/v1/x` });
    response.end();
  });
  await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const source = vaultSource({
    nowMs: () => 0,
    sdkDir: '',
    variable: () => undefined,
    readText: () => Promise.reject(new Error('none')),
  });
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const asked = (to: string): Ask => ask({ address: to, auth: 'token', engine: 'kv2', path: 'a' }, 'root');
  expect(await codeOf(source.fetch(asked(address)))).toBe('credential.unavailable');
  expect(followed).toBe(false);
  server.close();
  other.close();
  expect(await codeOf(source.fetch(asked('http://127.0.0.1:1')))).toBe('credential.unavailable');
});

async function startFake(): Promise<Store> {
  const fake: FakeVault = await startFakeVault();
  fake.secrets.set('secret/data/apps/db', { password: 'kv-two-pass', user: 'kv-user' });
  fake.secrets.set('kv/apps/db', { password: 'kv-one-pass' });
  return {
    address: fake.address,
    appRole: fake.appRole,
    jwt: fake.jwt,
    account: (fetched) => Promise.resolve(fake.leases.has(fetched.lease?.id ?? '')),
    verifyOtp: () => Promise.resolve(false),
    forgetTokens: () => {
      for (const token of fake.tokens) if (token !== 'root') fake.tokens.delete(token);
      return Promise.resolve();
    },
    stop: () => fake.stop(),
  };
}

async function startVault(): Promise<Store> {
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-vault-'));
  // PostgreSQL runs as nobody when the tests run as root.
  chmodSync(dir, 0o711);
  const postgres: EmbeddedPostgres = await startEmbeddedPostgres({ dir: path.join(dir, 'pg') });
  const reviewer = await startTokenReview();
  const vault = await startVaultServer();
  const { address } = vault;
  const api = (method: string, at: string, body?: unknown): Promise<Record<string, unknown>> =>
    vault.api(method, at, body);
  const admin = new pg.Client({ connectionString: postgres.url() });
  await admin.connect();
  await api('POST', 'secret/data/apps/db', { data: { password: 'kv-two-pass', user: 'kv-user' } });
  await api('POST', 'sys/mounts/kv', { type: 'kv', options: { version: '1' } });
  await api('POST', 'kv/apps/db', { password: 'kv-one-pass' });
  await api('PUT', 'sys/policies/acl/app', {
    policy:
      'path "secret/data/apps/*" { capabilities = ["read"] } path "database/creds/app" { capabilities = ["read"] }',
  });
  await api('POST', 'sys/auth/approle', { type: 'approle' });
  await api('POST', 'auth/approle/role/app', { token_policies: ['app'], token_ttl: '1h' });
  const roleId = ((await api('GET', 'auth/approle/role/app/role-id'))['data'] as { role_id: string }).role_id;
  const secretId = ((await api('POST', 'auth/approle/role/app/secret-id'))['data'] as { secret_id: string }).secret_id;
  await api('POST', 'sys/auth/kubernetes', { type: 'kubernetes' });
  await api('POST', 'auth/kubernetes/config', {
    kubernetes_host: reviewer.address,
    disable_local_ca_jwt: true,
    token_reviewer_jwt: 'reviewer',
  });
  await api('POST', 'auth/kubernetes/role/app', {
    bound_service_account_names: ['app'],
    bound_service_account_namespaces: ['default'],
    audience: 'vault',
    token_policies: ['app'],
  });
  await api('POST', 'sys/mounts/database', { type: 'database' });
  const { host, port: pgPort, password } = postgres;
  await api('POST', 'database/config/pg', {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: 'app',
    connection_url: `postgresql://{{username}}:{{password}}@${host}:${pgPort}/postgres?sslmode=disable`,
    username: 'postgres',
    password,
  });
  await api('POST', 'database/roles/app', {
    db_name: 'pg',
    creation_statements: [`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`],
    default_ttl: '2m',
    max_ttl: '1h',
  });
  await api('POST', 'sys/mounts/ssh', { type: 'ssh' });
  await api('POST', 'ssh/config/ca', { generate_signing_key: true, key_type: 'ssh-ed25519' });
  const signing = { key_type: 'ca', allow_user_certificates: true, default_extensions: { 'permit-pty': '' } };
  await api('POST', 'ssh/roles/app', { ...signing, allowed_users: 'app,deploy', max_ttl: '1h' });
  await api('POST', 'ssh/roles/otp', {
    key_type: 'otp',
    default_user: 'app',
    cidr_list: '127.0.0.0/8',
    allowed_users: 'app',
  });
  return {
    address,
    verifyOtp: async (otp) =>
      await api('POST', 'ssh/verify', { otp }).then(
        () => true,
        () => false,
      ),
    appRole: { roleId, secretId },
    jwt: reviewer.jwt,
    account: async (fetched) =>
      (await admin.query('select 1 from pg_roles where rolname = $1', [fetched.username])).rowCount === 1,
    forgetTokens: async () => void (await api('PUT', 'sys/leases/revoke-prefix/auth/approle')),
    stop: async () => {
      vault.stop();
      reviewer.stop();
      await admin.end();
      await postgres.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Stands in for a cluster: Vault's Kubernetes method asks it whether a token is a service account's. A fake. */
async function startTokenReview(): Promise<{ address: string; jwt: string; stop(): void }> {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = {
    iss: 'kubernetes/serviceaccount',
    aud: ['vault'],
    iat: Math.floor(Date.now() / 1000) - 60,
    nbf: Math.floor(Date.now() / 1000) - 60,
    exp: Math.floor(Date.now() / 1000) + 3_600,
    sub: 'system:serviceaccount:default:app',
    'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'app', uid: 'uid-1' } },
  };
  const jwt = `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}.${Buffer.from('unsigned').toString('base64url')}`;
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (chunk: Buffer) => parts.push(chunk));
    request.on('end', () => {
      const review = JSON.parse(Buffer.concat(parts).toString()) as { spec: { token: string } };
      const known = review.spec.token === jwt;
      response.writeHead(201, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          status: known
            ? { authenticated: true, audiences: ['vault'], user: { username: claims.sub, uid: 'uid-1', groups: [] } }
            : { authenticated: false, error: 'unknown' },
        }),
      );
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    jwt,
    stop: () => void server.close(),
  };
}
