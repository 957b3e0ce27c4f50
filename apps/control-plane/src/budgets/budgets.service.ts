/**
 * Budgets of principals over all sessions and agents: agents lease shares here and give back what they did not use, so the
 * shares out there are never more than the budget. State is in the database alone; any replica answers.
 * Refuses to count statements: what an agent was lent counts as used until it comes back or its window ends. ADR 0017.
 */
import { Injectable } from '@nestjs/common';
import type { BudgetAsk, BudgetLease } from '@sallyport/contract';
import { type Budget, parsePolicy } from '@sallyport/model';
import { Database } from '../db/database.ts';
import type { BudgetShare } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { SystemClock } from '../time.ts';
import type { BudgetView } from './budgets.dto.ts';
import { BudgetsRepository, budgetNameOf, policyIdOf } from './budgets.repository.ts';
import { type Amounts, minus, NOTHING, plus, shareOf, sum, windowOf } from './shares.ts';

const KEY = /^[0-9a-f]{8}-[0-9a-f-]{27}\/[a-z0-9-]{1,63}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

@Injectable()
export class Budgets {
  constructor(
    private readonly database: Database,
    private readonly repository: BudgetsRepository,
    private readonly clock: SystemClock,
  ) {}

  /** @returns the lease, or undefined for an agent that only gives back */
  async lease(
    agent: { readonly id: string; readonly projectId: string },
    ask: BudgetAsk,
  ): Promise<BudgetLease | undefined> {
    const {
      id = '',
      budget: key = '',
      principalId = '',
    } = ask as { id?: string; budget?: string; principalId?: string };
    const refused = { id, code: 'request.not_found' };
    if (!KEY.test(key) || !UUID.test(principalId)) return ask.ends === true ? undefined : refused;
    return await this.database.transaction(async (tx) => {
      const budget = await this.repository.budget(tx, agent.projectId, policyIdOf(key), budgetNameOf(key));
      const everyMs = budget?.everyMs;
      const known =
        budget?.per === 'principal' &&
        everyMs !== undefined &&
        (await this.repository.isPrincipal(tx, agent.projectId, principalId));
      if (!known) return ask.ends === true ? undefined : refused;
      const nowMs = this.clock.nowMs();
      const { startedAt, endsAt } = windowOf(everyMs, nowMs);
      const window = { projectId: agent.projectId, budget: key, principalId, startedAt: new Date(startedAt) };
      await this.repository.lock(tx, window);
      const shares = await this.repository.shares(tx, window);
      const own = amountsOf(shares.find(({ agentId }) => agentId === agent.id));
      const others = sum(shares.filter(({ agentId }) => agentId !== agent.id).map(amountsOf));
      // What is left of an earlier window is worth nothing in this one.
      const isOfWindow = ask.window === String(startedAt);
      const kept = isOfWindow && ask.back != null ? minus(own, ask.back) : own;
      const granted =
        ask.ends === true ? NOTHING : shareOf(budget.limits, plus(kept, others), isOfWindow ? (ask.owed ?? {}) : {});
      await this.repository.put(tx, {
        ...window,
        agentId: agent.id,
        endsAt: new Date(endsAt),
        ...plus(kept, granted),
      });
      return ask.ends === true
        ? undefined
        : { id, granted: { ...granted }, window: String(startedAt), resetInMs: Math.max(1, endsAt - nowMs) };
    });
  }

  /** What is leased now, by budget and principal. */
  async list(caller: Caller, principal?: string): Promise<{ readonly items: readonly BudgetView[] }> {
    const only = principal === undefined ? undefined : await this.repository.principalId(caller.projectId, principal);
    if (only === null) return { items: [] };
    const shares = await this.repository.current(caller.projectId, this.clock.now(), only);
    const { principals, policies } = await this.repository.names(caller.projectId, shares);
    const byWindow = Map.groupBy(shares, ({ budget, principalId, startedAt }) =>
      [budget, principalId, startedAt.getTime()].join('\0'),
    );
    const items = [...byWindow.values()].flatMap((all) => {
      const { budget: key, principalId, startedAt, endsAt } = all[0]!;
      const policy = policies.get(policyIdOf(key));
      if (policy === undefined) return [];
      const budget: Budget | undefined = parsePolicy(policy.compiled, 'policy').budgets?.find(
        ({ name }) => name === budgetNameOf(key),
      );
      if (budget === undefined) return [];
      const leased = sum(all.map(amountsOf));
      return [
        {
          budget: `${policy.name}/${budget.name}`,
          principalId,
          principal: principals.get(principalId) ?? '',
          startedAt: startedAt.toISOString(),
          resetsAt: endsAt.toISOString(),
          limits: { ...budget.limits },
          leased: { ...leased },
          left: leftOf(budget.limits, leased),
          agents: all.length,
        },
      ];
    });
    return { items };
  }
}

/** Of each limit that there is. */
const leftOf = (limits: Budget['limits'], leased: Amounts): Partial<Amounts> =>
  Object.fromEntries(
    Object.entries(limits).map(([key, most]) => [key, Math.max(0, most - leased[key as keyof Amounts])]),
  );

const amountsOf = (share: BudgetShare | undefined): Amounts => {
  if (share === undefined) return NOTHING;
  const { statements, writes, rows, bytes, seconds } = share;
  return { statements, writes, rows, bytes, seconds };
};
