/**
 * A project's chunks, whoever gets them: each made once from its row, and again only when the row is another object.
 * Rows are never changed in place, so the same object means the same bytes; what comes out of many updates is what one from
 * nothing gives. Pure. Refuses a row that the agents' own parser would refuse.
 */
import { hash } from 'node:crypto';
import { GatewayError } from '@sallyport/core';
import {
  type BundleChunkKind,
  type BundleGroup,
  CHUNK_PARSERS,
  type CredentialSource,
  type Grant,
  type Policy,
  type Resource,
  type Revocation,
  type VerificationKey,
} from '@sallyport/model';
import { canonicalJson } from './canonical.ts';
import { type BundleParts, requiredCapabilities } from './capabilities.ts';
import type { BundleSource } from './compile.ts';
import { byKey, isSameList, type Keyed, splitKey, splitUp } from './split.ts';

export interface Document extends Keyed {
  /** `<kind>/<id>`. */
  readonly name: string;
  readonly digest: Buffer;
  readonly hex: string;
  readonly body: Buffer;
  /** What an agent must be able to do to enforce it. */
  readonly needs: readonly string[];
  /** Whom it is for; undefined = every agent of the project. */
  readonly reach?:
    | { readonly kind: 'resource'; readonly resource: Resource; readonly agents: readonly string[] }
    | { readonly kind: 'grant'; readonly grant: Grant }
    /** For agents with a resource of the kind, or with one that lets such tokens in: others need not know the word. */
    | { readonly kind: 'ssh' | 'issuer' };
}

export interface DocumentChange {
  readonly before: Document | undefined;
  readonly after: Document | undefined;
}

interface Made {
  readonly from: unknown;
  readonly documents: readonly Document[];
}

/** A longer list of members or revocations goes in parts. */
const LIST_MAX = 512;

export class Catalog {
  #made: ReadonlyMap<string, Made> = new Map();
  /** Members with their keys, for as long as one is in a large group. */
  readonly #members = new Map<string, Keyed>();
  readonly #partOf = new WeakMap<Document, readonly Keyed[]>();

