/**
 * The places a credential may come from, as this process asks them: for credentials that say `resolveAt: control_plane`.
 * Refuses its own settings: only variables named SALLYPORT_SECRET_… and files under SALLYPORT_SECRETS_DIR are theirs, or
 * whoever may write credentials could read the database's address and the master key.
 */
import { readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { Injectable } from '@nestjs/common';
import { type CredentialSource, openSources, SECRET_BYTES_MAX } from '@sallyport/credentials';
import { Config } from '../config.ts';
import { SystemClock } from '../time.ts';

@Injectable()
export class ServerSources {
  readonly #sources: ReadonlyMap<string, CredentialSource>;
  constructor(config: Config, clock: SystemClock) {
    this.#sources = openSources({
      nowMs: () => clock.nowMs(),
      sdkDir: config.sdkDir,
      variable: (name) => (name.startsWith('SALLYPORT_SECRET_') ? process.env[name] : undefined),
      readText: (file) => readUnder(config.secretsDir, file),
    });
  }

  /** Undefined for kinds that have no place to be asked: stored, none, ephemeral. */
  get(kind: string): CredentialSource | undefined {
    return this.#sources.get(kind);
  }
}

async function readUnder(folder: string, file: string): Promise<string> {
  if (folder === '') throw new Error('SALLYPORT_SECRETS_DIR is not set');
  const real = await realpath(file);
  const root = await realpath(folder);
  if (!real.startsWith(`${root}${path.sep}`)) throw new Error('not under SALLYPORT_SECRETS_DIR');
  if ((await stat(real)).size > SECRET_BYTES_MAX) throw new Error('the file is too large');
  return await readFile(real, 'utf8');
}
