/** Shares of budgets as an agent holds them: what it was lent comes back, whenever it came. */
import type { AgentMessage, BudgetAsk } from '@sallyport/contract';
import { LIMITS } from '@sallyport/core';
import type { SessionBudget } from '@sallyport/policy';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Ledger } from './ledger.ts';

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const budget = {
  key: '0190b3a4-0000-7000-8000-0000000000b1/daily',
  principalId: '0190b3a4-0000-7000-8000-0000000000c1',
  limits: { statements: 3 },
} as unknown as SessionBudget;

function openLedger(nowMs = () => 1_000) {
  const asks: BudgetAsk[] = [];
  const send = (message: AgentMessage): boolean => {
    if (message.budgetAsk != null) asks.push(message.budgetAsk);
    return true;
  };
  const ledger = new Ledger({ nowMs, send, log: log as never });
  const lend = (ask: BudgetAsk | undefined, statements: number): void =>
    ledger.leased({ id: ask?.id ?? '', granted: { statements }, window: '0', resetInMs: 60_000 });
  return { ledger, asks, lend };
}

test('a share that arrives after the last session has ended is given back whole', () => {
  const { ledger, asks, lend } = openLedger();
  const account = ledger.open(budget);
  void ledger.share(account);
  lend(asks[0], 1);
  // The last of it: more is asked for ahead of need.
  ledger.spend(account, 'statements', 1);
  expect(asks).toHaveLength(2);
  ledger.close(account);
  expect(asks).toHaveLength(2);
  lend(asks[1], 1);
  expect(asks.slice(2)).toMatchObject([{ ends: true, window: '0', back: { statements: 1 } }]);
});

test('what is left goes back with the last session, and nothing before', () => {
  const { ledger, asks, lend } = openLedger();
  const [one, two] = [ledger.open(budget), ledger.open(budget)];
  void ledger.share(one);
  lend(asks[0], 10);
  ledger.spend(one, 'statements', 2);
  ledger.close(one);
  expect(asks).toHaveLength(1);
  ledger.close(two);
  expect(asks.slice(1)).toMatchObject([{ ends: true, back: { statements: 8 } }]);
});

test('who waits for a share when its session ends waits no longer', async () => {
  const { ledger, asks, lend } = openLedger();
  const account = ledger.open(budget);
  const waiting = ledger.share(account);
  ledger.close(account);
  await waiting;
  lend(asks[0], 1);
  expect(asks.slice(1)).toMatchObject([{ ends: true, back: { statements: 1 } }]);
});

test('when a budget starts anew is told by the window of the control plane, however long its answer took', () => {
  const { ledger, asks } = openLedger();
  const account = ledger.open({ ...budget, everyMs: 600_000 });
  void ledger.share(account);
  ledger.leased({ id: asks[0]?.id ?? '', granted: { statements: 0 }, window: '1200000', resetInMs: 12_345 });
  expect(account).toMatchObject({ usedUp: true, until: 13_345, resetAt: 1_800_000 });
});

describe('a control plane that is silent', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: 1_000_000 });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
  const openSilent = () => {
    const all = openLedger(() => Date.now());
    all.ledger.linkOpened();
    return all;
  };

  test('keeps one statement waiting, and those after it not at all', async () => {
    const { ledger, asks } = openSilent();
    const account = ledger.open(budget);
    expect(ledger.needsShare(account, Date.now())).toBe(true);
    const waited = ledger.share(account);
    await vi.advanceTimersByTimeAsync(LIMITS.budgetAskMsMax);
    await waited;
    for (let i = 0; i < 20; i++) {
      expect(ledger.needsShare(account, Date.now())).toBe(false);
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(asks).toHaveLength(1);
  });

  test('that answers late has lent what it says, and is asked again when its link was lost', async () => {
    const { ledger, asks, lend } = openSilent();
    const account = ledger.open(budget);
    void ledger.share(account);
    await vi.advanceTimersByTimeAsync(10_000);
    lend(asks[0], 3);
    expect(account.left.statements).toBe(3);
    ledger.spend(account, 'statements', 3);
    expect(asks).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(10_000);
    ledger.linkClosed();
    expect(ledger.needsShare(account, Date.now())).toBe(false);
    ledger.linkOpened();
    expect(asks).toHaveLength(3);
    expect(ledger.needsShare(account, Date.now())).toBe(true);
    const waiting = ledger.share(account);
    expect(asks).toHaveLength(3);
    lend(asks[1], 9);
    expect(account.left.statements).toBe(0);
    lend(asks[2], 2);
    await waiting;
    expect(account.left.statements).toBe(2);
  });

  test('gets back what a closed session had, and then what it lends too late', async () => {
    const { ledger, asks, lend } = openSilent();
    const account = ledger.open(budget);
    void ledger.share(account);
    lend(asks[0], 10);
    ledger.spend(account, 'statements', 8);
    expect(asks).toHaveLength(2);
    ledger.close(account);
    await vi.advanceTimersByTimeAsync(LIMITS.budgetAskMsMax);
    expect(asks.slice(2)).toMatchObject([{ ends: true, back: { statements: 2 } }]);
    lend(asks[1], 7);
    expect(asks.slice(3)).toMatchObject([{ ends: true, back: { statements: 7 } }]);
  });

  test('is asked anew when an answer is long overdue on a link that stands', async () => {
    const { ledger, asks } = openSilent();
    const account = ledger.open(budget);
    void ledger.share(account);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ledger.needsShare(account, Date.now())).toBe(true);
    void ledger.share(account);
    expect(asks).toHaveLength(2);
  });
});

test('an agent that has not reached its control plane since its start keeps nobody waiting after a moment', async () => {
  let nowMs = 1_000;
  const ledger = new Ledger({ nowMs: () => nowMs, send: () => false, log: log as never });
  nowMs += 6_000;
  const account = ledger.open(budget);
  await ledger.share(account);
  expect(ledger.needsShare(account, nowMs)).toBe(false);
});
