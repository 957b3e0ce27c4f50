/**
 * Simple queries: the whole string is one statement to judge, and goes to the server whole or not at all.
 * Waits until nothing is on its way, so that the transaction status is the server's own. PostgreSQL protocol, "Simple Query".
 */
import { LIMITS } from '@sallyport/core';
import type { MaskSet, SqlStatementFacts, Statement } from '@sallyport/model';
import type { Permit } from '@sallyport/protocol-kit';
import { shapeKey } from '@sallyport/sql';
import type { Answers } from './answers.ts';
import type { Reach } from './catalog.ts';
import { digestOfText } from './classify/digests.ts';
import { NO_PARAMETERS } from './classify/parameters.ts';
import { reasonOf } from './classify/pins.ts';
import { type Reading, type Resolved, readSql, resolve, statementOf } from './classify.ts';
import { HEAD_BYTES } from './codec.ts';
import { plainError } from './deny.ts';
import { entry, type OwnQuestion, queryEntry, type Wrapped } from './flight.ts';
import type { Intake } from './intake.ts';
import type { Judge, Refused } from './judge.ts';
import { touches, unvouchedColumns, unvouchedCopy, unvouchedForm } from './mask.ts';
import { describe, encodeFields, type FieldDescription, parse, query, readyForQuery, sync } from './messages.ts';
import type { Tally } from './mirror.ts';
import { noteFields } from './record.ts';
import type { Road } from './road.ts';
import { OWN_MESSAGES, ownCommit, ownTransaction } from './wrap.ts';

/** Fails in every state of a session, and says in the server's log why. */
const FAILING_QUERY = query('SALLYPORT REFUSED');
const UNSYNCED = 'The COMMIT of the pipeline before it waits for approval: send Sync first.';
const ROLLBACK_QUERY = query('ROLLBACK');
/** Kinds that never answer with rows; everything else is described first while column masks are near. */
const ROWLESS: ReadonlySet<string> = new Set(
  `begin commit rollback savepoint release rollback_to prepare_transaction commit_prepared rollback_prepared set reset
   set_constraints create create_table create_table_as create_materialized_view select_into alter drop truncate comment grant
   revoke lock vacuum analyze reindex cluster checkpoint refresh copy prepare deallocate declare close move listen unlisten
   notify discard alter_default_privileges alter_owner security_label reassign_owned drop_owned`.split(/\s+/),
);
/** Run what was prepared or declared before. */
const NAMING_EARLIER: ReadonlySet<string> = new Set(['execute', 'fetch', 'move']);
/** A table's name may stand for another table from here on. */
const movesNames = (facts: SqlStatementFacts): boolean =>
  facts.setting === 'search_path' || facts.object === 'temporary_table';
const KEPT_DESCRIPTIONS_MAX = 500;
const KEPT_TEXT_BYTES_MAX = 4 * 1024;

export class SimpleQueries {
  readonly #road: Road;
  readonly #answers: Answers;
  readonly #judge: Judge;
  readonly #intake: Intake;
  readonly #copies: (permit: Permit) => void;
  /** Columns by shape or text, under one reach. What runs must answer with the same origins, so an old entry shows nothing. */
  readonly #described = new Map<string, readonly FieldDescription[]>();
  #describedUnder = -1;

  /** @param copies told the permit under which COPY data may follow */
  constructor(road: Road, answers: Answers, judge: Judge, intake: Intake, copies: (permit: Permit) => void) {
    this.#road = road;
    this.#answers = answers;
    this.#judge = judge;
    this.#intake = intake;
    this.#copies = copies;
  }

