/**
 * `npm run bench -- --only ssh`: bulk, files, connecting, typing and memory through the agent, beside sshd itself and an
 * OpenSSH relay, interleaved in one run. Refuses to judge beyond the aims it prints.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMs } from './process-stat.ts';
import { measureSessions, type SessionsMeasured } from './ssh-sessions.ts';
import { EVERYTHING, PLAIN, RECORDED, RELAY, SSHD, type SshBench, type SshWay, startSshBench } from './ssh-ways.ts';

interface Plan {
  readonly bulkMb: number;
  readonly rounds: number;
  readonly smallFiles: number;
  /** Rounds of rsync: its runs differ more among themselves than the ways do. */
  readonly syncs: number;
  readonly connects: number;
  /** Rounds of typing, and keys in each. */
  readonly typings: number;
  readonly keys: number;
  readonly idle: number;
  readonly active: number;
}
const FULL: Plan = {
  bulkMb: 1_000,
  rounds: 3,
  smallFiles: 10_000,
  syncs: 7,
  connects: 11,
  typings: 7,
  keys: 200,
  idle: 1_000,
  active: 200,
};
const QUICK: Plan = {
  bulkMb: 100,
  rounds: 3,
  smallFiles: 1_000,
  syncs: 5,
  connects: 7,
  typings: 5,
  keys: 100,
  idle: 100,
  active: 20,
};

/** Rows that belong together. */
export const SSH_PARTS = ['sessions', 'bulk', 'sftp', 'rsync', 'connect', 'typing'] as const;
export type SshPart = (typeof SSH_PARTS)[number];

/** What one measurement may take: rounds that would begin later are left out, and a program that takes longer is ended. */
const SECTION_MS_MAX = 60_000;
const SYNC_MS_MAX = 150_000;

/** A row says what it is, one text per way, and its aim. */
interface Row {
  readonly what: string;
  readonly cells: Readonly<Record<string, string>>;
  readonly aim: string;
}
type Numbers = Readonly<Record<string, number>>;

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
/** By nearest rank: of 200 values the third largest is the 99th percentile. */
const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * q) - 1]!;

/** Seconds a program takes, its output thrown away by the kernel. @throws Error when it fails */
function timed(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(program, [...args], { stdio: ['ignore', 'ignore', 'pipe'], timeout: SECTION_MS_MAX });
    let err = '';
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0
        ? resolve((performance.now() - started) / 1_000)
        : reject(new Error(`${program} ended with ${code}: ${err.slice(0, 300)}`)),
    );
  });
}

/**
 * Medians over rounds, the ways in turn, as many as there is time for. A way that fails is left out and named.
 * @param all is given what each round took
 */
async function inTurn(
  ways: readonly SshWay[],
  rounds: number,
  failed: string[],
  what: string,
  measure: (way: SshWay) => Promise<number>,
  msMax = SECTION_MS_MAX,
  all: Record<string, number[]> = {},
): Promise<Numbers> {
  const began = performance.now();
  for (let round = 0; round < rounds; round++) {
    const elapsed = performance.now() - began;
    if (round > 0 && elapsed + elapsed / round > msMax) {
      failed.push(`FEWER    ${what}: ${round} of ${rounds} rounds, for want of time`);
      break;
    }
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
      try {
        (all[way.name] ??= []).push(await measure(way));
      } catch (error) {
        const line = `FAILED   ${what}, ${way.name}: ${error instanceof Error ? error.message.slice(0, 200) : String(error)}`;
        if (!failed.includes(line)) failed.push(line);
      }
    }
  }
  return Object.fromEntries(Object.entries(all).map(([name, values]) => [name, median(values)]));
}

