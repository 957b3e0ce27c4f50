/**
 * Holds waiting for persons. The agent mints a request and announces it as often as it likes; here it is one row, answered
 * once, by distinct persons who are neither the requester nor whom they act for. The answer is signed and pushed to the
 * agent that holds it. State is in the database alone: a restart on either side loses nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError, LIMITS } from '@sallyport/core';
import type { ApprovalRequest } from '@sallyport/model';
import { recordAct, recordActOf } from '../acts/acts.ts';
import { Database, type Tx } from '../db/database.ts';
import { resourceIds } from '../db/reference.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, type PageRequest, toPage } from '../http/page.ts';
import { Log } from '../http/problem.filter.ts';
import { StepUps } from '../http/step-up.ts';
import { Revocations } from '../identity/revocations.ts';
import { accountsOf, personsOf } from '../identity/same-person.ts';
import { handsBehindSession, lineageOf } from '../identity/token-lineage.ts';
import { Outbox } from '../notify/outbox.ts';
import { SystemClock } from '../time.ts';
import { type AgentSource, readRequest, rowOf, shown } from './announced.ts';
import { ApprovalEnds, askersOf, type CountedVote } from './approval-ends.ts';
import { type ApprovalFilter, type ApprovalView, type Names, showApproval } from './approvals.dto.ts';
import { ApprovalsRepository, type RequestWithVotes } from './approvals.repository.ts';
import { type Approver, answerableBy, isAnswerable, isVisible, ownedBy } from './inbox.ts';
import { Seats } from './seats.service.ts';
import { missing, seatOf, seatsTaken, stillCounted, tally, type Vote, wasAsked } from './tally.ts';
import { type GivenTerms, readTerms } from './terms.ts';

const LOST = 'the agent that held the statement was started anew: it did not run';
const SWEEP_MS = 500;
const SWEEP_BATCH = 50;
/**
 * An agent names a request to its client as it sends it here: whoever is quick knows the id before its row is written. The
 * record of its session comes by another lane, after the request where many upload.
 */
const ARRIVES_MS_MAX = 2_000;
const LOOK_EVERY_MS = 100;
const MINTED = /^apr-[a-z0-9]{6,40}$/;
/** How long an agent that was away still gets an answer. */
const ANSWERS_KEPT_MS = 24 * 60 * 60_000;

/** One person's answer. */
export interface GivenAnswer extends GivenTerms {
  readonly granted: boolean;
  readonly reason: string;
}

