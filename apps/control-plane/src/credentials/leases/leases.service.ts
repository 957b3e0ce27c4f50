/**
 * Upstream credentials lent to sessions: what agents tell, the list, and ending one from here.
 * Refuses secrets: an account's name is all that is known of a lease.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { LeaseReport } from '@sallyport/model';
import { z } from 'zod';
import { recordActOf } from '../../acts/acts.ts';
import { publishWithin } from '../../bus/pg.bus.ts';
import { Database } from '../../db/database.ts';
import { resourceIds } from '../../db/reference.ts';
import type { CredentialLease } from '../../generated/prisma/client.ts';
import type { Caller } from '../../http/caller.ts';
import { type Page, pageOf, pageQuery, toPage } from '../../http/page.ts';
import { Instant, open, sensitive } from '../../http/schema.ts';
import { SystemClock } from '../../time.ts';
import { LeasesRepository } from './leases.repository.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export const LeaseView = z
  .object({
    id: open(z.uuid()),
    kind: open(z.enum(['ephemeral', 'vault'])),
    credential: open(z.string()).describe('Name, or id when it is gone.'),
    resource: open(z.string()),
    principal: open(z.string()),
    agent: open(z.string()),
    sessionId: open(z.uuid().nullable()).describe('Null: kept for the principal’s next session.'),
    account: sensitive(z.string()).describe('At the server.'),
    openedAt: open(Instant),
    expiresAt: open(Instant),
    endedAt: open(Instant.nullable()),
    reason: open(z.string().nullable()),
  })
  .meta({ id: 'Lease' });
export type LeaseView = z.infer<typeof LeaseView>;
export const LeasePage = pageOf(LeaseView).meta({ id: 'LeasePage' });
export const LeaseQuery = pageQuery(['createdAt', 'expiresAt'], '-createdAt').extend({
  state: z.enum(['live', 'ended']).optional(),
  resource: z.string().max(200).optional().describe('Name or id.'),
  session: z.uuid().optional(),
});

@Injectable()
export class Leases {
  constructor(
    private readonly repository: LeasesRepository,
    private readonly database: Database,
    private readonly clock: SystemClock,
  ) {}

  async list(caller: Caller, query: z.infer<typeof LeaseQuery>): Promise<Page<LeaseView>> {
    const { state, resource, session } = query;
    const where = {
      ...(state === undefined ? {} : { endedAt: state === 'live' ? null : { not: null } }),
      ...(resource === undefined
        ? {}
        : { resourceId: { in: [...(await resourceIds(this.database.client, caller.projectId, resource))] } }),
      ...(session === undefined ? {} : { sessionId: session }),
    };
    const rows = await this.repository.list(caller.projectId, where, query);
    const names = await this.repository.names(rows);
    return toPage(rows, query, (row) => show(row, names));
  }

  /** @throws GatewayError `request.not_found` */
  async get(caller: Caller, id: string): Promise<LeaseView> {
    const row = await this.#require(caller, id);
    return show(row, await this.repository.names([row]));
  }

  /** Its session ends, and the server forgets the account; said to the agent, wherever it is connected. */
  async revoke(caller: Caller, id: string): Promise<LeaseView> {
    const row = await this.#require(caller, id);
    if (row.endedAt !== null) throw new GatewayError('request.conflict', { reason: 'it has ended' });
    await this.database.transaction(async (tx) => {
      await recordActOf(tx, caller, 'lease.revoked', `lease/${row.id}`, { sessionId: row.sessionId ?? '' });
      await publishWithin(tx, 'lease', { agentId: row.agentId, leaseId: row.id });
    });
    return show(row, await this.repository.names([row]));
  }

  async #require(caller: Caller, id: string): Promise<CredentialLease> {
    const row = UUID.test(id) ? await this.repository.find(caller.projectId, id.toLowerCase()) : null;
    if (row === null) throw new GatewayError('request.not_found', { lease: id });
    return row;
  }

  /** What an agent tells of one. @throws GatewayError `protocol.malformed` when it is not of its project */
  async reported(agent: { readonly agentId: string; readonly projectId: string }, lease: LeaseReport): Promise<void> {
    const { id, credentialId, sessionId } = lease;
    const shaped = [id, credentialId, lease.resourceId, lease.principalId].every((text) => UUID.test(text));
    if (!shaped || (sessionId !== '' && !UUID.test(sessionId)) || !(await this.repository.fits(agent.projectId, lease)))
      throw new GatewayError('protocol.malformed', { what: 'lease' });
    await this.repository.put(agent, lease);
  }

  /** An agent has told all it has. */
  async settled(agentId: string, live: readonly string[]): Promise<void> {
    await this.repository.endOthers(
      agentId,
      live.filter((id) => UUID.test(id)),
      this.clock.now(),
    );
  }
}

const show = (row: CredentialLease, names: ReadonlyMap<string, string>): LeaseView => ({
  id: row.id,
  kind: row.kind as LeaseView['kind'],
  credential: names.get(row.credentialId) ?? row.credentialId,
  resource: names.get(row.resourceId) ?? row.resourceId,
  principal: names.get(row.principalId) ?? row.principalId,
  agent: names.get(row.agentId) ?? row.agentId,
  sessionId: row.sessionId,
  account: row.account,
  openedAt: row.openedAt.toISOString(),
  expiresAt: row.expiresAt.toISOString(),
  endedAt: row.endedAt?.toISOString() ?? null,
  reason: row.reason,
});
