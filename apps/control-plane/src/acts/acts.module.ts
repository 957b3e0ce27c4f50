/** Acts as people read them. They are written within the transactions of the features (acts.ts), which need no module. */
import { Module } from '@nestjs/common';
import { ActsController } from './acts.controller.ts';
import { ActsRepository } from './acts.repository.ts';

@Module({ controllers: [ActsController], providers: [ActsRepository] })
export class ActsModule {}
