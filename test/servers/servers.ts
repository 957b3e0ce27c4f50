/**
 * Where the servers of other majors lie that tests run against: npm's builds, which `npm test` brings into this folder.
 * Refuses to fetch anything; scripts/test-packages.ts does.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { NEWEST_SERVER_MAJOR, SUPPORTED_SERVER_MAJORS } from '@sallyport/sql';

/** The last major before the supported ones: there to be refused. */
export const UNSUPPORTED_MAJOR = 12;

export interface TestServer {
  readonly major: number;
  /** Undefined for the newest, which is the one the product brings. */
  readonly binDir: string | undefined;
}

const serverOf = (major: number): TestServer => ({
  major,
  binDir:
    major === NEWEST_SERVER_MAJOR
      ? undefined
      : path.join(import.meta.dirname, `node_modules/postgres-${major}-${process.arch}/native/bin`),
});

export const isHere = ({ binDir }: TestServer): boolean =>
  binDir === undefined || existsSync(path.join(binDir, 'postgres'));

export const SUPPORTED_SERVERS: readonly TestServer[] = SUPPORTED_SERVER_MAJORS.map(serverOf);
export const UNSUPPORTED_SERVER: TestServer = serverOf(UNSUPPORTED_MAJOR);
