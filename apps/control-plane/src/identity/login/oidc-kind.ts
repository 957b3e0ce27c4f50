/** The kind `oidc`: from a row, or from the environment, to a provider that can be used. */
import { Injectable } from '@nestjs/common';
import { GatewayError, Secret } from '@sallyport/core';
import * as oidc from 'openid-client';
import type { OidcProviderConfig } from '../../config.ts';
import { SystemClock } from '../../time.ts';
import { PLAIN_MAPPING } from '../mapping/group-mapping.ts';
import type { IdentityProvider } from '../providers.ts';
import { GoogleDirectory } from './google-directory.ts';
import { OidcConfig, OidcSecrets } from './oidc-config.ts';
import { OidcIdentityProvider } from './oidc-provider.ts';
import { type ProviderAddress, ProviderKind, type ProviderSettings } from './provider-kind.ts';
import { ProviderReach } from './provider-reach.ts';

function clientAuthOf(config: OidcConfig, secret: string | undefined): oidc.ClientAuth {
  if (config.clientAuth === 'none') return oidc.None();
  if (secret === undefined)
    throw new GatewayError('request.invalid', { field: 'clientSecret', reason: 'it is needed' });
  return config.clientAuth === 'client_secret_post' ? oidc.ClientSecretPost(secret) : oidc.ClientSecretBasic(secret);
}

@Injectable()
export class OidcKind extends ProviderKind {
  override readonly kind = 'oidc';
  override readonly config = OidcConfig;
  override readonly secrets = OidcSecrets;
  constructor(
    private readonly reach: ProviderReach,
    private readonly clock: SystemClock,
  ) {
    super();
  }

  override addresses(config: unknown): readonly ProviderAddress[] {
    return [{ field: 'issuer', url: OidcConfig.parse(config).issuer }];
  }

  override callbackPath(address: string): string {
    return `/v1/login/callback/${address}`;
  }

  override make(settings: ProviderSettings): IdentityProvider {
    return this.#makeAt(settings, this.callbackPath(settings.address), false);
  }

  /** From the environment, or the demo's: their callback address is the one without a name. */
  makeGiven(given: OidcProviderConfig, linksByName: boolean): IdentityProvider {
    const { name, issuer, clientId, clientSecret } = given;
    const config = {
      issuer,
      clientId,
      clientAuth: clientSecret === undefined ? 'none' : 'client_secret_post',
      scopes: ['openid', 'profile', 'email', 'groups'],
    };
    const secrets =
      clientSecret === undefined
        ? undefined
        : new Secret(Buffer.from(JSON.stringify({ clientSecret: clientSecret.reveal() })));
    const mapping = { ...PLAIN_MAPPING, groupsClaim: given.groupsClaim };
    return this.#makeAt(
      { projectId: undefined, address: name, name, displayName: '', config, secrets, mapping },
      '/v1/login/callback',
      linksByName,
    );
  }

  #makeAt(
    settings: Omit<ProviderSettings, 'projectId'> & { readonly projectId: string | undefined },
    callbackPath: string,
    linksByName: boolean,
  ): IdentityProvider {
    const config = OidcConfig.parse(settings.config);
    const secrets = OidcSecrets.parse(JSON.parse(settings.secrets?.reveal().toString() ?? '{}'));
    const nowMs = (): number => this.clock.nowMs();
    const http = this.reach.of(settings.projectId);
    if (config.groupsSource !== undefined && secrets.directoryKey === undefined)
      throw new GatewayError('request.invalid', { field: 'directoryKey', reason: 'groupsSource needs it' });
    return new OidcIdentityProvider({
      ...settings,
      config,
      clientAuth: clientAuthOf(config, secrets.clientSecret),
      groupsSource:
        config.groupsSource === undefined
          ? undefined
          : new GoogleDirectory(config.groupsSource, new Secret(secrets.directoryKey!), http, nowMs),
      http,
      linksByName,
      callbackPath,
      nowMs,
    });
  }
}
