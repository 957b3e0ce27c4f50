/** What an agent starts from after any end of the process before it. */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BundleStore } from './store.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'store-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const digestOf = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex');
const body = (text: string): Buffer => Buffer.from(text);
const named = (...bodies: readonly Buffer[]) => ({
  count: bodies.length,
  bytes: bodies.reduce((sum, { length }) => sum + length, 0),
  digests: () => bodies.map(digestOf),
});
const signed = (text: string) => ({ manifest: body(text), signature: body('s'), certificates: [] });
const pack = (): string => path.join(dir, 'bundle/chunks.pack');

test('bodies and manifest come back, those of several changes too', async () => {
  const [a, b, c] = [body('a'), body('bb'), body('')];
  await new BundleStore(dir).put(signed('one'), [a, b], named(a, b));
  const again = new BundleStore(dir);
  await again.put(signed('two'), [c], named(a, c));
  const last = new BundleStore(dir);
  expect(Buffer.from(last.manifest()!.manifest!).toString()).toBe('two');
  for (const one of [a, c]) expect(last.bodies().get(digestOf(one))).toEqual(one);
});

test('several that are put at once follow one another, and the last is what a restart begins with', async () => {
  const bodies = Array.from({ length: 20 }, (_, i) => body(`body ${i}`));
  const store = new BundleStore(dir);
  void Promise.all(bodies.map((one, i) => store.put(signed(`manifest ${i}`), [one], named(...bodies.slice(0, i + 1)))));
  await store.settled();
  const last = new BundleStore(dir);
  expect(Buffer.from(last.manifest()!.manifest!).toString()).toBe('manifest 19');
  for (const one of bodies) expect(last.bodies().get(digestOf(one))).toEqual(one);
});

test('one that could not be put is its caller’s to hear of, and the next is whole', async () => {
  const [a, b] = [body('first'), body('second')];
  const store = new BundleStore(dir);
  mkdirSync(pack());
  await expect(store.put(signed('one'), [a], named(a))).rejects.toMatchObject({ code: 'EISDIR' });
  rmSync(pack(), { recursive: true });
  await store.put(signed('two'), [a, b], named(a, b));
  for (const one of [a, b]) expect(new BundleStore(dir).bodies().get(digestOf(one))).toEqual(one);
});

test('a record that a crash cut short is left out, and what comes after it is whole', async () => {
  const [a, b, c] = [body('first'), body('second'), body('third')];
  await new BundleStore(dir).put(signed('one'), [a, b], named(a, b));
  for (const cut of [1, 3, 6, 9]) {
    truncateSync(pack(), statSync(pack()).size - cut);
    const store = new BundleStore(dir);
    expect(store.bodies().has(digestOf(a))).toBe(true);
    expect(store.bodies().has(digestOf(b))).toBe(false);
    await store.put(signed('two'), [b, c], named(a, b, c));
    for (const one of [a, b, c]) expect(new BundleStore(dir).bodies().get(digestOf(one))).toEqual(one);
    rmSync(path.join(dir, 'bundle'), { recursive: true });
    await new BundleStore(dir).put(signed('one'), [a, b], named(a, b));
  }
});

test('a body that was changed on the disk is not the one that was asked for', async () => {
  const [a, b] = [body('first'), body('second')];
  await new BundleStore(dir).put(signed('one'), [a, b], named(a, b));
  const bytes = readFileSync(pack());
  bytes[5]! ^= 1;
  writeFileSync(pack(), bytes);
  const bodies = new BundleStore(dir).bodies();
  expect(bodies.has(digestOf(a))).toBe(false);
  expect(bodies.get(digestOf(b))).toEqual(b);
});

test('what no manifest names any more goes when there is too much of it', async () => {
  const store = new BundleStore(dir);
  let last = body('');
  for (let i = 0; i < 20; i++) {
    last = Buffer.alloc(512 * 1024, i);
    await store.put(signed(String(i)), [last], named(last));
  }
  expect(statSync(pack()).size).toBeLessThan(6 * 1024 * 1024);
  expect(new BundleStore(dir).bodies().get(digestOf(last))).toEqual(last);
  // And a store that goes on after that appends where the file ends.
  const more = body('more');
  await store.put(signed('more'), [more], named(last, more));
  for (const one of [last, more]) expect(new BundleStore(dir).bodies().get(digestOf(one))).toEqual(one);
});

test('bodies that an earlier version kept in a file each are read, and taken over', async () => {
  const [a, b] = [body('first'), body('second')];
  const chunks = path.join(dir, 'bundle/chunks');
  mkdirSync(chunks, { recursive: true });
  for (const one of [a, b]) writeFileSync(path.join(chunks, digestOf(one)), one);
  appendFileSync(path.join(chunks, digestOf(b)), 'damaged');
  const store = new BundleStore(dir);
  expect(store.bodies().get(digestOf(a))).toEqual(a);
  expect(store.bodies().has(digestOf(b))).toBe(false);
  await store.put(signed('two'), [b], named(a, b));
  expect(statSync(chunks, { throwIfNoEntry: false })).toBeUndefined();
  for (const one of [a, b]) expect(new BundleStore(dir).bodies().get(digestOf(one))).toEqual(one);
});
