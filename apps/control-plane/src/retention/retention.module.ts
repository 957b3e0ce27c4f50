/** How long sessions can be read and events searched. */
import { Module } from '@nestjs/common';
import { RecordingsModule } from '../recordings/recordings.module.ts';
import { SessionsModule } from '../sessions/sessions.module.ts';
import { RetentionController } from './retention.controller.ts';
import { RetentionRepository } from './retention.repository.ts';
import { Retention } from './retention.service.ts';
import { RetentionKeeper } from './retention-keeper.ts';

@Module({
  imports: [SessionsModule, RecordingsModule],
  controllers: [RetentionController],
  providers: [Retention, RetentionRepository, RetentionKeeper],
})
export class RetentionModule {}
