/** From chunks to a bundle: large groups whole or not at all, and what stays is the same object. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { wire } from '@sallyport/contract';
import { expect, test } from 'vitest';
import { assembleBundle } from './assemble.ts';
import { type Manifest, type ManifestChunk, type Page, pagesOf, readPage, requireDistinct } from './manifest.ts';

const PROJECT = '0190b3a4-0000-7000-8000-000000000001';
const manifest: Manifest = { epoch: 1, revision: 1, projectId: PROJECT, createdAt: 0, chunks: [], pages: [] };
const GOLDEN = path.join(import.meta.dirname, '../../../../packages/contract/golden');
const settings = { trailSealKey: '', trailSealKeyId: '', issuer: '', domain: '', heartbeatMs: 5_000 };

type Bodies = Readonly<Record<string, unknown>>;
const digestOf = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex');
const assemble = (bodies: Bodies, last?: ReturnType<typeof assembleBundle>) => {
  const all = Object.entries({ 'settings/all': settings, ...bodies });
  const byDigest = new Map(all.map(([, value]) => [digestOf(value), Buffer.from(JSON.stringify(value))]));
  const chunks = all.map(([name, value]): ManifestChunk => ({ name, digest: digestOf(value), size: 1 }));
  const pages = pagesOf({ ...manifest, chunks }, () => expect.unreachable());
  return assembleBundle(manifest, pages, (digest) => byDigest.get(digest)!, last);
};
const group = (parts?: number, members: readonly string[] = []) => ({
  name: 'g',
  projectId: PROJECT,
  members,
  ...(parts === undefined ? {} : { parts }),
});
const part = (bits: string, members: readonly string[], of = 'g') => ({ group: of, part: bits, members });

test('a group in parts is one group', () => {
  const { bundle } = assemble({
    'group/g': group(2),
    'members/0/g': part('0', ['a', 'b']),
    'members/1/g': part('1', ['c']),
  });
  expect(bundle.groups).toEqual([{ name: 'g', projectId: PROJECT, members: ['a', 'b', 'c'] }]);
});

test.each<[string, Bodies]>([
  ['lacks a part', { 'group/g': group(2), 'members/0/g': part('0', ['a']) }],
  ['has one too many', { 'group/g': group(1), 'members/0/g': part('0', ['a']), 'members/1/g': part('1', ['b']) }],
  ['has parts and says none', { 'group/g': group(), 'members/0/g': part('0', ['a']) }],
  ['has parts and members', { 'group/g': group(1, ['z']), 'members/0/g': part('0', ['a']) }],
  ['is not there', { 'members/0/g': part('0', ['a'], 'other') }],
])('a bundle with parts of a group that %s is refused', (_, bodies) => {
  expect(() => assemble(bodies)).toThrow(expect.objectContaining({ code: 'bundle.malformed' }) as Error);
});

test('what stays from one bundle to the next is the same object, and what changed is another', () => {
  const bodies = {
    'group/g': group(2),
    'members/0/g': part('0', ['a']),
    'members/1/g': part('1', ['b']),
    'group/h': { ...group(), name: 'h' },
  };
  const first = assemble(bodies);
  const same = assemble(bodies, first);
  expect(same.bundle.groups.every((one, i) => one === first.bundle.groups[i])).toBe(true);
  expect(same.bundle.settings).toBe(first.bundle.settings);
  const changed = assemble({ ...bodies, 'members/1/g': part('1', ['b', 'c']) }, same);
  expect(changed.bundle.groups[0]).not.toBe(first.bundle.groups[0]);
  expect(changed.bundle.groups[0]!.members).toEqual(['a', 'b', 'c']);
  expect(changed.bundle.groups[1]).toBe(first.bundle.groups[1]);
});

test('the golden pages are read, and a chunk named on two of them refuses the bundle', () => {
  const lines = readFileSync(path.join(GOLDEN, 'bundle-pages.txt'), 'utf8').split('\n');
  const { pages } = wire.BundleManifest.decode(Buffer.from(lines[0]!, 'hex'));
  const bodies = new Map(
    lines.slice(1, 1 + pages.length).map((line) => {
      const bytes = Buffer.from(line, 'hex');
      return [createHash('sha256').update(bytes).digest('hex'), bytes];
    }),
  );
  const named = pages.map(({ digest, size }) => ({
    digest: Buffer.from(digest ?? []).toString('hex'),
    size: size ?? 0,
  }));
  const page = (digest: string) => readPage(bodies.get(digest)!);
  const read = [...pagesOf({ ...manifest, pages: named }, page).values()];
  const grants = read.flatMap(({ chunks }) => chunks).filter(({ name }) => name.startsWith('grant/'));
  expect(grants).toHaveLength(300);
  const refused = expect.objectContaining({ code: 'bundle.malformed' }) as Error;
  expect(() => pagesOf({ ...manifest, pages: [...named, named[0]!] }, page)).toThrow(refused);
  const [first, second] = read as [Page, Page];
  const names = new Set(first.chunks.map(({ name }) => name));
  const none = new Map<string, unknown>();
  requireDistinct([first, second], none, new Set());
  requireDistinct([second], none, names);
  requireDistinct([first], new Map([...names].map((name) => [name, name])), names);
  expect(() => requireDistinct([first, first], none, new Set())).toThrow(refused);
  expect(() => requireDistinct([first], none, names)).toThrow(refused);
  expect(() => readPage(Buffer.from([255, 255]))).toThrow(
    expect.objectContaining({ code: 'bundle.malformed' }) as Error,
  );
});
