/**
 * The extended protocol: Parse, Bind, Describe, Close and Execute wait in `pending` until the statement they belong to has
 * its permit; a refusal takes the place of all that waits, and fails on the server itself, so that skipping to Sync and the
 * transaction's status are the server's own. PostgreSQL protocol, "Extended Query" and "Pipelining".
 */
import { GatewayError, LIMITS } from '@sallyport/core';
import type { SqlFacts, Statement } from '@sallyport/model';
import type { Permit } from '@sallyport/protocol-kit';
import type { Answers } from './answers.ts';
import {
  digestHead,
  digestOf,
  digestOfRange,
  isUnknown,
  NO_PARAMETERS,
  NOT_UNDERSTOOD,
  parametersOf,
  type Reading,
  type Resolved,
  readSql,
  reasonOf,
  resolve,
  statementOf,
} from './classify.ts';
import { HEAD_BYTES } from './codec.ts';
import { plainError } from './deny.ts';
import { entry } from './flight.ts';
import type { Intake } from './intake.ts';
import type { Judge, Refused, Ways } from './judge.ts';
import { hasMasks, unvouchedColumns, unvouchedCopy, unvouchedForm } from './mask.ts';
import {
  describe,
  encodeFields,
  execute,
  type Fields,
  flush,
  parse,
  parseBind,
  parseExecute,
  parseParse,
  parseTarget,
  sync,
} from './messages.ts';
import { type Guard, type Portal, type Prepared, requireName, stepBack } from './mirror.ts';
import { Pending } from './pending.ts';
import { noteFields } from './record.ts';
import type { Road } from './road.ts';
import { commits } from './transaction.ts';
import { OWN_MESSAGES, ownCommit, ownTransaction } from './wrap.ts';

/** No client can have bound it (requireName), so executing it fails in every state. */
const FAILING_EXECUTE = execute('sallyport_refused');
const isPortal = (item: Prepared | Portal): item is Portal => 'prepared' in item;

export class Pipeline {
  readonly #road: Road;
  readonly #answers: Answers;
  readonly #judge: Judge;
  readonly #intake: Intake;
  readonly #copies: (permit: Permit) => void;
  #pending = new Pending();
  /** A refusal stands in the pipeline: nothing counts until the client's Sync. */
  #dropping = false;
  /** The client's Sync waits for what is judged before it; it goes to the server whatever comes of that. */
  #syncing = false;

  /** @param copies told the permit under which COPY data may follow */
  constructor(road: Road, answers: Answers, judge: Judge, intake: Intake, copies: (permit: Permit) => void) {
    this.#road = road;
    this.#answers = answers;
    this.#judge = judge;
    this.#intake = intake;
    this.#copies = copies;
  }

  get isEmpty(): boolean {
    return this.#pending.isEmpty;
  }
  /** Messages do not count until the next Sync. */
  get isDropping(): boolean {
    return this.#dropping || this.#road.skipping;
  }

  /** The lent chunk is about to be given back: what is judged leaves, the rest is copied. */
  endOfChunk(): void {
    const pending = this.#pending;
    if (pending.isEmpty) return;
    if (pending.permit !== undefined && pending.judge.length === 0) this.#send(pending.permit);
    else this.#pending.copy();
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
    this.#beginUnjudged();
    mirror.addPrepared(prepared);
    const confirm = (): void => {
      prepared.confirmed = true;
      prepared.before = undefined;
    };
    const undo = (skipped: boolean): void => stepBack(mirror.prepared, name, prepared, skipped || name !== '');
    // What the gateway answers itself is nothing to the server: an empty statement.
    const sent = reasonOf(prepared.facts) === undefined ? message : parse(name, '');
    this.#pending.add(sent, entry('parse', segment, { prepared, confirm, undo }));
    this.#pending.judge.push(prepared);
  }

