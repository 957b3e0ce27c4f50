/** A program that runs keeps its own files while others are built beside it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { publishBuild } from './publish-build.ts';

const WEEK_MS = 7 * 24 * 3_600_000;
const NOW_MS = Date.now();
let dist = '';
const children: ChildProcess[] = [];
beforeEach(() => {
  dist = mkdtempSync('/var/tmp/sallyport-builds-');
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(dist, { recursive: true, force: true });
});

/** Says which build it is of, and at each line it is given which one its part is of. */
const build = (mark: string): ReadonlyMap<string, Uint8Array> =>
  new Map([
    [
      'it.mjs',
      Buffer.from(
        `console.log('${mark}');\nprocess.stdin.once('data', async () => { console.log((await import('./part.mjs')).mark); process.exit(); });\n`,
      ),
    ],
    ['part.mjs', Buffer.from(`export const mark = 'part of ${mark}';\n`)],
  ]);
const publish = (mark: string, nowMs = NOW_MS): string => publishBuild(dist, 'it.mjs', build(mark), nowMs);

function start(): { readonly child: ChildProcess; readonly said: () => string } {
  const child = spawn(process.execPath, [path.join(dist, 'it.mjs')], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  return { child, said: () => said };
}

test('a program that runs loads parts of its own build after another was put in its place', async () => {
  publish('one');
  const first = start();
  await expect.poll(first.said).toBe('one\n');
  publish('two');
  first.child.stdin?.write('\n');
  await expect.poll(first.said).toBe('one\npart of one\n');
  const second = start();
  await expect.poll(second.said).toBe('two\n');
  second.child.stdin?.write('\n');
  await expect.poll(second.said).toBe('two\npart of two\n');
});

test('the same files make the same build, and one that is there is not touched', () => {
  const name = publish('one');
  const inode = statSync(path.join(dist, name, 'part.mjs')).ino;
  expect(publish('one')).toBe(name);
  expect(statSync(path.join(dist, name, 'part.mjs')).ino).toBe(inode);
  expect(publish('two')).not.toBe(name);
});

test('a build goes a week after it was current, not after it was made', () => {
  const [old, next] = [publish('one'), 'two'];
  const longAgo = (NOW_MS - 10 * WEEK_MS) / 1000;
  utimesSync(path.join(dist, old), longAgo, longAgo);
  publish(next);
  expect(existsSync(path.join(dist, old))).toBe(true);
  publish(next, NOW_MS + WEEK_MS + 1_000);
  expect(readdirSync(dist).sort()).toEqual([publish(next), 'it.mjs'].sort());
});

test('a build that was current lately comes back as it was', () => {
  const first = publish('one');
  publish('two');
  expect(publish('one')).toBe(first);
});