  /** One Query message, lent, while nothing is on its way. */
  query(bytes: Buffer, at: number, end: number): void {
    this.#road.segment++;
    this.#judge.executed = 0;
    // A simple query drops the unnamed statement before it is read, and the unnamed portal when it runs (answers.ts).
    this.#road.mirror.prepared.delete('');
    const sql = bytes.subarray(at + HEAD_BYTES, end - 1);
    if (sql.length > LIMITS.statementBytesMax) return this.tooLarge();
    // The pipeline before it did not end, and a transaction of ours with it.
    if (this.#road.transaction.wrapped)
      return this.#rollBack(this.#judge.refusal(sql.toString(), 'statement.refused', 'gateway/commit', UNSYNCED));
    const { text, reading } = readSql(this.#road, sql);
    if (!(reading instanceof Promise))
      return this.#judged(text, reading, at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
    const copy = Buffer.from(bytes.subarray(at, end));
    this.#intake.block();
    this.#judge.later(reading, (read) => this.#judged(text, read, copy));
  }

  #judged(text: string, reading: Reading, lent: Buffer): void {
    const road = this.#road;
    const { state } = this.#judge;
    const resolved = resolve(reading, text, road.mirror, state.chain);
    const statement = this.#judge.inTransaction(statementOf(text, digestOfText(text), NO_PARAMETERS, resolved, state));
    let message = lent;
    const keep = (): void => {
      if (message === lent) message = Buffer.from(lent);
    };
    this.#judge.statement(statement, {
      waits: keep,
      look: (masks, then) =>
        this.#look(resolved.facts!.statements, masks, {
          looked: then,
          refused: (why) => this.fail(this.#judge.refusal(statement, 'mask.unvouched', 'gateway/mask', why)),
        }),
      refused: (refused) => (statement.commits === undefined ? this.fail(refused) : this.#rollBack(refused)),
      allowed: (permit, number) => {
        if (reasonOf(resolved.facts) !== undefined) return this.#answerOwn(number, resolved, permit);
        const wraps = road.transaction.needsBegin(resolved.facts, permit.untilCommit);
        const forward = (tally: Tally): void => {
          const wrapped = wraps ? this.#wrap() : undefined;
          road.flight.push(queryEntry(road.segment, tally, wrapped));
          this.#judge.note(resolved.facts, statement, tally, permit);
          this.#copies(permit);
          if (resolved.facts?.statements.some(movesNames) === true) this.#described.clear();
          road.toServer(permit, message);
          // Names that stand for something else from here on, or data that may follow at once: what comes behind waits.
          const copies = resolved.facts?.statements.some((each) => each.kind === 'copy' && each.object === 'from');
          const bounded = Number.isFinite(permit.rowsMax);
          if (wrapped === undefined && (copies === true || bounded || tally.changes.length > 0))
            this.#intake.block(() => road.copyIn !== undefined || road.flight.size === 0);
        };
        const facts = resolved.facts;
        const binary = facts === undefined ? undefined : unvouchedCopy(facts.statements, text, permit.masks);
        if (binary !== undefined) return this.#unvouched(statement, number, binary);
        if (facts === undefined || !this.#judge.needsReach(permit.masks, facts.statements)) {
          return forward(this.#judge.open(number, resolved, this.#judge.plainGuard(permit, facts), undefined));
        }
        // In a failed transaction the server runs nothing but its end.
        if (road.status === 'E')
          return forward(this.#judge.open(number, resolved, this.#judge.closedGuard(permit), undefined));
        const clear = road.unsynced ? undefined : this.#judge.clearGuard(permit, facts);
        if (clear !== undefined) return forward(this.#judge.open(number, resolved, clear, undefined));
        this.#vouch(text, resolved, permit, {
          vouched: (tally) => forward(tally),
          refused: (why) => this.#unvouched(statement, number, why),
          failed: (refused) => this.fail(refused),
          number,
        });
        if (this.#intake.isBlocked) keep();
      },
    });
  }

  /** A BEGIN of ours goes before it; once it has ended, so does that transaction. */
  #wrap(): Wrapped {
    const wrapped: Wrapped = {
      own: this.#judge.ask({ left: 1 }, () =>
        this.#road.status === 'T' ? this.#commitWrapped(wrapped) : this.#endWrapped('ROLLBACK', Buffer.alloc(0)),
      ),
      tag: undefined,
    };
    this.#sayOwn('BEGIN', { left: OWN_MESSAGES + 1, error: undefined, skipped: false, done: () => undefined });
    return wrapped;
  }

  /** Between two messages of the client's. */
  #sayOwn(what: 'BEGIN' | 'COMMIT' | 'ROLLBACK', own: OwnQuestion): void {
    const road = this.#road;
    const said = ownTransaction(what, road.segment, own);
    for (const { item } of said) road.flight.push(item);
    road.flight.push(entry('sync', road.segment, { own }));
    road.ownToServer(Buffer.concat([...said.map(({ bytes }) => bytes), sync()]));
  }

  #commitWrapped(wrapped: Wrapped): void {
    const made = ownCommit(this.#road, this.#judge.state);
    if (made === undefined) return this.#endWrapped('ROLLBACK', encodeFields('E', plainError('XX000', 'COMMIT')));
    const { resolved } = made;
    this.#judge.statement(this.#judge.inTransaction(made.statement), {
      waits: () => undefined,
      refused: ({ fields, number }) => {
        noteFields(this.#road.host.recorder, number, 'error', fields);
        this.#endWrapped('ROLLBACK', encodeFields('E', fields));
      },
      allowed: (permit, number) => {
        const tally = this.#judge.open(number, resolved, this.#judge.plainGuard(permit), undefined);
        this.#endWrapped('COMMIT', Buffer.from(wrapped.tag ?? Buffer.alloc(0)), tally);
      },
    });
  }

  /** @param said what the client is told where the server does as it is told */
  #endWrapped(how: 'COMMIT' | 'ROLLBACK', said: Buffer, tally?: Tally): void {
    const own = this.#judge.ask({ left: OWN_MESSAGES + 1 }, (error) => {
      if (tally !== undefined) {
        tally.error = error?.get('C') ?? '';
        this.#road.finish(tally);
      }
      const told = error === undefined ? said : encodeFields('E', this.#answers.shown.hidden(error, 'read'));
      this.#answers.interject(Buffer.concat([told, readyForQuery(this.#road.status)]));
    });
    this.#sayOwn(how, own);
  }

  /** Its COMMIT was refused: nothing of it may stand, and no lock may stay. The status is the server's own. */
  #rollBack({ fields, number }: Refused): void {
    const road = this.#road;
    noteFields(road.host.recorder, number, 'error', fields);
    road.flight.push(entry('query', road.segment, { refusal: fields }));
    road.ownToServer(ROLLBACK_QUERY);
  }

  /** Done by the gateway itself. The server gets an empty query, so that the status the client is told is the server's own. */
  #answerOwn(number: number, resolved: Resolved, permit: Permit): void {
    const road = this.#road;
    const tally = this.#judge.open(number, resolved, this.#judge.plainGuard(permit), undefined);
    road.flight.push(entry('query', road.segment, { tally, tag: 'SET' }));
    road.ownToServer(query(''));
  }

  #unvouched(statement: Statement, number: number, why: string): void {
    this.fail({ ...this.#judge.refusal(statement, 'mask.unvouched', 'gateway/mask', why), number });
  }

  /** Looks at what the statement would answer before it runs, where masked columns are near. */
  #vouch(
    text: string,
    resolved: Resolved,
    permit: Permit,
    ways: {
      readonly number: number;
      vouched(tally: Tally): void;
      refused(why: string): void;
      failed(refused: Refused): void;
    },
  ): void {
    const road = this.#road;
    const { statements } = resolved.facts!;
    const looked = (reach: Reach): void => {
      for (const facts of statements) {
        const why = unvouchedForm(facts, reach);
        if (why !== undefined) return ways.refused(why);
      }
      const guard = this.#judge.guard(permit, reach, statements);
      this.#judge.foundClear(resolved.facts!, guard);
      const vouched: (readonly FieldDescription[] | 'free' | undefined)[] = [];
      const next = (index: number): void => {
        const facts = statements[index];
        if (facts === undefined)
          return ways.vouched(this.#judge.open(ways.number, resolved, guard, guard.touches ? vouched : undefined));
        if (!touches(facts, reach) || ROWLESS.has(facts.kind)) {
          vouched.push(ROWLESS.has(facts.kind) ? undefined : 'free');
          return next(index + 1);
        }
        // Names get another meaning earlier in this string: the server could only describe what they stand for now.
        const named = NAMING_EARLIER.has(facts.kind) && resolved.changes.some((change) => change.index < index);
        if (named || statements.slice(0, index).some(movesNames))
          return ways.refused('It depends on what this string does first; send its statements one by one.');
        this.#describe(text, facts, statements.length === 1, reach.serial, (columns, failure) => {
          if (columns === undefined) {
            if (statements.length > 1)
              return ways.refused('It could not be described before it runs; send its statements one by one.');
            // It failed where it would have failed anyway, and has not run.
            const tally = this.#judge.open(ways.number, resolved, this.#judge.closedGuard(permit), undefined);
            tally.error = failure?.get('C') ?? '';
            road.finish(tally);
            return ways.failed({
              fields: this.#answers.shown.hidden(failure ?? new Map(), 'named'),
              number: ways.number,
            });
          }
          const why = unvouchedColumns(facts, columns, reach);
          if (why !== undefined) return ways.refused(why);
          vouched.push(columns);
          next(index + 1);
        });
      };
      next(0);
    };
    this.#look(statements, permit.masks, { looked, refused: (why) => ways.refused(why) });
  }

  #look(
    statements: readonly SqlStatementFacts[],
    masks: MaskSet,
    ways: { looked(reach: Reach): void; refused(why: string): void },
  ): void {
    const { catalog, unsynced } = this.#road;
    // Our own questions end in a Sync, which would commit what the pipeline began.
    if (unsynced) return ways.refused('In the middle of a pipeline its answer cannot be described; send Sync first.');
    this.#judge.withReach(masks, statements, true, (error) => {
      const { reach } = catalog;
      if (error !== undefined || reach === undefined) return ways.refused('The masked columns could not be looked up.');
      ways.looked(reach);
    });
  }

  /** Columns the statement would answer with; by the server, unless one of its shape was described before. */
  #describe(
    text: string,
    facts: SqlStatementFacts,
    alone: boolean,
    serial: number,
    then: (columns: readonly FieldDescription[] | undefined, error?: ReadonlyMap<string, string>) => void,
  ): void {
    if (this.#describedUnder !== serial) this.#described.clear();
    this.#describedUnder = serial;
    const bytes = Buffer.from(text);
    const sql = alone ? bytes : bytes.subarray(facts.start, facts.end);
    // Names that stand for statements of this session mean something else tomorrow.
    const keeps = sql.length <= KEPT_TEXT_BYTES_MAX && facts.kind !== 'execute' && facts.kind !== 'fetch';
    const key = keeps ? (shapeKey(sql) ?? sql.toString('latin1')) : undefined;
    const known = key === undefined ? undefined : this.#described.get(key);
    if (known !== undefined) return then(known);
    const road = this.#road;
    let columns: readonly FieldDescription[] = [];
    const own = this.#judge.ask(
      {
        left: 3,
        columns: (described) => {
          columns = described;
        },
      },
      (error) => {
        if (error !== undefined) return then(undefined, error);
        if (key !== undefined) {
          if (this.#described.size >= KEPT_DESCRIPTIONS_MAX) this.#described.clear();
          this.#described.set(key, columns);
        }
        then(columns);
      },
    );
    for (const kind of ['parse', 'describe', 'sync'] as const) road.flight.push(entry(kind, road.segment, { own }));
    road.ownToServer(Buffer.concat([parse('', sql), describe({ kind: 'statement', name: '' }), sync()]));
  }

  /** A message was too large to judge. */
  tooLarge(): void {
    this.fail(this.#judge.refusal('[statement too large]', 'statement.too_large', 'gateway/size'));
  }

  /**
   * The client is told, and the server is left in the state that says so: idle, nothing happened there; in a transaction, a
   * message that fails takes the refused one's place, and its error is rewritten.
   */
  fail({ fields, number }: Refused): void {
    const road = this.#road;
    noteFields(road.host.recorder, number, 'error', fields);
    // A pipeline without its Sync may hold a transaction open that no status has told of.
    if (road.status === 'I' && !road.unsynced) {
      this.#answers.interject(Buffer.concat([encodeFields('E', fields), readyForQuery('I')]));
      return;
    }
    road.flight.push(entry('query', road.segment, { refusal: fields }));
    road.ownToServer(FAILING_QUERY);
  }
}
