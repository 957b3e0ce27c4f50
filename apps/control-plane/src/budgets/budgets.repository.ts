/** The table of shares that agents have leased of principals' budgets. */
import { Injectable } from '@nestjs/common';
import { type Budget, parsePolicy } from '@sallyport/model';
import { Database, type Tx } from '../db/database.ts';
import { idOrName } from '../db/reference.ts';
import type { BudgetShare, Prisma } from '../generated/prisma/client.ts';

export interface Window {
  readonly projectId: string;
  /** `<policy id>/<budget>`. */
  readonly budget: string;
  readonly principalId: string;
  readonly startedAt: Date;
}

@Injectable()
export class BudgetsRepository {
  constructor(private readonly database: Database) {}

  /** Asks about one principal's budget follow one another, on every replica. */
  async lock(tx: Tx, { projectId, budget, principalId }: Window): Promise<void> {
    const key = `${projectId}/${budget}/${principalId}`;
    await tx.$executeRaw`select pg_advisory_xact_lock(hashtextextended(${key}, 7071))`;
  }

  shares(tx: Tx, window: Window): Promise<BudgetShare[]> {
    return tx.budgetShare.findMany({ where: { ...window } });
  }

  async put(tx: Tx, data: Prisma.BudgetShareUncheckedCreateInput): Promise<void> {
    const { projectId, budget, principalId, startedAt, agentId, ...amounts } = data;
    const key = { projectId, budget, principalId, startedAt, agentId };
    await tx.budgetShare.upsert({
      where: { projectId_budget_principalId_startedAt_agentId: key },
      create: data,
      update: amounts,
    });
  }

  /** @returns undefined when the policy, or the budget in it, is gone */
  async budget(tx: Tx, projectId: string, policyId: string, name: string): Promise<Budget | undefined> {
    const row = await tx.policy.findFirst({ where: { projectId, id: policyId }, select: { compiled: true } });
    if (row === null) return undefined;
    return parsePolicy(row.compiled, 'policy').budgets?.find((budget) => budget.name === name);
  }

  async isPrincipal(tx: Tx, projectId: string, id: string): Promise<boolean> {
    return (await tx.principal.count({ where: { projectId, id } })) > 0;
  }

  /** @returns null when there is none */
  async principalId(projectId: string, reference: string): Promise<string | null> {
    const where = { projectId, ...idOrName(reference) };
    return (await this.database.client.principal.findFirst({ where, select: { id: true } }))?.id ?? null;
  }

  /** @param principalId one principal's alone */
  current(projectId: string, now: Date, principalId?: string): Promise<BudgetShare[]> {
    return this.database.client.budgetShare.findMany({
      where: { projectId, endsAt: { gt: now }, ...(principalId === undefined ? {} : { principalId }) },
      orderBy: [{ endsAt: 'asc' }, { budget: 'asc' }, { principalId: 'asc' }],
      take: 10_000,
    });
  }

  async names(
    projectId: string,
    shares: readonly BudgetShare[],
  ): Promise<{
    readonly principals: ReadonlyMap<string, string>;
    readonly policies: ReadonlyMap<string, { readonly name: string; readonly compiled: Prisma.JsonValue }>;
  }> {
    const policyIds = [...new Set(shares.map(({ budget }) => policyIdOf(budget)))];
    const [principals, policies] = await Promise.all([
      this.database.client.principal.findMany({
        where: { projectId, id: { in: [...new Set(shares.map(({ principalId }) => principalId))] } },
        select: { id: true, name: true },
      }),
      this.database.client.policy.findMany({
        where: { projectId, id: { in: policyIds } },
        select: { id: true, name: true, compiled: true },
      }),
    ]);
    return {
      principals: new Map(principals.map(({ id, name }) => [id, name])),
      policies: new Map(policies.map(({ id, ...rest }) => [id, rest])),
    };
  }
}

export const policyIdOf = (budget: string): string => budget.slice(0, Math.max(0, budget.indexOf('/')));
export const budgetNameOf = (budget: string): string => budget.slice(budget.indexOf('/') + 1);
