/**
 * One project's bundles in memory: rows, catalog and the views of its agents, one update at a time. An update reads what
 * changed; after one that failed everything is read anew. Refuses to know agents' ids, keys, and when to look.
 */
import { setImmediate as othersFirst, setTimeout as sleep } from 'node:timers/promises';
import type { Resource } from '@sallyport/model';
import type { BundleCounter } from './bundles.repository.ts';
import { Catalog } from './catalog.ts';
import type { BundleSource } from './compile.ts';
import { ProjectRows, type RowsRead, type StoredCredential } from './project-rows.ts';
import { changesReach, type Edition, isGuardedBy, View } from './view.ts';

/** A project at one revision; gone stale with the next update. */
export interface ProjectState {
  /** Stored credentials by id. */
  readonly credentials: ReadonlyMap<string, StoredCredential>;
  editionFor(agentName: string): Edition;
  /** What an agent called so guards. */
  resourcesFor(agentName: string): readonly Resource[];
}

export interface ProjectSources {
  /** @param since what the read before saw; undefined = read everything */
  read(since: string | undefined): Promise<RowsRead>;
  keysAndSettings(): Promise<Pick<BundleSource, 'keys' | 'settings'>>;
}

interface Loaded {
  readonly rows: ProjectRows;
  readonly catalog: Catalog;
  /** By the restricted resources that their agents guard. */
  readonly views: Map<string, View>;
  viewOf: Map<string, View>;
  /** By agent, until it sees something again: what its view was before there were other resources. */
  formerViewOf: Map<string, View>;
  source: BundleSource;
}

/** A revocation waits no longer than this for the update before it. */
const PAUSE_MS_MAX = 150;

const covers = (have: BundleCounter, wanted: BundleCounter): boolean =>
  have.epoch > wanted.epoch || (have.epoch === wanted.epoch && have.revision >= wanted.revision);

export class ProjectBundles {
  readonly #sources: ProjectSources;
  #loaded: Loaded | undefined;
  #updating: Promise<unknown> = Promise.resolve();
  /** Monotonic ms. */
  #earliest = 0;

  constructor(sources: ProjectSources) {
    this.#sources = sources;
  }

  /** The project at that revision or a later one. @throws GatewayError `bundle.malformed` */
  async at(counter: BundleCounter): Promise<ProjectState> {
    const mine = this.#updating.then(async () => {
      if (this.#loaded === undefined || !covers(this.#loaded.source, counter))
        this.#loaded = await this.#updateInTime();
      return this.#loaded;
    });
    this.#updating = mine.catch(() => undefined);
    const loaded = await mine;
    return {
      credentials: loaded.rows.credentials,
      editionFor: (agentName) => viewFor(loaded, agentName).edition(loaded.source),
      resourcesFor: (agentName) =>
        loaded.source.resources.flatMap(({ resource, agents }) => (isGuardedBy(agents, agentName) ? [resource] : [])),
    };
  }

  /** Changes that come faster than they can be made out are taken together: an update in three of its own times. */
  async #updateInTime(): Promise<Loaded> {
    const now = performance.now();
    if (this.#earliest > now) await sleep(this.#earliest - now);
    const started = performance.now();
    try {
      return await this.#update();
    } finally {
      const ended = performance.now();
      this.#earliest = ended + Math.min(PAUSE_MS_MAX, 2 * (ended - started));
    }
  }

  async #update(): Promise<Loaded> {
    const before = this.#loaded;
    // Until it is whole again: what a failure leaves behind is not used.
    this.#loaded = undefined;
    const read = await this.#sources.read(before?.rows.seen);
    const more = await this.#sources.keysAndSettings();
    if (before === undefined || read.marked === undefined) {
      const rows = new ProjectRows(read);
      const catalog = new Catalog();
      const source = { ...rows.source(), ...more };
      catalog.update(source);
      return { rows, catalog, views: new Map(), viewOf: new Map(), formerViewOf: new Map(), source };
    }
    // In steps: who signs in while a large bundle is made waits for one of them, not for all.
    await othersFirst();
    before.rows.apply(read);
    await othersFirst();
    before.source = { ...before.rows.source(), ...more };
    const changes = before.catalog.update(before.source);
    await othersFirst();
    if (changes.some(changesReach)) {
      before.formerViewOf = before.viewOf;
      before.viewOf = new Map();
      before.views.clear();
    }
    for (const view of before.views.values()) view.apply(changes);
    await othersFirst();
    return before;
  }
}

function viewFor({ views, viewOf, formerViewOf, catalog, source }: Loaded, agentName: string): View {
  const known = viewOf.get(agentName);
  if (known !== undefined) return known;
  const own = source.resources.filter(({ agents }) => agents.length > 0 && isGuardedBy(agents, agentName));
  const key = own
    .map(({ resource }) => resource.id)
    .sort()
    .join(' ');
  const view = views.get(key) ?? new View(catalog.documents(), agentName, formerViewOf.get(agentName));
  formerViewOf.delete(agentName);
  views.set(key, view);
  viewOf.set(agentName, view);
  return view;
}
