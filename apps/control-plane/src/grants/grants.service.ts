/**
 * Time-bound rights of principals and groups on resources. Each change is an act and a bundle revision in one
 * transaction, so it is in force at connected agents at once, live sessions included. No HTTP, no Prisma.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { EFFECTS } from '@sallyport/model';
import { z } from 'zod';
import { type Actor, recordActOf } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database, type Tx } from '../db/database.ts';
import { Prisma } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, pageOf, pageQuery, toPage } from '../http/page.ts';
import { GroupName, Instant, Name, open, openFields } from '../http/schema.ts';
import { IdentityRepository } from '../identity/identity.repository.ts';
import { ResourcesRepository } from '../resources/resources.repository.ts';
import { SystemClock } from '../time.ts';
import { documentOf, GRANT_KINDS, type GrantDocument, GrantFields } from './grant-document.ts';
import { type GrantRow, GrantsRepository } from './grants.repository.ts';
import { reviewState } from './review-state.ts';

export const GrantView = z
  .object({
    id: open(z.uuid()),
    name: open(Name),
    principal: open(z.string().nullable()),
    group: open(z.string().nullable()),
    resource: open(z.string().nullable()),
    labels: open(z.record(z.string(), z.string()).nullable()),
    effects: open(z.array(z.enum(EFFECTS))),
    roles: open(z.array(z.string())),
    kind: open(z.string()),
    source: open(z.string()).describe('manual; apply: made by a document; request: made for an access request.'),
    requestId: open(z.string().nullable()).describe('The access request it was made for.'),
    notBefore: open(Instant.nullable()),
    notAfter: open(Instant.nullable()),
    revokedAt: open(Instant.nullable()),
    reviewedUntil: open(Instant.nullable()).describe('Its access review lapses then.'),
    afterReview: open(z.string().nullable()).describe('deny or hold: what then becomes of it.'),
    confirmed: open(z.array(z.enum(EFFECTS)).nullable()).describe('What its last reviews confirmed; null = none has.'),
    createdAt: open(Instant),
  })
  .meta({ id: 'Grant' });
export type GrantView = z.infer<typeof GrantView>;
/** What made a grant, where that was no person by hand. */
export interface GrantOrigin {
  readonly source?: 'request' | 'apply';
  readonly requestId?: string;
}
export const GrantPage = pageOf(GrantView).meta({ id: 'GrantPage' });
export const GrantQuery = pageQuery(['name', 'createdAt'], 'name').extend({
  principal: z.string().max(64).optional().describe('Name or id.'),
  group: GroupName.optional(),
  resource: z.string().max(63).optional().describe('By name; grants by labels are not resolved here.'),
  kind: z.enum(GRANT_KINDS).optional(),
  active: z.enum(['true', 'false']).optional().describe('In force now.'),
});

const show = (row: GrantRow): GrantView => ({
  ...documentOf(row),
  ...showReview(row),
  id: row.id,
  source: row.source,
  requestId: row.requestId,
  revokedAt: row.revokedAt?.toISOString() ?? null,
  createdAt: row.createdAt.toISOString(),
});

function showReview(row: GrantRow): Pick<GrantView, 'reviewedUntil' | 'afterReview' | 'confirmed'> {
  const { reviewedUntil, afterReview, confirmed } = reviewState(row, row.reviews);
  return {
    reviewedUntil: reviewedUntil === undefined ? null : new Date(reviewedUntil).toISOString(),
    afterReview: afterReview ?? null,
    confirmed: confirmed === undefined ? null : [...confirmed],
  };
}

@Injectable()
export class Grants {
  constructor(
    private readonly database: Database,
    private readonly repository: GrantsRepository,
    private readonly identity: IdentityRepository,
    private readonly resources: ResourcesRepository,
    private readonly bundles: BundleChanges,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, query: z.infer<typeof GrantQuery>): Promise<Page<GrantView>> {
    const now = this.clock.now();
    const inForce: Prisma.GrantWhereInput = {
      revokedAt: null,
      AND: [
        { OR: [{ notBefore: null }, { notBefore: { lte: now } }] },
        { OR: [{ notAfter: null }, { notAfter: { gt: now } }] },
      ],
    };
    const principal =
      query.principal === undefined ? undefined : await this.identity.principal(caller.projectId, query.principal);
    const where: Prisma.GrantWhereInput = {
      ...(query.active === undefined ? {} : query.active === 'true' ? { AND: [inForce] } : { NOT: inForce }),
      ...(principal === undefined ? {} : { principalId: principal?.id ?? '00000000-0000-0000-0000-000000000000' }),
      ...(query.group === undefined ? {} : { groupName: query.group }),
      ...(query.resource === undefined ? {} : { resource: query.resource }),
      ...(query.kind === undefined ? {} : { kind: query.kind }),
    };
    return toPage(await this.repository.list(caller.projectId, where, query), query, show);
  }

