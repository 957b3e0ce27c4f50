/** The bench's one table, for people. Refuses to judge beyond the aims it prints beside the ratios. */
import type { BigResult, Cell, Latency, ThroughputRow } from './measure.ts';
import type { PushTimes } from './push.ts';

export interface BenchReport {
  readonly machine: string;
  readonly quick: boolean;
  /** Names of the ways, the direct one first. */
  readonly ways: readonly string[];
  readonly throughput: readonly ThroughputRow[];
  readonly latency: Readonly<Record<string, Cell<Latency>>>;
  readonly bigResult: Readonly<Record<string, Cell<BigResult>>>;
  readonly idleRssBytes: number;
  readonly perSessionBytes: Cell<number>;
  readonly push: PushTimes;
  readonly leftOut: readonly string[];
  readonly seconds: number;
}

export const DIRECT = 'direct';
export const HAPROXY = 'haproxy';
export const PLAIN_WAY = 'us, plain';
export const EVERYTHING_WAY = 'us, everything on';

/** A row says what it is, and one text per way. */
type Row = readonly [what: string, ...cells: string[]];

function good<T>(cells: Readonly<Record<string, Cell<T>>>, name: string): T | undefined {
  const cell = cells[name];
  return cell === undefined || (typeof cell === 'object' && cell !== null && 'failed' in cell)
    ? undefined
    : (cell as T);
}

function textOf<T>(cells: Readonly<Record<string, Cell<T>>>, name: string, show: (value: T) => string): string {
  const value = good(cells, name);
  if (value !== undefined) return show(value);
  return cells[name] === undefined ? '–' : 'failed';
}

const ratio = (value: number, to: number | undefined): string =>
  to === undefined || to === 0 ? '' : ` ${(value / to).toFixed(2)}×`;

function rowsOf(report: BenchReport): readonly Row[] {
  const rows: Row[] = [];
  for (const { mode, clients, ways } of report.throughput) {
    const direct = good(ways, DIRECT)?.tps;
    const yardstick = good(ways, HAPROXY)?.cpuUs;
    rows.push([
      `pgbench -S ${mode} c=${clients}, tps (× direct)`,
      ...report.ways.map((way) => textOf(ways, way, (one) => `${one.tps.toFixed(0)}${ratio(one.tps, direct)}`)),
    ]);
    rows.push([
      '  CPU µs per transaction (× haproxy)',
      ...report.ways.map((way) =>
        way === DIRECT ? '–' : textOf(ways, way, (one) => `${one.cpuUs.toFixed(1)}${ratio(one.cpuUs, yardstick)}`),
      ),
    ]);
  }
  const last = report.throughput.at(-1);
  if (last !== undefined) {
    rows.push([
      `a session with one statement (c=${last.clients}), CPU ms`,
      ...report.ways.map((way) =>
        way === DIRECT ? '–' : textOf(last.ways, way, (one) => one.sessionCpuMs.toFixed(1)),
      ),
    ]);
  }
  const base = good(report.latency, DIRECT);
  const added = (show: (one: Latency) => number) => (one: Latency) =>
    base === undefined || one === base ? `${show(one).toFixed(0)} µs` : `+${(show(one) - show(base)).toFixed(0)} µs`;
  rows.push([
    'one client, p50 (added)',
    ...report.ways.map((way) =>
      textOf(
        report.latency,
        way,
        added((one) => one.p50Us),
      ),
    ),
  ]);
  rows.push([
    'one client, p99 (added)',
    ...report.ways.map((way) =>
      textOf(
        report.latency,
        way,
        added((one) => one.p99Us),
      ),
    ),
  ]);
  const rowsRead = Object.values(report.bigResult).find((cell) => 'rows' in cell)?.rows ?? 0;
  const direct = good(report.bigResult, DIRECT)?.seconds;
  rows.push([
    `${rowsRead.toLocaleString('en')} rows of six texts, s (× direct)`,
    ...report.ways.map((way) =>
      textOf(report.bigResult, way, (one) => `${one.seconds.toFixed(2)}${ratio(one.seconds, direct)}`),
    ),
  ]);
  rows.push([
    '  MB/s',
    ...report.ways.map((way) => textOf(report.bigResult, way, (one) => one.mbPerSecond.toFixed(0))),
  ]);
  rows.push([
    '  CPU s of the process between',
    ...report.ways.map((way) =>
      way === DIRECT ? '–' : textOf(report.bigResult, way, (one) => one.cpuSeconds.toFixed(2)),
    ),
  ]);
  return rows;
}

