/** Namespaces inside one installation. */
import { Module } from '@nestjs/common';
import { KeysModule } from '../keys/keys.module.ts';
import { ProjectsController } from './projects.controller.ts';
import { ProjectsRepository } from './projects.repository.ts';
import { Projects } from './projects.service.ts';

@Module({
  imports: [KeysModule],
  controllers: [ProjectsController],
  providers: [Projects, ProjectsRepository],
})
export class ProjectsModule {}
