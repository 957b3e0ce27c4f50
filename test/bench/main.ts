/**
 * `npm run bench`: how fast and how small, as ratios to the same work without us, interleaved in one run on one machine.
 * Options: --quick (a minute), --json (the report as JSON instead of the table), --only control-plane|ssh|http|kubernetes|mcp
 * (its own table instead); with control-plane also --part compile,revoke,exchange,callback,saml,ingest, with ssh --part
 * sessions,bulk,sftp,rsync,connect,typing, with kubernetes --part watches,lists,request,exec,stream (some of it alone).
 * Refuses to touch a running stack: database, control plane, agent and HAProxy are its own, on free ports.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { buildAll } from '../../scripts/stack/build.ts';
import { benchControlPlane } from './control-plane.ts';
import { CONTROL_PLANE_PARTS, type ControlPlanePart, renderControlPlane } from './control-plane-report.ts';
import { benchHttp, renderHttp } from './http.ts';
import { benchKubernetes, KUBE_PARTS, type KubePart, renderKubernetes } from './kubernetes.ts';
import { benchMcp, renderMcp } from './mcp.ts';
import {
  measureBigResult,
  measureLatency,
  measurePerSession,
  measureThroughput,
  residentBytes,
  type Way,
} from './measure.ts';
import { findPrograms, startHaproxy } from './programs.ts';
import { measurePush } from './push.ts';
import { type BenchReport, DIRECT, EVERYTHING_WAY, failuresOf, HAPROXY, PLAIN_WAY, renderReport } from './report.ts';
import { benchSsh, renderSsh, SSH_PARTS, type SshPart } from './ssh.ts';
import { type BenchStack, EVERYTHING, PLAIN, startBenchStack } from './stack.ts';
import { DATABASE, DIRECT_USER, startTarget } from './target.ts';

const { values } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== '--'),
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    part: { type: 'string' },
  },
});
const PLAN = values.quick
  ? {
      wideRows: 200_000,
      transactions: 6_000,
      rounds: 1,
      clients: [8, 32],
      latencyRounds: 2,
      queries: 500,
      bigRounds: 3,
      sessions: 50,
    }
  : {
      wideRows: 1_000_000,
      transactions: 20_000,
      rounds: 2,
      clients: [8, 32, 128],
      latencyRounds: 5,
      queries: 1_000,
      bigRounds: 5,
      sessions: 200,
    };

const started = performance.now();
const say = (line: string): void =>
  console.error(`  ${((performance.now() - started) / 1_000).toFixed(1).padStart(5)} s  ${line}`);

/** Through the agent's plaintext listener: encryption is left out for all ways alike. */
function throughAgent(name: string, resource: string, bench: BenchStack): Way {
  return {
    name,
    pid: bench.stack.agent().pid,
    signIn: async () => ({
      port: bench.stack.dev.agent.postgresPlaintext!,
      user: resource,
      database: DATABASE,
      password: await bench.token(resource),
    }),
  };
}

const stops: (() => Promise<void>)[] = [];
/** What is being started; waited for before it is stopped, or it would be left behind. */
let starting: Promise<unknown> = Promise.resolve();
async function whenStarted<T>(one: Promise<T>): Promise<T> {
  starting = one.catch(() => undefined);
  return one;
}

