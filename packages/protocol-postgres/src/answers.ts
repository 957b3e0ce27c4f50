/**
 * The server's side of a session: every message known by the question it answers, passed on in whole chunks where nothing
 * has to change, masked (answers/rows.ts), rewritten (answers/shown.ts) or swallowed where it has.
 * Refuses what it does not know: an unlisted message, an answer without a question, an answer nobody vouched for.
 * PostgreSQL protocol, "Message Formats". Limits: LIMITS.maskedRowBytesMax, LIMITS.frameBytesMax.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import { Rows, requireInBound } from './answers/rows.ts';
import { type Fate, Shown } from './answers/shown.ts';
import { HEAD_BYTES, int32, letter, PartialFrame } from './codec.ts';
import type { Entry, OwnQuestion } from './flight.ts';
import { hasMasks, sameOrigins } from './mask.ts';
import {
  commandComplete,
  type FieldDescription,
  type Fields,
  parseDataRow,
  parseFields,
  parseParameterDescription,
  parseTag,
  parseTransactionStatus,
} from './messages.ts';
import { rowsChanged } from './record.ts';
import type { Road } from './road.ts';

const DATA_ROW = letter('D');
const COPY_DATA = letter('d');
/** Rows above this are passed on as they come where nothing looks into them. */
const STREAM_BYTES_MIN = 256 * 1024;

export class Answers {
  readonly #road: Road;
  /** Told after each chunk that answered something. */
  readonly #progressed: () => void;
  readonly #partial = new PartialFrame();
  /** Bytes of a large frame that are still to be passed on. */
  #streaming = 0;
  #whenWhole: Uint8Array[] = [];
  readonly #rows: Rows;
  readonly shown: Shown;

  constructor(road: Road, progressed: () => void) {
    this.#road = road;
    this.#progressed = progressed;
    this.#rows = new Rows(road);
    this.shown = new Shown(road);
  }