  bind(bytes: Buffer, at: number, end: number): boolean {
    const message = parseBind(bytes, at, end);
    const { mirror, segment } = this.#road;
    requireName(message.statement);
    const name = requireName(message.portal);
    const prepared = mirror.prepared.get(message.statement);
    const existing = mirror.portals.get(name);
    if (this.#isUncertain(prepared) || (name !== '' && this.#isUncertain(existing)) || this.#mayLeaveFailure)
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
    this.#beginUnjudged();
    mirror.addPortal(portal);
    this.#pending.addLent(bytes, at, end, entry('bind', segment, { bound: portal }));
    this.#pending.judge.push(portal);
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
      this.#pending.addLent(bytes, at, end, entry('describe', segment, { prepared }));
      return true;
    }
    const portal = mirror.portals.get(target.name);
    if (this.#isUncertain(portal)) return this.#waitAnswered();
    if (portal === undefined) {
      if (target.name !== '') return this.#failPlain('34000', `portal "${shown(target.name)}" does not exist`);
      // A simple query that failed in a transaction leaves one of its own: the server knows.
      this.#pending.addLent(bytes, at, end, entry('describe', segment));
      return true;
    }
    portal.described = true;
    this.#pending.addLent(bytes, at, end, entry('describe', segment, { portal }));
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
      this.#pending.addLent(bytes, at, end, entry('close', segment, { undo }));
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
    this.#pending.addLent(bytes, at, end, entry('close', segment, { undo, confirm }));
    return true;
  }

  execute(bytes: Buffer, at: number, end: number): boolean {
    const message = parseExecute(bytes, at, end);
    const portal = this.#road.mirror.portals.get(message.portal);
    if (this.#isUncertain(portal) || this.#mayLeaveFailure) return this.#waitAnswered();
    if (portal === undefined) return this.#failPlain('34000', `portal "${shown(message.portal)}" does not exist`);
    if (this.#waitsForCounts(portal.prepared.facts)) return this.#waitAnswered();
    // Going on with an answer under the bundle it was judged by is no new statement.
    const continues =
      portal.permit !== undefined && portal.judgedUnder === this.#road.bundleSerial && this.#isSameCommit(portal);
    if (!continues) {
      portal.permit = undefined;
      if (!this.#pending.judge.includes(portal)) {
        this.#beginUnjudged();
        this.#pending.judge.push(portal);
      }
    }
    let kept: Buffer | undefined;
    this.#judgePending(
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
    this.#judgePending(() => {
      this.#send(this.#pending.permit);
      this.#road.ownToServer(flush());
      then();
    });
  }

  /** False = not taken: a transaction of ours is to end with it, and its counts are not known. */
  sync(): boolean {
    const { transaction, flight } = this.#road;
    if (this.isDropping) {
      this.#discard();
      if (transaction.wrapped) this.#endFailed();
      this.#sendSync();
      return true;
    }
    if (transaction.wrapped) {
      if (flight.size > 0 || !this.isEmpty) return this.#waitAnswered();
      this.#syncing = true;
      this.#commitWrapped();
      return true;
    }
    this.#syncing = true;
    this.#judgePending(() => this.#sendSync());
    return true;
  }

  /** The transaction of ours has failed: the client's Sync is to find none. */
  #endFailed(): void {
    const { segment } = this.#road;
    const own = { left: 1, error: undefined, skipped: false, done: () => undefined };
    this.#pending.add(sync(), entry('sync', segment, { own }));
    for (const { bytes, item } of ownTransaction('ROLLBACK', segment)) this.#pending.add(bytes, item);
  }

