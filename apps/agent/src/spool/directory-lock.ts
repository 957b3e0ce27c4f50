/**
 * One process per spool directory: a lock file with a process id and, on Linux, that process's start time, so that a
 * reused id is not taken for the owner. Refuses to wait. Sharing a spool between PID namespaces is not supported.
 */
import { closeSync, existsSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export interface DirectoryLock {
  release(): void;
}

/** The lock, or undefined while a living process holds it. */
export function lockDirectory(dir: string): DirectoryLock | undefined {
  const path = join(dir, 'lock');
  const mine = `${process.pid} ${startOf(process.pid)}`;
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const fd = openSync(path, 'wx', 0o600);
      writeSync(fd, mine);
      closeSync(fd);
      return { release: () => unlinkSync(path) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = readFileSync(path, 'utf8');
    if (isAlive(owner)) return undefined;
    unlinkSync(path);
  }
  return undefined;
}

function isAlive(owner: string): boolean {
  const [pid = '', start] = owner.split(' ');
  if (!/^[1-9]\d*$/.test(pid)) return false;
  const now = startOf(Number(pid));
  if (now !== '') return now === start;
  if (existsSync('/proc/self/stat')) return false;
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Start time in clock ticks since boot, '' when no such process runs or there is no /proc. proc(5), fields 3 and 22. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A process that was killed and that nobody has waited for yet (a container without an init) holds no files.
    return fields[0] === 'Z' || fields[0] === 'X' ? '' : (fields[19] ?? '');
  } catch {
    return '';
  }
}
