/**
 * Master keys that a KMS wraps: moved to it and back while everything runs, killed half-way, the KMS away. Against Vault's
 * transit engine itself where it can run, against the fake that is held to it, and by the SDKs of AWS and Google against fakes
 * of their services (Azure's: packages/credentials/src/kms.test.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  googleSignIn,
  hasVault,
  startFakeAwsKms,
  startFakeGcpKms,
  startFakeVault,
  startVaultServer,
} from '@sallyport/credentials/testing';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ReadyFile } from '../boot.ts';
import { Database } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { Envelope } from './envelope.ts';

interface TestKms {
  readonly kind: string;
  readonly settings: Readonly<Record<string, string>>;
  setAway(away: boolean): void;
  stop(): void | Promise<void>;
}
interface Rotated {
  readonly keyId: string;
  readonly from: string;
  readonly unused: readonly string[];
}

const CANARY = 'canary-under-a-kms';
const database = (plane: TestControlPlane) => plane.controlPlane.app.get(Database, { strict: false }).client;
const envelope = (plane: TestControlPlane): Envelope => plane.controlPlane.app.get(Envelope, { strict: false });
const kmsOf = ({ kind, settings }: TestKms): string => JSON.stringify({ name: 'outside', kind, ...settings });
const atVault = (address: string): Pick<TestKms, 'kind' | 'settings'> => ({
  kind: 'vault_transit',
  settings: { address, auth: 'token', key: 'sallyport', key_env: 'SALLYPORT_SECRET_KMS' },
});
const opened = async (plane: TestControlPlane): Promise<string> => {
  const row = await database(plane).credential.findFirstOrThrow({ where: { name: 'kept' } });
  return envelope(plane).open(row.sealed!, `credential/${row.id}`).reveal().toString();
};
const keep = (plane: TestControlPlane) =>
  plane.call('POST', '/v1/credentials', { name: 'kept', kind: 'stored', username: 'u', secret: CANARY });
const rotate = (plane: TestControlPlane, to?: string) =>
  plane.call<Rotated & { code: string }>('POST', '/v1/keys/master/rotate', to === undefined ? undefined : { to });
/** Ids in `wrapped_keys`, newest first. */
const wrapped = async (plane: TestControlPlane): Promise<readonly string[]> =>
  (await database(plane).wrappedKey.findMany({ orderBy: { createdAt: 'desc' } })).map(({ id }) => id);
const refusal = async (work: Promise<TestControlPlane>): Promise<string> =>
  await work.then(
    async (plane) => {
      await plane.stop();
      return 'started';
    },
    (error: { code?: string }) => error.code ?? 'another error',
  );
const folder = (): string => mkdtempSync(path.join(tmpdir(), 'sallyport-cp-'));

async function startReal(): Promise<TestKms> {
  const vault = await startVaultServer();
  await vault.api('POST', 'sys/mounts/transit', { type: 'transit' });
  await vault.api('POST', 'transit/keys/sallyport', {});
  return { ...vault, ...atVault(vault.address) };
}
async function startFake(): Promise<TestKms> {
  const vault = await startFakeVault();
  return { ...vault, ...atVault(vault.address) };
}
const best = hasVault ? startReal : startFake;

const sdkDir = path.join(import.meta.dirname, '../../../../test/sdks');
const hasSdks = existsSync(path.join(sdkDir, 'node_modules/@google-cloud/kms/package.json'));
const before = { ...process.env };
const signIns = folder();

beforeAll(() => {
  const aws = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_EC2_METADATA_DISABLED: 'true' };
  Object.assign(process.env, { SALLYPORT_SECRET_KMS: 'root' }, aws, googleSignIn(signIns));
});
afterAll(() => {
  process.env = before;
  rmSync(signIns, { recursive: true, force: true });
});

