/**
 * Takes one statement from what is known of it to a permit and a guard over its answer, or to a refusal: pinned settings,
 * the gate (which may hold it for a person), then what column masks need to know before it may run.
 * Refuses to send or to read messages; simple.ts and pipeline.ts do, each for its half of the protocol.
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import type { MaskSet, SqlFacts, SqlStatementFacts, Statement, StatementShape, Verdict } from '@sallyport/model';
import {
  admit,
  admitOwn,
  admitPreparation,
  type GatePorts,
  type HeldNotice,
  isPermit,
  type Permit,
  Refusal,
  refuse,
  wouldHold,
} from '@sallyport/protocol-kit';
import { extractSqlFacts, statementShape } from '@sallyport/sql';
import type { Answers } from './answers.ts';
import { LOOKUP, lookupValues, type Reach, ReachBuilder } from './catalog.ts';
import { NO_PARAMETERS } from './classify/parameters.ts';
import { pinnedReason, reasonOf } from './classify/pins.ts';
import { NO_TYPES, NOT_UNDERSTOOD, type Reading, type Resolved, type SessionState, statementOf } from './classify.ts';
import { heldNotice, refusalFields, requestId } from './deny.ts';
import { entry, type OwnQuestion } from './flight.ts';
import type { Intake } from './intake.ts';
import { hasMasks, needsReach, quotes, quotesUnnamed, touches, unvouchedCopy, unvouchedForm } from './mask.ts';
import { bind, close, execute, type Fields, flush, parse, sync } from './messages.ts';
import type { Guard, Tally } from './mirror.ts';
import { isReasonTooLong } from './reason.ts';
import { openTally } from './record.ts';
import type { Road } from './road.ts';

export interface Refused {
  readonly fields: Fields;
  readonly number: number;
}

export interface Ways {
  allowed(permit: Permit, number: number): void;
  refused(refused: Refused): void;
  /** It has to wait: lent bytes must be copied. */
  waits(): void;
  /** Looks up what column masks reach, then goes on; or ends it where it cannot. Absent: masks cannot matter to it. */
  look?(masks: MaskSet, then: () => void): void;
}

const REASON_TOO_LONG = `A reason has at most ${LIMITS.reasonBytesMax} bytes.`;
const LOOKUP_NAME = 'sallyport_lookup';

export class Judge {
  readonly #road: Road;
  readonly #gate: GatePorts;
  readonly #answers: Answers;
  /** Runs a step that came from outside of the peers' bytes; what it throws ends the session. */
  readonly #run: (step: () => void) => void;
  #held: HeldNotice | undefined;
  #waiting = false;
  #heldTooLong = false;
  #resumes: (() => void)[] = [];
  intake!: Intake;
  /** Statements executed in this pipeline: their locks are held until its Sync. */
  executed = 0;

