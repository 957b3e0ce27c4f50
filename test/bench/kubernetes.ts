/**
 * `npm run bench -- --only kubernetes`: what a cluster behind the agent costs, on a real API server with a fake node. Lists by real
 * kubectl against the same kubectl without us; requests, commands, streams and watches by the agent's CPU and memory.
 * Left out by name where kube-apiserver or kubectl are not here. Refuses to judge beyond the aims it prints.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { clusterMissing, kubectls } from '@sallyport/testkit';
import {
  execCpu,
  listSeconds,
  measureIdle,
  requestCpu,
  streamRate,
  TOGETHER,
  warmExec,
  watchBytes,
} from './kubernetes-measures.ts';
import { DIRECT, EVERYTHING, type KubeBench, PLAIN, startKubeBench } from './kubernetes-ways.ts';
import type { Aim } from './report.ts';

export interface KubeRow {
  readonly what: string;
  readonly unit: string;
  readonly cells: Readonly<Record<string, number>>;
}
export interface KubeReport {
  readonly machine: string;
  readonly load: number;
  readonly skipped: string;
  readonly objects: number;
  readonly rows: readonly KubeRow[];
  readonly aims: readonly Aim[];
}

const WAYS = [DIRECT, PLAIN, EVERYTHING] as const;
export const KUBE_PARTS = ['watches', 'lists', 'request', 'exec', 'stream'] as const;
export type KubePart = (typeof KUBE_PARTS)[number];

export async function benchKubernetes(
  quick: boolean,
  parts: ReadonlySet<KubePart>,
  say: (line: string) => void,
): Promise<KubeReport> {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? ''}, Linux ${release()}, Node ${process.version}`;
  const missing = [clusterMissing, kubectls.length === 0 ? 'kubectl' : ''].filter((one) => one !== '').join(', ');
  const objects = quick ? 1_000 : 5_000;
  const load = loadavg()[0]!;
  if (missing !== '') return { machine, load, skipped: missing, objects, rows: [], aims: [] };
  const dir = mkdtempSync('/var/tmp/sallyport-bench-kube-');
  // PostgreSQL runs as nobody and must pass through.
  chmodSync(dir, 0o711);
  // Lists alone need many objects.
  const bench = await startKubeBench(dir, parts.has('lists') ? objects : 1, say);
  try {
    const rows: KubeRow[] = [];
    await measured(bench, quick, parts, objects, (what, unit, cells) => {
      rows.push({ what, unit, cells });
      say(
        `${what}: ${Object.values(cells)
          .map((value) => value.toFixed(2))
          .join(', ')} ${unit}`,
      );
    });
    return { machine, load, skipped: '', objects, rows, aims: aimsOf(rows, objects) };
  } finally {
    await bench.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measured(
  bench: KubeBench,
  quick: boolean,
  parts: ReadonlySet<KubePart>,
  objects: number,
  note: (what: string, unit: string, cells: Readonly<Record<string, number>>) => void,
): Promise<void> {
  if (parts.has('watches')) {
    // Each in an agent that has done nothing else: one that has grown has room for what comes.
    const watches = quick ? 200 : 1_000;
    note(`${watches} watches idle, ten on a connection, each`, 'KB', {
      [PLAIN]: await watchBytes(bench, watches, TOGETHER),
    });
    await bench.freshAgent();
    note(`${watches} watches idle on connections of their own, each`, 'KB', {
      [PLAIN]: await watchBytes(bench, watches, 1),
    });
    await bench.freshAgent();
  }
  await measureIdle(bench);
  // A list of pods takes seconds by any way: fewer of them tell as much.
  for (const [kind, rounds] of [
    ['pods', quick ? 3 : 2],
    ['secrets', quick ? 3 : 5],
  ] as const)
    if (parts.has('lists'))
      note(`kubectl get ${objects} ${kind} -o json, wall`, 's', await listSeconds(bench, kind, rounds));
  if (parts.has('request'))
    note("a request (one pod by name): agent's CPU", 'ms', await requestCpu(bench, quick ? 1_000 : 2_000));
  if (parts.has('exec')) {
    const count = quick ? 100 : 200;
    note("the first execs of an agent, of true on a connection each: agent's CPU", 'ms', await execCpu(bench, count));
    await warmExec(bench, quick ? 1_000 : 4_000);
    note("exec of true on a connection of its own: agent's CPU", 'ms', await execCpu(bench, count));
  }
  if (parts.has('stream'))
    note("exec of cat: bytes per second of the agent's CPU", 'MB/s', await streamRate(bench, quick ? 100 : 200));
}

/** Of what was measured. */
function aimsOf(rows: readonly KubeRow[], objects: number): readonly Aim[] {
  const row = (start: string): Readonly<Record<string, number>> =>
    rows.find(({ what }) => what.startsWith(start))?.cells ?? {};
  const aim = (text: string, unit: string, value: number | undefined, isMet: (value: number) => boolean): Aim[] =>
    value === undefined ? [] : [{ aim: text, measured: `${value.toFixed(2)}${unit}`, met: isMet(value) }];
  const times = (kind: string, way: string): number | undefined => {
    const { [DIRECT]: direct, [way]: ours } = row(`kubectl get ${objects} ${kind}`);
    return direct === undefined || ours === undefined ? undefined : ours / direct;
  };
  const isQuick = (value: number): boolean => value <= 1.15;
  const isSmall = (value: number): boolean => value <= 100;
  const watches = rows.filter(({ what }) => what.includes('watches idle')).map(({ cells }) => cells[PLAIN]);
  return [
    ...aim(`${objects} pods ≤ 1.15× direct, plain`, '×', times('pods', PLAIN), isQuick),
    ...aim(`${objects} pods ≤ 1.15× direct, everything on`, '×', times('pods', EVERYTHING), isQuick),
    ...aim(`${objects} masked Secrets ≤ 1.15× direct`, '×', times('secrets', EVERYTHING), isQuick),
    ...[PLAIN, EVERYTHING].flatMap((way) => [
      ...aim(`a request ≤ 0.8 ms of CPU: ${way}`, ' ms', row('a request')[way], (value) => value <= 0.8),
      ...aim(`exec ≤ 3 ms of CPU: ${way}`, ' ms', row('exec of true')[way], (value) => value <= 3),
      ...aim(`stream ≥ 150 MB/s of CPU: ${way}`, ' MB/s', row('exec of cat')[way], (value) => value >= 150),
    ]),
    ...aim('an idle watch ≤ 100 KB, ten on a connection', ' KB', watches[0], isSmall),
    ...aim('an idle watch ≤ 100 KB, on a connection of its own', ' KB', watches[1], isSmall),
  ];
}

export function renderKubernetes({ machine, load, skipped, rows, aims }: KubeReport): string {
  if (skipped !== '') return `Kubernetes bench left out: ${skipped} not here (node scripts/test-kubernetes.ts).`;
  const shown = (cells: KubeRow['cells'], way: string): string => {
    const [value, base] = [cells[way], cells[DIRECT]];
    if (value === undefined) return '–';
    return `${value.toFixed(2)}${base === undefined ? '' : ` (${(value / base).toFixed(2)}×)`}`;
  };
  return [
    `Kubernetes, ${machine}, load ${load.toFixed(1)}`,
    '',
    `| what | ${WAYS.join(' | ')} |`,
    '| --- | --- | --- | --- |',
    ...rows.map(
      ({ what, unit, cells }) => `| ${what}, ${unit} | ${WAYS.map((way) => shown(cells, way)).join(' | ')} |`,
    ),
    '',
    ...aims.map(({ aim, measured, met }) => `${met === true ? '✓' : '✗'} ${aim}: ${measured}`),
  ].join('\n');
}
