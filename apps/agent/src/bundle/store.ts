/**
 * The last good bundle on disk: bodies in one file that grows, and the signed manifest, swapped in one rename after them.
 * Refuses to judge: what it gives back is named by its own digest and verified again by who asked. What a crash cut short
 * is left out.
 */
import { createHash } from 'node:crypto';
import { constants, readdirSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { type SignedManifest, wire } from '@sallyport/contract';
import { keepWhole, makePrivateDir, readIfThere, writeWhole } from '../files.ts';

/** What no manifest names any more may fill this much before the file is written anew. */
const WASTE_BYTES_MAX = 4 * 1024 * 1024;

/** What a manifest and its pages name; the same one twice counts twice as long as nothing is written anew. */
export interface Named {
  readonly count: number;
  readonly bytes: number;
  /** Hex digests; asked for when the file is written anew alone. */
  digests(): Iterable<string>;
}

export class BundleStore {
  readonly #dir: string;
  readonly #pack: string;
  /** Undefined until it was read. */
  #packEnd: number | undefined;
  /** One after the other, in the order they came. */
  #writing: Promise<void> = Promise.resolve();

  constructor(dataDir: string) {
    this.#dir = makePrivateDir(path.join(dataDir, 'bundle'));
    this.#pack = path.join(this.#dir, 'chunks.pack');
  }

  /** Every body there is, by the hex digest of its bytes. Called once at boot. */
  bodies(): ReadonlyMap<string, Buffer> {
    const bodies = new Map<string, Buffer>();
    const put = (body: Buffer): void => void bodies.set(createHash('sha256').update(body).digest('hex'), body);
    for (const body of this.#packed()) put(body);
    for (const file of this.#singleFiles()) put(readIfThere(file) ?? Buffer.alloc(0));
    return bodies;
  }

  manifest(): SignedManifest | undefined {
    const bytes = readIfThere(path.join(this.#dir, 'manifest.bin'));
    return bytes === undefined ? undefined : wire.SignedManifest.decode(bytes);
  }

  /**
   * Makes this manifest the one to start from; on disk when it resolves. Sessions go on meanwhile: a sync may take long.
   * @param fresh bodies that are not in the store yet
   */
  async put(signed: SignedManifest, fresh: readonly Uint8Array[], named: Named): Promise<void> {
    const mine = this.#writing.then(() => this.#put(signed, fresh, named));
    // One that failed is its caller's to hear of.
    this.#writing = mine.catch(() => undefined);
    await mine;
  }

  /** Resolves when everything that was put is on disk, or could not be. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #put(signed: SignedManifest, fresh: readonly Uint8Array[], named: Named): Promise<void> {
    await this.#append(fresh);
    await keepWhole(path.join(this.#dir, 'manifest.bin'), wire.SignedManifest.encode(signed).finish());
    const bytes = named.bytes + 4 * named.count;
    const old = this.#singleFiles();
    if (old.length === 0 && (this.#packEnd ?? 0) <= 2 * bytes + WASTE_BYTES_MAX) return;
    const bodies = this.bodies();
    const records = recordsOf([...new Set(named.digests())].flatMap((digest) => bodies.get(digest) ?? []));
    await keepWhole(this.#pack, records);
    this.#packEnd = records.length;
    if (old.length > 0) rmSync(path.join(this.#dir, 'chunks'), { recursive: true, force: true });
  }

  /** Bodies of whole records; where they end is where the next one goes. */
  #packed(): readonly Buffer[] {
    const pack = readIfThere(this.#pack) ?? Buffer.alloc(0);
    const bodies: Buffer[] = [];
    let at = 0;
    while (at + 4 <= pack.length) {
      const end = at + 4 + pack.readUInt32BE(at);
      if (end > pack.length) break;
      bodies.push(pack.subarray(at + 4, end));
      at = end;
    }
    this.#packEnd = at;
    return bodies;
  }

  /** What an earlier crash cut short is written over. */
  async #append(bodies: readonly Uint8Array[]): Promise<void> {
    if (bodies.length === 0) return;
    if (this.#packEnd === undefined) this.#packed();
    const end = this.#packEnd ?? 0;
    const records = recordsOf(bodies);
    const pack = await open(this.#pack, constants.O_WRONLY | constants.O_CREAT, 0o600);
    try {
      await pack.truncate(end);
      for (let at = 0; at < records.length; )
        at += (await pack.write(records, at, records.length - at, end + at)).bytesWritten;
      await pack.sync();
    } finally {
      await pack.close();
    }
    this.#packEnd = end + records.length;
  }

  /** One file per body, as earlier versions kept them. */
  #singleFiles(): readonly string[] {
    const dir = path.join(this.#dir, 'chunks');
    if (statSync(dir, { throwIfNoEntry: false }) === undefined) return [];
    return readdirSync(dir).map((name) => path.join(dir, name));
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

/** Each with its length before it. */
function recordsOf(bodies: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    bodies.flatMap((body) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(body.length);
      return [length, body];
    }),
  );
}
