/**
 * `npm run bench -- --only http`: small requests over HTTP/1.1 and HTTP/2 and large bodies through the agent, beside nginx as
 * a reverse proxy, interleaved in one run. Refuses to judge beyond the aims it prints.
 */
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  DIRECT,
  EVERYTHING,
  H2LOAD,
  type HttpWay,
  missingPrograms,
  NGINX,
  PLAIN,
  startHttpBench,
  WRK,
} from './http-ways.ts';
import { type LineTarget, percentile } from './kept-line.ts';
import { openLoop } from './open-loop.ts';
import { cpuMs } from './process-stat.ts';
import type { Aim } from './report.ts';

const program = promisify(execFile);
/** Some 30,000 requests: until then a quarter of the CPU time is the compiler's. */
const WARM_UP_SECONDS = 10;
/** Requests a second of the open loop. */
const PACE = 1_000;
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

export interface HttpRow {
  readonly what: string;
  readonly unit: string;
  readonly cells: Readonly<Record<string, number>>;
  readonly aim: string;
}
export interface HttpBenchReport {
  readonly machine: string;
  readonly load: number;
  readonly skipped: readonly string[];
  readonly rows: readonly HttpRow[];
}

interface Load {
  readonly perSecond: number;
  readonly cpuUs: number;
}

function smallOf({ base, headers }: HttpWay): LineTarget {
  const { origin, pathname } = new URL(`${base}/small.json`);
  return { base: origin, path: pathname, headers: Object.fromEntries(headers.map((one) => one.split(': ', 2))) };
}

const used = (way: HttpWay): number => way.pids().reduce((sum, pid) => sum + cpuMs(pid), 0);

/**
 * @param asked what wrk asks for, behind its other options
 * @param shipped waits until the record of the load is on its way no more: what sending it costs counts, too
 */
async function withWrk(
  way: HttpWay,
  seconds: number,
  asked: readonly string[],
  shipped: () => Promise<void>,
): Promise<Load> {
  const before = used(way);
  const headers = way.headers.flatMap((header) => ['-H', header]);
  const { stdout } = await program(WRK, ['-t1', '-c32', `-d${seconds}s`, ...headers, ...asked]);
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0);
  const failed = /Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1];
  if (failed !== undefined || requests === 0) throw new Error(`${way.name}: ${stdout}`);
  await shipped();
  return { perSecond: requests / seconds, cpuUs: ((used(way) - before) * 1_000) / requests };
}

async function withH2load(way: HttpWay, requests: number): Promise<Load> {
  const before = used(way);
  const headers = way.headers.flatMap((header) => ['-H', header]);
  const { stdout } = await program(H2LOAD, [
    '-n',
    String(requests),
    '-c16',
    '-m16',
    ...headers,
    `${way.base}/small.json`,
  ]);
  const good = Number(/status codes: (\d+) 2xx/.exec(stdout)?.[1] ?? 0);
  if (good !== requests) throw new Error(`${way.name}: ${stdout}`);
  const perSecond = Number(/, ([\d.]+) req\/s/.exec(stdout)?.[1] ?? 0);
  return { perSecond, cpuUs: ((used(way) - before) * 1_000) / requests };
}

/** What a load leaves behind is still on its way to the control plane, and into its database, long after the last answer. */
const QUIET_WITHIN_MS = 90_000;
const QUIET_LOOK_MS = 1_000;
/** Of CPU time in each look, all of them together. */
const QUIET_CPU_MS = 100;

/** 0 of one that ended while we looked. */
function usedBy(pid: number): number {
  try {
    return cpuMs(pid);
  } catch (error) {
    const { code } = error as { readonly code?: string };
    if (code !== 'ENOENT' && code !== 'ESRCH') throw error;
    return 0;
  }
}

/** Waits until these use next to no CPU time: a row that is not about load is not measured under the one before it. */
async function isQuiet(pids: () => readonly number[]): Promise<boolean> {
  const look = (): ReadonlyMap<number, number> => new Map(pids().map((pid) => [pid, usedBy(pid)]));
  for (const deadline = performance.now() + QUIET_WITHIN_MS; performance.now() < deadline; ) {
    const before = look();
    await sleep(QUIET_LOOK_MS);
    let usedMs = 0;
    for (const [pid, ms] of look()) usedMs += ms - (before.get(pid) ?? 0);
    if (usedMs < QUIET_CPU_MS) return true;
  }
  return false;
}

