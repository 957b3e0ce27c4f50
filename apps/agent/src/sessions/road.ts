/**
 * The road of one signed-in session: everything its protocol may ask of the agent once it knows who it is. Judging by the
 * bundle in force, recording into the turn, waiting for persons, and counting.
 * Refuses to know bytes. DESIGN sections 3, 7 and 9.
 */
import { hash, randomBytes } from 'node:crypto';
import { GatewayError, LIMITS, shortId } from '@sallyport/core';
import { type MaskKey, maskDetected } from '@sallyport/mask';
import type {
  Approval,
  ApprovalRequest,
  MaskSet,
  Resource,
  SessionInfo,
  SessionUsage,
  ShadowHit,
  Statement,
  StatementOutcome,
  StatementShape,
  TrailEvent,
  Verdict,
} from '@sallyport/model';
import { isWriting, type PolicyEngine } from '@sallyport/policy';
import type { GatePorts, HeldNotice, HoldVerdict, SignedIn, UpstreamCredential } from '@sallyport/protocol-kit';
import type { Holds, OpenHold } from '../approvals/holds.ts';
import type { Shapes } from '../approvals/shapes.ts';
import type { Tickets } from '../approvals/tickets.ts';
import type { Ledger } from '../budgets/ledger.ts';
import { SessionBudgets } from '../budgets/session-budgets.ts';
import { hiddenParameters, hiddenWork, hideAll, hideStatement } from './hidden.ts';
import { reachedBy } from './reached.ts';

/** What the road needs of the agent. */
export interface RoadPorts {
  /** The engine of the bundle in force. */
  engine(): PolicyEngine;
  /** The resource as the bundle in force has it; undefined when it is gone. */
  resource(id: string): Resource | undefined;
  /** False when the control plane has been silent for longer than the resource allows. */
  fresh(resource: Resource): boolean;
  /** The intent, into the turn's batch. @throws GatewayError `trail.unavailable` */
  record(event: TrailEvent): void;
  /** What already happened. @throws GatewayError `trail.unavailable` when the trail is in doubt */
  recordOutcome(event: TrailEvent): void;
  credential(resource: Resource, info: SessionInfo): Promise<UpstreamCredential>;
  /** The first host key that is shown at this address, or the one from then on. */
  hostKeyRemembered(at: string, blob: Uint8Array): boolean;
  /** The server refused that one: another to try, or undefined. */
  refused(resource: Resource, info: SessionInfo, given: UpstreamCredential): Promise<UpstreamCredential | undefined>;
  /** A ticket was used. */
  consumed(approvalId: string, sessionId: string): void;
  readonly holds: Holds;
  readonly tickets: Tickets;
  readonly shapes: Shapes;
  readonly ledger: Ledger;
  /** An approver took it back. */
  approvalRevoked(approvalId: string): boolean;
  readonly maskKey: MaskKey;
  nowMs(): number;
}

const NO_HITS: readonly ShadowHit[] = [];
const RECENT_MAX = 5;
const RECENT_TEXT_MAX = 512;
const REASON_TEXT_MAX = 1_024;
const TOOL_NAME_MAX = 256;
/** A statement that was given to the gate and is not decided for good. */
interface Waiting {
  readonly number: number;
  approvalId: string;
  hold: OpenHold | undefined;
}

/** Outcomes that ride in one event. */
const OUTCOMES_PER_EVENT = 64;

export class SessionRoad implements SignedIn, GatePorts {
  readonly info: SessionInfo;
  readonly role: string | undefined;
  /** The role that was asked for and granted; `role` may also be the template of an account made for this session. */
  readonly askedRole: string | undefined;
  readonly readOnly: boolean;
  readonly usage: SessionUsage = { statements: 0, writes: 0, rows: 0, bytes: 0 };
  readonly gate: GatePorts = this;
  readonly maskKey: MaskKey;
  onHeld: ((held: HeldNotice) => void) | undefined;
  shapes: ((statement: Statement) => StatementShape | undefined) | undefined;
  meanings: (() => readonly string[]) | undefined;
  readonly #ports: RoadPorts;
  readonly #resource: Resource;
  #number = 0;
  /** Statements whose hold is recorded and whose outcome is not: the same object comes again then. */
  readonly #waiting = new Map<Statement, Waiting>();
  /** Made for the first: of most sessions over PostgreSQL and HTTP none is asked for later. */
  #numbers: WeakMap<Statement, number> | undefined;
  /** What was signed, of answers that are on their way to the gate. */
  readonly #answers = new WeakMap<Approval, string>();
  /** A ring. */
  readonly #recent: string[] = [];
  #recentAt = 0;
  #outcomes: StatementOutcome[] = [];
  #reason = '';
  readonly #budgets: SessionBudgets;

