/**
 * `npm run bench -- --only control-plane`: how fast rights are compiled, taken back, and handed out, with a company's worth of
 * rows. The control plane, its PostgreSQL, the agents and whoever asks are all on this machine.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';
import v8 from 'node:v8';
import { startEmbeddedPostgres } from '@sallyport/embedded-postgres';
import pg from 'pg';
import { ROOT } from '../../scripts/stack/build.ts';
import { ANY_PORTS, type Stack, startStack } from '../../scripts/stack/stack.ts';
import { measureCallbacks, startIdp } from './control-plane-callbacks.ts';
import { measureCompile } from './control-plane-compile.ts';
import { COMPANY, type Content, SMALL, writeContent } from './control-plane-content.ts';
import { measureExchange } from './control-plane-exchange.ts';
import { measureIngest } from './control-plane-ingest.ts';
import { openLinks } from './control-plane-links.ts';
import type { ControlPlanePart, ControlPlaneReport } from './control-plane-report.ts';
import { KINDS, measureRevoke, prepare, type RevokeTimes } from './control-plane-revoke.ts';
import { measureSaml } from './control-plane-saml.ts';
import { cpuMs as cpuMsOf, machineTimes } from './process-stat.ts';

// As in every agent: 200 of them are in this process, and what comes over their TLS would bring full collections.
v8.setFlagsFromString('--external-memory-accounted-in-global-limit');

interface Plan {
  readonly content: Content;
  readonly agents: number;
  readonly rounds: number;
  readonly sessions: number;
  readonly requests: number;
  /** Of each kind of sign-in: long enough for a full collection or two, so that none is left out by luck or counts too much. */
  readonly signIns: number;
}
const FULL: Plan = { content: COMPANY, agents: 200, rounds: 3, sessions: 5, requests: 3_000, signIns: 6_000 };
const QUICK: Plan = { content: SMALL, agents: 40, rounds: 2, sessions: 3, requests: 1_000, signIns: 500 };
const PER_SECOND = 100;

interface Ground {
  readonly stack: Stack;
  readonly sql: pg.Pool;
  readonly url: string;
  readonly projectId: string;
  readonly dir: string;
}

/** Starts something that `stop` ends; whoever ends the bench early waits for the start alone. */
export interface Keeper {
  started<T>(one: Promise<T>, stop: (one: T) => Promise<void>): Promise<T>;
  /** Ends all that was started and runs. */
  stop(): Promise<void>;
}

/** A stack of its own for each part, so that one part's backlog is not the next one's. */
async function on<T>(
  dir: string,
  content: Content,
  say: (line: string) => void,
  keeper: Keeper,
  work: (ground: Ground) => Promise<T>,
): Promise<T> {
  mkdirSync(dir, { mode: 0o711 });
  try {
    const server = await keeper.started(startEmbeddedPostgres({ dir: path.join(dir, 'database') }), (one) =>
      one.stop(),
    );
    const controlPlaneEnv = { DATABASE_URL: server.url(), SALLYPORT_HTTP_PLAINTEXT: 'behind-proxy' };
    const stack = await keeper.started(
      startStack({ dir: path.join(dir, 'stack'), ports: ANY_PORTS, fresh: true, say, controlPlaneEnv }),
      (one) => one.stop(),
    );
    const sql = new pg.Pool({ connectionString: server.url(), max: 4 });
    sql.on('error', () => undefined);
    try {
      const { rows } = await sql.query<{ id: string }>("select id from projects where name = 'default'");
      const projectId = rows[0]!.id;
      await writeContent(sql, stack.admin, projectId, content);
      return await work({ stack, sql, url: server.url(), projectId, dir });
    } finally {
      await sql.end();
    }
  } finally {
    await keeper.stop();
  }
}

async function revocations(ground: Ground, plan: Plan): Promise<{ times: readonly RevokeTimes[]; bytes: number }> {
  const { stack, sql, projectId, dir } = ground;
  const nameOf = (i: number): string => `bench-${i}`;
  // Each guards its share.
  await sql.query(
    "update resources set agents = array['bench-' || (substr(name, 9)::int % $1::int)] where name like 'company-%'",
    [plan.agents],
  );
  mkdirSync(path.join(dir, 'links'));
  const links = await openLinks(plan.agents, path.join(dir, 'links'), stack.admin, nameOf);
  await prepare(stack, sql, projectId, links);
  const received = (): number => links.reduce((sum, link) => sum + link.received(), 0);
  const times: RevokeTimes[] = [];
  let bytes = 0;
  for (const kind of KINDS) {
    const one = await measureRevoke(stack, links, kind, plan.rounds, plan.sessions, received);
    times.push(one.times);
    bytes = Math.max(bytes, one.bytesEach);
  }
  await Promise.all(links.map((link) => link.close()));
  return { times, bytes };
}

/** Parts that share a stack. */
const GROUPS: readonly (readonly ControlPlanePart[])[] = [
  ['compile'],
  ['revoke'],
  ['exchange', 'callback', 'saml', 'ingest'],
];

