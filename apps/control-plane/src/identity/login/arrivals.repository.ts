/**
 * What a sign-in by a provider reads, and what it writes: one statement each, since every turn to the database is time that
 * a person and everyone behind them waits. Written is all or nothing. Refuses to decide: arrivals.ts does.
 */
import { Injectable } from '@nestjs/common';
import { parseUuid } from '@sallyport/core';
import { type ActRow, insertingActs } from '../../acts/acts.ts';
import { BundleChanges } from '../../bundles/bundle-changes.ts';
import { Database, type Tx } from '../../db/database.ts';
import { Lanes } from '../../db/lanes.ts';
import { Prisma } from '../../generated/prisma/client.ts';
import type { UsedOnce } from '../providers.ts';
import type { RevocationRow } from '../revocations.ts';
import type { FreshSession } from './person-sessions.ts';

export interface Account {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly disabled: boolean;
}
export interface NamedGroup {
  readonly id: string;
  readonly name: string;
}

/** How things stand before somebody is let in. */
export interface Standing {
  /** Of the project. */
  readonly enabled: boolean;
  readonly identity: { readonly id: string; readonly verifiedEmail: string | null } | null;
  /** Whose identity it is; without one, who has the wished name. */
  readonly account: Account | null;
  /** Of the wanted groups those that there are. */
  readonly groups: readonly NamedGroup[];
  /** The account's, by this source. */
  readonly had: readonly NamedGroup[];
  /** Others have the same identity in another project, or the same verified address: accounts may be one person's. */
  readonly isShared: boolean;
}

export interface StandingOf {
  readonly projectId: string;
  readonly provider: string;
  readonly subject: string;
  readonly verifiedEmail: string | null;
  readonly source: string;
  readonly name: string;
  readonly groups: readonly string[];
  /** Whose memberships are meant; undefined = the account's. */
  readonly principalId?: string | undefined;
}

export interface NewPrincipal {
  readonly name: string;
  readonly displayName: string;
  readonly email: string | null;
  readonly roles: readonly string[];
}

export interface IdentityRow {
  readonly id: string;
  readonly provider: string;
  readonly subject: string;
  readonly verifiedEmail: string | null;
}

export interface GroupChange {
  readonly source: string;
  readonly added: readonly NamedGroup[];
  readonly removed: readonly NamedGroup[];
  readonly act: ActRow;
  /** Where something was taken away. */
  readonly revocation: RevocationRow | undefined;
}

export interface ArrivalRows {
  readonly projectId: string;
  readonly principalId: string;
  /** Undefined = they are known. */
  readonly newPrincipal: NewPrincipal | undefined;
  readonly identity: IdentityRow;
  /** It is written and not only brought up to date. */
  readonly newIdentity: boolean;
  readonly session: FreshSession;
  readonly act: ActRow;
  /** Undefined = none. */
  readonly groups: GroupChange | undefined;
  /** What must not have been used before, and is from then on; undefined = nothing. */
  readonly once: UsedOnce | undefined;
  readonly now: Date;
}

/** Somebody who may come in; no row when they may not any more. Held, so that what refers to them finds them. */
const mayEnter = (principalId: string, where = Prisma.sql`true`): Prisma.Sql => Prisma.sql`
  select id from principals where id = ${principalId}::uuid and kind = 'person' and disabled_at is null and ${where}
  for key share`;

/** What such a statement says when nobody has to learn of it. */
const IN = Prisma.sql`select id from opened`;

/** Of a project's arrivals that change groups: they wait for its revision, one after the other, until each has committed. */
const CHANGING_AT_ONCE = 3;

@Injectable()
export class ArrivalsRepository {
  readonly #changes = new Lanes(CHANGING_AT_ONCE);
  constructor(
    private readonly database: Database,
    private readonly bundles: BundleChanges,
  ) {}

