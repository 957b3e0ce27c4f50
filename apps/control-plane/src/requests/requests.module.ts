/** Just-in-time access: policies, requests, answers. Exported to apply and to what answers from outside. */
import { Module } from '@nestjs/common';
import { GrantsModule } from '../grants/grants.module.ts';
import { NotifyModule } from '../notify/notify.module.ts';
import { AccessOutcomes } from './access-outcomes.ts';
import { AccessPoliciesController } from './access-policies.controller.ts';
import { AccessPolicies } from './access-policies.service.ts';
import { AccessRequestsController } from './access-requests.controller.ts';
import { AccessRequestsRepository } from './access-requests.repository.ts';
import { AccessRequests } from './access-requests.service.ts';
import { DecisionCalls } from './decision-calls.ts';
import { AccessRecount } from './recount.ts';

@Module({
  imports: [GrantsModule, NotifyModule],
  controllers: [AccessPoliciesController, AccessRequestsController],
  providers: [AccessPolicies, AccessRequests, AccessRequestsRepository, AccessOutcomes, AccessRecount, DecisionCalls],
  exports: [AccessPolicies, AccessRequests],
})
export class RequestsModule {}
