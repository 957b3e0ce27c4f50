/**
 * What becomes of an access request: a grant, a longer one, or nothing; its end on the trail and in the outbox, all in the
 * transaction of the answer. The policy is judged again here, since it and the people may have changed since the question.
 * Refuses to know who may answer, and HTTP.
 */
import { Injectable } from '@nestjs/common';
import { GatewayError } from '@sallyport/core';
import { EFFECTS, type Effect, type PrincipalKind } from '@sallyport/model';
import { type Actor, recordActOf } from '../acts/acts.ts';
import type { Tx } from '../db/database.ts';
import type { Prisma } from '../generated/prisma/client.ts';
import { Grants } from '../grants/grants.service.ts';
import { showDuration } from '../http/duration.ts';
import { InvalidRequest } from '../http/invalid-request.ts';
import { Listening } from '../listening.ts';
import { Outbox } from '../notify/outbox.ts';
import { SystemClock } from '../time.ts';
import type { AccessPolicyDocument } from './access-policy.ts';
import { AccessRequestsRepository, type RequestRow } from './access-requests.repository.ts';
import { covers, mayAsk, problemsOf } from './eligibility.ts';

/** The most that all who said yes give. */
export interface Given {
  readonly effects: readonly Effect[];
  readonly durationMs: number;
}

@Injectable()
export class AccessOutcomes {
  constructor(
    private readonly repository: AccessRequestsRepository,
    private readonly grants: Grants,
    private readonly outbox: Outbox,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
  ) {}

  /** Tells the persons who may answer. */
  async ask(tx: Tx, row: RequestRow, policy: AccessPolicyDocument): Promise<void> {
    await this.outbox.add(tx, row.projectId, 'access.requested', this.describe(row, policy));
  }

  /** What notifiers and deciding webhooks are told of it. */
  describe(row: RequestRow, policy: AccessPolicyDocument): Prisma.InputJsonObject {
    return {
      id: row.id,
      policy: row.policyName,
      principal: row.principalName,
      kind: row.principalKind,
      requestedBy: row.requestedByName,
      target: targetOf(row),
      resource: row.resource,
      labels: (row.labels ?? null) as Prisma.InputJsonObject | null,
      effects: row.effects,
      roles: row.roles,
      duration: showDuration(Number(row.durationMs)),
      startAt: row.startAt?.toISOString() ?? '',
      reason: row.reason,
      ticket: row.ticket ?? '',
      extends: row.extendsId ?? '',
      groups: row.groups,
      count: policy.approve?.count ?? 0,
      expiresAt: row.expiresAt.toISOString(),
      url: `${this.listening.publicUrl()}/v1/access-requests/${row.id}`,
    };
  }

  /**
   * Makes the grant, or prolongs the one it asks to prolong. The time counts from now, or from the start that was asked for.
   * @throws GatewayError `access.not_eligible` when the policy no longer gives it, `access.ended` when there is nothing to prolong
   */
  async approve(
    tx: Tx,
    actor: Actor,
    row: RequestRow,
    policy: AccessPolicyDocument | undefined,
    given: Given,
    by: { readonly names: string; readonly reason: string },
  ): Promise<void> {
    if (policy === undefined || !(await this.#stillEligible(tx, row, policy, given)))
      throw new GatewayError('access.not_eligible', { request: row.id });
    const now = this.clock.nowMs();
    const grant =
      row.extendsId === null
        ? await this.#grant(tx, actor, row, given, now)
        : await this.#prolong(tx, actor, row, given);
    await this.repository.update(tx, row.id, {
      state: 'approved',
      grantId: grant.id,
      answer: by.reason === '' ? null : by.reason,
      answeredAt: new Date(now),
    });
    await recordActOf(tx, actor, 'access-request.granted', `access-request/${row.id}`, {
      grant: grant.name,
      effects: grant.effects,
      notBefore: grant.notBefore?.toISOString() ?? '',
      notAfter: grant.notAfter?.toISOString() ?? '',
      by: by.names,
    });
    await this.#tellAnswer(tx, row, 'approved', by, {
      grant: grant.name,
      effects: grant.effects,
      notBefore: grant.notBefore?.toISOString() ?? '',
      notAfter: grant.notAfter?.toISOString() ?? '',
    });
  }

  /** Ends it without a grant, or once its grant has ended. */
  async end(
    tx: Tx,
    actor: Actor,
    row: RequestRow,
    state: 'denied' | 'expired' | 'withdrawn' | 'revoked',
    by: { readonly names: string; readonly reason: string },
  ): Promise<void> {
    await this.repository.update(tx, row.id, {
      state,
      answer: by.reason === '' ? null : by.reason,
      answeredAt: this.clock.now(),
    });
    await recordActOf(tx, actor, `access-request.${state}`, `access-request/${row.id}`, {
      reason: by.reason,
      by: by.names,
      votes: row.votes.length,
    });
    await this.#tellAnswer(tx, row, state, by, {});
  }

