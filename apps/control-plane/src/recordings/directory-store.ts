/**
 * Recordings in a directory, of this host or shared by replicas: written beside, synced, renamed, and the directory synced, so that what was
 * acknowledged is there after a crash. Refuses keys that leave the directory.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { GatewayError } from '@sallyport/core';
import { RecordingStore } from './recording-store.ts';

const KEY = /^[\w-]+(\/[\w-]+)*\/[\w.-]+$/;

export class DirectoryStore extends RecordingStore {
  readonly #root: string;
  constructor(root: string) {
    super();
    this.#root = root;
  }

  override async put(key: string, bytes: Uint8Array): Promise<void> {
    const file = this.#fileOf(key);
    const dir = path.dirname(file);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const temporary = `${file}.${randomUUID()}.tmp`;
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncDirectory(dir);
  }

  override async get(key: string): Promise<Buffer> {
    try {
      return await readFile(this.#fileOf(key));
    } catch (cause) {
      throw new GatewayError('recording.unavailable', { key }, { cause });
    }
  }

  override async delete(key: string): Promise<void> {
    await rm(this.#fileOf(key), { force: true });
  }

  override async *list(prefix: string): AsyncGenerator<string> {
    const entries = await readdir(this.#root, { recursive: true, withFileTypes: true }).catch((cause: unknown) => {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw cause;
    });
    const keys = entries
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.tmp'))
      .map((entry) => path.relative(this.#root, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
      .filter((key) => key.startsWith(prefix))
      .sort();
    yield* keys;
  }

  #fileOf(key: string): string {
    if (!KEY.test(key) || key.includes('..')) throw new GatewayError('internal', { reason: 'recording key' });
    return path.join(this.#root, ...key.split('/'));
  }
}

async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
