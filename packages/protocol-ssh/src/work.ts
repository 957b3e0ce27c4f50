/**
 * What all channels of one signed-in session share: judging, notices of holds, the host, counters. Refuses to know channels.
 */
import { GatewayError } from '@sallyport/core';
import type { FileFacts, Statement } from '@sallyport/model';
import {
  admit,
  type HeldNotice,
  type Permit,
  Refusal,
  refuse,
  type SessionHost,
  type SignedIn,
} from '@sallyport/protocol-kit';
import { refusalText } from './deny.ts';
import { noteFile, Tally } from './record.ts';
import type { Upstream } from './upstream.ts';

export interface Waiter {
  /** The statement waits for a person. */
  held(notice: HeldNotice): void;
}

export interface Judged {
  readonly statement: Statement;
  readonly permit: Permit;
  readonly tally: Tally;
}

export class Work {
  readonly host: SessionHost;
  readonly signed: SignedIn;
  readonly upstream: Upstream;
  readonly #waiters = new Map<Statement, Waiter>();
  /** What runs on for long, to be asked about again when rules change. */
  readonly #running = new Map<Statement, (error: Refusal) => void>();
  #busy = 0;
  onIdle: ((idle: boolean) => void) | undefined;

  constructor(host: SessionHost, signed: SignedIn, upstream: Upstream) {
    this.host = host;
    this.signed = signed;
    this.upstream = upstream;
    signed.onHeld = (notice) => this.#waiters.get(notice.statement)?.held(notice);
  }

  /**
   * Judges; waits where the statement is held.
   * @throws Refusal, GatewayError `trail.unavailable`
   */
  async judge(statement: Statement, waiter: Waiter): Promise<Judged> {
    const ready = this.signed.ready?.();
    if (ready !== undefined) await ready;
    this.#waiters.set(statement, waiter);
    try {
      const permit = await admit(statement, this.signed.gate);
      return { statement, permit, tally: this.tally(statement) };
    } finally {
      this.#waiters.delete(statement);
    }
  }

  tally(statement: Statement): Tally {
    return new Tally(this.signed.statementNumber(statement), this.signed, this.host.monotonicUs());
  }

  /** Whoever asked is gone. */
  cancel(statement: Statement): void {
    if (this.#waiters.has(statement)) this.signed.cancelHeld('approval.cancelled', statement);
  }

  /** Our own no, on the record. */
  refuse(statement: Statement, rule: string, message: string): Refusal {
    return refuse(statement, this.signed.gate, 'policy.denied', rule, message);
  }

  /** @param statement absent: the one judged last */
  request(statement?: Statement): string {
    return `${this.signed.info.id}/${this.signed.statementNumber(statement)}`;
  }

  textOf(error: unknown, statement: Statement | undefined): string {
    if (!(error instanceof GatewayError)) this.host.log.error('a channel broke', { error });
    return refusalText(error, this.request(statement));
  }

  /** It goes on by itself: ended when another bundle forbids it. @returns to be called when it is over */
  running(statement: Statement, stop: (error: Refusal) => void): () => void {
    this.#running.set(statement, stop);
    this.busy(1);
    return () => {
      if (this.#running.delete(statement)) this.busy(-1);
    };
  }

  /** A file operation is over: what moved, and the digest of it where it moved from front to back. */
  fileEnded(tally: Tally, file: FileFacts, digest: string): void {
    noteFile(this.host.recorder, tally, file, digest);
    tally.finish(this.host.monotonicUs());
  }

  busy(by: 1 | -1): void {
    this.#busy += by;
    this.onIdle?.(this.#busy === 0);
  }

  get isBusy(): boolean {
    return this.#busy > 0 || this.#waiters.size > 0;
  }

  bundleChanged(): void {
    for (const [statement, stop] of this.#running) {
      const verdict = this.signed.gate.decide(statement);
      // A hold was answered when it began.
      if (verdict.kind === 'deny')
        stop(refuse(statement, this.signed.gate, verdict.code, verdict.rule, verdict.message));
    }
  }
}