const signed = (value: number, digits: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(digits)}`;
const cellsOf = (numbers: Numbers, show: (value: number, direct: number | undefined) => string): Row['cells'] =>
  Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, show(value, numbers[SSHD])]));
const rate = (mb: number) => (seconds: number, direct: number | undefined) =>
  `${(mb / seconds).toFixed(0)} MB/s${direct === undefined ? '' : ` ${(direct / seconds).toFixed(2)}×`}`;

export interface SshReport {
  readonly machine: string;
  readonly rows: readonly Row[];
  /** What could not be measured, or less often than was meant, and why: a line each. */
  readonly failed: readonly string[];
}

/**
 * @param dir of its own, which PostgreSQL's user can pass through
 * @param started told how to end what has been started, for whoever is interrupted
 */
export async function benchSsh(
  dir: string,
  quick: boolean,
  parts: ReadonlySet<SshPart>,
  say: (line: string) => void,
  started: (stop: () => Promise<void>) => void,
): Promise<SshReport> {
  const loadBefore = loadavg()[0]!;
  const bench = await startSshBench(dir, say);
  started(() => bench.stop());
  const failed: string[] = [];
  const rows: Row[] = [];
  const part: Part = {
    bench,
    dir,
    plan: quick ? QUICK : FULL,
    failed,
    say,
    ours: bench.ways.filter(({ name }) => name !== RELAY),
    big: path.join(dir, 'big'),
  };
  try {
    await bench.renew();
    await sleep(2_000);
    if (parts.has('bulk') || parts.has('sftp')) writeRandom(part.big, part.plan.bulkMb);
    // Sessions first, while the agent has not grown by anything else.
    for (const name of SSH_PARTS) {
      if (!parts.has(name)) continue;
      await bench.renew();
      rows.push(...(await MEASURES[name](part)));
    }
  } finally {
    await bench.stop();
  }
  const pace = readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim();
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? ''}, Linux ${release()}, TCP ${pace}, Node ${process.version}; load ${loadBefore.toFixed(1)} before`;
  return { machine, rows, failed };
}

interface Part {
  readonly bench: SshBench;
  readonly dir: string;
  readonly plan: Plan;
  readonly failed: string[];
  readonly say: (line: string) => void;
  /** All but the relay. */
  readonly ours: readonly SshWay[];
  /** A file of `plan.bulkMb`. */
  readonly big: string;
}

const MEASURES: Readonly<Record<SshPart, (part: Part) => Promise<readonly Row[]>>> = {
  sessions: measureMany,
  bulk: measureBulk,
  sftp: measureSftp,
  rsync: measureRsync,
  connect: measureConnects,
  typing: measureTyping,
};

async function measureMany({ bench, plan, ours, failed, say }: Part): Promise<readonly Row[]> {
  say(`${plan.idle} idle and ${plan.active} active sessions`);
  try {
    return sessionRows(await measureSessions(bench, ours.find(({ name }) => name === PLAIN)!, plan.idle, plan.active));
  } catch (error) {
    failed.push(`FAILED   sessions: ${error instanceof Error ? error.message.slice(0, 200) : String(error)}`);
    return [];
  }
}

async function measureBulk({ bench, plan, big, failed, say }: Part): Promise<readonly Row[]> {
  const rows: Row[] = [];
  say('Bulk through exec');
  const agent = bench.stack.agent().pid;
  const cpu: Record<string, number[]> = {};
  const bulk = await inTurn(bench.ways, plan.rounds, failed, 'bulk', async (way) => {
    const before = cpuMs(agent);
    const seconds = await timed('ssh', [...way.options, way.host, `cat ${big}`]);
    (cpu[way.name] ??= []).push(cpuMs(agent) - before);
    return seconds;
  });
  rows.push({
    what: `cat of ${plan.bulkMb} MB, aes128-gcm`,
    cells: cellsOf(bulk, rate(plan.bulkMb)),
    aim: `plain ≥ 0.55× sshd, everything ≥ 0.5×; ≥ 1.1× the relay${
      bulk[RELAY] === undefined || bulk[EVERYTHING] === undefined
        ? ''
        : ` (is ${(bulk[RELAY] / bulk[EVERYTHING]).toFixed(2)}×)`
    }`,
  });
  rows.push({
    what: '  agent’s CPU seconds per GB',
    cells: Object.fromEntries(
      [PLAIN, RECORDED, EVERYTHING].flatMap((name) =>
        cpu[name] === undefined ? [] : [[name, (median(cpu[name]) / plan.bulkMb).toFixed(2)]],
      ),
    ),
    aim: '–',
  });
  rows.push({
    what: '  recording on, incompressible, default cap',
    cells:
      bulk[RECORDED] === undefined || bulk[PLAIN] === undefined
        ? {}
        : { [RECORDED]: `${signed((bulk[RECORDED] / bulk[PLAIN] - 1) * 100, 0)} % time beside plain` },
    aim: '≤ 15 %',
  });
  return rows;
}

