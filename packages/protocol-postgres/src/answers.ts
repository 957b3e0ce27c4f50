/**
 * The server's side of a session: every message known by the question it answers, passed on in whole chunks where nothing
 * has to change, masked, rewritten or swallowed where it has.
 * Refuses what it does not know: an unlisted message, an answer without a question, an answer nobody vouched for.
 * PostgreSQL protocol, "Message Formats". Limits: LIMITS.maskedRowBytesMax, LIMITS.frameBytesMax.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import type { RowMasker } from '@sallyport/mask';
import { frame, HEAD_BYTES, int32, letter, PartialFrame } from './codec.ts';
import type { Entry, OwnQuestion } from './flight.ts';
import { hasMasks, hideCopyLine, hideFields, type Nearness, planRows, quotesAnotherRow, sameOrigins } from './mask.ts';
import {
  commandComplete,
  encodeFields,
  type FieldDescription,
  type Fields,
  notification,
  parseDataRow,
  parseFields,
  parseNotification,
  parseParameterDescription,
  parseRowDescription,
  parseStatus,
  parseTransactionStatus,
} from './messages.ts';
import type { Guard, Tally } from './mirror.ts';
import { noteColumns, noteFields, rowsChanged } from './record.ts';
import type { Road } from './road.ts';

const DATA_ROW = letter('D');
const COPY_DATA = letter('d');
/** Rows above this are passed on as they come where nothing looks into them. */
const STREAM_BYTES_MIN = 256 * 1024;
const NO_FORMATS: readonly number[] = [];
const KEPT_DESCRIPTIONS_MAX = 200;
const KEPT_DESCRIPTION_BYTES_MAX = 4 * 1024;

/** Passed on untouched, left out, or replaced. */
type Fate = 'keep' | 'drop' | Buffer;

export class Answers {
  readonly #road: Road;
  /** Told after each chunk that answered something. */
  readonly #progressed: () => void;
  readonly #partial = new PartialFrame();
  /** Bytes of a large frame that are still to be passed on. */
  #streaming = 0;
  #rows: RowMasker | undefined;
  #copyOut = false;
  /** Of a simple query's rows. */
  #columnsNow: readonly FieldDescription[] | undefined;
  #whenWhole: Uint8Array[] = [];
  readonly #descriptions = new Map<string, readonly FieldDescription[]>();
  #last: { readonly bytes: Buffer; readonly columns: readonly FieldDescription[] } | undefined;
  readonly #plans = new WeakMap<
    readonly FieldDescription[],
    Pick<Guard, 'masks' | 'reach'> & { readonly masker: RowMasker }
  >();

  constructor(road: Road, progressed: () => void) {
    this.#road = road;
    this.#progressed = progressed;
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
      this.#recordRows(tally, piece, this.#streaming === 0 ? 1 : 0, true);
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
    const looked = type === DATA_ROW ? this.#maskerOf(first!) !== undefined : tally.guard.masks.detect.length > 0;
    if (looked) {
      if (size > LIMITS.maskedRowBytesMax) throw new GatewayError('frame.too_large', { row: size });
      return at;
    }
    if (type === COPY_DATA && !this.#copyOut) throw new GatewayError('upstream.protocol', { why: 'CopyData' });
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
        const masker = this.#maskerOf(first);
        if (masker === undefined) {
          at = this.#clearRows(first, bytes, at, end);
          continue;
        }
        if (at > run) this.#pass(bytes, run, at);
        at = run = this.#maskedRows(first, masker, bytes, at, end);
        continue;
      }
      if (type === COPY_DATA && this.#copyOut && this.#expectRunning().tally?.guard.masks.detect.length === 0) {
        at = this.#clearRows(this.#road.flight.first!, bytes, at, end);
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
    this.#road.toClient(bytes.subarray(from, to));
  }

  #tally(first: Entry): Tally {
    if (first.tally === undefined || (first.kind !== 'query' && first.kind !== 'execute')) {
      throw new GatewayError('upstream.protocol', { why: 'rows out of place', kind: first.kind });
    }
    return first.tally;
  }

