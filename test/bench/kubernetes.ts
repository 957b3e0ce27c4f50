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
  watchBytes,
} from './kubernetes-measures.ts';
import { DIRECT, EVERYTHING, PLAIN, startKubeBench } from './kubernetes-ways.ts';
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

export async function benchKubernetes(quick: boolean, say: (line: string) => void): Promise<KubeReport> {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? ''}, Linux ${release()}, Node ${process.version}`;
  const missing = [clusterMissing, kubectls.length === 0 ? 'kubectl' : ''].filter((one) => one !== '').join(', ');
  const objects = quick ? 1_000 : 5_000;
  const load = loadavg()[0]!;
  if (missing !== '') return { machine, load, skipped: missing, objects, rows: [], aims: [] };
  const dir = mkdtempSync('/var/tmp/sallyport-bench-kube-');
  // PostgreSQL runs as nobody and must pass through.
  chmodSync(dir, 0o711);
  const bench = await startKubeBench(dir, objects, say);
  try {
    const rows: KubeRow[] = [];
    const note = (what: string, unit: string, cells: Readonly<Record<string, number>>): void => {
      rows.push({ what, unit, cells });
      say(
        `${what}: ${Object.values(cells)
          .map((value) => value.toFixed(2))
          .join(', ')} ${unit}`,
      );
    };
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
    await measureIdle(bench);
    // A list of pods takes seconds by any way: fewer of them tell as much.
    for (const [kind, rounds] of [
      ['pods', quick ? 3 : 2],
      ['secrets', quick ? 3 : 5],
    ] as const)
      note(`kubectl get ${objects} ${kind} -o json, wall`, 's', await listSeconds(bench, kind, rounds));
    note("a request (one pod by name): agent's CPU", 'ms', await requestCpu(bench, quick ? 1_000 : 2_000));
    note("exec of true on a connection of its own: agent's CPU", 'ms', await execCpu(bench, quick ? 100 : 200));
    note("exec of cat: bytes per second of the agent's CPU", 'MB/s', await streamRate(bench, quick ? 100 : 200));
    return { machine, load, skipped: '', objects, rows, aims: aimsOf(rows, objects) };
  } finally {
    await bench.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

function aimsOf(rows: readonly KubeRow[], objects: number): readonly Aim[] {
  const row = (start: string): Readonly<Record<string, number>> =>
    rows.find(({ what }) => what.startsWith(start))!.cells;
  const aim = (text: string, unit: string, value: number, met: boolean): Aim => ({
    aim: text,
    measured: `${value.toFixed(2)}${unit}`,
    met,
  });
  const times = (start: string, way: string): number => row(start)[way]! / row(start)[DIRECT]!;
  const [pods, podsOn] = [times('kubectl get', PLAIN), times('kubectl get', EVERYTHING)];
  const secrets = times(`kubectl get ${objects} secrets`, EVERYTHING);
  const [request, command] = [row('a request'), row('exec of true')];
  const stream = row('exec of cat');
  const [together, alone] = rows.map(({ cells }) => cells[PLAIN]!) as [number, number];
  return [
    aim(`${objects} pods ≤ 1.15× direct, plain`, '×', pods, pods <= 1.15),
    aim(`${objects} pods ≤ 1.15× direct, everything on`, '×', podsOn, podsOn <= 1.15),
    aim(`${objects} masked Secrets ≤ 1.15× direct`, '×', secrets, secrets <= 1.15),
    ...[PLAIN, EVERYTHING].flatMap((way) => [
      aim(`a request ≤ 0.8 ms of CPU: ${way}`, ' ms', request[way]!, request[way]! <= 0.8),
      aim(`exec ≤ 3 ms of CPU: ${way}`, ' ms', command[way]!, command[way]! <= 3),
      aim(`stream ≥ 150 MB/s of CPU: ${way}`, ' MB/s', stream[way]!, stream[way]! >= 150),
    ]),
    aim('an idle watch ≤ 100 KB, ten on a connection', ' KB', together, together <= 100),
    aim('an idle watch ≤ 100 KB, on a connection of its own', ' KB', alone, alone <= 100),
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