async function bench(dir: string): Promise<BenchReport> {
  const programs = findPrograms();
  await buildAll(say);
  say(`Filling the database (${PLAN.wideRows.toLocaleString('en')} wide rows)`);
  const target = await whenStarted(startTarget(path.join(dir, 'target'), PLAN.wideRows));
  stops.push(() => target.server.stop());
  const stack = await whenStarted(startBenchStack(path.join(dir, 'stack'), target, say));
  stops.push(() => stack.stack.stop());
  const direct = (port: number) => async () => ({ port, user: DIRECT_USER, database: DATABASE });
  const ways: Way[] = [{ name: DIRECT, signIn: direct(target.server.port) }];
  if (programs.haproxy) {
    const haproxy = await whenStarted(startHaproxy(target.server.port));
    stops.push(() => haproxy.stop());
    ways.push({ name: HAPROXY, pid: haproxy.pid, signIn: direct(haproxy.port) });
  }
  const plain = throughAgent(PLAIN_WAY, PLAIN, stack);
  ways.push(plain, throughAgent(EVERYTHING_WAY, EVERYTHING, stack));
  await sleep(2_000);
  const idleRssBytes = residentBytes(stack.stack.agent().pid);
  say('Changes');
  const push = await measurePush(stack.stack);
  say('Idle sessions');
  const perSessionBytes = await measurePerSession(plain, PLAN.sessions);
  say('One client');
  const latency = await measureLatency(ways, { rounds: PLAN.latencyRounds, queries: PLAN.queries });
  say('A big result');
  const bigResult = await measureBigResult(ways, PLAN.bigRounds);
  const throughput = programs.pgbench ? await measureThroughput(ways, PLAN, say) : [];
  return {
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, Linux ${release()}, Node ${process.version}`,
    quick: values.quick,
    ways: ways.map((way) => way.name),
    throughput,
    latency,
    bigResult,
    idleRssBytes,
    perSessionBytes,
    push,
    leftOut: programs.missing,
    seconds: (performance.now() - started) / 1_000,
  };
}

let stopping: Promise<void> = Promise.resolve();
/** One after another, the last started first; calls that overlap wait for each other. */
function stopAll(): Promise<void> {
  stopping = stopping.then(async () => {
    for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) await stop();
  });
  return stopping;
}

const dir = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-'));
// PostgreSQL's own user must be able to pass through.
chmodSync(dir, 0o711);
let cleaning: Promise<void> | undefined;
/** Whoever comes second, a signal or the end of the bench, waits for the first. */
function cleanUp(): Promise<void> {
  cleaning ??= cleanUpOnce();
  return cleaning;
}

async function cleanUpOnce(): Promise<void> {
  await starting;
  // Whoever waited for it has put its end on the list by now.
  await sleep(0);
  await stopAll();
  rmSync(dir, { recursive: true, force: true });
}
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void cleanUp().then(() => process.exit(130)));
/** What is named of the parts that this bench has; all when nothing is. @throws Error that says which there are */
function partsOf<T extends string>(known: readonly T[]): ReadonlySet<T> {
  if (values.part === undefined) return new Set(known);
  const asked = values.part.split(',');
  const parts = known.filter((part) => asked.includes(part));
  if (parts.length !== asked.length) throw new Error(`--part takes some of: ${known.join(',')}`);
  return new Set(parts);
}

/** @returns exit code */
async function only(part: string): Promise<number> {
  if (!['control-plane', 'ssh', 'http', 'kubernetes', 'mcp'].includes(part))
    throw new Error('--only takes: control-plane, ssh, http, kubernetes, mcp');
  const controlPlaneParts = part === 'control-plane' ? partsOf<ControlPlanePart>(CONTROL_PLANE_PARTS) : undefined;
  const sshParts = part === 'ssh' ? partsOf<SshPart>(SSH_PARTS) : undefined;
  const kubeParts = part === 'kubernetes' ? partsOf<KubePart>(KUBE_PARTS) : undefined;
  if (values.part !== undefined && (controlPlaneParts ?? sshParts ?? kubeParts) === undefined)
    throw new Error('--part belongs to --only control-plane, --only ssh and --only kubernetes');
  await buildAll(say);
  if (part === 'http') {
    const report = await benchHttp(values.quick, say);
    console.log(values.json ? JSON.stringify(report, undefined, 2) : `\n${renderHttp(report)}`);
    return 0;
  }
  if (kubeParts !== undefined) {
    const report = await benchKubernetes(values.quick, kubeParts, say);
    console.log(values.json ? JSON.stringify(report, undefined, 2) : `\n${renderKubernetes(report)}`);
    return 0;
  }
  if (part === 'mcp') {
    const report = await benchMcp(values.quick, say);
    console.log(values.json ? JSON.stringify(report, undefined, 2) : `\n${renderMcp(report)}`);
    return 0;
  }
  if (sshParts !== undefined) {
    const report = await benchSsh(dir, values.quick, sshParts, say, (stop) => void stops.push(stop));
    console.log(values.json ? JSON.stringify(report, undefined, 2) : `\n${renderSsh(report)}`);
    return report.failed.some((line) => line.startsWith('FAILED')) ? 1 : 0;
  }
  const keeper = {
    started: async <T>(one: Promise<T>, stop: (one: T) => Promise<void>): Promise<T> => {
      const running = await whenStarted(one);
      stops.push(() => stop(running));
      return running;
    },
    stop: stopAll,
  };
  const report = await benchControlPlane(
    dir,
    values.quick,
    controlPlaneParts ?? new Set(CONTROL_PLANE_PARTS),
    say,
    keeper,
  );
  console.log(values.json ? JSON.stringify(report, undefined, 2) : `\n${renderControlPlane(report)}`);
  return 0;
}

async function everything(): Promise<number> {
  const report = await bench(dir);
  console.log(values.json ? JSON.stringify(report, undefined, 2) : `\n${renderReport(report)}`);
  const cells = [
    report.latency,
    report.bigResult,
    ...report.throughput.map((row) => row.ways),
    { own: report.perSessionBytes },
  ];
  return cells.some((one) => failuresOf('', one).length > 0) ? 1 : 0;
}

let code = 1;
try {
  code = await (values.only === undefined ? everything() : only(values.only));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
} finally {
  await cleanUp();
}
process.exit(code);
