/**
 * What agents say of themselves again and again (seen, which bundle is in force or was refused), gathered from all links and
 * written as one statement: after a change every agent reports at once, and a write for each would hold up the change itself.
 * Refuses to keep anything back: who told it waits until it is written.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { SystemClock } from '../time.ts';
import { AgentsRepository } from './agents.repository.ts';

/** Only what was said. */
export interface AgentState {
  readonly bundleEpoch?: number;
  readonly bundleRevision?: number;
  /** Why the last bundle is not in force; null = it is. */
  readonly bundleError?: string | null;
  readonly lastSeenAt?: Date;
}

/** From the end of one write to the next. */
const GAP_MS = 100;

@Injectable()
export class AgentStates {
  #said = new Map<string, AgentState>();
  #next: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();
  /** Monotonic ms. */
  #earliest = 0;

  constructor(
    private readonly repository: AgentsRepository,
    private readonly clock: SystemClock,
  ) {}

  /** Resolves once it is written. */
  async note(agentId: string, state: AgentState): Promise<void> {
    this.#said.set(agentId, { ...this.#said.get(agentId), ...state });
    if (this.#next === undefined) {
      const next = this.#write(this.#last);
      this.#next = next;
      this.#last = next.catch(() => undefined);
    }
    await this.#next;
  }

  async #write(before: Promise<void>): Promise<void> {
    await before;
    const early = this.#earliest - this.clock.monotonicMs();
    if (early > 0) await sleep(early);
    const said = this.#said;
    this.#said = new Map();
    this.#next = undefined;
    try {
      await this.repository.noteStates(said);
    } finally {
      this.#earliest = this.clock.monotonicMs() + GAP_MS;
    }
  }
}