  async #stillEligible(tx: Tx, row: RequestRow, policy: AccessPolicyDocument, given: Given): Promise<boolean> {
    const resource = row.resource === null ? null : await this.repository.resource(row.projectId, row.resource, tx);
    const wish = {
      resource:
        resource === null ? undefined : { name: resource.name, labels: resource.labels as Record<string, string> },
      labels: row.labels === null ? undefined : (row.labels as Record<string, string>),
    };
    if (!covers(policy, wish)) return false;
    for (const id of new Set([row.principalId, row.requestedById])) {
      const who = await this.repository.principal(row.projectId, id, tx);
      if (who === null) return false;
      const groups = await this.repository.groupsOf(row.projectId, id, tx);
      if (!mayAsk(policy, { id, name: who.name, kind: who.kind as PrincipalKind, groups })) return false;
    }
    const isExtension = row.extendsId !== null;
    const problems = problemsOf(policy, {
      effects: given.effects,
      roles: row.roles,
      durationMs: isExtension ? 0 : given.durationMs,
      startsInMs: Math.max(0, (row.startAt?.getTime() ?? 0) - this.clock.nowMs()),
      ticket: row.ticket ?? undefined,
    });
    // A prolonged grant has shown its ticket.
    const left = problems.filter((problem) => !(isExtension && problem.field === 'ticket'));
    return left.length === 0 && (!isExtension || given.durationMs <= policy.extensions.durationMax);
  }

  async #grant(tx: Tx, actor: Actor, row: RequestRow, given: Given, nowMs: number) {
    const from = Math.max(nowMs, row.startAt?.getTime() ?? 0);
    const document = {
      name: `jit-${row.id}`,
      principal: row.principalId,
      group: null,
      resource: row.resource,
      labels: row.labels as Record<string, string> | null,
      effects: EFFECTS.filter((effect) => given.effects.includes(effect)),
      roles: row.roles,
      kind: 'jit' as const,
      notBefore: new Date(from).toISOString(),
      notAfter: new Date(from + given.durationMs).toISOString(),
    };
    return await this.grants.insert(tx, actor, document, { source: 'request', requestId: row.id });
  }

  async #prolong(tx: Tx, actor: Actor, row: RequestRow, given: Given) {
    const first = await this.repository.find(row.projectId, row.extendsId!, tx);
    const grantId = first?.grant?.id;
    const grant = grantId === undefined ? undefined : await this.grants.prolong(tx, actor, grantId, given.durationMs);
    if (grant === undefined) throw new GatewayError('access.ended', { request: row.id });
    return grant;
  }

  async #tellAnswer(
    tx: Tx,
    row: RequestRow,
    state: string,
    by: { readonly names: string; readonly reason: string },
    more: Prisma.InputJsonObject,
  ): Promise<void> {
    const persons = [
      ...(row.principalKind === 'person' ? [row.principalId] : []),
      ...(row.requestedByKind === 'person' ? [row.requestedById] : []),
    ];
    await this.outbox.add(
      tx,
      row.projectId,
      'access.answered',
      {
        id: row.id,
        state,
        by: by.names,
        reason: by.reason,
        policy: row.policyName,
        principal: row.principalName,
        requestedBy: row.requestedByName,
        target: targetOf(row),
        ...more,
      },
      persons,
    );
  }
}

/** `payments-db`, or `env=prod team=payments`. */
export const targetOf = (row: Pick<RequestRow, 'resource' | 'labels'>): string =>
  row.resource ??
  Object.entries((row.labels ?? {}) as Record<string, string>)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');

/**
 * What is left when one more person gives at most so much.
 * @throws InvalidRequest when they would give more than was asked for, or leave nothing of what others gave
 */
export function narrowed(
  row: RequestRow,
  wanted: { readonly effects: readonly Effect[] | undefined; readonly durationMs: number | undefined },
): { readonly own: Given; readonly together: Given } {
  const wrong = (field: string, message: string): never => {
    throw new InvalidRequest([{ field, message }]);
  };
  const asked = { effects: row.effects as Effect[], durationMs: Number(row.durationMs) };
  const own = { effects: wanted.effects ?? asked.effects, durationMs: wanted.durationMs ?? asked.durationMs };
  if (!own.effects.every((effect) => asked.effects.includes(effect)))
    wrong('effects', 'more than was asked for: an approver gives as much or less');
  if (own.durationMs > asked.durationMs) wrong('duration', 'longer than was asked for');
  if (row.extendsId !== null && wanted.effects !== undefined) wrong('effects', 'a longer time keeps the effects');
  const yes = row.votes.filter((vote) => vote.granted);
  const together = {
    effects: own.effects.filter((effect) => yes.every((vote) => vote.effects.includes(effect))),
    durationMs: Math.min(own.durationMs, ...yes.map((vote) => Number(vote.durationMs))),
  };
  if (together.effects.length === 0) wrong('effects', 'nothing would be left: others who approved gave other effects');
  return { own, together };
}
