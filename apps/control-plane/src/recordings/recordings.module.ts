/** Recordings and where they lie: a directory, of the data folder unless another is configured. */
import { Module } from '@nestjs/common';
import { Config } from '../config.ts';
import { TrailModule } from '../trail/trail.module.ts';
import { DirectoryStore } from './directory-store.ts';
import { RecordingStore } from './recording-store.ts';
import { Recordings } from './recordings.service.ts';
import { TrailController } from './trail.controller.ts';

@Module({
  imports: [TrailModule],
  controllers: [TrailController],
  providers: [
    Recordings,
    {
      provide: RecordingStore,
      useFactory: (config: Config) => new DirectoryStore(config.recordingsDir),
      inject: [Config],
    },
  ],
  exports: [Recordings],
})
export class RecordingsModule {}