async function measureSftp({ plan, dir, big, ours, failed, say }: Part): Promise<readonly Row[]> {
  const rows: Row[] = [];
  say('Files by sftp');
  for (const direction of ['get', 'put'] as const) {
    const batch = path.join(dir, `batch-${direction}`);
    writeFileSync(batch, `${direction} ${big} ${path.join(dir, `copy-${direction}`)}\n`);
    const times = await inTurn(ours, plan.rounds, failed, `sftp ${direction}`, (way) =>
      timed('sftp', [...way.options, '-b', batch, way.host]),
    );
    rows.push({
      what: `sftp ${direction} of ${plan.bulkMb} MB`,
      cells: cellsOf(times, rate(plan.bulkMb)),
      aim: '≥ 0.55×',
    });
    rmSync(path.join(dir, `copy-${direction}`), { force: true });
  }
  return rows;
}

async function measureRsync({ plan, dir, ours, failed, say }: Part): Promise<readonly Row[]> {
  say('Small files by rsync');
  const small = path.join(dir, 'small');
  writeSmall(small, plan.smallFiles);
  let copies = 0;
  const all: Record<string, number[]> = {};
  const sync = async (way: SshWay): Promise<number> => {
    const to = path.join(dir, `synced-${copies++}`);
    const shell = ['ssh', ...way.options].join(' ');
    const seconds = await timed('rsync', ['-a', '-e', shell, `${small}/`, `${way.host}:${to}/`]);
    rmSync(to, { recursive: true, force: true });
    return seconds;
  };
  // The first one of all reads the files from the disk.
  await sync(ours[0]!);
  const ways = ours.filter(({ name }) => name !== RECORDED);
  const synced = await inTurn(ways, plan.syncs, failed, 'rsync', sync, SYNC_MS_MAX, all);
  const spread = (name: string): string => {
    const sorted = (all[name] ?? []).toSorted((a, b) => a - b);
    return `${sorted[0]!.toFixed(1)}–${sorted.at(-1)!.toFixed(1)}`;
  };
  return [
    {
      what: `rsync of ${plan.smallFiles} small files, median of ${plan.syncs} (least–most)`,
      cells: Object.fromEntries(
        Object.entries(synced).map(([name, s]) => [
          name,
          `${s.toFixed(1)} s (${spread(name)}) ${((synced[SSHD] ?? s) / s).toFixed(2)}×`,
        ]),
      ),
      aim: '≥ 0.7×',
    },
  ];
}

async function measureConnects({ bench, plan, failed, say }: Part): Promise<readonly Row[]> {
  const rows: Row[] = [];
  say('Connecting');
  const connects = await inTurn(bench.ways, plan.connects, failed, 'connect', (way) =>
    timed('ssh', [...way.options, way.host, 'true']),
  );
  rows.push({
    what: 'connect + true, wall, p50',
    cells: cellsOf(
      connects,
      (s, direct) =>
        `${(s * 1_000).toFixed(0)} ms ${(s / (direct ?? s)).toFixed(2)}× ${signed((s - (direct ?? s)) * 1_000, 0)}`,
    ),
    aim: '≤ 1.2×; ≤ +25 ms',
  });
  return rows;
}

