/**
 * What some agents see of a project's chunks: the resources they guard, the grants that reach those, and all the rest. Agents
 * that see the same share one view; a change costs what it changes. ADR 0029. Pure.
 * Refuses to make chunks, and to sign.
 */
import { hash } from 'node:crypto';
import { wire } from '@sallyport/contract';
import { type Grant, labelsMatch, type Resource } from '@sallyport/model';
import { canonicalJson } from './canonical.ts';
import { inManifestOrder } from './capabilities.ts';
import { ALWAYS, boxesOf, type Document, type DocumentChange } from './catalog.ts';
import { byKey, isSameList, type Part, placeOf, splitUp } from './split.ts';

/** A run of chunk references, as a chunk of its own. */
interface BundlePage {
  readonly part: Part<Document>;
  readonly digest: Buffer;
  readonly body: Buffer;
  readonly asks: Asks;
}

/** What documents ask of an agent. */
interface Asks {
  readonly needs: ReadonlySet<string>;
  readonly credentialIds: ReadonlySet<string>;
}

/** One revision of a view; what it holds never changes. */
export interface Edition {
  readonly projectId: string;
  readonly epoch: number;
  readonly revision: number;
  readonly createdAt: number;
  /** In no order that means anything. */
  readonly documents: readonly Document[];
  readonly requires: readonly string[];
  readonly credentialIds: readonly string[];
  /** None for a small bundle, whose manifest lists its chunks itself. */
  pages(): readonly { readonly digest: Buffer; readonly body: Buffer }[];
  /** The manifest's list of chunks, encoded; the same for all agents of the view. @param paged the agent reads pages */
  listed(paged: boolean): Buffer;
  /** Body of a chunk or page of this edition. @param hex its digest */
  body(hex: string): Buffer | undefined;
}

/** True when agents called so are among those that a resource names. */
export const isGuardedBy = (agents: readonly string[], agent: string): boolean =>
  agents.length === 0 || agents.includes(agent);

/** Up to here a manifest lists its chunks itself. */
const FLAT_CHUNKS_MAX = 256;
const PAGE_CHUNKS_MAX = 128;
/** Editions whose new bodies are at hand. */
const EDITIONS_KEPT = 8;

type Bodies = ReadonlyMap<string, Buffer>;

function bodyIn(editions: readonly Bodies[], hex: string): Buffer | undefined {
  for (const bodies of editions) {
    const body = bodies.get(hex);
    if (body !== undefined) return body;
  }
  return undefined;
}

const NO_PAGES: ReadonlyMap<string, BundlePage> = new Map();

export class View {
  readonly #agent: string;
  readonly #names = new Set<string>();
  readonly #resources: Resource[] = [];
  /** By the labels that a grant asks for. */
  readonly #labelled = new Map<string, boolean>();
  /** By key. */
  #documents: readonly Document[];
  #pages: ReadonlyMap<string, BundlePage> = NO_PAGES;
  #edition: Edition | undefined;
  #fresh: readonly Bodies[] = [];

  /**
   * @param agent name of one of the agents that see this
   * @param former what the agent saw before there were other resources: a page that holds what it held is not made again
   */
  constructor(documents: Iterable<Document>, agent: string, former?: View) {
    this.#agent = agent;
    if (former !== undefined) this.#pages = former.#pages;
    const all = [...documents];
    for (const { reach } of all) {
      if (reach?.kind !== 'resource' || !isGuardedBy(reach.agents, agent)) continue;
      this.#names.add(reach.resource.name);
      this.#resources.push(reach.resource);
    }
    this.#documents = all.filter((document) => this.#sees(document)).sort(byKey);
  }

