/** A project's state as bundles are made from, read in one snapshot so that a revision means one thing. */
import { Injectable } from '@nestjs/common';
import {
  type CredentialSource,
  type Grant,
  NEXT_BOX,
  type Policy,
  PREVIOUS_BOX,
  type Resource,
  type Revocation,
} from '@sallyport/model';
import { Database, type Tx } from '../db/database.ts';
import {
  type Credential,
  type GrantReview,
  type Grant as GrantRow,
  Prisma,
  type Resource as ResourceRow,
} from '../generated/prisma/client.ts';
import { reviewState } from '../grants/review-state.ts';
import type { BundleSource } from './compile.ts';
import { type Marked, ProjectRows, type RowsRead, type StoredCredential } from './project-rows.ts';
import { readTrustedIssuers } from './trusted-issuers.ts';

export interface BundleCounter {
  readonly epoch: number;
  readonly revision: number;
}

@Injectable()
export class BundlesRepository {
  constructor(private readonly database: Database) {}

  async counter(projectId: string): Promise<BundleCounter> {
    const row = await this.database.client.bundleState.findUnique({ where: { projectId } });
    return { epoch: row?.epoch ?? 1, revision: row?.revision ?? 0 };
  }

  /** Of every project that ever had a change, by id. */
  async counters(): Promise<ReadonlyMap<string, BundleCounter>> {
    const rows = await this.database.client.bundleState.findMany();
    return new Map(rows.map((row) => [row.projectId, { epoch: row.epoch, revision: row.revision }]));
  }

  /** @param after see `BundleChanges.bumping`; counted, so that all of it comes first */
  bumping(projectId: string, after: Prisma.Sql): Prisma.Sql {
    return Prisma.sql`insert into bundle_state as b (project_id, revision, updated_at)
      select ${projectId}::uuid, 1, ${new Date()} from (select count(*) as n from ${after}) done where done.n > 0
      on conflict (project_id) do update set revision = b.revision + 1, updated_at = excluded.updated_at
      returning b.project_id`;
  }

  /** A new epoch, in which revisions start again: above whatever a restored database had forgotten. */
  async startEpoch(tx: Tx, projectId: string): Promise<BundleCounter> {
    const row = await tx.bundleState.upsert({
      where: { projectId },
      create: { projectId, epoch: 2, revision: 1 },
      update: { epoch: { increment: 1 }, revision: 1 },
    });
    return { epoch: row.epoch, revision: row.revision };
  }

  /** The project's whole state, for who asks once. */
  async snapshot(projectId: string): Promise<Omit<BundleSource, 'keys' | 'settings'>> {
    return new ProjectRows(await this.read(projectId)).source();
  }

  /**
   * Rows in one snapshot, so that a revision means one thing.
   * @param since `seen` of an earlier read: what has changed from then on; everything when that is not known any more
   */
  async read(projectId: string, since?: string): Promise<RowsRead> {
    return await this.database.client.$transaction((tx) => readRows(tx, projectId, since), {
      isolationLevel: 'RepeatableRead',
      timeout: 30_000,
    });
  }
}

/** More than this is read whole. */
const MARKS_MAX = 5_000;

async function readRows(tx: Tx, projectId: string, since: string | undefined): Promise<RowsRead> {
  const [at] = await tx.$queryRaw<
    [{ seen: string; epoch: number | null; revision: number | null; changed: Date | null; enabled: boolean | null }]
  >`select pg_current_snapshot()::text as seen, b.epoch, b.revision, b.updated_at as changed, p.disabled_at is null as enabled
    from (select ${projectId}::uuid as id) wanted
      left join projects p on p.id = wanted.id left join bundle_state b on b.project_id = wanted.id`;
  const createdAt = (at.changed ?? new Date(0)).getTime();
  const marked = since === undefined ? undefined : await marksSince(tx, projectId, since);
  const where = { projectId };
  const among = (ids: readonly string[] | undefined) =>
    ids === undefined ? where : { ...where, id: { in: [...ids] } };
  const skip = (ids: readonly string[] | undefined): boolean => ids?.length === 0;
  const policies = skip(marked?.policies) ? [] : await tx.policy.findMany({ where: among(marked?.policies) });
  const revocations = skip(marked?.revocations)
    ? []
    : await tx.revocation.findMany({ where: among(marked?.revocations) });
  const grants = skip(marked?.grants) ? [] : await grantsOf(tx, projectId, marked?.grants);
  const credentials = await credentialsOf(tx, projectId, marked);
  return {
    projectId,
    epoch: at.epoch ?? 1,
    revision: at.revision ?? 0,
    createdAt,
    seen: at.seen,
    marked,
    enabled: at.enabled === true,
    resources: await resourcesOf(tx, projectId, marked),
    policies: policies.map((row) => ({ id: row.id, policy: row.compiled as unknown as Policy })),
    grants: await withReviews(tx, projectId, grants, marked),
    groups: skip(marked?.groups)
      ? []
      : await tx.group.findMany({
          where: among(marked?.groups),
          select: { id: true, name: true },
          orderBy: { name: 'asc' },
        }),
    members: await membersOf(tx, projectId, marked),
    disabled: skip(marked?.principals)
      ? []
      : (
          await tx.principal.findMany({
            where: { ...among(marked?.principals), disabledAt: { not: null } },
            select: { id: true },
          })
        ).map(({ id }) => id),
    revocations: revocations.map((row) => ({
      id: row.id,
      revocation: { kind: row.kind as Revocation['kind'], id: row.targetId, before: row.before.getTime() },
      keepUntil: row.keepUntil.getTime(),
    })),
    issuers: await readTrustedIssuers(tx, projectId),
    credentials: credentials.map((row) => ({ id: row.id, stored: { version: row.version, boxes: boxesOf(row) } })),
  };
}

