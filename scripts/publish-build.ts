/**
 * Puts a bundled program into its folder so that one that runs keeps its own files: each build lies in a folder named by its
 * content, and the program's name is one line that says which of them is current. Refuses to touch a build that is there:
 * it is whole, since folders appear by a rename, and somebody may run it.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

/** What goes into a build's folder, by name. */
export type BuildFiles = ReadonlyMap<string, Uint8Array>;

/** A build that is not current is kept so long after it was: whoever runs it still loads parts from it. */
const KEPT_MS = 7 * 24 * 3_600_000;
const BUILD = /^build-[0-9a-f]{16}$/;
const CURRENT = /^import '\.\/(build-[0-9a-f]{16})\//m;

/**
 * @param dist the program's folder; @param program its file's name, which `files` has too
 * @param nowMs UTC ms
 * @returns the name of the build's folder below `dist`
 */
export function publishBuild(dist: string, program: string, files: BuildFiles, nowMs: number): string {
  mkdirSync(dist, { recursive: true });
  const name = `build-${digestOf(files)}`;
  if (!existsSync(path.join(dist, name))) writeBuild(dist, name, files);
  const entry = path.join(dist, program);
  const before = existsSync(entry) ? CURRENT.exec(readFileSync(entry, 'utf8'))?.[1] : undefined;
  if (before !== name) {
    // Its time to go begins now. It is not there when somebody has emptied the folder by hand.
    if (before !== undefined && existsSync(path.join(dist, before))) touch(path.join(dist, before), nowMs);
    const draft = path.join(dist, `.${program}.${process.pid}`);
    writeFileSync(draft, `#!/usr/bin/env node\nimport './${name}/${program}';\n`);
    renameSync(draft, entry);
  }
  removeOld(dist, program, name, nowMs);
  return name;
}

function writeBuild(dist: string, name: string, files: BuildFiles): void {
  const draft = path.join(dist, `.${name}.${process.pid}`);
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft);
  for (const [file, bytes] of files) writeFileSync(path.join(draft, file), bytes);
  try {
    renameSync(draft, path.join(dist, name));
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    // Another build of the same files was quicker.
    if (!existsSync(path.join(dist, name))) throw error;
  }
}

function removeOld(dist: string, program: string, current: string, nowMs: number): void {
  for (const entry of readdirSync(dist, { withFileTypes: true })) {
    const at = path.join(dist, entry.name);
    if (entry.name === program || entry.name === current) continue;
    // Drafts of a build that was killed go too; those of one that runs are young.
    const isBuild = entry.isDirectory() && (BUILD.test(entry.name) || entry.name.startsWith('.build-'));
    if (isBuild && nowMs - statSync(at).mtimeMs > KEPT_MS) rmSync(at, { recursive: true, force: true });
  }
}

function touch(at: string, nowMs: number): void {
  utimesSync(at, nowMs / 1000, nowMs / 1000);
}

function digestOf(files: BuildFiles): string {
  const hash = createHash('sha256');
  for (const [name, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  return hash.digest('hex').slice(0, 16);
}
