/** The registry of identity providers: one line each. The demo's joins once it listens. */
import { Injectable } from '@nestjs/common';
import { Config } from '../config.ts';
import { DemoIdp } from './demo-idp.ts';
import { OidcIdentityProvider } from './login/oidc-provider.ts';
import { type IdentityProvider, IdentityProviders } from './providers.ts';

@Injectable()
export class ConfiguredProviders extends IdentityProviders {
  #all: readonly IdentityProvider[];
  constructor(
    private readonly config: Config,
    private readonly demo: DemoIdp,
  ) {
    super();
    this.#all = config.oidc.map((settings) => new OidcIdentityProvider(settings, false));
  }
  override get all(): readonly IdentityProvider[] {
    return this.#all;
  }

  /** Called by boot once the REST port is bound. */
  async start(): Promise<void> {
    if (this.config.demoIdp) this.#all = [...this.#all, new OidcIdentityProvider(await this.demo.start(), true)];
  }
}