/** What of a grant's row a bundle needs; times are UTC ms. */
type GrantPart = Pick<
  GrantRow,
  'id' | 'projectId' | 'principalId' | 'groupName' | 'resource' | 'labels' | 'effects' | 'roles' | 'kind'
> & { readonly notBefore: number | null; readonly notAfter: number | null };

/** Those not revoked, as one value: as a row each, the twenty thousand of a large project take half a second. @param ids undefined = all */
async function grantsOf(tx: Tx, projectId: string, ids: readonly string[] | undefined): Promise<readonly GrantPart[]> {
  const among = ids === undefined ? Prisma.empty : Prisma.sql`and id = any (${[...ids]}::uuid[])`;
  const [row] = await tx.$queryRaw<[{ grants: GrantPart[] | null }]>`
    select json_agg(g) as grants from (
      select id, project_id as "projectId", principal_id as "principalId", group_name as "groupName", resource, labels,
        coalesce(effects, '{}') as effects, coalesce(roles, '{}') as roles, kind,
        floor(extract(epoch from not_before) * 1000) as "notBefore", floor(extract(epoch from not_after) * 1000) as "notAfter"
      from grants where project_id = ${projectId}::uuid and revoked_at is null ${among}) g`;
  return row.grants ?? [];
}

/** @returns undefined when everything has to be read */
async function marksSince(tx: Tx, projectId: string, since: string): Promise<Marked | undefined> {
  const [{ known }] = await tx.$queryRaw<[{ known: boolean }]>`
    select below < pg_snapshot_xmin(${since}::pg_snapshot) as known from marks.forgotten`;
  if (!known) return undefined;
  const marks = await tx.$queryRaw<{ kind: string; key: string }[]>`
    select distinct kind, key from marks.bundle
    where xid >= pg_snapshot_xmin(${since}::pg_snapshot) and not pg_visible_in_snapshot(xid, ${since}::pg_snapshot)
      and project_id = ${projectId}::uuid limit ${MARKS_MAX + 1}`;
  if (marks.length > MARKS_MAX) return undefined;
  const of = (kind: string): readonly string[] => marks.filter((mark) => mark.kind === kind).map(({ key }) => key);
  return {
    resources: of('resource'),
    policies: of('policy'),
    grants: of('grant'),
    groups: of('group'),
    members: of('member'),
    principals: of('principal'),
    revocations: of('revocation'),
    credentials: of('credential'),
  };
}

async function credentialsOf(tx: Tx, projectId: string, marked: Marked | undefined): Promise<readonly Credential[]> {
  if (marked?.credentials.length === 0) return [];
  const id = marked === undefined ? {} : { id: { in: [...marked.credentials] } };
  return await tx.credential.findMany({ where: { projectId, ...id, sealed: { not: null } } });
}

/** Each with its credential and that one's, read one after the other: a transaction has one connection. */
async function resourcesOf(tx: Tx, projectId: string, marked: Marked | undefined): Promise<RowsRead['resources']> {
  if (marked?.resources.length === 0 && marked.credentials.length === 0) return [];
  const using = [...(marked?.credentials ?? [])];
  const rows = await tx.resource.findMany({
    where: {
      projectId,
      ...(marked === undefined
        ? {}
        : {
            OR: [
              { id: { in: [...marked.resources] } },
              { credentialId: { in: using } },
              { credential: { adminId: { in: using } } },
            ],
          }),
    },
  });
  const byId = new Map<string, Credential>();
  const look = async (ids: readonly (string | null)[]): Promise<void> => {
    const wanted = [...new Set(ids)].filter((id) => id !== null && !byId.has(id)) as string[];
    if (wanted.length === 0) return;
    for (const row of await tx.credential.findMany({ where: { id: { in: wanted } } })) byId.set(row.id, row);
  };
  await look(rows.map((row) => row.credentialId));
  await look([...byId.values()].map((row) => row.adminId));
  return rows.map((row) => {
    const credential = row.credentialId === null ? undefined : byId.get(row.credentialId);
    const adminId = credential?.adminId ?? null;
    const admin = adminId === null ? null : (byId.get(adminId) ?? null);
    return {
      resource: resourceOf(row, credential === undefined ? null : { ...credential, admin }),
      agents: row.agents,
    };
  });
}

