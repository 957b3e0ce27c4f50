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
  readonly rows: readonly object[];
  /** Documents by the row they were made of. */
  readonly documents: ReadonlyMap<object, readonly Document[]>;
}

/** Grants that had not ended, and until when the same list is right. */
interface InForce {
  readonly of: readonly Grant[];
  readonly grants: readonly Grant[];
  /** UTC ms, from and before. */
  readonly fromMs: number;
  readonly untilMs: number;
}

/** A longer list of members or revocations goes in parts. */
const LIST_MAX = 512;

export class Catalog {
  /** By what the rows are, as the source calls it. */
  #made: ReadonlyMap<string, Made> = new Map();
  /** Members with their keys, for as long as one is in a large group. */
  readonly #members = new Map<string, Keyed>();
  readonly #partOf = new WeakMap<Document, readonly Keyed[]>();
  #inForce: InForce | undefined;

  /** In no order. */
  *documents(): Iterable<Document> {
    for (const made of this.#made.values()) for (const documents of made.documents.values()) yield* documents;
  }

  /**
   * Takes the project's state as it is now. When it throws nothing has changed.
   * @returns what differs from the state before @throws GatewayError `bundle.malformed`
   */
  update(source: BundleSource): readonly DocumentChange[] {
    const { createdAt } = source;
    const made = new Map<string, Made>();
    const changes: DocumentChange[] = [];
    const put = <T extends object>(
      what: string,
      rows: readonly T[],
      make: (row: T, before: ByName) => readonly Document[],
    ): void => void made.set(what, remade(this.#made.get(what) ?? NOTHING, rows, make, changes));
    put('resources', source.resources, (entry) => [resourceDocument(entry)]);
    put('policies', source.policies, (policy) => [policyDocument(policy)]);
    this.#inForce = inForceAt(source.grants, createdAt, this.#inForce);
    put('grants', this.#inForce.grants, (grant) => [grantDocument(grant)]);
    put('groups', source.groups, (group, before) => this.#groupDocuments(group, before));
    put(
      'keys',
      source.keys.filter(({ notAfter }) => notAfter > createdAt),
      (key) => [keyDocument(key)],
    );
    put('issuers', source.issuers ?? [], (issuer) => [document('issuer', issuer.id, issuer, { reach: ISSUER })]);
    put('revocations', [source.revocations], revocationDocuments);
    put('settings', [source.settings], (settings) => [document('settings', 'all', settings)]);
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

/** Of twenty thousand grants the ones in force are looked for again only when there are others, or one of them has ended. */
function inForceAt(of: readonly Grant[], atMs: number, before: InForce | undefined): InForce {
  if (before !== undefined && before.of === of && atMs >= before.fromMs && atMs < before.untilMs) return before;
  const grants = of.filter(({ notAfter }) => notAfter === undefined || notAfter > atMs);
  const untilMs = grants.reduce((least, { notAfter }) => Math.min(least, notAfter ?? least), Number.POSITIVE_INFINITY);
  return { of, grants, fromMs: atMs, untilMs };
}

type ByName = ReadonlyMap<string, Document>;
const nameOf = ({ name }: Keyed): string => name;
/** A row that was read again and says the same keeps its document, so that nothing moves for it. */
const sameAs = (known: Document | undefined, made: Document): Document =>
  known !== undefined && known.hex === made.hex && known.reach === made.reach ? known : made;

const NOTHING: Made = { rows: [], documents: new Map() };

/** The documents of these rows: those of rows that were there before, and new ones of the others. */
function remade<T extends object>(
  before: Made,
  rows: readonly T[],
  make: (row: T, before: ByName) => readonly Document[],
  changes: DocumentChange[],
): Made {
  if (isSameList(before.rows, rows)) return before;
  const made = new Map<object, readonly Document[]>();
  const fresh: T[] = [];
  for (const row of rows) {
    const known = before.documents.get(row);
    if (known === undefined) fresh.push(row);
    else made.set(row, known);
  }
  const gone = new Map<string, Document>();
  for (const [row, documents] of before.documents)
    if (!made.has(row)) for (const one of documents) gone.set(one.name, one);
  for (const row of fresh) {
    const documents = make(row, gone).map((one) => sameAs(gone.get(one.name), one));
    made.set(row, documents);
    for (const one of documents) {
      const known = gone.get(one.name);
      gone.delete(one.name);
      if (known !== one) changes.push({ before: known, after: one });
    }
  }
  for (const one of gone.values()) changes.push({ before: one, after: undefined });
  return { rows, documents: made };
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
/** The same object for all documents that need nothing more. */
export const ALWAYS = requiredCapabilities({});

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
