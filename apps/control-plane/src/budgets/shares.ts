/**
 * How much of a budget an agent is lent at a time, and the window it is of. Pure.
 * A tenth of the whole: few enough asks for a busy agent, and little that is lost to the others when one is cut off.
 */
import { BUDGET_METERS, type Budget, type BudgetMeter } from '@sallyport/model';

const PARTS = 10;

export type Amounts = Readonly<Record<BudgetMeter, number>>;
export const NOTHING: Amounts = { statements: 0, writes: 0, rows: 0, bytes: 0, seconds: 0 };

/** The window around `nowMs`; windows are the clock's own, so that every replica sees the same. */
export function windowOf(everyMs: number, nowMs: number): { readonly startedAt: number; readonly endsAt: number } {
  const startedAt = nowMs - (nowMs % everyMs);
  return { startedAt, endsAt: startedAt + everyMs };
}

/** As agents say; a part that is no number, or less than nothing, is none. */
export type SaidAmounts = Partial<Record<BudgetMeter, number | null>>;
const said = (amounts: SaidAmounts, meter: BudgetMeter): number => {
  const amount = amounts[meter] ?? 0;
  return Number.isFinite(amount) && amount > 0 ? amount : 0;
};

/** @param leased by all agents together in this window; @param owed used already beyond that, by the one who asks */
export function shareOf(limits: Budget['limits'], leased: Amounts, owed: SaidAmounts = {}): Amounts {
  return map((meter) => {
    const limit = limits[meter];
    if (limit === undefined) return 0;
    return Math.max(0, Math.min(limit - leased[meter], Math.ceil(limit / PARTS) + said(owed, meter)));
  });
}

export const sum = (all: readonly Amounts[]): Amounts =>
  map((meter) => all.reduce((total, one) => total + one[meter], 0));

export const plus = (a: Amounts, b: Amounts): Amounts => map((meter) => a[meter] + b[meter]);

/** Nobody gives back more than they were lent. */
export const minus = (leased: Amounts, back: SaidAmounts): Amounts =>
  map((meter) => Math.max(0, leased[meter] - said(back, meter)));

const map = (of: (meter: BudgetMeter) => number): Amounts =>
  Object.fromEntries(BUDGET_METERS.map((meter) => [meter, of(meter)])) as Record<BudgetMeter, number>;
