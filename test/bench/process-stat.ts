/**
 * What a process has used so far, from /proc, and when it has its turn. Refuses to guess where there is no /proc (it throws).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** USER_HZ: 100 on every Linux that Node runs on. */
const TICK_MS = 10;

/** CPU milliseconds of the process and all its threads, user and system, to the nearest 10 ms. */
export function cpuMs(pid: number): number {
  // The command's name may hold spaces and brackets; what counts stands behind its last bracket.
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

export interface MachineTimes {
  readonly all: number;
  /** Given to other machines of the host while something here could have run: steal (proc(5), stat). */
  readonly stolen: number;
}

/** Of all processors, since the machine started. */
export function machineTimes(): MachineTimes {
  const times = readFileSync('/proc/stat', 'latin1').split('\n')[0]!.split(/\s+/).slice(1, 9).map(Number);
  return { all: times.reduce((sum, one) => sum + one, 0), stolen: times[7] ?? 0 };
}

/** Resident memory in bytes. */
export function rssBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kib) * 1024;
}

/** The process and every descendant: an agent may have workers that are processes. */
export function withDescendants(pid: number): readonly number[] {
  const parents = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      parents.set(parent, [...(parents.get(parent) ?? []), Number(name)]);
    } catch (error) {
      // It ended while we looked.
      if ((error as { code?: string }).code !== 'ENOENT' && (error as { code?: string }).code !== 'ESRCH') throw error;
    }
  }
  const all: number[] = [];
  const add = (one: number): void => {
    all.push(one);
    for (const child of parents.get(one) ?? []) add(child);
  };
  add(pid);
  return all;
}

/** All its threads run when nobody else wants the core (sched(7), SCHED_IDLE), or again as others do. One that ended is left out. */
export function putLast(pid: number, isLast: boolean): void {
  const { status, stderr } = spawnSync('chrt', [isLast ? '--idle' : '--other', '--all-tasks', '--pid', '0', `${pid}`]);
  if (status !== 0 && existsSync(`/proc/${pid}`)) throw new Error(`chrt: ${stderr.toString()}`);
}
