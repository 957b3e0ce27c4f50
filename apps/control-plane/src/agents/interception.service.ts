/**
 * Certifies the issuer of an agent's forward proxy, for the hosts that the resources it guards register and no others.
 * Refuses while SALLYPORT_INTERCEPTION is off. The agent's own issuer, and what stands below it, is good for nothing else.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError, LIMITS } from '@sallyport/core';
import { interceptedHosts } from '@sallyport/model';
import { recordAct } from '../acts/acts.ts';
import { type BundleAgent, Bundles } from '../bundles/bundles.service.ts';
import { Config } from '../config.ts';
import { Database } from '../db/database.ts';
import { CertificateAuthority } from '../keys/ca.ts';
import { AgentsRepository } from './agents.repository.ts';

export interface InterceptionAnswer {
  readonly chain: string;
  readonly hosts: string[];
  readonly code?: string;
}

@Injectable()
export class Interception {
  constructor(
    private readonly config: Config,
    private readonly authority: CertificateAuthority,
    private readonly agents: AgentsRepository,
    private readonly bundles: Bundles,
    private readonly database: Database,
  ) {}

  /** @throws GatewayError `enroll.failed` for a request that is none */
  async certify(asking: BundleAgent, csr: Uint8Array): Promise<InterceptionAnswer> {
    if (!this.config.interception) return { chain: '', hosts: [], code: 'interception.off' };
    const hosts = interceptedHosts(await this.bundles.resourcesFor(asking)).slice(0, LIMITS.interceptedHostsMax);
    if (hosts.length === 0) return { chain: '', hosts: [] };
    return await this.database.transaction(async (tx) => {
      const agent = await this.agents.byId(asking.id, tx);
      if (agent === null || agent.revokedAt !== null) throw new GatewayError('enroll.failed', { reason: 'agent' });
      const { chain, notAfter } = await this.authority.issueInterception(tx, agent, csr, hosts);
      await recordAct(tx, {
        projectId: agent.projectId,
        principal: undefined,
        action: 'agent.interception_certified',
        target: `agent/${agent.name}`,
        detail: { agentId: agent.id, hosts: hosts.join(' ').slice(0, 4_000), notAfter: notAfter.toISOString() },
        requestId: 'link',
      });
      return { chain, hosts: [...hosts] };
    });
  }
}
