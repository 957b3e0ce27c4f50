/**
 * One segment on disk, open for writing, and for sending what is written. A write is whole or it did not happen: the next one
 * starts where the last good one ended. Refuses to know events. Synchronous on purpose: the kernel has the bytes before anything
 * is forwarded.
 */
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

export class SegmentFile {
  readonly path: string;
  readonly #fd: number;
  #size: number;
  #syncedSize = 0;
  #syncing: Promise<number> | undefined;
  #nextSync: Promise<number> | undefined;

  private constructor(path: string, fd: number, size: number) {
    this.path = path;
    this.#fd = fd;
    this.#size = size;
  }
  /** A fresh file whose first bytes are `bytes`. @throws what the file system says; nothing is left behind then */
  static create(path: string, bytes: Uint8Array): SegmentFile {
    const file = new SegmentFile(path, openSync(path, 'wx+', 0o600), 0);
    try {
      file.append(bytes);
      return file;
    } catch (error) {
      closeSync(file.#fd);
      unlinkSync(path);
      throw error;
    }
  }
  /** Goes on after `size` bytes of a file that is there; what follows them is cut. */
  static reopen(path: string, size: number): SegmentFile {
    const fd = openSync(path, 'r+');
    ftruncateSync(fd, size);
    return new SegmentFile(path, fd, size);
  }
  get size(): number {
    return this.#size;
  }
  /** @param size how many of its first bytes; absent: all @throws what the file system says, after taking a partial write back */
  append(bytes: Uint8Array, size = bytes.length): void {
    let written = 0;
    try {
      while (written < size) {
        written += writeSync(this.#fd, bytes, written, size - written, this.#size + written);
      }
    } catch (error) {
      // Should this fail as well: the next write starts at the same place, and recovery cuts a torn tail.
      if (written > 0) ftruncateSync(this.#fd, this.#size);
      throw error;
    }
    this.#size += written;
  }

  /** Bytes that were written, in memory of their own: the kernel has them in its own, so nothing is waited for. */
  read(position: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(length);
    return bytes.subarray(0, readSync(this.#fd, bytes, 0, length, position));
  }

  /**
   * Resolves with the number of bytes that are on the disk, not only in the kernel. Callers that come while a sync is
   * under way share the next one.
   */
  sync(): Promise<number> {
    if (this.#syncedSize >= this.#size) return Promise.resolve(this.#syncedSize);
    if (this.#syncing === undefined) {
      this.#syncing = this.#run().finally(() => {
        this.#syncing = undefined;
      });
      return this.#syncing;
    }
    this.#nextSync ??= this.#syncing.then(() => {
      this.#nextSync = undefined;
      return this.sync();
    });
    return this.#nextSync;
  }
  async #run(): Promise<number> {
    const size = this.#size;
    const first = this.#syncedSize === 0;
    await new Promise<void>((resolve, reject) => {
      fdatasync(this.#fd, (error) => (error === null ? resolve() : reject(error)));
    });
    if (first) syncDirectory(dirname(this.path));
    this.#syncedSize = size;
    return size;
  }

  /** Ends writing: syncs, then closes. The bytes that are on the disk. */
  async finish(): Promise<number> {
    try {
      return await this.sync();
    } finally {
      closeSync(this.#fd);
    }
  }
  /** Ends writing and waits for the disk. */
  finishSync(): void {
    try {
      fdatasyncSync(this.#fd);
      syncDirectory(dirname(this.path));
    } finally {
      closeSync(this.#fd);
    }
  }
}

/** A file's name is on the disk only when its directory is. */
function syncDirectory(dir: string): void {
  const fd = openSync(dir, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
