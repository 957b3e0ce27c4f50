/**
 * What is in force: takes offers of manifests, says which chunks are missing, and swaps whole when all are here and read.
 * A bad offer is refused aloud and the last good bundle stays. Refuses to know the link; called from the event loop.
 */
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto';
import type { Chunk, SignedManifest } from '@sallyport/contract';
import { GatewayError, LIMITS, type Logger } from '@sallyport/core';
import type { Bundle, Resource } from '@sallyport/model';
import { loadBundlePolicies, type PolicyEngine } from '@sallyport/policy';
import { type KnownIssuer, knownIssuers } from '../signin/issuer-token.ts';
import { type Assembled, assembleBundle, chunksGone } from './assemble.ts';
import {
  type Manifest,
  type ManifestChunk,
  type Page,
  type Pages,
  pagesOf,
  readPage,
  requireDistinct,
  verifyManifest,
} from './manifest.ts';
import type { BundleStore, Named } from './store.ts';
import { importKeys } from './verification-keys.ts';

/** A bundle with what was made of it once. */
export interface InForce {
  readonly bundle: Bundle;
  readonly engine: PolicyEngine;
  /** Hex SHA-256 of the manifest. */
  readonly digest: string;
  /** Below which resources have names of their own, in lower case; '' = none have. */
  readonly domain: string;
  readonly resourcesByName: ReadonlyMap<string, Resource>;
  readonly resourcesById: ReadonlyMap<string, Resource>;
  /** Public keys by `<use>/<kid>`. */
  readonly keys: ReadonlyMap<string, KeyObject>;
  /** Whose own tokens may open sessions. */
  readonly issuers: readonly KnownIssuer[];
}

export interface BundlesOptions {
  readonly store: BundleStore;
  readonly root: X509Certificate;
  readonly agentId: string;
  readonly projectId: string;
  nowMs(): number;
  readonly log: Logger;
  /** Another bundle is in force: at once, whatever the disk does. */
  applied(now: InForce): void;
  /** It is what a restart begins with, or could not be made so, which was said aloud. Not called for what a restart found. */
  kept(now: InForce): void;
  /** What is in force was offered again. */
  unchanged(now: InForce): void;
  /** An offer was refused; the one before stays. `epoch` and `revision` are 0 when it could not even be read. */
  refused(error: GatewayError, epoch: number, revision: number): void;
}

interface Pending {
  readonly signed: SignedManifest;
  readonly manifest: Manifest;
  /** By digest; empty when all that was asked for is here. */
  readonly missing: Map<string, { readonly size: number; parts: Buffer[]; got: number }>;
  /** Undefined until its pages are here. */
  readonly listed: Listed | undefined;
}

/** What a manifest names, its pages read. */
interface Listed {
  /** What it was compared with. */
  readonly held: Held | undefined;
  readonly pages: Pages;
  readonly newPages: readonly Page[];
  /** Chunks that what is in force does not hold. */
  readonly newChunks: readonly ManifestChunk[];
  /** By name, chunks of pages that are not there any more. */
  readonly gone: ReadonlyMap<string, unknown>;
}

/** What is in force, as the next bundle starts from it. */
interface Held {
  readonly assembled: Assembled;
  readonly pages: Pages;
  /** Of all its chunks. */
  readonly names: Set<string>;
}

