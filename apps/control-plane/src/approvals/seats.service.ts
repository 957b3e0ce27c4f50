/**
 * Handing over a seat: an approver lets another person who may answer approvals answer in their place, at one request or for
 * a time. Never the requester or whom they act for, never a seat that was itself handed over, and a person has one voice.
 * Who handed theirs over answers once they took it back.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import type { z } from 'zod';
import { recordActOf } from '../acts/acts.ts';
import { Database, type Tx } from '../db/database.ts';
import type { Caller } from '../http/caller.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { type Page, type PageRequest, toPage } from '../http/page.ts';
import { isAble } from '../http/permissions.ts';
import { accountsOf } from '../identity/same-person.ts';
import { hideDetected } from '../masking/detected.ts';
import { SystemClock } from '../time.ts';
import type { RequestWithVotes } from './approvals.repository.ts';
import type { CreateDelegation, DelegationView } from './delegations.dto.ts';
import { type PersonRow, SeatsRepository } from './seats.repository.ts';
import { type GivenAway, type HandedSeat, seatOf, seatsTaken } from './tally.ts';

/** An agent must know of seats, or it would count the answer for nothing. */
const SEATS_CAPABILITY = 'approval.seats.1';
const DAYS_MAX = 90;

@Injectable()
export class Seats {
  constructor(
    private readonly database: Database,
    private readonly repository: SeatsRepository,
    private readonly clock: SystemClock,
  ) {}

  seatsOf(caller: Caller, tx?: Tx): Promise<readonly HandedSeat[]> {
    return this.repository.seatsOf(caller.projectId, caller.principal.id, this.clock.now(), tx);
  }

  givenBy(caller: Caller, tx?: Tx): Promise<GivenAway> {
    return this.repository.givenBy(caller.projectId, caller.principal.id, this.clock.now(), tx);
  }

  /**
   * One request; to themselves, they take it back. @param row locked, pending
   * @throws GatewayError `approval.not_yours`, `approval.delegate`
   */
  async handOver(
    tx: Tx,
    caller: Caller,
    groups: ReadonlySet<string>,
    row: RequestWithVotes,
    reference: string,
    reason: string,
  ): Promise<Pick<PersonRow, 'name'>> {
    const { id, kind } = caller.principal;
    // Their own seat alone: one that was handed over goes no further.
    if (seatOf(row, { id, kind, groups }, seatsTaken(row.votes)) !== id)
      throw new GatewayError('approval.not_yours', { approval: row.id });
    if (reference === id || reference === caller.principal.name) {
      if (!(await this.repository.takeBack(tx, row.id, id)))
        throw new GatewayError('approval.delegate', { approval: row.id, reason: 'it is their own' });
      await recordActOf(tx, caller, 'approval.delegated', `approval/${row.id}`, {
        to: caller.principal.name,
        toId: id,
        reason: hideDetected(reason),
      });
      return { name: caller.principal.name };
    }
    const to = await this.#successor(tx, caller, reference);
    // Under any of their accounts.
    const accounts = await accountsOf(tx, [to.id]);
    if (accounts.has(row.principalId) || (row.onBehalfOfId !== null && accounts.has(row.onBehalfOfId)))
      throw new GatewayError('approval.delegate', { approval: row.id, reason: 'the requester' });
    if (row.votes.some((vote) => accounts.has(vote.principalId)))
      throw new GatewayError('approval.delegate', { approval: row.id, reason: 'has answered' });
    if (!(await this.repository.agentCan(tx, row.agentId, SEATS_CAPABILITY)))
      throw new GatewayError('approval.delegate', { approval: row.id, reason: 'the agent is too old' });
    await this.repository.handOver(tx, { projectId: row.projectId, requestId: row.id, ofId: id, toId: to.id });
    await recordActOf(tx, caller, 'approval.delegated', `approval/${row.id}`, {
      to: to.name,
      toId: to.id,
      reason: hideDetected(reason),
    });
    return to;
  }

  async create(caller: Caller, input: z.infer<typeof CreateDelegation>): Promise<DelegationView> {
    const now = this.clock.nowMs();
    const startsAt = input.startsAt === undefined ? now : Date.parse(input.startsAt);
    const endsAt = Date.parse(input.endsAt);
    if (endsAt <= Math.max(now, startsAt))
      throw new InvalidRequest([{ field: 'endsAt', message: 'is after the beginning and in the future' }]);
    if (endsAt - startsAt > DAYS_MAX * 86_400_000)
      throw new InvalidRequest([{ field: 'endsAt', message: `at most ${DAYS_MAX} days` }]);
    return await this.database.transaction(async (tx) => {
      const to = await this.#successor(tx, caller, input.to);
      const made = await this.repository.create(tx, {
        id: this.clock.id(),
        projectId: caller.projectId,
        ofId: caller.principal.id,
        toId: to.id,
        startsAt: new Date(startsAt),
        endsAt: new Date(endsAt),
      });
      await recordActOf(tx, caller, 'approver-delegation.created', `approver-delegation/${made.id}`, {
        to: to.name,
        toId: to.id,
        startsAt: made.startsAt.toISOString(),
        endsAt: made.endsAt.toISOString(),
      });
      return show(
        made,
        new Map([
          [to.id, to.name],
          [caller.principal.id, caller.principal.name],
        ]),
      );
    });
  }

  /** One's own, given and taken; everybody's for who may read sessions. */
  async list(caller: Caller, page: PageRequest): Promise<Page<DelegationView>> {
    const { id } = caller.principal;
    const own = caller.permissions.has('session:read') ? {} : { OR: [{ ofId: id }, { toId: id }] };
    const rows = await this.repository.list({ projectId: caller.projectId, ...own }, page);
    const names = await this.repository.names(rows.flatMap(({ ofId, toId }) => [ofId, toId]));
    return toPage(rows, page, (row) => show(row, names));
  }

  /** By either side, at once. @throws GatewayError `request.not_found` */
  async end(caller: Caller, id: string): Promise<void> {
    await this.database.transaction(async (tx) => {
      const row = await this.repository.find(tx, caller.projectId, id);
      if (row === null || ![row.ofId, row.toId].includes(caller.principal.id))
        throw new GatewayError('request.not_found');
      await this.repository.end(tx, id, this.clock.now());
      await recordActOf(tx, caller, 'approver-delegation.ended', `approver-delegation/${id}`, {});
    });
  }

  /** A person of this project who may answer approvals by their own roles. @throws GatewayError `approval.delegate` */
  async #successor(tx: Tx, caller: Caller, reference: string): Promise<PersonRow> {
    const to = await this.repository.person(caller.projectId, reference, tx);
    const eligible =
      to !== null && to.kind === 'person' && to.id !== caller.principal.id && isAble(to, 'approval:answer');
    if (!eligible) throw new GatewayError('approval.delegate', { reason: 'not a person who may answer' });
    return to;
  }
}

const show = (
  row: { id: string; ofId: string; toId: string; startsAt: Date; endsAt: Date; endedAt: Date | null },
  names: ReadonlyMap<string, string>,
): DelegationView => ({
  id: row.id,
  of: names.get(row.ofId) ?? row.ofId,
  to: names.get(row.toId) ?? row.toId,
  startsAt: row.startsAt.toISOString(),
  endsAt: row.endsAt.toISOString(),
  endedAt: row.endedAt?.toISOString() ?? null,
});
