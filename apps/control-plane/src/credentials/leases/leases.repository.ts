/** Table of leases. The only Prisma in this folder. */
import { Injectable } from '@nestjs/common';
import type { LeaseReport } from '@sallyport/model';
import { Database } from '../../db/database.ts';
import type { CredentialLease, Prisma } from '../../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../../http/page.ts';

@Injectable()
export class LeasesRepository {
  constructor(private readonly database: Database) {}

  list(projectId: string, where: Prisma.CredentialLeaseWhereInput, page: PageRequest): Promise<CredentialLease[]> {
    const args = pageArgs(page);
    return this.database.client.credentialLease.findMany({
      ...args,
      where: { AND: [{ projectId }, where, args.where] },
    });
  }
  find(projectId: string, id: string): Promise<CredentialLease | null> {
    return this.database.client.credentialLease.findFirst({ where: { projectId, id } });
  }
  /** Names of what the leases speak of, by id. */
  async names(rows: readonly CredentialLease[]): Promise<ReadonlyMap<string, string>> {
    const ids = (of: (row: CredentialLease) => string): { id: { in: string[] } } => ({
      id: { in: [...new Set(rows.map(of))] },
    });
    const select = { id: true, name: true } as const;
    const { client } = this.database;
    const found = await Promise.all([
      client.resource.findMany({ where: ids((row) => row.resourceId), select }),
      client.principal.findMany({ where: ids((row) => row.principalId), select }),
      client.credential.findMany({ where: ids((row) => row.credentialId), select }),
      client.agent.findMany({ where: ids((row) => row.agentId), select }),
    ]);
    return new Map(found.flat().map(({ id, name }) => [id, name]));
  }
  /** True when this agent's project has the resource and the principal. */
  async fits(projectId: string, lease: LeaseReport): Promise<boolean> {
    const { client } = this.database;
    const [resource, principal] = await Promise.all([
      client.resource.count({ where: { id: lease.resourceId, projectId } }),
      client.principal.count({ where: { id: lease.principalId, projectId } }),
    ]);
    return resource === 1 && principal === 1;
  }
  /** As told; of another agent's lease nothing changes. */
  async put(agent: { readonly agentId: string; readonly projectId: string }, lease: LeaseReport): Promise<void> {
    const at = (ms: number): Date => new Date(ms);
    await this.database.client.$executeRaw`
      insert into credential_leases
        (id, project_id, agent_id, kind, credential_id, resource_id, principal_id, session_id, account, opened_at, expires_at, ended_at, reason)
      values (${lease.id}::uuid, ${agent.projectId}::uuid, ${agent.agentId}::uuid, ${lease.kind}, ${lease.credentialId}::uuid,
        ${lease.resourceId}::uuid, ${lease.principalId}::uuid, ${lease.sessionId === '' ? null : lease.sessionId}::uuid,
        ${lease.account.slice(0, 200)}, ${at(lease.openedAt)}, ${at(lease.expiresAt)},
        ${lease.endedAt === undefined ? null : at(lease.endedAt)}, ${lease.reason?.slice(0, 64) ?? null})
      on conflict (id) do update set session_id = excluded.session_id, expires_at = excluded.expires_at,
        ended_at = coalesce(credential_leases.ended_at, excluded.ended_at), reason = coalesce(credential_leases.reason, excluded.reason)
      where credential_leases.agent_id = excluded.agent_id`;
  }
  /** What an agent that told everything did not name is over. */
  async endOthers(agentId: string, live: readonly string[], now: Date): Promise<void> {
    await this.database.client.credentialLease.updateMany({
      where: { agentId, endedAt: null, id: { notIn: [...live] } },
      data: { endedAt: now, reason: 'lost' },
    });
  }
}
