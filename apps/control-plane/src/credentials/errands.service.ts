/**
 * Errands: what an agent is asked to do about a credential, and what it says. A test signs in once; a rotation gives the
 * account a password that was prepared here and is in every agent's hands before the server hears of it. Rows, so that
 * any replica sends, any replica hears, and a restart forgets nothing. ADR 0018.
 * Refuses a second rotation while one is under way, and one that an agent would sleep through.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { CredentialReport, CredentialErrand as ErrandMessage } from '@sallyport/model';
import { type Actor, recordActOf, systemActor } from '../acts/acts.ts';
import { BundleChanges } from '../bundles/bundle-changes.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Agent, CredentialErrand, Resource } from '../generated/prisma/client.ts';
import { Envelope } from '../keys/envelope.ts';
import { Outbox } from '../notify/outbox.ts';
import { SystemClock } from '../time.ts';
import { type CredentialRow, CredentialsRepository } from './credentials.repository.ts';
import { credentialContext } from './credentials.service.ts';

/** An agent that was heard within this time is there. */
const HEARD_MS = 20_000;
/** An agent that was heard within this time will be back. */
const KNOWN_MS = 24 * 3_600_000;
/** Every agent has the next value by then: it travels with the bundle. */
const SETTLE_MS = 2_000;
/** An errand nobody answered is sent again. */
const AGAIN_MS = 20_000;
const GIVEN_UP_MS = 5 * 60_000;
const KEPT_MS = 7 * 86_400_000;
/** A refusal is told once in this time. */
const TOLD_MS = 60_000;
const WAIT_MS = 25_000;
const TESTS_MAX = 10;

export interface ErrandResult {
  readonly resource: string;
  readonly outcome: 'done' | 'undone' | 'failed' | 'open';
  readonly code: string;
  readonly reason: string;
}

@Injectable()
export class Errands {
  constructor(
    private readonly database: Database,
    private readonly repository: CredentialsRepository,
    private readonly envelope: Envelope,
    private readonly bundles: BundleChanges,
    private readonly outbox: Outbox,
    private readonly clock: SystemClock,
  ) {}

