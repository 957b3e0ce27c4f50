/**
 * Many agents in one process: each enrolled, on a mutual-TLS link of its own, and each taking bundles by the agent's own code:
 * verified, read, swapped, kept on disk. They guard nothing; what a session of theirs would be told is asked of the engine.
 */
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Rest } from '../../scripts/stack/rest.ts';
import { type AgentBundles, agentParts } from './control-plane-parts.ts';

const GIVEN_UP_MS = 60_000;

export interface BenchLink {
  readonly name: string;
  readonly bundles: AgentBundles;
  /** Bytes of the messages that came. */
  received(): number;
  /** Of the last swap: ms since its manifest came. */
  swapMs(): number;
  /**
   * When that is so of what is in force.
   * @returns performance.now() of the swap @throws Error after a minute
   */
  until(holds: (now: NonNullable<AgentBundles['current']>) => boolean): Promise<number>;
  close(): Promise<void>;
}

/** @param dir for the bundles they keep */
export async function openLinks(
  count: number,
  dir: string,
  admin: Rest,
  nameOf: (i: number) => string,
): Promise<readonly BenchLink[]> {
  const parts = await agentParts();
  const links: BenchLink[] = [];
  for (let i = 0; i < count; i++) {
    const name = nameOf(i);
    const body = { name, names: ['127.0.0.1'] };
    const { joinToken } = await admin.call<{ joinToken: string }>('POST', '/v1/agents/join-tokens', body);
    links.push(await openLink(name, joinToken, mkdtempSync(path.join(dir, `${name}-`)), parts));
  }
  await Promise.all(links.map((link) => link.until(() => true)));
  return links;
}

async function openLink(
  name: string,
  joinToken: string,
  dataDir: string,
  parts: Awaited<ReturnType<typeof agentParts>>,
): Promise<BenchLink> {
  const waiting = new Set<() => void>();
  let received = 0;
  let swappedAt = 0;
  let offeredAt = 0;
  let failed: Error | undefined;
  const tell = (): void => {
    for (const look of waiting) look();
  };
  const { bundles, link } = await parts.open(joinToken, dataDir, {
    message: (bytes, body) => {
      received += bytes;
      if (body === 'manifest') offeredAt = performance.now();
    },
    applied: () => {
      swappedAt = performance.now();
      tell();
    },
    refused: (error) => {
      failed = error;
      tell();
    },
  });
  return {
    name,
    bundles,
    received: () => received,
    swapMs: () => swappedAt - offeredAt,
    until: (holds) =>
      new Promise((resolve, reject) => {
        const end = (error?: Error): void => {
          clearTimeout(timer);
          waiting.delete(look);
          if (error === undefined) resolve(swappedAt);
          else reject(error);
        };
        const look = (): void => {
          if (failed !== undefined) end(failed);
          else if (bundles.current !== undefined && holds(bundles.current)) end();
        };
        const timer = setTimeout(() => end(new Error(`${name}: nothing came within a minute`)), GIVEN_UP_MS);
        waiting.add(look);
        look();
      }),
    close: () => link.stop(),
  };
}
