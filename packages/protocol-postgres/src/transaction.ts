/**
 * What the open transaction has done, as the server told, for the person who is to answer its COMMIT: statements, rows by their
 * command tags, what ROLLBACK TO undid. Also whether a COMMIT to come can be held at all, which is only so where it is certain.
 * Refuses to guess: what was sent and not answered makes it uncertain. PostgreSQL protocol, "CommandComplete". ADR 0025.
 */
import { hash } from 'node:crypto';
import { GatewayError, LIMITS } from '@sallyport/core';
import {
  type CommitHold,
  type CommitWay,
  EFFECTS,
  type HeldTransaction,
  type SqlFacts,
  type SqlStatementFacts,
  type Statement,
  type TransactionWork,
  type WorkStatement,
} from '@sallyport/model';
import type { SessionHost, SignedIn } from '@sallyport/protocol-kit';
import type { Flight } from './flight.ts';
import type { FieldDescription, TransactionStatus } from './messages.ts';
import type { Tally } from './mirror.ts';
import { rowsChanged } from './record.ts';
import { RowSampler } from './row-sample.ts';

/** Of one statement, in UTF-16 units, and of its parameters. */
const TEXT_MAX = 2_048;
const PARAMETERS_MAX = 20;
const PARAMETER_MAX = 256;
/** Their command tag counts what they change. */
const COUNTED: ReadonlySet<string> = new Set(
  'insert update delete merge copy create_table_as select_into create_materialized_view'.split(' '),
);
/** Their rows are RETURNING's. */
const RETURNING: ReadonlySet<string> = new Set(['insert', 'update', 'delete', 'merge']);

interface Work {
  readonly number: number;
  readonly text: string;
  readonly parameters: readonly (string | undefined)[];
  readonly effects: SqlStatementFacts['effects'];
  readonly holds: readonly CommitHold[];
  readonly digest: string;
  count: number;
  rows: number;
  counted: boolean;
  rolledBack: boolean;
  readonly sampler: RowSampler | undefined;
}

/** A statement on its way. */
interface Sent {
  readonly statement: Statement;
  readonly facts: SqlFacts;
  readonly holds: readonly CommitHold[];
  readonly sampler: RowSampler | undefined;
  /** Of the statement that answers; kept while a portal gives its rows piece by piece. */
  work: Work | undefined;
}

/** The session it is in. */
export interface AroundTransaction {
  readonly host: Pick<SessionHost, 'nowMs' | 'timers'>;
  readonly signed: Pick<SignedIn, 'info' | 'resource' | 'holdsCommits'>;
  readonly flight: Flight;
  readonly segment: number;
  readonly status: TransactionStatus;
  readonly unsynced: boolean;
}

/** What the session's transaction means for one statement that is to be judged. */
export type Facets = Pick<Statement, 'commit' | 'heldBefore' | 'commits'> & Partial<Pick<Statement, 'digest'>>;

/** Nothing is kept of transactions here. */
export const NO_FACETS: Facets = Object.freeze({ commit: undefined });

const isControl = ({ transaction }: SqlStatementFacts): boolean =>
  transaction === 'begin' || transaction === 'commit' || transaction === 'rollback';
const isWork = ({ transaction, effects, kind }: SqlStatementFacts): boolean =>
  transaction === undefined && kind !== 'prepare' && effects.some((effect) => effect !== 'read');
const isUnseen = ({ opaque, nested }: SqlStatementFacts): boolean =>
  opaque.includes('do') || opaque.includes('call') || (nested?.some(isUnseen) ?? false);
export const commits = (facts: SqlFacts | undefined): boolean =>
  facts?.statements.some(({ transaction }) => transaction === 'commit') === true;

export class Transaction {
  readonly #road: AroundTransaction;
  /** What BEGIN, COMMIT and ROLLBACK make of the transaction, sent and not answered by a ReadyForQuery; else as that said. */
  #control: boolean | undefined;
  #controlSegment = -1;
  #works: Work[] = [];
  #savepoints: { readonly name: string; readonly at: number }[] = [];
  readonly #sent = new WeakMap<Tally, Sent>();
  /** Nothing was ever put there: nearly all sessions, whose COMMITs no rule holds. */
  #isNoneSent = true;
  #sampledRows = 0;
  /** Statements sent that run until COMMIT, whatever became of them. */
  #heldSent = 0;
  /** UTC ms of the first statement that runs until COMMIT; 0 = none. */
  #since = 0;
  #until = Number.POSITIVE_INFINITY;
  /** The gateway began it, around what would commit by itself. */
  wrapped = false;
  /** Grows with each statement sent: what was judged before may be another COMMIT. */
  version = 0;

