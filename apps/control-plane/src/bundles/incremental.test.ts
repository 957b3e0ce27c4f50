/** What is brought up to date change by change is what one compile from nothing gives, byte by byte. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { wire } from '@sallyport/contract';
import type { BundleGroup, Grant, Policy, Resource, Revocation, TrustedIssuer } from '@sallyport/model';
import { expect, test } from 'vitest';
import { Catalog } from './catalog.ts';
import { type BundleSource, type CompiledFor, compileBundle } from './compile.ts';
import { changesReach, manifestFor, View } from './view.ts';

const GOLDEN = path.join(import.meta.dirname, '../../../../packages/contract/golden');
const golden = JSON.parse(readFileSync(path.join(GOLDEN, 'bundle-source.json'), 'utf8')) as BundleSource;

const [issuerLine = ''] = readFileSync(path.join(GOLDEN, 'issuer-chunk.txt'), 'utf8').split('\n');
const ISSUER = JSON.parse(issuerLine.slice(issuerLine.indexOf(' ') + 1)) as TrustedIssuer;

const uuid = (space: number, n: number): string =>
  `0190b3a4-0000-7000-8${space.toString(16).padStart(3, '0')}-${n.toString(16).padStart(12, '0')}`;
const agents: readonly CompiledFor[] = ['north', 'south', 'east'].map((name, i) => ({
  id: uuid(9, i),
  name,
  pages: i !== 1,
}));

/** Numbers that look like chance and come again with the same seed. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

class World {
  readonly #next: (below: number) => number;
  readonly resources = new Map<string, BundleSource['resources'][number]>();
  readonly policies = new Map<string, Policy>();
  readonly grants = new Map<string, Grant>();
  readonly groups = new Map<string, BundleGroup>();
  readonly revocations = new Map<string, Revocation>();
  #lastRevocations: readonly Revocation[] = [];
  #lists: readonly Revocation[] | undefined;
  createdAt = golden.createdAt;
  revision = 1;

  constructor(seed: number) {
    this.#next = chance(seed);
    for (let n = 0; n < 40; n++) this.#resource(n);
    for (let n = 0; n < 30; n++) this.#policy(n);
    for (let n = 0; n < 300; n++) this.#grant(n);
    for (let n = 0; n < 12; n++) this.#group(n);
    for (let n = 0; n < 250; n++) this.#revoke(n);
    // Around the size at which a group goes in parts.
    for (let n = 0; n < 505; n++) this.#member(3, n);
  }

  #resource(n: number): void {
    const [first] = golden.resources;
    const labels = { env: ['prod', 'test', 'dev'][this.#next(3)]!, team: `team-${this.#next(4)}` };
    const guards = [[], ['north'], ['south', 'north'], ['east']][this.#next(4)]!;
    const resource = {
      ...first!.resource,
      id: uuid(1, n),
      name: `resource-${n}`,
      labels,
      idleMsMax: 1000 + this.#next(9),
      ...(this.#next(30) === 0 ? { issuerTokens: 'always' as const } : {}),
    };
    this.resources.set(resource.id, { resource: resource as Resource, agents: guards });
  }

  #policy(n: number): void {
    const [first] = golden.policies;
    this.policies.set(uuid(2, n), { ...first!, id: uuid(2, n), name: `policy-${this.#next(1_000)}-${n}` });
  }

  #grant(n: number): void {
    const [first] = golden.grants;
    const { principal: _, group: _g, resource: _r, labels: _l, notAfter: _n, ...rest } = first!;
    this.grants.set(uuid(3, n), {
      ...rest,
      id: uuid(3, n),
      group: `group-${this.#next(12)}`,
      ...(this.#next(2) === 0
        ? { resource: `resource-${this.#next(45)}` }
        : { labels: { env: ['prod', 'test', 'none'][this.#next(3)]! } }),
      ...(this.#next(5) === 0 ? { notAfter: this.createdAt + this.#next(200_000) } : {}),
      ...(this.#next(9) === 0 ? { reviewedUntil: this.createdAt + 10, afterReview: 'hold' as const } : {}),
    });
  }

  #group(n: number): void {
    this.groups.set(`group-${n}`, { name: `group-${n}`, projectId: golden.projectId, members: [uuid(4, n)] });
  }

  #member(n: number, member: number): void {
    const group = this.groups.get(`group-${n}`);
    if (group === undefined) return;
    const id = uuid(4, member);
    const members = group.members.includes(id)
      ? group.members.filter((one) => one !== id)
      : [...group.members.slice(1), id, ...group.members.slice(0, 1)];
    this.groups.set(group.name, { ...group, members });
  }

  #revoke(n: number): void {
    this.revocations.set(uuid(5, n), { kind: 'token', id: `token-${n}`, before: golden.createdAt + n });
  }

  step(): void {
    this.revision++;
    this.createdAt += this.#next(2_000);
    const n = this.#next(400);
    switch (this.#next(12)) {
      case 0:
        this.#resource(this.#next(45));
        break;
      case 1:
        this.resources.delete(uuid(1, this.#next(45)));
        break;
      case 2:
        this.#policy(this.#next(35));
        break;
      case 3:
        this.policies.delete(uuid(2, this.#next(35)));
        break;
      case 4:
      case 5:
        this.#grant(n);
        break;
      case 6:
        this.grants.delete(uuid(3, n));
        break;
      case 7:
        this.#group(this.#next(14));
        break;
      case 8:
        if (this.#next(6) === 0) this.groups.delete(`group-${this.#next(14)}`);
        break;
      case 9:
        for (let i = this.#next(12); i >= 0; i--) this.#member(3, this.#next(560));
        break;
      case 10:
        for (let i = this.#next(6); i >= 0; i--) this.#revoke(250 + this.#next(600));
        this.#lists = undefined;
        break;
      default:
        for (let i = this.#next(6); i >= 0; i--) this.revocations.delete(uuid(5, this.#next(850)));
        this.#lists = undefined;
    }
  }

  source(): BundleSource {
    if (this.#lists === undefined) this.#lastRevocations = [...this.revocations.values()];
    this.#lists = this.#lastRevocations;
    return {
      ...golden,
      issuers: [ISSUER],
      revision: this.revision,
      createdAt: this.createdAt,
      resources: [...this.resources.values()],
      policies: [...this.policies.values()],
      grants: [...this.grants.values()],
      groups: [...this.groups.values()],
      revocations: this.#lists,
    };
  }
}

test.each([1, 2, 3])(
  'after any changes a kept catalog and its views give the bytes of a new one (seed %i)',
  { timeout: 180_000 },
  (seed) => {
    const world = new World(seed);
    const catalog = new Catalog();
    catalog.update(world.source());
    let views = agents.map(({ name }) => new View(catalog.documents(), name));
    const layouts = new Set<string>();
    for (let i = 0; i < 60; i++) {
      // Several changes may come in one revision.
      for (let j = 0; j <= i % 3; j++) world.step();
      const source = world.source();
      const changes = catalog.update(source);
      if (changes.some(changesReach)) views = agents.map(({ name }) => new View(catalog.documents(), name));
      else for (const view of views) view.apply(changes);
      for (const [n, agent] of agents.entries()) {
        const edition = views[n]!.edition(source);
        const whole = compileBundle(source, agent);
        const manifest = manifestFor(edition, agent);
        expect(manifest.equals(whole.manifest)).toBe(true);
        expect(edition.credentialIds).toEqual(whole.credentialIds);
        for (const { digest, body } of [...whole.chunks, ...whole.pages])
          expect(edition.body(digest.toString('hex'))?.equals(body)).toBe(true);
        layouts.add(
          `${edition.pages().length > 0 ? 'pages' : 'flat'} ${whole.chunks.some(({ name }) => name.startsWith('members/'))}`,
        );
      }
    }
    expect(layouts.size).toBeGreaterThan(1);
  },
);

test('one changed membership, grant, rule or revocation moves a page or two and a chunk or two', () => {
  const world = new World(7);
  const agent = agents[0]!;
  const digests = (bundle: ReturnType<typeof compileBundle>): Map<string, number> =>
    new Map([...bundle.pages, ...bundle.chunks].map(({ digest, body }) => [digest.toString('hex'), body.length]));
  let before = digests(compileBundle(world.source(), agent));
  for (let i = 0; i < 40; i++) {
    world.step();
    const after = digests(compileBundle(world.source(), agent));
    const moved = [...after].filter(([digest]) => !before.has(digest));
    expect(moved.reduce((sum, [, size]) => sum + size, 0)).toBeLessThan(150_000);
    before = after;
  }
});

test('a group with more members than one chunk takes goes in parts, and an agent must know how to read them', {
  timeout: 60_000,
}, () => {
  const members = Array.from({ length: 150_000 }, (_, n) => uuid(4, n));
  const source = { ...golden, groups: [{ name: 'everyone', projectId: golden.projectId, members }] };
  const bundle = compileBundle(source, agents[0]!);
  const manifest = wire.BundleManifest.decode(bundle.manifest);
  expect(manifest.requires).toContain('group.parts.1');
  expect(manifest.requires).toContain('bundle.pages.1');
  const parts = bundle.chunks.filter(({ name }) => name.startsWith('members/'));
  const read = parts.flatMap(({ body }) => (JSON.parse(body.toString()) as { members: string[] }).members);
  expect(read.toSorted()).toEqual(members.toSorted());
  expect(Math.max(...parts.map(({ body }) => body.length))).toBeLessThan(32 * 1024);
  const group = bundle.chunks.find(({ name }) => name === 'group/everyone');
  expect(JSON.parse(group!.body.toString())).toEqual({
    name: 'everyone',
    projectId: golden.projectId,
    members: [],
    parts: parts.length,
  });
});

test('an agent that does not read pages gets the list in its manifest', () => {
  const source = new World(2).source();
  const flat = wire.BundleManifest.decode(compileBundle(source, { ...agents[0]!, pages: false }).manifest);
  const paged = compileBundle(source, agents[0]!);
  const listed = paged.pages.flatMap(({ body }) => wire.BundlePage.decode(body).chunks);
  expect(flat.pages).toEqual([]);
  expect(flat.requires).not.toContain('bundle.pages.1');
  const names = (chunks: readonly { name?: string | null }[]) => chunks.map(({ name }) => name ?? '').toSorted();
  expect(names(flat.chunks)).toEqual(names(listed));
});

test('the pages and parts of a large bundle are the same bytes, for good', () => {
  const [grant] = golden.grants;
  const source: BundleSource = {
    ...golden,
    grants: Array.from({ length: 300 }, (_, n) => ({ ...grant!, id: uuid(3, n) })),
    groups: [
      { name: 'everyone', projectId: golden.projectId, members: Array.from({ length: 600 }, (_, n) => uuid(4, n)) },
    ],
  };
  const bundle = compileBundle(source, agents[0]!);
  const pages = bundle.pages.map(({ body }) => body.toString('hex'));
  const parts = bundle.chunks.filter(({ name }) => /^(members|group)\//.test(name)).map(({ body }) => body.toString());
  expect([bundle.manifest.toString('hex'), ...pages, ...parts, ''].join('\n')).toBe(
    readFileSync(path.join(GOLDEN, 'bundle-pages.txt'), 'utf8'),
  );
});
