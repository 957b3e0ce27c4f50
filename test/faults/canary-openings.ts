/**
 * What lies encrypted on a stack, opened with its own keys, so that a search for secrets sees what an auditor with the keys
 * would see: payloads of the trail and recordings. Formats: docs/reference/trail-format.md, keys/envelope.ts.
 */
import { createDecipheriv } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import {
  openRecordingChunk,
  openSessionKey,
  parseEventRecord,
  parseRecordingHead,
  RECORD_EVENT,
  readRecords,
  type SessionKeyReader,
} from '@sallyport/trail';
import type pg from 'pg';

const ENCRYPTED = 1;
type Heard = readonly [where: string, bytes: Buffer];

/** AES-256-GCM: nonce, ciphertext, tag; undefined = not under this key. */
function gcm(key: Buffer, nonce: Buffer, box: Buffer, context: string): Buffer | undefined {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce)
    .setAAD(Buffer.from(context))
    .setAuthTag(box.subarray(-16));
  try {
    return Buffer.concat([decipher.update(box.subarray(0, -16)), decipher.final()]);
  } catch {
    // Under another key.
    return undefined;
  }
}

function openBox(keks: readonly Buffer[], box: Buffer, context: string): Buffer | undefined {
  for (const kek of keks) {
    const dataKey = gcm(kek, box.subarray(9, 21), box.subarray(21, 69), 'sallyport/data-key/1');
    if (dataKey !== undefined) return gcm(dataKey, box.subarray(69, 81), box.subarray(81), context);
  }
  return undefined;
}

export interface PrivateKey {
  readonly purpose: string;
  readonly bytes: Buffer;
  readonly publicKey: Buffer;
}

/** Private halves of all signing and sealing keys. */
export async function privateKeys(client: pg.Client, keks: readonly Buffer[]): Promise<readonly PrivateKey[]> {
  const { rows } = await client.query<{ id: string; purpose: string; sealed: Buffer; public_jwk: { x?: string } }>(
    'select id, purpose, sealed, public_jwk from signing_keys where length(sealed) > 9',
  );
  return rows.map(({ id, purpose, sealed, public_jwk: jwk }) => {
    const bytes = openBox(keks, sealed, `signing-key/${id}`);
    if (bytes === undefined) throw new Error(`${purpose}: not under the master key`);
    return { purpose, bytes, publicKey: Buffer.from(jwk.x ?? '', 'base64url') };
  });
}

/** Everything of the trail and of recordings, in clear. */
export async function* openedRecord(
  client: pg.Client,
  keys: readonly PrivateKey[],
  recordings: string,
): AsyncGenerator<Heard> {
  const readers = await sessionKeys(client, keys);
  const { rows } = await client.query<{ records: Buffer }>('select records from trail_batches');
  for (const { records } of rows) {
    for (const { type, body } of readRecords(records)) {
      if (type !== RECORD_EVENT) continue;
      const { flags, keyId, payload, keystreamOffset, kind } = parseEventRecord(body, false);
      const reader = readers.get(keyId.toString('hex'));
      if (payload === undefined) continue;
      if ((flags & ENCRYPTED) === 0) yield [`trail: ${kind}`, payload];
      else if (reader !== undefined) yield [`trail, opened: ${kind}`, reader.decrypt(keystreamOffset, payload)];
    }
  }
  for (const entry of readdirSync(recordings, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const bytes = readFileSync(path.join(entry.parentPath, entry.name));
    const reader = readers.get(parseRecordingHead(bytes).keyId.toString('hex'));
    if (reader !== undefined) yield ['recording, opened', await openRecordingChunk(bytes, reader.recordingKey())];
  }
}

async function sessionKeys(
  client: pg.Client,
  keys: readonly PrivateKey[],
): Promise<ReadonlyMap<string, SessionKeyReader>> {
  const readers = new Map<string, SessionKeyReader>();
  const { rows } = await client.query<{ id: string; box: Buffer }>('select id::text, box from session_keys');
  for (const { id, box } of rows) {
    const keyId = Buffer.from(id.replaceAll('-', ''), 'hex');
    for (const { purpose, bytes: privateKey, publicKey } of keys) {
      if (purpose !== 'trail_seal') continue;
      try {
        readers.set(keyId.toString('hex'), openSessionKey({ keyId, box }, { publicKey, privateKey }));
      } catch {
        // Sealed to another of the keys.
      }
    }
  }
  return readers;
}

/** Every row of every table as text: what a dump of the database would hold. */
export async function* dumped(client: pg.Client): AsyncGenerator<Heard> {
  const tables = await client.query<{ name: string }>(
    `select tablename as name from pg_tables where schemaname = 'public' order by 1`,
  );
  for (const { name } of tables.rows) {
    const { rows } = await client.query<{ text: string }>(`select t::text as text from "${name}" t`);
    yield [`dump of ${name}`, Buffer.from(rows.map(({ text }) => text).join('\n'))];
  }
}
