/**
 * Taking the root's private key out of the database and bringing it back (DESIGN section 4, ADR 0010): `ca root-offline`
 * and `ca root-online` of the process, run by whoever holds the key-encryption key. Both are acts of the trail.
 * Without it everything goes on; only new issuers cannot be made. Refuses a key that is not this root's.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { GatewayError, Secret } from '@sallyport/core';
import { recordActOf, systemActor } from '../acts/acts.ts';
import type { Config } from '../config.ts';
import { Database, DatabaseUrl, type Tx } from '../db/database.ts';
import { migrate } from '../db/migrate.ts';
import { openDatabase } from '../db/open-database.ts';
import type { SigningKey } from '../generated/prisma/client.ts';
import { SystemClock } from '../time.ts';
import { Envelope } from './envelope.ts';
import { KeyRing } from './key-ring.ts';
import { KeysRepository } from './keys.repository.ts';
import { kekSources } from './kms-keks.ts';

export interface RootKeyFile {
  readonly path: string;
  /** The file is PKCS #8, encrypted under it (AES-256) when given. */
  readonly passphrase: Secret<string> | undefined;
}

interface Opened {
  readonly tx: Tx;
  readonly repository: KeysRepository;
  readonly envelope: Envelope;
  readonly root: SigningKey;
  readonly context: string;
}

const refuse = (remedy: string, cause?: unknown): never => {
  throw new GatewayError('config.invalid', { name: 'ca', remedy }, { cause });
};

/** Writes the key to a fresh file (0600), reads it back, and only then empties it here. @returns the key's id */
export async function takeRootOffline(config: Config, file: RootKeyFile): Promise<string> {
  return await withRoot(config, async ({ tx, repository, envelope, root, context }) => {
    if (root.sealed.length === 0) refuse('the root is offline already');
    const der = envelope.open(root.sealed, context).reveal();
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    writeNew(file.path, pemOf(key, file.passphrase));
    requireRootOf(readKey(file), root);
    await repository.reseal(tx, root.id, new Uint8Array());
    await recordActOf(tx, systemActor(root.projectId, 'ca'), 'key.taken_offline', 'key/root', { key: root.id });
    return root.id;
  });
}

/** Seals the key from its file here again; the file stays. @returns the key's id */
export async function bringRootBack(config: Config, file: RootKeyFile): Promise<string> {
  return await withRoot(config, async ({ tx, repository, envelope, root, context }) => {
    const key = readKey(file);
    requireRootOf(key, root);
    const der = key.export({ format: 'der', type: 'pkcs8' });
    await repository.reseal(tx, root.id, envelope.seal(der, context));
    await recordActOf(tx, systemActor(root.projectId, 'ca'), 'key.brought_back', 'key/root', { key: root.id });
    return root.id;
  });
}

async function withRoot<T>(config: Config, work: (opened: Opened) => Promise<T>): Promise<T> {
  const clock = new SystemClock();
  const server = await openDatabase(config);
  try {
    await migrate(server.url);
    const envelope = new Envelope(
      await KeyRing.open(
        kekSources(config, server.url, () => clock.nowMs()),
        false,
      ),
    );
    const database = new Database(new DatabaseUrl(new Secret(server.url)));
    try {
      const repository = new KeysRepository(database);
      return await database.transaction(async (tx) => {
        const root = await repository.lockRoot(tx);
        if (root === null) return refuse('this database has no root yet: start the control plane once');
        return await work({ tx, repository, envelope, root, context: `signing-key/${root.id}` });
      });
    } finally {
      await database.onModuleDestroy();
    }
  } finally {
    await server.stop();
  }
}

function pemOf(key: KeyObject, passphrase: Secret<string> | undefined): string {
  const protect = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase: passphrase.reveal() };
  return key.export({ format: 'pem', type: 'pkcs8', ...protect }) as string;
}

/** On the disk before the other copy goes. */
function writeNew(path: string, text: string): void {
  let fd: number;
  try {
    fd = openSync(path, 'wx', 0o600);
  } catch (cause) {
    return refuse(`${path} cannot be made: a path where no file is yet is needed`, cause);
  }
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function readKey(file: RootKeyFile): KeyObject {
  try {
    const passphrase = file.passphrase === undefined ? {} : { passphrase: file.passphrase.reveal() };
    return createPrivateKey({ key: readFileSync(file.path), format: 'pem', ...passphrase });
  } catch (cause) {
    return refuse(`${file.path} does not hold a key that opens (SALLYPORT_ROOT_PASSPHRASE?)`, cause);
  }
}

function requireRootOf(key: KeyObject, root: SigningKey): void {
  const known = createPublicKey({ key: root.publicJwk as { kty: string }, format: 'jwk' });
  if (!createPublicKey(key).equals(known)) refuse('the key is another one than the root certificate’s');
}
