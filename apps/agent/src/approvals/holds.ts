/**
 * Statements that wait for persons: announces each to the control plane, again after every reconnect, and settles it by a
 * verified answer, its deadline, or the client. Refuses to judge: an approval goes back to the gate, which decides again.
 * Nothing but the loss of the client or of this process ends a hold; a control plane that restarts does not.
 */
import type { AgentMessage } from '@sallyport/contract';
import { GatewayError, LIMITS, type Logger } from '@sallyport/core';
import type { Approval, ApprovalRequest } from '@sallyport/model';
import type { Shapes } from './shapes.ts';
import type { Tickets } from './tickets.ts';

export interface HoldsOptions {
  readonly agentId: string;
  readonly tickets: Tickets;
  readonly shapes: Shapes;
  readonly log: Logger;
  nowMs(): number;
  /** Reads and verifies an answer. @throws GatewayError `approval.mismatch` */
  read(signed: string): Approval;
  send(message: AgentMessage): boolean;
}

/** A wait that has begun; `answer` settles once. */
export interface OpenHold {
  readonly request: ApprovalRequest;
  readonly answer: Promise<{ readonly approval: Approval; readonly signed: string }>;
  /** Ends the wait: the client left or asked to stop, or its transaction may not wait longer. `answer` rejects with `code`. */
  cancel(code: 'approval.cancelled' | 'approval.expired'): void;
}

interface Waiting {
  readonly request: ApprovalRequest;
  readonly timer: NodeJS.Timeout | undefined;
  settle(outcome: { readonly approval: Approval; readonly signed: string } | GatewayError): void;
}

const OVER_MAX = 10_000;
// setTimeout takes at most 2^31 - 1 ms, which is more than approvalWaitMsMax.
const asJson = (request: ApprovalRequest): Buffer => Buffer.from(JSON.stringify(request));

export class Holds {
  readonly #options: HoldsOptions;
  readonly #waiting = new Map<string, Waiting>();
  /** Waits that are over: an answer that comes again or late must not be taken for a ticket. Oldest first. */
  readonly #over = new Set<string>();
  /** Tickets asked for, by id: they end nobody's wait. */
  readonly #asked = new Map<string, { readonly request: ApprovalRequest; readonly surroundings: string }>();

  constructor(options: HoldsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#waiting.size;
  }

  /** Announces and waits. @throws GatewayError `session.limit` when too many wait already */
  open(request: ApprovalRequest): OpenHold {
    if (this.#waiting.size >= LIMITS.openApprovalsMax) throw new GatewayError('session.limit', { reason: 'holds' });
    const { promise, resolve, reject } = Promise.withResolvers<{
      readonly approval: Approval;
      readonly signed: string;
    }>();
    const waitMs = Math.max(0, Math.min(request.expiresAt - this.#options.nowMs(), LIMITS.approvalWaitMsMax));
    const timer = setTimeout(
      () => this.#withdraw(request.id, 'expired', new GatewayError('approval.expired', { approvalId: request.id })),
      waitMs,
    );
    this.#waiting.set(request.id, {
      request,
      timer,
      settle: (outcome) => {
        clearTimeout(timer);
        this.#waiting.delete(request.id);
        this.#remember(request.id);
        if (outcome instanceof GatewayError) reject(outcome);
        else resolve(outcome);
      },
    });
    this.#announce(request);
    const cancel = (code: 'approval.cancelled' | 'approval.expired'): void =>
      this.#withdraw(
        request.id,
        code === 'approval.expired' ? 'expired' : 'cancelled',
        new GatewayError(code, { approvalId: request.id }),
      );
    return { request, answer: promise, cancel };
  }

  /**
   * Asks for a ticket and does not wait. The same statement of the same principal in such a session asks once.
   * @param surroundings see `TicketUse`
   * @returns the request that is open: `request`, or the one that was there
   */
  ask(request: ApprovalRequest, surroundings: string): ApprovalRequest {
    const now = this.#options.nowMs();
    for (const [id, asked] of this.#asked) if (asked.request.expiresAt <= now) this.#asked.delete(id);
    for (const { request: asked, surroundings: of } of this.#asked.values()) {
      if (
        asked.digest === request.digest &&
        asked.principal.id === request.principal.id &&
        asked.resourceId === request.resourceId &&
        of === surroundings
      )
        return asked;
    }
    if (this.#asked.size >= LIMITS.openApprovalsMax) throw new GatewayError('session.limit', { reason: 'tickets' });
    // An answer may come after a restart.
    this.#options.tickets.asked(request.id, surroundings, request.expiresAt + request.approval.expiresMs, now);
    this.#asked.set(request.id, { request, surroundings });
    this.#announce(request);
    return request;
  }

  /** The link stands: everything open is announced again; the control plane knows them by their ids. */
  announceAll(): void {
    for (const { request } of this.#waiting.values()) this.#announce(request);
    for (const { request } of this.#asked.values()) this.#announce(request);
  }

  /** An answer arrived. One that does not verify or does not fit changes nothing. */
  answered(id: string, signed: string): void {
    let approval: Approval;
    try {
      approval = this.#options.read(signed);
    } catch (error) {
      this.#options.log.error('an answer to a hold was refused', { id, error });
      return;
    }
    const waiting = this.#waiting.get(id);
    const request = waiting?.request ?? this.#asked.get(id)?.request;
    if (
      approval.id !== id ||
      approval.agentId !== this.#options.agentId ||
      (request !== undefined && !fits(approval, request))
    ) {
      this.#options.log.error('an answer does not fit its hold', { id });
      return;
    }
    if (approval.granted && approval.scope === 'shape' && !this.#over.has(id)) this.#keepShape(approval, signed);
    if (waiting !== undefined)
      waiting.settle(
        approval.granted
          ? { approval, signed }
          : new GatewayError('approval.denied', { approvalId: id, reason: approval.reason ?? '' }),
      );
    else if (approval.granted && approval.scope === 'once' && !this.#over.has(id)) this.#keep(approval, signed);
    this.#asked.delete(id);
  }

  /** One that cannot be kept is still an answer to the statement that waits. */
  #keepShape(approval: Approval, signed: string): void {
    try {
      this.#options.shapes.keep(approval, signed, this.#options.nowMs());
    } catch (error) {
      this.#options.log.error('an approved shape could not be kept', { id: approval.id, error });
    }
  }

  #keep(approval: Approval, signed: string): void {
    const options = this.#options;
    // It was used, and the control plane did not hear of it.
    if (options.tickets.keep(approval, signed, options.nowMs()) === 'used')
      options.send({ body: 'consumed', consumed: { id: approval.id, sessionId: '' } });
  }

  #remember(id: string): void {
    this.#over.add(id);
    for (const oldest of this.#over) {
      if (this.#over.size <= OVER_MAX) break;
      this.#over.delete(oldest);
    }
  }

  #announce(request: ApprovalRequest): void {
    this.#options.send({ body: 'approval', approval: { request: asJson(request) } });
  }

  #withdraw(id: string, reason: string, error: GatewayError): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#options.send({ body: 'withdrawn', withdrawn: { id, reason } });
    waiting.settle(error);
  }
}

const fits = (approval: Approval, request: ApprovalRequest): boolean =>
  approval.digest === request.digest &&
  approval.resourceId === request.resourceId &&
  approval.principalId === request.principal.id &&
  (approval.scope === request.scope ||
    // A shape only where the agent offered that one.
    (approval.scope === 'shape' && request.shape !== undefined && approval.shape?.digest === request.shape.digest));