  constructor(info: SessionInfo, resource: Resource, role: string | undefined, ports: RoadPorts) {
    this.info = info;
    this.#resource = resource;
    this.askedRole = role;
    const { kind, settings } = resource.credential;
    this.role = role ?? (kind === 'ephemeral' ? settings?.['template'] : undefined);
    this.maskKey = ports.maskKey;
    this.#ports = ports;
    this.#budgets = new SessionBudgets(ports.ledger, info);
    this.readOnly = mustBeReadOnly(ports.engine(), resource, info, ports.nowMs());
  }

  /** As it was at sign-in: rotation and other settings take effect for the next session. */
  get resource(): Resource {
    return this.#resource;
  }

  decide(statement: Statement, approval?: Approval): Verdict {
    const { info, usage } = this;
    if (!this.#ports.fresh(this.#resource)) return { kind: 'deny', rule: 'gateway/offline', code: 'agent.stale' };
    const engine = this.#ports.engine();
    const nowMs = this.#ports.nowMs();
    this.#budgets.bind(engine.budgetsFor(info));
    const input = { session: info, statement, usage, nowMs, reason: this.#reason };
    const budget = this.#budgets.exceeded(statement, usage, nowMs);
    if (approval === undefined && budget === undefined) return engine.decide(input);
    const shape = approval?.scope === 'shape' ? this.shape(statement) : undefined;
    return engine.decide({
      ...input,
      ...(approval === undefined ? {} : { approval }),
      ...(shape === undefined ? {} : { shape: shape.digest }),
      ...(budget === undefined ? {} : { budget }),
    });
  }

  /** Shares of budgets that are not here; they are asked for before a statement is judged. */
  ready(): Promise<void> | undefined {
    this.#budgets.bind(this.#ports.engine().budgetsFor(this.info));
    return this.#budgets.ready(this.#ports);
  }

  shape(statement: Statement): StatementShape | undefined {
    return this.shapes?.(statement);
  }

  because(reason: string): void {
    this.#reason = reason;
  }

  record(statement: Statement, verdict: Verdict, approval?: Approval): void {
    // Held statements are recorded twice: the hold, and what became of it, under one number.
    const waiting = this.#waiting.size === 0 ? undefined : this.#waiting.get(statement);
    const number = waiting?.number ?? ++this.#number;
    // Asked for at once, unless it is held: the last number is the statement's.
    const isAskedAtOnce = statement.protocol === 'postgres' || statement.protocol === 'http';
    if (!isAskedAtOnce || verdict.kind === 'hold') (this.#numbers ??= new WeakMap()).set(statement, number);
    if (verdict.kind !== 'hold') {
      if (waiting !== undefined) this.#waiting.delete(statement);
    } else if (waiting === undefined) this.#waiting.set(statement, { number, approvalId: '', hold: undefined });
    const signed = approval === undefined ? undefined : this.#answers.get(approval);
    if (approval !== undefined && signed !== undefined) {
      this.#ports.record({
        kind: 'approval.answered',
        approvalId: approval.id,
        digest: approval.digest,
        granted: approval.granted,
        by: approval.by,
        reason: approval.reason ?? '',
        signed,
      });
    }
    const judged: TrailEvent & { readonly kind: 'statement.judged' } = {
      kind: 'statement.judged',
      number,
      verdict: verdict.kind,
      rule: verdict.rule,
      code: verdict.kind === 'deny' ? verdict.code : '',
      digest: statement.digest,
      effects: statement.effects,
      text: statement.text,
      parameters: statement.parameters,
      approvalId: approval?.id ?? waiting?.approvalId ?? '',
      shadow: verdict.shadow ?? NO_HITS,
      reached: reachedBy(statement.facts),
      preparation: statement.preparation ?? false,
    };
    const untilCommit = verdict.kind === 'allow' && verdict.untilCommit !== undefined;
    this.#ports.record(
      !untilCommit && statement.commits === undefined
        ? judged
        : {
            ...judged,
            ...(untilCommit ? { untilCommit } : {}),
            ...(statement.commits === undefined ? {} : { work: statement.commits.work }),
          },
    );
    this.#count(statement, verdict);
  }