describe.each([
  ['the fake of Vault', true, startFake],
  ['Vault itself', hasVault, startReal],
  ['AWS’s SDK and the fake of its KMS', hasSdks, startFakeAwsKms],
  ['Google’s SDK and the fake of its KMS', hasSdks, startFakeGcpKms],
] as const)('with %s', (_name, possible, start) => {
  test.skipIf(!possible)(
    'the master key moves from its file to the KMS and back, while everything runs',
    async () => {
      const kms: TestKms = await start();
      const dir = folder();
      const SALLYPORT_KMS = kmsOf(kms);
      try {
        let plane = await startTestControlPlane({}, dir);
        await keep(plane);
        const inFile = envelope(plane).ring.current.id;
        await plane.controlPlane.stop();

        plane = await startTestControlPlane({ SALLYPORT_KMS, SALLYPORT_SDK_DIR: sdkDir }, dir);
        expect(envelope(plane).ring.current.id).toBe(inFile);
        const moved = await rotate(plane);
        expect(moved).toMatchObject({ status: 200, body: { from: 'outside', unused: [inFile] } });
        expect(await wrapped(plane)).toEqual([moved.body.keyId]);
        const key = envelope(plane).ring.find(moved.body.keyId)!.reveal();
        const [row] = await database(plane).wrappedKey.findMany();
        for (const form of ['base64', 'base64url', 'hex'] as const)
          expect(row?.wrapped).not.toContain(key.toString(form));
        await plane.controlPlane.stop();

        // The file may go, and none is made in its place.
        const file = path.join(dir, 'data/kek');
        renameSync(file, `${file}.away`);
        plane = await startTestControlPlane({ SALLYPORT_KMS, SALLYPORT_SDK_DIR: sdkDir }, dir);
        expect(existsSync(file)).toBe(false);
        expect(await opened(plane)).toBe(CANARY);

        // A key that was replaced is forgotten once it has rested, so that not even the KMS gives it back.
        const second = await rotate(plane);
        expect(second.body.unused).toEqual([moved.body.keyId]);
        plane.clock.offsetMs += 120_000;
        const third = await rotate(plane);
        expect(third).toMatchObject({ status: 200 });
        expect(await wrapped(plane)).toEqual([third.body.keyId, second.body.keyId]);
        expect(await opened(plane)).toBe(CANARY);

        // While the KMS is away everything goes on, and a rotation changes nothing.
        kms.setAway(true);
        expect((await rotate(plane)).body.code).toBe('credential.unavailable');
        expect(envelope(plane).ring.current.id).toBe(third.body.keyId);
        await plane.call('PUT', '/v1/credentials/kept/secret', { secret: CANARY });
        expect(await opened(plane)).toBe(CANARY);
        kms.setAway(false);

        expect((await rotate(plane, 'nowhere')).body.code).toBe('request.conflict');
        const back = await rotate(plane, 'file');
        expect(back.body.from).toBe('file');
        await plane.controlPlane.stop();
        plane = await startTestControlPlane({}, dir);
        expect(await opened(plane)).toBe(CANARY);
        await plane.stop();
      } finally {
        kms.setAway(false);
        await kms.stop();
        rmSync(dir, { recursive: true, force: true });
      }
    },
    180_000,
  );
});