@Injectable()
export class Approvals implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  constructor(
    private readonly database: Database,
    private readonly repository: ApprovalsRepository,
    private readonly ends: ApprovalEnds,
    private readonly outbox: Outbox,
    private readonly seats: Seats,
    private readonly revocations: Revocations,
    private readonly stepUps: StepUps,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

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
      if (await this.repository.insert(tx, rowOf(source, request, expiresAt, this.clock.nowMs()))) {
        await this.ends.tell(tx, 'approval.requested', request, expiresAt);
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
      // Where it was asked there is nothing left to press; who asked has gone by themselves.
      await this.ends.tellEnd(tx, known, 'withdrawn', { name: '', reason: '' });
    });
  }

  /**
   * A process of an agent has started: what the one before it in its slot held is held by nobody, so no answer may be asked
   * for or given any more. Tickets stay: they are for a later run of their statement.
   */
  async started(source: AgentSource): Promise<void> {
    if (source.chainEpoch === 0) return;
    for (const id of await this.repository.heldBefore(source)) {
      await this.database.transaction(async (tx) => {
        const row = await this.repository.lock(tx, id);
        if (row === null || row.state !== 'pending') return;
        await this.repository.finish(tx, id, { state: 'lost', reason: LOST, answeredAt: this.clock.now() });
        await recordAct(tx, {
          projectId: row.projectId,
          principal: undefined,
          action: 'approval.lost',
          target: `approval/${id}`,
          detail: { digest: row.digest, agentId: row.agentId, votes: row.votes.length, wanted: row.count },
          requestId: 'link',
        });
        const asker = row.body as unknown as ApprovalRequest;
        await this.ends.tellEnd(tx, row, 'lost', { name: '', reason: LOST }, askersOf(asker));
      });
    }
  }

  /** A ticket was used. A second use is not: it raises an alarm. */
  async consume(agentId: string, id: string, sessionId: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      if (await this.repository.consume(tx, id, agentId, this.clock.now())) return;
      const found = await this.repository.lock(tx, id);
      const known = found?.agentId === agentId ? found : null;
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
    const approver = await this.#approver(caller);
    const conditions: Prisma.ApprovalRequestWhereInput[] = [{ projectId: caller.projectId }];
    if (filter.state !== undefined) conditions.push({ state: filter.state });
    if (filter.resource !== undefined)
      conditions.push({
        resourceId: { in: [...(await resourceIds(this.database.client, caller.projectId, filter.resource))] },
      });
    if (filter.session !== undefined) conditions.push({ sessionId: filter.session });
    if (filter.answerable === true) conditions.push(answerableBy(caller, approver));
    else if (!caller.permissions.has('session:read'))
      conditions.push({ OR: [ownedBy(caller), answerableBy(caller, approver)] });
    const rows = await this.repository.list({ AND: conditions }, page);
    const names = await this.#names(rows);
    const left = new Map<string, number>();
    for (const row of rows) left.set(row.id, await this.#missing(row));
    return toPage(rows, page, (row) =>
      showApproval(row, isAnswerable(caller, approver, row), names, left.get(row.id) ?? row.count),
    );
  }

  /** @throws GatewayError `request.not_found`, also for one that the caller may not see */
  async get(caller: Caller, id: string): Promise<ApprovalView> {
    await this.#arrived(caller.projectId, id);
    const row = await this.repository.find(caller.projectId, id);
    const approver = await this.#approver(caller);
    if (row === null || !isVisible(caller, approver, row))
      throw new GatewayError('request.not_found', { approval: id });
    return showApproval(row, isAnswerable(caller, approver, row), await this.#names([row]), await this.#missing(row));
  }

  /** Waits, for a moment, until a request that an agent has named is here. Whether it came is for who looks next. */
  async #arrived(
    projectId: string,
    id: string,
    isHere = (_row: RequestWithVotes) => Promise.resolve(true),
  ): Promise<void> {
    if (!MINTED.test(id)) return;
    const until = this.clock.nowMs() + ARRIVES_MS_MAX;
    for (;;) {
      const row = await this.repository.find(projectId, id);
      if ((row !== null && (await isHere(row))) || this.clock.nowMs() >= until) return;
      await sleep(LOOK_EVERY_MS);
    }
  }

  /**
   * One person's answer.
   * @throws GatewayError `approval.not_yours`, `approval.answered`, `approval.expired`, `approval.shape`, `approval.early`;
   * InvalidRequest for a refusal without a reason and for a shape beyond what the rule allows
   */
  async answer(caller: Caller, id: string, given: GivenAnswer): Promise<ApprovalView> {
    const { granted } = given;
    // It goes to the client, to other approvers and to notifiers; an approver may have copied a value into it.
    const reason = shown(given.reason.trim());
    if (!granted && reason === '') throw new InvalidRequest([{ field: 'reason', message: 'a refusal needs a reason' }]);
    await this.#arrived(
      caller.projectId,
      id,
      async (row) =>
        !granted || !isForPerson(row) || (await handsBehindSession(this.database.client, row.sessionId)) !== undefined,
    );
    await this.database.transaction(async (tx) => {
      const { row, approver } = await this.#locked(tx, caller, id);
      const seat = seatOf(row, approver.voter, seatsTaken(row.votes));
      // A second account of theirs is still the same person: not another approver, and never the requester's.
      const accounts = await accountsOf(tx, [caller.principal.id]);
      const seated = seat === undefined ? accounts : await accountsOf(tx, [seat]);
      // A token that the requester made for another account is the requester's hand, and so is one made for the requester.
      const hands = await lineageOf(tx, caller.tokenId);
      const askers = [row.principalId, row.onBehalfOfId].filter((one) => one !== null);
      const theirs = await accountsOf(tx, askers);
      const makers = await handsBehindSession(tx, row.sessionId);
      const behind = await accountsOf(tx, makers ?? []);
      const isTheirs = [...accounts, ...seated, ...hands].some((one) => theirs.has(one));
      if (isTheirs || [...accounts, ...seated].some((one) => behind.has(one)))
        throw new GatewayError('approval.not_yours', { approval: id });
      const hasAnswered = row.votes.some(
        (vote) =>
          accounts.has(vote.principalId) || (seat !== undefined && seated.has(vote.seatOfId ?? vote.principalId)),
      );
      if (seat === undefined && !hasAnswered) throw new GatewayError('approval.not_yours', { approval: id });
      if (row.state !== 'pending' || hasAnswered || seat === undefined)
        throw new GatewayError('approval.answered', { approval: id });
      if (row.expiresAt.getTime() <= this.clock.nowMs()) throw new GatewayError('approval.expired', { approval: id });
      // Nobody knows yet who made the token it was asked by; saying no needs nobody to.
      if (granted && makers === undefined && isForPerson(row))
        throw new GatewayError('approval.early', { approval: id });
      // Saying no needs no more than being an approver.
      if (granted) this.stepUps.require(caller, (row.body as unknown as ApprovalRequest).approval.stepUp);
      const terms = granted ? readTerms(row.body as unknown as ApprovalRequest, given) : undefined;
      const vote = {
        projectId: caller.projectId,
        requestId: id,
        principalId: caller.principal.id,
        granted,
        reason: reason === '' ? null : reason,
        seatOfId: seat === caller.principal.id ? null : seat,
        ...(terms === undefined ? {} : { terms }),
      };
      await this.repository.addVote(tx, vote);
      const votes: readonly CountedVote[] = [...row.votes, { ...vote, terms }];
      await recordActOf(tx, caller, granted ? 'approval.approved' : 'approval.denied', `approval/${id}`, {
        digest: row.digest,
        resourceId: row.resourceId,
        sessionId: row.sessionId,
        reason: vote.reason ?? '',
        votes: votes.length,
        wanted: row.count,
        ...(vote.seatOfId === null ? {} : { seatOf: vote.seatOfId }),
        ...(terms === undefined ? {} : { scope: 'shape', ...terms }),
      });
      const counted = await this.#counted(tx, row, votes);
      const state = tally(row, counted, votes.length > 1 ? await this.#persons(tx, row, counted) : undefined);
      if (state !== 'pending') await this.ends.finish(tx, row, state, counted, vote.reason ?? '');
    });
    return await this.get(caller, id);
  }

  /** Votes as they count now: who answered may have lost the right since. */
  async #counted<V extends Vote>(tx: Tx, row: RequestWithVotes, votes: readonly V[]): Promise<readonly V[]> {
    return stillCounted(row, votes, await this.repository.standings(votes.flatMap(idsOf), tx));
  }

  #persons(tx: Tx, row: RequestWithVotes, votes: readonly Vote[]): Promise<ReadonlyMap<string, string>> {
    const askers = [row.principalId, row.onBehalfOfId].filter((one) => one !== null);
    return personsOf(tx, [...askers, ...votes.flatMap(idsOf)]);
  }

  async #missing(row: RequestWithVotes): Promise<number> {
    if (row.state !== 'pending') return 0;
    if (row.votes.length === 0) return Math.max(1, row.count);
    const { client } = this.database;
    const counted = await this.#counted(client, row, row.votes);
    // Where those who left came back, it is the next yes that ends it.
    return Math.max(1, missing(row, counted, await this.#persons(client, row, counted)));
  }

  /**
   * Takes a shape back before its time: agents hear of it with their next bundle.
   * @throws GatewayError `approval.not_yours`; `approval.shape` for anything but a shape that is in force
   */
  async revoke(caller: Caller, id: string, given: string): Promise<ApprovalView> {
    const reason = shown(given.trim());
    await this.database.transaction(async (tx) => {
      const { row, approver } = await this.#locked(tx, caller, id);
      const voted = row.votes.some((vote) => vote.principalId === caller.principal.id);
      if (!voted && !wasAsked(row, approver.voter)) throw new GatewayError('approval.not_yours', { approval: id });
      if (row.state !== 'approved' || row.scope !== 'shape' || (row.grantUntil?.getTime() ?? 0) <= this.clock.nowMs())
        throw new GatewayError('approval.shape', { approval: id, state: row.state });
      await this.repository.finish(tx, id, { state: 'revoked', revokedAt: this.clock.now() });
      await this.revocations.revoke(tx, row.projectId, 'approval', id);
      await recordActOf(tx, caller, 'approval.revoked', `approval/${id}`, { digest: row.digest, reason });
      const asker = row.body as unknown as ApprovalRequest;
      await this.ends.tellEnd(tx, row, 'revoked', { name: caller.principal.name, reason }, askersOf(asker));
    });
    return await this.get(caller, id);
  }

  /** Hands the caller's seat at one request to another person. @throws GatewayError `approval.delegate` and as `answer` */
  async delegate(caller: Caller, id: string, to: string, reason: string): Promise<ApprovalView> {
    await this.database.transaction(async (tx) => {
      const { row, approver } = await this.#locked(tx, caller, id);
      if (row.state !== 'pending') throw new GatewayError('approval.answered', { approval: id });
      const successor = await this.seats.handOver(tx, caller, approver.groups, row, to, reason);
      await this.outbox.add(tx, row.projectId, 'approval.delegated', {
        id,
        by: caller.principal.name,
        to: successor.name,
        reason: shown(reason),
      });
    });
    return await this.get(caller, id);
  }

  /** By whoever may see it; values are hidden before it is kept. @throws GatewayError `request.conflict` when there are too many */
  async comment(caller: Caller, id: string, text: string): Promise<ApprovalView> {
    await this.database.transaction(async (tx) => {
      const { row } = await this.#locked(tx, caller, id);
      if (row.comments.length >= LIMITS.commentsPerApprovalMax)
        throw new GatewayError('request.conflict', { approval: id });
      const hidden = shown(text.trim());
      const commentId = this.clock.id();
      await this.repository.addComment(tx, {
        id: commentId,
        projectId: row.projectId,
        requestId: id,
        principalId: caller.principal.id,
        text: hidden,
      });
      await recordActOf(tx, caller, 'approval.commented', `approval/${id}`, { comment: commentId, text: hidden });
      await this.outbox.add(tx, row.projectId, 'approval.commented', { id, by: caller.principal.name, text: hidden });
    });
    return await this.get(caller, id);
  }

  /** The row, locked, as far as the caller may see it. @throws GatewayError `request.not_found` */
  async #locked(
    tx: Tx,
    caller: Caller,
    id: string,
  ): Promise<{ readonly row: RequestWithVotes; readonly approver: Approver }> {
    const row = await this.repository.lock(tx, id);
    const approver = await this.#approver(caller, tx);
    if (row === null || row.projectId !== caller.projectId || !isVisible(caller, approver, row))
      throw new GatewayError('request.not_found', { approval: id });
    return { row, approver };
  }

  async #approver(caller: Caller, tx?: Tx): Promise<Approver> {
    const { id, kind } = caller.principal;
    const groups = await this.repository.groupsOf(caller.projectId, id);
    const seats = kind === 'person' ? await this.seats.seatsOf(caller, tx) : [];
    const givenAway = await this.seats.givenBy(caller, tx);
    return { voter: { id, kind, groups, seats, givenAway }, groups, seats, givenAway };
  }

  async #names(rows: readonly RequestWithVotes[]): Promise<Names> {
    return {
      resources: await this.repository.resourceNames(rows),
      voters: await this.repository.principalNames(
        rows.flatMap((row) => [
          ...row.votes.flatMap((vote) => [vote.principalId, ...(vote.seatOfId === null ? [] : [vote.seatOfId])]),
          ...row.comments.map((comment) => comment.principalId),
        ]),
      ),
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

  /** Tickets that an agent asked for and nobody has answered. */
  askedTickets(agentId: string): Promise<readonly string[]> {
    return this.repository.askedTickets(agentId);
  }

  /** Asks further groups about what nobody answered, and ends it when its time is over. Each row is one replica's. */
  async sweep(): Promise<void> {
    await this.#escalate();
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
        await this.ends.finish(tx, row, 'expired', row.votes, 'nobody answered in time');
      }
    });
  }

  async #escalate(): Promise<void> {
    const due = await this.database.client.approvalRequest.count({
      where: { state: 'pending', escalatedAt: null, escalateAt: { lte: this.clock.now() } },
      take: 1,
    });
    if (due === 0) return;
    await this.database.transaction(async (tx) => {
      for (const id of await this.repository.unanswered(tx, SWEEP_BATCH)) {
        const row = await this.repository.lock(tx, id);
        if (row === null || row.state !== 'pending' || row.escalatedAt !== null) continue;
        const groups = [...new Set([...row.groups, ...row.escalateGroups])];
        await this.repository.finish(tx, id, { groups, escalatedAt: this.clock.now() });
        await recordAct(tx, {
          projectId: row.projectId,
          principal: undefined,
          action: 'approval.escalated',
          target: `approval/${id}`,
          detail: { digest: row.digest, groups: [...row.escalateGroups] },
          requestId: 'sweep',
        });
        await this.ends.tell(
          tx,
          'approval.escalated',
          row.body as unknown as ApprovalRequest,
          row.expiresAt.getTime(),
          groups,
        );
      }
    });
  }
}

const idsOf = ({ principalId, seatOfId }: Vote): string[] => [principalId, seatOfId ?? principalId];

const isForPerson = (row: RequestWithVotes): boolean => askersOf(row.body as unknown as ApprovalRequest).length > 0;
