/**
 * Where a stack of this checkout keeps its data, and whether one runs there.
 * Refuses to use a folder that PostgreSQL's user could not enter: as root with a private home it goes beside /var/tmp.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './build.ts';

function othersMayEnter(target: string): boolean {
  for (let dir = target; ; dir = path.dirname(dir)) {
    if (existsSync(dir) && (statSync(dir).mode & 0o001) === 0) return false;
    if (dir === path.dirname(dir)) return true;
  }
}

/** @param chosen from the command line; otherwise `.sallyport` of the checkout (a link where that cannot hold data) */
export function stackDir(chosen?: string): string {
  if (chosen !== undefined) return path.resolve(chosen);
  const dir = path.join(ROOT, '.sallyport');
  if (process.getuid?.() !== 0 || othersMayEnter(ROOT)) return dir;
  const elsewhere = path.join('/var/tmp', `sallyport-${createHash('sha256').update(ROOT).digest('hex').slice(0, 12)}`);
  mkdirSync(elsewhere, { recursive: true, mode: 0o711 });
  if (!existsSync(dir)) symlinkSync(elsewhere, dir);
  return elsewhere;
}

/** Process id of the running supervisor, or undefined. A stale file of a killed one does not count. */
export function supervisorOf(dir: string): number | undefined {
  const file = path.join(dir, 'supervisor.pid');
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, 'utf8'));
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('scripts/start.ts') ? pid : undefined;
  } catch {
    return undefined;
  }
}