test('replicas on one database share its wrapped key, and a damaged one stops a start', async () => {
  const kms: TestKms = await best();
  const dir = folder();
  chmodSync(dir, 0o711);
  const server = await startEmbeddedPostgres({ dir: path.join(dir, 'pg') });
  try {
    const env = { SALLYPORT_KMS: kmsOf(kms), DATABASE_URL: server.url() };
    const first = await startTestControlPlane(env);
    const other = folder();
    mkdirSync(path.join(other, 'data'));
    writeFileSync(path.join(other, 'data/admin-token'), first.adminToken);
    const second = await startTestControlPlane(env, other);
    expect(await wrapped(first)).toHaveLength(1);
    expect(existsSync(path.join(first.dir, 'data/kek'))).toBe(false);
    await keep(first);
    expect(await opened(second)).toBe(CANARY);
    // The other one holds the new key before anything is sealed under it.
    const { body } = await rotate(first);
    await expect.poll(() => envelope(second).ring.current.id).toBe(body.keyId);
    expect(await opened(second)).toBe(CANARY);
    await second.stop();
    await database(first).$executeRaw`update wrapped_keys set wrapped = overlay(wrapped placing 'AAAAAAAA' from 12)`;
    await first.stop();
    expect(await refusal(startTestControlPlane(env))).toBe('credential.unavailable');
    kms.setAway(true);
    expect(await refusal(startTestControlPlane(env))).toBe('credential.unavailable');
    // Without the KMS the wrapped key is of no use, and nothing new is made in its place.
    expect(await refusal(startTestControlPlane({ DATABASE_URL: server.url() }))).toBe('config.invalid');
  } finally {
    kms.setAway(false);
    await kms.stop();
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}, 180_000);

describe('killed half-way', () => {
  const ROWS = 1_500;
  let kms: TestKms;
  let server: EmbeddedPostgres;
  const dir = folder();
  const data = path.join(dir, 'data');
  beforeAll(async () => {
    chmodSync(dir, 0o711);
    kms = await best();
    server = await startEmbeddedPostgres({ dir: path.join(dir, 'pg') });
  }, 60_000);
  afterAll(async () => {
    await kms?.stop();
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  test('a rotation to the KMS that kill -9 ended half-way leaves everything open, and is finished by the next one', async () => {
    const url = server.url();
    const seeded = await startTestControlPlane({ DATABASE_URL: url }, dir);
    await keep(seeded);
    const inFile = envelope(seeded).ring.current.id;
    const { projectId } = await database(seeded).credential.findFirstOrThrow({ where: { name: 'kept' } });
    const rows = Array.from({ length: ROWS }, (_, at) => ({ id: randomUUID(), name: `c${at}` }));
    await database(seeded).credential.createMany({
      data: rows.map(({ id, name }) => ({
        id,
        projectId,
        name,
        kind: 'stored',
        username: 'u',
        sealed: envelope(seeded).seal(Buffer.from(`${CANARY}-${name}`), `credential/${id}`),
      })),
    });
    await seeded.controlPlane.stop();

    const env = { DATABASE_URL: url, SALLYPORT_KMS: kmsOf(kms) };
    const child = await spawned(data, env);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const left = async (): Promise<number> => {
      const answer = await client.query<{ n: number }>(
        `select count(*)::int as n from credentials where substring(sealed from 2 for 8) = decode($1, 'hex')`,
        [inFile],
      );
      return answer.rows[0]!.n;
    };
    const asked = fetch(`${child.ready.http}/v1/keys/master/rotate`, {
      method: 'POST',
      headers: { authorization: `Bearer ${readFileSync(path.join(data, 'admin-token'), 'utf8').trim()}` },
    }).catch(() => undefined);
    const deadline = Date.now() + 60_000;
    while ((await left()) > ROWS - 100 && Date.now() < deadline) await sleep(2);
    child.process.kill('SIGKILL');
    await asked;
    const half = await left();
    await client.end();
    expect(half).toBeGreaterThan(0);
    expect(half).toBeLessThan(ROWS);

    const plane = await startTestControlPlane(env, dir);
    expect(envelope(plane).ring.current.from).toBe('outside');
    const { body } = await rotate(plane);
    expect(body).toMatchObject({ keyId: envelope(plane).ring.current.id, from: 'outside', unused: [inFile] });
    expect(await wrapped(plane)).toEqual([body.keyId]);
    for (const { id, name, sealed } of await database(plane).credential.findMany({
      where: { name: { startsWith: 'c' } },
    }))
      expect(envelope(plane).open(sealed!, `credential/${id}`).reveal().toString()).toBe(`${CANARY}-${name}`);
    await plane.controlPlane.stop();
    rmSync(path.join(data, 'kek'));
    const last = await startTestControlPlane(env, dir);
    expect(await opened(last)).toBe(CANARY);
    await last.controlPlane.stop();
  }, 180_000);
});

async function spawned(
  data: string,
  env: Record<string, string>,
): Promise<{ process: ChildProcess; ready: ReadyFile }> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, '../../dist/main.js')], {
    env: {
      PATH: process.env['PATH'] ?? '',
      SALLYPORT_SECRET_KMS: 'root',
      SALLYPORT_DATA_DIR: data,
      SALLYPORT_HTTP: '127.0.0.1:0',
      SALLYPORT_LINK: '127.0.0.1:0',
      SALLYPORT_ENROLL: '127.0.0.1:0',
      ...env,
    },
    stdio: 'ignore',
  });
  const file = path.join(data, 'ready.json');
  for (let tries = 0; !existsSync(file); tries++) {
    if (tries > 600 || child.exitCode !== null) throw new Error('the control plane does not start');
    await sleep(100);
  }
  return { process: child, ready: JSON.parse(readFileSync(file, 'utf8')) as ReadyFile };
}
