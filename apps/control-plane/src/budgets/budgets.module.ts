/** Budgets over sessions and agents. Exported to the links, which bring agents' asks. */
import { Module } from '@nestjs/common';
import { BudgetsController } from './budgets.controller.ts';
import { BudgetsRepository } from './budgets.repository.ts';
import { Budgets } from './budgets.service.ts';

@Module({ controllers: [BudgetsController], providers: [Budgets, BudgetsRepository], exports: [Budgets] })
export class BudgetsModule {}
