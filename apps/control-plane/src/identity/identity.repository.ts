/** Tables of principals, groups, tokens and sign-ins. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import { type ActRow, insertingActs } from '../acts/acts.ts';
import { Database, type Tx } from '../db/database.ts';
import { idOrName } from '../db/reference.ts';
import {
  type ApiToken,
  type ClientSecret,
  type Grant,
  type Group,
  type Identity,
  type IdentityProvider,
  type LoginAttempt,
  type PersonSession,
  type Principal,
  Prisma,
  type Resource,
} from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';

export type TokenWithPrincipal = ApiToken & { readonly principal: Principal };

/** What a bearer token is worth, read at every request. */
export type TokenHolder = Pick<ApiToken, 'id' | 'projectId' | 'scopes' | 'expiresAt' | 'revokedAt' | 'lastUsedAt'> &
  Pick<ApiToken, 'boundKey'> & {
    readonly principal: Pick<Principal, 'id' | 'name' | 'kind' | 'roles' | 'disabledAt'>;
    readonly personSession: Pick<PersonSession, 'id' | 'provider' | 'amr' | 'acr' | 'authTime' | 'endedAt'> | null;
  };

/** Times as text in JSON would lose their type: they stand beside. */
type TokenRow = Omit<TokenHolder, 'principal' | 'personSession'> & {
  readonly principal: Omit<TokenHolder['principal'], 'disabledAt'>;
  readonly disabledAt: Date | null;
  readonly session: Pick<PersonSession, 'id' | 'provider' | 'amr' | 'acr'> | null;
  readonly authTime: Date | null;
  readonly endedAt: Date | null;
};

/** What a sign-in that comes back has to be held against; and the row of its provider, all null where it has none. */
export type TakenAttempt = Pick<LoginAttempt, 'nonce' | 'codeVerifier' | 'returnTo' | 'maxAgeS' | 'acrValues'> & {
  readonly attemptProjectId: string;
  readonly attemptProvider: string;
  /** Sealed: an answer that waited for the browser. */
  readonly putBy: Uint8Array<ArrayBuffer> | null;
} & (IdentityProvider | { readonly id: null });

/** A grant as far as an access token needs it. */
export interface GrantInForce {
  readonly id: string;
  /** Name of the one it is for; null = by labels. */
  readonly resource: string | null;
  readonly labels: Grant['labels'];
  readonly roles: readonly string[];
  /** UTC ms; null = no end. */
  readonly endsMs: number | null;
}

export interface AccessTo {
  readonly resource: Pick<Resource, 'id' | 'name' | 'labels' | 'agents'>;
  readonly grants: readonly GrantInForce[];
  /** A token must be made no earlier to outlive what has just ended the principal's; UTC ms, 0 = at any time. */
  readonly endedUntilMs: number;
}

@Injectable()
export class IdentityRepository {
  constructor(private readonly database: Database) {}
  private get db(): Tx {
    return this.database.client;
  }

  // principals
  principals(projectId: string, where: Prisma.PrincipalWhereInput, page: PageRequest): Promise<Principal[]> {
    const args = pageArgs(page);
    return this.db.principal.findMany({ ...args, where: { AND: [{ projectId }, where, args.where] } });
  }
  principal(projectId: string, reference: string, tx: Tx = this.db): Promise<Principal | null> {
    return tx.principal.findFirst({ where: { projectId, ...idOrName(reference) } });
  }
  principalById(id: string, tx: Tx = this.db): Promise<Principal | null> {
    return tx.principal.findUnique({ where: { id } });
  }
  insertPrincipal(tx: Tx, data: Prisma.PrincipalUncheckedCreateInput): Promise<Principal> {
    return tx.principal.create({ data });
  }
  updatePrincipal(tx: Tx, id: string, data: Prisma.PrincipalUncheckedUpdateInput): Promise<Principal> {
    return tx.principal.update({ where: { id }, data });
  }
  async deletePrincipal(tx: Tx, id: string): Promise<void> {
    await tx.grant.deleteMany({ where: { principalId: id } });
    await tx.principal.delete({ where: { id } });
  }
  /** Until the transaction ends nobody else takes an administrator of the project away. */
  async lockAdmins(tx: Tx, projectId: string): Promise<void> {
    await tx.$executeRaw`select pg_advisory_xact_lock(hashtextextended(${projectId}, 7072))`;
  }
  countWithRole(tx: Tx, projectId: string, role: string): Promise<number> {
    return tx.principal.count({ where: { projectId, disabledAt: null, roles: { has: role } } });
  }

