/**
 * The providers in use: those of the environment, the demo's once it listens, and the database's. One made from a row is
 * kept while the row stays as it is, so that its metadata and keys are; any replica sees a change at the next sign-in.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError, type Secret } from '@sallyport/core';
import { Config } from '../config.ts';
import { DEFAULT_PROJECT, ProjectDirectory } from '../db/project.ts';
import { Envelope } from '../keys/envelope.ts';
import { DEMO_PROVIDER, DemoIdp } from './demo-idp.ts';
import { OidcKind } from './login/oidc-kind.ts';
import { ProviderKinds } from './login/provider-kinds.ts';
import { GroupMapping } from './mapping/group-mapping.ts';
import { type ProviderRow, ProvidersRepository } from './provider-settings/providers.repository.ts';
import { type IdentityProvider, IdentityProviders } from './providers.ts';

@Injectable()
export class ConfiguredProviders extends IdentityProviders {
  #given: readonly IdentityProvider[] | undefined;
  #demo: IdentityProvider | undefined;
  readonly #made = new Map<string, { readonly version: number; readonly provider: IdentityProvider }>();
  constructor(
    private readonly config: Config,
    private readonly projects: ProjectDirectory,
    private readonly demo: DemoIdp,
    private readonly oidc: OidcKind,
    private readonly kinds: ProviderKinds,
    private readonly repository: ProvidersRepository,
    private readonly envelope: Envelope,
  ) {
    super();
  }

  /** Called by boot once the REST port is bound. @throws GatewayError `config.invalid` when a name is taken twice */
  async start(): Promise<void> {
    await this.#refuseShadows();
    if (this.config.demoIdp) this.#demo = this.oidc.makeGiven(await this.demo.start(), true);
  }

  /** The installation's, that no row holds: they serve every project. */
  override get shared(): readonly IdentityProvider[] {
    this.#given ??= this.config.oidc.map((settings) => this.oidc.makeGiven(settings, false));
    return this.#demo === undefined ? this.#given : [...this.#given, this.#demo];
  }

  override async list(projectId: string): Promise<readonly IdentityProvider[]> {
    const rows = (await this.repository.all(projectId)).filter((row) => row.enabled);
    return [...this.shared, ...(await Promise.all(rows.map((row) => this.fromRow(row))))];
  }

  override async find(projectId: string, name: string): Promise<IdentityProvider | undefined> {
    return this.#sharedOf(name) ?? (await this.findWith(name, await this.repository.enabled(projectId, name)));
  }

  override async findWith(name: string, row: ProviderRow | null): Promise<IdentityProvider | undefined> {
    return this.#sharedOf(name) ?? (row === null ? undefined : await this.fromRow(row));
  }

  #sharedOf(name: string): IdentityProvider | undefined {
    return this.shared.find((provider) => provider.name === name);
  }

  /**
   * A provider of the environment would stand before one of the database with its name, and take its people in as its own.
   * Making the second is refused where it is made; this is for a name that comes to the environment later.
   */
  async #refuseShadows(): Promise<void> {
    const names = [...this.config.oidc.map(({ name }) => name), ...(this.config.demoIdp ? [DEMO_PROVIDER] : [])];
    const rows = await this.repository.named(names);
    if (rows.length === 0) return;
    const taken = await Promise.all(
      rows.map(async (row) => `${row.name} of project ${await this.projects.nameOf(row.projectId)}`),
    );
    throw new GatewayError('config.invalid', {
      name: 'SALLYPORT_OIDC_NAME',
      remedy: `a name that no identity provider of the database has: there is ${taken.join(', ')}`,
    });
  }

  /** The provider of a row, kept while the row does not change. */
  async fromRow(row: ProviderRow): Promise<IdentityProvider> {
    const version = row.updatedAt.getTime();
    const known = this.#made.get(row.id);
    if (known?.version === version) return known.provider;
    const provider = await this.make(row);
    this.#made.set(row.id, { version, provider });
    return provider;
  }

  /** A fresh one, known to nobody else. */
  async make(row: ProviderRow): Promise<IdentityProvider> {
    return this.kinds.require(row.kind).make({
      projectId: row.projectId,
      address: await this.addressOf(row),
      name: row.name,
      displayName: row.displayName,
      config: row.config,
      secrets: this.secretsOf(row),
      mapping: GroupMapping.parse(row.mapping),
    });
  }

  /** See `ProviderSettings.address`. */
  async addressOf(row: Pick<ProviderRow, 'projectId' | 'name'>): Promise<string> {
    const project = await this.projects.nameOf(row.projectId);
    return project === DEFAULT_PROJECT ? row.name : `${project}/${row.name}`;
  }

  secretsOf(row: ProviderRow): Secret<Buffer> | undefined {
    return row.sealed === null ? undefined : this.envelope.open(row.sealed, `identity-provider/${row.id}`);
  }
}
