/**
 * Holds waiting for persons. The agent mints a request and announces it as often as it likes; here it is one row, answered
 * once, by distinct persons who are neither the requester nor whom they act for. The answer is signed and pushed to the
 * agent that holds it. State is in the database alone: a restart on either side loses nothing.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError, LIMITS, ParseError } from '@sallyport/core';
import { type Approval, type ApprovalRequest, type PrincipalKind, parseApprovalRequest } from '@sallyport/model';
import { Counter } from 'prom-client';
import { recordAct, recordActOf } from '../acts/acts.ts';
import { publishWithin } from '../bus/pg.bus.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { Metrics } from '../http/metrics.ts';
import { type Page, type PageRequest, toPage } from '../http/page.ts';
import { Log } from '../http/problem.filter.ts';
import { StepUps } from '../http/step-up.ts';
import { accountsOf } from '../identity/same-person.ts';
import { Keys } from '../keys/keys.ts';
import { Listening } from '../listening.ts';
import { hideDetected } from '../masking/detected.ts';
import { Outbox } from '../notify/outbox.ts';
import { SystemClock } from '../time.ts';
import { type ApprovalFilter, type ApprovalView, type Names, showApproval } from './approvals.dto.ts';
import { ApprovalsRepository, type RequestWithVotes } from './approvals.repository.ts';
import { mayAnswer, tally } from './tally.ts';

const SWEEP_MS = 500;
const SWEEP_BATCH = 50;
/** How long an agent that was away still gets an answer. */
const ANSWERS_KEPT_MS = 24 * 60 * 60_000;
const REQUEST_BYTES_MAX = 1024 * 1024;

export interface AgentSource {
  readonly agentId: string;
  readonly projectId: string;
}

