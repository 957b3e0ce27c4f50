/** What can be reached. */
import { Module } from '@nestjs/common';
import { CredentialsModule } from '../credentials/credentials.module.ts';
import { ResourcesController } from './resources.controller.ts';
import { ResourcesRepository } from './resources.repository.ts';
import { Resources } from './resources.service.ts';

@Module({
  imports: [CredentialsModule],
  controllers: [ResourcesController],
  providers: [Resources, ResourcesRepository],
  exports: [Resources, ResourcesRepository],
})
export class ResourcesModule {}
