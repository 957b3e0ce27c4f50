/** Access reviews: campaigns, rounds, answers, drift. */
import { Module } from '@nestjs/common';
import { GrantsModule } from '../grants/grants.module.ts';
import { NotifyModule } from '../notify/notify.module.ts';
import { Answers } from './answers.service.ts';
import { Campaigns } from './campaigns.service.ts';
import { Drift } from './drift.service.ts';
import { ReviewExports } from './exports.service.ts';
import { ReviewKeeper } from './keeper.ts';
import { ReviewsController } from './reviews.controller.ts';
import { ReviewsRepository } from './reviews.repository.ts';
import { Rounds } from './rounds.service.ts';

@Module({
  imports: [GrantsModule, NotifyModule],
  controllers: [ReviewsController],
  providers: [Campaigns, Rounds, Answers, ReviewExports, Drift, ReviewKeeper, ReviewsRepository],
  exports: [ReviewKeeper, Campaigns],
})
export class ReviewsModule {}
