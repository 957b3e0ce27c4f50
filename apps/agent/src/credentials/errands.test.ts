/** A rotation at a real server, ended at each of its points and asked again; ephemeral accounts where they must be refused. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GatewayError, newSealKeyPair, Secret, seal } from '@sallyport/core';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import type { CredentialErrand, Resource } from '@sallyport/model';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accountName, accountsOf, dropAccount, makeAccount, newPassword } from './ephemeral.ts';
import { openErrand } from './errand-connection.ts';
import { runErrand } from './errands.ts';
import { HttpCredentials } from './http-credentials.ts';
import { Values } from './values.ts';

const CREDENTIAL = '0190b3a4-0000-7000-8000-000000000001';
const errand: CredentialErrand = { id: 'e', kind: 'rotate', resourceId: 'r', credentialId: CREDENTIAL };
const keys = newSealKeyPair();
const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

let dir: string;
let server: EmbeddedPostgres;
let admin: pg.Client;

const resourceAt = (to: EmbeddedPostgres, databases: readonly string[] = ['postgres']): Resource => ({
  id: 'r',
  projectId: 'p',
  name: 'db',
  kind: 'postgres',
  labels: {},
  postgres: { host: to.host, port: to.port, databases, tls: 'disable', auth: ['scram-sha-256'] },
  credential: { kind: 'stored', username: 'app', reference: CREDENTIAL },
  recording: 'statements',
  durability: 'standard',
  approval: 'wait',
  exceeded: 'deny',
  holdInTransactionMsMax: 0,
  offline: { sessionsMs: 0, newSessionsMs: 0 },
});
/** The values the agent has boxes of. */
function rotating(current: string, next: string) {
  const boxes = new Map(
    [
      [CREDENTIAL, current],
      [`${CREDENTIAL}/next`, next],
    ].map(([id, text]) => [
      id!,
      { box: seal(Buffer.from(text!), keys.publicKey, `credential/${id}`), notAfter: Number.MAX_SAFE_INTEGER },
    ]),
  );
  const values = new Values({ keys, sources: new Map(), box: (id) => boxes.get(id), nowMs: () => 0 });
  const resource = resourceAt(server);
  const http = new HttpCredentials(() => 0);
  return runErrand(errand, { values, http, log, resource: () => resource, tryEphemeral: () => Promise.resolve() });
}
const signsIn = async (user: string, password: string): Promise<boolean> => {
  const { host, port } = server;
  const client = new pg.Client({ host, port, user, password, database: 'postgres' });
  client.on('error', () => undefined);
  return await client.connect().then(
    async () => {
      await client.end();
      return true;
    },
    () => false,
  );
};
const asSuperuser = (to: EmbeddedPostgres) => (_resource: Resource, database?: string) =>
  openErrand(resourceAt(to), { username: 'postgres', secret: new Secret(to.password), certificate: false }, database);

