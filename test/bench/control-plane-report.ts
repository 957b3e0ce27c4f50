/** The control plane's table and its aims, for people. Refuses to measure. */
import type { CompileCosts } from './control-plane-compile.ts';
import type { IngestTimes } from './control-plane-ingest.ts';
import type { LoadResult } from './control-plane-load.ts';
import type { RevokeTimes } from './control-plane-revoke.ts';
import type { Aim } from './report.ts';

export const CONTROL_PLANE_PARTS = ['compile', 'revoke', 'exchange', 'callback', 'saml', 'ingest'] as const;
export type ControlPlanePart = (typeof CONTROL_PLANE_PARTS)[number];

/** Parts that were not asked for are absent. */
export interface ControlPlaneReport {
  readonly machine: string;
  readonly quick: boolean;
  /** One-minute load average before each part. */
  readonly loads: Readonly<Record<ControlPlanePart, number>>;
  /** Of the machine's time during each part, what its host gave to others; of 1. */
  readonly stolen: Readonly<Record<ControlPlanePart, number>>;
  readonly compile?: CompileCosts | undefined;
  readonly revoke?: { readonly times: readonly RevokeTimes[]; readonly bytes: number } | undefined;
  readonly exchange?: LoadResult | undefined;
  readonly callback?: LoadResult | undefined;
  readonly saml?: LoadResult | undefined;
  readonly ingest?: IngestTimes | undefined;
  readonly seconds: number;
}

const ms = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const kb = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KB`;

export function aimsOfControlPlane({ compile, revoke, ...rates }: ControlPlaneReport): readonly Aim[] {
  const steady = (what: string, load: LoadResult | undefined): readonly Aim[] => {
    if (load === undefined) return [];
    const allRight = Object.keys(load.wrong).length === 0;
    return [
      {
        aim: `${what}, p99 ≤ 50 ms at ${load.perSecond}/s`,
        measured: `${ms(load.p99Ms)}${allRight ? '' : `, refused ${JSON.stringify(load.wrong)}`}`,
        met: load.p99Ms <= 50 && allRight,
      },
    ];
  };
  return [
    ...(compile === undefined ? [] : aimsOfCompile(compile)),
    ...(revoke === undefined ? [] : [aimOfRevocation(revoke.times)]),
    ...steady('token exchange', rates.exchange),
    ...steady('sign-in callback', rates.callback),
    ...steady('SAML sign-in, both requests', rates.saml),
  ];
}

function aimsOfCompile({ changes, coldFirstMs }: CompileCosts): readonly Aim[] {
  const slowest = Math.max(...changes.map((change) => change.p50Ms));
  return [
    { aim: 'a bundle cold ≤ 2 s', measured: ms(coldFirstMs), met: coldFirstMs <= 2_000 },
    { aim: 'one change ≤ 100 ms', measured: `${ms(slowest)} (slowest kind, median)`, met: slowest <= 100 },
  ];
}

function aimOfRevocation(times: readonly RevokeTimes[]): Aim {
  const cut = Math.max(...times.flatMap(({ p99Ms, sessionMaxMs }) => [p99Ms, sessionMaxMs]));
  return {
    aim: `revocation to the cut, p99 ≤ 1 s with ${times[0]?.agents ?? 0} agents`,
    measured: `${ms(cut)} (slowest kind)`,
    met: cut <= 1_000,
  };
}

type Rows = readonly (readonly string[])[];

const compileRows = (compile: CompileCosts, load: string): Rows => [
  ['bundle', `${compile.chunks} chunks, ${(compile.bundleBytes / 1024 / 1024).toFixed(1)} MB`, '', load],
  ['  cold, in a fresh process', ms(compile.coldFirstMs), '', ''],
  ['  cold, later', ms(compile.coldMs), '', ''],
  ...compile.changes.map(({ change, p50Ms, maxMs, bytes }) => [
    `  ${change}`,
    ms(p50Ms),
    `slowest ${ms(maxMs)}`,
    `${kb(bytes)} to an agent`,
  ]),
  [
    '  at the agent, a change',
    ms(compile.agentP50Ms),
    `slowest ${ms(compile.agentMaxMs)}`,
    `${kb(compile.agentBytes)} came`,
  ],
];

const revokeRows = ({ times, bytes }: NonNullable<ControlPlaneReport['revoke']>, load: string): Rows => [
  ['revocation', `${times[0]?.agents ?? 0} agents`, `${kb(bytes)} to each`, load],
  ...times.map(({ kind, p50Ms, p99Ms, sessions, sessionMaxMs }) => [
    `  ${kind}`,
    `p50 ${ms(p50Ms)}`,
    `p99 ${ms(p99Ms)}`,
    `${sessions} sessions cut, slowest ${ms(sessionMaxMs)}`,
  ]),
];

const ingestRow = (ingest: IngestTimes, load: string): readonly string[] => [
  'ingest of the record',
  `${ingest.eventsPerSecond.toFixed(0)} events/s`,
  `batch p50 ${ms(ingest.p50Ms)}, p99 ${ms(ingest.p99Ms)}`,
  `${ingest.statements} statements of ${ingest.sessions} sessions, ${ingest.usageRows} rows of use, ${ingest.cpuUs.toFixed(0)} µs of CPU an event, ${load}`,
];

export function renderControlPlane(report: ControlPlaneReport): string {
  const { compile, revoke, ingest, loads, stolen } = report;
  const load = (part: ControlPlanePart): string =>
    `load ${loads[part].toFixed(1)}, ${(100 * stolen[part]).toFixed(0)} % stolen`;
  const steady = (what: string, part: 'exchange' | 'callback' | 'saml'): Rows => {
    const one = report[part];
    if (one === undefined) return [];
    const cpu = `${one.cpuMs.toFixed(1)} ms of CPU each, ${one.count} of them, ${load(part)}`;
    return [[`${what}, ${one.perSecond}/s`, `p50 ${ms(one.p50Ms)}`, `p99 ${ms(one.p99Ms)}`, cpu]];
  };
  const rows: Rows = [
    ...(compile === undefined ? [] : compileRows(compile, load('compile'))),
    ...(revoke === undefined ? [] : revokeRows(revoke, load('revoke'))),
    ...steady('token exchange', 'exchange'),
    ...steady('sign-in callback', 'callback'),
    ...steady('SAML sign-in', 'saml'),
    ...(ingest === undefined ? [] : [ingestRow(ingest, load('ingest'))]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(0, ...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('   ')
      .trimEnd(),
  );
  return [
    report.machine,
    '',
    ...lines,
    '',
    ...aimsOfControlPlane(report).map(({ aim, measured, met }) => `${met === true ? '✓' : '✗'} ${aim}: ${measured}`),
    `${report.seconds.toFixed(0)} s${report.quick ? ', --quick: a fifth of the rows, 40 agents, rough numbers' : ''}`,
  ].join('\n');
}