  /** Has agents sign in with it at each resource it is for. @throws GatewayError `request.conflict`, `agent.away` */
  async test(credential: CredentialRow): Promise<readonly ErrandResult[]> {
    const resources = (await this.repository.resourcesOf(credential.id)).slice(0, TESTS_MAX);
    if (resources.length === 0) throw new GatewayError('request.conflict', { reason: 'no resource uses it' });
    const errands: { readonly resource: Resource; readonly id: string }[] = [];
    for (const resource of resources) {
      const [agent] = await this.#guards(resource, HEARD_MS);
      if (agent === undefined) throw new GatewayError('agent.away', { resource: resource.name });
      const row = await this.database.transaction((tx) => this.#add(tx, credential, resource, agent, 'test', 0));
      errands.push({ resource, id: row.id });
    }
    return await Promise.all(errands.map(({ resource, id }) => this.#answerOf(id, resource)));
  }

  /** Starts a rotation and waits for it. @throws GatewayError as startRotation does */
  async rotate(actor: Actor, credential: CredentialRow): Promise<ErrandResult> {
    const { errand, resource } = await this.startRotation(actor, credential);
    return await this.#answerOf(errand.id, resource);
  }

  /** @throws GatewayError `request.conflict` when this one cannot be rotated, `agent.away` without an agent, `credential.agent_away` */
  async startRotation(
    actor: Actor,
    credential: CredentialRow,
  ): Promise<{ errand: CredentialErrand; resource: Resource }> {
    if (credential.kind !== 'stored' || credential.certificate || credential.sealed === null)
      throw new GatewayError('request.conflict', { reason: 'only a stored password can be rotated by Sallyport' });
    const [resource, ...others] = await this.repository.resourcesOf(credential.id);
    if (resource === undefined) throw new GatewayError('request.conflict', { reason: 'no resource uses it' });
    if ([resource, ...others].some(({ kind }) => kind !== 'postgres'))
      throw new GatewayError('request.conflict', { reason: 'only PostgreSQL servers are asked to change a password' });
    const guards: Agent[] = [];
    for (const each of [resource, ...others]) {
      const known = await this.#guards(each, KNOWN_MS);
      const away = known.find((agent) => this.#silentMs(agent) > HEARD_MS);
      // One that does not hear of the next value could sign nobody in.
      if (known.length === 0) throw new GatewayError('agent.away', { resource: each.name });
      if (away !== undefined)
        throw new GatewayError('credential.agent_away', { resource: each.name, agent: away.name });
      guards.push(...known);
    }
    return await this.database.transaction(async (tx) => {
      const row = await this.repository.lock(tx, credential.id);
      if (row === null) throw new GatewayError('request.not_found', { credential: credential.name });
      if ((await this.repository.openRotation(tx, row.id)) !== null)
        throw new GatewayError('request.conflict', { reason: 'a rotation is under way' });
      // A next value that an earlier attempt left may be the server's by now: it is tried again, never replaced.
      const next =
        row.nextSealed ??
        this.envelope.seal(Buffer.from(randomBytes(24).toString('base64url')), credentialContext(row.id));
      await this.repository.update(tx, row.id, {
        nextSealed: next,
        rotationTriedAt: this.clock.now(),
        version: { increment: 1 },
      });
      await this.bundles.bump(tx, row.projectId);
      await recordActOf(tx, actor, 'credential.rotation_started', `credential/${row.name}`, {
        resource: resource.name,
      });
      const errand = await this.#add(tx, row, resource, guards[0]!, 'rotate', SETTLE_MS);
      return { errand, resource };
    });
  }

  /** Errands to send to these agents now. */
  async dueFor(agentIds: readonly string[]): Promise<readonly { agentId: string; errand: ErrandMessage }[]> {
    const now = this.clock.now();
    const rows = await this.repository.claimErrands(agentIds, now, new Date(now.getTime() - AGAIN_MS));
    return rows.map(({ id, kind, agentId, resourceId, credentialId }) => ({
      agentId,
      errand: { id, kind: kind as ErrandMessage['kind'], resourceId, credentialId },
    }));
  }

  /** What an agent says. Refused when it speaks of what is not its own. @throws GatewayError `protocol.malformed` */
  async reported(
    agent: { readonly agentId: string; readonly projectId: string },
    report: CredentialReport,
  ): Promise<void> {
    if (report.kind === 'refused') return await this.#refused(agent, report);
    const { outcome = 'failed', code = '', reason = '' } = report;
    await this.database.transaction(async (tx) => {
      const errand = await this.repository.errand(report.errandId ?? '', tx);
      if (errand === null || errand.agentId !== agent.agentId)
        throw new GatewayError('protocol.malformed', { what: 'credential report' });
      if (errand.state === 'open') await this.#finish(tx, errand, outcome, code.slice(0, 64), reason.slice(0, 200));
    });
  }

  /** Gives up what nobody answered, forgets what is long done. */
  async cleanUp(): Promise<void> {
    const nowMs = this.clock.nowMs();
    for (const errand of await this.repository.staleErrands(new Date(nowMs - GIVEN_UP_MS)))
      await this.database.transaction((tx) => this.#finish(tx, errand, 'failed', 'agent.away', ''));
    await this.repository.dropErrands(new Date(nowMs - KEPT_MS));
  }

  async #finish(tx: Tx, errand: CredentialErrand, state: string, code: string, reason: string): Promise<void> {
    const row = await this.repository.lock(tx, errand.credentialId);
    await this.repository.updateErrand(tx, errand.id, { state, code, reason, doneAt: this.clock.now() });
    if (row === null || errand.kind !== 'rotate') return;
    const actor = systemActor(errand.projectId, 'rotation');
    const target = `credential/${row.name}`;
    if (state === 'done' && row.nextSealed !== null) {
      const after = await this.repository.update(tx, row.id, {
        sealed: row.nextSealed,
        nextSealed: null,
        // The server has forgotten the one before: there is nothing to fall back to.
        previousSealed: null,
        previousUntil: null,
        rotatedAt: this.clock.now(),
        rotationError: null,
        refusedAt: null,
        version: { increment: 1 },
      });
      await recordActOf(tx, actor, 'credential.rotated', target, { version: after.version, by: 'sallyport' });
      return await this.bundles.bump(tx, row.projectId);
    }
    // `undone`: the server has the old one again. `failed`: nobody knows, so the next one stays in every agent's hands.
    await this.repository.update(tx, row.id, {
      rotationError: code === '' ? 'internal' : code,
      ...(state === 'undone' ? { nextSealed: null, version: { increment: 1 } } : {}),
    });
    await recordActOf(tx, actor, 'credential.rotation_failed', target, { state, code });
    await this.outbox.add(tx, row.projectId, 'credential.rotation_failed', { credential: row.name, state, code });
    if (state === 'undone') await this.bundles.bump(tx, row.projectId);
  }

  async #refused(
    agent: { readonly agentId: string; readonly projectId: string },
    report: CredentialReport,
  ): Promise<void> {
    const resource = await this.repository.resource(report.resourceId);
    if (resource === null || resource.projectId !== agent.projectId)
      throw new GatewayError('protocol.malformed', { what: 'credential report' });
    const { credential } = resource;
    if (credential === null) return;
    const now = this.clock.now();
    const lately = credential.refusedAt !== null && now.getTime() - credential.refusedAt.getTime() < TOLD_MS;
    // While a rotation runs the current value is the old one for a moment: that is no news.
    const expected = credential.nextSealed !== null && report.value === 'current' && report.fallsBack === true;
    if (lately || expected) return;
    await this.database.transaction(async (tx) => {
      await this.repository.update(tx, credential.id, { refusedAt: now });
      const detail = {
        resource: resource.name,
        value: report.value ?? 'current',
        fallsBack: report.fallsBack === true,
      };
      await recordActOf(
        tx,
        systemActor(resource.projectId, `agent/${agent.agentId}`),
        'credential.refused',
        `credential/${credential.name}`,
        detail,
      );
      await this.outbox.add(tx, resource.projectId, 'credential.refused', { credential: credential.name, ...detail });
    });
  }

  #add(
    tx: Tx,
    { id: credentialId, projectId }: CredentialRow,
    resource: Resource,
    agent: Agent,
    kind: ErrandMessage['kind'],
    inMs: number,
  ): Promise<CredentialErrand> {
    const nowMs = this.clock.nowMs();
    return this.repository.addErrand(tx, {
      id: this.clock.id(),
      projectId,
      credentialId,
      resourceId: resource.id,
      agentId: agent.id,
      kind,
      sendAt: new Date(nowMs + inMs),
      createdAt: new Date(nowMs),
    });
  }

  #silentMs = (agent: Agent): number => this.clock.nowMs() - (agent.lastSeenAt?.getTime() ?? 0);

  /** Agents that guard it and were heard within `withinMs`, last heard first; only those that know errands. */
  async #guards(resource: Resource, withinMs: number): Promise<readonly Agent[]> {
    const agents = await this.repository.agents(resource.projectId);
    return agents.filter(
      (agent) =>
        (resource.agents.length === 0 || resource.agents.includes(agent.name)) &&
        agent.capabilities.includes('credential.sources.1') &&
        this.#silentMs(agent) <= withinMs,
    );
  }

  async #answerOf(errandId: string, resource: Resource): Promise<ErrandResult> {
    const deadline = performance.now() + WAIT_MS;
    for (;;) {
      const row = await this.repository.errand(errandId);
      const state = (row?.state ?? 'failed') as ErrandResult['outcome'];
      if (state !== 'open' || performance.now() > deadline)
        return { resource: resource.name, outcome: state, code: row?.code ?? '', reason: row?.reason ?? '' };
      await sleep(200);
    }
  }
}
