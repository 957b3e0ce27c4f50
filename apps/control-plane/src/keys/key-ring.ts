/**
 * The key-encryption keys this process holds: the current one seals, every one opens. Which is current the database says,
 * for all replicas alike (master-key.ts); where they come from is behind `KekSource` (kek-sources.ts).
 * Refuses to drop a key that something is sealed under: a start with one missing ends at once.
 */
import { createHash } from 'node:crypto';
import { GatewayError, type Secret } from '@sallyport/core';
import type { KekSource } from './kek-sources.ts';

export interface HeldKey {
  /** Hex of the first 8 bytes of its SHA-256: what boxes carry. */
  readonly id: string;
  readonly key: Secret<Buffer>;
  /** Name of its source. */
  readonly from: string;
}

export const kekId = (key: Secret<Buffer>): string =>
  createHash('sha256').update('sallyport/kek/1').update(key.reveal()).digest().subarray(0, 8).toString('hex');

export class KeyRing {
  readonly #sources: readonly KekSource[];
  #keys: readonly HeldKey[];
  #current: HeldKey;
  /** Told of a key that is not here: another replica may have made it. */
  onMiss: (() => void) | undefined;

  private constructor(keys: readonly HeldKey[], sources: readonly KekSource[]) {
    this.#sources = sources;
    this.#keys = keys;
    const [first] = keys;
    if (first === undefined) throw new GatewayError('config.invalid', { name: 'SALLYPORT_KEK', remedy: 'give a key' });
    this.#current = first;
  }

  /** Of one key that is given. */
  static of(key: Secret<Buffer>): KeyRing {
    return new KeyRing([{ id: kekId(key), key, from: 'given' }], []);
  }

  /**
   * @param sources in order of preference, at least one
   * @param mayMake the database holds no secrets yet, so that a first key may be made
   * @throws GatewayError `config.invalid`; `credential.unavailable` when a KMS cannot be asked
   */
  static async open(sources: readonly KekSource[], mayMake: boolean): Promise<KeyRing> {
    const known = await readAll(sources);
    if (known.length > 0) return new KeyRing(known, sources);
    if (!mayMake)
      throw new GatewayError('config.invalid', {
        name: 'SALLYPORT_KEK',
        remedy:
          'the database holds secrets: give the key-encryption key it was made with (SALLYPORT_KEK, _FILE, or _KMS)',
      });
    await sources[0]?.addFirst?.();
    return new KeyRing(await readAll(sources), sources);
  }

  get current(): HeldKey {
    return this.#current;
  }
  /** Of the preferred source first, newest first. */
  get ids(): readonly string[] {
    return this.#keys.map(({ id }) => id);
  }
  has(id: string): boolean {
    return this.#keys.some((key) => key.id === id);
  }

  find(id: string): Secret<Buffer> | undefined {
    const known = this.#keys.find((key) => key.id === id)?.key;
    if (known === undefined) this.onMiss?.();
    return known;
  }

  /** Seals under this one from here on. @returns false when it is not here */
  use(id: string): boolean {
    const held = this.#keys.find((key) => key.id === id);
    if (held !== undefined) this.#current = held;
    return held !== undefined;
  }

  /** Looks again where keys come from. What is held stays held when a source cannot be asked. */
  async reload(): Promise<void> {
    const keys = await readAll(this.#sources);
    const gone = this.#keys.filter(({ id }) => id === this.#current.id && !keys.some((key) => key.id === id));
    if (keys.length > 0) this.#keys = [...keys, ...gone];
  }

  /**
   * The key a rotation goes to: one that was made and never used, else a new one.
   * @param to name of a source; the preferred one when absent
   * @throws GatewayError `request.conflict` where only the operator can make one, or there is no such source
   */
  async next(to: string | undefined): Promise<HeldKey> {
    const source = to === undefined ? this.#sources[0] : this.#sources.find(({ name }) => name === to);
    if (source === undefined)
      throw new GatewayError('request.conflict', {
        reason: `keys lie in ${this.#sources.map(({ name }) => name).join(', ') || 'no source'}`,
      });
    await this.reload();
    const newest = (): HeldKey | undefined => this.#keys.find(({ from }) => from === source.name);
    const there = newest();
    const isUnused = there !== undefined && there.id !== this.#current.id;
    if (isUnused && (this.#current.from === source.name || source.add === undefined)) return there;
    if (source.add === undefined)
      throw new GatewayError('request.conflict', {
        reason: 'give every replica the new key first: SALLYPORT_KEK=<new>,<old>',
      });
    await source.add();
    await this.reload();
    return newest()!;
  }

  /** Forgets these where that is ours to do. @returns those that are forgotten */
  async drop(ids: readonly string[]): Promise<readonly string[]> {
    const dropped: string[] = [];
    for (const { id, from } of this.#keys) {
      const source = this.#sources.find(({ name }) => name === from);
      if (!ids.includes(id) || id === this.#current.id || source?.drop === undefined) continue;
      await source.drop(id);
      dropped.push(id);
    }
    this.#keys = this.#keys.filter(({ id }) => !dropped.includes(id));
    return dropped;
  }
}

/** The same key in two places is of the preferred one. */
async function readAll(sources: readonly KekSource[]): Promise<readonly HeldKey[]> {
  const keys = new Map<string, HeldKey>();
  for (const source of sources) {
    for (const key of await source.read()) {
      const id = kekId(key);
      if (!keys.has(id)) keys.set(id, { id, key, from: source.name });
    }
  }
  return [...keys.values()];
}
