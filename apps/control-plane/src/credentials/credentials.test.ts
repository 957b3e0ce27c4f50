/** Credentials over REST: what each kind may say, what the control plane resolves itself, and what it must never read. */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parsePublicKeyLine, publicKeyBlob } from '@sallyport/ssh-certificates';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { Envelope } from '../keys/envelope.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { addProject } from '../testing/second-project.ts';
import { Fetches } from './fetches.ts';

interface Problem {
  readonly errors?: readonly { readonly field: string }[];
}
let plane: TestControlPlane;
const database = () => plane.controlPlane.app.get(Database, { strict: false }).client;
const fieldsOf = async (body: object): Promise<readonly string[] | number> => {
  const answer = await plane.call<Problem>('POST', '/v1/credentials', body);
  return answer.status === 400 ? (answer.body.errors ?? []).map(({ field }) => field) : answer.status;
};
/** What is sealed for one, in clear; undefined = nothing. */
const sealedOf = async (name: string): Promise<string | undefined> => {
  const row = await database().credential.findFirstOrThrow({ where: { name } });
  const envelope = plane.controlPlane.app.get(Envelope, { strict: false });
  return row.sealed === null ? undefined : envelope.open(row.sealed, `credential/${row.id}`).reveal().toString();
};
const errorOf = async (name: string): Promise<string | null> =>
  (await plane.call<{ fetchError: string | null }>('GET', `/v1/credentials/${name}`)).body.fetchError;
/** Asked for again at once. */
const fetchAgain = async (): Promise<void> => {
  plane.clock.offsetMs += 61_000;
  plane.controlPlane.app.get(Fetches, { strict: false }).wake();
};

beforeAll(async () => {
  process.env['SALLYPORT_SECRET_APP'] = 'from-the-environment';
  plane = await startTestControlPlane({ SALLYPORT_SECRETS_DIR: '/var/tmp/sallyport-secrets-of-a-test' });
  mkdirSync('/var/tmp/sallyport-secrets-of-a-test', { recursive: true });
}, 60_000);
afterAll(async () => {
  delete process.env['SALLYPORT_SECRET_APP'];
  await plane.stop();
});

test('each kind takes its own settings, and what is wrong is named', async () => {
  const vault = { address: 'https://v:8200', engine: 'kv2', path: 'a', auth: 'token' };
  expect(await fieldsOf({ name: 'v', kind: 'vault', settings: vault })).toBe(201);
  expect(await fieldsOf({ name: 'x', kind: 'vault', settings: { ...vault, path: '../sys/raw' } })).toEqual([
    'settings.path',
  ]);
  expect(await fieldsOf({ name: 'x', kind: 'vault', settings: { ...vault, token: 't' } })).toEqual(['settings.token']);
  expect(await fieldsOf({ name: 'x', kind: 'stored', username: 'u', settings: { a: 'b' } })).toEqual(['settings.a']);
  expect(await fieldsOf({ name: 'x', kind: 'aws_rds_iam', settings: { region: 'eu-west-1' } })).toEqual(['username']);
  expect(await fieldsOf({ name: 'x', kind: 'env', reference: 'SALLYPORT_JOIN_TOKEN' })).toEqual(['reference']);
  expect(await fieldsOf({ name: 'x', kind: 'ephemeral', settings: { template: 'pg_monitor' } })).toEqual([
    'settings.template',
    'admin',
  ]);
  expect(await fieldsOf({ name: 'x', kind: 'ephemeral', admin: 'none', settings: { template: 't' } })).toEqual([
    'admin',
  ]);
  expect(
    await fieldsOf({
      name: 'x',
      kind: 'vault',
      settings: { ...vault, engine: 'database' },
      resolveAt: 'control_plane',
    }),
  ).toEqual(['resolveAt']);
  expect(await fieldsOf({ name: 'x', kind: 'env', reference: 'A', rotateEvery: '30d' })).toEqual(['rotateEvery']);
  expect(await fieldsOf({ name: 'x', kind: 'env', reference: 'A', secret: 's' })).toEqual(['secret']);
  expect(await fieldsOf({ name: 'x', kind: 'stored', username: 'u', sealed: 'x' })).toEqual(['sealed']);
});

test('the control plane asks for what it is told to, seals it, and follows a change with the value before kept', async () => {
  expect(
    await fieldsOf({
      name: 'asked',
      kind: 'env',
      reference: 'SALLYPORT_SECRET_APP',
      resolveAt: 'control_plane',
      fallback: '1h',
    }),
  ).toBe(201);
  await fetchAgain();
  await expect.poll(() => sealedOf('asked')).toBe('from-the-environment');
  process.env['SALLYPORT_SECRET_APP'] = 'changed';
  await fetchAgain();
  await expect.poll(() => sealedOf('asked')).toBe('changed');
  const row = await database().credential.findFirstOrThrow({ where: { name: 'asked' } });
  expect(row.previousSealed).not.toBeNull();
  // The store is away: what is known stays.
  delete process.env['SALLYPORT_SECRET_APP'];
  await fetchAgain();
  await expect.poll(() => errorOf('asked')).toBe('variable not set');
  expect(await sealedOf('asked')).toBe('changed');
});

