/** The kind `saml`: from a row to a provider that can be used. Refuses settings that do not say where the provider is. */
import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { Listening } from '../../listening.ts';
import { SystemClock } from '../../time.ts';
import { type ProviderAddress, ProviderKind, type ProviderSettings } from '../login/provider-kind.ts';
import { ProviderReach } from '../login/provider-reach.ts';
import { parseIdpMetadata, requireCertificate } from './idp-metadata.ts';
import { SamlConfig, SamlSecrets } from './saml-config.ts';
import { SamlKeys } from './saml-keys.ts';
import { SamlIdentityProvider } from './saml-provider.ts';
import { VerifyThread } from './verify-thread.ts';

@Injectable()
export class SamlKind extends ProviderKind implements OnModuleDestroy {
  readonly #thread = new VerifyThread();
  override readonly kind = 'saml';
  override readonly config = SamlConfig;
  override readonly secrets = SamlSecrets;
  constructor(
    private readonly keys: SamlKeys,
    private readonly reach: ProviderReach,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
  ) {
    super();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#thread.stop();
  }

  override callbackPath(address: string): string {
    return `/v1/saml/${address}/acs`;
  }

  override addresses(given: unknown): readonly ProviderAddress[] {
    const { metadataUrl, metadata, ssoUrl, entityId } = SamlConfig.parse(given);
    const said = metadata === undefined ? undefined : parseIdpMetadata(metadata, entityId, this.clock.nowMs());
    const all = { metadataUrl: [metadataUrl], metadata: [said?.ssoUrl, said?.sloUrl], ssoUrl: [ssoUrl] };
    return Object.entries(all).flatMap(([field, urls]) =>
      urls.filter((url) => url !== undefined).map((url) => ({ field, url })),
    );
  }

  override make(settings: ProviderSettings): SamlIdentityProvider {
    const { projectId, name, displayName, mapping, address } = settings;
    const config = SamlConfig.parse(settings.config);
    requireWhole(config, this.clock.nowMs());
    // Whoever is sent to the provider now comes back in a moment.
    this.#thread.start();
    return new SamlIdentityProvider({
      projectId,
      name,
      displayName,
      mapping,
      config,
      basePath: `/v1/saml/${address}`,
      publicUrl: () => this.listening.publicUrl(),
      keys: () => this.keys.of(projectId, name),
      http: this.reach.of(projectId),
      thread: this.#thread,
      nowMs: () => this.clock.nowMs(),
    });
  }
}

/** @throws GatewayError `request.invalid` with the field */
function requireWhole(config: SamlConfig, nowMs: number): void {
  const wrong = (field: string, reason: string, cause?: unknown): never => {
    throw new GatewayError('request.invalid', { field: `config.${field}`, reason }, { cause });
  };
  const given = [config.metadataUrl, config.metadata, config.ssoUrl].filter((one) => one !== undefined).length;
  if (given !== 1) wrong('metadataUrl', 'one of metadataUrl, metadata, or ssoUrl with certificates is expected');
  if ((config.ssoUrl === undefined) !== (config.certificates === undefined))
    wrong('certificates', 'ssoUrl and certificates belong together');
  if (config.certificates?.length === 0) wrong('certificates', 'at least one is needed');
  const tried = (field: string, work: () => unknown): void => {
    try {
      work();
    } catch (cause) {
      wrong(field, cause instanceof Error ? cause.message : 'it cannot be read', cause);
    }
  };
  const { metadata, certificates = [] } = config;
  for (const certificate of certificates) tried('certificates', () => requireCertificate(certificate));
  if (metadata !== undefined) tried('metadata', () => parseIdpMetadata(metadata, config.entityId, nowMs));
}
