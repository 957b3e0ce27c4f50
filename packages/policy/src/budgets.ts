/**
 * Budgets of a session: which of its policies' budgets are about it, and what one session has used of its own.
 * Asked for every statement, so it allocates nothing unless one is used up. What a principal may use over all sessions is
 * counted elsewhere (the agent's ledger, from leases); here it is only named.
 * Refuses to read a clock and to decide: the engine does, with what `exceeded` says.
 */
import { type ApprovalSpec, BUDGET_METERS, type Budget, type Effect, type SessionUsage } from '@sallyport/model';

export interface SessionBudget {
  /** `<policy>/<budget>`, as verdicts name it. */
  readonly id: string;
  /** `<policy id>/<budget>`: what it is known by across bundles and at the control plane. */
  readonly key: string;
  readonly per: Budget['per'];
  readonly everyMs: number | undefined;
  readonly limits: Budget['limits'];
  readonly exceeded: Budget['exceeded'];
  readonly approval: ApprovalSpec | undefined;
  readonly message: string | undefined;
  /** Of a policy in shadow mode: recorded, never enforced. */
  readonly shadow: boolean;
  /** Whose use counts: the one who acts, or the one acted for where the policy is about them alone. */
  readonly principalId: string;
}

/** One budget that a statement finds used up, as the engine is told. */
export interface BudgetStanding {
  readonly budget: SessionBudget;
  /** UTC ms; undefined when it lasts as long as the session. */
  readonly resetAt: number | undefined;
  /** It is not used up as far as anybody knows: the agent cannot ask. After `resetAt` it still has to. */
  readonly unavailable?: boolean;
}

/** What of the session's counters was there when the window began. */
interface Meter {
  readonly budget: SessionBudget;
  from: number;
  until: number;
  statements: number;
  writes: number;
  rows: number;
  bytes: number;
}

export const NO_BUDGETS: readonly SessionBudget[] = Object.freeze([]);

/** The counters of one session against the budgets of kind `session`. */
export class SessionMeters {
  readonly #openedAt: number;
  #budgets: readonly SessionBudget[] = NO_BUDGETS;
  #meters: readonly Meter[] = [];

  constructor(openedAt: number) {
    this.#openedAt = openedAt;
  }

  /** Other budgets are in force: what was counted for one of the same key and window goes on counting. */
  bind(budgets: readonly SessionBudget[]): void {
    if (budgets === this.#budgets) return;
    this.#budgets = budgets;
    const old = this.#meters;
    this.#meters = budgets
      .filter((budget) => budget.per === 'session')
      .map((budget) => {
        const known = old.find((meter) => meter.budget.key === budget.key && meter.budget.everyMs === budget.everyMs);
        if (known !== undefined) return { ...known, budget };
        // From the beginning of the session: a budget that came later is none for what was used before it, in its window.
        const until = budget.everyMs === undefined ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
        return { budget, from: this.#openedAt, until, statements: 0, writes: 0, rows: 0, bytes: 0 };
      });
  }

  /** The first that is used up, one that denies before one that holds. */
  exceeded(usage: Readonly<SessionUsage>, effects: readonly Effect[], nowMs: number): BudgetStanding | undefined {
    let found: Meter | undefined;
    for (const meter of this.#meters) {
      if (nowMs >= meter.until) begin(meter, usage, nowMs);
      if (!isUsedUp(meter, usage, effects, nowMs)) continue;
      if (found === undefined || rank(meter.budget) > rank(found.budget)) found = meter;
    }
    if (found === undefined) return undefined;
    return { budget: found.budget, resetAt: Number.isFinite(found.until) ? found.until : undefined };
  }
}

/** Denying is stricter than holding, and what is only recorded comes last. */
export const rank = ({ shadow, exceeded }: SessionBudget): number => (shadow ? 0 : exceeded === 'hold' ? 1 : 2);

/**
 * UTC ms at which the window around `nowMs` ends; undefined where a budget has none. Windows are the clock's own, so that
 * every session of a principal, on every agent, starts anew at one time.
 */
export const windowEnd = (everyMs: number | undefined, nowMs: number): number | undefined =>
  everyMs === undefined ? undefined : nowMs - (nowMs % everyMs) + everyMs;

function begin(meter: Meter, usage: Readonly<SessionUsage>, nowMs: number): void {
  const everyMs = meter.budget.everyMs!;
  const first = meter.until === Number.NEGATIVE_INFINITY && nowMs - meter.from < everyMs;
  meter.until = windowEnd(everyMs, nowMs)!;
  meter.from = meter.until - everyMs;
  // A session that is younger than a window began with nothing used.
  if (first) return;
  meter.statements = usage.statements;
  meter.writes = usage.writes;
  meter.rows = usage.rows;
  meter.bytes = usage.bytes;
}

function isUsedUp(meter: Meter, usage: Readonly<SessionUsage>, effects: readonly Effect[], nowMs: number): boolean {
  const { statements, writes, rows, bytes, seconds } = meter.budget.limits;
  if (statements !== undefined && usage.statements - meter.statements >= statements) return true;
  if (rows !== undefined && usage.rows - meter.rows >= rows) return true;
  if (bytes !== undefined && usage.bytes - meter.bytes >= bytes) return true;
  if (seconds !== undefined && nowMs - meter.from >= seconds * 1000) return true;
  return writes !== undefined && usage.writes - meter.writes >= writes && isWriting(effects);
}

/** Counts as one of `usage.writes`. */
export function isWriting(effects: readonly Effect[]): boolean {
  // By index: a frozen list is walked outside of compiled code.
  for (let i = 0; i < effects.length; i++) if (effects[i] !== 'read') return true;
  return false;
}

/** True when a budget limits nothing, which is refused when it is saved. */
export const isEmptyBudget = ({ limits }: Budget): boolean =>
  BUDGET_METERS.every((meter) => limits[meter] === undefined);