export interface Aim {
  readonly aim: string;
  readonly measured: string;
  readonly met: boolean | undefined;
}

/** The aims that issue 2 names, with what was measured; `met` is undefined where it could not be. */
export function aimsOf(report: BenchReport): readonly Aim[] {
  const cpu = report.throughput
    .map(({ ways }) => (good(ways, EVERYTHING_WAY)?.cpuUs ?? Number.NaN) / (good(ways, HAPROXY)?.cpuUs ?? Number.NaN))
    .filter((value) => Number.isFinite(value));
  const typical = cpu.toSorted((a, b) => a - b)[Math.floor((cpu.length - 1) / 2)] ?? Number.NaN;
  const big =
    (good(report.bigResult, EVERYTHING_WAY)?.seconds ?? Number.NaN) /
    (good(report.bigResult, DIRECT)?.seconds ?? Number.NaN);
  const idle = report.idleRssBytes / 1024 / 1024;
  return [
    {
      aim: 'everything on ≤ 2× HAProxy CPU per transaction',
      measured:
        cpu.length === 0
          ? 'not measured'
          : `${typical.toFixed(2)}× (median; ${Math.min(...cpu).toFixed(2)}–${Math.max(...cpu).toFixed(2)}×)`,
      met: cpu.length === 0 ? undefined : typical <= 2,
    },
    {
      aim: '1M rows, masked and detected, ≤ 1.2× direct',
      measured: Number.isNaN(big) ? 'not measured' : `${big.toFixed(2)}×`,
      met: Number.isNaN(big) ? undefined : big <= 1.2,
    },
    { aim: 'agent ≤ 100 MB idle', measured: `${idle.toFixed(0)} MB`, met: idle <= 100 },
  ];
}

/** The whole report as text. */
export function renderReport(report: BenchReport): string {
  const table: Row[] = [['', ...report.ways], ...rowsOf(report)];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('   ')
      .trimEnd(),
  );
  const perSession =
    typeof report.perSessionBytes === 'number' ? `${(report.perSessionBytes / 1024).toFixed(1)} KB` : 'failed';
  const failures = [
    ...report.throughput.flatMap(({ mode, clients, ways }) => failuresOf(`pgbench ${mode} c=${clients}`, ways)),
    ...failuresOf('one client', report.latency),
    ...failuresOf('big result', report.bigResult),
    ...failuresOf('per session', { [PLAIN_WAY]: report.perSessionBytes }),
  ];
  return [
    report.machine,
    '',
    ...lines,
    '',
    `agent memory: ${(report.idleRssBytes / 1024 / 1024).toFixed(0)} MB idle, ${perSession} per idle session`,
    `a change in REST is in force at the agent after ${report.push.p50Ms.toFixed(0)} ms (median), ${report.push.maxMs.toFixed(0)} ms (slowest)`,
    ...aimsOf(report).map(
      ({ aim, measured, met }) => `${met === undefined ? '–' : met ? '✓' : '✗'} ${aim}: ${measured}`,
    ),
    ...report.leftOut.map((line) => `left out: ${line}`),
    ...failures.map((line) => `failed: ${line}`),
    `${report.seconds.toFixed(0)} s${report.quick ? ', --quick: short runs, rough numbers' : ''}`,
  ].join('\n');
}

/** One line for each way that failed. */
export function failuresOf(what: string, cells: Readonly<Record<string, Cell<object | number>>>): readonly string[] {
  return Object.entries(cells).flatMap(([way, cell]) =>
    typeof cell === 'object' && 'failed' in cell ? [`${what}, ${way}: ${String(cell.failed)}`] : [],
  );
}
