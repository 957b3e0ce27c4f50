/**
 * What principals may still use of budgets that count over all sessions and agents: shares leased from the control plane,
 * spent here without asking, and given back with the last session. Cut off, an agent keeps to the shares it has, and a share
 * ends with its window. ADR 0017.
 * Refuses to judge: the road asks what is used up. Spending and asking allocate nothing while there is a share.
 */
import { randomBytes } from 'node:crypto';
import type { AgentMessage, BudgetAmounts, BudgetLease } from '@sallyport/contract';
import { LIMITS, type Logger } from '@sallyport/core';
import { BUDGET_METERS, type BudgetMeter } from '@sallyport/model';
import type { SessionBudget } from '@sallyport/policy';

export interface LedgerOptions {
  nowMs(): number;
  /** @returns false when there is no link */
  send(message: AgentMessage): boolean;
  readonly log: Logger;
}

/** One principal's share of one budget, on this agent. */
export interface Account {
  readonly budget: string;
  readonly principalId: string;
  /** By meter; Infinity where the budget sets no limit. Below 0: used beyond the share, to be made up for by the next. */
  readonly left: Record<BudgetMeter, number>;
  /** UTC ms by this agent's clock: the share is void from then on. */
  until: number;
  /** UTC ms by the control plane's clock, whose windows they are: when the budget starts anew, as people are told. */
  resetAt: number;
  /** The control plane had nothing more to give of at least one meter. */
  usedUp: boolean;
}

interface Book extends Account {
  limits: SessionBudget['limits'];
  everyMs: number;
  window: string;
  sessions: number;
  asking: Asking | undefined;
  askAgainAt: number;
}
interface Asking {
  readonly id: string;
  readonly done: Promise<void>;
  /** UTC ms: since when nobody waits for it. The answer is still expected: what it lends would be lost to everybody. */
  overdueSince: number | undefined;
  /** Lets go of who waits; the answer is still expected. */
  readonly release: () => void;
  readonly settle: () => void;
}

/** Of what was leased last, when more is asked for ahead of need. */
const AHEAD = 0.3;
/** Others may have given back meanwhile. */
const USED_UP_ASK_MS = 1_000;
const RECONNECT_MS = 5_000;
/** An answer that takes so long on a link that stands is not coming. */
const LOST_MS = 30_000;