async function withCurl(way: HttpWay): Promise<number> {
  const headers = way.headers.flatMap((header) => ['-H', header]);
  const { stdout } = await program('curl', [
    '-sk',
    '--http1.1',
    '-o',
    '/dev/null',
    '-w',
    '%{speed_download} %{http_code}',
    ...headers,
    `${way.base}/large.json`,
  ]);
  const [speed, status] = stdout.split(' ');
  if (status !== '200') throw new Error(`${way.name}: ${stdout}`);
  return Number(speed) / 1_000_000;
}

export async function benchHttp(quick: boolean, say: (line: string) => void): Promise<HttpBenchReport> {
  const missing = missingPrograms();
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? ''}, Linux ${release()}, Node ${process.version}`;
  if (missing.length > 0) return { machine, load: loadavg()[0]!, skipped: missing, rows: [] };
  const dir = mkdtempSync('/var/tmp/sallyport-bench-http-');
  // PostgreSQL runs as nobody and must pass through.
  chmodSync(dir, 0o711);
  const bench = await startHttpBench(dir, say);
  try {
    const rounds = quick ? 2 : 5;
    const kept = new Map<string, Map<string, number[]>>();
    const quiet = async (): Promise<void> => {
      if (!(await isQuiet(() => bench.behind()))) say('what the load before left behind is still being taken');
    };
    const note = (what: string, way: HttpWay, value: number): void => {
      const cells = kept.get(what) ?? new Map<string, number[]>();
      kept.set(what, cells.set(way.name, [...(cells.get(way.name) ?? []), value]));
    };
    for (let round = 0; round <= rounds; round++) {
      await quiet();
      await bench.renew();
      for (const key of ['pace', 'beside']) {
        bench.controlPlaneLast(key === 'pace');
        for (const way of bench.ways.filter(({ name }) => name !== DIRECT)) {
          const times = await openLoop(smallOf(way), PACE, round === 0 ? 2 : quick ? 4 : 10);
          if (round === 0) continue;
          note(`${key} p50`, way, percentile(times, 0.5) * 1_000);
          note(`${key} p99`, way, percentile(times, 0.99) * 1_000);
        }
      }
      for (const way of bench.ways) {
        const bulk = await withCurl(way);
        if (round > 0) note('bulk', way, bulk);
      }
      if (round > 0) await quiet();
      for (const way of bench.ways) {
        const seconds = round === 0 ? WARM_UP_SECONDS : quick ? 3 : 5;
        // What a load leaves behind is sent by the agent, and taken by who shares its cores: it is nobody else's row.
        const shipped = async (): Promise<void> => {
          bench.controlPlaneLast(false);
          if (round > 0) await quiet();
        };
        for (const key of ['h1', 'h1 beside', 'h1 others']) {
          bench.controlPlaneLast(key !== 'h1 beside');
          const asked = key === 'h1 others' ? ['-s', bench.others, `${way.base}/small`] : [`${way.base}/small.json`];
          const { perSecond, cpuUs } = await withWrk(way, seconds, asked, shipped);
          // The first round warms up.
          if (round === 0) break;
          note(`${key} rate`, way, perSecond);
          note(`${key} cpu`, way, cpuUs);
        }
        if (!way.base.startsWith('https')) continue;
        const { perSecond, cpuUs } = await withH2load(way, round === 0 ? 2_000 : quick ? 8_000 : 30_000);
        if (round === 0) continue;
        note('h2 rate', way, perSecond);
        note('h2 cpu', way, cpuUs);
        await quiet();
      }
      say(`round ${round} of ${rounds}`);
    }
    const row = (what: string, key: string, unit: string, aim: string): HttpRow => ({
      what,
      unit,
      aim,
      cells: Object.fromEntries([...(kept.get(key) ?? [])].map(([way, values]) => [way, median(values)])),
    });
    return {
      machine,
      load: loadavg()[0]!,
      skipped: [],
      rows: [
        row(
          '1 KB JSON, HTTP/1.1 over TLS, 32 connections: CPU per request',
          'h1 cpu',
          'µs',
          'plain ≤ 2.2× nginx, everything ≤ 2.8×',
        ),
        row('the same: rate', 'h1 rate', 'req/s', ''),
        row('the same with the control plane at work on the same two cores: CPU', 'h1 beside cpu', 'µs', ''),
        row('the same: rate', 'h1 beside rate', 'req/s', ''),
        row('the same, each request with a query of its own, 64 answers in turn: CPU', 'h1 others cpu', 'µs', ''),
        row('1 KB JSON, HTTP/2 over TLS, 16 × 16: rate', 'h2 rate', 'req/s', 'plain ≥ 0.45× nginx'),
        row('the same: CPU per request', 'h2 cpu', 'µs', ''),
        row(`1 KB JSON, HTTP/1.1 over TLS, ${PACE} a second, open loop: p50`, 'pace p50', 'µs', 'added ≤ 150 µs'),
        row('the same at that pace: p99', 'pace p99', 'µs', 'added ≤ 1,000 µs'),
        row('the same with the control plane at work on the same two cores: p50', 'beside p50', 'µs', ''),
        row('the same: p99', 'beside p99', 'µs', ''),
        row('10 MB JSON over TLS', 'bulk', 'MB/s', 'plain ≥ 0.5× nginx, everything (masked) ≥ 0.35×'),
      ],
    };
  } finally {
    await bench.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The aims that issue 5 names, of what was measured. */
function aimsOf(rows: readonly HttpRow[]): readonly Aim[] {
  const cell = (start: string, way: string): number =>
    rows.find(({ what }) => what.startsWith(start))?.cells[way] ?? Number.NaN;
  const times = (what: string, start: string, way: string, most?: number, least?: number): Aim => {
    const value = cell(start, way) / cell(start, NGINX);
    const bound = most === undefined ? `≥ ${least}×` : `≤ ${most}×`;
    const met = most === undefined ? value >= (least ?? 0) : value <= most;
    return { aim: `${what} ${bound} nginx: ${way}`, measured: `${value.toFixed(2)}×`, met };
  };
  const added = (what: string, key: string, way: string, most: number): Aim => {
    const us = cell(key, way) - cell(key, NGINX);
    return { aim: `${what}, added over nginx ≤ ${most} µs: ${way}`, measured: `${us.toFixed(0)} µs`, met: us <= most };
  };
  const [h1, pace] = ['1 KB JSON, HTTP/1.1 over TLS, 32', `1 KB JSON, HTTP/1.1 over TLS, ${PACE}`];
  return [
    times('HTTP/1.1, CPU per request', h1, PLAIN, 2.2),
    times('HTTP/1.1, CPU per request', h1, EVERYTHING, 2.8),
    times('HTTP/2, rate', '1 KB JSON, HTTP/2', PLAIN, undefined, 0.45),
    times('10 MB', '10 MB', PLAIN, undefined, 0.5),
    times('10 MB, masked', '10 MB', EVERYTHING, undefined, 0.35),
    ...[PLAIN, EVERYTHING].flatMap((way) => [
      added(`p50 at ${PACE} a second`, pace, way, 150),
      added(`p99 at ${PACE} a second`, 'the same at that pace: p99', way, 1_000),
    ]),
  ];
}

export function renderHttp({ machine, load, skipped, rows }: HttpBenchReport): string {
  if (skipped.length > 0)
    return `HTTP bench left out: ${skipped.join(', ')} not installed (Debian: nginx-light, wrk, nghttp2-client).`;
  const shown = (value: number | undefined): string =>
    value === undefined ? '–' : value >= 100 ? value.toFixed(0) : value.toFixed(1);
  const lines = rows.map(({ what, unit, cells, aim }) => {
    const base = cells[NGINX] ?? 0;
    const ours = [PLAIN, EVERYTHING].map(
      (name) => `${shown(cells[name])} (${base === 0 ? '–' : ((cells[name] ?? 0) / base).toFixed(2)}×)`,
    );
    return `| ${what}, ${unit} | ${shown(cells['direct, clear'])} | ${shown(base)} | ${ours.join(' | ')} | ${aim} |`;
  });
  return [
    `HTTP, ${machine}, load ${load.toFixed(1)}`,
    '',
    '| what | direct, clear | nginx proxy | us, plain | us, everything on | aim |',
    '| --- | --- | --- | --- | --- | --- |',
    ...lines,
    '',
    ...aimsOf(rows).map(({ aim, measured, met }) => `${met === true ? '✓' : '✗'} ${aim}: ${measured}`),
  ].join('\n');
}
