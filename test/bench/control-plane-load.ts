/**
 * Requests in an open loop: each starts when its time has come, whether or not earlier ones are answered, and its latency
 * counts from then. So a server that falls behind is not measured at the pace it can keep.
 */
import { Agent, request } from 'node:http';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Shot {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** What the same browser asks for once it has this answer; timed with it. */
  readonly next?: Shot;
}

export interface LoadResult {
  readonly perSecond: number;
  readonly count: number;
  /** Answers that were not what was wanted, by status. */
  readonly wrong: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Of the server's process, for each request. */
  readonly cpuMs: number;
}

/** An address to be said by a proxy in front, since limits are per address; the control plane believes it here. */
export const addressOf = (i: number): string =>
  `10.${1 + (Math.floor(i / 62_500) % 250)}.${Math.floor(i / 250) % 250}.${1 + (i % 250)}`;

/** @param shots one after another @param wanted status of a good answer @param cpuMs what the server's process has used so far */
export async function openLoop(
  shots: readonly Shot[],
  perSecond: number,
  wanted: number,
  cpuMs: () => number,
): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true });
  const times: number[] = [];
  const wrong: Record<string, number> = {};
  const cpuBefore = cpuMs();
  const started = performance.now();
  const running: Promise<void>[] = [];
  for (const [i, shot] of shots.entries()) {
    const due = started + (i * 1_000) / perSecond;
    const early = due - performance.now();
    if (early > 0.5) await sleep(early);
    running.push(
      fire(shot, agent).then((status) => {
        times.push(performance.now() - due);
        if (status !== String(wanted)) wrong[status] = (wrong[status] ?? 0) + 1;
      }),
    );
  }
  await Promise.all(running);
  agent.destroy();
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))]!;
  return {
    perSecond,
    count: times.length,
    wrong,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    cpuMs: (cpuMs() - cpuBefore) / times.length,
  };
}

async function fire(shot: Shot, agent: Agent): Promise<string> {
  const status = await ask(shot, agent);
  return shot.next === undefined || !status.startsWith('3') ? status : await fire(shot.next, agent);
}

function ask({ method, url, headers, body }: Shot, agent: Agent): Promise<string> {
  return new Promise((resolve) => {
    const sent = request(url, { method, agent, headers: { ...headers } }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(String(answer.statusCode)));
    });
    sent.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    sent.end(body);
  });
}
