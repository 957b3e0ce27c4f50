/** Principals, groups, API tokens and sign-in. Exports what the guard and other features ask. */
import { Global, Module } from '@nestjs/common';
import { Authenticator } from '../http/caller.ts';
import { KeysModule } from '../keys/keys.module.ts';
import { ApiTokens } from './api-tokens.ts';
import { ClientCredentials } from './client-credentials.ts';
import { ConfiguredProviders } from './configured-providers.ts';
import { DemoIdp } from './demo-idp.ts';
import { DeviceFlow } from './device-flow.ts';
import { Exchange } from './exchange.service.ts';
import { IdentityRepository } from './identity.repository.ts';
import { OAuthController } from './oauth.controller.ts';
import { GroupsController, PrincipalsController } from './principals.controller.ts';
import { Principals } from './principals.service.ts';
import { IdentityProviders } from './providers.ts';
import { Revocations } from './revocations.ts';
import { SignInController } from './sign-in.controller.ts';
import { SignIn } from './sign-in.service.ts';
import { TokenService } from './token.service.ts';

// Global: the guard over every route asks the Authenticator.
@Global()
@Module({
  imports: [KeysModule],
  controllers: [PrincipalsController, GroupsController, OAuthController, SignInController],
  providers: [
    IdentityRepository,
    ApiTokens,
    { provide: Authenticator, useExisting: ApiTokens },
    Revocations,
    Principals,
    TokenService,
    Exchange,
    ClientCredentials,
    DeviceFlow,
    DemoIdp,
    ConfiguredProviders,
    { provide: IdentityProviders, useExisting: ConfiguredProviders },
    SignIn,
  ],
  exports: [
    Authenticator,
    ApiTokens,
    Revocations,
    IdentityRepository,
    Principals,
    Exchange,
    ConfiguredProviders,
    IdentityProviders,
  ],
})
export class IdentityModule {}
