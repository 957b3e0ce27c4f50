/**
 * The trail as the agent's parts see it: the spool, with the turn woken for every record, and a process that ends when the
 * trail is in doubt. Refuses to go on without a record.
 */
import type { Logger } from '@sallyport/core';
import type { TrailEvent } from '@sallyport/model';
import { Turn } from '@sallyport/relay';
import type { SessionKey } from '@sallyport/trail';
import type { Spool } from './spool/spool.ts';

/** What was recorded since the process started; for metrics. */
export interface TrailCounts {
  readonly verdicts: Readonly<Record<'allow' | 'deny' | 'hold', number>>;
  readonly sessions: number;
  readonly signInsFailed: number;
  /** Cells that masks changed. */
  readonly masked: number;
}

export class Trail {
  readonly turn: Turn;
  readonly #counts = { verdicts: { allow: 0, deny: 0, hold: 0 }, sessions: 0, signInsFailed: 0, masked: 0 };
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
    this.#count(event);
    this.turn.touch();
  }

  /** What already happened: kept in memory while the disk is full. */
  recordOutcome(event: TrailEvent, key?: SessionKey): void {
    try {
      this.#spool.recordOutcome(event, key);
      this.#count(event);
      this.turn.touch();
    } catch (error) {
      this.#log.error('an outcome could not be recorded: the trail is in doubt', { event: event.kind, error });
      this.#doubt();
    }
  }
  get counts(): TrailCounts {
    return this.#counts;
  }

  #count(event: TrailEvent): void {
    const counts = this.#counts;
    // By name: a key is looked up outside of compiled code.
    if (event.kind === 'statement.judged' && event.verdict === 'allow') counts.verdicts.allow++;
    else if (event.kind === 'statement.judged') counts.verdicts[event.verdict]++;
    else if (event.kind === 'statement.finished')
      for (let i = 0; i < event.outcomes.length; i++) counts.masked += event.outcomes[i]!.masked;
    else if (event.kind === 'session.opened') counts.sessions++;
    else if (event.kind === 'auth.failed') counts.signInsFailed++;
  }
}
