/**
 * The last good bundle on disk: chunks by digest, and the signed manifest that names them, swapped in one rename.
 * Refuses to judge: what it gives back is verified again by who asked. A half-written store is no store.
 */
import { createHash } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type SignedManifest, wire } from '@sallyport/contract';
import { makePrivateDir, readIfThere, writeWhole } from '../files.ts';

export class BundleStore {
  readonly #dir: string;
  readonly #chunkDir: string;

  constructor(dataDir: string) {
    this.#dir = makePrivateDir(path.join(dataDir, 'bundle'));
    this.#chunkDir = makePrivateDir(path.join(this.#dir, 'chunks'));
  }

  /** A chunk's body; undefined when it is not here or is not what its name says. @param digest hex */
  chunk(digest: string): Buffer | undefined {
    const body = readIfThere(path.join(this.#chunkDir, digest));
    return body !== undefined && createHash('sha256').update(body).digest('hex') === digest ? body : undefined;
  }

  putChunk(digest: string, body: Uint8Array): void {
    writeWhole(path.join(this.#chunkDir, digest), body);
  }

  manifest(): SignedManifest | undefined {
    const bytes = readIfThere(path.join(this.#dir, 'manifest.bin'));
    return bytes === undefined ? undefined : wire.SignedManifest.decode(bytes);
  }

  /** Makes this manifest the one to start from, and drops chunks it does not name. @param digests hex of its chunks */
  putManifest(signed: SignedManifest, digests: ReadonlySet<string>): void {
    writeWhole(path.join(this.#dir, 'manifest.bin'), wire.SignedManifest.encode(signed).finish());
    for (const name of readdirSync(this.#chunkDir)) {
      if (!digests.has(name)) rmSync(path.join(this.#chunkDir, name), { force: true });
    }
  }

  /** The sealed credentials of the last bundle: boxes only this agent's key opens. */
  credentials(): Uint8Array | undefined {
    return readIfThere(path.join(this.#dir, 'credentials.bin'));
  }

  putCredentials(bytes: Uint8Array): void {
    writeWhole(path.join(this.#dir, 'credentials.bin'), bytes);
  }

  /** When the control plane was last heard, UTC ms; 0 = never. Offline budgets count from here, also after a restart. */
  lastContactMs(): number {
    const text = readIfThere(path.join(this.#dir, 'last-contact'))?.toString('utf8') ?? '';
    return /^\d{1,15}$/.test(text) ? Number(text) : 0;
  }

  putLastContact(atMs: number): void {
    writeWhole(path.join(this.#dir, 'last-contact'), String(atMs));
  }
}
