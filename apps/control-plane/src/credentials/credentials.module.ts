/** Sealed secrets and their sources. */
import { Module } from '@nestjs/common';
import { NotifyModule } from '../notify/notify.module.ts';
import { CredentialsController } from './credentials.controller.ts';
import { CredentialsRepository } from './credentials.repository.ts';
import { Credentials } from './credentials.service.ts';
import { Errands } from './errands.service.ts';
import { Fetches } from './fetches.ts';
import { LeasesController } from './leases/leases.controller.ts';
import { LeasesRepository } from './leases/leases.repository.ts';
import { Leases } from './leases/leases.service.ts';
import { Rotation } from './rotation.ts';
import { ServerSources } from './server-sources.ts';

@Module({
  imports: [NotifyModule],
  controllers: [CredentialsController, LeasesController],
  providers: [Credentials, CredentialsRepository, ServerSources, Fetches, Errands, Rotation, Leases, LeasesRepository],
  exports: [CredentialsRepository, Errands, Leases],
})
export class CredentialsModule {}