  // groups
  groups(
    projectId: string,
    where: Prisma.GroupWhereInput,
    page: PageRequest,
  ): Promise<(Group & { _count: { memberships: number } })[]> {
    const args = pageArgs(page);
    return this.db.group.findMany({
      ...args,
      where: { AND: [{ projectId }, where, args.where] },
      include: { _count: { select: { memberships: true } } },
    });
  }
  allGroups(projectId: string, tx: Tx): Promise<Group[]> {
    return tx.group.findMany({ where: { projectId }, orderBy: { name: 'asc' } });
  }
  group(projectId: string, reference: string, tx: Tx = this.db): Promise<Group | null> {
    return tx.group.findFirst({ where: { projectId, ...idOrName(reference) } });
  }
  insertGroup(tx: Tx, data: Prisma.GroupUncheckedCreateInput): Promise<Group> {
    return tx.group.create({ data });
  }
  updateGroup(tx: Tx, id: string, data: Prisma.GroupUncheckedUpdateInput): Promise<Group> {
    return tx.group.update({ where: { id }, data });
  }
  async deleteGroup(tx: Tx, id: string): Promise<void> {
    await tx.group.delete({ where: { id } });
  }
  members(groupId: string, tx: Tx = this.db): Promise<{ principal: Principal; source: string }[]> {
    return tx.membership.findMany({
      where: { groupId },
      include: { principal: true },
      orderBy: { principal: { name: 'asc' } },
    });
  }
  async groupsOf(
    projectId: string,
    principalId: string,
    tx: Tx = this.db,
  ): Promise<{ id: string; name: string; source: string }[]> {
    const rows = await tx.membership.findMany({
      where: { projectId, principalId },
      include: { group: true },
      orderBy: { group: { name: 'asc' } },
    });
    return rows.map((row) => ({ id: row.groupId, name: row.group.name, source: row.source }));
  }
  async addMember(
    tx: Tx,
    data: { projectId: string; groupId: string; principalId: string; source: string },
  ): Promise<boolean> {
    const had = await tx.membership.findUnique({
      where: {
        groupId_principalId_source: { groupId: data.groupId, principalId: data.principalId, source: data.source },
      },
    });
    if (had !== null) return false;
    await tx.membership.create({ data });
    return true;
  }
  async removeMembers(tx: Tx, where: Prisma.MembershipWhereInput): Promise<number> {
    return (await tx.membership.deleteMany({ where })).count;
  }

