/**
 * From verified chunks to a bundle: each is read by the strict parser of its kind. An unknown kind or field refuses the
 * whole bundle, since what this agent cannot read may be a restriction. What the last bundle held already is not read again,
 * and stays the same object. Pure.
 */
import { GatewayError } from '@sallyport/core';
import {
  type Bundle,
  type BundleChunkKind,
  type BundleGroup,
  type BundleSettings,
  CHUNK_PARSERS,
  type GroupMembers,
} from '@sallyport/model';
import type { Manifest, ManifestChunk } from './manifest.ts';

/** A chunk that was read. */
export interface ReadChunk {
  readonly digest: string;
  readonly value: unknown;
}

/** By chunk name: what the next bundle starts from. */
export type ReadChunks = ReadonlyMap<string, ReadChunk>;

export interface Assembled {
  readonly bundle: Bundle;
  readonly read: ReadChunks;
  /** Groups of which all parts were read, by their name: the same object as long as no part changes. */
  readonly whole: ReadonlyMap<string, WholeGroup>;
}

interface WholeGroup {
  readonly parts: readonly unknown[];
  readonly group: BundleGroup;
}

const isKind = (kind: string): kind is BundleChunkKind => Object.hasOwn(CHUNK_PARSERS, kind);

/**
 * @param chunks all that the manifest or its pages name
 * @param body the verified bytes of a chunk that `last` does not hold, by digest
 * @throws GatewayError `bundle.malformed` naming the chunk and the field
 */
export function assembleBundle(
  manifest: Manifest,
  chunks: readonly ManifestChunk[],
  body: (digest: string) => Uint8Array,
  last?: Assembled,
): Assembled {
  const read = new Map<string, ReadChunk>();
  const parts: { [K in BundleChunkKind]: unknown[] } = {
    resource: [],
    policy: [],
    grant: [],
    group: [],
    members: [],
    key: [],
    issuer: [],
    revocations: [],
    settings: [],
  };
  for (const { name, digest } of chunks) {
    const kind = name.slice(0, name.indexOf('/'));
    if (!isKind(kind)) throw new GatewayError('bundle.malformed', { chunk: name, reason: 'unknown kind' });
    const known = last?.read.get(name);
    const chunk = known?.digest === digest ? known : { digest, value: valueOf(kind, name, body(digest)) };
    read.set(name, chunk);
    parts[kind].push(chunk.value);
  }
  const [settings, ...more] = parts.settings as BundleSettings[];
  if (settings === undefined || more.length > 0) throw new GatewayError('bundle.malformed', { reason: 'settings' });
  const whole = wholeGroups(parts.group as BundleGroup[], parts.members as GroupMembers[], last?.whole);
  const { epoch, revision, projectId, createdAt } = manifest;
  const bundle = {
    epoch,
    revision,
    projectId,
    createdAt,
    resources: parts.resource as Bundle['resources'],
    policies: parts.policy as Bundle['policies'],
    grants: parts.grant as Bundle['grants'],
    groups: (parts.group as BundleGroup[]).map((group) => whole.get(group.name)?.group ?? group),
    keys: parts.key as Bundle['keys'],
    issuers: parts.issuer as NonNullable<Bundle['issuers']>,
    revocations: (parts.revocations as Bundle['revocations'][]).flat(),
    settings,
  };
  return { bundle, read, whole };
}

function valueOf(kind: BundleChunkKind, name: string, body: Uint8Array): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body);
    return CHUNK_PARSERS[kind](JSON.parse(text), kind);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'unreadable';
    throw new GatewayError('bundle.malformed', { chunk: name, reason }, { cause });
  }
}

/** Large groups put together. One that lacks a part, or has one too many, refuses the bundle. */
function wholeGroups(
  groups: readonly BundleGroup[],
  members: readonly GroupMembers[],
  last: ReadonlyMap<string, WholeGroup> | undefined,
): ReadonlyMap<string, WholeGroup> {
  const whole = new Map<string, WholeGroup>();
  const byGroup = Map.groupBy(members, ({ group }) => group);
  for (const group of groups) {
    const own = byGroup.get(group.name) ?? [];
    if (own.length !== (group.parts ?? 0) || (group.parts !== undefined && group.members.length > 0))
      throw new GatewayError('bundle.malformed', { chunk: `group/${group.name}`, reason: 'parts' });
    byGroup.delete(group.name);
    if (group.parts === undefined) continue;
    const parts = [group, ...own];
    const known = last?.get(group.name);
    if (
      known !== undefined &&
      known.parts.length === parts.length &&
      parts.every((part, i) => part === known.parts[i])
    ) {
      whole.set(group.name, known);
      continue;
    }
    const { name, projectId } = group;
    whole.set(name, { parts, group: { name, projectId, members: own.flatMap((part) => part.members) } });
  }
  if (byGroup.size > 0) throw new GatewayError('bundle.malformed', { reason: 'parts of no group' });
  return whole;
}
