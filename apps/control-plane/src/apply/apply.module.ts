/** Documents as code. */
import { Module } from '@nestjs/common';
import { GrantsModule } from '../grants/grants.module.ts';
import { PoliciesModule } from '../policies/policies.module.ts';
import { RequestsModule } from '../requests/requests.module.ts';
import { ResourcesModule } from '../resources/resources.module.ts';
import { ReviewsModule } from '../reviews/reviews.module.ts';
import { ApplyController } from './apply.controller.ts';
import { ApplyRepository } from './apply.repository.ts';
import { Apply } from './apply.service.ts';

@Module({
  imports: [ResourcesModule, GrantsModule, PoliciesModule, RequestsModule, ReviewsModule],
  controllers: [ApplyController],
  providers: [Apply, ApplyRepository],
})
export class ApplyModule {}
