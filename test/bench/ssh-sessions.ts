/**
 * Many sessions on one agent: what an idle one costs in memory, and what many that do nothing and some that do something
 * cost together. Clients are light and in this process; each has a real sshd and a real `cat` behind the agent.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ExecClient } from '@sallyport/protocol-ssh/exec-client';
import { rssBytes } from './process-stat.ts';
import { type SshBench, type SshWay } from './ssh-ways.ts';

const AT_ONCE = 25;
const SETTLE_MS = 3_000;
const ACTIVE_MS = 15_000;
const EVERY_MS = 100;
const LINE = `${'x'.repeat(63)}\n`;

export interface SessionsMeasured {
  readonly idle: number;
  readonly active: number;
  readonly idleBytesEach: number;
  readonly mostRssBytes: number;
  readonly longestStallMs: number;
  readonly echoP99Ms: number;
  /** Lines that came back within the time. */
  readonly echoed: number;
}

export async function measureSessions(
  bench: SshBench,
  way: SshWay,
  idle: number,
  active: number,
): Promise<SessionsMeasured> {
  const { pid } = bench.stack.agent();
  const clients: ExecClient[] = [];
  try {
    // What the first sessions of a process cost is no session's.
    for (const one of await opened(bench, way, AT_ONCE * 2)) one.destroy();
    await sleep(SETTLE_MS);
    await bench.collectGarbage();
    const before = rssBytes(pid);
    clients.push(...(await opened(bench, way, idle)));
    await sleep(SETTLE_MS);
    await bench.collectGarbage();
    const idleBytesEach = (rssBytes(pid) - before) / idle;
    const busy = await opened(bench, way, active);
    clients.push(...busy);
    await sleep(SETTLE_MS);
    bench.stallMs();
    let mostRssBytes = 0;
    const echoes: number[] = [];
    const until = performance.now() + ACTIVE_MS;
    await Promise.all(
      busy.map(async (client, i) => {
        await sleep((i * EVERY_MS) / active);
        while (performance.now() < until) {
          const started = performance.now();
          const wanted = client.saidBytes + LINE.length;
          client.say(LINE);
          while (client.saidBytes < wanted && performance.now() < until + 5_000) await sleep(1);
          echoes.push(performance.now() - started);
          if (i === 0) mostRssBytes = Math.max(mostRssBytes, rssBytes(pid));
          await sleep(Math.max(0, EVERY_MS - (performance.now() - started)));
        }
      }),
    );
    await sleep(1_000);
    return {
      idle,
      active,
      idleBytesEach,
      mostRssBytes,
      longestStallMs: bench.stallMs(),
      echoP99Ms: echoes.toSorted((a, b) => a - b)[Math.floor(echoes.length * 0.99)] ?? 0,
      echoed: echoes.length,
    };
  } finally {
    for (const client of clients) client.destroy();
  }
}

/** @throws Error when one of them does not open within a minute */
async function opened(bench: SshBench, way: SshWay, count: number): Promise<readonly ExecClient[]> {
  const port = Number(bench.stack.dev.agent.ssh);
  const all: ExecClient[] = [];
  for (let from = 0; from < count; from += AT_ONCE) {
    const token = await bench.token(way);
    const some = Array.from(
      { length: Math.min(AT_ONCE, count - from) },
      () => new ExecClient(port, { user: way.host, token }),
    );
    all.push(...some);
    await Promise.all(
      some.map(async (client) => {
        const late = AbortSignal.timeout(60_000);
        await Promise.race([client.ready, sleep(60_000, undefined, { ref: false })]);
        client.begin('echo up; cat').catch(() => undefined);
        while (client.saidBytes === 0) {
          if (late.aborted) throw new Error('a session did not open within a minute');
          await sleep(10);
        }
      }),
    );
  }
  return all;
}
