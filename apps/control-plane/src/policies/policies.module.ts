/** Policies: drafts, revisions, explanations. */
import { Module } from '@nestjs/common';
import { BundlesRepository } from '../bundles/bundles.repository.ts';
import { ResourcesModule } from '../resources/resources.module.ts';
import { Explain } from './explain.service.ts';
import { PoliciesController } from './policies.controller.ts';
import { PoliciesRepository } from './policies.repository.ts';
import { Policies } from './policies.service.ts';

@Module({
  imports: [ResourcesModule],
  controllers: [PoliciesController],
  providers: [Policies, PoliciesRepository, Explain, BundlesRepository],
  exports: [Policies, PoliciesRepository],
})
export class PoliciesModule {}
