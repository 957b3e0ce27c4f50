/**
 * Where key-encryption keys lie: a variable, a file, or wrapped by a KMS (kms-keks.ts). In order of preference: the first one
 * is where a rotation puts a new key. Refuses files that others may read, and to make a key for a database that holds secrets.
 */
import { randomBytes } from 'node:crypto';
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

export interface KekSource {
  /** `environment`, `file`, or the KMS's name. */
  readonly name: string;
  /** Newest first; asked at a start and when an unknown key is met. @throws GatewayError `config.invalid` */
  read(): Promise<readonly Secret<Buffer>[]>;
  /** Makes the first key of all; another process that was first is no error. Absent where only the operator can. */
  addFirst?(): Promise<void>;
  /** Makes another one, durable when it resolves. @throws GatewayError `credential.unavailable` */
  add?(): Promise<void>;
  /** Forgets one that nothing is sealed under. Absent where only the operator should. */
  drop?(id: string): Promise<void>;
}

export const newKek = (): Secret<Buffer> => new Secret(randomBytes(32));

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

/** The variable when it is set, else the file. */
export const plainKekSource = ({ keks, kekFile }: Pick<Config, 'keks' | 'kekFile'>): KekSource =>
  keks.length > 0 ? { name: 'environment', read: () => Promise.resolve(keks) } : fileSource(kekFile);

function fileSource(file: string): KekSource {
  return {
    name: 'file',
    read: () => Promise.resolve(existsSync(file) ? readKeks(file) : []),
    addFirst: () => Promise.resolve(makeFile(file)),
    add: () =>
      Promise.resolve(existsSync(file) ? replaceFile(file, `${line()}${readFileSync(file, 'utf8')}`) : makeFile(file)),
  };
}

const line = (): string => `${newKek().reveal().toString('base64url')}\n`;

function readKeks(file: string): readonly Secret<Buffer>[] {
  if ((statSync(file).mode & 0o077) !== 0)
    throw new GatewayError('config.invalid', {
      name: 'SALLYPORT_KEK_FILE',
      file,
      remedy: 'others may read it: chmod 600',
    });
  return parseKeks('SALLYPORT_KEK_FILE', readFileSync(file, 'utf8'));
}

function makeFile(file: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  try {
    write(file, line(), 'wx');
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
