/** Bundles in pages: what is asked for after a change, what stays as it was, what is refused, and what a restart finds. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type SignedManifest, wire } from '@sallyport/contract';
import type { GatewayError, Logger } from '@sallyport/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Bundles } from '../src/bundle/bundles.ts';
import { BundleStore } from '../src/bundle/store.ts';
import { AGENT_ID, ANA, ControlPlane, type Documents, documents, PROJECT_ID } from './control-plane.fixture.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'bundles-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const plane = new ControlPlane();
const nothing = (): void => undefined;
const log: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

function agent() {
  const refused: string[] = [];
  const store = new BundleStore(dir);
  const bundles = new Bundles({
    store,
    root: plane.root.certificate,
    agentId: AGENT_ID,
    projectId: PROJECT_ID,
    nowMs: Date.now,
    log,
    applied: nothing,
    kept: nothing,
    unchanged: nothing,
    refused: (error: GatewayError) => refused.push(error.code),
  });
  /** Offers it and gives what is asked for. @returns the names of what was, pages by `page` */
  const take = (signed: SignedManifest): readonly string[] => {
    const asked: string[] = [];
    for (let wanted = bundles.offer(signed); wanted.length > 0; ) {
      asked.push(...wanted.map((digest) => nameOf.get(digest)!));
      let more: readonly string[] = [];
      for (const digest of wanted)
        more = bundles.chunk({
          digest: Buffer.from(digest, 'hex'),
          offset: 0,
          part: plane.chunks.get(digest)!,
          last: true,
        });
      wanted = more;
    }
    return asked.sort();
  };
  return { bundles, store, refused, take };
}

const nameOf = new Map<string, string>();
/** Documents of one bundle, page by page. */
function paged(revision: number, pages: readonly Documents[]): SignedManifest {
  const all = Object.assign({}, ...pages) as Documents;
  return plane.sign(1, revision, all, (manifest) => {
    const { chunks, ...rest } = manifest as { chunks: { name: string; digest: Buffer; size: number }[] };
    for (const { name, digest } of chunks) nameOf.set(digest.toString('hex'), name);
    const made = pages.map((page) => {
      const own = Object.keys(page).map((name) => chunks.find((chunk) => chunk.name === name)!);
      const body = Buffer.from(wire.BundlePage.encode({ chunks: own }).finish());
      const digest = createHash('sha256').update(body).digest();
      plane.chunks.set(digest.toString('hex'), body);
      nameOf.set(digest.toString('hex'), 'page');
      return { digest, size: body.length };
    });
    return { ...rest, pages: made };
  });
}

const grant = (n: number, effects: readonly string[] = ['read']) => ({
  [`grant/g${n}0`]: {
    id: `01900000-0000-7000-8000-0000000001${String(n).padStart(2, '0')}`,
    projectId: PROJECT_ID,
    principal: ANA,
    resource: 'payments-db',
    effects,
    roles: [],
    kind: 'standing',
  },
});
const base = documents(5432);

test('after a change the changed page and chunk are asked for, and the rest stays the same object', async () => {
  const { bundles, store, refused, take } = agent();
  const before = [base, { ...grant(1), ...grant(2) }, { ...grant(3), ...grant(4) }];
  expect(take(paged(1, before)).filter((name) => name === 'page')).toHaveLength(3);
  const first = bundles.current!.bundle;
  expect(first.grants).toHaveLength(5);
  expect(take(paged(2, [base, { ...grant(1), ...grant(2, ['write']) }, before[2]!]))).toEqual(['grant/g20', 'page']);
  const second = bundles.current!.bundle;
  expect(second.revision).toBe(2);
  const byId = (id: string) => second.grants.find((one) => one.id.endsWith(id))!;
  expect(byId('102').effects).toEqual(['write']);
  for (const id of ['101', '103', '104', '0d1']) expect(byId(id)).toBe(first.grants.find((one) => one.id.endsWith(id)));
  // One goes, one comes, one moves to another page as it is.
  expect(take(paged(3, [base, grant(5), { ...grant(1), ...grant(3) }]))).toEqual(['grant/g50', 'page', 'page']);
  expect(bundles.current!.bundle.grants.map(({ id }) => id.slice(-3)).sort()).toEqual(['0d1', '101', '103', '105']);
  expect(take(paged(4, [base, grant(5), { ...grant(1), ...grant(3) }]))).toEqual([]);
  expect(refused).toEqual([]);
  await store.settled();
  const again = agent();
  again.bundles.restore();
  expect(again.refused).toEqual([]);
  expect(again.bundles.current!.bundle).toEqual(bundles.current!.bundle);
});

test('a small bundle that names a chunk twice is refused', () => {
  const { bundles, refused, take } = agent();
  const twice = plane.sign(1, 1, base, (manifest) => {
    const { chunks, ...rest } = manifest as { chunks: readonly { name: string }[] };
    return { ...rest, chunks: [...chunks, chunks[0]!] };
  });
  take(twice);
  expect(refused).toEqual(['bundle.malformed']);
  expect(bundles.current).toBeUndefined();
});

test('what no change touches is the same list, so that nothing is made of it again', () => {
  const { bundles, take } = agent();
  const [one, two] = [grant(1), grant(2)];
  take(paged(1, [base, { ...one, ...two }]));
  const first = bundles.current!;
  take(
    paged(2, [
      { ...base, 'group/dba': { name: 'dba', projectId: PROJECT_ID, members: [ANA] } },
      { ...one, ...two },
    ]),
  );
  const second = bundles.current!;
  expect(second.bundle.groups).not.toEqual(first.bundle.groups);
  expect(second.bundle.grants).toBe(first.bundle.grants);
  expect(second.resourcesById).toBe(first.resourcesById);
  expect(second.keys).toBe(first.keys);
});

test('a chunk in two pages refuses the bundle, also where one of them is in force, and the last one stays', () => {
  const { bundles, refused, take } = agent();
  take(paged(1, [base, grant(1)]));
  take(paged(2, [base, grant(1), { ...grant(1), ...grant(2) }]));
  take(paged(3, [base, grant(2), { ...grant(2), ...grant(3) }]));
  take(paged(4, [base, base]));
  expect(refused).toEqual(['bundle.malformed', 'bundle.malformed', 'bundle.malformed']);
  expect(bundles.current!.bundle.revision).toBe(1);
});

test('a bundle that could not be kept is in force, and the next is asked for whole and kept', async () => {
  const { bundles, store, take } = agent();
  take(paged(1, [base, grant(1)]));
  await store.settled();
  const whole = store.put.bind(store);
  store.put = () => Promise.reject(new Error('the disk is full'));
  take(paged(2, [base, grant(1, ['write'])]));
  expect(bundles.current!.bundle.revision).toBe(2);
  store.put = whole;
  await new Promise((resolve) => setImmediate(resolve));
  const asked = take(paged(3, [base, grant(1)]));
  expect(asked).toHaveLength(Object.keys(base).length + 3);
  await store.settled();
  const again = agent();
  again.bundles.restore();
  expect(again.bundles.current!.bundle).toEqual(bundles.current!.bundle);
});

test('a change from a list to pages and back takes what is here', () => {
  const { bundles, refused, take } = agent();
  const docs = { ...base, ...grant(1) };
  const flat = (revision: number) => plane.sign(1, revision, docs);
  paged(0, [docs]);
  take(flat(1));
  expect(take(paged(2, [base, grant(1)]))).toEqual(['page', 'page']);
  expect(take(flat(3))).toEqual([]);
  expect(bundles.current!.bundle.revision).toBe(3);
  expect(refused).toEqual([]);
});
