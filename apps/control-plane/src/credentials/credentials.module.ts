/** Sealed secrets and their sources. */
import { Module } from '@nestjs/common';
import { CredentialsController } from './credentials.controller.ts';
import { CredentialsRepository } from './credentials.repository.ts';
import { Credentials } from './credentials.service.ts';

@Module({
  controllers: [CredentialsController],
  providers: [Credentials, CredentialsRepository],
  exports: [CredentialsRepository],
})
export class CredentialsModule {}
