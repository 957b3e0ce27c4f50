/** Principals, groups, API tokens and sign-in. Exports what the guard and other features ask. */
import { Global, Module } from '@nestjs/common';
import { Authenticator, KeyProofs } from '../http/caller.ts';
import { KeysModule } from '../keys/keys.module.ts';
import { NotifyModule } from '../notify/notify.module.ts';
import { AccountLinks } from './accounts/account-links.ts';
import { AccountsController } from './accounts/accounts.controller.ts';
import { AccountsRepository } from './accounts/accounts.repository.ts';
import { Accounts } from './accounts/accounts.service.ts';
import { LocalLoginController } from './accounts/local-login.controller.ts';
import { LocalSignIn } from './accounts/local-sign-in.ts';
import { LoginDelays } from './accounts/login-delays.ts';
import { Passkeys } from './accounts/passkeys.ts';
import { ApiTokens } from './api-tokens.ts';
import { ClientCredentials } from './client-credentials.ts';
import { ConfiguredProviders } from './configured-providers.ts';
import { Cookies } from './cookies.ts';
import { DemoIdp } from './demo-idp.ts';
import { DeviceFlow } from './device-flow.ts';
import { Exchange } from './exchange.service.ts';
import { IdentityRepository } from './identity.repository.ts';
import { ArrivalsRepository } from './login/arrivals.repository.ts';
import { Arrivals } from './login/arrivals.ts';
import { AuthorizeController } from './login/authorize.controller.ts';
import { CodeFlow } from './login/code-flow.ts';
import { OidcKind } from './login/oidc-kind.ts';
import { PersonSessions } from './login/person-sessions.ts';
import { ProviderKinds } from './login/provider-kinds.ts';
import { ProviderReach } from './login/provider-reach.ts';
import { Refresher } from './login/refresher.ts';
import { SignOutController } from './login/sign-out.controller.ts';
import { SignOut } from './login/sign-out.ts';
import { ClientAssertions } from './machines/client-assertions.ts';
import { ClientKeys } from './machines/client-keys.service.ts';
import { Dpop } from './machines/dpop.ts';
import { IssuerKeys } from './machines/issuer-keys.ts';
import { MachineSignIn } from './machines/machine-sign-in.ts';
import { PublishedKeys } from './machines/published-keys.ts';
import { ClientKeysController, TrustController } from './machines/trust.controller.ts';
import { TrustRepository } from './machines/trust.repository.ts';
import { TrustRules } from './machines/trust.service.ts';
import { OAuthController } from './oauth.controller.ts';
import { PersonFollowers } from './person-followers.ts';
import { GroupsController, PrincipalsController } from './principals.controller.ts';
import { Principals } from './principals.service.ts';
import { ProviderFollowers } from './provider-settings/provider-followers.ts';
import { ProvidersController } from './provider-settings/providers.controller.ts';
import { ProvidersRepository } from './provider-settings/providers.repository.ts';
import { ProviderSettingsService } from './provider-settings/providers.service.ts';
import { IdentityProviders } from './providers.ts';
import { Revocations } from './revocations.ts';
import { PutBy } from './saml/put-by.ts';
import { SamlController } from './saml/saml.controller.ts';
import { SamlKeysController } from './saml/saml-keys.controller.ts';
import { SamlKeys } from './saml/saml-keys.ts';
import { SamlKind } from './saml/saml-kind.ts';
import { SingleLogout } from './saml/single-logout.ts';
import { SignInController } from './sign-in.controller.ts';
import { SignIn } from './sign-in.service.ts';
import { TokenService } from './token.service.ts';

// Global: the guard over every route asks the Authenticator.
@Global()
@Module({
  imports: [KeysModule, NotifyModule],
  controllers: [
    PrincipalsController,
    GroupsController,
    OAuthController,
    SignInController,
    SignOutController,
    AuthorizeController,
    ProvidersController,
    TrustController,
    AccountsController,
    LocalLoginController,
    ClientKeysController,
    SamlController,
    SamlKeysController,
  ],
  providers: [
    Cookies,
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
    PersonFollowers,
    ProviderReach,
    OidcKind,
    SamlKeys,
    SamlKind,
    PutBy,
    SingleLogout,
    ProviderKinds,
    ProvidersRepository,
    ProviderFollowers,
    ProviderSettingsService,
    PersonSessions,
    Arrivals,
    ArrivalsRepository,
    SignOut,
    Refresher,
    CodeFlow,
    ConfiguredProviders,
    { provide: IdentityProviders, useExisting: ConfiguredProviders },
    SignIn,
    AccountsRepository,
    LoginDelays,
    LocalSignIn,
    Passkeys,
    AccountLinks,
    Accounts,
    TrustRepository,
    IssuerKeys,
    PublishedKeys,
    MachineSignIn,
    TrustRules,
    ClientKeys,
    ClientAssertions,
    Dpop,
    { provide: KeyProofs, useExisting: Dpop },
  ],
  exports: [
    KeyProofs,
    AccountLinks,
    Authenticator,
    ApiTokens,
    Revocations,
    IdentityRepository,
    Principals,
    Exchange,
    DeviceFlow,
    ConfiguredProviders,
    IdentityProviders,
    PersonFollowers,
    ProviderFollowers,
    ProviderSettingsService,
    PersonSessions,
    Arrivals,
    SignIn,
  ],
})
export class IdentityModule {}
