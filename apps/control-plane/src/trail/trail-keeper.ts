/**
 * The regular rounds over the trail: acts are chained, checkpoints join the tree, heads are kept. Every replica runs it;
 * advisory locks let one work. Refuses to overlap with itself.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Log } from '../http/problem.filter.ts';
import { ControlChain } from './control-chain.ts';
import { Tree } from './tree.ts';

const ROUND_MS = 500;

@Injectable()
export class TrailKeeper implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  #tail: Promise<void> = Promise.resolve();
  #busy = false;
  constructor(
    private readonly chain: ControlChain,
    private readonly tree: Tree,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => {
      if (!this.#busy) void this.#enqueue(false);
    }, ROUND_MS);
    this.#timer.unref();
  }

  /** The acts of this process's last moments are chained and signed. */
  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#timer !== undefined) await this.#enqueue(true);
  }

  /** Chains and signs everything committed so far: before an export, so that it ends in a checkpoint and a head. */
  async sealNow(): Promise<void> {
    await this.#enqueue(true, true);
  }

  #enqueue(seal: boolean, loud = false): Promise<void> {
    const run = this.#tail.then(async () => {
      this.#busy = true;
      try {
        while ((await this.chain.round(seal)) > 0 && seal) continue;
        await this.tree.round();
      } catch (cause) {
        if (loud) throw cause;
        this.log.warn('the trail could not be brought forward; it is tried again', { cause });
      } finally {
        this.#busy = false;
      }
    });
    this.#tail = run.catch(() => undefined);
    return run;
  }
}
