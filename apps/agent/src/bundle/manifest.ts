/**
 * Is this manifest ours, signed by a key fit for it, and not older than what is in force? Verified over its raw bytes.
 * Refuses to guess: an unknown capability, a wrong name or a later format is an answer with a code, never a shrug.
 * docs/adr/0005; certificates as RFC 5280 section 6, narrowed to what our root issues.
 */
import { verify, X509Certificate } from 'node:crypto';
import { type ChunkRef, type SignedManifest, wire } from '@sallyport/contract';
import { EKU_BUNDLE_SIGNING, GatewayError, LIMITS } from '@sallyport/core';
import { CAPABILITIES } from '@sallyport/model';

export interface ManifestChunk {
  /** `<kind>/<id>`. */
  readonly name: string;
  /** Hex of the SHA-256 of the body. */
  readonly digest: string;
  readonly size: number;
}

/** A manifest that may be applied once its chunks are here. */
export interface Manifest {
  readonly epoch: number;
  readonly revision: number;
  readonly projectId: string;
  /** UTC ms. */
  readonly createdAt: number;
  /** Of a large bundle none: its pages list them. */
  readonly chunks: readonly ManifestChunk[];
  readonly pages: readonly ManifestPage[];
}

/** A run of chunk references that travels as a chunk. */
export interface ManifestPage {
  readonly digest: string;
  readonly size: number;
}

/** A page that was read. */
export interface Page {
  readonly chunks: readonly ManifestChunk[];
  /** Of the bodies together. */
  readonly bytes: number;
}

/** All that a bundle names, in its order, by digest: of a page that the bundle before has too the same object. */
export type Pages = ReadonlyMap<string, Page>;

export interface ManifestExpectations {
  readonly root: X509Certificate;
  readonly agentId: string;
  readonly projectId: string;
  /** What is in force; undefined before the first. */
  readonly inForce: { readonly epoch: number; readonly revision: number } | undefined;
  readonly nowMs: number;
}

const FORMAT = 1;
const DEPTH_MAX = 4;
/** Clocks of agents may be this wrong, ms. */
const SKEW_MS = 5 * 60_000;

/** The signing key, if the certificates lead from a bundle-signing leaf to the root. */
function signingKey(certificates: readonly Uint8Array[], root: X509Certificate, nowMs: number): X509Certificate {
  const refused = (reason: string): GatewayError => new GatewayError('bundle.signature', { reason });
  if (certificates.length === 0 || certificates.length > DEPTH_MAX) throw refused('chain');
  const chain = certificates.map((der) => new X509Certificate(der));
  const [leaf] = chain as [X509Certificate];
  if (leaf.ca || !leaf.keyUsage?.includes(EKU_BUNDLE_SIGNING)) throw refused('purpose');
  for (const [i, certificate] of chain.entries()) {
    const issuer = chain[i + 1] ?? root;
    if (!issuer.ca || !certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) throw refused('chain');
    if (i > 0 && certificate.keyUsage !== undefined && !certificate.keyUsage.includes(EKU_BUNDLE_SIGNING))
      throw refused('purpose');
    const late = nowMs > certificate.validToDate.getTime() + SKEW_MS;
    if (late || nowMs < certificate.validFromDate.getTime() - SKEW_MS) throw refused('validity');
  }
  return leaf;
}

function signatureHolds(leaf: X509Certificate, bytes: Uint8Array, signature: Uint8Array): boolean {
  const key = leaf.publicKey;
  if (key.asymmetricKeyType === 'ed25519') return verify(null, bytes, key, signature);
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return false;
  return verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature);
}

/** @throws GatewayError `bundle.signature`, `bundle.stale`, `bundle.capability`, `bundle.malformed` */
export function verifyManifest(signed: SignedManifest, expected: ManifestExpectations): Manifest {
  const bytes = signed.manifest ?? new Uint8Array();
  let leaf: X509Certificate;
  let holds = false;
  try {
    leaf = signingKey(signed.certificates ?? [], expected.root, expected.nowMs);
    holds = signatureHolds(leaf, bytes, signed.signature ?? new Uint8Array());
  } catch (cause) {
    throw cause instanceof GatewayError
      ? cause
      : new GatewayError('bundle.signature', { reason: 'unreadable' }, { cause });
  }
  if (!holds) throw new GatewayError('bundle.signature', { reason: 'signature' });
  return readManifest(bytes, expected);
}