@Injectable()
export class Approvals implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  readonly #answers: Counter<'state'>;
  constructor(
    private readonly database: Database,
    private readonly repository: ApprovalsRepository,
    private readonly keys: Keys,
    private readonly outbox: Outbox,
    private readonly listening: Listening,
    private readonly stepUps: StepUps,
    private readonly clock: SystemClock,
    private readonly log: Log,
    metrics: Metrics,
  ) {
    this.#answers = new Counter({
      name: 'sallyport_approvals_total',
      help: 'Approval requests by how they ended.',
      labelNames: ['state'],
      registers: [metrics.registry],
    });
  }

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => {
      this.sweep().catch((cause: unknown) => this.log.warn('approval requests could not be swept', { cause }));
    }, SWEEP_MS);
    this.#timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }

  /**
   * A request from the agent that holds the statement; idempotent by its id.
   * @param announced told the id before anybody can answer, so that the answer finds its way
   * @returns the signed answer when it was given while the agent was away
   * @throws GatewayError `protocol.malformed` when it is not a request of that agent
   */
  async open(
    source: AgentSource,
    bytes: Uint8Array,
    announced: (id: string) => boolean,
  ): Promise<{ readonly id: string; readonly signed: string | undefined }> {
    const request = readRequest(source, bytes);
    if (!announced(request.id)) throw new GatewayError('request.throttled', { what: 'approvals' });
    const signed = await this.database.transaction(async (tx) => {
      const expiresAt = Math.min(request.expiresAt, this.clock.nowMs() + LIMITS.approvalWaitMsMax);
      if (await this.repository.insert(tx, rowOf(request, expiresAt))) {
        await this.#tell(tx, request, expiresAt);
        return undefined;
      }
      const known = await this.repository.lock(tx, request.id);
      if (known === null || known.agentId !== source.agentId || known.digest !== request.digest)
        throw new GatewayError('protocol.malformed', { approval: request.id });
      return known.state === 'consumed' ? undefined : (known.signed ?? undefined);
    });
    return { id: request.id, signed };
  }

  /** The client went away before an answer. */
  async withdraw(agentId: string, id: string, reason: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const known = await this.repository.lock(tx, id);
      if (known === null || known.agentId !== agentId || known.state !== 'pending') return;
      await this.repository.finish(tx, id, {
        state: 'withdrawn',
        reason: reason.slice(0, 500),
        answeredAt: this.clock.now(),
      });
      this.#answers.inc({ state: 'withdrawn' });
    });
  }

  /** A ticket was used. A second use is not: it raises an alarm. */
  async consume(agentId: string, id: string, sessionId: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      if (await this.repository.consume(tx, id, agentId, this.clock.now())) return;
      const known = await this.repository.lock(tx, id);
      this.log.error('an approval was used that was not there to use', {
        approval: id,
        agent: agentId,
        session: sessionId,
        state: known?.state,
      });
      if (known !== null)
        await this.outbox.add(tx, known.projectId, 'trail.alarm', {
          agentId,
          approvalId: id,
          alarm: 'an approval was used twice',
        });
    });
  }

  /** The inbox and the history. Who may not answer sees their own requests alone, unless they may read sessions. */
  async list(caller: Caller, filter: ApprovalFilter, page: PageRequest): Promise<Page<ApprovalView>> {
    const groups = await this.repository.groupsOf(caller.projectId, caller.principal.id);
    const conditions: Prisma.ApprovalRequestWhereInput[] = [{ projectId: caller.projectId }];
    if (filter.state !== undefined) conditions.push({ state: filter.state });
    if (filter.resource !== undefined) conditions.push({ resourceId: filter.resource });
    if (filter.session !== undefined) conditions.push({ sessionId: filter.session });
    if (filter.answerable === true) conditions.push(answerableBy(caller, groups));
    else if (!caller.permissions.has('session:read'))
      conditions.push({ OR: [ownedBy(caller), answerableBy(caller, groups)] });
    const rows = await this.repository.list({ AND: conditions }, page);
    const names = await this.#names(rows);
    return toPage(rows, page, (row) => showApproval(row, this.#answerable(caller, groups, row), names));
  }

  /** @throws GatewayError `request.not_found`, also for one that the caller may not see */
  async get(caller: Caller, id: string): Promise<ApprovalView> {
    const row = await this.repository.find(caller.projectId, id);
    const groups = await this.repository.groupsOf(caller.projectId, caller.principal.id);
    if (row === null || !this.#visible(caller, groups, row))
      throw new GatewayError('request.not_found', { approval: id });
    return showApproval(row, this.#answerable(caller, groups, row), await this.#names([row]));
  }

  /**
   * One person's answer.
   * @throws GatewayError `approval.not_yours`, `approval.answered`, `approval.expired`; InvalidRequest for a refusal without a reason
   */
  async answer(caller: Caller, id: string, granted: boolean, given: string): Promise<ApprovalView> {
    // It goes to the client, to other approvers and to notifiers; an approver may have copied a value into it.
    const reason = shown(given.trim());
    if (!granted && reason === '') throw new InvalidRequest([{ field: 'reason', message: 'a refusal needs a reason' }]);
    const groups = await this.repository.groupsOf(caller.projectId, caller.principal.id);
    await this.database.transaction(async (tx) => {
      const row = await this.repository.lock(tx, id);
      if (row === null || row.projectId !== caller.projectId || !this.#visible(caller, groups, row))
        throw new GatewayError('request.not_found', { approval: id });
      if (!mayAnswer(row, { id: caller.principal.id, kind: caller.principal.kind, groups }))
        throw new GatewayError('approval.not_yours', { approval: id });
      // A second account of theirs is still the same person: not another approver, and never the requester's.
      const accounts = await accountsOf(tx, [caller.principal.id]);
      if (accounts.has(row.principalId) || (row.onBehalfOfId !== null && accounts.has(row.onBehalfOfId)))
        throw new GatewayError('approval.not_yours', { approval: id });
      if (row.state !== 'pending' || row.votes.some((vote) => accounts.has(vote.principalId)))
        throw new GatewayError('approval.answered', { approval: id });
      if (row.expiresAt.getTime() <= this.clock.nowMs()) throw new GatewayError('approval.expired', { approval: id });
      // Saying no needs no more than being an approver.
      if (granted) this.stepUps.require(caller, (row.body as unknown as ApprovalRequest).approval.stepUp);
      const vote = {
        projectId: caller.projectId,
        requestId: id,
        principalId: caller.principal.id,
        granted,
        reason: reason === '' ? null : reason,
      };
      await this.repository.addVote(tx, vote);
      const votes = [...row.votes, vote];
      await recordActOf(tx, caller, granted ? 'approval.approved' : 'approval.denied', `approval/${id}`, {
        digest: row.digest,
        resourceId: row.resourceId,
        sessionId: row.sessionId,
        reason: vote.reason ?? '',
        votes: votes.length,
        wanted: row.count,
      });
      const state = tally(row, votes);
      if (state !== 'pending') await this.#finish(tx, row, state, votes, vote.reason ?? '');
    });
    return await this.get(caller, id);
  }

  async #names(rows: readonly RequestWithVotes[]): Promise<Names> {
    return {
      resources: await this.repository.resourceNames(rows.map((row) => row.resourceId)),
      voters: await this.repository.principalNames(rows.flatMap((row) => row.votes.map((vote) => vote.principalId))),
    };
  }

  /** The signed answer to one request, once there is one. */
  async signedAnswer(id: string): Promise<string | undefined> {
    return (await this.repository.signed(id))?.signed ?? undefined;
  }

  /** Approved tickets that an agent may not know of and has not used. */
  async ticketsFor(agentId: string): Promise<readonly { id: string; signed: string }[]> {
    const rows = await this.repository.openTickets(agentId, new Date(this.clock.nowMs() - ANSWERS_KEPT_MS));
    return rows.flatMap(({ id, signed }) => (signed === null ? [] : [{ id, signed }]));
  }

  /** Ends what nobody answered in time. Every replica calls it; each row is one replica's. */
  async sweep(): Promise<void> {
    const due = await this.database.client.approvalRequest.count({
      where: { state: 'pending', expiresAt: { lte: this.clock.now() } },
      take: 1,
    });
    if (due === 0) return;
    await this.database.transaction(async (tx) => {
      for (const id of await this.repository.overdue(tx, SWEEP_BATCH)) {
        const row = await this.repository.lock(tx, id);
        if (row === null || row.state !== 'pending') continue;
        await recordAct(tx, {
          projectId: row.projectId,
          principal: undefined,
          action: 'approval.expired',
          target: `approval/${id}`,
          detail: { digest: row.digest, votes: row.votes.length, wanted: row.count },
          requestId: 'sweep',
        });
        await this.#finish(tx, row, 'expired', row.votes, 'nobody answered in time');
      }
    });
  }

  async #finish(
    tx: Tx,
    row: RequestWithVotes,
    state: 'approved' | 'denied' | 'expired',
    votes: readonly { readonly principalId: string; readonly granted: boolean }[],
    reason: string,
  ): Promise<void> {
    const now = this.clock.nowMs();
    const granted = state === 'approved';
    const deciding = votes
      .filter((vote) => vote.granted === granted || state === 'expired')
      .map((vote) => vote.principalId);
    const known = await this.repository.principals(deciding, tx);
    const by = deciding
      .flatMap((id) => known.filter((entry) => entry.id === id))
      .map((entry) => ({ id: entry.id, name: entry.name, kind: entry.kind as PrincipalKind }));
    const request = row.body as unknown as ApprovalRequest;
    const approval: Approval = {
      id: row.id,
      digest: row.digest,
      scope: request.scope,
      agentId: row.agentId,
      resourceId: row.resourceId,
      principalId: row.principalId,
      granted,
      by: state === 'expired' ? [] : by,
      ...(reason === '' ? {} : { reason }),
      ...(granted && request.approval.stepUp !== undefined ? { stepUp: request.approval.stepUp } : {}),
      answeredAt: now,
      // A ticket is for a later run of the statement; a wait ends with the request.
      expiresAt: row.mode === 'ticket' ? now + request.approval.expiresMs : row.expiresAt.getTime(),
    };
    const signed = await this.keys.signJws('approval', 'sallyport-approval+jwt', approval);
    await this.repository.finish(tx, row.id, {
      state,
      reason: reason === '' ? null : reason,
      signed,
      answeredAt: new Date(now),
    });
    await publishWithin(tx, 'approval', { agentId: row.agentId, requestId: row.id });
    await this.outbox.add(tx, row.projectId, 'approval.answered', {
      id: row.id,
      state,
      by: by.map((entry) => entry.name).join(', '),
      reason,
    });
    this.#answers.inc({ state });
  }

  async #tell(tx: Tx, request: ApprovalRequest, expiresAt: number): Promise<void> {
    await this.outbox.add(tx, request.projectId, 'approval.requested', {
      id: request.id,
      principal: request.principal.name,
      onBehalfOf: request.onBehalfOf?.name ?? '',
      resource: await this.repository.resourceName(tx, request.resourceId),
      database: request.database,
      sessionId: request.sessionId,
      mode: request.mode,
      statement: request.text,
      parameters: request.parameters.map((text) => text ?? null),
      effects: [...request.effects],
      inTransaction: request.inTransaction,
      wroteInTransaction: request.wroteInTransaction,
      statementsBefore: request.statementsBefore,
      writesBefore: request.writesBefore,
      rule: request.rule,
      reason: request.reason,
      groups: [...request.approval.groups],
      count: request.approval.count,
      expiresAt: new Date(expiresAt).toISOString(),
      url: `${this.listening.publicUrl()}/v1/approvals/${request.id}`,
    });
  }

  #answerable(caller: Caller, groups: ReadonlySet<string>, row: RequestWithVotes): boolean {
    return (
      caller.permissions.has('approval:answer') &&
      row.state === 'pending' &&
      mayAnswer(row, { id: caller.principal.id, kind: caller.principal.kind, groups }) &&
      !row.votes.some((vote) => vote.principalId === caller.principal.id)
    );
  }

  #visible(caller: Caller, groups: ReadonlySet<string>, row: RequestWithVotes): boolean {
    const own = row.principalId === caller.principal.id || row.onBehalfOfId === caller.principal.id;
    return (
      own ||
      caller.permissions.has('session:read') ||
      mayAnswer(row, { id: caller.principal.id, kind: caller.principal.kind, groups })
    );
  }
}

