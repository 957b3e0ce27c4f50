/**
 * Small files that must be whole or absent: written beside, synced, renamed. Refuses any mode wider than the owner's.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import path from 'node:path';

/** Replaces `file` atomically, mode 0600; it survives a power cut once this returns. */
export function writeWhole(file: string, bytes: Uint8Array | string): void {
  const beside = `${file}.${process.pid}.tmp`;
  const fd = openSync(beside, 'w', 0o600);
  try {
    const buffer = Buffer.from(bytes as string);
    for (let at = 0; at < buffer.length; ) at += writeSync(fd, buffer, at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(beside, file);
  const directory = openSync(path.dirname(file), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** The same while sessions go on; one writer for a file at a time. */
export async function keepWhole(file: string, bytes: Uint8Array): Promise<void> {
  const beside = `${file}.${process.pid}.tmp`;
  const written = await open(beside, 'w', 0o600);
  try {
    await written.writeFile(bytes);
    await written.sync();
  } finally {
    await written.close();
  }
  await rename(beside, file);
  const directory = await open(path.dirname(file), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** The file's bytes; undefined when there is none. @throws what else stops it from being read */
export function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes a directory only its owner can enter. */
export const makePrivateDir = (dir: string): string => {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  return dir;
};