  async get(caller: Caller, reference: string): Promise<GrantView> {
    return show(await this.find(caller.projectId, reference));
  }

  /** @throws GatewayError `request.not_found` */
  async find(projectId: string, reference: string, tx?: Tx): Promise<GrantRow> {
    const row = await this.repository.find(projectId, reference, tx);
    if (row === null) throw new GatewayError('request.not_found', { grant: reference });
    return row;
  }

  async create(caller: Caller, document: GrantDocument): Promise<GrantView> {
    return show(await this.database.transaction((tx) => this.insert(tx, caller, document)));
  }

  async replace(caller: Caller, reference: string, change: (current: object) => GrantDocument): Promise<GrantView> {
    return await this.database.transaction(async (tx) => {
      const found = await this.find(caller.projectId, reference, tx);
      const document = change(documentOf(found));
      if (document.name !== found.name)
        throw new InvalidRequest([{ field: 'name', message: 'a grant keeps its name' }]);
      return show(await this.update(tx, caller, found, document));
    });
  }

  /** Ends it now and keeps the row; doing so again changes nothing. */
  async revoke(caller: Caller, reference: string): Promise<GrantView> {
    return await this.database.transaction(async (tx) => {
      const found = await this.find(caller.projectId, reference, tx);
      return show(found.revokedAt === null ? await this.end(tx, caller, found) : found);
    });
  }

  async remove(caller: Caller, reference: string): Promise<void> {
    await this.database.transaction(async (tx) =>
      this.delete(tx, caller, await this.find(caller.projectId, reference, tx)),
    );
  }

  // Inside a transaction: for apply, which changes several things at once.
  async insert(tx: Tx, actor: Actor, document: GrantDocument, origin: GrantOrigin = {}): Promise<GrantRow> {
    const data = await this.#data(tx, actor, document);
    const row = await this.repository.insert(tx, {
      ...data,
      ...origin,
      id: this.clock.id(),
      projectId: actor.projectId,
      name: document.name,
    });
    await recordActOf(tx, actor, 'grant.created', `grant/${row.name}`, openFields(GrantFields, document));
    await this.bundles.bump(tx, actor.projectId);
    return row;
  }
  /** A revoked grant that is written anew is in force again. */
  async update(tx: Tx, actor: Actor, found: GrantRow, document: GrantDocument): Promise<GrantRow> {
    const row = await this.repository.update(tx, found.id, {
      ...(await this.#data(tx, actor, document)),
      revokedAt: null,
    });
    await recordActOf(tx, actor, 'grant.updated', `grant/${row.name}`, openFields(GrantFields, document));
    await this.bundles.bump(tx, actor.projectId);
    return row;
  }
  async end(tx: Tx, actor: Actor, found: GrantRow): Promise<GrantRow> {
    const row = await this.repository.update(tx, found.id, { revokedAt: this.clock.now() });
    await recordActOf(tx, actor, 'grant.revoked', `grant/${row.name}`);
    await this.bundles.bump(tx, actor.projectId);
    return row;
  }
  /** Moves the end of one that is still in force or to come. @returns undefined when it has ended or was revoked */
  async prolong(tx: Tx, actor: Actor, id: string, byMs: number): Promise<GrantRow | undefined> {
    const row = await this.repository.prolong(tx, actor.projectId, id, byMs, this.clock.now());
    if (row === undefined) return undefined;
    await recordActOf(tx, actor, 'grant.prolonged', `grant/${row.name}`, {
      notAfter: row.notAfter?.toISOString() ?? '',
    });
    await this.bundles.bump(tx, actor.projectId);
    return row;
  }
  async delete(tx: Tx, actor: Actor, found: GrantRow): Promise<void> {
    await this.repository.remove(tx, found.id);
    await recordActOf(tx, actor, 'grant.deleted', `grant/${found.name}`);
    await this.bundles.bump(tx, actor.projectId);
  }

  async #data(tx: Tx, actor: Actor, document: GrantDocument) {
    const missing = (field: string): never => {
      throw new InvalidRequest([{ field, message: `there is no such ${field}` }]);
    };
    const principal = document.principal
      ? await this.identity.principal(actor.projectId, document.principal, tx)
      : undefined;
    if (principal === null) return missing('principal');
    if (document.group && (await this.identity.group(actor.projectId, document.group, tx)) === null)
      return missing('group');
    if (document.resource && (await this.resources.find(actor.projectId, document.resource, tx)) === null)
      return missing('resource');
    return {
      principalId: principal?.id ?? null,
      groupName: document.group ?? null,
      resource: document.resource ?? null,
      labels: document.labels ?? Prisma.DbNull,
      effects: EFFECTS.filter((effect) => document.effects.includes(effect)),
      roles: document.roles,
      kind: document.kind,
      notBefore: document.notBefore ? new Date(document.notBefore) : null,
      notAfter: document.notAfter ? new Date(document.notAfter) : null,
    };
  }
}
