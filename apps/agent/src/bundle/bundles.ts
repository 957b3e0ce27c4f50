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
import { assembleBundle } from './assemble.ts';
import { type Manifest, verifyManifest } from './manifest.ts';
import type { BundleStore } from './store.ts';
import { importKeys } from './verification-keys.ts';

/** A bundle with what was made of it once. */
export interface InForce {
  readonly bundle: Bundle;
  readonly engine: PolicyEngine;
  /** Hex SHA-256 of the manifest. */
  readonly digest: string;
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
  /** Another bundle is in force. */
  applied(now: InForce): void;
  /** What is in force was offered again. */
  unchanged(now: InForce): void;
  /** An offer was refused; the one before stays. `epoch` and `revision` are 0 when it could not even be read. */
  refused(error: GatewayError, epoch: number, revision: number): void;
}

interface Pending {
  readonly signed: SignedManifest;
  readonly manifest: Manifest;
  readonly missing: Map<string, { readonly size: number; parts: Buffer[]; got: number }>;
}

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export class Bundles {
  readonly #options: BundlesOptions;
  #current: InForce | undefined;
  #pending: Pending | undefined;

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
      if (manifest.chunks.some(({ digest }) => this.#options.store.chunk(digest) === undefined)) {
        throw new GatewayError('bundle.malformed', { reason: 'a stored chunk is damaged' });
      }
      this.#apply(signed, manifest, false);
    } catch (error) {
      this.#refuse(error, 0, 0);
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
      const missing = new Map<string, { readonly size: number; parts: Buffer[]; got: number }>();
      for (const { digest, size } of manifest.chunks) {
        if (this.#options.store.chunk(digest) === undefined) missing.set(digest, { size, parts: [], got: 0 });
      }
      if (missing.size === 0) {
        this.#apply(signed, manifest, true);
        return [];
      }
      this.#pending = { signed, manifest, missing };
      return [...missing.keys()];
    } catch (error) {
      this.#refuse(error, 0, 0);
      return [];
    }
  }

  /** A piece of a chunk arrived; pieces come in order. What nobody asked for is ignored. */
  chunk(piece: Chunk): void {
    const pending = this.#pending;
    const digest = Buffer.from(piece.digest ?? new Uint8Array()).toString('hex');
    const wanted = pending?.missing.get(digest);
    if (pending === undefined || wanted === undefined) return;
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
      if (piece.last !== true) return;
      const body = Buffer.concat(wanted.parts);
      if (body.length !== wanted.size || digestOf(body) !== digest)
        throw new GatewayError('bundle.malformed', { chunk: digest, reason: 'digest' });
      this.#options.store.putChunk(digest, body);
      pending.missing.delete(digest);
      if (pending.missing.size > 0) return;
      this.#pending = undefined;
      this.#apply(pending.signed, pending.manifest, true);
    } catch (error) {
      this.#pending = undefined;
      this.#refuse(error, epoch, revision);
    }
  }

  #verify(signed: SignedManifest): Manifest {
    const { root, agentId, projectId } = this.#options;
    const inForce = this.#current?.bundle;
    return verifyManifest(signed, { root, agentId, projectId, inForce, nowMs: this.#options.nowMs() });
  }

  /** Everything that can fail comes before the swap. */
  #apply(signed: SignedManifest, manifest: Manifest, keep: boolean): void {
    const { store } = this.#options;
    const bundle = assembleBundle(manifest, (digest) => {
      const body = store.chunk(digest);
      if (body === undefined) throw new GatewayError('bundle.malformed', { chunk: digest, reason: 'missing' });
      return body;
    });
    const now: InForce = {
      bundle,
      engine: loadBundlePolicies(bundle),
      digest: digestOf(signed.manifest ?? new Uint8Array()),
      resourcesByName: new Map(bundle.resources.map((resource) => [resource.name, resource])),
      resourcesById: new Map(bundle.resources.map((resource) => [resource.id, resource])),
      keys: importKeys(bundle.keys),
      issuers: knownIssuers(bundle.issuers ?? []),
    };
    if (keep) store.putManifest(signed, new Set(manifest.chunks.map(({ digest }) => digest)));
    this.#current = now;
    this.#options.applied(now);
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
