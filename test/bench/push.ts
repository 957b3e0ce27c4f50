/**
 * How long a change in REST takes until it is in force at the connected agent: the agent's own word for it.
 * Refuses to count the request's answer as the end.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from '../../scripts/stack/stack.ts';

const CHANGES = 20;
const GIVEN_UP_MS = 20_000;

export interface PushTimes {
  readonly p50Ms: number;
  readonly maxMs: number;
}

export async function measurePush(stack: Stack): Promise<PushTimes> {
  const revision = async (): Promise<number> =>
    ((await (await fetch(`${stack.dev.agent.health}/ready`)).json()) as { bundleRevision: number }).bundleRevision;
  const times: number[] = [];
  for (let i = 0; i < CHANGES; i++) {
    const before = await revision();
    const started = performance.now();
    await stack.admin.call('POST', '/v1/groups', { name: `pushed-${i}` });
    while ((await revision()) <= before) {
      if (performance.now() - started > GIVEN_UP_MS) throw new Error('a change did not come into force');
      await sleep(1);
    }
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  return { p50Ms: times[Math.floor(times.length / 2)]!, maxMs: times.at(-1)! };
}
