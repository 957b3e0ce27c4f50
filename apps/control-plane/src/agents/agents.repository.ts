/** The tables of agents and join tokens. */
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../db/database.ts';
import type { Agent, JoinToken, Prisma } from '../generated/prisma/client.ts';
import { type PageRequest, pageArgs } from '../http/page.ts';
import type { AgentState } from './agent-states.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

@Injectable()
export class AgentsRepository {
  constructor(private readonly database: Database) {}

  list(projectId: string, filter: Prisma.AgentWhereInput, page: PageRequest): Promise<Agent[]> {
    const { where, ...args } = pageArgs(page);
    return this.database.client.agent.findMany({ ...args, where: { AND: [{ projectId }, filter, where] } });
  }

  find(projectId: string, nameOrId: string): Promise<Agent | null> {
    return this.database.client.agent.findFirst({
      where: { projectId, ...(UUID.test(nameOrId) ? { id: nameOrId } : { name: nameOrId }) },
    });
  }

  byId(id: string, tx: Tx = this.database.client): Promise<Agent | null> {
    return tx.agent.findUnique({ where: { id } });
  }

  /** Locks the row of that name, so that two enrolments of one name follow one another. */
  async lockName(tx: Tx, projectId: string, name: string): Promise<Agent | null> {
    await tx.$queryRaw`select 1 from agents where project_id = ${projectId}::uuid and name = ${name} for update`;
    return await tx.agent.findUnique({ where: { projectId_name: { projectId, name } } });
  }

  create(tx: Tx, data: Prisma.AgentUncheckedCreateInput): Promise<Agent> {
    return tx.agent.create({ data });
  }

  update(id: string, data: Prisma.AgentUncheckedUpdateInput, tx: Tx = this.database.client): Promise<Agent> {
    return tx.agent.update({ where: { id }, data });
  }

  /** Of many agents at once, by id. Locked in one order, so that two replicas cannot wait for each other. */
  async noteStates(states: ReadonlyMap<string, AgentState>): Promise<void> {
    const said = JSON.stringify(
      [...states].map(([id, { bundleEpoch, bundleRevision, bundleError, lastSeenAt }]) => ({
        id,
        epoch: bundleEpoch ?? null,
        revision: bundleRevision ?? null,
        tells: bundleError !== undefined,
        error: bundleError ?? null,
        seen: lastSeenAt ?? null,
      })),
    );
    await this.database.client.$executeRaw`
      with said as (
        select * from jsonb_to_recordset(${said}::jsonb)
          as s (id uuid, epoch int, revision int, tells bool, error text, seen timestamptz)),
      held as (select id from agents where id in (select id from said) order by id for no key update)
      update agents a set bundle_epoch = coalesce(s.epoch, a.bundle_epoch),
        bundle_revision = coalesce(s.revision, a.bundle_revision),
        bundle_error = case when s.tells then s.error else a.bundle_error end,
        last_seen_at = coalesce(s.seen, a.last_seen_at)
      from said s join held on held.id = s.id where a.id = s.id`;
  }

  /** Which of these names agents of other projects have, or are invited with. Locks, so that two askers follow one another. */
  async namesTaken(tx: Tx, projectId: string, names: readonly string[], now: Date): Promise<readonly string[]> {
    await tx.$executeRaw`select pg_advisory_xact_lock(7070, 6)`;
    const rows = await tx.$queryRaw<{ name: string }[]>`
      select distinct name from unnest(${names}::text[]) as asked(name) where exists (
        select 1 from agents a, unnest(a.names) as has(name)
        where a.project_id <> ${projectId}::uuid and a.revoked_at is null and lower(has.name) = lower(asked.name)
      ) or exists (
        select 1 from join_tokens t, unnest(t.names) as has(name)
        where t.project_id <> ${projectId}::uuid and t.used_at is null and t.expires_at > ${now} and lower(has.name) = lower(asked.name)
      ) order by name`;
    return rows.map((row) => row.name);
  }

  async addJoinToken(tx: Tx, data: Prisma.JoinTokenUncheckedCreateInput): Promise<void> {
    await tx.joinToken.create({ data });
  }

  /** Takes a token that is unused and unexpired: the row lock makes it work once. */
  async useJoinToken(tx: Tx, hash: Uint8Array<ArrayBuffer>, now: Date): Promise<JoinToken | undefined> {
    const rows = await tx.joinToken.updateManyAndReturn({
      where: { hash, usedAt: null, expiresAt: { gt: now } },
      data: { usedAt: now },
    });
    return rows[0];
  }

  /** PEM of identity certificates issued to an agent that ended no earlier than `after`. */
  async identityCertificates(agentId: string, after: Date): Promise<readonly string[]> {
    const rows = await this.database.client.issuedCertificate.findMany({
      where: { agentId, purpose: 'agent_identity', notAfter: { gte: after } },
      select: { certificate: true },
    });
    return rows.map((row) => row.certificate);
  }
}
