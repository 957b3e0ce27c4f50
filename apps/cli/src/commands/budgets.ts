/** budgets: what principals have left in their present window. They are written in policies; agents lease of them. */
import type { Budget } from '@sallyport/api-client';
import type { Context } from '../context.ts';
import type { Column } from '../output/table.ts';
import { showDistance } from '../output/time.ts';
import type { Registry } from './command.ts';

const AMOUNTS = ['statements', 'writes', 'rows', 'bytes', 'seconds'] as const;

/** `statements 40 of 100, rows 900 of 1000`. */
const leftText = ({ left, limits }: Budget): string =>
  AMOUNTS.filter((amount) => limits[amount] !== undefined)
    .map((amount) => `${amount} ${left[amount] ?? 0} of ${limits[amount]}`)
    .join(', ');

const COLUMNS = (nowMs: number): readonly Column<Budget>[] => [
  { title: 'budget', show: (budget) => budget.budget },
  { title: 'principal', show: (budget) => budget.principal || budget.principalId },
  { title: 'left', show: leftText, least: 20 },
  { title: 'starts anew', show: (budget) => showDistance(budget.resetsAt, nowMs) },
  { title: 'agents', show: (budget) => budget.agents },
];

export function registerBudgets({ program, run }: Registry): void {
  program
    .command('budgets')
    .description('what principals have left of their budgets; what agents have leased counts as used')
    .option('--principal <name>', 'only of this principal')
    .action(run(list));
}

async function list(context: Context, options: { readonly principal?: string }): Promise<void> {
  await context.requireToken();
  const { principal } = options;
  const { items } = await context.api.budgets(principal === undefined ? {} : { principal });
  context.list(items, COLUMNS(context.terminal.nowMs()), 'Nothing was used in the present windows: all of it is left.');
}