  /** Called with every change since the view was made, unless one changed which resources there are (`changesReach`). */
  apply(changes: readonly DocumentChange[]): void {
    // An edition keeps the list it was made of, so changes go into a copy: one for all of them, since it may be long.
    let documents: Document[] | undefined;
    for (const { before, after } of changes) {
      const now = documents ?? this.#documents;
      const place = before === undefined ? 0 : placeOf(now, before);
      if (before !== undefined && now[place] === before) (documents ??= [...now]).splice(place, 1);
      if (after === undefined || !this.#sees(after)) continue;
      documents ??= [...now];
      documents.splice(placeOf(documents, after), 0, after);
    }
    if (documents !== undefined) this.#documents = documents;
  }

  /** @param at which revision of the project this is */
  edition(at: Pick<Edition, 'projectId' | 'epoch' | 'revision' | 'createdAt'>): Edition {
    const last = this.#edition;
    const { projectId, epoch, revision, createdAt } = at;
    if (last !== undefined && last.documents === this.#documents) {
      if (last.epoch === epoch && last.revision === revision && last.createdAt === createdAt) return last;
      this.#edition = { ...last, epoch, revision, createdAt };
      return this.#edition;
    }
    const documents = this.#documents;
    const isLarge = documents.length > FLAT_CHUNKS_MAX;
    const before = this.#pages;
    this.#pages = isLarge ? pagesOf(documents, before) : NO_PAGES;
    const pages = [...this.#pages.values()];
    // Of the last editions too: an agent that is some revisions behind asks for what came since.
    this.#fresh = [freshOf(before, pages), ...this.#fresh].slice(0, EDITIONS_KEPT);
    const fresh = this.#fresh;
    const asks = isLarge ? pages.map((page) => page.asks) : [asksOf(documents)];
    let all: ReadonlyMap<string, Buffer> | undefined;
    let flat: Buffer | undefined;
    let paged: Buffer | undefined;
    this.#edition = {
      projectId,
      epoch,
      revision,
      createdAt,
      documents,
      requires: inManifestOrder(new Set([...ALWAYS, ...asks.flatMap(({ needs }) => [...needs])])),
      credentialIds: [...new Set(asks.flatMap(({ credentialIds }) => [...credentialIds]))].sort(),
      pages: () => pages,
      listed: (asPages) => {
        if (isLarge && asPages) return (paged ??= listOfPages(pages));
        return (flat ??= listOfChunks(documents));
      },
      body: (hex) => bodyIn(fresh, hex) ?? (all ??= bodiesOf(documents, pages)).get(hex),
    };
    return this.#edition;
  }

  #sees({ reach }: Document): boolean {
    if (reach === undefined) return true;
    switch (reach.kind) {
      case 'resource':
        return isGuardedBy(reach.agents, this.#agent);
      case 'grant':
        return this.#isUseful(reach.grant);
      case 'ssh':
        return this.#resources.some(isSsh);
      case 'issuer':
        return this.#resources.some(takesIssuerTokens);
      default:
        return reach satisfies never;
    }
  }

  #isUseful({ resource, labels }: Grant): boolean {
    if (resource !== undefined && this.#names.has(resource)) return true;
    if (labels === undefined) return false;
    const wanted = canonicalJson(labels);
    let found = this.#labelled.get(wanted);
    if (found === undefined) {
      found = this.#resources.some((one) => labelsMatch(labels, one.labels));
      this.#labelled.set(wanted, found);
    }
    return found;
  }
}

function asksOf(documents: readonly Document[]): Asks {
  const needs = new Set<string>();
  const credentialIds = new Set<string>();
  for (const { needs: own, reach } of documents) {
    if (own !== ALWAYS) for (const need of own) needs.add(need);
    if (reach?.kind === 'resource') for (const id of boxesOf(reach.resource)) credentialIds.add(id);
  }
  return { needs, credentialIds };
}

const isSsh = ({ kind }: Resource): boolean => kind === 'ssh';
const takesIssuerTokens = ({ issuerTokens }: Resource): boolean => issuerTokens !== undefined;

/** True when an agent may see other chunks than before, so that views are made anew. */
export function changesReach({ before, after }: DocumentChange): boolean {
  const [old, now] = [before?.reach, after?.reach];
  if (old?.kind !== 'resource' && now?.kind !== 'resource') return false;
  if (old?.kind !== 'resource' || now?.kind !== 'resource') return true;
  return (
    old.resource.name !== now.resource.name ||
    canonicalJson(old.resource.labels) !== canonicalJson(now.resource.labels) ||
    canonicalJson(old.agents) !== canonicalJson(now.agents) ||
    isSsh(old.resource) !== isSsh(now.resource) ||
    takesIssuerTokens(old.resource) !== takesIssuerTokens(now.resource)
  );
}

/** The bytes that are signed: what is the agent's own, and after it the list that all of its view share. */
export function manifestFor(edition: Edition, agent: { readonly id: string; readonly pages: boolean }): Buffer {
  const isPaged = agent.pages && edition.pages().length > 0;
  const own = wire.BundleManifest.encode({
    format: 1,
    agentId: agent.id,
    projectId: edition.projectId,
    epoch: edition.epoch,
    revision: edition.revision,
    createdAt: String(edition.createdAt),
    requires: isPaged ? [...edition.requires, 'bundle.pages.1'] : [...edition.requires],
  }).finish();
  return Buffer.concat([own, edition.listed(agent.pages)]);
}

const reference = ({ name, digest, body }: Document) => ({ name, digest, size: body.length });
const byName = (a: Document, b: Document): number => (a.name < b.name ? -1 : 1);
const listOfChunks = (documents: readonly Document[]): Buffer =>
  Buffer.from(wire.BundleManifest.encode({ chunks: [...documents].sort(byName).map(reference) }).finish());
const listOfPages = (pages: readonly BundlePage[]): Buffer =>
  Buffer.from(
    wire.BundleManifest.encode({ pages: pages.map(({ digest, body }) => ({ digest, size: body.length })) }).finish(),
  );

/** A part that holds what it held is the page it was. */
function pagesOf(
  documents: readonly Document[],
  before: ReadonlyMap<string, BundlePage>,
): ReadonlyMap<string, BundlePage> {
  const pages = splitUp(documents, PAGE_CHUNKS_MAX).map((part): BundlePage => {
    const known = before.get(part.prefix);
    if (known !== undefined && isSameList(known.part.items, part.items)) return known;
    const body = Buffer.from(wire.BundlePage.encode({ chunks: part.items.map(reference) }).finish());
    return { part, digest: hash('sha256', body, 'buffer'), body, asks: asksOf(part.items) };
  });
  return new Map(pages.map((page) => [page.part.prefix, page]));
}

/** Bodies of the pages that are new and of the chunks new in them: what is mostly asked for after a change. */
function freshOf(before: ReadonlyMap<string, BundlePage>, pages: readonly BundlePage[]): ReadonlyMap<string, Buffer> {
  const fresh = new Map<string, Buffer>();
  if (before.size === 0) return fresh;
  for (const page of pages) {
    const old = before.get(page.part.prefix);
    if (old === page) continue;
    fresh.set(page.digest.toString('hex'), page.body);
    const had = new Set(old?.part.items);
    for (const item of page.part.items) if (!had.has(item)) fresh.set(item.hex, item.body);
  }
  return fresh;
}

const bodiesOf = (documents: readonly Document[], pages: readonly BundlePage[]): ReadonlyMap<string, Buffer> =>
  new Map([
    ...documents.map((one): [string, Buffer] => [one.hex, one.body]),
    ...pages.map((page): [string, Buffer] => [page.digest.toString('hex'), page.body]),
  ]);