  #count(statement: Statement, verdict: Verdict): void {
    if (statement.preparation === true || verdict.kind === 'hold') return;
    const writes = verdict.kind === 'allow' && isWriting(statement.effects);
    this.usage.statements++;
    if (writes) this.usage.writes++;
    this.#budgets.judged(writes);
    this.#recent[this.#recentAt] = shortened(statement.text);
    this.#recentAt = (this.#recentAt + 1) % RECENT_MAX;
  }

  async awaitApproval(statement: Statement, verdict: HoldVerdict): Promise<Approval> {
    const nowMs = this.#ports.nowMs();
    const granted = this.#useShape(statement, nowMs);
    if (granted !== undefined) return granted;
    if (this.#resource.approval === 'ticket') return this.#useTicket(statement, verdict, nowMs);
    const open = [...this.#waiting.values()].filter((waiting) => waiting.hold !== undefined).length;
    if (open >= LIMITS.openApprovalsPerSessionMax) throw new GatewayError('session.limit', { reason: 'holds' });
    const hold = this.#ports.holds.open(this.#request(statement, verdict, 'wait', nowMs));
    const waiting = this.#waiting.get(statement);
    if (waiting !== undefined) waiting.hold = hold;
    this.#requested(hold.request, statement, verdict);
    try {
      return this.#kept(await hold.answer);
    } finally {
      if (waiting !== undefined) waiting.hold = undefined;
    }
  }

  #kept({ approval, signed }: { readonly approval: Approval; readonly signed: string }): Approval {
    this.#answers.set(approval, signed);
    return approval;
  }

  /** A person has let this shape pass, for a time. Whether that answers the hold is the engine's to say. */
  #useShape(statement: Statement, nowMs: number): Approval | undefined {
    const { shapes } = this.#ports;
    const shape = shapes.isEmpty ? undefined : this.shape(statement);
    if (shape === undefined) return undefined;
    const grant = shapes.find(shape.digest, this.info, nowMs, (id) => this.#ports.approvalRevoked(id));
    if (grant === undefined) return undefined;
    return this.#kept(grant);
  }

  #useTicket(statement: Statement, verdict: HoldVerdict, nowMs: number): Approval {
    const surroundings = this.#surroundings(statement);
    const use = {
      digest: statement.digest,
      principalId: this.info.principal.id,
      resourceId: this.info.resourceId,
      surroundings,
      nowMs,
    };
    const ticket = this.#ports.tickets.consume(use, (id) => this.#ports.approvalRevoked(id));
    if (ticket !== undefined) {
      this.#named(statement, ticket.approval.id);
      this.#ports.consumed(ticket.approval.id, this.info.id);
      return this.#kept(ticket);
    }
    const request = this.#ports.holds.ask(this.#request(statement, verdict, 'ticket', nowMs), surroundings);
    this.#requested(request, statement, verdict);
    throw new GatewayError('approval.required', { approvalId: request.id });
  }

  /** What a ticket is for beside the statement, its principal and the resource: see ADR 0017. */
  #surroundings({ meaning = '' }: Statement): string {
    const { database, role, onBehalfOf } = this.info;
    const parts = ['sallyport/ticket/1', database, role, onBehalfOf?.id ?? '', meaning, ...(this.meanings?.() ?? [])];
    return hash('sha256', parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join(''), 'hex');
  }

  #requested(request: ApprovalRequest, statement: Statement, verdict: HoldVerdict): void {
    this.#named(statement, request.id);
    const { id: approvalId, digest, rule, requestedAt, expiresAt } = request;
    this.#ports.record({ kind: 'approval.requested', approvalId, digest, rule, expiresAt });
    // A ticket is no wait: the refusal names the request.
    if (request.mode === 'wait') this.onHeld?.({ approvalId, statement, verdict, requestedAt, expiresAt });
  }

  #named(statement: Statement, approvalId: string): void {
    const waiting = this.#waiting.get(statement);
    if (waiting !== undefined) waiting.approvalId = approvalId;
  }

  #request(statement: Statement, verdict: HoldVerdict, mode: 'wait' | 'ticket', nowMs: number): ApprovalRequest {
    const { info } = this;
    const longest = Math.min(verdict.approval.expiresMs, LIMITS.approvalWaitMsMax);
    // Nobody's locks wait for a person's lunch.
    const shape = verdict.approval.shape === undefined ? undefined : this.shape(statement);
    const waitMs =
      mode === 'wait' && statement.inTransaction ? Math.min(longest, this.#resource.holdInTransactionMsMax) : longest;
    return {
      id: shortId('apr', randomBytes(10)),
      projectId: info.projectId,
      agentId: info.agentId,
      sessionId: info.id,
      resourceId: info.resourceId,
      principal: info.principal,
      ...(info.onBehalfOf === undefined ? {} : { onBehalfOf: info.onBehalfOf }),
      digest: statement.digest,
      scope: 'once',
      mode,
      text: hideStatement(statement.text),
      parameters: hiddenParameters(statement),
      effects: statement.commits?.effects ?? statement.effects,
      rule: verdict.rule,
      reason: verdict.message ?? '',
      approval: verdict.approval,
      database: info.database,
      clientAddress: info.clientAddress,
      inTransaction: statement.inTransaction,
      wroteInTransaction: statement.wroteInTransaction,
      statementsBefore: this.usage.statements,
      writesBefore: this.usage.writes,
      recentStatements: this.#latest().map((text) => hideAll(text, RECENT_TEXT_MAX)),
      ...(this.#reason === '' ? {} : { askedReason: hideAll(this.#reason, REASON_TEXT_MAX) }),
      ...(info.role === '' ? {} : { role: info.role }),
      ...(shape === undefined ? {} : { shape: { ...shape, text: hideStatement(shape.text) } }),
      ...(statement.commits === undefined ? {} : { work: hiddenWork(statement.commits.work) }),
      requestedAt: nowMs,
      expiresAt: nowMs + waitMs,
    };
  }

  toolChanged(tool: string, first: string, digest: string): void {
    this.#ports.record({ kind: 'tool.changed', tool: hideAll(tool, TOOL_NAME_MAX), first, digest });
  }

  /** Oldest first. */
  #latest(): readonly string[] {
    return [...this.#recent.slice(this.#recentAt), ...this.#recent.slice(0, this.#recentAt)];
  }

  masks(): MaskSet {
    return this.#ports.engine().masksFor(this.info);
  }

  resourceInForce(): Resource {
    return this.#ports.resource(this.#resource.id) ?? this.#resource;
  }

  /** As the bundle in force has them. */
  groups(): readonly string[] {
    return this.#ports.engine().groupsOf(this.info.principal.id);
  }

  holdsCommits(): boolean {
    return this.#ports.engine().holdsCommits(this.info);
  }

  credential(): Promise<UpstreamCredential> {
    return this.#ports.credential(this.#resource, this.info);
  }

  hostKeyRemembered(blob: Uint8Array): boolean {
    const { id, ssh } = this.#resource;
    return ssh?.acceptNewHostKey === true && this.#ports.hostKeyRemembered(`${id} ${ssh.host}:${ssh.port}`, blob);
  }

  refused(given: UpstreamCredential): Promise<UpstreamCredential | undefined> {
    return this.#ports.refused(this.#resource, this.info, given);
  }

  cancelHeld(code: 'approval.cancelled' | 'approval.expired' = 'approval.cancelled', statement?: Statement): void {
    if (statement !== undefined) this.#waiting.get(statement)?.hold?.cancel(code);
    else for (const { hold } of this.#waiting.values()) hold?.cancel(code);
  }

  finished(outcome: StatementOutcome): void {
    this.usage.rows += outcome.rows;
    this.usage.bytes += outcome.bytes;
    this.#budgets.finished(outcome.rows, outcome.bytes);
    this.#outcomes.push(outcome);
    if (this.#outcomes.length >= OUTCOMES_PER_EVENT) this.flushOutcomes();
  }

  /** Records what came back so far; called now and then and at the end. */
  flushOutcomes(): void {
    if (this.#outcomes.length === 0) return;
    const outcomes = this.#outcomes;
    this.#outcomes = [];
    this.#ports.recordOutcome({ kind: 'statement.finished', outcomes });
  }

  /** Called every second: the time it is open counts. */
  tick(): void {
    this.#budgets.tick(this.#ports.nowMs());
  }

  /** The session is over: shares of budgets go back. */
  close(): void {
    this.#budgets.close();
  }

  statementNumber(statement?: Statement): number {
    return (statement === undefined ? undefined : this.#numbers?.get(statement)) ?? this.#number;
  }

  hide(text: string): string {
    return maskDetected(text, this.masks().detect, this.maskKey).text;
  }
}

/**
 * A read grant opens sessions that are read-only at the server, too. Not where what exceeds a grant is held: an approved
 * write could never run.
 */
export const mustBeReadOnly = (engine: PolicyEngine, resource: Resource, info: SessionInfo, nowMs: number): boolean =>
  resource.exceeded === 'deny' && engine.readOnly(info, nowMs);

/** A copy: a slice would keep megabytes of its parent alive. */
const shortened = (text: string): string =>
  text.length <= RECENT_TEXT_MAX + 1 ? text : Buffer.from(text.slice(0, RECENT_TEXT_MAX + 1)).toString('utf8');
