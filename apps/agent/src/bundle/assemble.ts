/**
 * From verified chunks to a bundle: each is read by the strict parser of its kind. An unknown kind or field refuses the
 * whole bundle, since what this agent cannot read may be a restriction. Pure.
 */
import { GatewayError } from '@sallyport/core';
import { type Bundle, type BundleChunkKind, type BundleSettings, CHUNK_PARSERS } from '@sallyport/model';
import type { Manifest } from './manifest.ts';

const isKind = (kind: string): kind is BundleChunkKind => Object.hasOwn(CHUNK_PARSERS, kind);

/**
 * @param body the verified bytes of a chunk, by digest
 * @throws GatewayError `bundle.malformed` naming the chunk and the field
 */
export function assembleBundle(manifest: Manifest, body: (digest: string) => Uint8Array): Bundle {
  const parts: { [K in BundleChunkKind]: unknown[] } = {
    resource: [],
    policy: [],
    grant: [],
    group: [],
    key: [],
    issuer: [],
    revocations: [],
    settings: [],
  };
  for (const { name, digest } of manifest.chunks) {
    const kind = name.slice(0, name.indexOf('/'));
    if (!isKind(kind)) throw new GatewayError('bundle.malformed', { chunk: name, reason: 'unknown kind' });
    try {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(body(digest));
      parts[kind].push(CHUNK_PARSERS[kind](JSON.parse(text), kind));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : 'unreadable';
      throw new GatewayError('bundle.malformed', { chunk: name, reason }, { cause });
    }
  }
  const [settings, ...more] = parts.settings as BundleSettings[];
  if (settings === undefined || more.length > 0) throw new GatewayError('bundle.malformed', { reason: 'settings' });
  const { epoch, revision, projectId, createdAt } = manifest;
  return {
    epoch,
    revision,
    projectId,
    createdAt,
    resources: parts.resource as Bundle['resources'],
    policies: parts.policy as Bundle['policies'],
    grants: parts.grant as Bundle['grants'],
    groups: parts.group as Bundle['groups'],
    keys: parts.key as Bundle['keys'],
    issuers: parts.issuer as NonNullable<Bundle['issuers']>,
    revocations: (parts.revocations as Bundle['revocations'][]).flat(),
    settings,
  };
}
