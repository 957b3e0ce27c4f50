/** Principals, groups, API tokens and sign-in. Exports what the guard and other features ask. */
import { Global, Module } from '@nestjs/common';
import { Authenticator } from '../http/caller.ts';
import { ApiTokens } from './api-tokens.ts';
import { IdentityRepository } from './identity.repository.ts';
import { Revocations } from './revocations.ts';

// Global: the guard over every route asks the Authenticator.
@Global()
@Module({
  providers: [IdentityRepository, ApiTokens, Revocations, { provide: Authenticator, useExisting: ApiTokens }],
  exports: [Authenticator, ApiTokens, Revocations, IdentityRepository],
})
export class IdentityModule {}
