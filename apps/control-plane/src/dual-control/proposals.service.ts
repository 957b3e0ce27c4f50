/**
 * Change proposals: a write that needs two admins, kept as the call it was, and made once when a second person agrees: all of
 * it in one transaction with their answer, and only while everything it changes is as it was. The second person is never the
 * proposer, under no other account of theirs and with no token they had a hand in. What the call answered (a link, a secret)
 * is the proposer's alone. No HTTP, no Prisma.
 */
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { PrincipalKind } from '@sallyport/model';
import { type Actor, recordActOf, systemActor } from '../acts/acts.ts';
import { type Change, changeLogOf } from '../acts/changes.ts';
import { type Agreed, ambient } from '../db/ambient.ts';
import { Database, type Tx } from '../db/database.ts';
import type { ChangeProposal, Prisma } from '../generated/prisma/client.ts';
import { type Caller, requirePermission } from '../http/caller.ts';
import { type Page, toPage } from '../http/page.ts';
import { isPermission, permissionsIn } from '../http/permissions.ts';
import { Log } from '../http/problem.filter.ts';
import { accountsOf, isSamePerson } from '../identity/same-person.ts';
import { lineageOf } from '../identity/token-lineage.ts';
import { Envelope } from '../keys/envelope.ts';
import { openJson, sealJson } from '../keys/sealed-json.ts';
import { Outbox } from '../notify/outbox.ts';
import { SystemClock } from '../time.ts';
import type { ChangeProposalQuery, ChangeProposalView, DualControl, ProposalAnswer } from './proposals.dto.ts';
import { ProposalsRepository } from './proposals.repository.ts';
import { Replay, type Replayed } from './replay.ts';
import type { SecondAdminNeeded } from './second-admin.ts';

const EXPIRES_MS = 7 * 86_400_000;
const PENDING_MAX = 200;
const SWEEP_MS = 1_000;
const SWEEP_BATCH = 50;
const CHANGES_TOLD_MAX = 20;
const context = (id: string): string => `change-proposal/${id}`;
const answerContext = (id: string): string => `change-proposal/${id}/answer`;

/** A write as it came. */
export interface ProposedCall {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly body: unknown;
  /** What its route needs, one of. */
  readonly requires: readonly string[];
}