  // tokens and secrets
  /** In one query: it is asked at every request. An array that nobody wrote is NULL in the table, and empty to a reader. */
  async tokenByHash(hash: Uint8Array<ArrayBuffer>): Promise<TokenHolder | null> {
    const { rows } = await this.database.run<TokenRow>(Prisma.sql`
      select t.id, t.project_id as "projectId", coalesce(t.scopes, '{}') as scopes, t.expires_at as "expiresAt", t.revoked_at as "revokedAt",
        t.last_used_at as "lastUsedAt", t.bound_key as "boundKey", p.disabled_at as "disabledAt",
        jsonb_build_object('id', p.id, 'name', p.name, 'kind', p.kind, 'roles', coalesce(p.roles, '{}')) as principal,
        case when s.id is not null then
          jsonb_build_object('id', s.id, 'provider', s.provider, 'amr', coalesce(s.amr, '{}'), 'acr', s.acr) end as session,
        s.auth_time as "authTime", s.ended_at as "endedAt"
      from api_tokens t join principals p on p.id = t.principal_id
        left join person_sessions s on s.id = t.person_session_id
      where t.hash = ${hash}::bytea`);
    const [row] = rows;
    if (row === undefined) return null;
    const { principal, disabledAt, session, authTime, endedAt, ...token } = row;
    return {
      ...token,
      principal: { ...principal, disabledAt },
      personSession: session === null ? null : { ...session, authTime, endedAt },
    };
  }
  token(projectId: string, id: string, tx: Tx = this.db): Promise<TokenWithPrincipal | null> {
    return tx.apiToken.findFirst({ where: { projectId, id }, include: { principal: true } });
  }
  tokens(projectId: string, principalId: string, page: PageRequest): Promise<ApiToken[]> {
    const args = pageArgs(page);
    return this.db.apiToken.findMany({
      ...args,
      where: { AND: [{ projectId, principalId, revokedAt: null }, args.where] },
    });
  }
  async insertToken(tx: Tx, data: Prisma.ApiTokenUncheckedCreateInput): Promise<void> {
    await tx.apiToken.create({ data });
  }
  /** Which directory the token is for. */
  async insertScimClient(
    tx: Tx,
    projectId: string,
    tokenId: string,
    client: { readonly provider: string; readonly subject: string },
  ): Promise<void> {
    await tx.scimClient.create({ data: { ...client, projectId, tokenId } });
  }
  async touchToken(id: string, at: Date): Promise<void> {
    await this.db.apiToken.updateMany({ where: { id }, data: { lastUsedAt: at } });
  }
  async revokeTokens(tx: Tx, where: Prisma.ApiTokenWhereInput, at: Date): Promise<number> {
    return (await tx.apiToken.updateMany({ where: { ...where, revokedAt: null }, data: { revokedAt: at } })).count;
  }
  async insertSecret(tx: Tx, data: Prisma.ClientSecretUncheckedCreateInput): Promise<void> {
    await tx.clientSecret.create({ data });
  }
  secretByHash(hash: Uint8Array<ArrayBuffer>): Promise<(ClientSecret & { principal: Principal }) | null> {
    return this.db.clientSecret.findUnique({ where: { hash }, include: { principal: true } });
  }
  secrets(projectId: string, principalId: string): Promise<ClientSecret[]> {
    return this.db.clientSecret.findMany({ where: { projectId, principalId }, orderBy: { createdAt: 'asc' } });
  }
  async deleteSecret(tx: Tx, projectId: string, principalId: string, id: string): Promise<number> {
    return (await tx.clientSecret.deleteMany({ where: { projectId, principalId, id } })).count;
  }

  // what an access token may be for
  resource(projectId: string, reference: string): Promise<Resource | null> {
    return this.db.resource.findFirst({ where: { projectId, ...idOrName(reference) } });
  }
  /** Whether an agent that guards a resource of these names (none = every agent) lacks a capability. */
  async hasOldAgent(
    projectId: string,
    names: readonly string[],
    capability: string,
    seenSince: Date,
  ): Promise<boolean> {
    const old = await this.db.agent.findFirst({
      where: {
        projectId,
        revokedAt: null,
        lastSeenAt: { gte: seenSince },
        NOT: { capabilities: { has: capability } },
        ...(names.length === 0 ? {} : { name: { in: [...names] } }),
      },
      select: { id: true },
    });
    return old !== null;
  }
  /** Own and by group, in force at `now`; in one query: it is asked at every token exchange. */
  async grantsInForce(projectId: string, principalId: string, now: Date): Promise<Grant[]> {
    return await this.db.$queryRaw<Grant[]>`
      select id, project_id as "projectId", name, principal_id as "principalId", group_name as "groupName", resource,
        labels, effects, roles, kind, source, request_id as "requestId", not_before as "notBefore",
        not_after as "notAfter", revoked_at as "revokedAt", created_at as "createdAt", updated_at as "updatedAt"
      from grants
      where project_id = ${projectId}::uuid and revoked_at is null
        and (principal_id = ${principalId}::uuid or group_name = any (array(
          select g.name from memberships m join groups g on g.id = m.group_id
          where m.project_id = ${projectId}::uuid and m.principal_id = ${principalId}::uuid)))
        and (not_before is null or not_before <= ${now}) and (not_after is null or not_after > ${now})
      order by id`;
  }

