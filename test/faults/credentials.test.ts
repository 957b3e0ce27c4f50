/** Credentials on a whole stack: rotated, refused and fallen back from, lent for one session, and swept after kill -9. */
import { setTimeout as sleep } from 'node:timers/promises';
import { hasVault, startVaultServer } from '@sallyport/credentials/testing';
import pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { openSql } from '../../scripts/stack/sql-client.ts';
import { eventually, ownDatabase, truth, useStack } from './with-stack.ts';

interface Credential {
  readonly version: number;
  readonly refusedAt: string | null;
  readonly rotating: boolean;
  readonly rotationError: string | null;
}
interface Lease {
  readonly id: string;
  readonly account: string;
  readonly sessionId: string | null;
  readonly endedAt: string | null;
  readonly reason: string | null;
}

const running = useStack({});
const ADMIN_PASSWORD = 'makes-accounts-7c1e';

const credential = (): Promise<Credential> => running().stack.admin.call('GET', '/v1/credentials/payments-app');
const leases = async (state: string): Promise<readonly Lease[]> =>
  (await running().stack.admin.call<{ items: Lease[] }>('GET', `/v1/leases?state=${state}`)).items;
const accounts = async (): Promise<number> =>
  Number(await truth(running().stack, `select count(*) from pg_roles where rolname like 'sp\\_%'`));
const signsIn = async (password: string): Promise<boolean> => {
  const { stack } = running();
  const { host, port } = stack.database.server;
  const { database, username } = stack.database;
  const client = new pg.Client({ host, port, user: username, password, database, ssl: { rejectUnauthorized: false } });
  client.on('error', () => undefined);
  return await client.connect().then(
    async () => {
      await client.end();
      return true;
    },
    () => false,
  );
};
/** A session that may need a moment: the change has to reach the agent. */
const session = (principal: string, resource?: string) =>
  eventually(() => openSql(running().stack.dev, principal, resource).catch(() => undefined), 15_000);

beforeAll(async () => {
  const { stack } = running();
  await truth(
    stack,
    `create role app_template nologin; grant select, insert on all tables in schema public to app_template;
     grant create, usage on schema public to app_template;
     create role account_maker login createrole password '${ADMIN_PASSWORD}';
     grant app_template to account_maker with admin option; select 1`,
  );
  const { admin } = stack;
  await admin.call('POST', '/v1/credentials', {
    name: 'account-maker',
    kind: 'stored',
    username: 'account_maker',
    secret: ADMIN_PASSWORD,
  });
  await admin.call('POST', '/v1/credentials', {
    name: 'payments-accounts',
    kind: 'ephemeral',
    admin: 'account-maker',
    settings: { template: 'app_template', ttl_ms: '600000', reuse_ms: '60000' },
  });
  const known = await admin.call<Record<string, unknown>>('GET', '/v1/resources/payments-db');
  await admin.call('POST', '/v1/resources', {
    name: 'payments-lent',
    type: 'postgres',
    labels: { env: 'prod', team: 'payments' },
    credential: 'payments-accounts',
    postgres: known['postgres'],
  });
  await admin.call('POST', '/v1/grants', {
    name: 'bots-lent',
    group: 'payments-bots',
    resource: 'payments-lent',
    effects: ['read', 'write'],
  });
}, 60_000);

test('a test signs in with it at each resource, and says what is wrong without a secret', async () => {
  const { admin } = running().stack;
  const fine = await eventually(
    () => admin.call<{ items: object[] }>('POST', '/v1/credentials/payments-app/test'),
    10_000,
  );
  expect(fine.items).toEqual([{ resource: 'payments-db', outcome: 'done', code: '', reason: '' }]);
  expect((await admin.call<{ items: object[] }>('POST', '/v1/credentials/payments-accounts/test')).items).toMatchObject(
    [{ resource: 'payments-lent', outcome: 'done' }],
  );
  expect(await accounts()).toBe(0);
  await admin.call('PUT', '/v1/credentials/account-maker/secret', { secret: 'not-the-password' });
  const wrong = await eventually(async () => {
    const answer = await admin.call<{ items: { outcome: string; code: string }[] }>(
      'POST',
      '/v1/credentials/account-maker/test',
    );
    return answer.items[0]?.outcome === 'failed' ? answer.items[0] : undefined;
  }, 20_000);
  expect(wrong).toMatchObject({ code: 'upstream.auth' });
  expect(JSON.stringify(wrong)).not.toContain('not-the-password');
  await admin.call('PUT', '/v1/credentials/account-maker/secret', { secret: ADMIN_PASSWORD });
}, 60_000);

