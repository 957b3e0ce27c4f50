/**
 * Identity providers as settings: made, changed, tried out, removed. A change takes effect at the next sign-in on every
 * replica; removing or disabling one ends what it had signed in. No HTTP, no Prisma. Refuses to show a secret.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError, Secret } from '@sallyport/core';
import { type Actor, recordActOf } from '../../acts/acts.ts';
import { BundleChanges } from '../../bundles/bundle-changes.ts';
import { Database, type Tx } from '../../db/database.ts';
import type { Prisma } from '../../generated/prisma/client.ts';
import type { Caller } from '../../http/caller.ts';
import { fieldProblems, InvalidRequest } from '../../http/invalid-request.ts';
import { type Page, type PageRequest, toPage } from '../../http/page.ts';
import { Envelope } from '../../keys/envelope.ts';
import { Listening } from '../../listening.ts';
import { SystemClock } from '../../time.ts';
import { ConfiguredProviders } from '../configured-providers.ts';
import { IdentityRepository } from '../identity.repository.ts';
import { PersonSessions } from '../login/person-sessions.ts';
import { ProviderKinds } from '../login/provider-kinds.ts';
import { ProviderReach } from '../login/provider-reach.ts';
import { GroupMapping, mapGroups } from '../mapping/group-mapping.ts';
import type { IdentityProvider, ProviderCheck } from '../providers.ts';
import { Revocations } from '../revocations.ts';
import { ProviderFollowers } from './provider-followers.ts';
import type {
  CreateProvider,
  PreviewAnswer,
  PreviewRequest,
  ProviderDocument,
  ProviderView,
  UpdateProvider,
} from './providers.dto.ts';
import { type ProviderRow, ProvidersRepository } from './providers.repository.ts';

const json = (value: unknown): Prisma.InputJsonObject => JSON.parse(JSON.stringify(value)) as Prisma.InputJsonObject;

@Injectable()
export class ProviderSettingsService {
  constructor(
    private readonly followers: ProviderFollowers,
    private readonly database: Database,
    private readonly repository: ProvidersRepository,
    private readonly identity: IdentityRepository,
    private readonly kinds: ProviderKinds,
    private readonly reach: ProviderReach,
    private readonly providers: ConfiguredProviders,
    private readonly sessions: PersonSessions,
    private readonly revocations: Revocations,
    private readonly bundles: BundleChanges,
    private readonly envelope: Envelope,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
  ) {}

  /** The database's, and on the first page those of the environment before them. */
  async list(caller: Caller, page: PageRequest): Promise<Page<ProviderView>> {
    const found = toPage(await this.repository.page(caller.projectId, page), page, (row) => row);
    const rows = { ...found, items: await Promise.all(found.items.map((row) => this.#show(row))) };
    if (page.cursor !== undefined) return rows;
    const given = this.providers.shared.map((provider) => this.#showGiven(provider));
    return { ...rows, items: [...given, ...rows.items] };
  }

  async get(caller: Caller, reference: string): Promise<ProviderView> {
    const given = this.providers.shared.find(({ name }) => name === reference);
    return given === undefined
      ? await this.#show(await this.require(caller.projectId, reference))
      : this.#showGiven(given);
  }

  async create(caller: Caller, input: CreateProvider): Promise<ProviderView> {
    return await this.#show(await this.database.transaction((tx) => this.insert(tx, caller, input)));
  }

  async insert(tx: Tx, actor: Actor, input: CreateProvider): Promise<ProviderRow> {
    this.#requireFreeName(input.name);
    const id = this.clock.id();
    const { config, secrets } = this.#checked(actor.projectId, input);
    this.#requireReached(actor.projectId, input.kind, config);
    const row = await this.repository.create(tx, {
      id,
      projectId: actor.projectId,
      name: input.name,
      kind: input.kind,
      displayName: input.displayName,
      config,
      sealed: secrets === undefined ? null : this.#seal(id, secrets),
      mapping: json(input.mapping),
      enabled: input.enabled,
    });
    await recordActOf(tx, actor, 'identity_provider.created', `identity-provider/${row.name}`, {
      kind: row.kind,
    });
    return row;
  }

  async update(caller: Caller, reference: string, input: UpdateProvider): Promise<ProviderView> {
    const row = await this.database.transaction(async (tx) =>
      this.change(tx, caller, await this.require(caller.projectId, reference, tx), input),
    );
    return await this.#show(row);
  }

  async change(tx: Tx, actor: Actor, row: ProviderRow, input: UpdateProvider): Promise<ProviderRow> {
    const checked = this.#checked(actor.projectId, {
      name: row.name,
      kind: row.kind,
      displayName: input.displayName ?? row.displayName,
      config: input.config ?? (row.config as Record<string, unknown>),
      secrets: input.secrets,
      mapping: input.mapping ?? GroupMapping.parse(row.mapping),
      kept: this.providers.secretsOf(row),
    });
    // Whoever gives the addresses answers for where they lead.
    if (input.config !== undefined) this.#requireReached(actor.projectId, row.kind, checked.config);
    const after = await this.repository.update(tx, row.id, {
      ...(input.displayName === undefined ? {} : { displayName: input.displayName }),
      ...(input.config === undefined ? {} : { config: checked.config }),
      ...(input.secrets === undefined ? {} : { sealed: this.#seal(row.id, checked.secrets ?? {}) }),
      ...(input.mapping === undefined ? {} : { mapping: json(input.mapping) }),
      ...(input.enabled === undefined ? {} : { enabled: input.enabled }),
    });
    if (row.enabled && !after.enabled) await this.#endAll(tx, actor, row);
    if (input.mapping !== undefined || row.enabled !== after.enabled) await this.followers.changed(tx, actor, after);
    await recordActOf(tx, actor, 'identity_provider.updated', `identity-provider/${row.name}`, {
      secretsReplaced: input.secrets !== undefined,
    });
    return after;
  }

  async remove(caller: Caller, reference: string): Promise<void> {
    await this.database.transaction(async (tx) =>
      this.delete(tx, caller, await this.require(caller.projectId, reference, tx)),
    );
  }

  /** A later provider of the same name must not open the accounts of this one: its identities go with it. */
  async delete(tx: Tx, actor: Actor, row: ProviderRow): Promise<void> {
    await this.#endAll(tx, actor, row);
    await this.followers.removed(tx, actor, row);
    const lost = await this.repository.removeTraces(tx, actor.projectId, row.name, `${row.kind}:${row.name}`);
    for (const id of lost) await this.revocations.revoke(tx, actor.projectId, 'principal', id);
    await this.repository.delete(tx, row.id);
    await recordActOf(tx, actor, 'identity_provider.deleted', `identity-provider/${row.name}`, { kind: row.kind });
    await this.bundles.bump(tx, actor.projectId);
  }

  async test(caller: Caller, reference: string): Promise<{ ok: boolean; checks: ProviderCheck[] }> {
    const provider = await this.#usable(caller, reference);
    const checks = [...(await provider.test())];
    return { ok: checks.every((check) => check.ok), checks };
  }

  /** What a token would give: the very functions of sign-in, and nothing is changed. */
  async preview(caller: Caller, reference: string, input: PreviewRequest): Promise<PreviewAnswer> {
    const provider = await this.#usable(caller, reference, input.mapping);
    const { person, problems } = await provider.read(
      input.claims === undefined ? { token: input.token! } : { claims: input.claims },
    );
    const existing = await this.identity.allGroups(caller.projectId, this.database.client);
    const mapped = mapGroups(provider.mapping, person.groups, new Set(existing.map((group) => group.name)));
    const known = await this.identity.identity(caller.projectId, provider.name, person.subject, this.database.client);
    return {
      subject: person.subject,
      username: person.username,
      displayName: person.displayName,
      email: person.email ?? null,
      principal: known?.principal.name ?? null,
      given: [...person.groups],
      groups: [...mapped.groups],
      why: [...mapped.steps],
      problems: [...problems],
    };
  }

  all(projectId: string, tx?: Tx): Promise<ProviderRow[]> {
    return this.repository.all(projectId, tx);
  }

  /** The settings with their defaults. @throws InvalidRequest */
  checkedConfig(kind: string, given: unknown): { readonly config: Record<string, unknown> } {
    const config = this.kinds.require(kind).config.safeParse(given);
    if (config.success) return { config: json(config.data) as Record<string, unknown> };
    throw new InvalidRequest(
      fieldProblems(config.error.issues).map((one) => ({ ...one, field: `config.${one.field}` })),
    );
  }

  documentOf(row: ProviderRow): ProviderDocument {
    return {
      name: row.name,
      type: row.kind as ProviderDocument['type'],
      displayName: row.displayName,
      config: row.config as Record<string, unknown>,
      mapping: GroupMapping.parse(row.mapping),
      enabled: row.enabled,
    };
  }

  /** @throws GatewayError `request.not_found` */
  async require(projectId: string, reference: string, tx?: Tx): Promise<ProviderRow> {
    const row = await this.repository.find(projectId, reference, tx);
    if (row === null) throw new GatewayError('request.not_found', { identityProvider: reference });
    return row;
  }

  /** A disabled one can be tried out too. */
  async #usable(caller: Caller, reference: string, mapping?: GroupMapping): Promise<IdentityProvider> {
    const given = this.providers.shared.find(({ name }) => name === reference);
    if (given !== undefined && mapping === undefined) return given;
    if (given !== undefined)
      throw new InvalidRequest([{ field: 'mapping', message: 'a provider of the environment keeps its own' }]);
    const row = await this.require(caller.projectId, reference);
    return mapping === undefined
      ? await this.providers.fromRow(row)
      : await this.providers.make({ ...row, mapping: json(mapping) as Prisma.JsonObject });
  }

  #checked(
    projectId: string,
    input: Pick<CreateProvider, 'name' | 'displayName' | 'config' | 'secrets' | 'mapping'> & {
      readonly kind: string;
      /** What is sealed already, used when no secrets are given. */
      readonly kept?: Secret<Buffer> | undefined;
    },
  ): { readonly config: Prisma.InputJsonObject; readonly secrets: Record<string, unknown> | undefined } {
    const kind = this.kinds.require(input.kind);
    const config = kind.config.safeParse(input.config);
    const secrets = kind.secrets.safeParse(input.secrets ?? {});
    const problems = [
      ...(config.success
        ? []
        : fieldProblems(config.error.issues).map((one) => ({ ...one, field: `config.${one.field}` }))),
      ...(secrets.success
        ? []
        : fieldProblems(secrets.error.issues).map((one) => ({ ...one, field: `secrets.${one.field}` }))),
    ];
    if (problems.length > 0 || !config.success || !secrets.success) throw new InvalidRequest(problems);
    try {
      kind.make({
        projectId,
        address: input.name,
        name: input.name,
        displayName: input.displayName,
        config: config.data,
        secrets: input.secrets === undefined ? input.kept : new Secret(Buffer.from(JSON.stringify(secrets.data))),
        mapping: input.mapping,
      });
    } catch (cause) {
      if (!(cause instanceof GatewayError)) throw cause;
      const { field = 'config', reason = 'these settings do not fit together' } = cause.detail;
      throw new InvalidRequest([{ field: String(field), message: String(reason) }], 'request.invalid', { cause });
    }
    return { config: json(config.data), secrets: input.secrets === undefined ? undefined : secrets.data };
  }

  /** @throws InvalidRequest for an address where providers of this project may not stand */
  #requireReached(projectId: string, kind: string, config: unknown): void {
    const http = this.reach.of(projectId);
    const problems = this.kinds
      .require(kind)
      .addresses(config)
      .flatMap(({ field, url }) => {
        const message = http.whyNot(url);
        return message === undefined ? [] : [{ field: `config.${field}`, message }];
      });
    if (problems.length > 0) throw new InvalidRequest(problems);
  }

  async #endAll(tx: Tx, actor: Actor, row: ProviderRow): Promise<void> {
    for (const { id } of await this.repository.sessionsOf(tx, actor.projectId, row.name))
      await this.sessions.end(tx, id, `identity-provider/${row.name}`, actor);
  }

  #seal(id: string, secrets: Record<string, unknown>): Uint8Array<ArrayBuffer> {
    return this.envelope.seal(Buffer.from(JSON.stringify(secrets)), `identity-provider/${id}`);
  }

  #requireFreeName(name: string): void {
    if (name === 'local' || this.providers.shared.some((provider) => provider.name === name))
      throw new GatewayError('request.conflict', { identityProvider: name });
  }

  async #show(row: ProviderRow): Promise<ProviderView> {
    return {
      id: row.id,
      name: row.name,
      kind: row.kind as ProviderView['kind'],
      displayName: row.displayName,
      from: 'database',
      config: row.config as Record<string, unknown>,
      hasSecrets: row.sealed !== null,
      mapping: GroupMapping.parse(row.mapping),
      enabled: row.enabled,
      callback:
        this.listening.publicUrl() + this.kinds.require(row.kind).callbackPath(await this.providers.addressOf(row)),
      createdAt: row.createdAt.toISOString(),
      updatedAt: row.updatedAt.toISOString(),
    };
  }

  #showGiven(provider: IdentityProvider): ProviderView {
    return {
      id: '',
      name: provider.name,
      kind: provider.kind,
      displayName: provider.displayName,
      from: 'environment',
      config: {},
      hasSecrets: true,
      mapping: provider.mapping,
      enabled: true,
      callback: this.listening.publicUrl() + provider.callbackPath,
      createdAt: null,
      updatedAt: null,
    };
  }
}
