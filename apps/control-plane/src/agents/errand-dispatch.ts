/**
 * Sends errands to the agents that are connected here, each to one process of its agent. Refuses to keep any: the rows
 * say what is open, and a replica that dies leaves them to the next.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Errands } from '../credentials/errands.service.ts';
import { Log } from '../http/problem.filter.ts';
import { Links } from './links.ts';

const LOOK_EVERY_MS = 1_000;

@Injectable()
export class ErrandDispatch implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;
  constructor(
    private readonly errands: Errands,
    private readonly links: Links,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => {
      this.#working ??= this.#send()
        .catch((error: unknown) => this.log.error('errands could not be sent', { error }))
        .finally(() => {
          this.#working = undefined;
        });
    }, LOOK_EVERY_MS);
    this.#timer.unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    await this.#working;
  }

  async #send(): Promise<void> {
    const agentIds = this.links.agentIds();
    if (agentIds.length === 0) return;
    for (const { agentId, errand } of await this.errands.dueFor(agentIds))
      this.links.sendOne(agentId, { errand: { errand: Buffer.from(JSON.stringify(errand)) } });
  }
}
