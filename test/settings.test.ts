/** Law: every SALLYPORT_… variable that code or documentation names is one that a start accepts. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { isSetting } from '@sallyport/core';
import { expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..');

test('no part names a setting that the list of settings lacks', () => {
  const found = execFileSync(
    'git',
    ['grep', '-ohE', 'SALLYPORT_[A-Z0-9_]+', '--', ':!CHANGELOG.md', ':!*settings.test.ts', ':!*config.test.ts'],
    { cwd: ROOT, encoding: 'utf8' },
  );
  const names = new Set(found.trim().split('\n'));
  expect(names.size).toBeGreaterThan(30);
  expect([...names].filter((name) => !isSetting(name))).toEqual([]);
});