  /**
   * A resource and the principal's grants on it, own and by group, in force at `now`: in one query, since it is asked at every
   * token exchange, and without the principal's other grants, of which there may be many.
   * @param reference name or id @param kept revocations kept longer are of this second
   * @returns null when there is no such resource
   */
  async accessTo(
    projectId: string,
    principalId: string,
    reference: string,
    now: Date,
    kept: Date,
  ): Promise<AccessTo | null> {
    const named = idOrName(reference);
    const isIt = 'id' in named ? Prisma.sql`id = ${named.id}::uuid` : Prisma.sql`name = ${named.name}`;
    type Row = AccessTo['resource'] & { grants: GrantInForce[] | null; endedUntil: Date | null };
    const { rows } = await this.database.run<Row>(Prisma.sql`
      select r.id, r.name, r.labels, r.agents, (
        select max(v.before) from revocations v
        where v.project_id = ${projectId}::uuid and v.keep_until > ${kept} and v.kind = 'principal'
          and v.target_id = ${principalId} and v.before > ${now}
      ) as "endedUntil", (
        select jsonb_agg(jsonb_build_object('id', g.id, 'resource', g.resource, 'labels', g.labels, 'roles', g.roles,
          'endsMs', floor(extract(epoch from g.not_after) * 1000)) order by g.id)
        from grants g
        where g.project_id = ${projectId}::uuid and g.revoked_at is null
          and (g.resource = r.name or (g.resource is null and g.labels <@ r.labels))
          and (g.principal_id = ${principalId}::uuid or g.group_name = any (array(
            select o.name from memberships m join groups o on o.id = m.group_id
            where m.project_id = ${projectId}::uuid and m.principal_id = ${principalId}::uuid)))
          and (g.not_before is null or g.not_before <= ${now}) and (g.not_after is null or g.not_after > ${now})
      ) as grants
      from (select id, name, labels, agents from resources where project_id = ${projectId}::uuid and ${isIt}) r`);
    const [row] = rows;
    if (row === undefined) return null;
    const { grants, endedUntil, ...resource } = row;
    return { resource, grants: grants ?? [], endedUntilMs: endedUntil?.getTime() ?? 0 };
  }

