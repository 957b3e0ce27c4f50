/** The tables of access policies, requests and their votes. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import type { PrincipalKind } from '@sallyport/model';
import { Database, type Tx } from '../db/database.ts';
import { idOrName } from '../db/reference.ts';
import type {
  AccessPolicy,
  AccessRequest,
  AccessRequestVote,
  Grant,
  Principal,
  Prisma,
  Resource,
  Webhook,
} from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';
import { isAble } from '../http/permissions.ts';
import { accountsOf } from '../identity/same-person.ts';
import type { Answerer } from './quorum.ts';

export type RequestRow = AccessRequest & {
  readonly votes: readonly AccessRequestVote[];
  /** As it is now; null where there is none (any more). */
  readonly grant: Grant | null;
};

/** An AI agent that spoke for somebody in these days is that person's agent. */
const ACTED_FOR_DAYS = 30;

@Injectable()
export class AccessRequestsRepository {
  constructor(private readonly database: Database) {}
  private get db(): Tx {
    return this.database.client;
  }

  // policies
  policyPage(projectId: string, page: PageRequest): Promise<AccessPolicy[]> {
    const { where, ...args } = pageArgs(page);
    return this.db.accessPolicy.findMany({ ...args, where: { AND: [{ projectId }, where] } });
  }
  policies(projectId: string, tx: Tx = this.db): Promise<AccessPolicy[]> {
    return tx.accessPolicy.findMany({ where: { projectId }, orderBy: { name: 'asc' } });
  }
  policy(projectId: string, reference: string, tx: Tx = this.db): Promise<AccessPolicy | null> {
    return tx.accessPolicy.findFirst({ where: { projectId, ...idOrName(reference) } });
  }
  insertPolicy(tx: Tx, data: Prisma.AccessPolicyUncheckedCreateInput): Promise<AccessPolicy> {
    return tx.accessPolicy.create({ data });
  }
  updatePolicy(tx: Tx, id: string, document: Prisma.InputJsonObject): Promise<AccessPolicy> {
    return tx.accessPolicy.update({ where: { id }, data: { document } });
  }
  async removePolicy(tx: Tx, id: string): Promise<void> {
    await tx.accessPolicy.delete({ where: { id } });
  }
  /** The inbox follows the policy. */
  async regroup(tx: Tx, policyId: string, groups: readonly string[]): Promise<void> {
    await tx.accessRequest.updateMany({ where: { policyId, state: 'pending' }, data: { groups: [...groups] } });
  }

