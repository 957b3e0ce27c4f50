/**
 * The four measurements. Ways are taken in turn inside one round, and rounds repeat, so that what the machine does
 * beside us hits all alike; medians of rounds are reported.
 * Refuses to compare numbers of different runs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Driver, type DriverOptions } from './driver.ts';
import { cpuMs, rssBytes, withDescendants } from './process-stat.ts';
import { type PgbenchRun, runPgbench } from './programs.ts';

/** One way to the database. */
export interface Way {
  readonly name: string;
  /** The process between, whose CPU is counted; none for the direct way. */
  readonly pid?: number;
  /** How to sign in; asked for each time, since tokens are short-lived. */
  signIn(): Promise<DriverOptions>;
}

export type Cell<T> = T | { readonly failed: string };
const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
};
const percentile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
};
const cpuOf = (way: Way): number =>
  way.pid === undefined ? 0 : withDescendants(way.pid).reduce((sum, pid) => sum + cpuMs(pid), 0);

/** Waits until the process between has nothing left to do (it ships its record behind the traffic), at most three seconds. */
async function settle(way: Way): Promise<void> {
  if (way.pid === undefined) return;
  for (let i = 0; i < 15; i++) {
    const before = cpuOf(way);
    await sleep(200);
    if (cpuOf(way) - before <= 20) return;
  }
}

