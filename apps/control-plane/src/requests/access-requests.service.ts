/**
 * Access requests: asked, answered by distinct persons who are not involved, withdrawn, prolonged, expired. One row each,
 * locked for every change, so that two answers at once are one after the other. No HTTP, no Prisma client.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError, LIMITS, parseUuid } from '@sallyport/core';
import { EFFECTS, type PrincipalKind } from '@sallyport/model';
import { recordActOf, systemActor } from '../acts/acts.ts';
import { Database, type Tx } from '../db/database.ts';
import type { AccessPolicy, Prisma } from '../generated/prisma/client.ts';
import { Grants } from '../grants/grants.service.ts';
import type { Caller } from '../http/caller.ts';
import { showDuration } from '../http/duration.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, type PageRequest, toPage } from '../http/page.ts';
import { Log } from '../http/problem.filter.ts';
import { StepUps } from '../http/step-up.ts';
import { accountsOf, personsOf } from '../identity/same-person.ts';
import { lineageOf } from '../identity/token-lineage.ts';
import { hideDetected } from '../masking/detected.ts';
import { SystemClock } from '../time.ts';
import { AccessOutcomes, narrowed } from './access-outcomes.ts';
import { documentOf } from './access-policies.service.ts';
import { approverGroups, stepUpOf } from './access-policy.ts';
import {
  type AccessRequestFilter,
  type AccessRequestView,
  type ApproveAccess,
  type CreateAccessRequest,
  type ExtendAccessRequest,
  showRequest,
} from './access-requests.dto.ts';
import { AccessRequestsRepository, type RequestRow } from './access-requests.repository.ts';
import { DecisionCalls } from './decision-calls.ts';
import { covers, mayAsk, problemsOf, type Requester, type Wish } from './eligibility.ts';
import { isEnough, mayAnswer } from './quorum.ts';

const SWEEP_MS = 500;
const SWEEP_BATCH = 50;

@Injectable()
export class AccessRequests implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  constructor(
    private readonly database: Database,
    private readonly repository: AccessRequestsRepository,
    private readonly outcomes: AccessOutcomes,
    private readonly decisions: DecisionCalls,
    private readonly grants: Grants,
    private readonly stepUps: StepUps,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => {
      this.sweep().catch((cause: unknown) => this.log.warn('access requests could not be swept', { cause }));
    }, SWEEP_MS);
    this.#timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }

  /** What the caller may ask for today. */
  async options(caller: Caller) {
    const who = await this.#requester(caller);
    const resources = await this.repository.resources(caller.projectId);
    const policies = (await this.repository.policies(caller.projectId))
      .map(documentOf)
      .filter((one) => mayAsk(one, who));
    return {
      items: policies.map((policy) => ({
        policy: policy.name,
        description: policy.description,
        resources: resources
          .filter(({ name, labels }) =>
            covers(policy, { resource: { name, labels: labels as Record<string, string> }, labels: undefined }),
          )
          .map(({ name }) => name),
        effects: policy.effects,
        roles: policy.roles,
        durationMax: showDuration(policy.durationMax),
        ticket: policy.ticket.required,
        groups: approverGroups(policy),
      })),
    };
  }

  /**
   * @throws GatewayError `access.not_eligible` when no policy lets the caller ask, also for a resource that is not there;
   * InvalidRequest for more than the policy gives
   */
  async create(caller: Caller, ask: CreateAccessRequest): Promise<AccessRequestView> {
    const id = this.clock.id();
    await this.database.transaction(async (tx) => {
      const asking = await this.#requester(caller, tx);
      const target = ask.for === undefined ? asking : await this.#machine(caller, ask.for, tx);
      const wish = await this.#wish(tx, caller.projectId, ask);
      const policy = await this.#choose(tx, caller.projectId, ask.policy, [asking, target], wish);
      await this.#insert(tx, caller, id, policy, {
        principalId: target.id,
        principalName: target.name,
        principalKind: target.kind,
        resource: ask.resource ?? null,
        ...(ask.labels === undefined ? {} : { labels: ask.labels }),
        effects: EFFECTS.filter((effect) => ask.effects.includes(effect)),
        roles: [...new Set(ask.roles)],
        durationMs: BigInt(ask.duration),
        startAt: ask.startAt === undefined ? null : new Date(ask.startAt),
        reason: shown(ask.reason),
        ticket: ask.ticket === undefined ? null : shown(ask.ticket),
      });
    });
    return await this.get(caller, id);
  }

  /**
   * Asks to prolong the grant of an approved request: the same policy, the same persons, a new answer.
   * @throws GatewayError `access.ended` when the grant is over
   */
  async extend(caller: Caller, reference: string, ask: ExtendAccessRequest): Promise<AccessRequestView> {
    const id = this.clock.id();
    await this.database.transaction(async (tx) => {
      const first = await this.#own(tx, caller, reference);
      const { grant } = first;
      const ended =
        grant === null || grant.revokedAt !== null || (grant.notAfter?.getTime() ?? 0) <= this.clock.nowMs();
      if (first.state !== 'approved' || first.extendsId !== null || ended)
        throw new GatewayError('access.ended', { request: reference });
      const policy = await this.repository.policy(caller.projectId, first.policyId, tx);
      if (policy === null) throw new GatewayError('access.not_eligible', { request: reference });
      const { times, durationMax } = documentOf(policy).extensions;
      if ((await this.repository.countExtensions(tx, first.id)) >= times)
        throw new InvalidRequest([{ field: 'duration', message: `${policy.name} prolongs a grant ${times} times` }]);
      if (ask.duration > durationMax)
        throw new InvalidRequest([
          { field: 'duration', message: `${policy.name} prolongs by at most ${showDuration(durationMax)}` },
        ]);
      await this.#insert(tx, caller, id, policy, {
        principalId: first.principalId,
        principalName: first.principalName,
        principalKind: first.principalKind,
        resource: first.resource,
        ...(first.labels === null ? {} : { labels: first.labels as Prisma.InputJsonObject }),
        effects: grant.effects,
        roles: grant.roles,
        durationMs: BigInt(ask.duration),
        reason: shown(ask.reason),
        ticket: first.ticket,
        extendsId: first.id,
      });
    });
    return await this.get(caller, id);
  }

  async list(caller: Caller, filter: AccessRequestFilter, page: PageRequest): Promise<Page<AccessRequestView>> {
    const me = await this.#requester(caller);
    const conditions: Prisma.AccessRequestWhereInput[] = [{ projectId: caller.projectId }];
    if (filter.state !== undefined) conditions.push({ state: filter.state });
    if (filter.resource !== undefined) conditions.push({ resource: filter.resource });
    if (filter.mine === 'true') conditions.push(ownedBy(caller));
    const policies = new Map((await this.repository.policies(caller.projectId)).map((row) => [row.id, row]));
    // Where a webhook alone decides there is nothing to answer.
    const withPersons = [...policies.values()].filter((row) => documentOf(row).approve !== undefined);
    const answerable = answerableBy(
      caller,
      me.groups,
      withPersons.map((row) => row.id),
    );
    if (filter.answerable === 'true') conditions.push(answerable);
    else if (!caller.permissions.has('grant:read')) conditions.push({ OR: [ownedBy(caller), answerable] });
    const rows = await this.repository.list({ AND: conditions }, page);
    const names = await this.#voters(rows);
    return toPage(rows, page, (row) =>
      showRequest(row, this.#answerable(caller, me, row, policies.get(row.policyId)), names),
    );
  }

  /** @throws GatewayError `request.not_found`, also for one that the caller may not see */
  async get(caller: Caller, id: string): Promise<AccessRequestView> {
    const me = await this.#requester(caller);
    const row = parseUuid(id) === undefined ? null : await this.repository.find(caller.projectId, id);
    const policy = row === null ? null : await this.repository.policy(caller.projectId, row.policyId);
    if (row === null || !this.#visible(caller, me, row, policy ?? undefined))
      throw new GatewayError('request.not_found', { request: id });
    return showRequest(row, this.#answerable(caller, me, row, policy ?? undefined), await this.#voters([row]));
  }

  /**
   * One person's answer.
   * @throws GatewayError `access.not_yours`, `access.answered`, `access.expired`, `access.not_eligible`, `access.ended`
   */
  async answer(caller: Caller, id: string, granted: boolean, given: ApproveAccess): Promise<AccessRequestView> {
    const reason = shown(given.reason?.trim() ?? '');
    if (!granted && reason === '') throw new InvalidRequest([{ field: 'reason', message: 'a refusal needs a reason' }]);
    await this.database.transaction(async (tx) => {
      const me = await this.#requester(caller, tx);
      const row = parseUuid(id) === undefined ? null : await this.repository.lock(tx, caller.projectId, id);
      const kept = row === null ? null : await this.repository.policy(caller.projectId, row.policyId, tx);
      if (row === null || !this.#visible(caller, me, row, kept ?? undefined))
        throw new GatewayError('request.not_found', { request: id });
      const policy = kept === null ? undefined : documentOf(kept);
      const asking = [row.principalId, row.requestedById];
      const now = this.clock.now();
      const involved = new Set([...row.involved, ...(await this.repository.behind(tx, row.projectId, asking, now))]);
      // A token that the requester made for another account is the requester's hand.
      const theirs = await accountsOf(tx, asking);
      const hands = await lineageOf(tx, caller.tokenId);
      if (hands.some((hand) => theirs.has(hand))) throw new GatewayError('access.not_yours', { request: id });
      if (!mayAnswer(policy?.approve, involved, { ...me, able: true }))
        throw new GatewayError('access.not_yours', { request: id });
      // A second account of theirs is the same person, and no second one.
      const accounts = await accountsOf(tx, [me.id]);
      if (row.state !== 'pending' || row.votes.some((vote) => accounts.has(vote.principalId)))
        throw new GatewayError('access.answered', { request: id });
      if (row.expiresAt.getTime() <= this.clock.nowMs()) throw new GatewayError('access.expired', { request: id });
      // Saying no needs no more than being an approver.
      if (granted) this.stepUps.require(caller, stepUpOf(policy));
      const { own, together } = narrowed(row, { effects: given.effects, durationMs: given.duration });
      const vote = {
        projectId: row.projectId,
        requestId: row.id,
        principalId: me.id,
        granted,
        reason: reason === '' ? null : reason,
        effects: [...own.effects],
        durationMs: BigInt(own.durationMs),
      };
      await this.repository.addVote(tx, vote);
      if (!granted) return await this.outcomes.end(tx, caller, row, 'denied', { names: me.name, reason });
      await recordActOf(tx, caller, 'access-request.approved', `access-request/${row.id}`, {
        effects: vote.effects,
        duration: showDuration(own.durationMs),
        reason,
        votes: row.votes.length + 1,
      });
      const ids = [...row.votes.filter((one) => one.granted).map((one) => one.principalId), me.id];
      const yes = (await this.repository.answerers(tx, row.projectId, ids)).filter((one) =>
        mayAnswer(policy?.approve, involved, one),
      );
      if (policy?.approve === undefined || !isEnough(policy.approve, yes, await personsOf(tx, ids))) return;
      const counted = yes.map((one) => one.id);
      const names = await this.repository.names(counted);
      await this.outcomes.approve(tx, caller, row, policy, together, {
        names: counted.map((one) => names.get(one) ?? '').join(', '),
        reason,
      });
    });
    return await this.get(caller, id);
  }

  /** By who asked or got it: while it waits, or to give a grant back before its end. */
  async withdraw(caller: Caller, id: string, given: string): Promise<AccessRequestView> {
    const by = { names: caller.principal.name, reason: shown(given.trim()) };
    await this.database.transaction(async (tx) => {
      const row = await this.#own(tx, caller, id);
      const isLive = row.grant !== null && row.grant.revokedAt === null && row.extendsId === null;
      if (row.state === 'approved' && isLive)
        await this.grants.end(tx, caller, await this.grants.find(caller.projectId, row.grant!.id, tx));
      else if (row.state !== 'pending') throw new GatewayError('access.answered', { request: id });
      await this.outcomes.end(tx, caller, row, 'withdrawn', by);
    });
    return await this.get(caller, id);
  }

  /**
   * Ends the grant before its time: by a person who said yes to it, or might have.
   * @throws GatewayError `access.not_yours`; `access.ended` when there is no grant that could end
   */
  async revoke(caller: Caller, id: string, given: string): Promise<AccessRequestView> {
    const by = { names: caller.principal.name, reason: shown(given.trim()) };
    await this.database.transaction(async (tx) => {
      const me = await this.#requester(caller, tx);
      const row = parseUuid(id) === undefined ? null : await this.repository.lock(tx, caller.projectId, id);
      const kept = row === null ? null : await this.repository.policy(caller.projectId, row.policyId, tx);
      const saidYes = row?.votes.some((vote) => vote.granted && vote.principalId === me.id) === true;
      if (row === null || !(saidYes || this.#visible(caller, me, row, kept ?? undefined)))
        throw new GatewayError('request.not_found', { request: id });
      const policy = kept === null ? undefined : documentOf(kept);
      if (!saidYes && !mayAnswer(policy?.approve, new Set(row.involved), { ...me, able: true }))
        throw new GatewayError('access.not_yours', { request: id });
      const { grant } = row;
      const isLive =
        grant !== null && grant.revokedAt === null && (grant.notAfter?.getTime() ?? 0) > this.clock.nowMs();
      if (row.state !== 'approved' || !isLive) throw new GatewayError('access.ended', { request: id });
      await this.grants.end(tx, caller, await this.grants.find(caller.projectId, grant.id, tx));
      await this.outcomes.end(tx, caller, row, 'revoked', by);
    });
    return await this.get(caller, id);
  }

  /** Ends what nobody answered in time. Every replica calls it; each row is one replica's. */
  async sweep(): Promise<void> {
    const now = this.clock.now();
    if (await this.repository.isOverdue(now))
      await this.#expire((tx) => this.repository.overdue(tx, now, SWEEP_BATCH), 'nobody answered in time');
    if (await this.repository.isProlonging())
      await this.#expire(
        (tx) => this.repository.pointless(tx, now, SWEEP_BATCH),
        'the grant it would prolong has ended',
      );
  }

  async #expire(
    which: (tx: Tx) => Promise<readonly { readonly id: string; readonly projectId: string }[]>,
    reason: string,
  ): Promise<void> {
    await this.database.transaction(async (tx) => {
      for (const { id, projectId } of await which(tx)) {
        const row = await this.repository.find(projectId, id, tx);
        if (row === null || row.state !== 'pending') continue;
        await this.outcomes.end(tx, systemActor(projectId, 'sweep'), row, 'expired', { names: '', reason });
      }
    });
  }

  async #insert(
    tx: Tx,
    caller: Caller,
    id: string,
    policyRow: AccessPolicy,
    fields: Omit<
      Prisma.AccessRequestUncheckedCreateInput,
      | 'id'
      | 'projectId'
      | 'policyId'
      | 'policyName'
      | 'requestedById'
      | 'requestedByName'
      | 'requestedByKind'
      | 'requestedAt'
      | 'expiresAt'
    >,
  ): Promise<void> {
    const policy = documentOf(policyRow);
    const now = this.clock.now();
    await this.repository.lockPrincipal(tx, caller.principal.id);
    if ((await this.repository.countPending(tx, caller.principal.id)) >= LIMITS.openAccessRequestsMax)
      throw new GatewayError('request.throttled', { open: LIMITS.openAccessRequestsMax });
    const row = await this.repository.insert(tx, {
      ...fields,
      id,
      projectId: caller.projectId,
      policyId: policyRow.id,
      policyName: policy.name,
      requestedById: caller.principal.id,
      requestedByName: caller.principal.name,
      requestedByKind: caller.principal.kind,
      involved: await this.repository.behind(
        tx,
        caller.projectId,
        [fields.principalId, caller.principal.id, ...(await lineageOf(tx, caller.tokenId))],
        now,
      ),
      groups: approverGroups(policy),
      decision: policy.decision === undefined ? null : 'wanted',
      requestedAt: now,
      expiresAt: new Date(now.getTime() + policy.answerWithin),
    });
    await recordActOf(tx, caller, 'access-request.created', `access-request/${id}`, {
      policy: policy.name,
      for: row.principalName,
      resource: row.resource ?? '',
      labels: (row.labels ?? {}) as Prisma.InputJsonObject,
      effects: row.effects,
      roles: row.roles,
      duration: showDuration(Number(row.durationMs)),
      reason: row.reason,
      ticket: row.ticket ?? '',
      extends: row.extendsId ?? '',
    });
    const whole: RequestRow = { ...row, votes: [], grant: null };
    if (policy.decision === undefined) await this.outcomes.ask(tx, whole, policy);
    else this.database.afterCommit(tx, () => this.decisions.wake());
  }

  async #requester(caller: Caller, tx?: Tx): Promise<Requester> {
    const groups = await this.repository.groupsOf(caller.projectId, caller.principal.id, tx);
    return { ...caller.principal, groups };
  }

  /** For whom else one may ask. A person asks in their own name. */
  async #machine(caller: Caller, reference: string, tx: Tx): Promise<Requester> {
    const row = await this.repository.principal(caller.projectId, reference, tx);
    if (row === null || (row.kind === 'person' && row.id !== caller.principal.id))
      throw new GatewayError('access.not_eligible', { for: reference });
    const groups = await this.repository.groupsOf(caller.projectId, row.id, tx);
    return { id: row.id, name: row.name, kind: row.kind as PrincipalKind, groups };
  }

  async #wish(tx: Tx, projectId: string, ask: CreateAccessRequest): Promise<Wish> {
    const resource = ask.resource === undefined ? null : await this.repository.resource(projectId, ask.resource, tx);
    const startsInMs = ask.startAt === undefined ? 0 : Date.parse(ask.startAt) - this.clock.nowMs();
    if (startsInMs < 0) throw new InvalidRequest([{ field: 'startAt', message: 'it lies in the past' }]);
    return {
      resource:
        resource === null ? undefined : { name: resource.name, labels: resource.labels as Record<string, string> },
      labels: ask.labels,
      effects: ask.effects,
      roles: ask.roles,
      durationMs: ask.duration,
      startsInMs,
      ticket: ask.ticket,
    };
  }

  async #choose(
    tx: Tx,
    projectId: string,
    name: string | undefined,
    who: readonly Requester[],
    wish: Wish,
  ): Promise<AccessPolicy> {
    const possible = (await this.repository.policies(projectId, tx)).filter(
      (row) =>
        (name === undefined || row.name === name) &&
        who.every((one) => mayAsk(documentOf(row), one)) &&
        covers(documentOf(row), wish),
    );
    if (possible.length === 0) throw new GatewayError('access.not_eligible');
    const problems = possible.map((row) => ({ row, problems: problemsOf(documentOf(row), wish) }));
    const fitting = problems.filter((one) => one.problems.length === 0).map((one) => one.row);
    if (fitting.length === 0) throw new InvalidRequest(problems.flatMap((one) => one.problems));
    if (fitting.length > 1)
      throw new InvalidRequest([
        { field: 'policy', message: `name one of ${fitting.map((row) => row.name).join(', ')}` },
      ]);
    return fitting[0]!;
  }

  /** Locked. @throws GatewayError `request.not_found` when the caller may not see it, `access.not_yours` when it is another's */
  async #own(tx: Tx, caller: Caller, id: string): Promise<RequestRow> {
    const row = parseUuid(id) === undefined ? null : await this.repository.lock(tx, caller.projectId, id);
    const me = await this.#requester(caller, tx);
    const policy = row === null ? null : await this.repository.policy(caller.projectId, row.policyId, tx);
    if (row === null || !this.#visible(caller, me, row, policy ?? undefined))
      throw new GatewayError('request.not_found', { request: id });
    if (!isOwn(caller, row)) throw new GatewayError('access.not_yours', { request: id });
    return row;
  }

  async #voters(rows: readonly RequestRow[]): Promise<ReadonlyMap<string, string>> {
    return await this.repository.names(rows.flatMap((row) => row.votes.map((vote) => vote.principalId)));
  }

  #answerable(caller: Caller, me: Requester, row: RequestRow, policy: AccessPolicy | undefined): boolean {
    return (
      caller.permissions.has('access-request:answer') &&
      row.state === 'pending' &&
      policy !== undefined &&
      mayAnswer(documentOf(policy).approve, new Set(row.involved), { ...me, able: true }) &&
      !row.votes.some((vote) => vote.principalId === me.id)
    );
  }

  #visible(caller: Caller, me: Requester, row: RequestRow, policy: AccessPolicy | undefined): boolean {
    if (isOwn(caller, row) || caller.permissions.has('grant:read')) return true;
    if (!caller.permissions.has('access-request:answer') || policy === undefined) return false;
    return mayAnswer(documentOf(policy).approve, new Set(row.involved), { ...me, able: true });
  }
}

const isOwn = (caller: Caller, row: RequestRow): boolean =>
  row.principalId === caller.principal.id || row.requestedById === caller.principal.id;

const ownedBy = (caller: Caller): Prisma.AccessRequestWhereInput => ({
  OR: [{ principalId: caller.principal.id }, { requestedById: caller.principal.id }],
});

/** As `mayAnswer` judges, for the database; votes already given leave the inbox. */
const answerableBy = (
  caller: Caller,
  groups: ReadonlySet<string>,
  policyIds: readonly string[],
): Prisma.AccessRequestWhereInput =>
  caller.principal.kind !== 'person' || !caller.permissions.has('access-request:answer')
    ? { state: 'none' }
    : {
        state: 'pending',
        policyId: { in: [...policyIds] },
        NOT: { involved: { has: caller.principal.id } },
        OR: [{ groups: { isEmpty: true } }, { groups: { hasSome: [...groups] } }],
        votes: { none: { principalId: caller.principal.id } },
      };

/** Others read it, and notifiers carry it out of the house. */
const shown = (text: string): string => hideDetected(text);
