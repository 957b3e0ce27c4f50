/** The master key changed while everything runs: nothing is left under the old one, replicas agree, and none may be missing. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GatewayError } from '@sallyport/core';
import { afterAll, expect, test } from 'vitest';
import { Database, DatabaseUrl } from '../db/database.ts';
import { startTestControlPlane, type TestControlPlane } from '../testing/control-plane.ts';
import { Envelope } from './envelope.ts';
import { SEALED_COLUMNS } from './sealed-columns.ts';

/** Columns of bytes that no envelope made. */
const NOT_SEALED = new Set(
  `hash secret_hash recovery_codes credential_id public_key baseline seal_key key_hash box head said_head
   segment_header records record leaf root signed digest`.split(/\s+/),
);
const planes: TestControlPlane[] = [];
const started = async (...given: Parameters<typeof startTestControlPlane>): Promise<TestControlPlane> => {
  const plane = await startTestControlPlane(...given);
  planes.push(plane);
  return plane;
};
const database = (plane: TestControlPlane) => plane.controlPlane.app.get(Database, { strict: false }).client;
const envelope = (plane: TestControlPlane): Envelope => plane.controlPlane.app.get(Envelope, { strict: false });
/** Id of the key a box is under. */
const under = (box: Uint8Array | null | undefined): string =>
  Buffer.from(box ?? [])
    .subarray(1, 9)
    .toString('hex');
const canary = `canary-${randomBytes(6).toString('hex')}`;

/** A folder of another replica: it did not make the first admin. */
const replicaDir = (token: string): string => {
  const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-cp-'));
  mkdirSync(path.join(dir, 'data'));
  writeFileSync(path.join(dir, 'data/admin-token'), token);
  return dir;
};

afterAll(async () => {
  for (const plane of planes.reverse()) await plane.stop();
}, 60_000);

test('every column of bytes is one that is wrapped anew, or one that the envelope did not make', () => {
  const schema = readFileSync(path.join(import.meta.dirname, '../../prisma/schema.prisma'), 'utf8');
  const found = [...schema.matchAll(/^model \w+ \{\n([\s\S]*?)^\}/gm)].flatMap(([, body = '']) => {
    const table = /@@map\("(\w+)"\)/.exec(body)?.[1] ?? '';
    return [...body.matchAll(/^ {2}(\w+)\s+Bytes(\[\]|\?)?[^\n]*$/gm)].map((match) => ({
      table,
      column: /@map\("(\w+)"\)/.exec(match[0])?.[1] ?? match[1]!,
    }));
  });
  const key = ({ table, column }: { table: string; column: string }): string => `${table}.${column}`;
  expect(
    found
      .filter(({ column }) => !NOT_SEALED.has(column))
      .map(key)
      .sort(),
  ).toEqual(SEALED_COLUMNS.map(key).sort());
});

test('a rotation leaves nothing under the old key, and the old key may go', async () => {
  const plane = await started();
  const kekFile = path.join(plane.dir, 'data/kek');
  await plane.call('POST', '/v1/credentials', { name: 'c', kind: 'stored', username: 'u', secret: canary });
  await plane.call('POST', '/v1/webhooks', { name: 'w', url: 'http://127.0.0.1:9/x', secret: `${canary}-webhook` });
  const before = envelope(plane).ring.current.id;
  const answer = await plane.call<{ keyId: string; rewrapped: number; unused: string[] }>(
    'POST',
    '/v1/keys/master/rotate',
  );
  expect(answer.status).toBe(200);
  expect(answer.body.keyId).not.toBe(before);
  expect(answer.body.unused).toEqual([before]);
  expect(answer.body.rewrapped).toBeGreaterThan(5);
  const row = await database(plane).credential.findFirstOrThrow({ where: { name: 'c' } });
  expect(under(row.sealed)).toBe(answer.body.keyId);
  expect(envelope(plane).open(row.sealed!, `credential/${row.id}`).reveal().toString()).toBe(canary);
  for (const { sealed } of await database(plane).signingKey.findMany())
    if (sealed.length > 9) expect(under(sealed)).toBe(answer.body.keyId);
  // Signing goes on, and a token can still be made.
  expect((await plane.call('POST', '/v1/keys/rotate', { purpose: 'approval' })).status).toBe(200);
  const [fresh, old] = readFileSync(kekFile, 'utf8').trim().split('\n');
  expect(old).toBeDefined();
  await plane.controlPlane.stop();

  writeFileSync(kekFile, `${old}\n`, { mode: 0o600 });
  const refused = await startTestControlPlane({}, plane.dir).catch((error: unknown) => error);
  expect((refused as GatewayError).code).toBe('config.invalid');
  writeFileSync(kekFile, `${fresh}\n`, { mode: 0o600 });
  const again = await started({}, plane.dir);
  const kept = await database(again).credential.findFirstOrThrow({ where: { name: 'c' } });
  expect(envelope(again).open(kept.sealed!, `credential/${kept.id}`).reveal().toString()).toBe(canary);
}, 120_000);

test('replicas that were given both keys seal under the one that was chosen, whoever chose it', async () => {
  const key = (): string => randomBytes(32).toString('base64url');
  const [old, fresh] = [key(), key()];
  const first = await started({ SALLYPORT_KEK: old });
  const url = first.controlPlane.app.get(DatabaseUrl, { strict: false }).url.reveal();
  expect((await first.call('POST', '/v1/keys/master/rotate')).status).toBe(409);
  const both = { SALLYPORT_KEK: `${fresh},${old}`, DATABASE_URL: url };
  const token = first.adminToken;
  const [a, b] = [await started(both, replicaDir(token)), await started(both, replicaDir(token))];
  const before = envelope(first).ring.current.id;
  expect([envelope(a).ring.current.id, envelope(b).ring.current.id]).toEqual([before, before]);
  const answer = await a.call<{ keyId: string }>('POST', '/v1/keys/master/rotate', undefined, token);
  expect(answer.status).toBe(200);
  await expect.poll(() => envelope(b).ring.current.id).toBe(answer.body.keyId);
  await b.call('POST', '/v1/credentials', { name: 'later', kind: 'stored', username: 'u', secret: canary }, token);
  expect(under((await database(a).credential.findFirstOrThrow({ where: { name: 'later' } })).sealed)).toBe(
    answer.body.keyId,
  );
  // One that was not given the new key says so, and opens nothing of it.
  const row = await database(first).credential.findFirstOrThrow({ where: { name: 'later' } });
  expect(() => envelope(first).open(row.sealed!, `credential/${row.id}`)).toThrow(GatewayError);
}, 120_000);
