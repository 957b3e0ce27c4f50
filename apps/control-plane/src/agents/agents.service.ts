/** Agents' records: who may join, who is connected, who is out. Refuses to talk to agents; links do. */
import { isIP } from 'node:net';
import { Injectable } from '@nestjs/common';
import { addressKind, GatewayError } from '@sallyport/core';
import { recordActOf } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { type BundleCounter, BundlesRepository } from '../bundles/bundles.repository.ts';
import { publishWithin } from '../bus/pg.bus.ts';
import { Database } from '../db/database.ts';
import type { Agent } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, type PageRequest, toPage } from '../http/page.ts';
import { CertificateAuthority } from '../keys/ca.ts';
import { Listening } from '../listening.ts';
import { SystemClock } from '../time.ts';
import type { AgentView, CreateJoinToken, JoinTokenView } from './agents.dto.ts';
import { AgentsRepository } from './agents.repository.ts';
import { encodeJoinToken, joinSecretHash, newJoinSecret } from './join-token.ts';

/** Three heartbeats. */
const CONNECTED_MS = 15_000;

/** Means one host wherever it is said: a private address is another's in each network. */
const isOneHosts = (name: string): boolean =>
  isIP(name) === 0 ? name.toLowerCase() !== 'localhost' : addressKind(name) === 'public';

@Injectable()
export class AgentsService {
  constructor(
    private readonly database: Database,
    private readonly repository: AgentsRepository,
    private readonly bundles: BundlesRepository,
    private readonly changes: BundleChanges,
    private readonly authority: CertificateAuthority,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
  ) {}

  async list(
    caller: Caller,
    page: PageRequest,
    filter: { readonly revoked?: boolean | undefined },
  ): Promise<Page<AgentView>> {
    const counter = await this.bundles.counter(caller.projectId);
    const rows = await this.repository.list(caller.projectId, filter.revoked === true ? {} : { revokedAt: null }, page);
    return toPage(rows, page, (row) => this.#show(row, counter));
  }

  /** @throws GatewayError `request.not_found` */
  async get(caller: Caller, nameOrId: string): Promise<AgentView> {
    return this.#show(await this.#require(caller, nameOrId), await this.bundles.counter(caller.projectId));
  }

  async createJoinToken(caller: Caller, input: CreateJoinToken): Promise<JoinTokenView> {
    const secret = newJoinSecret();
    const expiresAt = new Date(this.clock.nowMs() + input.expiresInSeconds * 1000);
    // Without names given, what a client on the same host dials.
    let names = input.names ?? [input.name, 'localhost', '127.0.0.1', '::1'];
    await this.database.transaction(async (tx) => {
      // All agents' certificates chain to one root: who had a name of another project's agent could stand in for it.
      const taken = await this.repository.namesTaken(tx, caller.projectId, names.filter(isOneHosts), this.clock.now());
      if (taken.length > 0 && input.names !== undefined)
        throw new InvalidRequest([{ field: 'names', message: `not free: ${taken.join(', ')}` }]);
      names = names.filter((name) => !taken.includes(name));
      await this.repository.addJoinToken(tx, {
        id: this.clock.id(),
        projectId: caller.projectId,
        agentName: input.name,
        names,
        hash: joinSecretHash(secret),
        expiresAt,
      });
      await recordActOf(tx, caller, 'agent.invited', `agent/${input.name}`, {
        names,
        expiresAt: expiresAt.toISOString(),
      });
    });
    const joinToken = encodeJoinToken(this.listening.publicEnroll(), await this.authority.root(), secret);
    const url = this.listening.publicUrl();
    const advertise = input.names?.[0] === undefined ? '' : ` --advertise ${input.names[0]}`;
    const command = `curl -fsSL ${url}/install-agent.sh | SALLYPORT_JOIN_TOKEN='${joinToken}' sh -s -- --url ${url}${advertise}`;
    return { joinToken, command, expiresAt: expiresAt.toISOString() };
  }

  /** Out at once: its links are cut, its certificate opens nothing, its certificates are not renewed. */
  async revoke(caller: Caller, nameOrId: string): Promise<AgentView> {
    const agent = await this.#require(caller, nameOrId);
    await this.database.transaction(async (tx) => {
      await this.repository.update(agent.id, { revokedAt: agent.revokedAt ?? this.clock.now() }, tx);
      await recordActOf(tx, caller, 'agent.revoked', `agent/${agent.name}`, { agentId: agent.id });
      await this.changes.bump(tx, caller.projectId);
      await publishWithin(tx, 'agent', { agentId: agent.id });
    });
    return await this.get(caller, agent.id);
  }

  async #require(caller: Caller, nameOrId: string): Promise<Agent> {
    const agent = await this.repository.find(caller.projectId, nameOrId);
    if (agent === null) throw new GatewayError('request.not_found', { agent: nameOrId });
    return agent;
  }

  #show(row: Agent, counter: BundleCounter): AgentView {
    return {
      id: row.id,
      name: row.name,
      version: row.version,
      connected:
        row.revokedAt === null &&
        row.lastSeenAt !== null &&
        this.clock.nowMs() - row.lastSeenAt.getTime() < CONNECTED_MS,
      lastSeenAt: row.lastSeenAt?.toISOString() ?? null,
      instance: row.instance,
      names: row.names,
      endpoints: row.endpoints as AgentView['endpoints'],
      capabilities: row.capabilities,
      bundle: {
        epoch: row.bundleEpoch,
        revision: row.bundleRevision,
        current: row.bundleEpoch === counter.epoch && row.bundleRevision === counter.revision,
        error: row.bundleError,
      },
      certificateExpiresAt: row.certExpires?.toISOString() ?? null,
      revokedAt: row.revokedAt?.toISOString() ?? null,
      createdAt: row.createdAt.toISOString(),
    };
  }
}
