/**
 * The trail as the agent's parts see it: the spool, with the turn woken for every record, and a process that ends when the
 * trail is in doubt. Refuses to go on without a record.
 */
import type { Logger } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import { Turn } from '@sallyport/relay';
import type { SessionKey } from '@sallyport/trail';
import type { Spool } from './spool/spool.ts';

export class Trail {
  readonly turn: Turn;
  readonly #spool: Spool;
  readonly #log: Logger;
  readonly #doubt: () => void;

  /** @param doubt the trail cannot be trusted any more: the process has to end */
  constructor(spool: Spool, log: Logger, doubt: () => void) {
    this.#spool = spool;
    this.#log = log;
    this.#doubt = doubt;
    this.turn = new Turn({ flush: () => spool.flush(), flushStrict: () => spool.flushStrict() });
  }

  /** The intent; nothing of this turn is forwarded when it does not reach the spool. @throws GatewayError `trail.unavailable` */
  record(event: TrailEvent, key?: SessionKey): void {
    this.#spool.record(event, key);
    this.turn.touch();
  }

  /** What already happened: kept in memory while the disk is full. */
  recordOutcome(event: TrailEvent, key?: SessionKey): void {
    try {
      this.#spool.recordOutcome(event, key);
      this.turn.touch();
    } catch (error) {
      this.#log.error('an outcome could not be recorded: the trail is in doubt', { event: event.kind, error });
      this.#doubt();
    }
  }
}