  #commitWrapped(): void {
    const road = this.#road;
    const made = ownCommit(road, this.#judge.pipelineState);
    if (made === undefined) throw new GatewayError('internal', { why: 'COMMIT' });
    const { resolved } = made;
    const statement = this.#judge.inTransaction(made.statement);
    this.#judge.statement(statement, {
      waits: () => undefined,
      refused: (refused) => this.#fail(refused, true),
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
        for (const { bytes, item } of ownTransaction('COMMIT', road.segment, own)) this.#pending.add(bytes, item);
        this.#sendSync();
      },
    });
  }

  // --- sending -------------------------------------------------------------------------------------------------------------

  /** What is judged leaves before something that is not joins it. */
  #beginUnjudged(): void {
    if (this.#pending.judge.length === 0) this.#send(this.#pending.permit);
  }

  /** Without a permit there is nothing of a statement in it: Describe and Close of what was judged, Sync. */
  #send(permit: Permit | undefined): void {
    const pending = this.#pending;
    if (pending.isEmpty) return;
    if (pending.judge.length > 0)
      throw new GatewayError('internal', { why: 'an unjudged message was about to be sent' });
    this.#pending = new Pending();
    for (const item of pending.entries) this.#road.flight.push(item);
    this.#road.unsynced = pending.entries.at(-1)?.kind !== 'sync';
    for (const bytes of pending.bytes()) {
      if (permit === undefined) this.#road.ownToServer(bytes);
      else this.#road.toServer(permit, bytes);
    }
  }

  #sendSync(): void {
    this.#syncing = false;
    this.#dropping = false;
    this.#road.skipping = false;
    this.#pending.add(sync(), entry('sync', this.#road.segment));
    this.#send(this.#pending.permit);
    this.#road.segment++;
    this.#judge.executed = 0;
  }

  #executeJudged(portal: Portal, bytes: Buffer, at: number, end: number): void {
    const road = this.#road;
    const permit = portal.permit!;
    if (hasMasks(permit.masks) && !portal.described) this.#describeOwn(portal);
    portal.started = true;
    if (road.transaction.needsBegin(portal.tally!.facts, permit.untilCommit)) {
      for (const { bytes, item } of ownTransaction('BEGIN', road.segment)) this.#pending.add(bytes, item);
      road.transaction.wrap();
    }
    this.#judge.executed++;
    this.#judge.note(portal.tally!.facts, portal.statement!, portal.tally!, permit);
    const tag = reasonOf(portal.prepared.facts) === undefined ? undefined : 'SET';
    this.#pending.addLent(bytes, at, end, entry('execute', road.segment, { portal, tally: portal.tally, tag }));
    this.#pending.permit = permit;
    const copies =
      portal.prepared.facts?.statements.some((facts) => facts.kind === 'copy' && facts.object === 'from') === true;
    // What names stand for changes with it: nothing behind it may be judged by what they stood for before.
    // What may have to be undone must not be committed before its rows are counted.
    const bounded = Number.isFinite(permit.rowsMax) && isWritten(portal.prepared.facts);
    if (!copies && !bounded && portal.tally!.changes.length === 0) return;
    // Until the server says that it waits for data, nothing tells that from a stray message.
    if (copies) this.#copies(permit);
    this.#send(permit);
    road.ownToServer(flush());
    this.#intake.block(() => road.copyIn !== undefined || portal.tally!.finished || road.skipping);
  }

  /** Rows must be known before they come; the client did not ask, so it does not see the answer. */
  #describeOwn(portal: Portal): void {
    portal.described = true;
    const own = { left: 1, error: undefined, skipped: false, tells: true, done: () => undefined };
    this.#pending.add(
      describe({ kind: 'portal', name: portal.name }),
      entry('describe', this.#road.segment, { portal, own }),
    );
  }

  // --- judging ---------------------------------------------------------------------------------------------------------------

  #isUncertain(item: Prepared | Portal | undefined): boolean {
    // Made by a pipeline before this one that is not answered: it may have failed.
    return item !== undefined && !item.confirmed && item.segment !== this.#road.segment;
  }

  /** The transaction has failed, but what is on its way may end it: then this would run, and nobody had described it. */
  get #mayLeaveFailure(): boolean {
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
    const unanswered = flight.size > 0 || this.#pending.entries.some(({ kind }) => kind === 'execute');
    return unanswered && commits(facts) && (transaction.isHeld || this.#pendingHolds);
  }

  /** Judged, and not sent: it may make a COMMIT wait. */
  get #pendingHolds(): boolean {
    return this.#pending.entries.some(({ portal }) => (portal?.permit?.untilCommit.length ?? 0) > 0);
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

  /**
   * Judges what is pending, in order, then goes on; a refusal takes the place of all of it.
   * @param waits called before the lent chunk is given back while something is undecided
   */
  #judgePending(done: () => void, waits: () => void = () => undefined): void {
    const pending = this.#pending;
    const { judge } = pending;
    let granted = pending.permit;
    for (let item = judge[0]; item !== undefined; item = judge[0]) {
      if (isPortal(item)) {
        if (!this.#judgePortal(item, waits, done)) return;
        judge.shift();
        granted = pending.permit = item.permit;
        continue;
      }
      const prepared = item;
      // A statement that is executed in the same breath is judged then, with its parameters.
      if (!judge.some((other) => isPortal(other) && other.prepared === prepared)) {
        const judged = this.#judge.preparation(this.#statementOf(prepared, digestOf(prepared.digestHead, undefined)));
        if ('fields' in judged) return this.#fail(judged);
        granted = judged;
      }
      judge.shift();
    }
    pending.permit = granted;
    done();
  }

  #resolved(prepared: Prepared): Resolved {
    if (prepared.facts === undefined) return NOT_UNDERSTOOD;
    const { mirror, meaning, segment } = this.#road;
    const chain = meaning.chain(segment);
    const resolved = resolve(prepared.facts, prepared.text, mirror, chain);
    return prepared.chain === chain ? resolved : { ...resolved, under: [prepared.chain, ...resolved.under] };
  }

  #statementOf(prepared: Prepared, digest: string, parameters = NO_PARAMETERS, resolved = this.#resolved(prepared)) {
    return statementOf(prepared.text, digest, parameters, resolved, this.#judge.pipelineState, prepared.declared);
  }

  /** @returns true when it is judged, and may run; else it is refused, or `done` is called once it is */
  #judgePortal(portal: Portal, waits: () => void, done: () => void): boolean {
    const { prepared } = portal;
    const resolved = this.#resolved(prepared);
    const statement = this.#judge.inTransaction(
      this.#statementOf(prepared, portal.digest, portal.parameters, resolved),
    );
    portal.judgedWork = this.#road.transaction.version;
    const permit = this.#judge.now(statement, () => this.#waysOf(portal, statement, resolved, waits, done));
    if (permit === undefined) return false;
    const number = this.#road.signed.statementNumber();
    const guard = this.#judge.guardNow(resolved.facts, prepared.text, permit);
    if (guard === undefined) {
      this.#waysOf(portal, statement, resolved, waits, done).allowed(permit, number);
      return false;
    }
    this.#allowed(portal, statement, resolved, permit, number, guard);
    return true;
  }

  #allowed(portal: Portal, statement: Statement, resolved: Resolved, permit: Permit, number: number, guard: Guard) {
    // Judged anew in the middle of its rows: what came so far is an outcome of its own.
    if (portal.tally !== undefined) this.#road.finish(portal.tally);
    portal.permit = permit;
    portal.statement = statement;
    portal.judgedUnder = this.#road.bundleSerial;
    portal.tally = this.#judge.open(number, resolved, guard, undefined);
  }

  #waysOf(portal: Portal, statement: Statement, resolved: Resolved, waits: () => void, done: () => void): Ways {
    const { prepared } = portal;
    const keep = (): void => {
      this.#pending.copy();
      waits();
    };
    return {
      waits: keep,
      refused: (refused) => this.#fail(refused, statement.commits !== undefined),
      allowed: (permit, number) => {
        const allow = (guard = this.#judge.plainGuard(permit)): void => {
          this.#allowed(portal, statement, resolved, permit, number, guard);
          // What was sent so that it could be described is no longer in it.
          this.#pending.judge.shift();
          this.#pending.permit = permit;
          this.#judgePending(done, waits);
        };
        const unvouched = (why: string): Refused => ({
          ...this.#judge.refusal(statement, 'mask.unvouched', 'gateway/mask', why),
          number,
        });
        const facts = resolved.facts;
        const binary = facts === undefined ? undefined : unvouchedCopy(facts.statements, prepared.text, permit.masks);
        if (binary !== undefined) return this.#fail(unvouched(binary));
        if (facts === undefined || !this.#judge.needsReach(permit, facts.statements)) return allow();
        if (this.#road.status === 'E') {
          // In a failed transaction the server runs nothing but its end; behind that it would, in this same pipeline.
          if (this.#judge.executed === 0) return allow(this.#judge.closedGuard(permit));
          const why = 'Its answer cannot be described behind the end of a failed transaction; send Sync first.';
          return this.#fail(unvouched(why));
        }
        this.#vouch(portal, facts, permit, number, {
          vouched: allow,
          refused: (why) => this.#fail(unvouched(why)),
          failed: (why) => this.#failHere(unvouched(why)),
        });
        if (this.#intake.isBlocked) keep();
      },
    };
  }

  /** Looks at what the portal would answer before it runs, where masked columns are near. */
  #vouch(
    portal: Portal,
    facts: SqlFacts,
    permit: Permit,
    number: number,
    ways: { vouched(guard: Guard): void; refused(why: string): void; failed(why: string): void },
  ): void {
    const road = this.#road;
    this.#judge.withReach(permit, facts.statements, false, (failure, skipped) => {
      if (skipped) return this.#dropped();
      const reach = road.catalog.reach;
      if (failure !== undefined || reach === undefined)
        return ways.failed('The masked columns could not be looked up.');
      // A prepared statement is one statement; the server refuses more.
      const one = facts.statements[0];
      for (const each of facts.statements) {
        const why = unvouchedForm(each, reach);
        if (why !== undefined) return ways.refused(why);
      }
      const guard = this.#judge.guard(permit, reach, facts.statements);
      if (one === undefined || !guard.touches) {
        this.#judge.foundClear(facts, guard);
        return ways.vouched(guard);
      }
      const decide = (): void => {
        const columns = portal.columns ?? portal.prepared.columns;
        if (columns === undefined) return ways.refused('Its answer could not be described before it runs.');
        const why = unvouchedColumns(one, columns, reach);
        if (why !== undefined) return ways.refused(why);
        portal.vouched = columns;
        ways.vouched(guard);
      };
      if (portal.columns !== undefined || portal.prepared.columns !== undefined) return decide();
      this.#describeNow(portal, permit, number, decide, (why) => ways.refused(why));
    });
  }

  /** Sends the pipeline up to this Bind, judged as it is, and a Describe; waits for its answer. */
  #describeNow(
    portal: Portal,
    permit: Permit,
    number: number,
    decide: () => void,
    refused: (why: string) => void,
  ): void {
    const road = this.#road;
    const pending = this.#pending;
    if (pending.judge.length > 1)
      return refused('Its answer could not be described before it runs; send Sync or Execute after each Bind.');
    const own = this.#judge.ask({ left: 1 }, (failure, skipped) => {
      if (failure === undefined) return decide();
      // It failed where it would have failed anyway, and has not run.
      const tally = this.#judge.open(
        number,
        { facts: undefined, changes: [] },
        this.#judge.closedGuard(permit),
        undefined,
      );
      tally.error = failure.get('C') ?? '';
      road.finish(tally);
      if (skipped) this.#dropped();
      else this.#failHere({ fields: this.#answers.hidden(failure, 'named'), number });
    });
    portal.described = true;
    const judge = pending.judge.splice(0);
    this.#pending.add(
      describe({ kind: 'portal', name: portal.name }),
      entry('describe', road.segment, { portal, own }),
    );
    this.#send(permit);
    road.ownToServer(flush());
    // Its Execute is still to come, and to be judged as done.
    this.#pending.judge.push(...judge);
  }

  // --- refusing ----------------------------------------------------------------------------------------------------------------

  /** A message was too large to judge. */
  tooLarge(): void {
    this.#fail(this.#judge.refusal('[statement too large]', 'statement.too_large', 'gateway/size'));
  }

  /** An error the server would have made of it. What came before is not touched by that: it is judged, and goes. */
  #failPlain(state: string, message: string): true {
    this.#judgePending(() => {
      this.#send(this.#pending.permit);
      this.#fail({ fields: plainError(state, message), number: 0 });
    });
    return true;
  }

  /** The server is skipping because of a question of ours: the client has not been told. */
  #failHere({ fields, number }: Refused): void {
    noteFields(this.#road.host.recorder, number, 'error', fields);
    this.#discard();
    this.#dropping = true;
    this.#answers.interject(encodeFields('E', fields));
    if (this.#syncing) this.#sendSync();
  }

  /** An earlier message failed: the client has its error, and what is pending would be skipped. */
  #dropped(): void {
    this.#discard();
    this.#dropping = true;
    if (this.#syncing) this.#sendSync();
  }

  #discard(): void {
    const { entries } = this.#pending;
    this.#pending = new Pending();
    for (let i = entries.length - 1; i >= 0; i--) this.#road.stepBack(entries[i]!, true);
  }

  #rollBack(): void {
    const said = ownTransaction('ROLLBACK', this.#road.segment);
    for (const { item } of said) this.#road.flight.push(item);
    this.#road.ownToServer(Buffer.concat(said.map(({ bytes }) => bytes)));
  }

  /** @param rollsBack it was a COMMIT: nothing of its transaction may stand, and no lock may stay */
  #fail({ fields, number }: Refused, rollsBack = false): void {
    const road = this.#road;
    if (number > 0) noteFields(road.host.recorder, number, 'error', fields);
    // The server is skipping: the client has its error already.
    if (road.skipping) return this.#dropped();
    this.#discard();
    this.#dropping = true;
    if (rollsBack) this.#rollBack();
    road.flight.push(entry('execute', road.segment, { refusal: fields }));
    if (this.#syncing) {
      road.ownToServer(FAILING_EXECUTE);
      this.#sendSync();
    } else road.ownToServer(Buffer.concat([FAILING_EXECUTE, flush()]));
  }
}

const isWritten = (facts: SqlFacts | undefined): boolean =>
  facts === undefined || facts.statements.some(({ effects }) => effects.includes('write'));

/** A name as a client wrote it, for its own eyes. */
const shown = (name: string): string => Buffer.from(name, 'latin1').toString('utf8');