  /** A message of ours for the client, between two of the server's. */
  interject(bytes: Uint8Array): void {
    if (this.#streaming > 0) this.#whenWhole.push(Buffer.from(bytes));
    else this.#road.toClient(bytes);
  }

  /** True while the client has had only a part of a message: no other may be put in. */
  get midMessage(): boolean {
    return this.#streaming > 0;
  }

  /** @throws GatewayError `upstream.protocol`, `mask.unvouched`, `frame.too_large`: the session ends, nothing more is shown */
  bytes(chunk: Buffer): void {
    let at = this.#streaming > 0 ? this.#stream(chunk) : 0;
    while (at < chunk.length) {
      if (this.#partial.isEmpty) {
        at = this.#frames(chunk, at, chunk.length);
        if (at === chunk.length) break;
        at = this.#beginStream(chunk, at);
      }
      if (at === chunk.length) break;
      at = this.#partial.fill(chunk, at);
      const whole = this.#partial.take();
      if (whole !== undefined) this.#frames(whole, 0, whole.length);
    }
    this.#road.checkRecorder();
    this.#progressed();
  }

  #stream(chunk: Buffer): number {
    const count = Math.min(this.#streaming, chunk.length);
    this.#streaming -= count;
    const piece = chunk.subarray(0, count);
    const tally = this.#road.flight.first?.tally;
    if (tally !== undefined) {
      tally.bytes += count;
      this.#rows.record(tally, piece, this.#streaming === 0 ? 1 : 0, true);
    }
    this.#road.toClient(piece);
    if (this.#streaming === 0) {
      for (const bytes of this.#whenWhole) this.#road.toClient(bytes);
      this.#whenWhole = [];
    }
    return count;
  }

  /** A long row that nothing looks into goes on as it comes; anything else is gathered whole. */
  #beginStream(chunk: Buffer, at: number): number {
    if (chunk.length - at < HEAD_BYTES) return at;
    const type = chunk[at]!;
    const size = int32(chunk, at + 1) + 1;
    const first = this.#road.flight.first;
    const tally = first?.tally;
    if (
      size < STREAM_BYTES_MIN ||
      (type !== DATA_ROW && type !== COPY_DATA) ||
      tally === undefined ||
      first?.own !== undefined
    )
      return at;
    const looked = type === DATA_ROW ? this.#rows.maskerOf(first!) !== undefined : tally.guard.masks.detect.length > 0;
    if (looked) {
      if (size > LIMITS.maskedRowBytesMax) throw new GatewayError('frame.too_large', { row: size });
      return at;
    }
    if (type === COPY_DATA && !this.#rows.copyOut) throw new GatewayError('upstream.protocol', { why: 'CopyData' });
    this.#streaming = size;
    tally.rows++;
    requireInBound(tally);
    return at + this.#stream(chunk.subarray(at));
  }

  /** All whole frames of `bytes` in `[at, end)`; returns where the first partial one begins. */
  #frames(bytes: Buffer, from: number, end: number): number {
    let at = from;
    let run = from;
    while (at + HEAD_BYTES <= end) {
      const length = int32(bytes, at + 1);
      if (length < 4 || length > 0x3fffffff) throw new GatewayError('upstream.protocol', { length });
      const next = at + 1 + length;
      if (next > end) break;
      const type = bytes[at]!;
      if (type === DATA_ROW) {
        const first = this.#road.flight.first;
        if (first === undefined) throw new GatewayError('upstream.protocol', { why: 'a row nobody asked for' });
        if (first.own !== undefined) {
          if (at > run) this.#pass(bytes, run, at);
          first.own.row?.(parseDataRow(bytes, at, next));
          at = run = next;
          continue;
        }
        const masker = this.#rows.maskerOf(first);
        if (masker === undefined) {
          at = this.#rows.clear(first, bytes, at, end);
          continue;
        }
        if (at > run) this.#pass(bytes, run, at);
        at = run = this.#rows.masked(first, masker, bytes, at, end);
        continue;
      }
      if (type === COPY_DATA && this.#rows.copyOut && this.#expectRunning().tally?.guard.masks.detect.length === 0) {
        at = this.#rows.clear(this.#road.flight.first!, bytes, at, end);
        continue;
      }
      const fate = this.#message(type, bytes, at, next);
      if (fate !== 'keep') {
        if (at > run) this.#pass(bytes, run, at);
        if (fate !== 'drop') this.#road.toClient(fate);
        run = next;
      }
      at = next;
    }
    if (at > run) this.#pass(bytes, run, at);
    return at;
  }

  #pass(bytes: Buffer, from: number, to: number): void {
    this.#road.toClient(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));
  }

  #message(type: number, bytes: Buffer, at: number, end: number): Fate {
    const { flight } = this.#road;
    switch (String.fromCharCode(type)) {
      case 'N':
        return this.shown.notice(bytes, at, end);
      case 'S':
        return this.shown.parameterStatus(bytes, at, end);
      case 'A':
        return this.shown.notification(bytes, at, end);
      case 'E':
        return this.#error(parseFields(bytes, at, end));
      case 'Z':
        return this.#ready(bytes, at, end);
      case '1':
        return this.#answered(this.#expect('parse'));
      case '2':
        return this.#answered(this.#expect('bind'));
      case '3':
        return this.#answered(this.#expect('close'));
      case 't': {
        const first = this.#expect('describe');
        if (first.prepared !== undefined) first.prepared.types = parseParameterDescription(bytes, at, end);
        return first.own === undefined ? 'keep' : 'drop';
      }
      case 'n':
        this.#described(this.#expect('describe'), []);
        return this.#answered(flight.first!);
      case 'T':
        return this.#rowDescription(bytes, at, end);
      case 'C':
      case 'I':
        return this.#complete(type === letter('C') ? parseTag(bytes, at, end) : '');
      case 's':
        return this.#suspended();
      case 'G':
        this.#road.beginCopyIn(this.#expectRunning().tally!, bytes[at + HEAD_BYTES] === 0);
        return 'keep';
      case 'H':
        return this.#copyOutBegins(bytes, at);
      case 'd':
        return this.#rows.copyData(this.#expectRunning(), bytes, at, end);
      case 'c':
        if (!this.#rows.copyOut) throw new GatewayError('upstream.protocol', { why: 'CopyDone' });
        this.#rows.copyOut = false;
        return 'keep';
      default:
        throw new GatewayError('upstream.protocol', { type });
    }
  }

