/**
 * What the Kubernetes bench measures, each by itself: wall time of lists, the agent's CPU for requests, commands and streams, its
 * memory for idle watches. Refuses to judge, and to start anything but clients: `kubernetes-ways.ts` has what they run on.
 */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { kubectls, run } from '@sallyport/testkit';
import { dial, KeptLine, requestBytes } from './kept-line.ts';
import { DIRECT, EVERYTHING, type KubeBench, type KubeWay, PLAIN } from './kubernetes-ways.ts';
import { cpuMs, rssBytes, withDescendants } from './process-stat.ts';

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

const used = ({ stack }: KubeBench): number =>
  withDescendants(stack.agent().pid).reduce((sum, pid) => sum + cpuMs(pid), 0);

/**
 * CPU milliseconds of what the agent does for `act`, its record sealed and shipped: less what it uses by itself meanwhile, which
 * is much where a busy machine draws a measurement out.
 */
async function cpuOf(bench: KubeBench, act: () => Promise<unknown>): Promise<number> {
  await settle(bench);
  const [before, started] = [used(bench), performance.now()];
  await act();
  await settle(bench);
  return Math.max(0, used(bench) - before - bench.idleShare * (performance.now() - started));
}

/** What the agent still does for what it let through: its record is sealed and shipped behind the traffic. */
async function settle(bench: KubeBench): Promise<void> {
  for (let i = 0; i < 15; i++) {
    const before = used(bench);
    await sleep(200);
    if (used(bench) - before <= 20) return;
  }
}

export async function measureIdle(bench: KubeBench): Promise<void> {
  await settle(bench);
  const before = used(bench);
  await sleep(5_000);
  bench.idleShare = (used(bench) - before) / 5_000;
}

async function interleaved(
  bench: KubeBench,
  names: readonly string[],
  rounds: number,
  once: (way: KubeWay) => Promise<number>,
): Promise<Readonly<Record<string, number>>> {
  const kept = new Map<string, number[]>();
  const ways = bench.ways.filter(({ name }) => names.includes(name));
  for (let round = 0; round <= rounds; round++) {
    await bench.renew();
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
      const value = await once(way);
      // The first round warms up.
      if (round > 0) kept.set(way.name, [...(kept.get(way.name) ?? []), value]);
    }
  }
  return Object.fromEntries([...kept].map(([name, values]) => [name, median(values)]));
}

export const listSeconds = (
  bench: KubeBench,
  kind: string,
  rounds: number,
): Promise<Readonly<Record<string, number>>> =>
  interleaved(bench, [DIRECT, PLAIN, EVERYTHING], rounds, async ({ kubeconfig, name }) => {
    const started = performance.now();
    const { code, stderr } = await run(kubectls[0]!.program, ['--kubeconfig', kubeconfig, 'get', kind, '-o', 'json'], {
      env: { HOME: path.dirname(kubeconfig) },
      timeoutMs: 120_000,
    });
    if (code !== 0) throw new Error(`${name}: ${stderr}`);
    return (performance.now() - started) / 1_000;
  });

/** Eight kept connections, one request after another on each. */
export const requestCpu = (bench: KubeBench, count: number): Promise<Readonly<Record<string, number>>> =>
  interleaved(bench, [PLAIN, EVERYTHING], 3, async ({ base, prefix, token }) => {
    const headers = { authorization: `Bearer ${token()}`, accept: 'application/json' };
    const target = { base, path: `${prefix}/api/v1/namespaces/bench/pods/app-0`, headers };
    const lines = await Promise.all(Array.from({ length: 8 }, () => KeptLine.open(target)));
    await Promise.all(lines.map((line) => line.ask()));
    const cpu = await cpuOf(bench, () =>
      Promise.all(
        lines.map(async (line) => {
          for (let i = 0; i < count / 8; i++) await line.ask();
        }),
      ),
    );
    for (const line of lines) line.close();
    return cpu / count;
  });

const execPath = (command: readonly string[]): string =>
  `/api/v1/namespaces/bench/pods/web/exec?container=main&stdout=true&stderr=true${command.map((word) => `&command=${encodeURIComponent(word)}`).join('')}`;

