/**
 * Sends errands to the agents that are connected here, each to one process of its agent. Refuses to keep any: the rows
 * say what is open, and a replica that dies leaves them to the next.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Errands } from '../credentials/errands.service.ts';
import { Log } from '../http/problem.filter.ts';
import { Regularly } from '../regularly.ts';
import { Links } from './links.ts';

const LOOK_EVERY_MS = 1_000;

@Injectable()
export class ErrandDispatch implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #regularly = new Regularly(
    () => this.#send(),
    (error: unknown) => this.log.error('errands could not be sent', { error }),
  );
  constructor(
    private readonly errands: Errands,
    private readonly links: Links,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#regularly.start(LOOK_EVERY_MS);
  }

  async onModuleDestroy(): Promise<void> {
    await this.#regularly.stop();
  }

  async #send(): Promise<void> {
    const agentIds = this.links.agentIds();
    if (agentIds.length === 0) return;
    for (const { agentId, errand } of await this.errands.dueFor(agentIds))
      this.links.sendOne(agentId, { errand: { errand: Buffer.from(JSON.stringify(errand)) } });
  }
}