async function withReviews(
  tx: Tx,
  projectId: string,
  grants: readonly GrantPart[],
  marked: Marked | undefined,
): Promise<readonly Grant[]> {
  if (grants.length === 0) return [];
  const those = marked === undefined ? {} : { grantId: { in: grants.map((row) => row.id) } };
  const reviews = new Map<string, GrantReview[]>();
  for (const row of await tx.grantReview.findMany({ where: { projectId, ...those } })) {
    const known = reviews.get(row.grantId);
    if (known === undefined) reviews.set(row.grantId, [row]);
    else known.push(row);
  }
  return grants.map((row) => grantOf(row, reviews.get(row.id) ?? []));
}

/** One row a group: as an object each, the memberships of a large directory take seconds. */
async function membersOf(tx: Tx, projectId: string, marked: Marked | undefined): Promise<RowsRead['members']> {
  if (marked === undefined)
    return await tx.$queryRaw<{ groupId: string; principalIds: string[] }[]>`
      select g.id::text as "groupId", array_agg(distinct p.id::text) as "principalIds"
      from groups g join memberships m on m.group_id = g.id
        join principals p on p.id = m.principal_id and p.disabled_at is null
      where g.project_id = ${projectId}::uuid group by g.id`;
  const pairs = marked.members.map((pair) => pair.split('/'));
  if (pairs.length === 0 && marked.principals.length === 0) return [];
  return await tx.$queryRaw<{ groupId: string; principalIds: string[] }[]>`
    select m.group_id::text as "groupId", array_agg(distinct m.principal_id::text) as "principalIds"
    from (
      select group_id, principal_id from memberships
        join unnest(${pairs.map(([group]) => group)}::uuid[], ${pairs.map(([, member]) => member)}::uuid[])
          as wanted (g, p) on group_id = g and principal_id = p
      union select group_id, principal_id from memberships
        where project_id = ${projectId}::uuid and principal_id = any (${[...marked.principals]}::uuid[])
    ) m
      join groups g on g.id = m.group_id and g.project_id = ${projectId}::uuid
      join principals p on p.id = m.principal_id and p.disabled_at is null
    group by m.group_id`;
}

function boxesOf(row: Credential): StoredCredential['boxes'] {
  const { sealed, nextSealed, previousSealed, previousUntil } = row;
  return [
    ...(sealed === null ? [] : [{ ending: '', sealed }]),
    ...(nextSealed === null ? [] : [{ ending: NEXT_BOX, sealed: nextSealed }]),
    ...(previousSealed === null || previousUntil === null
      ? []
      : [{ ending: PREVIOUS_BOX, sealed: previousSealed, notAfter: previousUntil.getTime() }]),
  ];
}

/** As the agent has to see it: what the control plane asks for itself travels as a stored one. */
function sourceOf(row: Credential): CredentialSource {
  const { id, username, resolveAt, fallbackSeconds, fetchedUsername } = row;
  const certificate = row.certificate || undefined;
  if (resolveAt === 'control_plane')
    return compact({ kind: 'stored', username: username || (fetchedUsername ?? ''), reference: id, certificate });
  const kind = row.kind as CredentialSource['kind'];
  const isHost = kind === 'env' || kind === 'file';
  const settings = row.settings as Record<string, string>;
  const fallbackMs = kind === 'stored' || fallbackSeconds === null ? undefined : fallbackSeconds * 1000;
  return compact({
    kind,
    username,
    reference: isHost ? (row.reference ?? undefined) : kind === 'none' ? undefined : id,
    certificate,
    settings: Object.keys(settings).length === 0 ? undefined : settings,
    fallbackMs,
  });
}

/** Without what is absent: a chunk's bytes must not tell of fields that are not used. */
const compact = (source: { [K in keyof CredentialSource]: CredentialSource[K] | undefined }): CredentialSource =>
  Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined)) as unknown as CredentialSource;

function resourceOf(
  row: ResourceRow,
  credential: (Credential & { readonly admin: Credential | null }) | null,
): Resource {
  const source =
    credential === null
      ? { kind: 'none', username: '' }
      : { ...sourceOf(credential), ...(credential.admin === null ? {} : { admin: sourceOf(credential.admin) }) };
  return {
    ...(row.spec as object),
    id: row.id,
    projectId: row.projectId,
    name: row.name,
    kind: row.kind,
    labels: row.labels,
    credential: source,
  } as unknown as Resource;
}

const grantOf = (row: GrantPart, reviews: readonly GrantReview[]): Grant => ({
  id: row.id,
  projectId: row.projectId,
  ...(row.principalId === null ? {} : { principal: row.principalId }),
  ...(row.groupName === null ? {} : { group: row.groupName }),
  ...(row.resource === null ? {} : { resource: row.resource }),
  ...(row.labels === null ? {} : { labels: row.labels as Record<string, string> }),
  effects: row.effects as Grant['effects'],
  roles: row.roles,
  kind: row.kind as Grant['kind'],
  ...(row.notBefore === null ? {} : { notBefore: row.notBefore }),
  ...(row.notAfter === null ? {} : { notAfter: row.notAfter }),
  ...reviewState(row, reviews),
});