  // sign-ins that last
  async insertPersonSession(tx: Tx, data: Prisma.PersonSessionUncheckedCreateInput): Promise<void> {
    await tx.personSession.create({ data });
  }
  personSession(id: string, tx: Tx = this.db): Promise<(PersonSession & { principal: Principal }) | null> {
    return tx.personSession.findUnique({ where: { id }, include: { principal: true } });
  }
  /** Marks it as ended and forgets what was sealed. @returns null when it had ended already */
  async endPersonSession(tx: Tx, id: string, at: Date): Promise<(PersonSession & { principal: Principal }) | null> {
    const { count } = await tx.personSession.updateMany({
      where: { id, endedAt: null },
      data: { endedAt: at, refreshAt: null, sealed: null },
    });
    return count === 0 ? null : await this.personSession(id, tx);
  }
  async updatePersonSession(tx: Tx, id: string, data: Prisma.PersonSessionUncheckedUpdateInput): Promise<void> {
    await tx.personSession.updateMany({ where: { id, endedAt: null }, data });
  }
  /** Open sign-ins by a provider: of one of its sessions, or of one subject. */
  personSessionsOf(
    tx: Tx,
    projectId: string,
    provider: string,
    of: { readonly subject?: string | undefined; readonly sessionId?: string | undefined },
  ): Promise<{ id: string }[]> {
    return tx.personSession.findMany({
      where: {
        projectId,
        provider,
        endedAt: null,
        ...(of.subject === undefined ? {} : { subject: of.subject }),
        ...(of.sessionId === undefined ? {} : { providerSession: of.sessionId }),
      },
      select: { id: true },
    });
  }
  /** Sign-ins whose provider is to be asked again, taken for this replica until `until`. */
  async takeDueSessions(now: Date, until: Date, limit: number): Promise<readonly string[]> {
    const rows = await this.db.$queryRaw<{ id: string }[]>`
      update person_sessions set refresh_at = ${until} where id in (
        select id from person_sessions where refresh_at <= ${now} and ended_at is null and expires_at > ${now}
        order by refresh_at limit ${limit} for update skip locked
      ) returning id::text as id`;
    return rows.map((row) => row.id);
  }
  async projectIds(): Promise<readonly string[]> {
    return (await this.db.project.findMany({ select: { id: true } })).map((row) => row.id);
  }
  tokensOfSession(tx: Tx, personSessionId: string): Promise<{ id: string }[]> {
    return tx.apiToken.findMany({ where: { personSessionId }, select: { id: true } });
  }
  /** Takes an id that may be used once. @returns false when it was used before */
  async takeId(tx: Tx, data: Prisma.UsedIdUncheckedCreateInput): Promise<boolean> {
    return (await tx.usedId.createMany({ data: [data], skipDuplicates: true })).count === 1;
  }

  // access tokens issued
  /** With the act that tells of it, as one statement: both or neither, and one turn to the database for each exchange. */
  async recordAccess(tokens: readonly Prisma.IssuedAccessUncheckedCreateInput[], act: ActRow): Promise<void> {
    const [first] = tokens;
    if (first === undefined) return;
    const { projectId, resourceId, expiresAt } = first;
    await this.database.run(Prisma.sql`
      with issued as (
        insert into issued_access (jti, project_id, api_token_id, resource_id, expires_at)
        select jti, ${projectId}::uuid, token, ${resourceId}::uuid, ${expiresAt}
        from unnest(${tokens.map(({ jti }) => jti)}::text[], ${tokens.map((one) => one.apiTokenId)}::uuid[]) as t (jti, token))
      ${insertingActs([act], Prisma.sql`(select 1) once`)}`);
  }
  /** Access tokens of an API token that are unexpired or still hold a session open. */
  async liveAccess(tx: Tx, apiTokenId: string, now: Date): Promise<string[]> {
    const rows = await tx.$queryRaw<{ jti: string }[]>`
      select split_part(i.jti, '~', 1) as jti from issued_access i where i.api_token_id = ${apiTokenId}::uuid and (i.expires_at > ${now}
        or exists (select 1 from sessions s where s.project_id = i.project_id and s.token_id = split_part(i.jti, '~', 1) and s.closed_at is null))`;
    return rows.map((row) => row.jti);
  }

