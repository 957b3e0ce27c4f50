/**
 * What becomes of an approval request: persons are asked, and it ends by a signed answer that is pushed to the agent that holds
 * it and told to notifiers and to who asked, all in the transaction of the change. Refuses to know who may answer, and HTTP.
 */
import { Injectable } from '@nestjs/common';
import { LIMITS } from '@sallyport/core';
import type { Approval, ApprovalRequest, PrincipalKind, PrincipalRef } from '@sallyport/model';
import { Counter } from 'prom-client';
import { publishWithin } from '../bus/pg.bus.ts';
import type { Tx } from '../db/database.ts';
import { Metrics } from '../http/metrics.ts';
import { Keys } from '../keys/keys.ts';
import { Listening } from '../listening.ts';
import { Outbox } from '../notify/outbox.ts';
import { SystemClock } from '../time.ts';
import { ApprovalsRepository, type RequestWithVotes } from './approvals.repository.ts';
import { narrowest, type ShapeTerms } from './terms.ts';
import { shapeLine, workLine, workText } from './work.ts';

/** A vote, kept or about to be. */
export interface CountedVote {
  readonly principalId: string;
  readonly granted: boolean;
  readonly seatOfId: string | null;
  readonly terms: unknown;
}

@Injectable()
export class ApprovalEnds {
  readonly #answers: Counter<'state'>;
  constructor(
    private readonly repository: ApprovalsRepository,
    private readonly keys: Keys,
    private readonly outbox: Outbox,
    private readonly listening: Listening,
    private readonly clock: SystemClock,
    metrics: Metrics,
  ) {
    this.#answers = new Counter({
      name: 'sallyport_approvals_total',
      help: 'Approval requests by how they ended.',
      labelNames: ['state'],
      registers: [metrics.registry],
    });
  }

  /** Of an end that is no answer: the agent knows it by itself, or hears of it with its next bundle. */
  async tellEnd(
    tx: Tx,
    row: Pick<RequestWithVotes, 'id' | 'projectId'>,
    state: 'withdrawn' | 'lost' | 'revoked',
    by: { readonly name: string; readonly reason: string },
    persons: readonly string[] = [],
  ): Promise<void> {
    const told = { id: row.id, state, by: by.name, reason: by.reason };
    await this.outbox.add(tx, row.projectId, 'approval.answered', told, persons);
    this.#answers.inc({ state });
  }

  /** @param votes all of them, the last one too */
  async finish(
    tx: Tx,
    row: RequestWithVotes,
    state: 'approved' | 'denied' | 'expired',
    votes: readonly CountedVote[],
    reason: string,
  ): Promise<void> {
    const now = this.clock.nowMs();
    const granted = state === 'approved';
    const deciding = votes
      .filter((vote) => vote.granted === granted || state === 'expired')
      .map(({ principalId, seatOfId }) => ({ principalId, seatOfId }));
    const known = await this.repository.principals(
      deciding.flatMap(({ principalId, seatOfId }) => [principalId, ...(seatOfId === null ? [] : [seatOfId])]),
      tx,
    );
    const person = (id: string | null): readonly PrincipalRef[] =>
      known
        .filter((entry) => entry.id === id)
        .map((entry) => ({ id: entry.id, name: entry.name, kind: entry.kind as PrincipalKind }));
    const by = deciding.flatMap(({ principalId }) => person(principalId));
    const seats = deciding.flatMap(({ principalId, seatOfId }) =>
      person(seatOfId).map((of) => ({ by: principalId, of })),
    );
    const request = row.body as unknown as ApprovalRequest;
    const terms = granted ? narrowest(votes.filter((vote) => vote.granted).map((vote) => vote.terms)) : undefined;
    const until = terms === undefined ? undefined : shapeEnd(request, terms, now);
    const approval: Approval = {
      id: row.id,
      digest: row.digest,
      scope: terms === undefined ? 'once' : 'shape',
      agentId: row.agentId,
      resourceId: row.resourceId,
      principalId: row.principalId,
      granted,
      by: state === 'expired' ? [] : by,
      ...(reason === '' ? {} : { reason }),
      ...(granted && request.approval.stepUp !== undefined ? { stepUp: request.approval.stepUp } : {}),
      ...(terms === undefined ? {} : { shape: boundShape(request, terms) }),
      ...(row.escalatedAt === null ? {} : { escalatedTo: row.escalateGroups }),
      ...(seats.length === 0 || state === 'expired' ? {} : { seats }),
      answeredAt: now,
      // A shape lasts as long as was said; a ticket is for a later run of the statement; a wait ends with the request.
      expiresAt: until ?? (row.mode === 'ticket' ? now + request.approval.expiresMs : row.expiresAt.getTime()),
    };
    const signed = await this.keys.signJws('approval', 'sallyport-approval+jwt', approval);
    await this.repository.finish(tx, row.id, {
      state,
      reason: reason === '' ? null : reason,
      signed,
      answeredAt: new Date(now),
      ...(terms === undefined || until === undefined
        ? {}
        : { scope: 'shape', grantUntil: new Date(until), rowsMax: terms.rowsMax }),
    });
    await publishWithin(tx, 'approval', { agentId: row.agentId, requestId: row.id });
    await this.outbox.add(
      tx,
      row.projectId,
      'approval.answered',
      {
        id: row.id,
        state,
        by: by.map((entry) => entry.name).join(', '),
        reason,
      },
      askersOf(request),
    );
    this.#answers.inc({ state });
  }

  /** Tells those who may answer. @param expiresAt UTC milliseconds */
  async tell(
    tx: Tx,
    event: 'approval.requested' | 'approval.escalated',
    request: ApprovalRequest,
    expiresAt: number,
    groups: readonly string[] = request.approval.groups,
  ): Promise<void> {
    await this.outbox.add(tx, request.projectId, event, {
      id: request.id,
      principal: request.principal.name,
      onBehalfOf: request.onBehalfOf?.name ?? '',
      resource: await this.repository.resourceName(tx, request.projectId, request.resourceId),
      database: request.database,
      sessionId: request.sessionId,
      mode: request.mode,
      statement: request.work === undefined ? request.text : workText(request.work),
      work: request.work === undefined ? '' : workLine(request.work),
      shape: shapeLine(request),
      parameters: request.parameters.map((text) => text ?? null),
      effects: [...request.effects],
      inTransaction: request.inTransaction,
      wroteInTransaction: request.wroteInTransaction,
      statementsBefore: request.statementsBefore,
      writesBefore: request.writesBefore,
      rule: request.rule,
      reason: request.reason,
      groups: [...groups],
      askedReason: request.askedReason ?? '',
      count: request.approval.count,
      expiresAt: new Date(expiresAt).toISOString(),
      url: `${this.listening.publicUrl()}/v1/approvals/${request.id}`,
    });
  }
}

/** The end of a shape: as said, and within what the rule allowed when it was asked. */
const shapeEnd = (request: ApprovalRequest, { minutes }: ShapeTerms, nowMs: number): number =>
  nowMs + Math.min(minutes * 60_000, request.approval.shape?.forMsMax ?? 0, LIMITS.shapeMsMax);

const boundShape = (request: ApprovalRequest, terms: ShapeTerms): NonNullable<Approval['shape']> => ({
  digest: request.shape?.digest ?? '',
  rowsMax: terms.rowsMax,
  database: request.database,
  role: request.role ?? '',
  ...(terms.sessions === 'this' ? { sessionId: request.sessionId } : {}),
});

/** Persons who hear of the answer: who asks, and whom an agent asks for. */
export const askersOf = (request: Pick<ApprovalRequest, 'principal' | 'onBehalfOf'>): string[] =>
  [request.principal, request.onBehalfOf].flatMap((who) => (who?.kind === 'person' ? [who.id] : []));
