/**
 * Rotations that are due: passwords of stored credentials, by their own schedule. Any replica may start one; the row says
 * when it was last tried. Refuses to try one that went wrong again before a while has passed.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { systemActor } from '../acts/acts.ts';
import { Log } from '../http/problem.filter.ts';
import { Regularly } from '../regularly.ts';
import { SystemClock } from '../time.ts';
import { CredentialsRepository } from './credentials.repository.ts';
import { Errands } from './errands.service.ts';

const LOOK_EVERY_MS = 30_000;
const AGAIN_MS = 10 * 60_000;

@Injectable()
export class Rotation implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #regularly = new Regularly(
    () => this.#look(),
    (error: unknown) => this.log.error('due rotations could not be started', { error }),
  );
  constructor(
    private readonly repository: CredentialsRepository,
    private readonly errands: Errands,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#regularly.start(LOOK_EVERY_MS);
  }

  async onModuleDestroy(): Promise<void> {
    await this.#regularly.stop();
  }

  /** Starts what is due; one look at a time. */
  look(): Promise<void> {
    return this.#regularly.round();
  }

  async #look(): Promise<void> {
    await this.errands.cleanUp();
    const now = this.clock.now();
    for (const { id, project_id: projectId } of await this.repository.dueRotations(
      now,
      new Date(now.getTime() - AGAIN_MS),
    )) {
      const row = await this.repository.byId(id);
      if (row === null) continue;
      try {
        await this.errands.startRotation(systemActor(projectId, 'rotation'), row);
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        this.log.warn('a due rotation waits', { name: row.name, error });
      }
    }
  }
}
