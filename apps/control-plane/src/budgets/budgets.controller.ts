/** REST of budgets: what principals may still use. They are written in policies. */
import { Controller, Get, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Caller, From, Requires } from '../http/caller.ts';
import { Answers } from '../http/schema.ts';
import { BudgetList, BudgetQuery } from './budgets.dto.ts';
import { Budgets } from './budgets.service.ts';

@ApiTags('budgets')
@Controller('/v1/budgets')
export class BudgetsController {
  constructor(private readonly budgets: Budgets) {}

  @Requires('budget:read')
  @Get()
  @ApiOperation({ summary: 'Budgets of principals in their present window, as far as agents have leased of them.' })
  @Answers(BudgetList)
  list(@From() caller: Caller, @Query({ schema: BudgetQuery }) query: BudgetQuery) {
    return this.budgets.list(caller, query.principal);
  }
}