  /** @param tx undefined = a statement by itself */
  async standing(of: StandingOf, tx?: Tx): Promise<Standing> {
    const { projectId, provider, subject, verifiedEmail, source, name, groups, principalId = null } = of;
    const uuid = parseUuid(name) === undefined ? null : name.toLowerCase();
    // A name that reads like an id is taken when something has that id: things are addressed by either.
    const isNamed =
      uuid === null ? Prisma.sql`t.name = ${name}` : Prisma.sql`(t.name = ${name} or t.id = ${uuid}::uuid)`;
    const asked = Prisma.sql`
      select coalesce(p.disabled_at is null and p.id is not null, false) as enabled,
        case when i.id is not null then jsonb_build_object('id', i.id, 'verifiedEmail', i.verified_email) end as identity,
        case when a.id is not null then
          jsonb_build_object('id', a.id, 'name', a.name, 'kind', a.kind, 'disabled', a.disabled_at is not null) end as account,
        (select jsonb_agg(jsonb_build_object('id', g.id, 'name', g.name) order by g.name) from groups g
          where g.project_id = ${projectId}::uuid and g.name = any (${[...groups]}::text[])) as groups,
        (select jsonb_agg(jsonb_build_object('id', g.id, 'name', g.name) order by g.name)
          from memberships m join groups g on g.id = m.group_id
          where m.project_id = ${projectId}::uuid and m.principal_id = coalesce(${principalId}::uuid, a.id) and m.source = ${source}) as had,
        exists (select 1 from identities o
            where o.provider = ${provider} and o.subject = ${subject} and o.project_id <> ${projectId}::uuid)
          or exists (select 1 from identities o where o.verified_email = ${verifiedEmail} and o.project_id = ${projectId}::uuid
            and o.principal_id is distinct from coalesce(${principalId}::uuid, a.id)) as "isShared"
      from (select 1) one
        left join projects p on p.id = ${projectId}::uuid
        left join identities i on i.project_id = ${projectId}::uuid and i.provider = ${provider} and i.subject = ${subject}
        left join lateral (
          select id, name, kind, disabled_at from principals k where k.id = i.principal_id
          union all
          select id, name, kind, disabled_at from principals t
            where i.id is null and t.project_id = ${projectId}::uuid and ${isNamed}
          limit 1
        ) a on true`;
    type Row = Omit<Standing, 'groups' | 'had'> & { groups: NamedGroup[] | null; had: NamedGroup[] | null };
    const [row] = tx === undefined ? (await this.database.run<Row>(asked)).rows : await tx.$queryRaw<Row[]>(asked);
    return { ...row!, groups: row!.groups ?? [], had: row!.had ?? [] };
  }

  /**
   * Lets somebody in.
   * @param follow what belongs to the same transaction, once they are in
   * @returns false when they may not come in any more, or what proves them was used before: there is no session
   * @throws what `isCollision` knows when somebody else wrote the same at once: to be read again
   */
  async write(rows: ArrivalRows, follow?: (tx: Tx) => Promise<void>): Promise<boolean> {
    const { projectId, principalId, newPrincipal, session, act, groups, once, now } = rows;
    const isUnused = once === undefined ? Prisma.sql`true` : Prisma.sql`exists (select 1 from unused)`;
    const able =
      newPrincipal === undefined
        ? mayEnter(principalId, isUnused)
        : Prisma.sql`
          insert into principals (id, project_id, name, kind, display_name, email, roles, updated_at)
          select ${principalId}::uuid, ${projectId}::uuid, ${newPrincipal.name}, 'person', ${newPrincipal.displayName},
            ${newPrincipal.email}, ${[...newPrincipal.roles]}::text[], ${now}::timestamptz
          where ${isUnused} returning id`;
    const acts = groups === undefined ? [act] : [act, groups.act];
    const statement = Prisma.sql`
      with ${once === undefined ? Prisma.empty : this.#using(once)} able as (${able}),
      proven as (${this.#identity(rows)}),
      opened as (
        insert into person_sessions (id, project_id, principal_id, provider, subject, provider_session, amr, acr, auth_time,
          sealed, refresh_at, expires_at)
        select ${session.id}::uuid, ${projectId}::uuid, able.id, ${session.provider}, ${session.subject},
          ${session.providerSession}, ${session.amr}::text[], ${session.acr}, ${session.authTime}::timestamptz,
          ${session.sealed}::bytea, ${session.refreshAt}::timestamptz, ${session.expiresAt}::timestamptz
        from able returning id),
      given as (
        insert into api_tokens (id, project_id, principal_id, name, kind, hash, scopes, expires_at, person_session_id)
        select ${session.token.id}::uuid, ${projectId}::uuid, able.id, ${session.token.name}, 'session',
          ${session.token.hash}::bytea, '{}', ${session.expiresAt}::timestamptz, opened.id
        from able, opened),
      told as (${insertingActs(acts, Prisma.sql`opened`)} returning id)
      ${groups === undefined ? Prisma.empty : this.#changing(projectId, groups)}`;
    const bumping = groups === undefined ? undefined : this.#bumping(projectId, groups);
    const run = async (): Promise<boolean> => {
      if (follow === undefined) return (await this.database.run(Prisma.sql`${statement} ${bumping ?? IN}`)).count > 0;
      return await this.database.transaction(async (tx) => {
        if ((await tx.$executeRaw`${statement} ${IN}`) === 0) return false;
        await follow(tx);
        // Others wait for the revision until this commits: it comes last.
        if (bumping !== undefined) await tx.$executeRaw`with changed as (select 1) ${bumping}`;
        return true;
      });
    };
    return groups === undefined ? await run() : await this.#changes.run(projectId, run);
  }