/** A command by WebSocket, read to the end of its connection. @returns bytes of its frames */
async function exec({ base, prefix, token }: KubeWay, command: readonly string[]): Promise<number> {
  const socket = await dial(base);
  const headers = {
    authorization: `Bearer ${token()}`,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': randomBytes(16).toString('base64'),
    'sec-websocket-protocol': 'v5.channel.k8s.io',
  };
  socket.write(requestBytes({ base, path: prefix + execPath(command), headers }));
  let first: Buffer | undefined;
  let bytes = 0;
  const end = Promise.withResolvers<void>();
  socket.on('data', (chunk: Buffer) => {
    first ??= chunk;
    bytes += chunk.length;
    // The close frame, empty or with a code: the server's last word.
    const at = chunk.length >= 4 && chunk[chunk.length - 4] === 0x88 ? chunk.length - 4 : chunk.length - 2;
    if (chunk[at] === 0x88) end.resolve();
  });
  socket.once('close', end.resolve);
  socket.once('error', end.reject);
  try {
    await end.promise;
  } finally {
    socket.destroy();
  }
  const head = first?.toString('latin1') ?? '';
  if (!head.startsWith('HTTP/1.1 101')) throw new Error(head.slice(0, 2_000));
  return bytes;
}

/** Four at a time, each on a connection of its own. */
async function execs(way: KubeWay, count: number): Promise<void> {
  let left = count;
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      while (left-- > 0) await exec(way, ['true']);
    }),
  );
}

export const execCpu = (bench: KubeBench, count: number): Promise<Readonly<Record<string, number>>> =>
  interleaved(bench, [PLAIN, EVERYTHING], 2, async (way) => (await cpuOf(bench, () => execs(way, count))) / count);

/** Until what commands need is compiled: the first hundreds of an agent take half as much again. */
export async function warmExec(bench: KubeBench, count: number): Promise<void> {
  await bench.renew();
  for (const way of bench.ways) if (way.name === PLAIN || way.name === EVERYTHING) await execs(way, count / 2);
}

/** Lines of a log, as what is read by people mostly is. */
const LINE = '2026-11-21T12:00:00.000Z INFO  request done method=GET path=/v1/things/42 status=200 took=12ms\n';

export async function streamRate(bench: KubeBench, megabytes: number): Promise<Readonly<Record<string, number>>> {
  writeFileSync(path.join(bench.cluster.folder, 'big'), LINE.repeat(Math.ceil((megabytes * 1e6) / LINE.length)));
  return interleaved(bench, [PLAIN, EVERYTHING], 2, async (way) => {
    let bytes = 0;
    const cpu = await cpuOf(bench, async () => {
      bytes = await exec(way, ['cat', 'big']);
    });
    if (bytes < megabytes * 1e6) throw new Error(`${way.name}: ${bytes} bytes came`);
    return bytes / 1e3 / cpu;
  });
}

const IDLE = 'api/v1/namespaces/bench/configmaps?watch=true&timeoutSeconds=3600&labelSelector=none%3Dnone';
/** Watches of one connection over HTTP/2, as a program with a few informers has them. */
export const TOGETHER = 10;

/** Growth of the agent for each watch, garbage gone. @param together on one connection over HTTP/2; 1 = each by itself, over HTTP/1.1 */
export async function watchBytes(bench: KubeBench, count: number, together: number): Promise<number> {
  const way = bench.ways.find(({ name }) => name === PLAIN)!;
  const closes: (() => void)[] = [];
  const once = (): Promise<void> => (together === 1 ? watchAlone(way, closes) : watchTogether(way, together, closes));
  // A machine that stood still for seconds lets waits for the API server run out.
  const open = (): Promise<void> => once().catch(() => once());
  const openAll = async (many: number): Promise<void> => {
    for (let left = many / together; left > 0; left -= AT_ONCE)
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, left) }, open));
    await sleep(3_000);
    await bench.collectGarbage();
  };
  const { pid } = bench.stack.agent();
  try {
    // What the first of a process cost is no watch's.
    await openAll(5 * TOGETHER);
    const before = rssBytes(pid);
    await openAll(count);
    return (rssBytes(pid) - before) / count / 1024;
  } finally {
    for (const close of closes) close();
  }
}
const AT_ONCE = 25;

export async function watchAlone({ base, prefix, token }: KubeWay, closes: (() => void)[]): Promise<void> {
  const socket = await dial(base);
  closes.push(() => socket.destroy());
  socket.write(requestBytes({ base, path: `${prefix}/${IDLE}`, headers: { authorization: `Bearer ${token()}` } }));
  const head = await new Promise<string>((resolve) => {
    socket.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1')));
    socket.once('close', () => resolve('the connection was closed'));
  });
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(head.slice(0, 2_000));
}

export async function watchTogether(
  { base, prefix, token }: KubeWay,
  together: number,
  closes: (() => void)[],
): Promise<void> {
  const session = http2.connect(base, { rejectUnauthorized: false });
  closes.push(() => session.destroy());
  const headers = { ':path': `${prefix}/${IDLE}`, authorization: `Bearer ${token()}` };
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const stream = session.request(headers);
      stream.once('response', ({ ':status': status }) =>
        status === 200 ? resolve() : reject(new Error(String(status))),
      );
      stream.once('error', reject);
      stream.resume();
    });
  await Promise.all(Array.from({ length: together }, one));
}
