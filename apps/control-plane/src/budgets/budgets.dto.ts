/** Answers about budgets. */
import { z } from 'zod';
import { Instant, open } from '../http/schema.ts';

const Amounts = z.object({
  statements: z.number().optional(),
  writes: z.number().optional(),
  rows: z.number().optional(),
  bytes: z.number().optional(),
  seconds: z.number().optional(),
});

export const BudgetView = z
  .object({
    budget: open(z.string()).describe('`<policy>/<budget>`.'),
    principalId: open(z.string()),
    principal: open(z.string()).describe('Name; empty when it is gone.'),
    startedAt: open(Instant),
    resetsAt: open(Instant),
    limits: open(Amounts),
    leased: open(Amounts).describe('Lent to agents in this window; what they have not used yet is in it.'),
    left: open(Amounts).describe('What no agent has leased: of each limit at least so much is there.'),
    agents: open(z.number()),
  })
  .meta({ id: 'Budget' });
export type BudgetView = z.infer<typeof BudgetView>;

export const BudgetQuery = z.strictObject({ principal: z.string().max(200).optional().describe('By name or id.') });
export type BudgetQuery = z.infer<typeof BudgetQuery>;
export const BudgetList = z.object({ items: open(z.array(BudgetView)) }).meta({ id: 'BudgetList' });
