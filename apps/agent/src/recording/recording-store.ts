/**
 * Chunk files of recordings on the agent's disk, on their way to the control plane. Refuses to know frames and keys.
 * A chunk's file is there before the event that names it, so the record never names a chunk that was not written.
 * Limits: recordingQueuesBytesMax, recordingSpoolShareMax.
 */
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GatewayError, LIMITS, type Logger } from '@sallyport/core';
import { sha256 } from '@sallyport/trail';
import type { DiskBudget } from '../spool/disk-budget.ts';

export interface StoredChunk {
  /** UUID text. */
  readonly sessionId: string;
  readonly index: number;
  /** SHA-256 of `bytes`. */
  readonly digest: Buffer;
  readonly bytes: Buffer;
}

interface ChunkFile {
  readonly path: string;
  readonly sessionId: string;
  readonly index: number;
  readonly size: number;
  sent: boolean;
  /** What was written, until it is sent: a link that stands takes it from here, and the file is for one that does not. */
  kept: { readonly bytes: Buffer; readonly digest: Buffer } | undefined;
}

/** Of chunks that wait in memory for a link, besides their files. */
const KEPT_BYTES_MAX = 1024 * 1024;
const NAME = /^([0-9a-f-]{36})-(\d{8})\.rec$/;

export class RecordingStore {
  /** Called after a chunk was written. */
  onGrown: (() => void) | undefined;
  readonly #dir: string;
  readonly #budget: DiskBudget;
  readonly #log: Logger;
  readonly #files = new Map<string, ChunkFile>();
  #queuedBytes = 0;
  #keptBytes = 0;

  /** @param dir the spool's directory of this process; what an earlier process left there is offered again */
  constructor(dir: string, budget: DiskBudget, log: Logger) {
    this.#dir = join(dir, 'recordings');
    this.#budget = budget;
    this.#log = log;
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    this.#take(this.#dir);
  }
  /** Chunks in the directory of a slot that the spool has taken over (`Spool.onAdopted`). */
  adopt(dir: string): void {
    this.#take(join(dir, 'recordings'));
    this.onGrown?.();
  }

  /** Bytes that recorders hold in memory; a recorder reports what it takes and gives back. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }
  queue(bytes: number): void {
    this.#queuedBytes += bytes;
  }
  /** False while recorders together hold too much, or the recordings' share of the disk is used up. */
  hasRoom(bytes: number): boolean {
    return (
      this.#queuedBytes + bytes <= LIMITS.recordingQueuesBytesMax &&
      this.#budget.fits(bytes, LIMITS.recordingSpoolShareMax)
    );
  }

  /**
   * @param bytes given away
   * @param digest SHA-256 of them
   * @throws GatewayError `trail.unavailable` when the disk does not take it; nothing is left behind then
   */
  async write(sessionId: string, index: number, bytes: Buffer, digest: Buffer): Promise<void> {
    const path = join(this.#dir, `${sessionId}-${String(index).padStart(8, '0')}.rec`);
    const draft = `${path}.tmp`;
    try {
      await writeFile(draft, bytes, { mode: 0o600, flush: true });
      await rename(draft, path);
    } catch (cause) {
      await rm(draft, { force: true });
      throw new GatewayError('trail.unavailable', { reason: 'recording' }, { cause });
    }
    this.#add(path, sessionId, index, bytes.length, this.#keep(bytes, digest));
    this.onGrown?.();
  }
  #keep(bytes: Buffer, digest: Buffer): ChunkFile['kept'] {
    if (this.#keptBytes + bytes.length > KEPT_BYTES_MAX) return undefined;
    this.#keptBytes += bytes.length;
    return { bytes, digest };
  }
  #forget(file: ChunkFile): void {
    this.#keptBytes -= file.kept?.bytes.length ?? 0;
    file.kept = undefined;
  }

  /** The next chunk to send, oldest session first; undefined when all is sent. One call at a time. */
  async next(): Promise<StoredChunk | undefined> {
    for (const file of this.#files.values()) {
      if (file.sent) continue;
      file.sent = true;
      const { sessionId, index, kept } = file;
      if (kept !== undefined) {
        this.#forget(file);
        return { sessionId, index, ...kept };
      }
      const bytes = await this.#read(file);
      if (bytes === undefined) continue;
      return { sessionId, index, digest: sha256(bytes), bytes };
    }
    return undefined;
  }
  /** The control plane has stored this chunk. */
  acknowledge(sessionId: string, index: number): void {
    const id = `${sessionId}/${index}`;
    const file = this.#files.get(id);
    if (file === undefined || !file.sent) return;
    this.#files.delete(id);
    this.#forget(file);
    this.#budget.remove(file.size);
    // Not waited for: freeing a file's blocks takes a busy disk tens of milliseconds, and sessions stand still for none of it.
    unlink(file.path).catch((error: unknown) => {
      // Somebody was quicker.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      this.#log.warn('a recording chunk that was stored could not be removed', { path: file.path, error });
    });
  }
  /** Sends again what is not acknowledged: call when a link opens. */
  rewind(): void {
    for (const file of this.#files.values()) file.sent = false;
  }

  async #read(file: ChunkFile): Promise<Buffer | undefined> {
    try {
      return await readFile(file.path);
    } catch (error) {
      this.#log.error('a recording chunk cannot be read', { path: file.path, error });
      this.#files.delete(`${file.sessionId}/${file.index}`);
      this.#budget.remove(file.size);
      return undefined;
    }
  }

  #take(dir: string): void {
    for (const name of listing(dir)) {
      const path = join(dir, name);
      const match = NAME.exec(name);
      if (match !== null) this.#add(path, match[1]!, Number(match[2]), statSync(path).size, undefined);
      else if (name.endsWith('.tmp')) rmSync(path, { force: true });
    }
  }
  #add(path: string, sessionId: string, index: number, size: number, kept: ChunkFile['kept']): void {
    this.#files.set(`${sessionId}/${index}`, { path, sessionId, index, size, sent: false, kept });
    this.#budget.add(size);
  }
}

/** Names sort by session (UUIDv7: by time) and index. */
function listing(dir: string): readonly string[] {
  try {
    return readdirSync(dir).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