beforeAll(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'sallyport-errands-'));
  chmodSync(dir, 0o711);
  server = await startEmbeddedPostgres({ dir: path.join(dir, 'pg') });
  admin = new pg.Client({ connectionString: server.url() });
  await admin.connect();
  await admin.query(`create role app login password 'first'; create role template nologin`);
}, 60_000);
afterAll(async () => {
  await admin.end();
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

test('asked once, twice, or after the answer was lost, a rotation ends with the next password and no other', async () => {
  expect(await rotating('first', 'second')).toMatchObject({ outcome: 'done', code: '' });
  expect([await signsIn('app', 'first'), await signsIn('app', 'second')]).toEqual([false, true]);
  // The agent died between the server's yes and its own word: both boxes are as they were.
  expect(await rotating('first', 'second')).toMatchObject({ outcome: 'done', code: '' });
  expect(await signsIn('app', 'second')).toBe(true);
});

test('a next password that cannot sign in is put back, and sessions never notice', async () => {
  await admin.query(`alter role app connection limit 1`);
  try {
    expect(await rotating('second', 'third')).toMatchObject({ outcome: 'undone', code: 'upstream.auth' });
  } finally {
    await admin.query(`alter role app connection limit -1`);
  }
  expect([await signsIn('app', 'second'), await signsIn('app', 'third')]).toEqual([true, false]);
});

test('when neither password is right nothing is changed, and the report says so without one', async () => {
  const report = await rotating('canary-a', 'canary-b');
  expect(report).toMatchObject({ outcome: 'failed', code: 'upstream.auth' });
  expect(JSON.stringify(report)).not.toContain('canary');
  expect(await signsIn('app', 'second')).toBe(true);
});

test('what an account owns in any database goes to the template, and nothing of it is dropped', async () => {
  await admin.query('create database other');
  const resource = resourceAt(server, ['postgres', 'other']);
  const open = asSuperuser(server);
  const account = accountName('sp_t_', 'Payments Bot!');
  const password = newPassword();
  const connection = await open(resource);
  await makeAccount(connection, {
    account,
    password,
    template: 'template',
    untilMs: Date.now() + 60_000,
    leaseId: 'l',
  });
  expect(await accountsOf(connection, 'sp_t_')).toEqual([account]);
  connection.close();
  expect(await signsIn(account, password)).toBe(true);
  const stored = await admin.query<{ p: string }>('select rolpassword as p from pg_authid where rolname = $1', [
    account,
  ]);
  expect(stored.rows[0]?.p).toMatch(/^SCRAM-SHA-256\$4096:/);
  for (const database of ['postgres', 'other']) {
    const there = new pg.Client({ connectionString: server.url(database) });
    await there.connect();
    await there.query(
      `create schema kept_${database} authorization "${account}"; create table kept_${database}.t (n int)`,
    );
    await there.query(`alter table kept_${database}.t owner to "${account}"`);
    await there.end();
  }
  await dropAccount(open, resource, account, 'template', log);
  expect((await admin.query('select 1 from pg_roles where rolname = $1', [account])).rowCount).toBe(0);
  const other = new pg.Client({ connectionString: server.url('other') });
  await other.connect();
  const owner = await other.query(`select tableowner from pg_tables where schemaname = 'kept_other'`);
  expect(owner.rows).toEqual([{ tableowner: 'template' }]);
  await other.end();
  // Twice is no error.
  await dropAccount(open, resource, account, 'template', log);
}, 30_000);

test('a superuser, one who may make roles, and nobody are no templates', async () => {
  await admin.query('create role maker createrole');
  const connection = await asSuperuser(server)(resourceAt(server));
  for (const template of ['postgres', 'maker', 'nobody_here', "x'; drop role app; --"]) {
    const made = makeAccount(connection, {
      account: 'sp_t_no',
      password: 'x',
      template,
      untilMs: Date.now() + 1_000,
      leaseId: 'l',
    });
    await expect(made, template).rejects.toMatchObject({ code: 'credential.unavailable' });
  }
  expect(await accountsOf(connection, 'sp_t_')).toEqual([]);
  connection.close();
});

test('a standby makes no accounts', async () => {
  const place = path.join(dir, 'standby');
  const primary = await startEmbeddedPostgres({ dir: place });
  await primary.stop();
  writeFileSync(path.join(place, 'data/standby.signal'), '');
  const standby = await startEmbeddedPostgres({ dir: place });
  try {
    const connection = await asSuperuser(standby)(resourceAt(standby));
    const error = await makeAccount(connection, {
      account: 'sp_t_no',
      password: 'x',
      template: 'template',
      untilMs: Date.now() + 1_000,
      leaseId: 'l',
    }).catch((cause: unknown) => cause as GatewayError);
    expect((error as GatewayError).detail['reason']).toBe('the server is a standby');
    connection.close();
  } finally {
    await standby.stop();
  }
}, 60_000);
