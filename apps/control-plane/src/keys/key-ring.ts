/**
 * The key-encryption keys this process holds: the current one seals, every one opens. Which is current the database says,
 * for all replicas alike (master-key.ts). Where they come from is behind `KekSource`: a variable, a file, or a KMS.
 * Refuses to drop a key that something is sealed under: a start with one missing ends at once.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { GatewayError, Secret } from '@sallyport/core';
import type { Config } from '../config.ts';

/** Where key-encryption keys lie. A KMS unwraps them in `read`, once at a start and again after a rotation. */
export interface KekSource {
  /** Newest first. @throws GatewayError `config.invalid` */
  read(): readonly Secret<Buffer>[];
  /** Makes a new one and keeps it; absent where only the operator can. */
  add?(): void;
}

export interface HeldKey {
  /** Hex of the first 8 bytes of its SHA-256: what boxes carry. */
  readonly id: string;
  readonly key: Secret<Buffer>;
}

const idOf = (key: Secret<Buffer>): string =>
  createHash('sha256').update('sallyport/kek/1').update(key.reveal()).digest().subarray(0, 8).toString('hex');

export class KeyRing {
  readonly #source: KekSource | undefined;
  #keys: readonly HeldKey[];
  #current: HeldKey;

  /** @param keys newest first, at least one */
  constructor(keys: readonly Secret<Buffer>[], source?: KekSource) {
    this.#source = source;
    this.#keys = keys.map((key) => ({ id: idOf(key), key }));
    const [first] = this.#keys;
    if (first === undefined) throw new GatewayError('config.invalid', { name: 'SALLYPORT_KEK', remedy: 'give a key' });
    this.#current = first;
  }

  static from(source: KekSource): KeyRing {
    return new KeyRing(source.read(), source);
  }

  get current(): HeldKey {
    return this.#current;
  }
  /** Newest first. */
  get ids(): readonly string[] {
    return this.#keys.map(({ id }) => id);
  }

  /** The key of that id; looked for once more where keys come from, since another replica may have made it. */
  find(id: string): Secret<Buffer> | undefined {
    const held = (): Secret<Buffer> | undefined => this.#keys.find((key) => key.id === id)?.key;
    const known = held();
    if (known !== undefined || this.#source === undefined) return known;
    this.#reload();
    return held();
  }

  /** Seals under this one from here on. @returns false when it is not here */
  use(id: string): boolean {
    if (this.find(id) === undefined) return false;
    this.#current = this.#keys.find((key) => key.id === id)!;
    return true;
  }

  /** Makes a new key where the source can. @throws GatewayError `request.conflict` where only the operator can */
  add(): HeldKey {
    if (this.#source?.add === undefined)
      throw new GatewayError('request.conflict', {
        reason: 'give every replica the new key first: SALLYPORT_KEK=<new>,<old>',
      });
    this.#source.add();
    this.#reload();
    return this.#keys[0]!;
  }

  #reload(): void {
    const keys = this.#source?.read() ?? [];
    if (keys.length > 0) this.#keys = keys.map((key) => ({ id: idOf(key), key }));
  }
}

/** 32 bytes in base64url, several by comma or line, newest first. @throws GatewayError `config.invalid` */
export function parseKeks(name: string, text: string): readonly Secret<Buffer>[] {
  return text
    .split(/[,\n]/)
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const bytes = Buffer.from(part, 'base64url');
      if (bytes.length !== 32)
        throw new GatewayError('config.invalid', { name, remedy: '32 bytes in base64url are expected' });
      return new Secret(bytes);
    });
}

/**
 * As the configuration says: the environment, else a file, which is made (0600) only for a database that holds no secrets.
 * @throws GatewayError `config.invalid` when it is missing, readable by others, or malformed
 */
export function kekSource(config: Pick<Config, 'keks' | 'kekFile'>, mayMake: boolean): KekSource {
  const { keks, kekFile: file } = config;
  if (keks.length > 0) return { read: () => keks };
  if (!existsSync(file)) makeFile(file, mayMake);
  const read = (): readonly Secret<Buffer>[] => {
    if ((statSync(file).mode & 0o077) !== 0)
      throw new GatewayError('config.invalid', {
        name: 'SALLYPORT_KEK_FILE',
        file,
        remedy: 'others may read it: chmod 600',
      });
    return parseKeks('SALLYPORT_KEK_FILE', readFileSync(file, 'utf8'));
  };
  return { read, add: () => replaceFile(file, `${newKey()}\n${readFileSync(file, 'utf8')}`) };
}

const newKey = (): string => randomBytes(32).toString('base64url');

function makeFile(file: string, mayMake: boolean): void {
  if (!mayMake)
    throw new GatewayError('config.invalid', {
      name: 'SALLYPORT_KEK',
      file,
      remedy: 'the database holds secrets: give the key-encryption key it was made with',
    });
  mkdirSync(path.dirname(file), { recursive: true });
  try {
    write(file, `${newKey()}\n`, 'wx');
    chmodSync(file, 0o600);
  } catch (error) {
    // Another process of this folder was first: its key is read.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Whole or not at all: nothing is sealed under a key that could be lost. */
function replaceFile(file: string, text: string): void {
  const beside = `${file}.${process.pid}.tmp`;
  write(beside, text, 'w');
  renameSync(beside, file);
}

function write(file: string, text: string, flags: string): void {
  const fd = openSync(file, flags, 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
