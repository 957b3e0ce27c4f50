/**
 * From verified chunks to a bundle: each is read by the strict parser of its kind. An unknown kind or field refuses the
 * whole bundle, since what this agent cannot read may be a restriction. What the last bundle held already is neither read nor
 * looked through again, and stays the same object. Pure.
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
import type { Manifest, ManifestChunk, Page, Pages } from './manifest.ts';

/** A chunk that was read. */
interface ReadChunk {
  readonly digest: string;
  readonly value: unknown;
}

type Parts = Readonly<Record<BundleChunkKind, readonly unknown[]>>;

interface ReadPage {
  /** By chunk name. */
  readonly read: ReadonlyMap<string, ReadChunk>;
  readonly parts: Parts;
}

/** What the next bundle starts from. */
export interface Assembled {
  readonly bundle: Bundle;
  readonly read: ReadonlyMap<Page, ReadPage>;
  /** Of all pages: a list is the same object as long as nothing in it is another. */
  readonly parts: Parts;
  /** Groups of which all parts were read, by their name: the same object as long as no part changes. */
  readonly whole: ReadonlyMap<string, WholeGroup>;
}

interface WholeGroup {
  readonly parts: readonly unknown[];
  readonly group: BundleGroup;
}

const KINDS = Object.keys(CHUNK_PARSERS) as readonly BundleChunkKind[];
const isKind = (kind: string): kind is BundleChunkKind => Object.hasOwn(CHUNK_PARSERS, kind);

/** @returns by name, the chunks of pages that are not there any more: what new pages name may be among them */
export function chunksGone(last: Assembled | undefined, pages: Pages): ReadonlyMap<string, ReadChunk> {
  const stays = new Set(pages.values());
  const gone = new Map<string, ReadChunk>();
  for (const [page, { read }] of last?.read ?? []) {
    if (stays.has(page)) continue;
    for (const [name, chunk] of read) gone.set(name, chunk);
  }
  return gone;
}

/**
 * @param pages all that the manifest names
 * @param body the verified bytes of a chunk that `last` does not hold, by digest
 * @throws GatewayError `bundle.malformed` naming the chunk and the field
 */
export function assembleBundle(
  manifest: Manifest,
  pages: Pages,
  body: (digest: string) => Uint8Array,
  last?: Assembled,
): Assembled {
  const known = chunksGone(last, pages);
  const read = new Map<Page, ReadPage>();
  for (const page of pages.values()) read.set(page, last?.read.get(page) ?? readChunks(page.chunks, known, body));
  const parts = partsOf([...read.values()], last?.parts);
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
  return { bundle, read, parts, whole };
}

function readChunks(
  chunks: readonly ManifestChunk[],
  known: ReadonlyMap<string, ReadChunk>,
  body: (digest: string) => Uint8Array,
): ReadPage {
  const read = new Map<string, ReadChunk>();
  const parts = eachKind((): unknown[] => []);
  for (const { name, digest } of chunks) {
    const kind = name.slice(0, name.indexOf('/'));
    if (!isKind(kind)) throw new GatewayError('bundle.malformed', { chunk: name, reason: 'unknown kind' });
    const before = known.get(name);
    const chunk = before?.digest === digest ? before : { digest, value: valueOf(kind, name, body(digest)) };
    read.set(name, chunk);
    parts[kind].push(chunk.value);
  }
  return { read, parts };
}

function partsOf(pages: readonly ReadPage[], last: Parts | undefined): Parts {
  return eachKind((kind) => {
    const all = ([] as unknown[]).concat(...pages.map(({ parts }) => parts[kind]));
    const before = last?.[kind];
    return before !== undefined && isSame(before, all) ? before : all;
  });
}

const eachKind = <T>(make: (kind: BundleChunkKind) => T): Record<BundleChunkKind, T> =>
  Object.fromEntries(KINDS.map((kind) => [kind, make(kind)])) as Record<BundleChunkKind, T>;

function isSame(some: readonly unknown[], others: readonly unknown[]): boolean {
  if (some.length !== others.length) return false;
  for (let i = 0; i < some.length; i++) if (some[i] !== others[i]) return false;
  return true;
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