/** Each in a process of its own, since it is the others' client too: what it collected of theirs would count as their waiting. */
async function apart(
  groups: readonly (readonly ControlPlanePart[])[],
  quick: boolean,
  keeper: Keeper,
): Promise<ControlPlaneReport> {
  const reports: [readonly ControlPlanePart[], ControlPlaneReport][] = [];
  for (const group of groups) {
    const main = path.join(ROOT, 'test/bench/main.ts');
    const options = ['--only', 'control-plane', '--part', group.join(','), '--json', ...(quick ? ['--quick'] : [])];
    const child = spawn(process.execPath, [...process.execArgv, main, ...options], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    await keeper.started(Promise.resolve(child), async () => {
      child.kill('SIGTERM');
      await ended;
    });
    const said = await text(child.stdout);
    const [code] = await ended;
    if (code !== 0) throw new Error(`The part ${group.join(',')} ended with ${String(code)}`);
    reports.push([group, JSON.parse(said) as ControlPlaneReport]);
  }
  const each = (of: 'loads' | 'stolen') =>
    Object.assign(
      {},
      ...reports.flatMap(([group, report]) => group.map((part) => ({ [part]: report[of][part] }))),
    ) as ControlPlaneReport['loads'];
  return {
    ...(Object.assign({}, ...reports.map(([, report]) => report)) as ControlPlaneReport),
    loads: each('loads'),
    stolen: each('stolen'),
    seconds: reports.reduce((sum, [, { seconds }]) => sum + seconds, 0),
  };
}

/** @param parts what to measure; the others are left out */
export async function benchControlPlane(
  dir: string,
  quick: boolean,
  parts: ReadonlySet<ControlPlanePart>,
  say: (line: string) => void,
  keeper: Keeper,
): Promise<ControlPlaneReport> {
  const groups = GROUPS.map((group) => group.filter((part) => parts.has(part))).filter((group) => group.length > 0);
  if (groups.length > 1) return await apart(groups, quick, keeper);
  const started = performance.now();
  const plan = quick ? QUICK : FULL;
  const loads = { compile: 0, revoke: 0, exchange: 0, callback: 0, saml: 0, ingest: 0 };
  const stolen = { ...loads };
  const asked = async <T>(part: ControlPlanePart, work: () => Promise<T>): Promise<T | undefined> => {
    if (!parts.has(part)) return undefined;
    loads[part] = loadavg()[0]!;
    const before = machineTimes();
    const done = await work();
    const after = machineTimes();
    stolen[part] = (after.stolen - before.stolen) / (after.all - before.all);
    return done;
  };
  const wanted = (...some: readonly ControlPlanePart[]): boolean => some.some((part) => parts.has(part));
  let report: Partial<ControlPlaneReport> = {};
  if (wanted('compile')) {
    say('Bundles of a company');
    report = await on(path.join(dir, 'compile'), plan.content, say, keeper, async (ground) => ({
      ...report,
      compile: await asked('compile', () =>
        measureCompile(ground.url, ground.sql, ground.stack.admin, ground.projectId, ground.dir),
      ),
    }));
  }
  if (wanted('revoke')) {
    say(`Revocations at ${plan.agents} agents`);
    // A fifth of the company: what an agent holds is held by all of them in this one process.
    report = await on(path.join(dir, 'revoke'), SMALL, say, keeper, async (ground) => ({
      ...report,
      revoke: await asked('revoke', () => revocations(ground, plan)),
    }));
  }
  if (wanted('exchange', 'callback', 'saml', 'ingest')) {
    say(`Tokens and sign-ins, ${PER_SECOND} a second`);
    report = await on(path.join(dir, 'rates'), plan.content, say, keeper, async (ground) => ({
      ...report,
      ...(await rates(ground, plan, asked)),
    }));
  }
  return {
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, Linux ${release()}, Node ${process.version}`,
    quick,
    loads,
    stolen,
    ...report,
    seconds: (performance.now() - started) / 1_000,
  };
}

type Asked = <T>(part: ControlPlanePart, work: () => Promise<T>) => Promise<T | undefined>;

async function rates({ stack, sql, projectId }: Ground, plan: Plan, asked: Asked) {
  const { pid } = stack.controlPlane();
  const cpuMs = (): number => cpuMsOf(pid);
  const { admin } = stack;
  const { rest } = stack.dev;
  const exchange = await asked('exchange', () => measureExchange(sql, admin, rest, plan.requests, PER_SECOND, cpuMs));
  const callback = await asked('callback', async () => {
    const idp = await startIdp();
    const done = measureCallbacks(idp, admin, rest, plan.signIns, PER_SECOND, cpuMs);
    return await done.finally(() => idp.stop());
  });
  const saml = await asked('saml', () => measureSaml(admin, rest, plan.signIns, PER_SECOND, cpuMs));
  const ingest = await asked('ingest', () => measureIngest(sql, stack, projectId, plan.sessions * 20, cpuMs));
  return { exchange, callback, saml, ingest };
}