test('a new value the server refuses is reported, and the one before is used for the time that is stated', async () => {
  const { stack } = running();
  const before = await session('carla');
  await stack.admin.call('PATCH', '/v1/credentials/payments-app', { fallback: '1h' });
  await stack.admin.call('PUT', '/v1/credentials/payments-app/secret', { secret: 'nobody-told-the-server' });
  await sleep(1_500);
  const after = await openSql(stack.dev, 'carla');
  expect((await after.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  expect((await before.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await eventually(async () => (await credential()).refusedAt ?? undefined, 5_000);
  const acts = await stack.admin
    .call<{ items: { detail?: unknown }[] }>('GET', '/v1/trail/acts?action=credential.refused')
    .catch(() => ({ items: [] }));
  expect(JSON.stringify(acts)).not.toContain('nobody-told');
  await stack.admin.call('PATCH', '/v1/credentials/payments-app', { fallback: '0s' });
  await stack.admin.call('PUT', '/v1/credentials/payments-app/secret', { secret: 'still-nobody-told' });
  await sleep(1_500);
  await expect(openSql(stack.dev, 'carla')).rejects.toThrow(/credential/);
  await stack.admin.call('PUT', '/v1/credentials/payments-app/secret', { secret: stack.database.password });
  await (await session('carla')).close();
  await before.close();
  await after.close();
}, 60_000);

test('the time to fall back ends: after it a session whose new value is refused does not open', async () => {
  const { stack } = running();
  await stack.admin.call('PATCH', '/v1/credentials/payments-app', { fallback: '20s' });
  const kept = await session('carla');
  const { fallbackUntil } = await stack.admin.call<{ fallbackUntil: string }>(
    'PUT',
    '/v1/credentials/payments-app/secret',
    { secret: 'refused-for-twenty-seconds' },
  );
  const untilMs = Date.parse(fallbackUntil);
  await eventually(async () => {
    await (await openSql(stack.dev, 'carla')).close();
    const { refusedAt } = await credential();
    return refusedAt === null ? undefined : true;
  }, untilMs - Date.now());
  await eventually(
    () =>
      openSql(stack.dev, 'carla').then(
        async (opened) => {
          await opened.close();
          return undefined;
        },
        (error: Error) => (/credential/.test(error.message) ? true : undefined),
      ),
    60_000,
  );
  expect(Date.now()).toBeGreaterThan(untilMs);
  // Who was in stays in.
  expect((await kept.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await kept.close();
  await stack.admin.call('PUT', '/v1/credentials/payments-app/secret', { secret: stack.database.password });
  await (await session('carla')).close();
}, 120_000);

test('a password that is due by its schedule is changed with nobody asking, and sessions that run go on', async () => {
  const { stack, dir } = running();
  const old = await session('carla');
  const verifier = `select rolpassword from pg_authid where rolname = 'payments_app'`;
  const before = await truth(stack, verifier);
  await stack.admin.call('PATCH', '/v1/credentials/payments-app', { rotateEvery: '1h' });
  const { version } = await credential();
  await ownDatabase(dir, (client) =>
    client.query(`update credentials set rotated_at = now() - interval '2 hours', rotation_tried_at = null
                  where name = 'payments-app'`),
  );
  await eventually(async () => ((await truth(stack, verifier)) === before ? undefined : true), 90_000);
  await eventually(async () => ((await credential()).rotating ? undefined : true), 30_000);
  const after = await credential();
  expect(after.rotationError).toBe(null);
  expect(after.version).toBeGreaterThan(version);
  expect((await old.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await (await session('carla')).close();
  await old.close();
  const { items } = await stack.admin.call<{ items: { target: string; actor?: unknown }[] }>(
    'GET',
    '/v1/acts?action=credential.rotated',
  );
  expect(items.map(({ target }) => target)).toContain('credential/payments-app');
  await stack.admin.call('PATCH', '/v1/credentials/payments-app', { rotateEvery: null });
}, 150_000);

test('a rotation changes the password at the server, and disturbs nobody', async () => {
  const { stack } = running();
  const old = await session('carla');
  const answer = await stack.admin.call<{ outcome: string }>('POST', '/v1/credentials/payments-app/rotate');
  expect(answer).toMatchObject({ outcome: 'done', code: '' });
  expect(await signsIn(stack.database.password)).toBe(false);
  // Every moment of it somebody may sign in: the next value was in the agent's hands before the server heard of it.
  const fresh = await openSql(stack.dev, 'carla');
  expect((await fresh.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  expect((await old.client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  expect(await credential()).toMatchObject({ rotating: false, rotationError: null });
  expect((await truth(stack, `select rolpassword from pg_authid where rolname = 'payments_app'`)).slice(0, 14)).toBe(
    'SCRAM-SHA-256$',
  );
  await old.close();
  await fresh.close();
}, 60_000);

test('an account is made for one session, owns nothing, and is kept a while for its principal alone', async () => {
  const { stack } = running();
  const first = await session('payments-bot', 'payments-lent');
  const { rows } = await first.client.query('select current_user as c, session_user as s');
  expect(rows).toEqual([
    { c: 'app_template', s: expect.stringMatching(/^sp_[0-9a-f]{10}_payments_bot_[0-9a-f]{10}$/) },
  ]);
  const [lease] = await eventually(
    async () => ((await leases('live')).length > 0 ? await leases('live') : undefined),
    5_000,
  );
  expect(lease).toMatchObject({ account: rows[0].s, sessionId: expect.any(String) });
  expect(await stack.admin.call('GET', `/v1/leases/${lease?.id}`)).toEqual(lease);
  await first.close();
  await eventually(async () => ((await leases('live'))[0]?.sessionId === null ? true : undefined), 5_000);
  const again = await openSql(stack.dev, 'payments-bot', 'payments-lent');
  expect((await again.client.query('select session_user as s')).rows).toEqual([{ s: rows[0].s }]);
  const other = await openSql(stack.dev, 'carla', 'payments-lent');
  expect((await other.client.query('select session_user as s')).rows[0].s).toMatch(/_carla_/);
  await other.close();
  // Revoked: the session ends, the account is dropped, and nobody gets it again.
  const mine = (await leases('live')).find((entry) => entry.account === rows[0].s);
  await stack.admin.call('POST', `/v1/leases/${mine?.id}/revoke`);
  await eventually(() => again.ended(), 5_000);
  await eventually(async () => {
    const ended = (await leases('ended')).find((entry) => entry.id === mine?.id);
    return ended?.reason === 'revoked' ? true : undefined;
  }, 5_000);
  expect(await truth(stack, `select count(*) from pg_roles where rolname = '${rows[0].s}'`)).toBe('0');
}, 60_000);

test('after kill -9 of the agent its accounts are swept when it is back, and could sign in no longer than VALID UNTIL', async () => {
  const { stack } = running();
  await session('payments-bot', 'payments-lent');
  const before = await accounts();
  expect(before).toBeGreaterThan(0);
  expect(
    await truth(stack, `select count(*) from pg_roles where rolname like 'sp\\_%' and rolvaliduntil is null`),
  ).toBe('0');
  process.kill(stack.agent().pid, 'SIGKILL');
  await sleep(500);
  expect(await accounts()).toBe(before);
  await stack.restartAgent();
  await eventually(async () => ((await accounts()) === 0 ? true : undefined), 20_000);
  await eventually(async () => ((await leases('live')).length === 0 ? true : undefined), 10_000);
  const ended = await leases('ended');
  expect(ended.some((lease) => lease.reason === 'swept')).toBe(true);
}, 90_000);

test('while the agent that was killed is away its accounts end by themselves, by VALID UNTIL', async () => {
  const { stack } = running();
  const SHORT_MS = 12_000;
  await stack.admin.call('PATCH', '/v1/credentials/payments-accounts', {
    settings: { template: 'app_template', ttl_ms: String(SHORT_MS), reuse_ms: '60000' },
  });
  const signsInAs = async (user: string): Promise<string> => {
    const { host, port } = stack.database.server;
    const { database } = stack.database;
    const client = new pg.Client({
      host,
      port,
      user,
      password: 'set-by-the-test',
      database,
      ssl: { rejectUnauthorized: false },
    });
    client.on('error', () => undefined);
    return await client.connect().then(
      async () => {
        await client.end();
        return 'in';
      },
      (error: { code?: string }) => error.code ?? 'another error',
    );
  };
  // The change has to reach the agent: until then accounts live for ten minutes.
  const lent = await eventually(async () => {
    const opened = await openSql(stack.dev, 'payments-bot', 'payments-lent');
    const { rows } = await opened.client.query('select session_user as s');
    const account = String(rows[0].s);
    const left = await truth(
      stack,
      `select extract(epoch from rolvaliduntil - now()) from pg_roles where rolname = '${account}'`,
    );
    if (Number(left) * 1000 <= SHORT_MS) return { account };
    await opened.close();
    return undefined;
  }, 30_000);
  process.kill(stack.agent().pid, 'SIGKILL');
  await truth(stack, `alter role "${lent.account}" password 'set-by-the-test'; select 1`);
  const isOver = `select rolvaliduntil < now() from pg_roles where rolname = '${lent.account}'`;
  const first = await signsInAs(lent.account);
  if ((await truth(stack, isOver)) === 'false') expect(first).toBe('in');
  await eventually(async () => ((await truth(stack, isOver)) === 'true' ? true : undefined), SHORT_MS * 3);
  expect(await signsInAs(lent.account)).toBe('28P01');
  await stack.restartAgent();
  await eventually(async () => ((await accounts()) === 0 ? true : undefined), 30_000);
}, 120_000);

test.skipIf(!hasVault)(
  'an account of Vault lives as long as its session, and is revoked after kill -9 of the agent',
  async () => {
    const { stack } = running();
    const vault = await startVaultServer();
    const { address } = vault;
    try {
      const api = (at: string, body: unknown): Promise<unknown> => vault.api('POST', at, body);
      const { host, port: pgPort, password } = stack.database.server;
      await api('sys/mounts/database', { type: 'database' });
      await api('database/config/pg', {
        plugin_name: 'postgresql-database-plugin',
        allowed_roles: 'app',
        connection_url: `postgresql://{{username}}:{{password}}@${host}:${pgPort}/payments?sslmode=require`,
        username: stack.database.server.superuser,
        password,
      });
      await api('database/roles/app', {
        db_name: 'pg',
        creation_statements: [
          `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE app_template`,
        ],
        default_ttl: '10m',
        max_ttl: '1h',
      });
      await stack.admin.call('POST', '/v1/credentials', {
        name: 'vault-accounts',
        kind: 'vault',
        secret: 'root',
        settings: { address, engine: 'database', path: 'app', auth: 'token' },
      });
      const known = await stack.admin.call<Record<string, unknown>>('GET', '/v1/resources/payments-db');
      await stack.admin.call('POST', '/v1/resources', {
        name: 'payments-vault',
        type: 'postgres',
        labels: { env: 'prod' },
        credential: 'vault-accounts',
        postgres: known['postgres'],
      });
      const made = async (): Promise<number> =>
        Number(await truth(stack, `select count(*) from pg_roles where rolname like 'v-%'`));
      const first = await session('carla', 'payments-vault');
      expect((await first.client.query('select session_user as s')).rows[0].s).toMatch(/^v-/);
      expect((await leases('live')).filter((lease) => lease.account.startsWith('v-'))).toHaveLength(1);
      await first.close();
      await eventually(async () => ((await made()) === 0 ? true : undefined), 10_000);
      await openSql(stack.dev, 'carla', 'payments-vault');
      expect(await made()).toBe(1);
      process.kill(stack.agent().pid, 'SIGKILL');
      await stack.restartAgent();
      await eventually(async () => ((await made()) === 0 ? true : undefined), 20_000);
    } finally {
      vault.stop();
    }
  },
  120_000,
);
