/** Approvals. Exported to the links, which bring requests and take answers. */
import { Module } from '@nestjs/common';
import { KeysModule } from '../keys/keys.module.ts';
import { NotifyModule } from '../notify/notify.module.ts';
import { ApprovalEnds } from './approval-ends.ts';
import { ApprovalsController } from './approvals.controller.ts';
import { ApprovalsRepository } from './approvals.repository.ts';
import { Approvals } from './approvals.service.ts';
import { DelegationsController } from './delegations.controller.ts';
import { Recount } from './recount.ts';
import { SeatsRepository } from './seats.repository.ts';
import { Seats } from './seats.service.ts';

@Module({
  imports: [KeysModule, NotifyModule],
  controllers: [ApprovalsController, DelegationsController],
  providers: [Approvals, ApprovalEnds, ApprovalsRepository, Recount, Seats, SeatsRepository],
  exports: [Approvals],
})
export class ApprovalsModule {}
