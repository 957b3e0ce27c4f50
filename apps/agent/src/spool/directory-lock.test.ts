import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDirectory } from './directory-lock.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'sallyport-lock-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** The kernel's own line about a process, and from it what the lock keeps: start time in field 22. */
const statOf = (pid: number): string[] => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
};

test('a directory is locked once, and again after it was let go', () => {
  const lock = lockDirectory(dir);
  expect(lock).toBeDefined();
  expect(lockDirectory(dir)).toBeUndefined();
  lock?.release();
  expect(lockDirectory(dir)).toBeDefined();
});

test('a process of the same id that started at another time does not hold it', () => {
  writeFileSync(path.join(dir, 'lock'), `${process.pid} 1`);
  expect(lockDirectory(dir)).toBeDefined();
});

test.runIf(process.platform === 'linux')('a killed process that nobody waited for does not hold it', async () => {
  // The shell becomes a `sleep` that never waits for the child it has.
  const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    writeFileSync(path.join(dir, 'lock'), `${pid} ${statOf(pid)[19]}`);
    expect(lockDirectory(dir)).toBeUndefined();
    // Until then the shell would wait for its child.
    await expect.poll(() => readFileSync(`/proc/${parent.pid}/comm`, 'latin1')).toBe('sleep\n');
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => statOf(pid)[0]).toBe('Z');
    expect(lockDirectory(dir)).toBeDefined();
  } finally {
    parent.kill('SIGKILL');
  }
});
