/** Sessions. Exported to the links, which report and end them. */
import { Module } from '@nestjs/common';
import { NotifyModule } from '../notify/notify.module.ts';
import { RecordingsModule } from '../recordings/recordings.module.ts';
import { TrailModule } from '../trail/trail.module.ts';
import { CommandSearch } from './command-search.ts';
import { Erasure } from './erasure.ts';
import { LiveSessions } from './live-sessions.ts';
import { SessionFilms } from './session-films.ts';
import { SessionsController } from './sessions.controller.ts';
import { SessionsRepository } from './sessions.repository.ts';
import { SessionsService } from './sessions.service.ts';

@Module({
  imports: [TrailModule, RecordingsModule, NotifyModule],
  controllers: [SessionsController],
  providers: [SessionsService, Erasure, SessionFilms, CommandSearch, SessionsRepository, LiveSessions],
  exports: [LiveSessions, Erasure],
})
export class SessionsModule {}
