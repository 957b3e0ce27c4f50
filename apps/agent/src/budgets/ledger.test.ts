/** Shares of budgets as an agent holds them: what it was lent comes back, whenever it came. */
import type { AgentMessage, BudgetAsk } from '@sallyport/contract';
import type { SessionBudget } from '@sallyport/policy';
import { expect, test } from 'vitest';
import { Ledger } from './ledger.ts';

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const budget = {
  key: '0190b3a4-0000-7000-8000-0000000000b1/daily',
  principalId: '0190b3a4-0000-7000-8000-0000000000c1',
  limits: { statements: 3 },
} as unknown as SessionBudget;

function openLedger() {
  const asks: BudgetAsk[] = [];
  const send = (message: AgentMessage): boolean => {
    if (message.budgetAsk != null) asks.push(message.budgetAsk);
    return true;
  };
  const ledger = new Ledger({ nowMs: () => 1_000, send, log: log as never });
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
