/**
 * The budgets of one session: its own counters, and the principal's shares it draws on. Asked before every statement.
 * Refuses to judge: it says which budget is used up, and the engine decides with that.
 */
import type { SessionInfo, SessionUsage, Statement } from '@sallyport/model';
import {
  type BudgetStanding,
  isWriting,
  NO_BUDGETS,
  rank,
  type SessionBudget,
  SessionMeters,
  windowEnd,
} from '@sallyport/policy';
import type { Account, Ledger } from './ledger.ts';

interface Drawn {
  readonly budget: SessionBudget;
  readonly account: Account;
}

export class SessionBudgets {
  readonly #ledger: Ledger;
  readonly #meters: SessionMeters;
  #bound: readonly SessionBudget[] = NO_BUDGETS;
  #drawn: readonly Drawn[] = [];
  #secondsTo: number;

  constructor(ledger: Ledger, info: SessionInfo) {
    this.#ledger = ledger;
    this.#meters = new SessionMeters(info.openedAt);
    this.#secondsTo = info.openedAt;
  }

  /** The budgets of the bundle in force; called before every statement, and almost always with the same. */
  bind(budgets: readonly SessionBudget[]): void {
    if (budgets === this.#bound) return;
    this.#bound = budgets;
    this.#meters.bind(budgets);
    const old = this.#drawn;
    this.#drawn = budgets
      .filter(({ per }) => per === 'principal')
      .map((budget) => ({ budget, account: this.#ledger.open(budget) }));
    for (const { account } of old) this.#ledger.close(account);
  }

  /** What to wait for before the next statement can be judged; undefined when there is nothing. */
  ready(clock: { nowMs(): number }): Promise<void> | undefined {
    if (this.#drawn.length === 0) return undefined;
    const nowMs = clock.nowMs();
    let waits: Promise<void>[] | undefined;
    for (const { account } of this.#drawn) {
      if (!this.#ledger.needsShare(account, nowMs)) continue;
      waits ??= [];
      waits.push(this.#ledger.share(account));
    }
    return waits === undefined ? undefined : Promise.all(waits).then(() => undefined);
  }

  /** The strictest that is used up; undefined lets the statement pass. */
  exceeded(statement: Statement, usage: Readonly<SessionUsage>, nowMs: number): BudgetStanding | undefined {
    if (this.#bound.length === 0) return undefined;
    const own = this.#meters.exceeded(usage, statement.effects, nowMs);
    let worst = own;
    for (const { budget, account } of this.#drawn) {
      const standing = standingOf(budget, account, statement, nowMs);
      if (standing !== undefined && (worst === undefined || rank(standing.budget) > rank(worst.budget)))
        worst = standing;
    }
    // What ends a transaction is never refused: its locks would stay.
    return worst === undefined || isEnd(statement) ? undefined : worst;
  }

  judged(isWrite: boolean): void {
    for (const { account } of this.#drawn) {
      this.#ledger.spend(account, 'statements', 1);
      if (isWrite) this.#ledger.spend(account, 'writes', 1);
    }
  }

  finished(rows: number, bytes: number): void {
    for (const { account } of this.#drawn) {
      if (rows > 0) this.#ledger.spend(account, 'rows', rows);
      if (bytes > 0) this.#ledger.spend(account, 'bytes', bytes);
    }
  }

  /** Now and then: the time the session is open. */
  tick(nowMs: number): void {
    const seconds = Math.floor((nowMs - this.#secondsTo) / 1000);
    if (seconds <= 0) return;
    this.#secondsTo += seconds * 1000;
    for (const { account } of this.#drawn) this.#ledger.spend(account, 'seconds', seconds);
  }

  close(): void {
    this.bind(NO_BUDGETS);
  }
}

function standingOf(
  budget: SessionBudget,
  { until, resetAt, left, usedUp }: Account,
  statement: Statement,
  nowMs: number,
): BudgetStanding | undefined {
  const isVoid = nowMs >= until;
  if (!isVoid) {
    const { statements, rows, bytes, seconds, writes } = left;
    const open =
      statements > 0 && rows > 0 && bytes > 0 && seconds > 0 && (writes > 0 || !isWriting(statement.effects));
    if (open) return undefined;
  }
  if (!isVoid && usedUp) return { budget, resetAt };
  return { budget, resetAt: isVoid ? windowEnd(budget.everyMs, nowMs) : resetAt, unavailable: true };
}

const isEnd = ({ facts }: Statement): boolean =>
  facts.sql !== undefined &&
  facts.sql.statements.length > 0 &&
  facts.sql.statements.every(({ transaction }) => transaction === 'commit' || transaction === 'rollback');