export class Ledger {
  readonly #options: LedgerOptions;
  readonly #books = new Map<string, Book>();
  readonly #asked = new Map<string, Book>();
  /** UTC ms; undefined while the link stands. */
  #downSince: number | undefined;
  readonly #leased = new WeakMap<Book, Record<BudgetMeter, number>>();

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.#downSince = options.nowMs();
  }

  /** A session begins to draw on it. Every `open` has its `close`. */
  open(budget: SessionBudget): Account {
    const key = `${budget.key}\0${budget.principalId}`;
    let book = this.#books.get(key);
    if (book === undefined) {
      if (this.#books.size >= LIMITS.budgetAccountsMax) this.#forget();
      book = {
        budget: budget.key,
        principalId: budget.principalId,
        left: { statements: 0, writes: 0, rows: 0, bytes: 0, seconds: 0 },
        until: 0,
        resetAt: 0,
        usedUp: false,
        limits: budget.limits,
        everyMs: 0,
        window: '',
        sessions: 0,
        asking: undefined,
        askAgainAt: 0,
      };
      this.#books.set(key, book);
    }
    // A principal's budget has a window always.
    book.everyMs = budget.everyMs ?? 0;
    if (book.limits !== budget.limits) {
      book.limits = budget.limits;
      // A meter that is limited from now on has no share yet, and one that is not needs none.
      for (const meter of BUDGET_METERS) {
        if (budget.limits[meter] === undefined) book.left[meter] = Number.POSITIVE_INFINITY;
        else if (book.left[meter] === Number.POSITIVE_INFINITY) book.left[meter] = 0;
      }
      book.usedUp = false;
    }
    for (const meter of BUDGET_METERS)
      if (budget.limits[meter] === undefined) book.left[meter] = Number.POSITIVE_INFINITY;
    book.sessions++;
    return book;
  }

  /** The session is over: with the last one, what is left goes back. */
  close(account: Account): void {
    const book = account as Book;
    book.sessions--;
    if (book.sessions > 0) return;
    this.#books.delete(`${book.budget}\0${book.principalId}`);
    // A share that is on its way is given back when it has come: it would be lost to everybody until its window ends.
    if (book.asking === undefined) this.#giveBack(book);
    else book.asking.release();
  }

  /** Of a book that no session draws on any more. */
  #giveBack(book: Book): void {
    if (this.#options.nowMs() >= book.until) return;
    const back: BudgetAmounts = {};
    for (const meter of BUDGET_METERS) {
      if (!Number.isFinite(book.left[meter])) continue;
      const amount = Math.max(0, Math.floor(book.left[meter]));
      back[meter] = amount;
      book.left[meter] -= amount;
    }
    const { budget, principalId, window } = book;
    // Without a link the share is lost to the others until its window ends: too little is used, never too much.
    this.#options.send({ body: 'budgetAsk', budgetAsk: { id: '', budget, principalId, window, back, ends: true } });
  }

  /** Counts what was used. */
  spend(account: Account, meter: BudgetMeter, amount: number): void {
    const book = account as Book;
    book.left[meter] -= amount;
    const last = this.#leased.get(book)?.[meter] ?? 0;
    if (book.left[meter] < last * AHEAD && !book.usedUp && book.asking === undefined) void this.#ask(book);
  }

  /** True when a statement needs a share that is not here and may be had. */
  needsShare(account: Account, nowMs: number): boolean {
    const book = account as Book;
    const isVoid = nowMs >= book.until;
    if (!isVoid && !isEmpty(book)) return false;
    // Who has waited in vain has waited for all: a control plane that is silent is one that is away.
    const overdueSince = book.asking?.overdueSince;
    if (overdueSince !== undefined) return nowMs >= overdueSince + LOST_MS;
    return (!isVoid && !book.usedUp) || nowMs >= book.askAgainAt;
  }

  /** Asks, unless that is done already. Resolves with an answer, at once where the link stays away, and after LIMITS.budgetAskMsMax. */
  share(account: Account): Promise<void> {
    const book = account as Book;
    const { asking } = book;
    return asking === undefined || asking.overdueSince !== undefined ? this.#ask(book) : asking.done;
  }

  leased(lease: BudgetLease): void {
    const book = this.#asked.get(lease.id ?? '');
    const asking = book?.asking;
    if (book === undefined || asking === undefined || asking.id !== lease.id) return;
    const nowMs = this.#options.nowMs();
    if (lease.code) {
      this.#options.log.warn('a share of a budget was refused', { budget: book.budget, code: lease.code });
      book.askAgainAt = nowMs + USED_UP_ASK_MS;
      asking.settle();
      return;
    }
    const fresh = nowMs >= book.until || lease.window !== book.window;
    const leased = { statements: 0, writes: 0, rows: 0, bytes: 0, seconds: 0 };
    for (const meter of BUDGET_METERS) {
      if (book.limits[meter] === undefined) continue;
      const granted = Math.max(0, lease.granted?.[meter] ?? 0);
      leased[meter] = granted;
      // What was left or owed of another window is nothing to this one.
      book.left[meter] = (fresh ? 0 : book.left[meter]) + granted;
    }
    this.#leased.set(book, leased);
    book.window = lease.window ?? '';
    book.until = nowMs + (lease.resetInMs ?? 0);
    const startedAt = Number(book.window);
    book.resetAt = startedAt > 0 ? startedAt + book.everyMs : book.until;
    book.usedUp = isEmpty(book);
    book.askAgainAt = nowMs + USED_UP_ASK_MS;
    asking.settle();
  }

  /** What waits for an answer is asked again: the answer, or the question, was lost with the link. */
  linkOpened(): void {
    this.#downSince = undefined;
    for (const book of this.#books.values()) {
      const { asking } = book;
      if (asking === undefined) continue;
      if (asking.overdueSince === undefined) this.#send(book, asking.id);
      else void this.#ask(book);
    }
  }

  linkClosed(): void {
    this.#downSince ??= this.#options.nowMs();
    // Nobody asks again for those that have closed, and an answer comes on the link it was asked on.
    for (const [id, { sessions }] of this.#asked) if (sessions === 0) this.#asked.delete(id);
  }

  #send({ budget, principalId, window, left }: Book, id: string): boolean {
    const owed: BudgetAmounts = {};
    for (const meter of BUDGET_METERS) if (left[meter] < 0) owed[meter] = -left[meter];
    return this.#options.send({ body: 'budgetAsk', budgetAsk: { id, budget, principalId, window, owed } });
  }

  #ask(book: Book): Promise<void> {
    const id = randomBytes(9).toString('base64url');
    const nowMs = this.#options.nowMs();
    if (book.asking !== undefined) this.#asked.delete(book.asking.id);
    book.asking = undefined;
    // A link that has just gone comes back in a moment; one that stays away keeps nobody waiting.
    if (!this.#send(book, id) && nowMs - (this.#downSince ?? nowMs) > RECONNECT_MS) {
      book.askAgainAt = nowMs + USED_UP_ASK_MS;
      return Promise.resolve();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const settle = (): void => {
      clearTimeout(timer);
      this.#asked.delete(id);
      if (book.asking?.id === id) book.asking = undefined;
      if (book.sessions === 0) this.#giveBack(book);
      resolve();
    };
    const asking: Asking = { id, done: promise, overdueSince: undefined, release: resolve, settle };
    const timer = setTimeout(() => {
      asking.overdueSince = this.#options.nowMs();
      if (book.sessions === 0) this.#giveBack(book);
      resolve();
    }, LIMITS.budgetAskMsMax);
    timer.unref();
    book.asking = asking;
    this.#asked.set(id, book);
    return promise;
  }

  /** Oldest without a session first; there is always one, since sessions have a limit of their own. */
  #forget(): void {
    for (const [key, book] of this.#books) {
      if (book.sessions > 0) continue;
      this.#books.delete(key);
      return;
    }
  }
}

const isEmpty = ({ left }: Account): boolean => {
  for (const meter of BUDGET_METERS) if (left[meter] <= 0) return true;
  return false;
};
