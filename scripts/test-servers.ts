/**
 * PostgreSQL servers of other majors for the tests, from npm: 135 MB, so only `npm test` brings them and never `npm start`.
 * Their own lockfile (test/servers) pins versions and digests. Refuses to fail: what is missing is a test's to say.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const FOLDER = path.join(import.meta.dirname, '../test/servers');

interface Manifest {
  readonly version: string;
  readonly packageManager: string;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}
const manifestIn = (folder: string): Manifest =>
  JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as Manifest;

/** Those for this processor that are not there in the pinned version. */
function missing(): readonly string[] {
  return Object.entries(manifestIn(FOLDER).optionalDependencies)
    .filter(([name, pinned]) => {
      if (!name.endsWith(`-${process.arch}`)) return false;
      const installed = path.join(FOLDER, 'node_modules', name);
      return (
        !existsSync(path.join(installed, 'native/bin/postgres')) || !pinned.endsWith(manifestIn(installed).version)
      );
    })
    .map(([name]) => name);
}

export function installTestServers(): void {
  if (missing().length === 0) return;
  console.log('Installing PostgreSQL servers of other majors for the tests (135 MB, once) …');
  spawnSync(
    'npx',
    ['--yes', manifestIn(FOLDER).packageManager, 'install', '--frozen-lockfile', '--reporter=append-only'],
    { cwd: FOLDER, stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, CI: 'true' } },
  );
  const left = missing();
  if (left.length > 0) console.log(`Not installed: ${left.join(', ')}. Their tests are skipped by name.`);
}
