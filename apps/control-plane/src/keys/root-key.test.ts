/** The root's key out of the database and back, with a control plane that goes on without it. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../db/database.ts';
import { enrollAgent } from '../testing/agent-client.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { runCaCommand } from './ca-command.ts';
import { Keys } from './keys.ts';

const KEK = Buffer.alloc(32, 5).toString('base64url');
let dir: string;
let server: EmbeddedPostgres;
let env: Record<string, string>;
let plane: TestControlPlane;
beforeAll(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'sallyport-root-'));
  chmodSync(dir, 0o711);
  server = await startEmbeddedPostgres({ dir: path.join(dir, 'postgres') });
  env = { DATABASE_URL: server.url(), SALLYPORT_KEK: KEK, SALLYPORT_DATA_DIR: path.join(dir, 'data') };
  plane = await startTestControlPlane(env, dir);
}, 90_000);
afterAll(async () => {
  await plane.controlPlane.stop();
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

const rootOfDatabase = async () =>
  (await plane.controlPlane.app
    .get(Database, { strict: false })
    .client.signingKey.findFirst({ where: { purpose: 'root' } }))!;
const enrolled = async (name: string): Promise<string> => {
  const join = await plane.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', { name });
  const root = readFileSync(plane.controlPlane.ready.ca, 'utf8');
  return (await enrollAgent(plane.controlPlane.ready.enroll, root, join.body.joinToken)).identity.agentName!;
};

test('the root’s key leaves for a file of its own, and agents, tokens, rotations and starts go on without it', async () => {
  const file = path.join(dir, 'root.pem');
  const words = { ...env, SALLYPORT_ROOT_PASSPHRASE: 'correct horse' };
  expect(await runCaCommand(['root-offline', file], words)).toContain(file);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect((await rootOfDatabase()).sealed).toHaveLength(0);
  // OpenSSL reads it, and it is the certificate's.
  const openssl = (args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8' });
  expect(openssl(['pkey', '-in', file, '-passin', 'pass:correct horse', '-pubout'])).toBe(
    openssl(['x509', '-in', plane.controlPlane.ready.ca, '-pubkey', '-noout']),
  );

  expect(await enrolled('before')).toBe('before');
  await plane.controlPlane.stop();
  plane = await startTestControlPlane(env, dir);
  expect(await enrolled('after')).toBe('after');
  for (const purpose of ['bundle', 'trail', 'access_token', 'approval'])
    expect((await plane.call('POST', '/v1/keys/rotate', { purpose })).status).toBe(200);
  await expect(
    plane.controlPlane.app
      .get(Keys, { strict: false })
      .authority('root')
      .then((root) => root.sign(Buffer.from('x'))),
  ).rejects.toMatchObject({ code: 'credential.unavailable' });

  await expect(runCaCommand(['root-offline', `${file}.2`], words)).rejects.toMatchObject({ code: 'config.invalid' });
  await expect(runCaCommand(['root-online', file], env)).rejects.toMatchObject({ code: 'config.invalid' });
  await runCaCommand(['root-online', file], words);
  expect((await rootOfDatabase()).sealed.length).toBeGreaterThan(0);
  const acts = async (action: string) =>
    (await plane.call<{ items: unknown[] }>('GET', `/v1/trail/events?action=${action}`)).body.items.length;
  await expect.poll(() => acts('key.taken_offline')).toBe(1);
  await expect.poll(() => acts('key.brought_back')).toBe(1);
}, 90_000);

test('nothing is taken out where a file is already, and another key is not taken in', async () => {
  const file = path.join(dir, 'other.pem');
  execFileSync('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file], {
    stdio: 'ignore',
  });
  const before = (await rootOfDatabase()).sealed;
  await expect(runCaCommand(['root-online', file], env)).rejects.toMatchObject({ code: 'config.invalid' });
  await expect(runCaCommand(['root-offline', file], env)).rejects.toMatchObject({ code: 'config.invalid' });
  for (const wrong of [[], ['root-offline'], ['root-offline', '--x'], ['else', file]])
    await expect(runCaCommand(wrong, env)).rejects.toMatchObject({ code: 'config.invalid' });
  expect((await rootOfDatabase()).sealed).toEqual(before);
});