test('what is the control plane’s own is read by no credential: variables, files, links out of the folder', async () => {
  const dir = '/var/tmp/sallyport-secrets-of-a-test';
  writeFileSync(path.join(dir, 'good'), 'from-a-file\n');
  symlinkSync(path.join(plane.dir, 'data/kek'), path.join(dir, `link-${process.pid}`));
  process.env['DATABASE_URL_OF_A_TEST'] = 'postgres://secret';
  const asked: readonly (readonly [string, object])[] = [
    ['own-variable', { kind: 'env', reference: 'DATABASE_URL_OF_A_TEST' }],
    ['own-file', { kind: 'file', reference: path.join(plane.dir, 'data/kek') }],
    ['own-link', { kind: 'file', reference: path.join(dir, `link-${process.pid}`) }],
    ['good-file', { kind: 'file', reference: path.join(dir, 'good') }],
  ];
  for (const [name, body] of asked)
    expect(await fieldsOf({ name, resolveAt: 'control_plane', ...body }), name).toBe(201);
  await fetchAgain();
  await expect.poll(() => sealedOf('good-file')).toBe('from-a-file');
  for (const name of ['own-variable', 'own-file', 'own-link']) {
    await expect.poll(() => errorOf(name)).not.toBeNull();
    expect(await sealedOf(name), name).toBeUndefined();
  }
});

test('what the control plane may read and ask is the installation’s: an admin of a project has no credential of it', async () => {
  process.env['SALLYPORT_SECRET_SHARED'] = 'of-the-installation';
  const blue = await addProject(plane, 'blue');
  const body = { name: 'taken', kind: 'env', reference: 'SALLYPORT_SECRET_SHARED' };
  const add = (more: object) => plane.call<Problem>('POST', '/v1/credentials', { ...body, ...more }, blue.token);
  const wrong = { code: 'request.invalid', errors: [{ field: 'resolveAt' }] };
  expect((await add({ resolveAt: 'control_plane' })).body).toMatchObject(wrong);
  expect((await add({})).status).toBe(201);
  const moved = { resolveAt: 'control_plane' };
  const changed = await plane.call('PATCH', '/v1/credentials/taken', moved, blue.token);
  expect(changed.body).toMatchObject(wrong);
  // One from a version before this is not asked for.
  await database().credential.updateMany({ where: { name: 'taken' }, data: moved });
  await fetchAgain();
  await expect
    .poll(async () => (await database().credential.findFirstOrThrow({ where: { name: 'taken' } })).fetchError)
    .toBe('of project default alone');
  expect(await sealedOf('taken')).toBeUndefined();
  expect((await plane.call('PATCH', '/v1/credentials/taken', { resolveAt: 'agent' }, blue.token)).status).toBe(200);
  delete process.env['SALLYPORT_SECRET_SHARED'];
});

test('a change of part of it leaves the rest, and the secret', async () => {
  await plane.call('POST', '/v1/credentials', {
    name: 'part',
    kind: 'stored',
    username: 'u',
    certificate: true,
    secret: 's',
    fallback: '1h',
  });
  expect((await plane.call('PATCH', '/v1/credentials/part', { username: 'v' })).body).toMatchObject({
    username: 'v',
    certificate: true,
    fallback: '1h',
    hasSecret: true,
  });
  expect(await plane.call('POST', '/v1/credentials/part/rotate')).toMatchObject({
    status: 409,
    body: {
      code: 'request.conflict',
      errors: [{ field: '', message: 'only a stored password can be rotated by Sallyport' }],
    },
  });
});

test('an SSH CA is made here, shows the line for hosts, and never its key', async () => {
  const made = await plane.call<{ settings: Record<string, string>; hasSecret: boolean }>('POST', '/v1/credentials', {
    name: 'hosts',
    kind: 'ssh_ca',
    settings: { ttl_seconds: '120', public_key: 'ssh-ed25519 AAAAmine' },
  });
  expect(made.body).toMatchObject({ hasSecret: true, settings: { ttl_seconds: '120' } });
  const line = made.body.settings['public_key']!;
  const secret = (await sealedOf('hosts'))!;
  const own = publicKeyBlob(createPublicKey(createPrivateKey(secret)));
  expect(parsePublicKeyLine(line).blob).toEqual(own);
  expect(JSON.stringify(made.body)).not.toContain('PRIVATE KEY');
  // Its public half cannot be made to say something else, and what is no Ed25519 key is refused.
  await plane.call('PATCH', '/v1/credentials/hosts', { settings: { public_key: 'ssh-ed25519 AAAAmine' } });
  const after = await plane.call<{ settings: Record<string, string> }>('GET', '/v1/credentials/hosts');
  expect(after.body.settings['public_key']).toBe(line);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  for (const bad of [String(rsa), 'no key'])
    expect(await plane.call('PUT', '/v1/credentials/hosts/secret', { secret: bad })).toMatchObject({ status: 400 });
  const next = generateKeyPairSync('ed25519').privateKey;
  const put = await plane.call<{ settings: Record<string, string> }>('PUT', '/v1/credentials/hosts/secret', {
    secret: next.export({ type: 'pkcs8', format: 'pem' }),
  });
  expect(parsePublicKeyLine(put.body.settings['public_key']!).blob).toEqual(publicKeyBlob(createPublicKey(next)));
  expect(await plane.call('PATCH', '/v1/credentials/hosts', { kind: 'none' })).toMatchObject({ status: 409 });
  expect(await fieldsOf({ name: 'x', kind: 'ssh_ca', settings: { ttl_seconds: '1', ttl: '5' } })).toEqual([
    'settings.ttl_seconds',
    'settings.ttl',
  ]);
});