const ownedBy = (caller: Caller): Prisma.ApprovalRequestWhereInput => ({
  OR: [{ principalId: caller.principal.id }, { onBehalfOfId: caller.principal.id }],
});

/** The same rule as `mayAnswer`, for the database; votes already given leave the inbox. */
const answerableBy = (caller: Caller, groups: ReadonlySet<string>): Prisma.ApprovalRequestWhereInput =>
  caller.principal.kind !== 'person'
    ? { id: '' }
    : {
        state: 'pending',
        principalId: { not: caller.principal.id },
        AND: [
          { OR: [{ onBehalfOfId: null }, { onBehalfOfId: { not: caller.principal.id } }] },
          { OR: [{ groups: { isEmpty: true } }, { groups: { hasSome: [...groups] } }] },
        ],
        votes: { none: { principalId: caller.principal.id } },
      };

/** PostgreSQL keeps no NUL in a text. */
const shown = (text: string): string => hideDetected(text).replaceAll('\0', '\uFFFD');

function readRequest(source: AgentSource, bytes: Uint8Array): ApprovalRequest {
  if (bytes.length > REQUEST_BYTES_MAX) throw new GatewayError('frame.too_large', { what: 'approval' });
  try {
    const request = parseApprovalRequest(JSON.parse(Buffer.from(bytes).toString('utf8')), '');
    if (request.agentId !== source.agentId || request.projectId !== source.projectId)
      throw new ParseError('agentId', 'another agent');
    return {
      ...request,
      // They passed the agent's detectors already; an old agent may know fewer.
      text: shown(request.text),
      parameters: request.parameters.map((text) => (text === undefined ? undefined : shown(text))),
      recentStatements: request.recentStatements.map(shown),
    };
  } catch (cause) {
    throw new GatewayError('protocol.malformed', { what: 'approval' }, { cause });
  }
}

const rowOf = (request: ApprovalRequest, expiresAt: number): Prisma.ApprovalRequestCreateManyInput => ({
  id: request.id,
  projectId: request.projectId,
  agentId: request.agentId,
  sessionId: request.sessionId,
  resourceId: request.resourceId,
  principalId: request.principal.id,
  onBehalfOfId: request.onBehalfOf?.id ?? null,
  digest: request.digest,
  mode: request.mode,
  rule: request.rule,
  body: JSON.parse(
    JSON.stringify({ ...request, parameters: request.parameters.map((text) => text ?? null) }),
  ) as Prisma.InputJsonObject,
  groups: [...request.approval.groups],
  count: Math.max(1, request.approval.count),
  requestedAt: new Date(request.requestedAt),
  expiresAt: new Date(expiresAt),
});
