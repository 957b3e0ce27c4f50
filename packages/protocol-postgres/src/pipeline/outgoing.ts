/**
 * How messages of a pipeline leave: what is judged goes to the server as one piece, a refusal takes the place of all that
 * waits, the client's Sync goes whatever comes of what is before it. Refuses to send what has no verdict.
 * PostgreSQL protocol, "Pipelining".
 */
import { GatewayError } from '@sallyport/core';
import type { Permit } from '@sallyport/protocol-kit';
import type { Answers } from '../answers.ts';
import { entry } from '../flight.ts';
import type { Judge, Refused } from '../judge.ts';
import { encodeFields, execute, flush, sync } from '../messages.ts';
import { Pending } from '../pending.ts';
import { noteFields } from '../record.ts';
import type { Road } from '../road.ts';
import { ownTransaction } from '../wrap.ts';

/** No client can have bound it (requireName), so executing it fails in every state. */
const FAILING_EXECUTE = execute('sallyport_refused');

export class Outgoing {
  readonly #road: Road;
  readonly #answers: Answers;
  readonly #judge: Judge;
  pending = new Pending();
  /** A refusal stands in the pipeline: nothing counts until the client's Sync. */
  dropping = false;
  /** The client's Sync waits for what is judged before it; it goes to the server whatever comes of that. */
  syncing = false;

  constructor(road: Road, answers: Answers, judge: Judge) {
    this.#road = road;
    this.#answers = answers;
    this.#judge = judge;
  }

  /** What is judged leaves before something that is not joins it. */
  beginUnjudged(): void {
    if (this.pending.judge.length === 0) this.send(this.pending.permit);
  }

  /** Without a permit there is nothing of a statement in it: Describe and Close of what was judged, Sync. */
  send(permit: Permit | undefined): void {
    const pending = this.pending;
    if (pending.isEmpty) return;
    if (pending.judge.length > 0)
      throw new GatewayError('internal', { why: 'an unjudged message was about to be sent' });
    this.pending = new Pending();
    for (const item of pending.entries) this.#road.flight.push(item);
    this.#road.unsynced = pending.entries.at(-1)?.kind !== 'sync';
    for (const bytes of pending.bytes()) {
      if (permit === undefined) this.#road.ownToServer(bytes);
      else this.#road.toServer(permit, bytes);
    }
  }

  /** @param lent the client's own message, while it is there: it leaves with what is before it, as one piece */
  sendSync(lent?: Buffer, at = 0, end = 0): void {
    this.syncing = false;
    this.dropping = false;
    this.#road.skipping = false;
    const item = entry('sync', this.#road.segment);
    if (lent === undefined) this.pending.add(sync(), item);
    else this.pending.addLent(lent, at, end, item);
    this.send(this.pending.permit);
    this.#road.segment++;
    this.#judge.executed = 0;
  }

  /** @param rollsBack it was a COMMIT: nothing of its transaction may stand, and no lock may stay */
  fail({ fields, number }: Refused, rollsBack = false): void {
    const road = this.#road;
    if (number > 0) noteFields(road.host.recorder, number, 'error', fields);
    // The server is skipping: the client has its error already.
    if (road.skipping) return this.dropped();
    this.discard();
    this.dropping = true;
    if (rollsBack) this.#rollBack();
    road.flight.push(entry('execute', road.segment, { refusal: fields }));
    if (this.syncing) {
      road.ownToServer(FAILING_EXECUTE);
      this.sendSync();
    } else road.ownToServer(Buffer.concat([FAILING_EXECUTE, flush()]));
  }

  /** The server is skipping because of a question of ours: the client has not been told. */
  failHere({ fields, number }: Refused): void {
    noteFields(this.#road.host.recorder, number, 'error', fields);
    this.discard();
    this.dropping = true;
    this.#answers.interject(encodeFields('E', fields));
    if (this.syncing) this.sendSync();
  }

  /** An earlier message failed: the client has its error, and what is pending would be skipped. */
  dropped(): void {
    this.discard();
    this.dropping = true;
    if (this.syncing) this.sendSync();
  }

  discard(): void {
    const { entries } = this.pending;
    this.pending = new Pending();
    for (let i = entries.length - 1; i >= 0; i--) this.#road.stepBack(entries[i]!, true);
  }

  #rollBack(): void {
    const said = ownTransaction('ROLLBACK', this.#road.segment);
    for (const { item } of said) this.#road.flight.push(item);
    this.#road.ownToServer(Buffer.concat(said.map(({ bytes }) => bytes)));
  }
}