async function measureTyping({ plan, ours, failed, say }: Part): Promise<readonly Row[]> {
  const rows: Row[] = [];
  say('Typing');
  const echoes: Record<string, number[]> = {};
  const slowest = await inTurn(ours, plan.typings, failed, 'typing', async (way) => {
    const ms = await typed(way, plan.keys);
    (echoes[way.name] ??= []).push(median(ms));
    return quantile(ms, 0.99);
  });
  rows.push({
    what: `keystroke to echo, p50 / p99, median of rounds of ${plan.keys}`,
    cells: Object.fromEntries(
      Object.entries(slowest).map(([name, ms]) => [
        name,
        `${median(echoes[name]!).toFixed(2)} / ${ms.toFixed(2)} ms (${signed(ms - (slowest[SSHD] ?? ms), 2)})`,
      ]),
    ),
    aim: 'p99 ≤ +3 ms',
  });
  return rows;
}

function writeRandom(file: string, mb: number): void {
  const handle = openSync(file, 'w');
  for (let i = 0; i < mb; i++) writeSync(handle, randomBytes(1_000_000));
  closeSync(handle);
}

function writeSmall(dir: string, count: number): void {
  for (let i = 0; i < count; i++) {
    const folder = path.join(dir, String(i % 100));
    if (i < 100) mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, `f${i}`), randomBytes(500 + (i % 3_000)));
  }
}

/** Milliseconds from a key to its echo, by a terminal in which `cat` waits. */
async function typed({ options, host }: SshWay, keys: number): Promise<readonly number[]> {
  const child = spawn('ssh', ['-tt', ...options, host, 'cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const times: number[] = [];
  try {
    let heard: (() => void) | undefined;
    child.stdout.on('data', () => heard?.());
    const press = (key: string): Promise<void> =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('no echo within 10 s')), 10_000);
        heard = () => {
          clearTimeout(timer);
          resolve();
        };
        child.stdin.write(key);
      });
    await press('a');
    await sleep(300);
    for (let i = 0; i < keys; i++) {
      const started = performance.now();
      await press(i % 40 === 39 ? '\n' : 'x');
      times.push(performance.now() - started);
      await sleep(5);
    }
  } finally {
    child.kill();
  }
  return times;
}

function sessionRows(measured: SessionsMeasured): readonly Row[] {
  const { idle, active, wanted, openedMs, usedBytesEach, rssBytesEach, mostRssBytes, stall, echoP99Ms, echoed } =
    measured;
  const short = idle + active < wanted ? ` (of ${wanted} that were to be opened)` : '';
  const kb = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KB`;
  return [
    {
      what: `memory per session, ${idle} idle, garbage gone: in use / resident`,
      cells: { [PLAIN]: `${kb(usedBytesEach)} / ${kb(rssBytesEach)}` },
      aim: '≤ 150 KB',
    },
    {
      what: `${idle} idle and ${active} active${short}, 10 lines a second each: agent, resident`,
      cells: { [PLAIN]: `${(mostRssBytes / 1e6).toFixed(0)} MB` },
      aim: '≤ 512 MB',
    },
    {
      what: '  longest stall of its event loop (in that second without a processor)',
      cells: { [PLAIN]: `${stall.ms.toFixed(0)} ms (${stall.waitedMs.toFixed(0)} ms)` },
      aim: '≤ 20 ms',
    },
    { what: '  echo of a line, p99', cells: { [PLAIN]: `${echoP99Ms.toFixed(0)} ms of ${echoed}` }, aim: '–' },
    {
      what: '  opened, with a real sshd each',
      cells: { [PLAIN]: `${(idle / (openedMs / 1_000)).toFixed(0)} a second` },
      aim: '–',
    },
  ];
}

export function renderSsh({ rows, machine, failed }: SshReport): string {
  const names = [SSHD, RELAY, PLAIN, RECORDED, EVERYTHING];
  const lines = rows.map(
    ({ what, cells, aim }) => `| ${what} | ${names.map((name) => cells[name] ?? '–').join(' | ')} | ${aim} |`,
  );
  return [
    `SSH: ${machine}`,
    '',
    `| | ${names.join(' | ')} | aim |`,
    `|---${'|---'.repeat(names.length)}|---|`,
    ...lines,
    ...failed,
  ].join('\n');
}
