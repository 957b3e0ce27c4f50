import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { DirectoryStore } from './directory-store.ts';
import { recordingKey } from './recording-store.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-recordings-'));
const store = new DirectoryStore(dir);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const listed = async (prefix: string): Promise<string[]> => {
  const keys: string[] = [];
  for await (const key of store.list(prefix)) keys.push(key);
  return keys;
};

test('what is put is there whole, readable by us alone, and leaves no half-written file', async () => {
  const key = recordingKey('p', 's-1', 3, Buffer.alloc(32, 0xab));
  expect(key).toBe('p/s-1/00000003-abababababababab.rec');
  await store.put(key, Buffer.from('one'));
  await store.put(key, Buffer.from('two'));
  expect((await store.get(key)).toString()).toBe('two');
  expect(statSync(path.join(dir, key)).mode & 0o777).toBe(0o600);
  expect(readdirSync(path.join(dir, 'p/s-1'))).toHaveLength(1);
});

test('keys are listed by prefix in order, and a deleted one is gone', async () => {
  await store.put('p/s-2/00000001-aa.rec', Buffer.from('b'));
  await store.put('p/s-2/00000000-aa.rec', Buffer.from('a'));
  expect(await listed('p/s-2/')).toEqual(['p/s-2/00000000-aa.rec', 'p/s-2/00000001-aa.rec']);
  await store.delete('p/s-2/00000000-aa.rec');
  await store.delete('p/s-2/00000000-aa.rec');
  expect(await listed('p/s-2/')).toEqual(['p/s-2/00000001-aa.rec']);
  await expect(store.get('p/s-2/00000000-aa.rec')).rejects.toMatchObject({ code: 'recording.unavailable' });
  expect(await new DirectoryStore(path.join(dir, 'none')).list('').next()).toMatchObject({ done: true });
});

test('a key that leaves the directory is refused', async () => {
  for (const key of ['../x/y', 'p/../../x', '/etc/passwd', 'p//x', 'x']) {
    await expect(store.put(key, Buffer.from('x'))).rejects.toMatchObject({ code: 'internal' });
  }
});