  /** In no order. */
  *documents(): Iterable<Document> {
    for (const { documents } of this.#made.values()) yield* documents;
  }

  /**
   * Takes the project's state as it is now. When it throws nothing has changed.
   * @returns what differs from the state before @throws GatewayError `bundle.malformed`
   */
  update(source: BundleSource): readonly DocumentChange[] {
    const made = new Map<string, Made>();
    const changes: DocumentChange[] = [];
    const put = (slot: string, from: unknown, make: (before: ByName) => readonly Document[]): void => {
      const known = this.#made.get(slot);
      if (known !== undefined && isSame(known.from, from)) {
        made.set(slot, known);
        return;
      }
      const before = byNameOf(known?.documents ?? []);
      const documents = make(before).map((one) => sameAs(before.get(one.name), one));
      made.set(slot, { from, documents });
      compare(before, documents, changes);
    };
    for (const entry of source.resources) put(`resource/${entry.resource.id}`, entry, () => [resourceDocument(entry)]);
    for (const policy of source.policies) put(`policy/${policy.id}`, policy, () => [policyDocument(policy)]);
    for (const grant of source.grants)
      if (grant.notAfter === undefined || grant.notAfter > source.createdAt)
        put(`grant/${grant.id}`, grant, () => [grantDocument(grant)]);
    for (const group of source.groups)
      put(`group/${group.name}`, group, (before) => this.#groupDocuments(group, before));
    for (const key of source.keys)
      if (key.notAfter > source.createdAt) put(`key/${key.kid}`, key, () => [keyDocument(key)]);
    for (const issuer of source.issuers ?? [])
      put(`issuer/${issuer.id}`, issuer, () => [document('issuer', issuer.id, issuer, { reach: ISSUER })]);
    put('revocations', source.revocations, () => revocationDocuments(source.revocations));
    put('settings', source.settings, () => [document('settings', 'all', source.settings)]);
    for (const [slot, { documents }] of this.#made) if (!made.has(slot)) compare(byNameOf(documents), [], changes);
    this.#made = made;
    return changes;
  }

  /** One document, or for a large group one that counts its parts, and the parts. */
  #groupDocuments(group: BundleGroup, before: ByName): readonly Document[] {
    const { name, projectId } = group;
    const members = new Set(group.members);
    if (members.size <= LIST_MAX) return [document('group', name, { ...group, members: [...members].sort() })];
    const ordered = [...members].map((id) => this.#member(id)).sort(byKey);
    const parts = splitUp(ordered, LIST_MAX);
    return [
      document('group', name, { name, projectId, members: [], parts: parts.length }, { needs: ['group.parts.1'] }),
      ...parts.map(({ prefix, items }) => {
        const id = `${prefix}/${name}`;
        const known = before.get(`members/${id}`);
        if (known !== undefined && isSameList(this.#partOf.get(known) ?? [], items)) return known;
        const made = document('members', id, { group: name, part: prefix, members: items.map(nameOf).sort() });
        this.#partOf.set(made, items);
        return made;
      }),
    ];
  }

  #member(id: string): Keyed {
    let member = this.#members.get(id);
    if (member === undefined) {
      member = { name: id, key: splitKey(id) };
      this.#members.set(id, member);
    }
    return member;
  }
}

type ByName = ReadonlyMap<string, Document>;
const byNameOf = (documents: readonly Document[]): ByName => new Map(documents.map((one) => [one.name, one]));
const nameOf = ({ name }: Keyed): string => name;
const isSame = (a: unknown, b: unknown): boolean =>
  a === b || (Array.isArray(a) && Array.isArray(b) && isSameList(a, b));

/** A row that was read again and says the same keeps its document, so that nothing moves for it. */
const sameAs = (known: Document | undefined, made: Document): Document =>
  known !== undefined && known.hex === made.hex && known.reach === made.reach ? known : made;

function compare(before: ByName, after: readonly Document[], changes: DocumentChange[]): void {
  const names = new Set(after.map(nameOf));
  for (const one of after) if (before.get(one.name) !== one) changes.push({ before: before.get(one.name), after: one });
  for (const one of before.values()) if (!names.has(one.name)) changes.push({ before: one, after: undefined });
}

/** @throws GatewayError `bundle.malformed` when the agents' parser refuses the value */
function document(
  kind: BundleChunkKind,
  id: string,
  value: unknown,
  more: Partial<Pick<Document, 'needs' | 'reach'>> = {},
): Document {
  const name = `${kind}/${id}`;
  try {
    const body = Buffer.from(canonicalJson(CHUNK_PARSERS[kind](value, '')));
    const digest = hash('sha256', body, 'buffer');
    return { name, key: splitKey(name), digest, hex: digest.toString('hex'), body, needs: [], ...more };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : '';
    throw new GatewayError('bundle.malformed', { chunk: name, why }, { cause });
  }
}

/** Of most documents none but what every bundle asks for. */
function needsOf(parts: BundleParts): readonly string[] {
  const needs = requiredCapabilities(parts);
  return needs.length === ALWAYS.length ? ALWAYS : needs;
}
const ALWAYS = requiredCapabilities({});

const SSH = { kind: 'ssh' } as const;
const ISSUER = { kind: 'issuer' } as const;

const keyDocument = (key: VerificationKey): Document =>
  document('key', key.kid, key, key.use === 'ssh_user' ? { reach: SSH } : {});

const resourceDocument = ({ resource, agents }: BundleSource['resources'][number]): Document =>
  document('resource', resource.id, resource, {
    needs: needsOf({ resources: [resource] }),
    reach: { kind: 'resource', resource, agents },
  });

const policyDocument = (policy: Policy): Document =>
  document('policy', policy.id, policy, { needs: needsOf({ policies: [policy] }) });

const grantDocument = (grant: Grant): Document =>
  document('grant', grant.id, grant, {
    needs: needsOf({ grants: [grant] }),
    reach: { kind: 'grant', grant },
  });

/** `all` as long as it is short; agents of every version read several of them as one list. */
function revocationDocuments(all: readonly Revocation[]): readonly Document[] {
  const named = all.map((revocation) => {
    const name = `${revocation.kind}/${revocation.id}/${revocation.before}`;
    return { name, key: splitKey(name), revocation };
  });
  const parts = all.length <= LIST_MAX ? [{ prefix: 'all', items: named }] : splitUp(named.sort(byKey), LIST_MAX);
  return parts.map(({ prefix, items }) => {
    const revocations = [...items]
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
      .map(({ revocation }) => revocation);
    return document('revocations', prefix, revocations, { needs: needsOf({ revocations }) });
  });
}

/** The id of the box a source may have; which there are is the rows' to say. */
const boxOf = ({ kind, reference }: CredentialSource): string | undefined =>
  kind === 'env' || kind === 'file' ? undefined : reference;

/** Boxes that who guards the resource needs. */
export const boxesOf = ({ credential }: Resource): readonly string[] =>
  [credential, ...(credential.admin === undefined ? [] : [credential.admin])].flatMap((source) => boxOf(source) ?? []);
