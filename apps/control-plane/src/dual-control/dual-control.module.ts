/** Changes that need two admins. */
import { Module } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { NotifyModule } from '../notify/notify.module.ts';
import { DualControlInterceptor } from './dual-control.interceptor.ts';
import { DualControlController, ProposalsController } from './proposals.controller.ts';
import { ProposalsRepository } from './proposals.repository.ts';
import { Proposals } from './proposals.service.ts';
import { Replay } from './replay.ts';

@Module({
  imports: [NotifyModule],
  controllers: [ProposalsController, DualControlController],
  providers: [Proposals, ProposalsRepository, Replay, { provide: APP_INTERCEPTOR, useClass: DualControlInterceptor }],
})
export class DualControlModule {}
