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
import { Arrivals } from './login/arrivals.ts';
import { AuthorizeController } from './login/authorize.controller.ts';
import { CodeFlow } from './login/code-flow.ts';
import { OidcKind } from './login/oidc-kind.ts';
import { PersonSessions } from './login/person-sessions.ts';
import { ProviderKinds } from './login/provider-kinds.ts';
import { Refresher } from './login/refresher.ts';
import { SignOutController } from './login/sign-out.controller.ts';
import { SignOut } from './login/sign-out.ts';
import { OAuthController } from './oauth.controller.ts';
import { GroupsController, PrincipalsController } from './principals.controller.ts';
import { Principals } from './principals.service.ts';
import { ProvidersController } from './provider-settings/providers.controller.ts';
import { ProvidersRepository } from './provider-settings/providers.repository.ts';
import { ProviderSettingsService } from './provider-settings/providers.service.ts';
import { IdentityProviders } from './providers.ts';
import { Revocations } from './revocations.ts';
import { SignInController } from './sign-in.controller.ts';
import { SignIn } from './sign-in.service.ts';
import { TokenService } from './token.service.ts';

// Global: the guard over every route asks the Authenticator.
@Global()
@Module({
  imports: [KeysModule],
  controllers: [
    PrincipalsController,
    GroupsController,
    OAuthController,
    SignInController,
    SignOutController,
    AuthorizeController,
    ProvidersController,
  ],
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
    OidcKind,
    ProviderKinds,
    ProvidersRepository,
    ProviderSettingsService,
    PersonSessions,
    Arrivals,
    SignOut,
    Refresher,
    CodeFlow,
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
    ProviderSettingsService,
    PersonSessions,
    Arrivals,
    SignIn,
  ],
})
export class IdentityModule {}