  /** Memberships of somebody who is in already. @returns false when they may not be any more */
  async changeGroups(tx: Tx, projectId: string, principalId: string, groups: GroupChange): Promise<boolean> {
    const written = await tx.$executeRaw`
      with able as (${mayEnter(principalId)}),
      told as (${insertingActs([groups.act], Prisma.sql`able`)} returning id)
      ${this.#changing(projectId, groups)} ${this.#bumping(projectId, groups)}`;
    return written > 0;
  }

  #using({ projectId, purpose, hash, expiresAt }: UsedOnce): Prisma.Sql {
    return Prisma.sql`
      unused as (
        insert into used_ids (project_id, purpose, hash, expires_at)
        values (${projectId}::uuid, ${purpose}, ${hash}::bytea, ${expiresAt}::timestamptz)
        on conflict do nothing returning 1),`;
  }

  #identity({ projectId, identity, newIdentity, now }: ArrivalRows): Prisma.Sql {
    const { id, provider, subject, verifiedEmail } = identity;
    if (!newIdentity)
      return Prisma.sql`
        update identities set last_login_at = ${now}, verified_email = ${verifiedEmail}
        from able where identities.id = ${id}::uuid`;
    return Prisma.sql`
      insert into identities (id, project_id, principal_id, provider, subject, verified_email, last_login_at)
      select ${id}::uuid, ${projectId}::uuid, able.id, ${provider}, ${subject}, ${verifiedEmail}, ${now}::timestamptz from able`;
  }

  /** Behind a part `changed`. */
  #bumping(projectId: string, { revocation }: GroupChange): Prisma.Sql {
    return this.bundles.bumping(projectId, Prisma.sql`changed`, revocation === undefined);
  }

  /** More of a statement that has `able` and `told`: its `changed` has a row when all the rest is done. */
  #changing(projectId: string, { source, added, removed, revocation }: GroupChange): Prisma.Sql {
    const ids = (groups: readonly NamedGroup[]): string[] => groups.map((group) => group.id);
    const revoked =
      revocation === undefined
        ? Prisma.sql`select 1 where false`
        : Prisma.sql`
          insert into revocations (id, project_id, kind, target_id, before, keep_until)
          select ${revocation.id}::uuid, ${projectId}::uuid, ${revocation.kind}, ${revocation.targetId},
            ${revocation.before}::timestamptz, ${revocation.keepUntil}::timestamptz
          from able returning 1`;
    return Prisma.sql`,
      there as (select id from groups where id = any (${ids(added)}::uuid[]) order by id for key share),
      added as (
        insert into memberships (project_id, group_id, principal_id, source)
        select ${projectId}::uuid, there.id, able.id, ${source} from able, there
        on conflict do nothing returning 1),
      removed as (
        delete from memberships using able
        where principal_id = able.id and source = ${source} and group_id = any (${ids(removed)}::uuid[]) returning 1),
      revoked as (${revoked}),
      changed as (
        select 1 from able where (select count(*) from added) + (select count(*) from removed)
          + (select count(*) from revoked) + (select count(*) from told) >= 0)`;
  }
}

/** Unique violation, deadlock. */
const COLLISIONS: ReadonlySet<unknown> = new Set(['23505', '40P01']);

/** True when another statement had written the same first, or waited for this one as this for it. */
export const isCollision = (error: unknown): boolean => error instanceof Error && COLLISIONS.has(sqlStateOf(error));

/** The driver's own, and in a transaction what Prisma has made of it. */
const sqlStateOf = (error: Error): unknown =>
  error instanceof Prisma.PrismaClientKnownRequestError
    ? (error.meta as { driverAdapterError?: { cause?: { originalCode?: unknown } } } | undefined)?.driverAdapterError
        ?.cause?.originalCode
    : (error as { readonly code?: unknown }).code;