  // sign-ins
  identity(
    projectId: string,
    provider: string,
    subject: string,
    tx: Tx,
  ): Promise<(Identity & { principal: Principal }) | null> {
    return tx.identity.findUnique({
      where: { projectId_provider_subject: { projectId, provider, subject } },
      include: { principal: true },
    });
  }
  async insertIdentity(tx: Tx, data: Prisma.IdentityUncheckedCreateInput): Promise<void> {
    await tx.identity.create({ data });
  }
  /** Makes two accounts one person's, and whatever either was linked to before. @param fresh a mark, where neither has one */
  async linkAccounts(tx: Tx, a: Principal, b: Principal, fresh: string): Promise<void> {
    const mark = b.personId ?? a.personId ?? fresh;
    const marks = [a.personId, b.personId].flatMap((one) => one ?? []);
    await tx.principal.updateMany({
      where: { projectId: a.projectId, OR: [{ id: { in: [a.id, b.id] } }, { personId: { in: marks } }] },
      data: { personId: mark },
    });
  }
  /** Names of the other accounts of the same person, as an administrator has said. */
  async accountsLinked({ id, projectId, personId }: Principal): Promise<string[]> {
    if (personId === null) return [];
    const rows = await this.database.client.principal.findMany({
      where: { projectId, personId, NOT: { id } },
      select: { name: true },
      orderBy: { name: 'asc' },
    });
    return rows.map(({ name }) => name);
  }
  async touchIdentity(tx: Tx, id: string, at: Date, verifiedEmail: string | null): Promise<void> {
    await tx.identity.update({ where: { id }, data: { lastLoginAt: at, verifiedEmail } });
  }
  async insertAttempt(tx: Tx, data: Prisma.LoginAttemptUncheckedCreateInput): Promise<void> {
    await tx.loginAttempt.create({ data });
  }
  attemptBySecret(secretHash: Uint8Array<ArrayBuffer>, tx: Tx = this.db): Promise<LoginAttempt | null> {
    return tx.loginAttempt.findUnique({ where: { secretHash } });
  }
  attemptByUserCode(userCode: string, tx: Tx = this.db): Promise<LoginAttempt | null> {
    return tx.loginAttempt.findUnique({ where: { userCode } });
  }
  /**
   * Uses up a browser's attempt and reads the provider it is for: `done` of `RateLimiter.takeFor`, without a row when there is
   * no such attempt, or it was used before, or is too old.
   * @param isAnswered only one whose answer was put by is taken, and the answer with it
   */
  takingAttempt(secretHash: Uint8Array<ArrayBuffer>, now: Date, isAnswered: boolean): Prisma.Sql {
    return Prisma.sql`
      open_one as (
        select a.id, a.answer from may, login_attempts a
        where a.secret_hash = ${secretHash}::bytea and a.kind = 'browser' and a.consumed_at is null
          and a.expires_at > ${now}::timestamptz and (not ${isAnswered}::boolean or a.answer is not null)
        for update of a),
      taken as (
        update login_attempts a set consumed_at = ${now}::timestamptz, answer = null from open_one where a.id = open_one.id
        returning a.*, open_one.answer as put_by),
      done as (
        select true as "isDone", t.put_by as "putBy", t.project_id as "attemptProjectId",
          t.provider as "attemptProvider", t.nonce, t.code_verifier as "codeVerifier", t.return_to as "returnTo",
          t.max_age_s as "maxAgeS", t.acr_values as "acrValues", p.id, p.project_id as "projectId", p.name, p.kind,
          p.display_name as "displayName", p.config, p.sealed, p.mapping, p.enabled, p.created_at as "createdAt",
          p.updated_at as "updatedAt"
        from taken t left join identity_providers p on p.project_id = t.project_id and p.name = t.provider and p.enabled)`;
  }
  /** Puts an answer by in the attempt that waits for one: `done` of `RateLimiter.takeFor`, without a row when none does. */
  puttingAnswerBy(secretHash: Uint8Array<ArrayBuffer>, answer: Uint8Array<ArrayBuffer>, now: Date): Prisma.Sql {
    return Prisma.sql`
      done as (
        update login_attempts a set answer = ${answer}::bytea from may
        where a.secret_hash = ${secretHash}::bytea and a.kind = 'browser' and a.consumed_at is null
          and a.answer is null and a.expires_at > ${now}::timestamptz
        returning true as "isDone")`;
  }
  /** Changes an attempt only while `where` still holds. @returns whether it did: the loser of a race gets false */
  async changeAttempt(
    tx: Tx,
    id: string,
    where: Prisma.LoginAttemptWhereInput,
    data: Prisma.LoginAttemptUncheckedUpdateInput,
  ): Promise<boolean> {
    return (await tx.loginAttempt.updateMany({ where: { AND: [{ id }, where] }, data })).count === 1;
  }

  // what ends live sessions
  async insertRevocation(tx: Tx, data: Prisma.RevocationUncheckedCreateInput): Promise<void> {
    await tx.revocation.create({ data });
  }
}
