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
import type {
  Credential,
  GrantReview,
  Grant as GrantRow,
  Resource as ResourceRow,
} from '../generated/prisma/client.ts';
import { reviewState } from '../grants/review-state.ts';
import type { BundleSource } from './compile.ts';
import { readTrustedIssuers } from './trusted-issuers.ts';

export interface StoredCredential {
  readonly version: number;
  /** Under the envelope cipher, by the ending of the box they become ('' = the current value). */
  readonly boxes: readonly { readonly ending: string; readonly sealed: Uint8Array; readonly notAfter?: number }[];
}

export interface ProjectSnapshot extends Omit<BundleSource, 'keys' | 'settings'> {
  /** Stored credentials by id. */
  readonly credentials: ReadonlyMap<string, StoredCredential>;
}

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

  async bump(tx: Tx, projectId: string): Promise<void> {
    await tx.bundleState.upsert({
      where: { projectId },
      create: { projectId, revision: 1 },
      update: { revision: { increment: 1 } },
    });
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

  async snapshot(projectId: string): Promise<ProjectSnapshot> {
    return await this.database.client.$transaction((tx) => readSnapshot(tx, projectId), {
      isolationLevel: 'RepeatableRead',
      timeout: 30_000,
    });
  }
}

async function readSnapshot(tx: Tx, projectId: string): Promise<ProjectSnapshot> {
  const state = await tx.bundleState.findUnique({ where: { projectId } });
  const createdAt = (state?.updatedAt ?? new Date(0)).getTime();
  const where = { projectId };
  const project = await tx.project.findUnique({ where: { id: projectId }, select: { disabledAt: true } });
  const resources = await tx.resource.findMany({ where, include: { credential: { include: { admin: true } } } });
  const policies = await tx.policy.findMany({ where });
  // A disabled project gives nobody anything, so its live sessions end.
  const grants = project?.disabledAt === null ? await tx.grant.findMany({ where: { ...where, revokedAt: null } }) : [];
  const reviews = new Map<string, GrantReview[]>();
  for (const row of await tx.grantReview.findMany({ where })) {
    const known = reviews.get(row.grantId);
    if (known === undefined) reviews.set(row.grantId, [row]);
    else known.push(row);
  }
  // One row a group: as an object each, the memberships of a large directory take seconds.
  const groups = await tx.$queryRaw<{ name: string; members: string[] }[]>`
    select g.name, coalesce(array_agg(distinct p.id::text) filter (where p.id is not null), '{}') as members
    from groups g left join memberships m on m.group_id = g.id
      left join principals p on p.id = m.principal_id and p.disabled_at is null
    where g.project_id = ${projectId}::uuid group by g.id, g.name order by g.name`;
  const disabled = await tx.principal.findMany({
    where: { ...where, disabledAt: { not: null } },
    select: { id: true },
  });
  const revocations = await tx.revocation.findMany({ where: { ...where, keepUntil: { gt: new Date(createdAt) } } });
  const credentials = await tx.credential.findMany({ where: { ...where, sealed: { not: null } } });
  const gone = new Set(disabled.map((row) => row.id));
  return {
    projectId,
    epoch: state?.epoch ?? 1,
    revision: state?.revision ?? 0,
    createdAt,
    resources: resources.map((row) => ({ resource: resourceOf(row, row.credential), agents: row.agents })),
    policies: policies.map((row) => row.compiled as unknown as Policy),
    grants: grants
      .filter((row) => row.principalId === null || !gone.has(row.principalId))
      .map((row) => grantOf(row, reviews.get(row.id) ?? [])),
    groups: groups.map(({ name, members }) => ({ name, projectId, members })),
    revocations: revocations.map(
      (row): Revocation => ({ kind: row.kind as Revocation['kind'], id: row.targetId, before: row.before.getTime() }),
    ),
    issuers: await readTrustedIssuers(tx, projectId),
    credentials: new Map(credentials.map((row) => [row.id, { version: row.version, boxes: boxesOf(row) }])),
  };
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

const grantOf = (row: GrantRow, reviews: readonly GrantReview[]): Grant => ({
  id: row.id,
  projectId: row.projectId,
  ...(row.principalId === null ? {} : { principal: row.principalId }),
  ...(row.groupName === null ? {} : { group: row.groupName }),
  ...(row.resource === null ? {} : { resource: row.resource }),
  ...(row.labels === null ? {} : { labels: row.labels as Record<string, string> }),
  effects: row.effects as Grant['effects'],
  roles: row.roles,
  kind: row.kind as Grant['kind'],
  ...(row.notBefore === null ? {} : { notBefore: row.notBefore.getTime() }),
  ...(row.notAfter === null ? {} : { notAfter: row.notAfter.getTime() }),
  ...reviewState(row, reviews),
});
