/**
 * From what waits in a pipeline to permits, in the order it came: a prepared statement and a portal by what they mean where
 * they stand; and where masked columns are near, by what the server says that the portal would answer.
 * Refuses to read messages (pipeline.ts does) and to say how a refusal leaves (outgoing.ts).
 */
import type { MaskSet, SqlFacts, SqlStatementFacts, Statement } from '@sallyport/model';
import type { Permit } from '@sallyport/protocol-kit';
import type { Answers } from '../answers.ts';
import type { Reach } from '../catalog.ts';
import { digestOf } from '../classify/digests.ts';
import { NO_PARAMETERS } from '../classify/parameters.ts';
import { NOT_UNDERSTOOD, type Resolved, resolve, statementOf } from '../classify.ts';
import { entry } from '../flight.ts';
import type { Intake } from '../intake.ts';
import type { Judge, Refused, Ways } from '../judge.ts';
import { unvouchedColumns, unvouchedCopy, unvouchedForm } from '../mask.ts';
import { describe, flush } from '../messages.ts';
import type { Guard, Portal, Prepared } from '../mirror.ts';
import type { Road } from '../road.ts';
import type { Outgoing } from './outgoing.ts';

const isPortal = (item: Prepared | Portal): item is Portal => 'prepared' in item;

export class Judging {
  readonly #road: Road;
  readonly #answers: Answers;
  readonly #judge: Judge;
  readonly #intake: Intake;
  readonly #out: Outgoing;

  constructor(road: Road, answers: Answers, judge: Judge, intake: Intake, out: Outgoing) {
    this.#road = road;
    this.#answers = answers;
    this.#judge = judge;
    this.#intake = intake;
    this.#out = out;
  }

  /**
   * Judges what is pending, in order, then goes on; a refusal takes the place of all of it.
   * @param waits called before the lent chunk is given back while something is undecided
   */
  judgeAll(done: () => void, waits: () => void = () => undefined): void {
    const pending = this.#out.pending;
    const { judge } = pending;
    let granted = pending.permit;
    for (let item = judge[0]; item !== undefined; item = judge[0]) {
      if (isPortal(item)) {
        if (!this.#judgePortal(item, waits, done)) return;
        pending.judged();
        granted = pending.permit = item.permit;
        continue;
      }
      const prepared = item;
      // A statement that is executed in the same breath is judged then, with its parameters.
      if (!judge.some((other) => isPortal(other) && other.prepared === prepared)) {
        const judged = this.#judge.preparation(this.#statementOf(prepared, digestOf(prepared.digestHead, undefined)));
        if ('fields' in judged) return this.#out.fail(judged);
        granted = judged;
      }
      pending.judged();
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
      this.#out.pending.copy();
      waits();
    };
    return {
      waits: keep,
      look: (masks, then) =>
        this.#look(resolved.facts!.statements, masks, {
          looked: then,
          failed: (why) => this.#out.failHere(this.#judge.refusal(statement, 'mask.unvouched', 'gateway/mask', why)),
        }),
      refused: (refused) => this.#out.fail(refused, statement.commits !== undefined),
      allowed: (permit, number) => {
        const allow = (guard = this.#judge.plainGuard(permit, resolved.facts)): void => {
          this.#allowed(portal, statement, resolved, permit, number, guard);
          // What was sent so that it could be described is no longer in it.
          this.#out.pending.judged();
          this.#out.pending.permit = permit;
          this.judgeAll(done, waits);
        };
        const unvouched = (why: string): Refused => ({
          ...this.#judge.refusal(statement, 'mask.unvouched', 'gateway/mask', why),
          number,
        });
        const facts = resolved.facts;
        const binary = facts === undefined ? undefined : unvouchedCopy(facts.statements, prepared.text, permit.masks);
        if (binary !== undefined) return this.#out.fail(unvouched(binary));
        if (facts === undefined || !this.#judge.needsReach(permit.masks, facts.statements)) return allow();
        if (this.#road.status === 'E') {
          // In a failed transaction the server runs nothing but its end; behind that it would, in this same pipeline.
          if (this.#judge.executed === 0) return allow(this.#judge.closedGuard(permit));
          const why = 'Its answer cannot be described behind the end of a failed transaction; send Sync first.';
          return this.#out.fail(unvouched(why));
        }
        this.#vouch(portal, facts, permit, number, {
          vouched: allow,
          refused: (why) => this.#out.fail(unvouched(why)),
          failed: (why) => this.#out.failHere(unvouched(why)),
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
    const looked = (reach: Reach): void => {
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
    };
    this.#look(facts.statements, permit.masks, { looked, failed: (why) => ways.failed(why) });
  }

  #look(
    statements: readonly SqlStatementFacts[],
    masks: MaskSet,
    ways: { looked(reach: Reach): void; failed(why: string): void },
  ): void {
    this.#judge.withReach(masks, statements, false, (failure, skipped) => {
      if (skipped) return this.#out.dropped();
      const { reach } = this.#road.catalog;
      if (failure !== undefined || reach === undefined)
        return ways.failed('The masked columns could not be looked up.');
      ways.looked(reach);
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
    const pending = this.#out.pending;
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
      if (skipped) this.#out.dropped();
      else this.#out.failHere({ fields: this.#answers.shown.hidden(failure, 'named'), number });
    });
    portal.described = true;
    const judge = pending.judge.splice(0);
    this.#out.pending.add(
      describe({ kind: 'portal', name: portal.name }),
      entry('describe', road.segment, { portal, own }),
    );
    this.#out.send(permit);
    road.ownToServer(flush());
    // Its Execute is still to come, and to be judged as done.
    this.#out.pending.judge.push(...judge);
  }
}