/** Runs `once` for each way in each round, order turned around every second round. A way that failed is not asked again. */
async function interleave<T>(
  ways: readonly Way[],
  rounds: number,
  once: (way: Way) => Promise<T>,
): Promise<Map<string, Cell<T[]>>> {
  const results = new Map<string, Cell<T[]>>(ways.map((way) => [way.name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
      const soFar = results.get(way.name);
      if (soFar === undefined || 'failed' in soFar) continue;
      try {
        soFar.push(await once(way));
      } catch (error) {
        results.set(way.name, { failed: error instanceof Error ? error.message : String(error) });
      }
    }
  }
  return results;
}

const mapCells = <T, U>(
  cells: Map<string, Cell<T[]>>,
  reduce: (values: readonly T[]) => U,
): Readonly<Record<string, Cell<U>>> =>
  Object.fromEntries([...cells].map(([name, cell]) => [name, Array.isArray(cell) ? reduce(cell) : cell]));

export interface Throughput {
  readonly tps: number;
  /** CPU of the process between, microseconds per transaction, what opening sessions costs left out; 0 for the direct way. */
  readonly cpuUs: number;
  /** CPU of the process between for one session with one transaction, from sign-in to the last byte of its record, in ms. */
  readonly sessionCpuMs: number;
}
export interface ThroughputRow {
  readonly mode: 'simple' | 'prepared';
  readonly clients: number;
  readonly ways: Readonly<Record<string, Cell<Throughput>>>;
}

/** pgbench -S at each number of clients, both protocols. `transactions` is what all clients of a run do together. */
export async function measureThroughput(
  ways: readonly Way[],
  options: { readonly transactions: number; readonly rounds: number; readonly clients: readonly number[] },
  say: (line: string) => void,
): Promise<readonly ThroughputRow[]> {
  const rows: ThroughputRow[] = [];
  for (const mode of ['simple', 'prepared'] as const) {
    say(`pgbench -S, ${mode}, warming up`);
    await interleave(ways, 1, async (way) => {
      await runPgbench({ ...(await way.signIn()), mode, clients: 8, each: Math.ceil(options.transactions / 8) });
      await settle(way);
    });
    for (const clients of options.clients) {
      say(`pgbench -S, ${mode}, ${clients} clients`);
      const each = Math.ceil(options.transactions / clients);
      const cells = await interleave(ways, options.rounds, async (way) => {
        const once = await cpuOfRun(way, { mode, clients, each: 1 });
        const all = await cpuOfRun(way, { mode, clients, each });
        const cpuUs = Math.max(0, ((all.cpuMs - once.cpuMs) * 1_000) / (clients * (each - 1)));
        return { tps: all.tps, cpuUs, sessionCpuMs: once.cpuMs / clients };
      });
      const medianOf = (all: readonly Throughput[], of: keyof Throughput): number => median(all.map((one) => one[of]));
      rows.push({
        mode,
        clients,
        ways: mapCells(cells, (all) => ({
          tps: medianOf(all, 'tps'),
          cpuUs: medianOf(all, 'cpuUs'),
          sessionCpuMs: medianOf(all, 'sessionCpuMs'),
        })),
      });
    }
  }
  return rows;
}

/** One run and what it made the process between do, including what that does later: it counts as the run's. */
async function cpuOfRun(
  way: Way,
  run: Pick<PgbenchRun, 'mode' | 'clients' | 'each'>,
): Promise<{ readonly tps: number; readonly cpuMs: number }> {
  const signIn = await way.signIn();
  const before = cpuOf(way);
  const { tps } = await runPgbench({ ...signIn, ...run });
  await settle(way);
  return { tps, cpuMs: cpuOf(way) - before };
}

export interface Latency {
  readonly p50Us: number;
  readonly p99Us: number;
}

/** One client, one prepared point select at a time. */
export async function measureLatency(
  ways: readonly Way[],
  options: { readonly rounds: number; readonly queries: number },
): Promise<Readonly<Record<string, Cell<Latency>>>> {
  const drivers = new Map<string, Driver>();
  try {
    const cells = await interleave(ways, options.rounds + 1, async (way) => {
      let driver = drivers.get(way.name);
      const first = driver === undefined;
      if (driver === undefined) {
        driver = await Driver.open(await way.signIn());
        drivers.set(way.name, driver);
        await driver.prepare('select abalance from pgbench_accounts where aid = $1');
      }
      const times: number[] = [];
      for (let i = 0; i < options.queries; i++) {
        const started = process.hrtime.bigint();
        await driver.execute(1 + ((i * 7919) % 1_000_000));
        times.push(Number(process.hrtime.bigint() - started) / 1_000);
      }
      // The first round warms caches and compilers on every way.
      return first ? [] : times;
    });
    return mapCells(cells, (rounds) => ({
      p50Us: percentile(rounds.flat(), 0.5),
      p99Us: percentile(rounds.flat(), 0.99),
    }));
  } finally {
    for (const driver of drivers.values()) driver.close();
  }
}

export interface BigResult {
  readonly seconds: number;
  readonly mbPerSecond: number;
  readonly rows: number;
  /** CPU seconds of the process between. */
  readonly cpuSeconds: number;
}

/** Every row of the wide table, read and thrown away. */
export async function measureBigResult(
  ways: readonly Way[],
  rounds: number,
): Promise<Readonly<Record<string, Cell<BigResult>>>> {
  const cells = await interleave(ways, rounds, async (way) => {
    const driver = await Driver.open(await way.signIn());
    try {
      const cpuBefore = cpuOf(way);
      const started = performance.now();
      const { rows, bytes } = await driver.query('select * from wide');
      const seconds = (performance.now() - started) / 1_000;
      return { seconds, mbPerSecond: bytes / 1e6 / seconds, rows, cpuSeconds: (cpuOf(way) - cpuBefore) / 1_000 };
    } finally {
      driver.close();
    }
  });
  return mapCells(cells, (all) => ({
    seconds: median(all.map((one) => one.seconds)),
    mbPerSecond: median(all.map((one) => one.mbPerSecond)),
    rows: all[0]?.rows ?? 0,
    cpuSeconds: median(all.map((one) => one.cpuSeconds)),
  }));
}

/** Bytes of resident memory of a process and its children. */
export const residentBytes = (pid: number): number => withDescendants(pid).reduce((sum, one) => sum + rssBytes(one), 0);

/** Growth of resident memory per idle session, over `sessions` of them opened and left alone. */
export async function measurePerSession(way: Way, sessions: number): Promise<Cell<number>> {
  const drivers: Driver[] = [];
  try {
    // A few first, so that what is loaded at the first session is not counted.
    for (let i = 0; i < 10; i++) drivers.push(await Driver.open(await way.signIn()));
    await sleep(500);
    const before = residentBytes(way.pid!);
    const signIn = await way.signIn();
    for (let i = 0; i < sessions; i++) drivers.push(await Driver.open(signIn));
    await sleep(1_000);
    return (residentBytes(way.pid!) - before) / sessions;
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) };
  } finally {
    for (const driver of drivers) driver.close();
  }
}