  #expect(kind: Entry['kind']): Entry {
    const first = this.#road.flight.first;
    if (first?.kind !== kind) throw new GatewayError('upstream.protocol', { wanted: kind, got: first?.kind ?? '' });
    return first;
  }

  #expectRunning(): Entry {
    const first = this.#road.flight.first;
    if (first === undefined || (first.kind !== 'query' && first.kind !== 'execute') || first.tally === undefined) {
      throw new GatewayError('upstream.protocol', { got: first?.kind ?? '' });
    }
    return first;
  }

  /** The first question is answered. */
  #answered(first: Entry): Fate {
    this.#road.flight.shift();
    this.#road.confirm(first);
    if (first.own === undefined) return 'keep';
    this.#ownAnswered(first.own);
    return 'drop';
  }

  #ownAnswered(own: OwnQuestion): void {
    if (--own.left === 0) own.done();
  }

  #rowDescription(bytes: Buffer, at: number, end: number): Fate {
    const first = this.#road.flight.first;
    const columns = this.#rows.descriptions.columns(bytes, at, end);
    if (first?.kind === 'describe') {
      this.#described(first, columns);
      return this.#answered(first);
    }
    if (first?.kind !== 'query' || first.tally === undefined)
      throw new GatewayError('upstream.protocol', { why: 'RowDescription' });
    const { tally } = first;
    const promised = tally.guard.touches ? tally.vouched?.[tally.index] : 'free';
    if (promised === undefined) throw new GatewayError('mask.unvouched', { why: 'an answer nobody described' });
    if (promised !== 'free' && !sameOrigins(promised, columns)) {
      throw new GatewayError('mask.unvouched', { why: 'another answer than described' });
    }
    this.#rows.described(tally, columns);
    return 'keep';
  }

  #described(first: Entry, columns: readonly FieldDescription[]): void {
    first.own?.columns?.(columns);
    const { portal, prepared } = first;
    if (portal !== undefined) {
      const promised = portal.vouched;
      if (promised !== undefined && !sameOrigins(promised, columns))
        throw new GatewayError('mask.unvouched', { why: 'another answer than described' });
      portal.columns = columns;
      portal.prepared.columns ??= columns;
    } else if (prepared !== undefined) prepared.columns = columns;
  }

  #complete(tag: string): Fate {
    const first = this.#road.flight.first;
    if (tag === 'ROLLBACK') this.#road.meaning.failed();
    if (first?.own !== undefined) return this.#answered(first);
    // A ROLLBACK in the place of a COMMIT that was refused.
    if (first?.kind === 'query' && first.refusal !== undefined) return this.shown.error(first.refusal, first);
    const { tally } = this.#expectRunning();
    this.#rows.over();
    this.#road.endCopyIn(false);
    if (tally === undefined) return 'keep';
    // What a simple query runs, runs as the unnamed portal; one that never ran left the older portal standing.
    if (first!.kind === 'query' && tag !== '') this.#road.mirror.unnamedReplaced(first!.segment);
    for (const change of tally.changes)
      if (change.index === tally.index) change.apply(this.#road.mirror, first!.segment);
    for (const closed of this.#road.mirror.takeClosed())
      if (closed.started && closed.tally !== undefined) this.#road.finish(closed.tally);
    this.#road.host.recorder.note(tally.number, 'complete', first!.tag ?? tag);
    // Rows that were changed and did not come back; those that did (RETURNING) are counted already.
    if (tally.rows === tally.rowsTagged) tally.rows += rowsChanged(tag);
    tally.rowsTagged = tally.rows;
    requireInBound(tally);
    this.#road.transaction.completed(tally, tally.index, tag);
    tally.index++;
    if (first!.kind === 'execute') {
      this.#road.finish(tally);
      this.#road.flight.shift();
      this.#road.confirm(first!);
    }
    const { wrapped } = first!;
    if (wrapped !== undefined) {
      const before = wrapped.tag;
      wrapped.tag = commandComplete(tag);
      return before === undefined ? 'drop' : Buffer.from(before);
    }
    return first!.tag === undefined ? 'keep' : commandComplete(first!.tag);
  }

  /** More rows may be fetched: the outcome waits for the portal's end. */
  #suspended(): Fate {
    const first = this.#expect('execute');
    const { tally } = first;
    // All was changed, and not all is counted.
    const writes = tally?.facts?.statements.some(({ effects }) => effects.includes('write'));
    if (tally !== undefined && Number.isFinite(tally.guard.rowsMax) && writes !== false)
      throw new GatewayError('approval.rows', { number: tally.number });
    if (tally !== undefined) this.#road.transaction.suspended(tally);
    this.#rows.over();
    return this.#answered(first);
  }

  #copyOutBegins(bytes: Buffer, at: number): Fate {
    const { tally } = this.#expectRunning();
    // Binary rows have no description: nothing can look into them.
    if (tally !== undefined && hasMasks(tally.guard.masks) && bytes[at + HEAD_BYTES] !== 0) {
      throw new GatewayError('mask.unvouched', { why: 'binary COPY' });
    }
    this.#rows.copyOut = true;
    return 'keep';
  }

  // --- ends ----------------------------------------------------------------------------------------------------------

  #error(fields: Fields): Fate {
    const road = this.#road;
    const first = road.flight.first;
    const state = fields.get('C') ?? '';
    this.#rows.failed();
    road.endCopyIn(false);
    road.meaning.failed();
    if (first === undefined || first.kind === 'sync') return this.shown.error(fields, undefined);
    if (first.tally !== undefined && first.tally.error === '') first.tally.error = state;
    if (first.kind === 'query') {
      if (first.own !== undefined) {
        first.own.error = fields;
        return 'drop';
      }
      return this.shown.error(first.refusal ?? fields, first);
    }
    road.flight.shift();
    if (first.tally !== undefined) road.finish(first.tally);
    // Newest first: a later Parse of a name steps back to the earlier one, and that one then to what was before.
    const { dropped, synced } = road.flight.dropToSync();
    road.undo(dropped, state);
    road.stepBack(first, false);
    if (!synced) road.skipping = true;
    const shown =
      first.own === undefined || first.own.tells === true ? this.shown.error(first.refusal ?? fields, first) : 'drop';
    for (const { own } of [first, ...dropped]) {
      if (own === undefined) continue;
      if (own !== first.own) own.skipped = true;
      own.error ??= fields;
      this.#ownAnswered(own);
    }
    return shown;
  }

  #ready(bytes: Buffer, at: number, end: number): Fate {
    const road = this.#road;
    const first = road.flight.first;
    if (first === undefined || (first.kind !== 'query' && first.kind !== 'sync'))
      throw new GatewayError('upstream.protocol', { why: 'ReadyForQuery' });
    road.status = parseTransactionStatus(bytes, at, end);
    road.transaction.ready(first.segment);
    road.meaning.ready(first.segment, road.status);
    this.#rows.over();
    if (first.tally !== undefined) road.finish(first.tally);
    if (first.own === undefined || road.status !== 'T') road.beginning = false;
    if (road.status === 'I') {
      road.unsynced = false;
      road.wrote = false;
      for (const portal of road.mirror.portals.values())
        if (portal.confirmed && portal.started && portal.tally !== undefined) road.finish(portal.tally);
      road.mirror.transactionEnded();
      if (road.changedSchema) {
        road.changedSchema = false;
        road.catalog.invalidate();
      }
    }
    const fate = this.#answered(first);
    if (first.wrapped === undefined) return fate;
    this.#ownAnswered(first.wrapped.own);
    return 'drop';
  }
}