  // requests
  async list(filter: Prisma.AccessRequestWhereInput, page: PageRequest): Promise<RequestRow[]> {
    const { where, ...args } = pageArgs(page);
    const rows = await this.db.accessRequest.findMany({
      ...args,
      where: { AND: [filter, where] },
      include: { votes: { orderBy: { createdAt: 'asc' } } },
    });
    return await this.#withGrants(rows, this.db);
  }
  async find(projectId: string, id: string, tx: Tx = this.db): Promise<RequestRow | null> {
    const row = await tx.accessRequest.findFirst({
      where: { projectId, id },
      include: { votes: { orderBy: { createdAt: 'asc' } } },
    });
    return row === null ? null : (await this.#withGrants([row], tx))[0]!;
  }
  /** The row, locked: answers to one request follow one another. */
  async lock(tx: Tx, projectId: string, id: string): Promise<RequestRow | null> {
    await tx.$queryRaw`select 1 from access_requests where id = ${id}::uuid and project_id = ${projectId}::uuid for update`;
    return await this.find(projectId, id, tx);
  }
  /** Requests of one principal follow one another, so that a count of them holds. */
  async lockPrincipal(tx: Tx, id: string): Promise<void> {
    await tx.$queryRaw`select 1 from principals where id = ${id}::uuid for update`;
  }
  insert(tx: Tx, data: Prisma.AccessRequestUncheckedCreateInput): Promise<AccessRequest> {
    return tx.accessRequest.create({ data });
  }
  async update(tx: Tx, id: string, data: Prisma.AccessRequestUncheckedUpdateInput): Promise<void> {
    await tx.accessRequest.update({ where: { id }, data });
  }
  async addVote(tx: Tx, data: Prisma.AccessRequestVoteUncheckedCreateInput): Promise<void> {
    await tx.accessRequestVote.create({ data });
  }
  countPending(tx: Tx, requestedById: string): Promise<number> {
    return tx.accessRequest.count({ where: { requestedById, state: 'pending' } });
  }
  /** Those that prolong this one's grant, and were not refused. */
  countExtensions(tx: Tx, extendsId: string): Promise<number> {
    return tx.accessRequest.count({ where: { extendsId, state: { in: ['pending', 'approved'] } } });
  }

  /** Approved ones that persons said yes to, whose grant is in force or to come, in which one of these accounts had a part. */
  async standingOnYesesOf(
    tx: Tx,
    accounts: readonly string[],
    now: Date,
  ): Promise<readonly { id: string; projectId: string }[]> {
    return await tx.$queryRaw<{ id: string; projectId: string }[]>`
      select r.id::text, r.project_id::text as "projectId" from access_requests r join grants g on g.id = r.grant_id
      where r.state = 'approved' and g.revoked_at is null and (g.not_after is null or g.not_after > ${now}::timestamptz)
        and exists (select 1 from access_request_votes v where v.request_id = r.id and v.granted)
        and (r.principal_id = any (${[...accounts]}::uuid[]) or r.requested_by_id = any (${[...accounts]}::uuid[])
          or exists (select 1 from access_request_votes v where v.request_id = r.id and v.principal_id = any (${[...accounts]}::uuid[])))
      order by r.id`;
  }

  /** Pending ones past their time, locked for this replica alone. */
  async overdue(tx: Tx, now: Date, limit: number): Promise<readonly { id: string; projectId: string }[]> {
    return await tx.$queryRaw<{ id: string; projectId: string }[]>`
      select id::text, project_id::text as "projectId" from access_requests
      where state = 'pending' and expires_at <= ${now}::timestamptz order by expires_at limit ${limit} for update skip locked`;
  }
  /** Pending ones that would prolong what has ended, locked for this replica alone. */
  async pointless(tx: Tx, now: Date, limit: number): Promise<readonly { id: string; projectId: string }[]> {
    return await tx.$queryRaw<{ id: string; projectId: string }[]>`
      select r.id::text, r.project_id::text as "projectId" from access_requests r
      join access_requests first on first.id = r.extends_id left join grants g on g.id = first.grant_id
      where r.state = 'pending' and (first.state <> 'approved' or g.id is null or g.revoked_at is not null or g.not_after <= ${now}::timestamptz)
      order by r.expires_at limit ${limit} for update of r skip locked`;
  }
  /** Whether anybody waits for a longer time. */
  isProlonging(): Promise<boolean> {
    return this.db.accessRequest
      .count({ where: { state: 'pending', extendsId: { not: null } }, take: 1 })
      .then((count) => count > 0);
  }
  isOverdue(now: Date): Promise<boolean> {
    return this.db.accessRequest
      .count({ where: { state: 'pending', expiresAt: { lte: now } }, take: 1 })
      .then((count) => count > 0);
  }

  /** Takes what a webhook is to decide, and what a replica that asked has let lie; each is one replica's. */
  async takeUndecided(now: Date, until: Date): Promise<readonly { id: string; projectId: string; lost: boolean }[]> {
    return await this.db.$queryRaw<{ id: string; projectId: string; lost: boolean }[]>`
      with due as (
        select id, decision from access_requests
        where state = 'pending' and (decision = 'wanted' or (decision = 'asked' and decision_until <= ${now}::timestamptz))
        limit 20 for update skip locked)
      update access_requests r set decision = 'asked', decision_until = ${until}::timestamptz from due
      where r.id = due.id returning r.id::text, r.project_id::text as "projectId", due.decision = 'asked' as lost`;
  }

  /** The one that decides, while it is in use. */
  webhook(projectId: string, name: string, tx: Tx = this.db): Promise<Webhook | null> {
    return tx.webhook.findFirst({ where: { projectId, name, format: 'generic', disabledAt: null } });
  }

  // people and things
  principal(projectId: string, reference: string, tx: Tx = this.db): Promise<Principal | null> {
    return tx.principal.findFirst({ where: { projectId, disabledAt: null, ...idOrName(reference) } });
  }
  resource(projectId: string, name: string, tx: Tx = this.db): Promise<Resource | null> {
    return tx.resource.findFirst({ where: { projectId, name } });
  }
  resources(projectId: string): Promise<{ name: string; labels: unknown }[]> {
    return this.db.resource.findMany({
      where: { projectId },
      select: { name: true, labels: true },
      orderBy: { name: 'asc' },
    });
  }
  async groupsOf(projectId: string, principalId: string, tx: Tx = this.db): Promise<ReadonlySet<string>> {
    const rows = await tx.membership.findMany({
      where: { projectId, principalId },
      select: { group: { select: { name: true } } },
    });
    return new Set(rows.map((row) => row.group.name));
  }
  /** Persons who answered, as they are now. */
  async answerers(tx: Tx, projectId: string, ids: readonly string[]): Promise<Answerer[]> {
    const rows = await tx.principal.findMany({
      where: { projectId, id: { in: [...ids] } },
      include: { memberships: { include: { group: true } } },
    });
    return rows.map((row) => ({
      id: row.id,
      kind: row.kind as PrincipalKind,
      groups: new Set(row.memberships.map((membership) => membership.group.name)),
      able: isAble(row, 'access-request:answer'),
    }));
  }
  async names(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    if (ids.length === 0) return new Map();
    const rows = await this.db.principal.findMany({
      where: { id: { in: [...new Set(ids)] } },
      select: { id: true, name: true },
    });
    return new Map(rows.map((row) => [row.id, row.name]));
  }

  /**
   * These principals, and whoever is known to stand behind one of them: other accounts of the same person, and persons for
   * whom one of them, as a machine, has acted lately.
   */
  async behind(tx: Tx, projectId: string, ids: readonly string[], now: Date): Promise<string[]> {
    const since = new Date(now.getTime() - ACTED_FOR_DAYS * 86_400_000);
    const known = [...(await accountsOf(tx, ids))];
    const actedFor = await tx.$queryRaw<{ id: string }[]>`
      select distinct s.on_behalf_of_id::text as id from sessions s
      join principals k on k.id = s.principal_id and k.kind <> 'person'
      where s.project_id = ${projectId}::uuid and s.principal_id = any(${known}::uuid[])
        and s.opened_at >= ${since}::timestamptz and s.on_behalf_of_id is not null`;
    return [...(await accountsOf(tx, [...known, ...actedFor.map((row) => row.id)]))];
  }

  async #withGrants(
    rows: readonly (AccessRequest & { readonly votes: readonly AccessRequestVote[] })[],
    tx: Tx,
  ): Promise<RequestRow[]> {
    const ids = rows.flatMap((row) => row.grantId ?? []);
    const grants = ids.length === 0 ? [] : await tx.grant.findMany({ where: { id: { in: ids } } });
    return rows.map((row) => ({ ...row, grant: grants.find((grant) => grant.id === row.grantId) ?? null }));
  }
}
