/**
 * The turn: upstream bytes queued while the event loop works through its ready sockets leave together in its check phase,
 * after everything recorded in that turn was written to the spool in one call (DESIGN section 3, LIMITS.md section 7).
 * Refuses to know what was recorded. A flush that fails forwards nothing.
 */
import { GatewayError } from '@sallyport/core';

/** How the turn's records reach the kernel (or the disk); given by the agent. */
export interface TurnRecords {
  /** Writes everything recorded since the last call. @throws GatewayError `trail.unavailable` */
  flush(): void;
  /** Resolves when everything recorded so far is on the disk. @throws GatewayError `trail.unavailable` */
  flushStrict(): Promise<void>;
}

/** A queue of upstream bytes that takes part in a turn. */
export interface TurnMember {
  /** Forward only what is on the disk, not merely in the kernel. */
  readonly strict: boolean;
  /** Hands over what was queued in this turn; called once at its end. */
  take(): readonly Buffer[];
  /** The records are safe: the taken bytes leave. In order of taking. */
  forward(batch: readonly Buffer[]): void;
  /** The records are not safe: nothing taken is sent, the session ends. */
  refuse(error: GatewayError): void;
}

export class Turn {
  readonly #records: TurnRecords;
  #members: TurnMember[] = [];
  #scheduled = false;

  constructor(records: TurnRecords) {
    this.#records = records;
  }

  /** Makes sure that this turn ends with a flush. Called for every record, also of what is not forwarded. */
  touch(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#end);
  }

  /** `member` has bytes queued; called once per member and turn. */
  join(member: TurnMember): void {
    this.#members.push(member);
    this.touch();
  }

  /** Ends the turn at once; for shutdown. */
  endNow(): void {
    this.#end();
  }

  readonly #end = (): void => {
    this.#scheduled = false;
    const members = this.#members;
    this.#members = [];
    try {
      this.#records.flush();
    } catch (error) {
      const refused = asGatewayError(error);
      for (const member of members) member.refuse(refused);
      return;
    }
    let strict: Taken[] | undefined;
    for (const member of members) {
      if (member.strict) (strict ??= []).push({ member, batch: member.take() });
      else member.forward(member.take());
    }
    if (strict !== undefined) void this.#forwardStrict(strict);
  };

  // One promise a turn, not one a statement: they resolve in the order of the turns, which keeps each member's order.
  async #forwardStrict(taken: readonly Taken[]): Promise<void> {
    try {
      await this.#records.flushStrict();
    } catch (error) {
      const refused = asGatewayError(error);
      for (const { member } of taken) member.refuse(refused);
      return;
    }
    for (const { member, batch } of taken) member.forward(batch);
  }
}

interface Taken {
  readonly member: TurnMember;
  readonly batch: readonly Buffer[];
}

const asGatewayError = (error: unknown): GatewayError =>
  error instanceof GatewayError ? error : new GatewayError('trail.unavailable', {}, { cause: error });