function readManifest(bytes: Uint8Array, expected: ManifestExpectations): Manifest {
  let manifest: ReturnType<typeof wire.BundleManifest.decode>;
  try {
    manifest = wire.BundleManifest.decode(bytes);
  } catch (cause) {
    throw new GatewayError('bundle.malformed', { reason: 'manifest' }, { cause });
  }
  const { epoch, revision, agentId, projectId } = manifest;
  if (manifest.format !== FORMAT)
    throw new GatewayError('bundle.capability', { epoch, revision, reason: `format ${manifest.format}` });
  if (agentId !== expected.agentId || projectId !== expected.projectId) {
    throw new GatewayError('bundle.signature', { epoch, revision, reason: 'for another agent' });
  }
  const { inForce } = expected;
  if (inForce !== undefined && (epoch < inForce.epoch || (epoch === inForce.epoch && revision < inForce.revision))) {
    throw new GatewayError('bundle.stale', {
      epoch,
      revision,
      inForceEpoch: inForce.epoch,
      inForceRevision: inForce.revision,
    });
  }
  const lacking = manifest.requires.find((name) => !(CAPABILITIES as readonly string[]).includes(name));
  if (lacking !== undefined) throw new GatewayError('bundle.capability', { epoch, revision, capability: lacking });
  const chunks = manifest.chunks.map(readReference);
  const pages = manifest.pages.map(({ digest, size }) => ({ digest: hexOf(digest), size: size ?? 0 }));
  if (pages.length > 0 && chunks.length > 0) throw malformed('pages and chunks');
  if (pages.some(({ size }) => size > LIMITS.bundleChunkBytesMax)) throw malformed('page size');
  requireSize([...chunks, ...pages]);
  const createdAt = Number(manifest.createdAt);
  if (!Number.isSafeInteger(createdAt)) throw malformed('created_at');
  return { epoch, revision, projectId, createdAt, chunks, pages };
}

/** @param body verified bytes of a page @throws GatewayError `bundle.malformed` */
export function readPage(body: Uint8Array): Page {
  try {
    return pageOf(wire.BundlePage.decode(body).chunks.map(readReference));
  } catch (cause) {
    throw cause instanceof GatewayError ? cause : malformed('page');
  }
}

const pageOf = (chunks: readonly ManifestChunk[]): Page => ({
  chunks,
  bytes: chunks.reduce((sum, { size }) => sum + size, 0),
});

/**
 * All chunks of a bundle whose pages are here. Those of a small bundle, which has none, are one, another each time.
 * @throws GatewayError `bundle.malformed`
 */
export function pagesOf(manifest: Manifest, page: (digest: string) => Page): Pages {
  if (manifest.pages.length === 0) return new Map([['', pageOf(manifest.chunks)]]);
  const pages = new Map(manifest.pages.map(({ digest }) => [digest, page(digest)]));
  if (pages.size !== manifest.pages.length) throw malformed('duplicate page');
  if ([...pages.values()].reduce((sum, { bytes }) => sum + bytes, 0) > LIMITS.bundleBytesMax) throw malformed('size');
  return pages;
}

/**
 * No two chunks have a name in common. Looks at what is new alone, since most of a large bundle is not.
 * @param held all names of the bundle before @param gone of pages that are not there any more
 * @throws GatewayError `bundle.malformed`
 */
export function requireDistinct(
  fresh: Iterable<Page>,
  gone: ReadonlyMap<string, unknown>,
  held: ReadonlySet<string>,
): void {
  const seen = new Set<string>();
  for (const { chunks } of fresh) {
    for (const { name } of chunks) {
      if (seen.has(name) || (held.has(name) && !gone.has(name))) throw malformed('duplicate chunk');
      seen.add(name);
    }
  }
}

const malformed = (reason: string): GatewayError => new GatewayError('bundle.malformed', { reason });

function hexOf(digest: Uint8Array | null | undefined): string {
  const bytes = Buffer.from(digest ?? new Uint8Array());
  if (bytes.length !== 32) throw malformed('chunk');
  return bytes.toString('hex');
}

function readReference({ name, digest, size }: ChunkRef): ManifestChunk {
  if (!name) throw malformed('chunk');
  return { name, digest: hexOf(digest), size: size ?? 0 };
}

function requireSize(parts: readonly { readonly size: number }[]): void {
  if (parts.reduce((sum, part) => sum + part.size, 0) > LIMITS.bundleBytesMax) throw malformed('size');
}
