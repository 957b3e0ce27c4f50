/**
 * Many sessions on one agent: what an idle one costs in memory, and what many that do nothing and some that do something
 * cost together. Clients are light and in this process; each has a real sshd and a real `cat` behind the agent. Ends by
 * itself: what is not open when its time is up is left out, and the result says how many there were.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ExecClient } from '@sallyport/protocol-ssh/exec-client';
import { rssBytes } from './process-stat.ts';
import type { SshBench, SshWay, Stall } from './ssh-ways.ts';

/** Handshakes at a time: more would only queue for the processors, behind sshd's own forks. */
const AT_ONCE = 12;
const OPENING_MS_MAX = 180_000;
const SETTLE_MS = 3_000;
const ACTIVE_MS = 12_000;
const EVERY_MS = 100;
const LINE = `${'x'.repeat(63)}\n`;

export interface SessionsMeasured {
  /** As many as were open, and as many as were asked for. */
  readonly idle: number;
  readonly active: number;
  readonly wanted: number;
  readonly openedMs: number;
  /** Of an idle session: what the agent uses more, and what is resident more. */
  readonly usedBytesEach: number;
  readonly rssBytesEach: number;
  readonly mostRssBytes: number;
  readonly stall: Stall;
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
    for (const one of await opened(bench, way, AT_ONCE * 2, Date.now() + 30_000)) one.destroy();
    await sleep(SETTLE_MS);
    const before = await bench.memory();
    const began = Date.now();
    const until = began + OPENING_MS_MAX;
    // Room is kept for those that shall do something.
    const silent = await opened(bench, way, idle, began + (OPENING_MS_MAX * idle) / (idle + active));
    clients.push(...silent);
    const openedMs = Date.now() - began;
    await sleep(SETTLE_MS);
    const after = await bench.memory();
    const busy = await opened(bench, way, active, Math.max(until, Date.now() + 15_000));
    clients.push(...busy);
    if (silent.length === 0 || busy.length === 0) throw new Error('no session opened in time');
    await sleep(SETTLE_MS);
    bench.stall();
    const { echoes, mostRssBytes } = await typing(busy, pid);
    await sleep(1_000);
    return {
      idle: silent.length,
      active: busy.length,
      wanted: idle + active,
      openedMs,
      usedBytesEach: (after.used - before.used) / silent.length,
      rssBytesEach: (after.rss - before.rss) / silent.length,
      mostRssBytes,
      stall: bench.stall(),
      echoP99Ms: echoes.toSorted((a, b) => a - b)[Math.floor(echoes.length * 0.99)] ?? 0,
      echoed: echoes.length,
    };
  } finally {
    for (const client of clients) client.destroy();
  }
}

/** Each says a line every tenth of a second, and waits until it comes back. */
async function typing(
  busy: readonly ExecClient[],
  pid: number,
): Promise<{ readonly echoes: readonly number[]; readonly mostRssBytes: number }> {
  let mostRssBytes = rssBytes(pid);
  const echoes: number[] = [];
  const until = performance.now() + ACTIVE_MS;
  const late = sleep(ACTIVE_MS + 5_000);
  await Promise.all(
    busy.map(async (client, i) => {
      await sleep((i * EVERY_MS) / busy.length);
      while (performance.now() < until) {
        const started = performance.now();
        const heard = client.heard(client.saidBytes + LINE.length);
        client.say(LINE);
        await Promise.race([heard, late]);
        echoes.push(performance.now() - started);
        if (i === 0) mostRssBytes = Math.max(mostRssBytes, rssBytes(pid));
        await sleep(Math.max(0, EVERY_MS - (performance.now() - started)));
      }
    }),
  );
  return { echoes, mostRssBytes };
}

/** As many as open until then, a few at a time. */
async function opened(bench: SshBench, way: SshWay, count: number, until: number): Promise<readonly ExecClient[]> {
  const port = Number(bench.stack.dev.agent.ssh);
  const open: ExecClient[] = [];
  let token = await bench.token(way);
  let asked = Date.now();
  let begun = 0;
  const openSome = async (): Promise<void> => {
    while (begun < count && Date.now() < until) {
      begun++;
      // Tokens live for minutes.
      if (Date.now() - asked > 60_000) {
        asked = Date.now();
        token = await bench.token(way);
      }
      const client = new ExecClient(port, { user: way.host, token, keeps: false });
      const up = async (): Promise<boolean> => {
        await client.ready;
        client.begin('echo up; cat').catch(() => undefined);
        await client.heard(3);
        return true;
      };
      const gone = client.closed().then(() => false);
      const late = sleep(Math.max(1_000, until - Date.now()), false, { ref: false });
      if (await Promise.race([up(), gone, late])) open.push(client);
      else client.destroy();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, openSome));
  return open;
}
