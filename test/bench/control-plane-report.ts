/** The control plane's table and its aims, for people. Refuses to measure. */
import type { CompileCosts } from './control-plane-compile.ts';
import type { IngestTimes } from './control-plane-ingest.ts';
import type { LoadResult } from './control-plane-load.ts';
import type { RevokeTimes } from './control-plane-revoke.ts';
import type { Aim } from './report.ts';

export interface ControlPlaneReport {
  readonly machine: string;
  readonly quick: boolean;
  /** One-minute load average before each part, and CPU of the control plane for each request, ms. */
  readonly loads: Readonly<Record<'compile' | 'revoke' | 'exchange' | 'callback' | 'saml' | 'ingest', number>>;
  readonly compile: CompileCosts;
  readonly revoke: readonly RevokeTimes[];
  readonly revokeBytes: number;
  readonly exchange: LoadResult;
  readonly callback: LoadResult;
  readonly saml: LoadResult;
  readonly ingest: IngestTimes;
  readonly seconds: number;
}

const ms = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const kb = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KB`;

export function aimsOfControlPlane({ compile, revoke, exchange, callback, saml }: ControlPlaneReport): readonly Aim[] {
  const slowest = Math.max(...compile.changes.map((change) => change.p50Ms));
  const cut = Math.max(...revoke.flatMap(({ p99Ms, sessionMaxMs }) => [p99Ms, sessionMaxMs]));
  const steady = (what: string, load: LoadResult): Aim => ({
    aim: `${what}, p99 ≤ 50 ms at ${load.perSecond}/s`,
    measured: `${ms(load.p99Ms)}${Object.keys(load.wrong).length === 0 ? '' : `, refused ${JSON.stringify(load.wrong)}`}`,
    met: load.p99Ms <= 50 && Object.keys(load.wrong).length === 0,
  });
  return [
    { aim: 'a bundle cold ≤ 2 s', measured: ms(compile.coldFirstMs), met: compile.coldFirstMs <= 2_000 },
    { aim: 'one change ≤ 100 ms', measured: `${ms(slowest)} (slowest kind, median)`, met: slowest <= 100 },
    {
      aim: `revocation to the cut, p99 ≤ 1 s with ${revoke[0]?.agents ?? 0} agents`,
      measured: `${ms(cut)} (slowest kind)`,
      met: cut <= 1_000,
    },
    steady('token exchange', exchange),
    steady('sign-in callback', callback),
    steady('SAML sign-in, both requests', saml),
  ];
}

export function renderControlPlane(report: ControlPlaneReport): string {
  const { compile, revoke, exchange, callback, saml, ingest, loads } = report;
  const load = (part: keyof typeof loads): string => `load ${loads[part].toFixed(1)}`;
  const rows: readonly (readonly string[])[] = [
    ['bundle', `${compile.chunks} chunks, ${(compile.bundleBytes / 1024 / 1024).toFixed(1)} MB`, '', load('compile')],
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
    ['revocation', `${revoke[0]?.agents ?? 0} agents`, `${kb(report.revokeBytes)} to each`, load('revoke')],
    ...revoke.map(({ kind, p50Ms, p99Ms, sessions, sessionMaxMs }) => [
      `  ${kind}`,
      `p50 ${ms(p50Ms)}`,
      `p99 ${ms(p99Ms)}`,
      `${sessions} sessions cut, slowest ${ms(sessionMaxMs)}`,
    ]),
    ...(
      [
        ['token exchange', exchange, 'exchange'],
        ['sign-in callback', callback, 'callback'],
        ['SAML sign-in', saml, 'saml'],
      ] as const
    ).map(([what, one, part]) => [
      `${what}, ${one.perSecond}/s`,
      `p50 ${ms(one.p50Ms)}`,
      `p99 ${ms(one.p99Ms)}`,
      `${one.cpuMs.toFixed(1)} ms of CPU each, ${one.count} of them, ${load(part)}`,
    ]),
    [
      'ingest of the record',
      `${ingest.eventsPerSecond.toFixed(0)} events/s`,
      `batch p50 ${ms(ingest.p50Ms)}, p99 ${ms(ingest.p99Ms)}`,
      `${ingest.statements} statements of ${ingest.sessions} sessions, ${ingest.usageRows} rows of use, ${ingest.cpuUs.toFixed(0)} µs of CPU an event, ${load('ingest')}`,
    ],
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
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