const NO_NAMES: ReadonlySet<string> = new Set();

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export class Bundles {
  readonly #options: BundlesOptions;
  #current: InForce | undefined;
  #held: Held | undefined;
  #pending: Pending | undefined;
  /** Verified bodies that are not in force yet, by digest: a link that breaks off need not begin anew. */
  readonly #fetched = new Map<string, Buffer>();
  #fetchedBytes = 0;

  constructor(options: BundlesOptions) {
    this.#options = options;
  }

  get current(): InForce | undefined {
    return this.#current;
  }

  /** Reads the last good bundle back, with every check again. Called once at boot. */
  restore(): void {
    const signed = this.#options.store.manifest();
    if (signed === undefined) return;
    try {
      const manifest = this.#verify(signed);
      for (const [digest, body] of this.#options.store.bodies()) this.#keep(digest, body);
      const { wanted, listed } = this.#wantedOf(manifest);
      if (wanted.length > 0 || listed === undefined)
        throw new GatewayError('bundle.malformed', { reason: 'a stored chunk is damaged' });
      this.#apply(signed, manifest, listed, false);
    } catch (error) {
      this.#refuse(error, 0, 0);
    } finally {
      this.#forgetFetched();
    }
  }

  /** A manifest arrived. @returns hex digests to ask for; empty when it is in force or refused */
  offer(signed: SignedManifest): readonly string[] {
    this.#pending = undefined;
    try {
      const manifest = this.#verify(signed);
      const { current } = this;
      if (current !== undefined && current.digest === digestOf(signed.manifest ?? new Uint8Array())) {
        this.#options.unchanged(current);
        return [];
      }
      return this.#goOn(signed, manifest);
    } catch (error) {
      this.#refuse(error, 0, 0);
      return [];
    }
  }

  /** A piece of a chunk arrived; pieces come in order. What nobody asked for is ignored. @returns as `offer` does */
  chunk(piece: Chunk): readonly string[] {
    const pending = this.#pending;
    const digest = Buffer.from(piece.digest ?? new Uint8Array()).toString('hex');
    const wanted = pending?.missing.get(digest);
    if (pending === undefined || wanted === undefined) return [];
    const { epoch, revision } = pending.manifest;
    try {
      const part = Buffer.from(piece.part ?? new Uint8Array());
      if (
        (piece.offset ?? 0) !== wanted.got ||
        wanted.got + part.length > wanted.size ||
        part.length > LIMITS.grpcMessageBytesMax
      ) {
        throw new GatewayError('bundle.malformed', { chunk: digest, reason: 'piece' });
      }
      wanted.parts.push(part);
      wanted.got += part.length;
      if (piece.last !== true) return [];
      const body = Buffer.concat(wanted.parts);
      if (body.length !== wanted.size || digestOf(body) !== digest)
        throw new GatewayError('bundle.malformed', { chunk: digest, reason: 'digest' });
      this.#keep(digest, body);
      pending.missing.delete(digest);
      return pending.missing.size > 0 ? [] : this.#goOn(pending.signed, pending.manifest, pending.listed);
    } catch (error) {
      this.#pending = undefined;
      this.#refuse(error, epoch, revision);
      return [];
    }
  }

  /** Asks for pages, then for the chunks they name; swaps when there is nothing more to ask for. */
  #goOn(signed: SignedManifest, manifest: Manifest, known?: Listed): readonly string[] {
    const { wanted, listed } = this.#wantedOf(manifest, known);
    if (wanted.length > 0) {
      const missing: Pending['missing'] = new Map(
        wanted.map(({ digest, size }) => [digest, { size, parts: [], got: 0 }]),
      );
      this.#pending = { signed, manifest, missing, listed };
      return wanted.map(({ digest }) => digest);
    }
    this.#pending = undefined;
    this.#apply(signed, manifest, listed!, true);
    this.#forgetFetched();
    return [];
  }

  /** @returns by digest once each; `listed` is undefined while pages are wanted */
  #wantedOf(
    manifest: Manifest,
    known?: Listed,
  ): { readonly wanted: readonly Pick<ManifestChunk, 'digest' | 'size'>[]; readonly listed: Listed | undefined } {
    const isHere = (digest: string): boolean => this.#held?.pages.has(digest) === true || this.#fetched.has(digest);
    const pages = manifest.pages.filter(({ digest }) => !isHere(digest));
    if (pages.length > 0) return { wanted: pages, listed: undefined };
    const listed = known?.held === this.#held && known !== undefined ? known : this.#listed(manifest);
    const wanted = listed.newChunks.filter(({ digest }) => !this.#fetched.has(digest));
    return { wanted: [...new Map(wanted.map((chunk) => [chunk.digest, chunk])).values()], listed };
  }

  /** Of a bundle with a page or two that are new it looks at these alone. */
  #listed(manifest: Manifest): Listed {
    const held = this.#held;
    const pages = pagesOf(manifest, (digest) => held?.pages.get(digest) ?? readPage(this.#body(digest)));
    const gone = chunksGone(held?.assembled, pages);
    const newPages = [...pages].flatMap(([digest, page]) => (held?.pages.get(digest) === page ? [] : page));
    requireDistinct(newPages, gone, held?.names ?? NO_NAMES);
    const newChunks = newPages.flatMap(({ chunks }) =>
      chunks.filter(({ name, digest }) => gone.get(name)?.digest !== digest),
    );
    return { held, pages, newPages, newChunks, gone };
  }

  #body(digest: string): Buffer {
    const body = this.#fetched.get(digest);
    if (body === undefined) throw new GatewayError('bundle.malformed', { chunk: digest, reason: 'missing' });
    return body;
  }

  #keep(digest: string, body: Buffer): void {
    // Of offers that were never finished; what is still wanted is asked for again.
    if (this.#fetchedBytes + body.length > 2 * LIMITS.bundleBytesMax) this.#forgetFetched();
    this.#fetched.set(digest, body);
    this.#fetchedBytes += body.length;
  }

  #forgetFetched(): void {
    this.#fetched.clear();
    this.#fetchedBytes = 0;
  }

  #verify(signed: SignedManifest): Manifest {
    const { root, agentId, projectId } = this.#options;
    const inForce = this.#current?.bundle;
    return verifyManifest(signed, { root, agentId, projectId, inForce, nowMs: this.#options.nowMs() });
  }

  /** Everything that can fail comes before the swap. @param keep it is not in the store yet */
  #apply(signed: SignedManifest, manifest: Manifest, listed: Listed, keep: boolean): void {
    const held = this.#held;
    const { pages, newPages, newChunks, gone } = listed;
    const assembled = assembleBundle(manifest, pages, (digest) => this.#body(digest), held?.assembled);
    const now = inForce(assembled.bundle, digestOf(signed.manifest ?? new Uint8Array()), this.#current);
    const fresh = [...manifest.pages.filter(({ digest }) => held?.pages.has(digest) !== true), ...newChunks];
    const digests = keep ? new Set(fresh.map(({ digest }) => digest)) : [];
    const bodies = Array.from(digests, (digest) => this.#body(digest));
    const names = held?.names ?? new Set();
    for (const name of gone.keys()) names.delete(name);
    for (const { chunks } of newPages) for (const { name } of chunks) names.add(name);
    this.#held = { assembled, pages, names };
    this.#current = now;
    this.#options.applied(now);
    if (keep) void this.#store(now, signed, bodies, namedBy(manifest, pages));
  }

  /** After the swap, since a right that was taken away ends now and not when a disk has synced. */
  async #store(now: InForce, signed: SignedManifest, bodies: readonly Buffer[], named: Named): Promise<void> {
    try {
      await this.#options.store.put(signed, bodies, named);
    } catch (error) {
      // What is on disk is not known: the next bundle is asked for and written whole.
      this.#held = undefined;
      this.#options.log.error('the bundle in force could not be kept: a restart begins with an older one', { error });
    }
    this.#options.kept(now);
  }

  #refuse(error: unknown, epoch: number, revision: number): void {
    const refused = error instanceof GatewayError ? error : new GatewayError('bundle.malformed', {}, { cause: error });
    const known = (name: string, otherwise: number): number => {
      const value = refused.detail[name];
      return typeof value === 'number' ? value : otherwise;
    };
    this.#options.log.error('a bundle was refused; the last good one stays in force', { error: refused });
    this.#options.refused(refused, known('epoch', epoch), known('revision', revision));
  }
}

/** What is made of a bundle once, or was of the one before when that says the same. */
function inForce(bundle: Bundle, digest: string, last: InForce | undefined): InForce {
  const { resources, keys } = bundle;
  const sameResources = last?.bundle.resources === resources;
  return {
    bundle,
    engine: loadBundlePolicies(bundle),
    digest,
    domain: bundle.settings.domain.toLowerCase(),
    resourcesByName: sameResources ? last.resourcesByName : new Map(resources.map((one) => [one.name, one])),
    resourcesById: sameResources ? last.resourcesById : new Map(resources.map((one) => [one.id, one])),
    keys: last?.bundle.keys === keys ? last.keys : importKeys(keys),
    issuers: knownIssuers(bundle.issuers ?? []),
  };
}

function namedBy(manifest: Manifest, pages: Pages): Named {
  const read = [...pages.values()];
  return {
    count: manifest.pages.length + read.reduce((sum, { chunks }) => sum + chunks.length, 0),
    bytes: [...manifest.pages.map(({ size }) => size), ...read.map(({ bytes }) => bytes)].reduce((a, b) => a + b, 0),
    digests: () => [...manifest.pages, ...read.flatMap(({ chunks }) => chunks)].map(({ digest }) => digest),
  };
}
