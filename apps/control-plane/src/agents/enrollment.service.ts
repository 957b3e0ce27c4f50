/**
 * How an agent comes to its identity: a join token once, renewal over its link, and recovery by proof of its key when its
 * certificate expired a short while ago. Names come from the record the token was made for, never from a request.
 * All refusals read alike: `enroll.failed`.
 */
import { hash, verify, X509Certificate } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { EnrollRequest, EnrollResponse, RecoverRequest, RenewRequest } from '@sallyport/contract';
import { GatewayError } from '@sallyport/core';
import { recordAct } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Bus } from '../bus/bus.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Agent } from '../generated/prisma/client.ts';
import { CertificateAuthority } from '../keys/ca.ts';
import { Listening } from '../listening.ts';
import { SystemClock } from '../time.ts';
import { AgentsRepository } from './agents.repository.ts';
import { joinSecretHash, joinSecretOf } from './join-token.ts';

/** How long after its end an identity certificate still proves who asks for the next one. */
const GRACE_MS = 7 * 86_400_000;
const CLOCK_SKEW_MS = 60_000;
const SEAL_KEY_BYTES = 32;
const CAPABILITIES_MAX = 100;

const refused = (reason: string): GatewayError => new GatewayError('enroll.failed', { reason });

interface Requests {
  readonly csr: Uint8Array;
  readonly listenerCsr: Uint8Array;
}

@Injectable()
export class Enrollment {
  constructor(
    private readonly database: Database,
    private readonly repository: AgentsRepository,
    private readonly authority: CertificateAuthority,
    private readonly listening: Listening,
    private readonly bundles: BundleChanges,
    private readonly bus: Bus,
    private readonly clock: SystemClock,
  ) {}

  /**
   * A new agent. One that has the name already is replaced: its record is renamed and revoked.
   * @throws GatewayError `enroll.failed`
   */
  async enroll(request: EnrollRequest): Promise<EnrollResponse> {
    const secret = joinSecretOf(request.joinToken ?? '');
    const sealKey = request.sealKey ?? new Uint8Array();
    if (secret === undefined || sealKey.length !== SEAL_KEY_BYTES) throw refused('request');
    const capabilities = request.capabilities ?? [];
    if (capabilities.length > CAPABILITIES_MAX) throw refused('request');
    return await this.database.transaction(async (tx) => {
      const now = this.clock.now();
      const token = await this.repository.useJoinToken(tx, joinSecretHash(secret), now);
      if (token === undefined) throw refused('token');
      const former = await this.repository.lockName(tx, token.projectId, token.agentName);
      if (former !== null) await this.#retire(tx, former);
      const id = this.clock.id();
      const named = { id, projectId: token.projectId, name: token.agentName, names: token.names };
      const issued = await this.#issue(tx, named, {
        csr: request.csr ?? new Uint8Array(),
        listenerCsr: request.listenerCsr ?? new Uint8Array(),
      });
      const agent = await this.repository.create(tx, {
        ...named,
        sealKey: new Uint8Array(sealKey),
        capabilities: [...capabilities],
        version: (request.version ?? '').slice(0, 100),
        keyHash: issued.keyHash,
        certExpires: issued.notAfter,
      });
      await this.#act(tx, agent, 'agent.enrolled', former === null ? {} : { replaces: former.id });
      await this.bundles.bump(tx, token.projectId);
      return await this.#respond(agent, issued);
    });
  }

  /** The next certificates for an agent on its link. @throws GatewayError `enroll.failed` */
  async renew(agentId: string, request: RenewRequest): Promise<EnrollResponse> {
    return await this.#reissue(
      agentId,
      { csr: request.csr ?? new Uint8Array(), listenerCsr: request.listenerCsr ?? new Uint8Array() },
      'agent.renewed',
    );
  }

  /** For an agent that slept past its certificate's end. @throws GatewayError `enroll.failed` */
  async recover(request: RecoverRequest): Promise<EnrollResponse> {
    const agentId = request.agentId ?? '';
    const signedAt = request.signedAt ?? '';
    const csr = request.csr ?? new Uint8Array();
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(agentId)) throw refused('agent');
    if (!/^\d{1,15}$/.test(signedAt) || Math.abs(Number(signedAt) - this.clock.nowMs()) > CLOCK_SKEW_MS)
      throw refused('clock');
    const given = Buffer.from(request.certificate ?? new Uint8Array());
    // Ours is who is in our own list: no path has to be built from what a stranger sends.
    const known = await this.repository.identityCertificates(agentId, new Date(this.clock.nowMs() - GRACE_MS));
    const certificate = known.map((pem) => new X509Certificate(pem)).find((candidate) => candidate.raw.equals(given));
    if (certificate === undefined) throw refused('certificate');
    const digest = hash(
      'sha256',
      Buffer.concat([Buffer.from(`sallyport/recover/1${agentId}${signedAt}`), csr]),
      'buffer',
    );
    const signature = request.signature ?? new Uint8Array();
    if (!verify('sha256', digest, { key: certificate.publicKey, dsaEncoding: 'ieee-p1363' }, signature))
      throw refused('signature');
    return await this.#reissue(
      agentId,
      { csr, listenerCsr: request.listenerCsr ?? new Uint8Array() },
      'agent.recovered',
    );
  }

  async #reissue(agentId: string, requests: Requests, action: string): Promise<EnrollResponse> {
    return await this.database.transaction(async (tx) => {
      const agent = await this.repository.byId(agentId, tx);
      if (agent === null || agent.revokedAt !== null) throw refused('agent');
      const issued = await this.#issue(tx, agent, requests);
      await this.repository.update(agent.id, { keyHash: issued.keyHash, certExpires: issued.notAfter }, tx);
      await this.#act(tx, agent, action, {});
      return await this.#respond(agent, issued);
    });
  }

  async #issue(tx: Tx, agent: Pick<Agent, 'id' | 'projectId' | 'name' | 'names'>, requests: Requests) {
    const identity = await this.authority.issueAgentIdentity(tx, agent, requests.csr);
    const listener =
      requests.listenerCsr.length === 0
        ? undefined
        : await this.authority.issueListener(tx, agent, requests.listenerCsr);
    return { ...identity, listenerChain: listener?.chain ?? '' };
  }

  async #retire(tx: Tx, former: Agent): Promise<void> {
    await this.repository.update(
      former.id,
      { name: `${former.name}.${former.id}`, revokedAt: former.revokedAt ?? this.clock.now() },
      tx,
    );
    this.database.afterCommit(tx, () => this.bus.publish('agent', { agentId: former.id }));
  }

  async #act(tx: Tx, agent: Agent, action: string, detail: Record<string, string>): Promise<void> {
    await recordAct(tx, {
      projectId: agent.projectId,
      principal: undefined,
      action,
      target: `agent/${agent.name}`,
      detail: { agentId: agent.id, ...detail },
      requestId: 'enrollment',
    });
  }

  async #respond(
    agent: Agent,
    issued: { readonly chain: string; readonly listenerChain: string },
  ): Promise<EnrollResponse> {
    return {
      agentId: agent.id,
      agentName: agent.name,
      projectId: agent.projectId,
      identityChain: issued.chain,
      listenerChain: issued.listenerChain,
      root: await this.authority.root(),
      endpoints: [...this.listening.publicLink()],
    };
  }
}