@Injectable()
export class Proposals implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  constructor(
    private readonly database: Database,
    private readonly repository: ProposalsRepository,
    private readonly replay: Replay,
    private readonly envelope: Envelope,
    private readonly outbox: Outbox,
    private readonly clock: SystemClock,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => {
      this.sweep().catch((cause: unknown) => this.log.warn('change proposals could not be swept', { cause }));
    }, SWEEP_MS);
    this.#timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }

  async list(caller: Caller, query: ChangeProposalQuery): Promise<Page<ChangeProposalView>> {
    const now = this.clock.now();
    const { state } = query;
    const filter: Prisma.ChangeProposalWhereInput =
      state === undefined
        ? {}
        : state === 'expired'
          ? { OR: [{ state }, { state: 'pending', expiresAt: { lte: now } }] }
          : state === 'pending'
            ? { state, expiresAt: { gt: now } }
            : { state };
    return toPage(await this.repository.list(caller.projectId, filter, query), query, (row) => show(row, now));
  }

  async get(caller: Caller, id: string): Promise<ChangeProposalView> {
    const row = await this.repository.find(caller.projectId, id);
    if (row === null) throw new GatewayError('request.not_found', { proposal: id });
    return show(row, this.clock.now());
  }

  /** Called by the interceptor after the change was rolled back. */
  async open(caller: Caller, call: ProposedCall, needed: SecondAdminNeeded): Promise<ChangeProposalView> {
    const now = this.clock.now();
    return await this.database.transaction(async (tx) => {
      if ((await this.repository.countPending(tx, caller.projectId, now)) >= PENDING_MAX)
        throw new GatewayError('request.throttled', { reason: 'too many proposals wait' });
      const id = this.clock.id();
      const row = await this.repository.insert(tx, {
        id,
        projectId: caller.projectId,
        areas: [...needed.areas],
        method: call.method,
        path: call.path,
        sealed: sealJson(this.envelope, call.body, context(id)),
        requires: [...call.requires],
        changes: needed.changes.all() as unknown as Prisma.InputJsonArray,
        baseline: needed.changes.baseline(),
        proposerId: caller.principal.id,
        proposerName: caller.principal.name,
        hands: [...(await lineageOf(tx, caller.tokenId))],
        permissions: [...caller.permissions],
        expiresAt: new Date(now.getTime() + EXPIRES_MS),
      });
      await this.#act(tx, caller, 'change.proposed', row);
      return show(row, now);
    });
  }

  /** @throws GatewayError `proposal.not_yours`, `proposal.stale`, `proposal.failed`, `approval.answered` */
  async approve(caller: Caller, id: string, reason: string | undefined): Promise<ChangeProposalView> {
    try {
      return await this.database.transaction(async (tx) => {
        const row = await this.#answerable(tx, caller, id);
        for (const permission of row.requires)
          if (isPermission(permission) && caller.permissions.has(permission)) {
            await this.#requireSecond(tx, caller, row);
            return await this.#carryOut(tx, caller, row, reason);
          }
        throw new GatewayError('auth.forbidden', { needs: row.requires.join(' or ') });
      });
    } catch (error) {
      const state = error instanceof GatewayError ? ENDS[error.code] : undefined;
      // The change was rolled back with everything; that it cannot be made stays.
      if (state !== undefined) await this.#end(caller, id, state, undefined);
      throw error;
    }
  }

  async reject(caller: Caller, id: string, reason: string): Promise<ChangeProposalView> {
    return await this.#end(caller, id, 'rejected', reason);
  }

  /** By the proposer alone. */
  async withdraw(caller: Caller, id: string): Promise<ChangeProposalView> {
    return await this.#end(caller, id, 'withdrawn', undefined);
  }

  /**
   * What the call answered, for who proposed it alone and once: not for who agreed, by no token that they had a hand in.
   * @throws GatewayError `proposal.not_yours`; `request.not_found` when there is none any more
   */
  async takeAnswer(caller: Caller, id: string): Promise<ProposalAnswer> {
    return await this.database.transaction(async (tx) => {
      const row = await this.repository.lock(tx, caller.projectId, id);
      if (row === null) throw new GatewayError('request.not_found', { proposal: id });
      if (row.proposerId !== caller.principal.id)
        throw new GatewayError('proposal.not_yours', { reason: 'its proposer' });
      const second = row.answeredById ?? row.proposerId;
      for (const hand of await lineageOf(tx, caller.tokenId))
        if (await isSamePerson(tx, second, hand)) throw new GatewayError('proposal.not_yours', { reason: 'a token' });
      if (row.kept === null) throw new GatewayError('request.not_found', { proposal: id });
      const answer = openJson(this.envelope, row.kept, answerContext(id)) as ProposalAnswer;
      await this.repository.update(tx, id, { kept: null });
      await this.#act(tx, caller, 'change.answer_taken', row);
      return answer;
    });
  }

  /** Ends what nobody answered in time, and forgets answers that nobody took. Every replica calls it; each row is one's. */
  async sweep(): Promise<void> {
    const now = this.clock.now();
    if (!(await this.repository.isOverdue(now))) return;
    await this.database.transaction(async (tx) => {
      for (const row of await this.repository.overdue(tx, now, SWEEP_BATCH)) {
        if (row.state !== 'pending') {
          await this.repository.update(tx, row.id, { kept: null });
          continue;
        }
        const ended = { state: 'expired', sealed: new Uint8Array(), answeredAt: now };
        const done = await this.repository.update(tx, row.id, ended);
        await this.#act(tx, systemActor(row.projectId, 'sweep'), 'change.expired', done);
      }
    });
  }

  async setting(caller: Caller): Promise<DualControl> {
    return { areas: (await this.repository.areas(caller.projectId)) as DualControl['areas'] };
  }

  /** @throws GatewayError `request.conflict` where nobody could be the second */
  async configure(caller: Caller, { areas }: DualControl): Promise<DualControl> {
    const wanted = [...new Set(areas)].sort();
    return await this.database.transaction(async (tx) => {
      if (wanted.length > 0 && (await this.repository.countAdmins(tx, caller.projectId)) < 2)
        throw new GatewayError('request.conflict', { reason: 'two persons with role admin are needed first' });
      await this.repository.setAreas(tx, caller.projectId, wanted);
      await recordActOf(tx, caller, 'dual-control.updated', `project/${caller.projectName}`, { areas: wanted });
      return { areas: wanted };
    });
  }

  async #carryOut(
    tx: Tx,
    caller: Caller,
    row: ChangeProposal,
    reason: string | undefined,
  ): Promise<ChangeProposalView> {
    const principal = await this.repository.principal(tx, row.projectId, row.proposerId);
    if (principal === null || principal.disabledAt !== null)
      throw new GatewayError('proposal.failed', { reason: 'the proposer is gone' });
    const now = permissionsIn(caller.projectName, principal.roles);
    const proposer: Caller = {
      projectId: row.projectId,
      projectName: caller.projectName,
      principal: { id: principal.id, name: principal.name, kind: principal.kind as PrincipalKind },
      permissions: new Set([...now].filter((permission) => row.permissions.includes(permission))),
      tokenId: caller.tokenId,
      requestId: caller.requestId,
    };
    const agreed: Agreed = { proposalId: row.id, proposer, by: caller.principal, tx };
    const body = openJson(this.envelope, row.sealed, context(row.id));
    const log = changeLogOf(tx)!;
    log.agree();
    const answer = await ambient.run({ projectId: row.projectId, agreed }, () =>
      this.replay.call(row.method, row.path, body),
    );
    if (answer.status >= 300) throw new GatewayError('proposal.failed', { status: answer.status });
    // What was agreed to is this change of that state; another state makes it another change.
    if (!Buffer.from(row.baseline).equals(log.baseline())) throw new GatewayError('proposal.stale');
    const done = await this.repository.update(tx, row.id, {
      state: 'executed',
      ...(answer.body === '' ? {} : { kept: this.#keep(row.id, answer) }),
      ...answerOf(caller, reason, this.clock.now()),
    });
    await this.#act(tx, caller, 'change.agreed', done);
    return show(done, this.clock.now());
  }

  #keep(id: string, { status, body }: Replayed): Uint8Array<ArrayBuffer> {
    return sealJson(this.envelope, { status, body: JSON.parse(body) as unknown }, answerContext(id));
  }

  async #end(caller: Caller, id: string, state: string, reason: string | undefined): Promise<ChangeProposalView> {
    return await this.database.transaction(async (tx) => {
      const row = await this.#answerable(tx, caller, id);
      const own = row.proposerId === caller.principal.id;
      if (state === 'withdrawn' && !own)
        throw new GatewayError('proposal.not_yours', { reason: 'withdrawn by its proposer' });
      if (state === 'rejected') requirePermission(caller, 'change-proposal:answer');
      const done = await this.repository.update(tx, row.id, {
        state,
        ...answerOf(caller, reason, this.clock.now()),
      });
      await this.#act(tx, caller, `change.${state}`, done);
      return show(done, this.clock.now());
    });
  }

  async #answerable(tx: Tx, caller: Caller, id: string): Promise<ChangeProposal> {
    const row = await this.repository.lock(tx, caller.projectId, id);
    if (row === null) throw new GatewayError('request.not_found', { proposal: id });
    if (row.state === 'expired') throw new GatewayError('approval.expired');
    if (row.state !== 'pending') throw new GatewayError('approval.answered', { state: row.state });
    if (row.expiresAt <= this.clock.now()) throw new GatewayError('approval.expired');
    return row;
  }

  /** @throws GatewayError `proposal.not_yours` */
  async #requireSecond(tx: Tx, caller: Caller, row: ChangeProposal): Promise<void> {
    const refuse = (reason: string): never => {
      throw new GatewayError('proposal.not_yours', { reason });
    };
    if (caller.principal.kind !== 'person') refuse('a person is needed');
    // Whoever had a hand in the token of either side, or of both, has both sides in hand.
    const proposing = await accountsOf(tx, [row.proposerId, ...row.hands]);
    const agreeing = [caller.principal.id, ...(await lineageOf(tx, caller.tokenId))];
    if (agreeing.some((hand) => proposing.has(hand))) refuse('the proposer');
  }

  async #act(tx: Tx, caller: Actor, action: string, row: ChangeProposal): Promise<void> {
    await recordActOf(tx, caller, action, `change-proposal/${row.id}`, {
      call: `${row.method} ${row.path}`,
      areas: row.areas,
      proposer: row.proposerName,
      ...(row.reason === null ? {} : { reason: row.reason }),
      ...(action === 'change.proposed' ? { proposed: row.changes as Prisma.InputJsonArray } : {}),
    });
    if (action !== 'change.answer_taken') await this.#tell(tx, row);
  }

  /** Other admins of what waits for one of them, and who proposed it of what became of it. Of values it says nothing. */
  async #tell(tx: Tx, row: ChangeProposal): Promise<void> {
    const changes = (row.changes as unknown as readonly Change[]).map(({ thing, name }) => `${thing} ${name}`);
    const told = {
      id: row.id,
      proposer: row.proposerName,
      call: `${row.method} ${row.path}`,
      areas: row.areas,
      changes: changes.slice(0, CHANGES_TOLD_MAX),
    };
    if (row.state === 'pending') {
      const asked = { ...told, expiresAt: row.expiresAt.toISOString() };
      return await this.outbox.add(tx, row.projectId, 'change.proposed', asked);
    }
    const answer = { ...told, state: row.state, by: row.answeredByName ?? '', reason: row.reason ?? '' };
    await this.outbox.add(tx, row.projectId, 'change.answered', answer, [row.proposerId]);
  }
}

/** Errors of carrying out that end the proposal. */
const ENDS: Readonly<Record<string, string>> = { 'proposal.stale': 'stale', 'proposal.failed': 'failed' };

const answerOf = (caller: Caller, reason: string | undefined, answeredAt: Date) => ({
  answeredById: caller.principal.id,
  answeredByName: caller.principal.name,
  reason: reason ?? null,
  answeredAt,
  // Whatever secret it held is needed no more.
  sealed: new Uint8Array(),
});

const show = (row: ChangeProposal, now: Date): ChangeProposalView => ({
  id: row.id,
  state: row.state === 'pending' && row.expiresAt <= now ? 'expired' : (row.state as ChangeProposalView['state']),
  areas: row.areas,
  call: `${row.method} ${row.path}`,
  changes: row.changes as unknown[],
  proposer: { id: row.proposerId, name: row.proposerName },
  answeredBy: row.answeredById === null ? null : { id: row.answeredById, name: row.answeredByName ?? '' },
  reason: row.reason,
  createdAt: row.createdAt.toISOString(),
  expiresAt: row.expiresAt.toISOString(),
  answeredAt: row.answeredAt?.toISOString() ?? null,
  hasAnswer: row.kept !== null,
});
