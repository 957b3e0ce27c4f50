/**
 * What both directions of one signed-in session share: the server's state as far as it is known, and the way to the peers.
 * Refuses to parse; requests.ts reads the client, answers.ts reads the server.
 * Back-pressure: a slow client pauses the server, a slow server pauses the client, a slow recording pauses who sends data.
 */
import { OWN_PERMIT, type Permit, type SessionHost, type SignedIn } from '@sallyport/protocol-kit';
import type { ParsePool } from '@sallyport/sql';
import { Catalog } from './catalog.ts';
import { CopyIn, copyInKeeps } from './copy-in.ts';
import { type Entry, Flight } from './flight.ts';
import type { Meaning } from './meaning.ts';
import type { TransactionStatus } from './messages.ts';
import { Mirror, stepBack, type Tally } from './mirror.ts';
import { finish } from './record.ts';
import { Transaction } from './transaction.ts';

export class Road {
  readonly host: SessionHost;
  readonly signed: SignedIn;
  readonly pool: ParsePool;
  /** The server's. */
  readonly major: number;
  /** Its database's encoding is UTF-8. */
  readonly utf8: boolean;
  /** Who the session is to the server. */
  readonly account: string | undefined;
  readonly flight = new Flight();
  readonly mirror = new Mirror();
  readonly catalog = new Catalog();
  readonly transaction = new Transaction(this);
  /** As the last ReadyForQuery said. */
  status: TransactionStatus = 'I';
  /** The transaction wrote, as far as it was judged. */
  wrote = false;
  /** DDL went to the server and its transaction has not ended. */
  changedSchema = false;
  /** What texts mean something by, beside what the sign-in is for. */
  readonly meaning: Meaning;
  /** A BEGIN is on its way. */
  beginning = false;
  /** The server ignores what comes until the next Sync, which has not been sent. */
  skipping = false;
  /** While the server waits for the client's COPY data: on its way into the recording. */
  copyIn: CopyIn | undefined;
  /** Messages of a pipeline went to the server and no Sync behind them: it may hold an implicit transaction open. */
  unsynced = false;
  /** Counts bundles, so that a judgement can tell whether it is of the one in force. */
  bundleSerial = 0;
  /** Counts the client's Syncs and simple queries. */
  segment = 0;

  #clientSlow = false;
  #recorderSlow = false;
  #serverSlow = false;
  #queueLong = false;

  constructor(
    host: SessionHost,
    signed: SignedIn,
    pool: ParsePool,
    server: Pick<Road, 'major' | 'utf8' | 'account' | 'meaning'>,
  ) {
    this.host = host;
    this.signed = signed;
    this.pool = pool;
    this.major = server.major;
    this.utf8 = server.utf8;
    this.account = server.account;
    this.meaning = server.meaning;
    host.recorder.onDrained = () => {
      this.#recorderSlow = false;
      if (!this.#clientSlow) host.upstream.resume();
      this.#resumeClient();
    };
  }

  /** Bytes for the client; lent for the call. */
  toClient(bytes: Uint8Array): void {
    if (this.host.client.write(bytes) || this.#clientSlow) return;
    this.#clientSlow = true;
    this.host.upstream.pause();
  }

  /** Bytes for the server, with the permit of the statement they belong to. */
  toServer(permit: Permit, bytes: Uint8Array): void {
    if (this.host.upstream.send(permit, bytes) || this.#serverSlow) return;
    this.#serverSlow = true;
    this.host.client.pause();
  }

  /** The gateway's own constant messages. */
  ownToServer(bytes: Uint8Array): void {
    this.toServer(OWN_PERMIT, bytes);
  }

  clientDrained(): void {
    this.#clientSlow = false;
    if (!this.#recorderSlow) this.host.upstream.resume();
  }

  upstreamDrained(): void {
    this.#serverSlow = false;
    this.#resumeClient();
  }

  #resumeClient(): void {
    if (!this.#serverSlow && !this.#queueLong && !(this.#recorderSlow && this.copyIn !== undefined))
      this.host.client.resume();
  }

  /** Too much of the client's waits behind a statement that is held or described. */
  queueIsLong(isLong: boolean): void {
    if (this.#queueLong === isLong) return;
    this.#queueLong = isLong;
    if (isLong) this.host.client.pause();
    else this.#resumeClient();
  }

  checkRecorder(): void {
    if (!this.host.recorder.saturated) return;
    if (!this.#recorderSlow) {
      this.#recorderSlow = true;
      this.host.upstream.pause();
    }
    if (this.copyIn !== undefined) this.host.client.pause();
  }

  /** The server waits for data of this statement. */
  beginCopyIn(tally: Tally, isText: boolean): void {
    this.copyIn = new CopyIn(this.host.recorder, tally.number, copyInKeeps(tally.guard, isText));
  }

  /** @param complete the client sent all it had */
  endCopyIn(complete: boolean): void {
    const ended = this.copyIn;
    if (ended === undefined) return;
    this.copyIn = undefined;
    ended.end(complete);
    this.#resumeClient();
  }

  finish(tally: Tally): void {
    finish(tally, this.signed, this.host.monotonicUs());
  }

  /** The server did what was asked. */
  confirm(item: Entry): void {
    const { bound } = item;
    if (bound !== undefined) {
      const { before } = bound;
      bound.confirmed = true;
      bound.before = undefined;
      // Rows that were left to fetch are gone with the portal of that name.
      if (before?.started === true && before.tally !== undefined) this.finish(before.tally);
    }
    item.confirm?.();
  }

  /** It did not: `skipped` because of an earlier error, or failed by itself. */
  stepBack(item: Entry, skipped: boolean): void {
    const { bound } = item;
    if (bound !== undefined) stepBack(this.mirror.portals, bound.name, bound, skipped || bound.name !== '');
    item.undo?.(skipped);
  }

  /** What a server skipped, or failed: newest first, so that each step back finds what the step before left. */
  undo(entries: readonly Entry[], error: string): void {
    for (let i = entries.length - 1; i >= 0; i--) this.stepBack(entries[i]!, true);
    for (const { tally } of entries) {
      if (tally === undefined) continue;
      tally.error = error;
      this.finish(tally);
    }
  }

  /** Ends every open outcome; the session is over. */
  close(error: string): void {
    this.copyIn?.end(false);
    this.copyIn = undefined;
    for (const item of this.flight) {
      if (item.tally === undefined) continue;
      if (item.tally.error === '') item.tally.error = error;
      this.finish(item.tally);
    }
    for (const portal of this.mirror.portals.values())
      if (portal.tally !== undefined && portal.started) this.finish(portal.tally);
  }
}