  constructor(road: AroundTransaction) {
    this.#road = road;
  }

  #isKept(): boolean {
    return this.#since > 0 || this.#road.signed.holdsCommits?.() === true;
  }

  /** Everything of earlier pipelines is answered. */
  #isCertain(): boolean {
    const { flight, segment } = this.#road;
    return (flight.first?.segment ?? segment) === segment;
  }

  /** Statements that are to run until their COMMIT wait until it is certain that one will be needed. */
  isUncertain(facts: SqlFacts | undefined): boolean {
    if (this.#isCertain() || facts === undefined || !this.#isKept()) return false;
    return facts.statements.some((each) => isWork(each) || each.transaction === 'commit');
  }

  /** Some of what it changed may not be committed before a person's answer; as far as is known, also of what is on its way. */
  get isHeld(): boolean {
    if (this.#since === 0) return false;
    if (this.#works.some(({ holds, rolledBack }) => holds.length > 0 && !rolledBack)) return true;
    for (const { tally } of this.#road.flight)
      if (tally !== undefined && (this.#sent.get(tally)?.holds.length ?? 0) > 0) return true;
    return false;
  }

  /** @param untouched nothing was executed since the last ReadyForQuery */
  facets(statement: Statement, untouched: boolean): Facets {
    const facts = statement.facts.sql;
    if (facts === undefined || !this.#isKept()) return NO_FACETS;
    const { statements } = facts;
    const heldBefore = this.#heldSent + Math.max(0, statements.filter(isWork).length - 1);
    const commit = this.#way(facts);
    const lone = statements.length === 1 && statements[0]!.transaction === 'commit';
    // In a failed transaction a COMMIT is a ROLLBACK.
    const fails = this.#road.status === 'E' && untouched && !this.#road.unsynced;
    if (!lone || fails || !this.isHeld) return { commit, heldBefore };
    const held = this.#held();
    return { commit, heldBefore, commits: held, digest: this.#digest(statement.digest) };
  }

  /** Why a held transaction may not be ended, or gone on with, like this; undefined where it may. */
  refusal(facts: SqlFacts): string | undefined {
    if (!this.isHeld) return undefined;
    const { statements } = facts;
    const ending = statements.filter(({ transaction }) => transaction === 'commit');
    if (ending.some(({ kind }) => kind === 'prepare_transaction'))
      return 'The COMMIT of this transaction waits for approval: PREPARE TRANSACTION would let anybody commit it.';
    if (ending.some(({ chain }) => chain === true))
      return 'The COMMIT of this transaction waits for approval: send COMMIT without AND CHAIN.';
    if (ending.length > 0 && statements.length > 1)
      return 'The COMMIT of this transaction waits for approval: send COMMIT by itself.';
    if (statements.some(isUnseen))
      return 'The COMMIT of this transaction waits for approval, and what CALL and DO change cannot be counted.';
    return undefined;
  }

  #way({ statements }: SqlFacts): CommitWay {
    if (statements.some(({ kind }) => kind === 'prepare_transaction')) return 'itself';
    if (statements.every(({ transaction }) => transaction !== undefined)) return 'control';
    if (statements.some(isUnseen)) return 'unseen';
    const controls = statements.filter(isControl);
    const begins = statements[0]?.transaction === 'begin';
    if (controls.length > (begins ? 1 : 0)) return 'itself';
    if (begins) return 'apart';
    if (!this.#isCertain()) return 'itself';
    if (this.#isOpen()) return 'apart';
    // Data that follows could not be read while the gateway waits for its own BEGIN.
    const wraps = this.#road.signed.resource.wrapAutocommit === true && statements.every(({ kind }) => kind !== 'copy');
    return wraps ? 'apart' : 'itself';
  }

  /** As far as is known: asked where it is certain. */
  #isOpen(): boolean {
    return this.#control ?? this.#road.status !== 'I';
  }

  /** What is about to be sent runs until a COMMIT, and would commit by itself: a BEGIN of ours has to go before it. */
  needsBegin(facts: SqlFacts | undefined, holds: readonly CommitHold[]): boolean {
    return holds.length > 0 && !this.#isOpen() && facts?.statements[0]?.transaction !== 'begin';
  }

  /** That BEGIN is on its way, in a pipeline. */
  wrap(): void {
    this.wrapped = true;
    this.#control = true;
    this.#controlSegment = this.#road.segment;
  }

  /** Told of every statement that goes to the server. */
  sent(statement: Statement, facts: SqlFacts | undefined, tally: Tally, holds: readonly CommitHold[]): void {
    if (facts === undefined) return;
    for (const each of facts.statements) {
      if (!isControl(each)) continue;
      // The client has taken it over, or ended it.
      this.wrapped = false;
      this.#control = each.transaction === 'begin' || each.chain === true;
      this.#controlSegment = this.#road.segment;
    }
    if (!this.#isKept() || this.#sent.has(tally)) return;
    const works = facts.statements.some(isWork);
    if (!works && facts.statements.every(({ transaction }) => transaction === undefined)) return;
    this.version++;
    const sampler = works && facts.statements.some(returns) ? new RowSampler() : undefined;
    this.#isNoneSent = false;
    this.#sent.set(tally, { statement, facts, holds, sampler, work: undefined });
    if (holds.length === 0) return;
    this.#heldSent += facts.statements.filter(isWork).length;
    const { host } = this.#road;
    const nowMs = host.nowMs();
    if (this.#since === 0) this.#since = nowMs;
    const openMsMax = Math.min(...holds.map(({ approval }) => approval.commit?.openMsMax ?? 0));
    this.#until = Math.min(this.#until, nowMs + openMsMax);
    host.timers.set('commit', Math.max(0, this.#until - nowMs));
  }

  /** It may want `rows`. */
  get samples(): boolean {
    return !this.#isNoneSent;
  }

  /** Rows of RETURNING, as the client gets them: whole messages. */
  rows(
    tally: Tally,
    bytes: Uint8Array,
    columns: readonly FieldDescription[] | undefined,
    formats: readonly number[],
  ): void {
    const sent = this.#isNoneSent ? undefined : this.#sent.get(tally);
    if (sent?.sampler === undefined || columns === undefined || this.#sampledRows >= LIMITS.commitSampleRowsMax) return;
    const facts = sent.facts.statements[tally.index];
    if (facts !== undefined && returns(facts))
      this.#sampledRows += sent.sampler.take(bytes, columns, formats, LIMITS.commitSampleRowsMax - this.#sampledRows);
  }

  /** One statement of a text is done. */
  completed(tally: Tally, index: number, tag: string): void {
    const sent = this.#isNoneSent ? undefined : this.#sent.get(tally);
    const facts = sent?.facts.statements[index];
    if (sent === undefined || facts === undefined) return;
    if (isControl(facts)) {
      if (facts.transaction !== 'begin') this.#ended();
    } else if (facts.transaction !== undefined) this.#savepoint(facts);
    else if (isWork(facts)) {
      const work = sent.work ?? this.#add(tally, sent, facts);
      work.rows += rowsChanged(tag);
      if (sent.work !== undefined) work.counted = isCounted(facts);
      sent.work = undefined;
    }
  }

  /** A portal has more rows to give: all is changed, and nothing is counted yet. */
  suspended(tally: Tally): void {
    const sent = this.#isNoneSent ? undefined : this.#sent.get(tally);
    const facts = sent?.facts.statements[tally.index];
    if (sent === undefined || facts === undefined || sent.work !== undefined || !isWork(facts)) return;
    sent.work = this.#add(tally, sent, facts);
    sent.work.counted = false;
  }

  /** ReadyForQuery of a segment. */
  ready(segment: number): void {
    if (this.#controlSegment <= segment) this.#control = undefined;
    if (this.#road.status === 'I') this.wrapped = false;
    if (this.#road.status === 'I' && (this.#since > 0 || this.#works.length > 0)) this.#ended();
  }

  /** Its COMMIT waits: the hold has a time of its own. */
  stopClock(): void {
    this.#road.host.timers.clear('commit');
  }

  #ended(): void {
    this.#works = [];
    this.#savepoints = [];
    this.#sampledRows = 0;
    this.#heldSent = 0;
    if (this.#since > 0) this.#road.host.timers.clear('commit');
    this.#since = 0;
    this.#until = Number.POSITIVE_INFINITY;
  }

  #add(tally: Tally, { statement, facts: all, holds, sampler }: Sent, facts: SqlStatementFacts): Work {
    const alone = all.statements.length === 1;
    const text = alone ? statement.text : Buffer.from(statement.text).toString('utf8', facts.start, facts.end);
    const work: Work = {
      number: tally.number,
      text: cut(text.trim(), TEXT_MAX),
      parameters: statement.parameters
        .slice(0, PARAMETERS_MAX)
        .map((parameter) => (parameter.text === undefined ? undefined : cut(parameter.text, PARAMETER_MAX))),
      effects: facts.effects,
      holds,
      digest: statement.digest,
      count: 1,
      rows: 0,
      counted: isCounted(facts),
      rolledBack: false,
      sampler: returns(facts) ? sampler : undefined,
    };
    const last = this.#works.at(-1);
    // Beyond what anybody is shown, neighbours that nothing can take apart any more are one.
    if (
      last !== undefined &&
      this.#works.length > LIMITS.commitStatementsMax &&
      this.#works.length > (this.#savepoints.at(-1)?.at ?? 0) &&
      last.holds.length === 0 &&
      holds.length === 0
    ) {
      last.count++;
      last.counted &&= work.counted;
      return last;
    }
    this.#works.push(work);
    return work;
  }

  #savepoint({ kind, name = '' }: SqlStatementFacts): void {
    if (kind === 'savepoint') {
      if (this.#savepoints.length >= LIMITS.commitSavepointsMax)
        throw new GatewayError('session.limit', { savepoints: this.#savepoints.length });
      this.#savepoints.push({ name, at: this.#works.length });
      return;
    }
    const found = this.#savepoints.findLastIndex((savepoint) => savepoint.name === name);
    if (found < 0) return;
    if (kind === 'rollback_to') {
      for (const work of this.#works.slice(this.#savepoints[found]!.at)) work.rolledBack = true;
      this.#savepoints.length = found + 1;
    } else this.#savepoints.length = found;
  }

  #held(): HeldTransaction {
    const standing = this.#works.filter(({ rolledBack }) => !rolledBack);
    const holds = new Map(standing.flatMap((work) => work.holds.map((hold) => [hold.rule, hold] as const)));
    return {
      holds: [...holds.values()],
      effects: EFFECTS.filter((effect) => standing.some(({ effects }) => effects.includes(effect))),
      work: this.#work(),
    };
  }

  #work(): TransactionWork {
    const works = this.#works;
    const sum = (of: readonly Work[]): number => of.reduce((total, { rows }) => total + rows, 0);
    return {
      statements: works.slice(0, LIMITS.commitListedMax).map(shown),
      count: works.reduce((total, { count }) => total + count, 0),
      rows: sum(works),
      rowsRolledBack: sum(works.filter(({ rolledBack }) => rolledBack)),
      uncounted: works.reduce((total, { counted, count }) => total + (counted ? 0 : count), 0),
      since: this.#since,
    };
  }

  /** An answer is for this work of this session, and for no other COMMIT. */
  #digest(of: string): string {
    const parts = [of, this.#road.signed.info.id, String(this.#since)];
    for (const { number, digest, rows, rolledBack } of this.#works)
      parts.push(`${number} ${digest} ${rows} ${rolledBack}`);
    return hash('sha256', `sallyport/commit/1\0${parts.join('\0')}`, 'hex');
  }
}

function shown({ number, text, parameters, rows, counted, rolledBack, sampler }: Work): WorkStatement {
  const sample = sampler?.sample;
  return {
    number,
    text,
    ...(parameters.length === 0 ? {} : { parameters }),
    rows,
    counted,
    rolledBack,
    ...(sample === undefined ? {} : { sample }),
  };
}

/** EXECUTE stands for what it runs. */
const inner = (facts: SqlStatementFacts): SqlStatementFacts =>
  facts.kind === 'execute' && facts.nested?.length === 1 ? facts.nested[0]! : facts;
const returns = (facts: SqlStatementFacts): boolean => RETURNING.has(inner(facts).kind);

/** Its tag counts all that it changes by itself: no statement inside it changes anything, and no code that nobody read. */
function isCounted(facts: SqlStatementFacts): boolean {
  const { kind, nested, effects } = inner(facts);
  const writes = (each: SqlStatementFacts): boolean => each.effects.some((effect) => effect !== 'read');
  return COUNTED.has(kind) && !effects.includes('exec') && nested?.some(writes) !== true;
}

/** A copy: a slice would keep megabytes of its parent alive. */
const cut = (text: string, max: number): string =>
  text.length <= max ? text : `${Buffer.from(text.slice(0, max)).toString('utf8')} …`;
