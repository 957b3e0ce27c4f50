/**
 * The extended protocol: Parse, Bind, Describe, Close and Execute wait until the statement they belong to has its permit
 * (pipeline/judging.ts); a refusal takes the place of all that waits, and fails on the server itself, so that skipping to
 * Sync and the transaction's status are the server's own (pipeline/outgoing.ts).
 * PostgreSQL protocol, "Extended Query" and "Pipelining".
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import type { SqlFacts } from '@sallyport/model';
import type { Permit } from '@sallyport/protocol-kit';
import type { Answers } from './answers.ts';
import { digestHead, digestOf, digestOfRange } from './classify/digests.ts';
import { parametersOf } from './classify/parameters.ts';
import { reasonOf } from './classify/pins.ts';
import { isUnknown, type Reading, readSql } from './classify.ts';
import { HEAD_BYTES } from './codec.ts';
import { plainError } from './deny.ts';
import { entry, portalEntry } from './flight.ts';
import type { Intake } from './intake.ts';
import type { Judge } from './judge.ts';
import { hasMasks } from './mask.ts';
import {
  describe,
  type Fields,
  flush,
  parse,
  parseBind,
  parseExecute,
  parseParse,
  parseTarget,
  sync,
} from './messages.ts';
import { type Portal, type Prepared, requireName, stepBack } from './mirror.ts';
import { Judging } from './pipeline/judging.ts';
import { Outgoing } from './pipeline/outgoing.ts';
import type { Road } from './road.ts';
import { commits } from './transaction.ts';
import { OWN_MESSAGES, ownCommit, ownTransaction } from './wrap.ts';

export class Pipeline {
  readonly #road: Road;
  readonly #judge: Judge;
  readonly #intake: Intake;
  readonly #copies: (permit: Permit) => void;
  readonly #out: Outgoing;
  readonly #judging: Judging;

  /** @param copies told the permit under which COPY data may follow */
  constructor(road: Road, answers: Answers, judge: Judge, intake: Intake, copies: (permit: Permit) => void) {
    this.#road = road;
    this.#judge = judge;
    this.#intake = intake;
    this.#copies = copies;
    this.#out = new Outgoing(road, answers, judge);
    this.#judging = new Judging(road, answers, judge, intake, this.#out);
  }

  get isEmpty(): boolean {
    return this.#out.pending.isEmpty;
  }
  /** Messages do not count until the next Sync. */
  get isDropping(): boolean {
    return this.#out.dropping || this.#road.skipping;
  }

  /** The lent chunk is about to be given back: what is judged leaves, the rest is copied. */
  endOfChunk(): void {
    const pending = this.#out.pending;
    if (pending.isEmpty) return;
    if (pending.permit !== undefined && pending.judge.length === 0) this.#out.send(pending.permit);
    else this.#out.pending.copy();
  }

  // --- messages ----------------------------------------------------------------------------------------------------------

  parse(bytes: Buffer, at: number, end: number): boolean {
    const message = parseParse(bytes, at, end);
    const name = requireName(message.name);
    const existing = this.#road.mirror.prepared.get(name);
    if (name !== '' && this.#isUncertain(existing)) return this.#waitAnswered();
    const sql = bytes.subarray(message.text.start, message.text.end);
    if (sql.length > LIMITS.statementBytesMax) {
      this.tooLarge();
      return true;
    }
    const { text, reading } = readSql(this.#road, sql);
    if (!(reading instanceof Promise))
      this.#addParse(name, text, reading, message.types, bytes.subarray(at, end), existing);
    else {
      const copy = Buffer.from(bytes.subarray(at, end));
      this.#intake.block();
      this.#judge.later(reading, (read) => this.#addParse(name, text, read, message.types, copy, existing));
    }
    return true;
  }

  #addParse(
    name: string,
    text: string,
    reading: Reading,
    types: readonly number[],
    message: Buffer,
    existing: Prepared | undefined,
  ): void {
    const { mirror, segment } = this.#road;
    const prepared: Prepared = {
      name,
      text,
      facts: isUnknown(reading) ? undefined : reading,
      digestHead: digestHead(text, types),
      declared: types,
      chain: this.#road.meaning.chain(segment),
      types,
      columns: undefined,
      segment,
      confirmed: false,
      gone: false,
      before: existing,
    };
    this.#out.beginUnjudged();
    mirror.addPrepared(prepared);
    const confirm = (): void => {
      prepared.confirmed = true;
      prepared.before = undefined;
    };
    const undo = (skipped: boolean): void => stepBack(mirror.prepared, name, prepared, skipped || name !== '');
    // What the gateway answers itself is nothing to the server: an empty statement.
    const sent = reasonOf(prepared.facts) === undefined ? message : parse(name, '');
    this.#out.pending.add(sent, entry('parse', segment, { prepared, confirm, undo }));
    this.#out.pending.judge.push(prepared);
  }

  bind(bytes: Buffer, at: number, end: number): boolean {
    const message = parseBind(bytes, at, end);
    const { mirror, segment } = this.#road;
    requireName(message.statement);
    const name = requireName(message.portal);
    const prepared = mirror.prepared.get(message.statement);
    const existing = mirror.portals.get(name);
    if (this.#isUncertain(prepared) || (name !== '' && this.#isUncertain(existing)) || this.#mayLeaveFailure())
      return this.#waitAnswered();
    if (this.#waitsForCounts(prepared?.facts)) return this.#waitAnswered();
    if (prepared === undefined)
      return this.#failPlain('26000', `prepared statement "${shown(message.statement)}" does not exist`);
    // Formats and values, as they are: two digests are equal only when the server would read the same.
    const digest =
      message.values.length === 0
        ? digestOf(prepared.digestHead, undefined)
        : digestOfRange(prepared.digestHead, bytes, at + HEAD_BYTES + name.length + message.statement.length + 2, end);
    const portal: Portal = {
      name,
      prepared,
      parameters: parametersOf(bytes, message, prepared),
      digest,
      segment,
      confirmed: false,
      gone: false,
      before: existing,
      columns: undefined,
      described: false,
      permit: undefined,
      judgedWork: -1,
      formats: message.resultFormats,
      statement: undefined,
      judgedUnder: -1,
      tally: undefined,
      vouched: undefined,
      started: false,
    };
    this.#out.beginUnjudged();
    mirror.addPortal(portal);
    this.#out.pending.addLent(bytes, at, end, portalEntry('bind', segment, portal));
    this.#out.pending.judge.push(portal);
    return true;
  }

  describe(bytes: Buffer, at: number, end: number): boolean {
    const target = parseTarget(bytes, at, end);
    const { mirror, segment } = this.#road;
    if (target.kind === 'statement') {
      const prepared = mirror.prepared.get(target.name);
      if (this.#isUncertain(prepared)) return this.#waitAnswered();
      if (prepared === undefined)
        return this.#failPlain('26000', `prepared statement "${shown(target.name)}" does not exist`);
      this.#out.pending.addLent(bytes, at, end, entry('describe', segment, { prepared }));
      return true;
    }
    const portal = mirror.portals.get(target.name);
    if (this.#isUncertain(portal)) return this.#waitAnswered();
    if (portal === undefined) {
      if (target.name !== '') return this.#failPlain('34000', `portal "${shown(target.name)}" does not exist`);
      // A simple query that failed in a transaction leaves one of its own: the server knows.
      this.#out.pending.addLent(bytes, at, end, entry('describe', segment));
      return true;
    }
    portal.described = true;
    this.#out.pending.addLent(bytes, at, end, portalEntry('describe', segment, portal));
    return true;
  }

  close(bytes: Buffer, at: number, end: number): boolean {
    const target = parseTarget(bytes, at, end);
    const { mirror, segment } = this.#road;
    requireName(target.name);
    if (target.kind === 'statement') {
      const prepared = mirror.prepared.get(target.name);
      if (this.#isUncertain(prepared)) return this.#waitAnswered();
      mirror.prepared.delete(target.name);
      const undo = (): void => {
        if (prepared?.gone === false && !mirror.prepared.has(target.name)) mirror.prepared.set(target.name, prepared);
      };
      this.#out.pending.addLent(bytes, at, end, entry('close', segment, { undo }));
      return true;
    }
    const portal = mirror.portals.get(target.name);
    if (this.#isUncertain(portal)) return this.#waitAnswered();
    mirror.portals.delete(target.name);
    const undo = (): void => {
      if (portal?.gone === false && !mirror.portals.has(target.name)) mirror.portals.set(target.name, portal);
    };
    const confirm = (): void => {
      mirror.cursors.delete(target.name);
      if (portal?.started === true && portal.tally !== undefined) this.#road.finish(portal.tally);
    };
    this.#out.pending.addLent(bytes, at, end, entry('close', segment, { undo, confirm }));
    return true;
  }

  execute(bytes: Buffer, at: number, end: number): boolean {
    const message = parseExecute(bytes, at, end);
    const portal = this.#road.mirror.portals.get(message.portal);
    if (this.#isUncertain(portal) || this.#mayLeaveFailure()) return this.#waitAnswered();
    if (portal === undefined) return this.#failPlain('34000', `portal "${shown(message.portal)}" does not exist`);
    if (this.#waitsForCounts(portal.prepared.facts)) return this.#waitAnswered();
    // Going on with an answer under the bundle it was judged by is no new statement.
    const continues =
      portal.permit !== undefined && portal.judgedUnder === this.#road.bundleSerial && this.#isSameCommit(portal);
    if (!continues) {
      portal.permit = undefined;
      if (!this.#out.pending.judge.includes(portal)) {
        this.#out.beginUnjudged();
        this.#out.pending.judge.push(portal);
      }
    }
    let kept: Buffer | undefined;
    this.#judging.judgeAll(
      () => {
        if (kept === undefined) this.#executeJudged(portal, bytes, at, end);
        else this.#executeJudged(portal, kept, 0, kept.length);
      },
      () => {
        kept ??= Buffer.from(bytes.subarray(at, end));
      },
    );
    return true;
  }

  flush(then: () => void = () => undefined): void {
    this.#judging.judgeAll(() => {
      this.#out.send(this.#out.pending.permit);
      this.#road.ownToServer(flush());
      then();
    });
  }

  /** False = not taken: a transaction of ours is to end with it, and its counts are not known. */
  sync(bytes: Buffer, at: number, end: number): boolean {
    const { transaction, flight } = this.#road;
    if (this.isDropping) {
      this.#out.discard();
      if (transaction.wrapped) this.#endFailed();
      this.#out.sendSync();
      return true;
    }
    if (transaction.wrapped) {
      if (flight.size > 0 || !this.isEmpty) return this.#waitAnswered();
      this.#out.syncing = true;
      this.#commitWrapped();
      return true;
    }
    this.#out.syncing = true;
    let lent: Buffer | undefined = bytes;
    this.#judging.judgeAll(
      () => this.#out.sendSync(lent, at, end),
      () => {
        lent = undefined;
      },
    );
    return true;
  }

  /** The transaction of ours has failed: the client's Sync is to find none. */
  #endFailed(): void {
    const { segment } = this.#road;
    const own = { left: 1, error: undefined, skipped: false, done: () => undefined };
    this.#out.pending.add(sync(), entry('sync', segment, { own }));
    for (const { bytes, item } of ownTransaction('ROLLBACK', segment)) this.#out.pending.add(bytes, item);
  }

  #commitWrapped(): void {
    const road = this.#road;
    const made = ownCommit(road, this.#judge.pipelineState);
    if (made === undefined) throw new GatewayError('internal', { why: 'COMMIT' });
    const { resolved } = made;
    const statement = this.#judge.inTransaction(made.statement);
    this.#judge.statement(statement, {
      waits: () => undefined,
      refused: (refused) => this.#out.fail(refused, true),
      allowed: (permit, number) => {
        const tally = this.#judge.open(number, resolved, this.#judge.plainGuard(permit), undefined);
        const own = {
          left: OWN_MESSAGES,
          error: undefined as Fields | undefined,
          skipped: false,
          tells: true,
          done: () => {
            tally.error = own.error?.get('C') ?? '';
            road.finish(tally);
          },
        };
        for (const { bytes, item } of ownTransaction('COMMIT', road.segment, own)) this.#out.pending.add(bytes, item);
        this.#out.sendSync();
      },
    });
  }

  // --- sending -------------------------------------------------------------------------------------------------------------

  #executeJudged(portal: Portal, bytes: Buffer, at: number, end: number): void {
    const road = this.#road;
    const permit = portal.permit!;
    if (hasMasks(permit.masks) && !portal.described) this.#describeOwn(portal);
    portal.started = true;
    if (road.transaction.needsBegin(portal.tally!.facts, permit.untilCommit)) {
      for (const { bytes, item } of ownTransaction('BEGIN', road.segment)) this.#out.pending.add(bytes, item);
      road.transaction.wrap();
    }
    this.#judge.executed++;
    this.#judge.note(portal.tally!.facts, portal.statement!, portal.tally!, permit);
    const tag = reasonOf(portal.prepared.facts) === undefined ? undefined : 'SET';
    this.#out.pending.addLent(bytes, at, end, portalEntry('execute', road.segment, portal, tag));
    this.#out.pending.permit = permit;
    const copies =
      portal.prepared.facts?.statements.some((facts) => facts.kind === 'copy' && facts.object === 'from') === true;
    // What names stand for changes with it: nothing behind it may be judged by what they stood for before.
    // What may have to be undone must not be committed before its rows are counted.
    const bounded = Number.isFinite(permit.rowsMax) && isWritten(portal.prepared.facts);
    if (!copies && !bounded && portal.tally!.changes.length === 0) return;
    // Until the server says that it waits for data, nothing tells that from a stray message.
    if (copies) this.#copies(permit);
    this.#out.send(permit);
    road.ownToServer(flush());
    this.#intake.block(() => road.copyIn !== undefined || portal.tally!.finished || road.skipping);
  }

  /** Rows must be known before they come; the client did not ask, so it does not see the answer. */
  #describeOwn(portal: Portal): void {
    portal.described = true;
    const own = { left: 1, error: undefined, skipped: false, tells: true, done: () => undefined };
    this.#out.pending.add(
      describe({ kind: 'portal', name: portal.name }),
      entry('describe', this.#road.segment, { portal, own }),
    );
  }

  // --- what has to be known first ---------------------------------------------------------------------------------------------------------------

  #isUncertain(item: Prepared | Portal | undefined): boolean {
    // Made by a pipeline before this one that is not answered: it may have failed.
    return item !== undefined && !item.confirmed && item.segment !== this.#road.segment;
  }

  /** The transaction has failed, but what is on its way may end it: then this would run, and nobody had described it. */
  #mayLeaveFailure(): boolean {
    const { status, flight, signed } = this.#road;
    return status === 'E' && signed.masks().columns.length > 0 && flight.has('query', 'sync');
  }

  /**
   * What runs until its COMMIT has to be certain of one; a COMMIT that may be held, of what it would commit. Both are known
   * once what was sent before is answered.
   */
  #waitsForCounts(facts: SqlFacts | undefined): boolean {
    const { transaction, flight } = this.#road;
    if (transaction.isUncertain(facts)) return true;
    const unanswered = flight.size > 0 || this.#out.pending.entries.some(({ kind }) => kind === 'execute');
    return unanswered && commits(facts) && (transaction.isHeld || this.#pendingHolds());
  }

  /** Judged, and not sent: it may make a COMMIT wait. */
  #pendingHolds(): boolean {
    return this.#out.pending.entries.some(({ portal }) => (portal?.permit?.untilCommit.length ?? 0) > 0);
  }

  /** Its yes was for what the transaction had done then. */
  #isSameCommit(portal: Portal): boolean {
    return !commits(portal.prepared.facts) || portal.judgedWork === this.#road.transaction.version;
  }

  /** Reads the client on once everything synced is answered: then the mirror is the server's truth. */
  #waitAnswered(): false {
    const answered = (): boolean => this.#road.flight.size === 0;
    this.#intake.block(answered);
    // A server answers an open pipeline only when told to.
    this.flush(() => {
      if (answered()) throw new GatewayError('internal', { why: 'a name nobody will confirm' });
      this.#intake.block(answered);
    });
    return false;
  }

  // --- refusing ----------------------------------------------------------------------------------------------------------------

  /** A message was too large to judge. */
  tooLarge(): void {
    this.#out.fail(this.#judge.refusal('[statement too large]', 'statement.too_large', 'gateway/size'));
  }

  /** An error the server would have made of it. What came before is not touched by that: it is judged, and goes. */
  #failPlain(state: string, message: string): true {
    this.#judging.judgeAll(() => {
      this.#out.send(this.#out.pending.permit);
      this.#out.fail({ fields: plainError(state, message), number: 0 });
    });
    return true;
  }
}

const isWritten = (facts: SqlFacts | undefined): boolean =>
  facts === undefined || facts.statements.some(({ effects }) => effects.includes('write'));

/** A name as a client wrote it, for its own eyes. */
const shown = (name: string): string => Buffer.from(name, 'latin1').toString('utf8');