  constructor(road: Road, answers: Answers, run: (step: () => void) => void) {
    this.#road = road;
    this.#answers = answers;
    this.#run = run;
    const { gate } = road.signed;
    this.#gate = {
      decide: (statement, approval) => this.#notInVain(statement, gate.decide(statement, approval)),
      record: (statement, verdict, approval) => gate.record(statement, verdict, approval),
      awaitApproval: (statement, verdict) => gate.awaitApproval(statement, verdict),
      shape: (statement) => gate.shape?.(statement),
    };
    road.signed.shapes = (statement) => this.#shape(statement);
    road.signed.meanings = () => road.meaning.parts(road.segment);
    road.signed.onHeld = (held) => {
      this.#held = held;
      this.#answers.interject(heldNotice(held, road.host.nowMs()));
      road.host.timers.set('notice', LIMITS.approvalNoticeEveryMs);
    };
  }

  // --- the gate --------------------------------------------------------------------------------------------------------

  /** A simple query outside of a transaction commits before its row count is known. */
  get state(): SessionState {
    return this.#state(this.#road.status === 'T');
  }

  /** In a pipeline nothing is committed before the client's Sync, which can be kept back. */
  get pipelineState(): SessionState {
    return this.#state(true);
  }

  #state(undoable: boolean): SessionState {
    const { status, beginning, wrote, meaning, segment } = this.#road;
    return {
      inTransaction: status !== 'I' || beginning || this.executed > 0,
      wroteInTransaction: wrote,
      undoable,
      chain: meaning.chain(segment),
    };
  }

  /** Kept by the statement: it is asked for again once a person has answered. */
  readonly #shapes = new WeakMap<Statement, { readonly shape: StatementShape | undefined }>();

  #shape(statement: Statement): StatementShape | undefined {
    const road = this.#road;
    const { signed } = road;
    const facts = statement.facts.sql;
    if (facts === undefined || statement.preparation === true || statement.meaning !== undefined) return undefined;
    // Names mean what they meant when it was approved only in a session that never moved any.
    if (road.meaning.namesMoved(road.segment)) return undefined;
    const known = this.#shapes.get(statement);
    if (known !== undefined) return known.shape;
    const shape = statementShape({
      text: statement.text,
      facts,
      types: statement.declaredTypes ?? NO_TYPES,
      undoable: statement.undoable === true,
      session: [signed.info.resourceId, signed.info.database, signed.role ?? '', ...road.meaning.parts(road.segment)],
    });
    this.#shapes.set(statement, { shape });
    return shape;
  }

  /** The statement with what the open transaction makes of it: how it is committed, and what it would commit. */
  inTransaction(statement: Statement): Statement {
    const facets = this.#road.transaction.facets(statement, this.executed === 0);
    return facets.commit === undefined ? statement : { ...statement, ...facets };
  }

  /** Judges and records one statement that is about to run. */
  statement(statement: Statement, ways: Ways): void {
    const permit = this.now(statement, () => ways);
    if (permit !== undefined) ways.allowed(permit, this.#road.signed.statementNumber());
  }

  /**
   * As `statement`, for nearly all of them: the permit at once, under the number of the last statement. Undefined: it went, or
   * will go, one of the ways.
   */
  now(statement: Statement, ways: () => Ways): Permit | undefined {
    const ready = this.#road.signed.ready?.();
    if (ready === undefined) return this.#readyNow(statement, ways);
    this.#whenReady(ready, statement, ways());
    return undefined;
  }

  #readyNow(statement: Statement, ways: () => Ways): Permit | undefined {
    const because = reasonOf(statement.facts.sql);
    if (because !== undefined) {
      this.#because(because, statement, ways());
      return undefined;
    }
    const refused = this.#unasked(statement);
    if (refused !== undefined) {
      ways().refused(refused);
      return undefined;
    }
    if (!this.#mustLook(statement)) return this.#gated(statement, ways);
    const looking = ways();
    if (looking.look === undefined) return this.#gated(statement, () => looking);
    looking.waits();
    looking.look(this.#road.signed.masks(), () => {
      const permit = this.#gated(statement, () => looking);
      if (permit !== undefined) looking.allowed(permit, this.#road.signed.statementNumber());
    });
    return undefined;
  }

  #gated(statement: Statement, ways: () => Ways): Permit | undefined {
    const { signed, host } = this.#road;
    let outcome: Permit | Promise<Permit>;
    this.#heldTooLong = false;
    try {
      outcome = admit(statement, this.#gate);
    } catch (error) {
      ways().refused(this.#refused(error, statement));
      return undefined;
    }
    const number = signed.statementNumber();
    host.recorder.statement(number, statement.text);
    if (isPermit(outcome)) return outcome;
    const held = ways();
    held.waits();
    this.#wait(outcome, statement, number, held);
    return undefined;
  }

  /** Nobody is asked about what masks refuse whatever the answer, as far as they tell without a description of it. */
  #notInVain(statement: Statement, verdict: Verdict): Verdict {
    if (verdict.kind !== 'hold') return verdict;
    const facts = statement.facts.sql;
    const message = facts === undefined ? undefined : this.#unvouched(facts, statement.text);
    if (message === undefined) return verdict;
    const { shadow } = verdict;
    return {
      kind: 'deny',
      rule: 'gateway/mask',
      code: 'mask.unvouched',
      message,
      ...(shadow === undefined ? {} : { shadow }),
    };
  }

  #unvouched({ statements }: SqlFacts, text: string): string | undefined {
    const { catalog, host, signed, status } = this.#road;
    const masks = signed.masks();
    const binary = unvouchedCopy(statements, text, masks);
    // In a failed transaction the server runs nothing but its end.
    if (binary !== undefined || status === 'E' || !this.needsReach(masks, statements)) return binary;
    const { reach } = catalog;
    if (reach === undefined || catalog.isStale(masks, statements, host.nowMs())) return undefined;
    for (const facts of statements) {
      const why = unvouchedForm(facts, reach);
      if (why !== undefined) return why;
    }
    return undefined;
  }

  /** A person would be asked about it, and what masks reach, which may refuse it, is not known. */
  #mustLook(statement: Statement): boolean {
    const { catalog, host, signed, status } = this.#road;
    const facts = statement.facts.sql;
    if (facts === undefined || status === 'E') return false;
    try {
      const masks = signed.masks();
      return (
        this.needsReach(masks, facts.statements) &&
        catalog.isStale(masks, facts.statements, host.nowMs()) &&
        wouldHold(statement, signed.gate)
      );
    } catch {
      // Rules that break are refused, and recorded, by the gate.
      return false;
    }
  }

  /** What no policy is asked about. */
  #unasked(statement: Statement): Refused | undefined {
    const reason = this.#pinned(statement);
    if (reason !== undefined) return this.refusal(statement, 'statement.refused', 'gateway/pinned', reason);
    const ending = statement.facts.sql === undefined ? undefined : this.#road.transaction.refusal(statement.facts.sql);
    return ending === undefined ? undefined : this.refusal(statement, 'statement.refused', 'gateway/commit', ending);
  }

  /** Something has to be fetched first; nothing else of the client is read meanwhile. */
  #whenReady(ready: Promise<void>, statement: Statement, ways: Ways): void {
    ways.waits();
    this.intake.block();
    const step = (): void =>
      this.#run(() =>
        this.intake.resume(() => {
          const permit = this.#readyNow(statement, () => ways);
          if (permit !== undefined) ways.allowed(permit, this.#road.signed.statementNumber());
        }),
      );
    ready.then(step, step);
  }

  /** The requester says why: the gateway keeps it, and the server never sees it. */
  #because(because: string, statement: Statement, ways: Ways): void {
    const { signed, host } = this.#road;
    if (isReasonTooLong(because))
      return ways.refused(this.refusal(statement, 'statement.refused', 'gateway/reason', REASON_TOO_LONG));
    try {
      const permit = admitOwn(statement, signed.gate, 'gateway/reason');
      signed.because?.(because);
      host.recorder.statement(signed.statementNumber(), statement.text);
      ways.allowed(permit, signed.statementNumber());
    } catch (error) {
      ways.refused(this.#refused(error, statement));
    }
  }

  /** Judges and records one statement that is only to be prepared. */
  preparation(statement: Statement): Permit | Refused {
    if (reasonOf(statement.facts.sql) !== undefined) {
      try {
        return admitOwn({ ...statement, preparation: true }, this.#road.signed.gate, 'gateway/reason');
      } catch (error) {
        return this.#refused(error, statement);
      }
    }
    const reason = this.#pinned(statement);
    if (reason !== undefined) return this.refusal(statement, 'statement.refused', 'gateway/pinned', reason);
    try {
      return admitPreparation({ ...statement, preparation: true }, this.#road.signed.gate);
    } catch (error) {
      return this.#refused(error, statement);
    }
  }

  /** The gateway's own refusal, recorded. `statement` undefined: a message that is no statement, named by `text`. */
  refusal(statement: Statement | string, code: Refusal['code'], rule: string, message?: string): Refused {
    const judged =
      typeof statement === 'string' ? statementOf(statement, '', NO_PARAMETERS, NOT_UNDERSTOOD, this.state) : statement;
    try {
      return this.#refused(refuse(judged, this.#road.signed.gate, code, rule, message), judged);
    } catch (error) {
      return this.#refused(error, judged);
    }
  }

  #refused(error: unknown, statement: Statement): Refused {
    const { signed, host } = this.#road;
    const number = signed.statementNumber();
    host.recorder.statement(number, statement.text);
    return { fields: refusalFields(asRefusal(error), requestId(signed.info.id, number)), number };
  }

  #pinned(statement: Statement): string | undefined {
    const { signed } = this.#road;
    const facts = statement.facts.sql;
    return facts === undefined
      ? undefined
      : pinnedReason(facts, { readOnly: signed.readOnly, role: signed.role !== undefined });
  }

  // --- holds -----------------------------------------------------------------------------------------------------------

  get isHeld(): boolean {
    return this.#waiting;
  }

  #wait(outcome: Promise<Permit>, statement: Statement, number: number, ways: Ways): void {
    const { host, signed } = this.#road;
    this.#waiting = true;
    this.intake.block();
    if (statement.commits !== undefined) this.#road.transaction.stopClock();
    // Nobody's locks wait for a person's lunch.
    if (statement.inTransaction) host.timers.set('held', signed.resource.holdInTransactionMsMax);
    const settled = (step: () => void): void =>
      this.#run(() => {
        this.#waiting = false;
        this.#held = undefined;
        host.timers.clear('notice');
        host.timers.clear('held');
        this.intake.resume(step);
      });
    outcome.then(
      (permit) => settled(() => ways.allowed(permit, number)),
      (error: unknown) =>
        settled(() => {
          const refusal = this.#heldTooLong
            ? new Refusal('approval.expired', {
                kind: 'deny',
                rule: asRefusal(error).verdict.rule,
                code: 'approval.expired',
              })
            : asRefusal(error);
          ways.refused({ fields: refusalFields(refusal, requestId(signed.info.id, number)), number });
        }),
    );
  }

  /** The client asked, or is gone, or the pipeline has failed. */
  cancelHeld(): boolean {
    if (!this.#waiting) return false;
    this.#road.signed.cancelHeld();
    return true;
  }

  /** A transaction waited as long as the resource allows. */
  heldTooLong(): void {
    if (!this.#waiting) return;
    this.#heldTooLong = true;
    this.#road.signed.cancelHeld('approval.expired');
  }

  remind(): void {
    if (this.#held === undefined) return;
    this.#answers.interject(heldNotice(this.#held, this.#road.host.nowMs()));
    this.#road.host.timers.set('notice', LIMITS.approvalNoticeEveryMs);
  }

  // --- after the permit ------------------------------------------------------------------------------------------------

  open(number: number, resolved: Pick<Resolved, 'facts' | 'changes'>, guard: Guard, vouched: Tally['vouched']): Tally {
    return openTally(number, resolved.facts, guard, resolved.changes, vouched, this.#road.host.monotonicUs());
  }

  /** Keeps what a forwarded statement does to the session's state. */
  note(facts: SqlFacts | undefined, statement: Statement, tally: Tally, permit: Permit): void {
    if (facts === undefined) return;
    const road = this.#road;
    road.transaction.sent(statement, facts, tally, permit.untilCommit);
    road.meaning.sent(statement, facts, road.segment);
    for (const { effects, transaction } of facts.statements) {
      if (transaction === 'begin') road.beginning = true;
      if (effects.includes('write') || effects.includes('ddl')) road.wrote = true;
      if (effects.includes('ddl') || effects.includes('exec')) {
        road.changedSchema = true;
        road.catalog.invalidate();
      }
    }
  }

  plainGuard(permit: Permit, facts?: SqlFacts): Guard {
    return {
      masks: permit.masks,
      key: this.#road.signed.maskKey,
      reach: undefined,
      touches: false,
      quotes: permit.masks.columns.length > 0 && facts?.statements.some(quotesUnnamed) === true,
      rowsMax: permit.rowsMax,
    };
  }

  /** Rows under this guard end the session: for statements of which none can come. */
  closedGuard(permit: Permit): Guard {
    return { ...this.plainGuard(permit), touches: true, quotes: true };
  }

  /** Guards over answers that no column mask can reach, by the facts they were made from. */
  readonly #clear = new WeakMap<SqlFacts, Guard>();

  /**
   * The guard of a statement that was found to be far from masked columns before, under the same masks and the same reach, and
   * while that reach is fresh. Undefined: it is to be looked at.
   */
  clearGuard(permit: Permit, facts: SqlFacts): Guard | undefined {
    const known = this.#clear.get(facts);
    const { catalog, host } = this.#road;
    if (
      known === undefined ||
      known.masks !== permit.masks ||
      known.reach !== catalog.reach ||
      known.rowsMax !== permit.rowsMax ||
      catalog.isStale(permit.masks, facts.statements, host.nowMs())
    )
      return undefined;
    return known;
  }

  /** Of a statement in a pipeline, where masks are far from it or it is known that they are; else it is to be vouched for. */
  guardNow(facts: SqlFacts | undefined, text: string, permit: Permit): Guard | undefined {
    if (facts === undefined || !hasMasks(permit.masks)) return this.plainGuard(permit);
    if (unvouchedCopy(facts.statements, text, permit.masks) !== undefined) return undefined;
    if (!this.needsReach(permit.masks, facts.statements)) return this.plainGuard(permit, facts);
    return this.#road.status === 'E' ? undefined : this.clearGuard(permit, facts);
  }

  /** Nothing was found in a statement that vouching has to look at again, as long as masks and reach are these. */
  foundClear(facts: SqlFacts, guard: Guard): void {
    if (!guard.touches) this.#clear.set(facts, guard);
  }

  guard(permit: Permit, reach: Reach, statements: readonly SqlStatementFacts[]): Guard {
    return {
      masks: permit.masks,
      key: this.#road.signed.maskKey,
      reach,
      touches: statements.some((facts) => touches(facts, reach)),
      quotes: statements.some((facts) => quotes(facts, reach)),
      rowsMax: permit.rowsMax,
    };
  }

  /** True when column masks could matter to these statements. */
  needsReach(masks: MaskSet, statements: readonly SqlStatementFacts[]): boolean {
    return masks.columns.length > 0 && needsReach(statements);
  }

  /** Waits for a text that is read elsewhere; nothing of the client is read meanwhile. */
  later(reading: Promise<Reading>, then: (reading: Reading) => void): void {
    const settled = (read: Reading): void => this.#run(() => this.intake.resume(() => then(read)));
    reading.then(settled, () => settled({ unknown: 'timeout' }));
  }

  // --- the gateway's own questions ---------------------------------------------------------------------------------------

  /**
   * Asks the server; the answer comes when its chunk is through, while the client is not read.
   * @param then continues, with the server's error if it failed; `skipped`: an earlier message failed, the client knows
   */
  ask(
    question: Omit<OwnQuestion, 'done' | 'error' | 'skipped'>,
    then: (error: Fields | undefined, skipped: boolean) => void,
  ): OwnQuestion {
    this.intake.block();
    const own: OwnQuestion = {
      ...question,
      error: undefined,
      skipped: false,
      done: () => {
        this.#resumes.push(() => then(own.error, own.skipped));
      },
    };
    return own;
  }

  /** The server's chunk is through. */
  progressed(): void {
    if (this.#road.skipping && this.#waiting) this.#road.signed.cancelHeld();
    while (this.#resumes.length > 0) {
      const step = this.#resumes.shift()!;
      this.intake.resume(step);
    }
    this.intake.progressed();
  }

  /**
   * Makes sure that the reach of the column masks is known, by a look-up on this connection where it is not.
   * @param synced true between simple queries; in a pipeline a Sync would end its transaction
   */
  withReach(
    masks: MaskSet,
    statements: readonly SqlStatementFacts[],
    synced: boolean,
    then: (error: Fields | undefined, skipped: boolean) => void,
  ): void {
    const road = this.#road;
    if (!road.catalog.isStale(masks, statements, road.host.nowMs())) return then(undefined, false);
    const names = road.catalog.names(masks, statements, road.host.nowMs());
    const builder = new ReachBuilder(masks.columns, (text) => extractSqlFacts(text, this.#road.major));
    const own = this.ask({ left: synced ? 6 : 5, row: (cells) => builder.row(cells) }, (error, skipped) => {
      if (error === undefined) road.catalog.taken(masks, builder, names, road.host.nowMs());
      then(error, skipped);
    });
    for (const kind of ['parse', 'bind', 'execute', 'close', 'close'] as const)
      road.flight.push(entry(kind, road.segment, { own }));
    if (synced) road.flight.push(entry('sync', road.segment, { own }));
    road.ownToServer(
      Buffer.concat([
        parse(LOOKUP_NAME, LOOKUP),
        bind(LOOKUP_NAME, LOOKUP_NAME, lookupValues(masks.columns, names)),
        execute(LOOKUP_NAME),
        // In a transaction a portal would stay, and the next look-up find its name taken.
        close({ kind: 'portal', name: LOOKUP_NAME }),
        close({ kind: 'statement', name: LOOKUP_NAME }),
        synced ? sync() : flush(),
      ]),
    );
  }
}

/** A spool that is full or a gate that broke is refused in the same words as a rule. */
export function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const code = error instanceof GatewayError ? error.code : 'internal';
  return new Refusal(code, { kind: 'deny', rule: 'gateway', code }, { cause: error });
}
