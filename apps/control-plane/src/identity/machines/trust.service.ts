/**
 * Trust rules: written, changed, tried out. Whoever writes one hands out what its principal has, so they need it all
 * themselves. Switching a rule off or removing it ends what it opened; another change ends nothing. No HTTP, no Prisma.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { ISSUED_TOKEN_BYTES_MAX, placeholdersOf } from '@sallyport/model';
import { z } from 'zod';
import { recordActOf } from '../../acts/acts.ts';
import { BundleChanges } from '../../bundles/bundle-changes.ts';
import { Database, type Tx } from '../../db/database.ts';
import type { TrustRule } from '../../generated/prisma/client.ts';
import type { Caller } from '../../http/caller.ts';
import { InvalidRequest } from '../../http/invalid-request.ts';
import { type Page, pageOf, pageQuery, toPage } from '../../http/page.ts';
import { permissionsOf } from '../../http/permissions.ts';
import { Instant, open, openFields, secret } from '../../http/schema.ts';
import { SystemClock } from '../../time.ts';
import { IdentityRepository } from '../identity.repository.ts';
import { Revocations } from '../revocations.ts';
import { whyNotFetched } from './guarded-fetch.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { documentOf, MachineSignIn, sessionNameOf } from './machine-sign-in.ts';
import { TrustRepository } from './trust.repository.ts';
import { type TrustRuleDocument, TrustRuleFields } from './trust-rule-document.ts';

export const TrustRuleView = TrustRuleFields.extend({
  id: open(z.uuid()),
  lastUsedAt: open(Instant.nullable()),
  createdAt: open(Instant),
  updatedAt: open(Instant),
}).meta({ id: 'TrustRule' });
export type TrustRuleView = z.infer<typeof TrustRuleView>;
export const TrustRulePage = pageOf(TrustRuleView).meta({ id: 'TrustRulePage' });
export const TrustRuleQuery = pageQuery(['name', 'createdAt'], 'name');
export const TryToken = z
  .strictObject({ token: secret(z.string().min(1).max(ISSUED_TOKEN_BYTES_MAX)) })
  .meta({ id: 'TryToken' });
export const TrustPreview = z
  .object({
    rules: open(
      z.array(z.object({ rule: z.string(), principal: z.string().nullable(), why: z.string().nullable() })),
    ).describe('Each rule of the token’s issuer: the principal it makes, or why it makes none.'),
  })
  .meta({ id: 'TrustPreview' });

const show = (row: TrustRule): TrustRuleView => ({
  ...documentOf(row),
  id: row.id,
  lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
});

@Injectable()
export class TrustRules {
  constructor(
    private readonly database: Database,
    private readonly repository: TrustRepository,
    private readonly identity: IdentityRepository,
    private readonly machines: MachineSignIn,
    private readonly revocations: Revocations,
    private readonly bundles: BundleChanges,
    private readonly issuerKeys: IssuerKeys,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, query: z.infer<typeof TrustRuleQuery>): Promise<Page<TrustRuleView>> {
    return toPage(await this.repository.rules(caller.projectId, query), query, show);
  }

  async get(caller: Caller, reference: string): Promise<TrustRuleView> {
    return show(await this.#find(caller, reference));
  }

  async create(caller: Caller, input: TrustRuleDocument): Promise<TrustRuleView> {
    return await this.database.transaction(async (tx) => {
      await this.#check(tx, caller, input);
      const { name, issuer, ...document } = input;
      const row = await this.repository.insertRule(tx, {
        id: this.clock.id(),
        projectId: caller.projectId,
        name,
        issuer,
        document: json(document),
      });
      await this.bundles.bump(tx, caller.projectId);
      await recordActOf(tx, caller, 'trust-rule.created', `trust-rule/${name}`, openFields(TrustRuleFields, input));
      return show(row);
    });
  }

  async replace(caller: Caller, reference: string, input: TrustRuleDocument): Promise<TrustRuleView> {
    return await this.database.transaction(async (tx) => {
      const found = await this.#find(caller, reference, tx);
      if (input.name !== found.name) throw new InvalidRequest([{ field: 'name', message: 'a rule keeps its name' }]);
      await this.#check(tx, caller, input);
      const { name, issuer, ...document } = input;
      const row = await this.repository.updateRule(tx, found.id, { issuer, document: json(document) });
      if (!input.enabled && documentOf(found).enabled) await this.#endSessions(tx, caller.projectId, name);
      await this.bundles.bump(tx, caller.projectId);
      await recordActOf(tx, caller, 'trust-rule.updated', `trust-rule/${name}`, openFields(TrustRuleFields, input));
      return show(row);
    });
  }

  async remove(caller: Caller, reference: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const found = await this.#find(caller, reference, tx);
      await this.repository.removeRule(tx, found.id);
      await this.#endSessions(tx, caller.projectId, found.name);
      await this.bundles.bump(tx, caller.projectId);
      await recordActOf(tx, caller, 'trust-rule.deleted', `trust-rule/${found.name}`);
    });
  }

  async preview(caller: Caller, token: string): Promise<z.infer<typeof TrustPreview>> {
    const rules = await this.machines.preview(caller.projectId, token);
    return {
      rules: rules.map(({ rule, principal, why }) => ({ rule, principal: principal ?? null, why: why ?? null })),
    };
  }

  async #endSessions(tx: Tx, projectId: string, rule: string): Promise<void> {
    const tokens = await this.repository.endSessions(tx, projectId, sessionNameOf(rule), this.clock.now());
    for (const jti of tokens) await this.revocations.revoke(tx, projectId, 'token', jti);
  }

  async #find(caller: Caller, reference: string, tx?: Tx): Promise<TrustRule> {
    const row = await this.repository.rule(caller.projectId, reference, tx);
    if (row === null) throw new GatewayError('request.not_found', { rule: reference });
    return row;
  }

  async #check(tx: Tx, caller: Caller, rule: TrustRuleDocument): Promise<void> {
    const address =
      rule.keys.from === 'url' ? { field: 'keys.url', url: rule.keys.url } : { field: 'issuer', url: rule.issuer };
    const { loopback, networks } = this.issuerKeys.reachOf(caller.projectId);
    const why = rule.keys.from === 'upload' ? undefined : whyNotFetched(address.url, loopback, networks);
    if (why !== undefined) throw new InvalidRequest([{ field: address.field, message: why }]);
    if (placeholdersOf(rule.principal).length > 0) {
      this.#requireNoMore(caller, ['member']);
      for (const group of rule.create?.groups ?? [])
        if ((await this.identity.group(caller.projectId, group, tx)) === null)
          throw new InvalidRequest([{ field: 'create.groups', message: `there is no group ${group}` }]);
      return;
    }
    const principal = await this.identity.principal(caller.projectId, rule.principal, tx);
    if (principal === null || principal.name !== rule.principal || principal.kind === 'person')
      throw new InvalidRequest([{ field: 'principal', message: 'the name of a service or AI agent is expected' }]);
    this.#requireNoMore(caller, principal.roles);
  }

  #requireNoMore(caller: Caller, roles: readonly string[]): void {
    for (const permission of permissionsOf(roles))
      if (!caller.permissions.has(permission)) throw new GatewayError('auth.forbidden', { gives: permission });
  }
}

const json = (document: object) => JSON.parse(JSON.stringify(document)) as Record<string, never>;