  #clearRows(first: Entry, bytes: Buffer, from: number, end: number): number {
    const tally = this.#tally(first);
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
    this.#recordRows(tally, bytes.subarray(from, at), rows);
    return at;
  }

  #maskedRows(first: Entry, masker: RowMasker, bytes: Buffer, from: number, end: number): number {
    const tally = this.#tally(first);
    const masked = masker.maskShared(bytes.subarray(from, end));
    if (masked.consumed <= 0) throw new GatewayError('mask.unvouched', { consumed: masked.consumed });
    tally.rows += masked.rows;
    requireInBound(tally);
    tally.bytes += masked.output.length;
    tally.masked += masked.maskedCells;
    this.#recordRows(tally, masked.output, masked.rows);
    this.#road.toClient(masked.output);
    return from + masked.consumed;
  }

  /** Before the client gets them. */
  #recordRows(tally: Tally, bytes: Uint8Array, rows: number, isPiece = false): void {
    if (!isPiece && !this.#copyOut) this.#sampleRows(tally, bytes);
    const { recorder } = this.#road.host;
    if (recorder.level !== 'statements') recorder.rows(tally.number, bytes, rows, isPiece);
  }

  /** Those of RETURNING, for the approver of a COMMIT. */
  #sampleRows(tally: Tally, bytes: Uint8Array): void {
    const { flight, transaction } = this.#road;
    const portal = flight.first?.portal;
    const columns = portal === undefined ? this.#columnsNow : (portal.columns ?? portal.prepared.columns);
    transaction.rows(tally, bytes, columns, portal?.formats ?? NO_FORMATS);
  }

  /** What looks into the rows that come now; undefined when nothing has to. */
  #maskerOf(first: Entry): RowMasker | undefined {
    if (this.#rows !== undefined) return this.#rows.isClear ? undefined : this.#rows;
    const tally = this.#tally(first);
    if (!hasMasks(tally.guard.masks)) return undefined;
    // A simple query's rows follow their description; a portal's were described before it ran.
    const columns = first.kind === 'execute' ? first.portal?.columns : undefined;
    if (columns === undefined) throw new GatewayError('mask.unvouched', { why: 'rows without a description' });
    this.#rows = this.#plan(columns, tally.guard);
    return this.#rows.isClear ? undefined : this.#rows;
  }

  /** The plan of a description seen before is kept: a prepared statement answers alike a thousand times. */
  #plan(columns: readonly FieldDescription[], guard: Guard): RowMasker {
    const known = this.#plans.get(columns);
    if (known !== undefined && known.masks === guard.masks && known.reach === guard.reach) return known.masker;
    const masker = planRows(columns, guard);
    this.#plans.set(columns, { masks: guard.masks, reach: guard.reach, masker });
    return masker;
  }

  /** Descriptions by their bytes, so that the same one is the same object. */
  #columns(bytes: Buffer, at: number, end: number): readonly FieldDescription[] {
    if (end - at > KEPT_DESCRIPTION_BYTES_MAX) return parseRowDescription(bytes, at, end);
    if (this.#last !== undefined && isSame(this.#last.bytes, bytes, at, end)) return this.#last.columns;
    const key = bytes.toString('latin1', at, end);
    let columns = this.#descriptions.get(key);
    if (columns === undefined) {
      if (this.#descriptions.size >= KEPT_DESCRIPTIONS_MAX) this.#descriptions.clear();
      columns = parseRowDescription(bytes, at, end);
      this.#descriptions.set(key, columns);
    }
    this.#last = { bytes: Buffer.from(bytes.subarray(at, end)), columns };
    return columns;
  }

  #message(type: number, bytes: Buffer, at: number, end: number): Fate {
    const { flight } = this.#road;
    switch (String.fromCharCode(type)) {
      case 'N':
        return this.#notice(bytes, at, end);
      case 'S':
        return this.#parameterStatus(bytes, at, end);
      case 'A':
        return this.#notification(bytes, at, end);
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
        return this.#complete(type === letter('C') ? bytes.toString('utf8', at + HEAD_BYTES, end - 1) : '');
      case 's':
        return this.#suspended();
      case 'G':
        this.#road.beginCopyIn(this.#expectRunning().tally!, bytes[at + HEAD_BYTES] === 0);
        return 'keep';
      case 'H':
        return this.#copyOutBegins(bytes, at);
      case 'd':
        return this.#copyData(bytes, at, end);
      case 'c':
        if (!this.#copyOut) throw new GatewayError('upstream.protocol', { why: 'CopyDone' });
        this.#copyOut = false;
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
    const { flight, host } = this.#road;
    const first = flight.first;
    const columns = this.#columns(bytes, at, end);
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
    this.#rows = hasMasks(tally.guard.masks) ? this.#plan(columns, tally.guard) : undefined;
    this.#columnsNow = columns;
    noteColumns(host.recorder, tally, columns);
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
    if (first?.kind === 'query' && first.refusal !== undefined) return this.#shown(first.refusal, first);
    const { tally } = this.#expectRunning();
    this.#rows = undefined;
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
    this.#rows = undefined;
    return this.#answered(first);
  }

  #copyOutBegins(bytes: Buffer, at: number): Fate {
    const { tally } = this.#expectRunning();
    // Binary rows have no description: nothing can look into them.
    if (tally !== undefined && hasMasks(tally.guard.masks) && bytes[at + HEAD_BYTES] !== 0) {
      throw new GatewayError('mask.unvouched', { why: 'binary COPY' });
    }
    this.#copyOut = true;
    return 'keep';
  }

  #copyData(bytes: Buffer, at: number, end: number): Fate {
    const { tally } = this.#expectRunning();
    if (!this.#copyOut || tally === undefined) throw new GatewayError('upstream.protocol', { why: 'CopyData' });
    tally.rows++;
    tally.bytes += end - at;
    requireInBound(tally);
    const hidden = hideCopyLine(bytes.subarray(at + HEAD_BYTES, end), tally.guard.masks, tally.guard.key);
    const shown = hidden === undefined ? bytes.subarray(at, end) : frame('d', hidden);
    this.#recordRows(tally, shown, 1);
    if (hidden === undefined) return 'keep';
    tally.masked++;
    return shown;
  }

  // --- what may come at any time -------------------------------------------------------------------------------------

  #notice(bytes: Buffer, at: number, end: number): Fate {
    const { signed, host, flight } = this.#road;
    const first = flight.first;
    if (first?.own !== undefined) return 'drop';
    const touches = first?.tally?.guard.quotes ?? signed.masks().columns.length > 0;
    const hides = touches || signed.masks().detect.length > 0;
    if (!hides && host.recorder.level === 'statements') return 'keep';
    const fields = this.hidden(parseFields(bytes, at, end), touches ? 'read' : 'clear');
    noteFields(host.recorder, first?.tally?.number ?? 0, 'notice', fields);
    return hides ? encodeFields('N', fields) : 'keep';
  }

  #parameterStatus(bytes: Buffer, at: number, end: number): Fate {
    const [name, value] = parseStatus(bytes, at, end);
    const moved =
      (name === 'client_encoding' && value !== 'UTF8') ||
      (name === 'standard_conforming_strings' && value !== 'on') ||
      (name === 'default_transaction_read_only' && value !== 'on' && this.#road.signed.readOnly) ||
      (name === 'session_authorization' && value !== this.#road.account);
    // What judging rests on has changed by a way nobody knew: a function, a trigger, another's ALTER.
    if (moved) throw new GatewayError('upstream.protocol', { why: 'a pinned setting changed', setting: name });
    this.#road.meaning.told(name, value);
    // 13 says it again at DISCARD ALL; the client knows itself by another name.
    return name === 'session_authorization' ? 'drop' : 'keep';
  }

  #notification(bytes: Buffer, at: number, end: number): Fate {
    const { signed } = this.#road;
    if (signed.masks().detect.length === 0) return 'keep';
    const { processId, channel, payload } = parseNotification(bytes, at, end);
    return notification(processId, channel, signed.hide(payload));
  }

  // --- ends ----------------------------------------------------------------------------------------------------------

  #error(fields: Fields): Fate {
    const road = this.#road;
    const first = road.flight.first;
    const state = fields.get('C') ?? '';
    this.#rows = undefined;
    this.#copyOut = false;
    road.endCopyIn(false);
    road.meaning.failed();
    if (first === undefined || first.kind === 'sync') return this.#shown(fields, undefined);
    if (first.tally !== undefined && first.tally.error === '') first.tally.error = state;
    if (first.kind === 'query') {
      if (first.own !== undefined) {
        first.own.error = fields;
        return 'drop';
      }
      return this.#shown(first.refusal ?? fields, first);
    }
    road.flight.shift();
    if (first.tally !== undefined) road.finish(first.tally);
    // Newest first: a later Parse of a name steps back to the earlier one, and that one then to what was before.
    const { dropped, synced } = road.flight.dropToSync();
    road.undo(dropped, state);
    road.stepBack(first, false);
    if (!synced) road.skipping = true;
    const shown =
      first.own === undefined || first.own.tells === true ? this.#shown(first.refusal ?? fields, first) : 'drop';
    for (const { own } of [first, ...dropped]) {
      if (own === undefined) continue;
      if (own !== first.own) own.skipped = true;
      own.error ??= fields;
      this.#ownAnswered(own);
    }
    return shown;
  }

  /** An error's fields as the client may see them. */
  hidden(fields: Fields, near: Nearness): Fields {
    return hideFields(fields, (text) => this.#road.signed.hide(text), near);
  }

  #nearness(fields: Fields, from: Entry | undefined): Nearness {
    const { signed, catalog } = this.#road;
    const masks = signed.masks().columns.length > 0;
    if (from?.tally?.guard.quotes === true || (masks && quotesAnotherRow(fields, catalog.reach))) return 'read';
    return from?.tally === undefined && from?.kind !== 'query' && masks ? 'named' : 'clear';
  }

  #shown(fields: Fields, from: Entry | undefined): Buffer {
    const { host } = this.#road;
    const ours = from?.refusal !== undefined;
    const out = ours ? fields : this.hidden(fields, this.#nearness(fields, from));
    if (from?.tally !== undefined) noteFields(host.recorder, from.tally.number, 'error', out);
    return encodeFields('E', out);
  }

  #ready(bytes: Buffer, at: number, end: number): Fate {
    const road = this.#road;
    const first = road.flight.first;
    if (first === undefined || (first.kind !== 'query' && first.kind !== 'sync'))
      throw new GatewayError('upstream.protocol', { why: 'ReadyForQuery' });
    road.status = parseTransactionStatus(bytes, at, end);
    road.transaction.ready(first.segment);
    road.meaning.ready(first.segment, road.status);
    this.#rows = undefined;
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

function isSame(known: Buffer, bytes: Buffer, at: number, end: number): boolean {
  if (known.length !== end - at) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[at + i]) return false;
  return true;
}

/** @throws GatewayError `approval.rows`: the session ends, and with it the transaction; nothing was committed */
function requireInBound(tally: Tally): void {
  if (tally.rows > tally.guard.rowsMax)
    throw new GatewayError('approval.rows', { number: tally.number, rows: tally.rows, rowsMax: tally.guard.rowsMax });
}
