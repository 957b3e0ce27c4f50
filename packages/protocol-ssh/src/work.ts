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
import { ContentScan } from './mask.ts';
import { recordFile, Tally } from './record.ts';
import type { Upstream } from './upstream.ts';

export interface Waiter {
  /** The statement waits for a person. */
  held(notice: HeldNotice): void;
}

/** A stream that holds something back. */
export interface Holding {
  /** Nothing came for a moment. @returns true when it still holds something */
  quiet(): boolean;
  /** Other masks may be in force. */
  remask(): void;
  /** The session is ended from outside. */
  terminate?(): void;
}

/** A masked stream waits so long for what follows; less than a keystroke's echo is noticed after. */
const QUIET_MS = 15;

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
  /** Masked streams that hold something back. */
  readonly #holding = new Set<Holding>();
  readonly #streams = new Set<Holding>();
  #quietSet = false;
  readonly #recorded = new Set<() => void>();

  constructor(host: SessionHost, signed: SignedIn, upstream: Upstream) {
    this.host = host;
    this.signed = signed;
    this.upstream = upstream;
    host.recorder.onDrained = () => {
      for (const caughtUp of this.#recorded) caughtUp();
    };
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

  /** What runs is told to end: an sshd does not end a command because its connection is gone. */
  terminate(): void {
    for (const stream of this.#streams) stream.terminate?.();
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

  /** For a file that leaves; undefined where nothing is looked for. */
  contentScan(): ContentScan | undefined {
    const detect = this.signed.resource.ssh?.downloadDetect ?? [];
    return detect.length === 0 ? undefined : new ContentScan(detect);
  }

  /** A file operation is over: what moved, and the digest of it where it moved from front to back. */
  fileEnded(tally: Tally, file: FileFacts, digest: string): void {
    recordFile(this.host.recorder, tally, file, digest);
    tally.finish(this.host.monotonicUs());
  }

  busy(by: 1 | -1): void {
    this.#busy += by;
  }

  get isBusy(): boolean {
    return this.#busy > 0 || this.#waiters.size > 0;
  }

  /** Asked to let go what need not wait, soon. */
  holds(holding: Holding): void {
    this.#holding.add(holding);
    if (this.#quietSet) return;
    this.#quietSet = true;
    this.host.timers.set('mask', QUIET_MS);
  }

  /** The deadline of `holds` has come. */
  quiet(): void {
    this.#quietSet = false;
    // What still waits is asked at the next deadline, not in this round.
    const due = [...this.#holding];
    this.#holding.clear();
    for (const holding of due) if (holding.quiet()) this.holds(holding);
  }

  /** @returns to be called at its end */
  stream(stream: Holding): () => void {
    this.#streams.add(stream);
    return () => {
      this.#streams.delete(stream);
      this.#holding.delete(stream);
    };
  }

  /** @param caughtUp the record is not behind any more @returns to be called at the end */
  recorded(caughtUp: () => void): () => void {
    this.#recorded.add(caughtUp);
    return () => void this.#recorded.delete(caughtUp);
  }

  bundleChanged(): void {
    for (const stream of this.#streams) stream.remask();
    for (const [statement, stop] of this.#running) {
      const verdict = this.signed.gate.decide(statement);
      // A hold was answered when it began.
      if (verdict.kind === 'deny')
        stop(refuse(statement, this.signed.gate, verdict.code, verdict.rule, verdict.message));
    }
  }
}
