/** Time-bound rights. */
import { Module } from '@nestjs/common';
import { ResourcesModule } from '../resources/resources.module.ts';
import { GrantsController } from './grants.controller.ts';
import { GrantsRepository } from './grants.repository.ts';
import { Grants } from './grants.service.ts';

@Module({
  imports: [ResourcesModule],
  controllers: [GrantsController],
  providers: [Grants, GrantsRepository],
  exports: [Grants, GrantsRepository],
})
export class GrantsModule {}
