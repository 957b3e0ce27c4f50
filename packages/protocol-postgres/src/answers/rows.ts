/**
 * The rows of the answer that comes now, of a query or of COPY: masked or passed on, counted, and on the record before the
 * client gets them. Refuses rows nobody described where masks are near, and more of them than were approved.
 * Limits: LIMITS.maskedRowBytesMax, the permit's rowsMax.
 */
import { GatewayError } from '@sallyport/core';
import type { RowMasker } from '@sallyport/mask';
import { frame, HEAD_BYTES, int32 } from '../codec.ts';
import type { Entry } from '../flight.ts';
import { hasMasks, hideCopyLine } from '../mask.ts';
import type { FieldDescription } from '../messages.ts';
import type { Tally } from '../mirror.ts';
import { noteColumns } from '../record.ts';
import type { Road } from '../road.ts';
import { Descriptions } from './descriptions.ts';
import type { Fate } from './shown.ts';

const NO_FORMATS: readonly number[] = [];

export class Rows {
  readonly #road: Road;
  readonly descriptions = new Descriptions();
  /** Undefined until the first row of an answer where masks are near. */
  #masker: RowMasker | undefined;
  /** They are those of COPY TO. */
  copyOut = false;
  /** Of a simple query. */
  #columns: readonly FieldDescription[] | undefined;

  constructor(road: Road) {
    this.#road = road;
  }

  /** A simple query's rows follow their description. */
  described(tally: Tally, columns: readonly FieldDescription[]): void {
    this.#masker = hasMasks(tally.guard.masks) ? this.descriptions.plan(columns, tally.guard) : undefined;
    this.#columns = columns;
    noteColumns(this.#road.host.recorder, tally, columns);
  }

  /** What comes next are rows of another answer. */
  over(): void {
    this.#masker = undefined;
  }

  failed(): void {
    this.#masker = undefined;
    this.copyOut = false;
  }

  /** What looks into the rows that come now; undefined when nothing has to. */
  maskerOf(first: Entry): RowMasker | undefined {
    if (this.#masker !== undefined) return this.#masker.isClear ? undefined : this.#masker;
    const tally = tallyOf(first);
    if (!hasMasks(tally.guard.masks)) return undefined;
    // A simple query's rows follow their description; a portal's were described before it ran.
    const columns = first.kind === 'execute' ? first.portal?.columns : undefined;
    if (columns === undefined) throw new GatewayError('mask.unvouched', { why: 'rows without a description' });
    this.#masker = this.descriptions.plan(columns, tally.guard);
    return this.#masker.isClear ? undefined : this.#masker;
  }

  /** Passes over those that nothing looks into, whole ones alone. @returns where the first other message begins */
  clear(first: Entry, bytes: Buffer, from: number, end: number): number {
    const tally = tallyOf(first);
    const type = bytes[from];
    let at = from;
    let rows = 0;
    while (at + HEAD_BYTES <= end && bytes[at] === type) {
      const next = at + 1 + int32(bytes, at + 1);
      if (next > end || next <= at + 4) break;
      at = next;
      rows++;
    }
    tally.rows += rows;
    tally.bytes += at - from;
    requireInBound(tally);
    this.record(tally, bytes, rows, false, from, at);
    return at;
  }

  /** Sends them on as the client may see them. @returns as `clear` */
  masked(first: Entry, masker: RowMasker, bytes: Buffer, from: number, end: number): number {
    const tally = tallyOf(first);
    const masked = masker.maskShared(bytes.subarray(from, end));
    if (masked.consumed <= 0) throw new GatewayError('mask.unvouched', { consumed: masked.consumed });
    tally.rows += masked.rows;
    requireInBound(tally);
    tally.bytes += masked.output.length;
    tally.masked += masked.maskedCells;
    this.record(tally, masked.output, masked.rows);
    this.#road.toClient(masked.output);
    return from + masked.consumed;
  }

  /** One line of COPY TO. */
  copyData(first: Entry, bytes: Buffer, at: number, end: number): Fate {
    const tally = tallyOf(first);
    if (!this.copyOut) throw new GatewayError('upstream.protocol', { why: 'CopyData' });
    tally.rows++;
    tally.bytes += end - at;
    requireInBound(tally);
    const hidden = hideCopyLine(bytes.subarray(at + HEAD_BYTES, end), tally.guard.masks, tally.guard.key);
    const shown = hidden === undefined ? bytes.subarray(at, end) : frame('d', hidden);
    this.record(tally, shown, 1);
    if (hidden === undefined) return 'keep';
    tally.masked++;
    return shown;
  }

  /** Before the client gets them. @param from where they stand in `bytes`, up to `to` */
  record(tally: Tally, bytes: Uint8Array, rows: number, isPiece = false, from = 0, to = bytes.length): void {
    const { host, transaction } = this.#road;
    if (!isPiece && !this.copyOut && transaction.samples) this.#sample(tally, bytes.subarray(from, to));
    if (host.recorder.level !== 'statements') host.recorder.rows(tally.number, bytes, rows, isPiece, from, to);
  }

  /** Those of RETURNING, for the approver of a COMMIT. */
  #sample(tally: Tally, bytes: Uint8Array): void {
    const { flight, transaction } = this.#road;
    const portal = flight.first?.portal;
    const columns = portal === undefined ? this.#columns : (portal.columns ?? portal.prepared.columns);
    transaction.rows(tally, bytes, columns, portal?.formats ?? NO_FORMATS);
  }
}

function tallyOf(first: Entry): Tally {
  if (first.tally === undefined || (first.kind !== 'query' && first.kind !== 'execute')) {
    throw new GatewayError('upstream.protocol', { why: 'rows out of place', kind: first.kind });
  }
  return first.tally;
}

/** @throws GatewayError `approval.rows`: the session ends, and with it the transaction; nothing was committed */
export function requireInBound(tally: Tally): void {
  if (tally.rows > tally.guard.rowsMax)
    throw new GatewayError('approval.rows', { number: tally.number, rows: tally.rows, rowsMax: tally.guard.rowsMax });
}
