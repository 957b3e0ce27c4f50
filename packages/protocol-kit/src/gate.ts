/**
 * The one order every protocol follows: decide → record → (hold → decide again → record) → permit.
 * Deciding is synchronous (facts and rules are in memory) and recording appends to this turn's batch, which the relay
 * writes to the spool in one call before it forwards anything admitted in the turn. Only a hold waits.
 * Pure: sockets, storage and clocks arrive as ports.
 */
import { type ErrorCode, GatewayError } from '@sallyport/core';
import {
  type Approval,
  type CommitHold,
  type MaskSet,
  NO_MASKS,
  type Statement,
  type StatementShape,
  type Verdict,
} from '@sallyport/model';

export type HoldVerdict = Extract<Verdict, { kind: 'hold' }>;

export interface GatePorts {
  decide(statement: Statement, approval?: Approval): Verdict;
  /** Appends to the turn's batch; throws `trail.unavailable` when the spool cannot take it. */
  record(statement: Statement, verdict: Verdict, approval?: Approval): void;
  /** Rejects with `approval.required` (ticket), `approval.denied`, `approval.expired` or `approval.cancelled`. */
  awaitApproval(statement: Statement, verdict: HoldVerdict): Promise<Approval>;
  /** The statement's shape, for approvals of that scope; undefined where it has none that is safe. Absent: no shapes here. */
  shape?(statement: Statement): StatementShape | undefined;
}

const NO_COMMIT_HOLDS: readonly CommitHold[] = [];

/** Not exported: only this file makes one. The private field makes the type nominal. */
class AdmittedPermit {
  readonly #masks: MaskSet;
  /** At most so many rows may come back or be changed under it. */
  readonly rowsMax: number;
  /** What it changes may not be committed before these are answered; none for nearly every permit. */
  readonly untilCommit: readonly CommitHold[];
  constructor(masks: MaskSet, rowsMax = Number.POSITIVE_INFINITY, untilCommit = NO_COMMIT_HOLDS) {
    this.#masks = masks;
    this.rowsMax = rowsMax;
    this.untilCommit = untilCommit;
  }
  get masks(): MaskSet {
    return this.#masks;
  }
  static is(value: object): boolean {
    return #masks in value;
  }
}
export type Permit = AdmittedPermit;
export const isPermit = (value: object): value is Permit => AdmittedPermit.is(value);

/**
 * The permit for what the gateway itself says upstream: signing in, its own look-ups, Sync and Terminate.
 * Never for a byte a client chose; each protocol builds such messages from constants in its login or session file.
 */
export const OWN_PERMIT: Permit = new AdmittedPermit(NO_MASKS);

const deny = (rule: string, code: ErrorCode): Verdict => ({ kind: 'deny', rule, code });

/** A rule engine that breaks has not said yes. */
function decide(statement: Statement, ports: GatePorts, approval?: Approval): Verdict {
  try {
    return ports.decide(statement, approval);
  } catch {
    return deny('none', 'policy.unavailable');
  }
}

/** Carries the rule's own message to the protocol's deny file; `verdict` says which rule. */
export class Refusal extends GatewayError {
  readonly verdict: Verdict;
  constructor(code: ErrorCode, verdict: Verdict, options?: { cause?: unknown }) {
    super(code, { rule: verdict.rule }, options);
    this.verdict = verdict;
  }
}

function permitOrThrow(verdict: Verdict): Permit {
  if (verdict.kind === 'allow') return new AdmittedPermit(verdict.masks, verdict.rowsMax, verdict.untilCommit);
  throw new Refusal(verdict.kind === 'deny' ? verdict.code : 'policy.denied', verdict);
}

/**
 * Judges one statement. Called once per statement, on the hot path.
 * @returns a permit at once, or a promise of one when the statement is held
 * @throws Refusal `policy.denied`, `policy.unavailable`, `grant.*`, `statement.unknown`, `approval.*`
 * @throws GatewayError `trail.unavailable`
 */
export function admit(statement: Statement, ports: GatePorts): Permit | Promise<Permit> {
  const verdict = decide(statement, ports);
  ports.record(statement, verdict);
  return verdict.kind === 'hold' ? admitHeld(statement, verdict, ports) : permitOrThrow(verdict);
}

async function admitHeld(statement: Statement, held: HoldVerdict, ports: GatePorts): Promise<Permit> {
  let approval: Approval;
  try {
    approval = await ports.awaitApproval(statement, held);
  } catch (error) {
    const code = error instanceof GatewayError ? error.code : 'approval.cancelled';
    const refused = withAnswer(deny(held.rule, code), held, error);
    ports.record(statement, refused);
    throw error instanceof Refusal ? error : new Refusal(code, refused, { cause: error });
  }
  // An approval is evidence, not an answer: grant, bundle or session may have changed while we waited.
  const verdict =
    approval.granted && isFor(approval, statement, ports)
      ? decide(statement, ports, approval)
      : deny(held.rule, 'approval.mismatch');
  ports.record(statement, verdict, approval);
  return permitOrThrow(verdict);
}

function isFor(approval: Approval, statement: Statement, ports: GatePorts): boolean {
  if (approval.scope !== 'shape') return approval.digest === statement.digest;
  const shape = ports.shape?.(statement);
  return shape !== undefined && shape.digest === approval.shape?.digest;
}

/**
 * An approver's reason is written for the one who asked, and so is the id of the request that has to be approved: no other
 * detail of an error reaches a client.
 */
function withAnswer(verdict: Verdict, held: HoldVerdict, error: unknown): Verdict {
  if (!(error instanceof GatewayError) || verdict.kind !== 'deny') return verdict;
  const { reason, approvalId } = error.detail;
  if (error.code === 'approval.required' && typeof approvalId === 'string') {
    const why = held.message === undefined ? '' : ` ${held.message}`;
    return { ...verdict, message: `${error.safeMessage} Request: ${approvalId}.${why}` };
  }
  if (error.code !== 'approval.denied') return verdict;
  return typeof reason === 'string' && reason !== ''
    ? { ...verdict, message: `${error.safeMessage} Reason: ${reason}` }
    : verdict;
}

/**
 * The permit for a read that the gateway makes for a statement of the client's: undefined unless the rules would let the client
 * ask for it at once, so that nobody learns by it what they may not read. What it brought, or that it was not made, stands in the
 * record of the statement it is for; it counts in no budget.
 */
export function admitLook(statement: Statement, ports: GatePorts): Permit | undefined {
  const verdict = decide(statement, ports);
  return verdict.kind === 'allow' ? permitOrThrow(verdict) : undefined;
}

/** True when a person would be asked about it, were it judged now. Records nothing. */
export const wouldHold = (statement: Statement, ports: GatePorts): boolean => decide(statement, ports).kind === 'hold';

/**
 * Judges the preparing of a statement (PostgreSQL's Parse without Execute): a server only reads and plans it, so what a
 * rule would hold may be prepared, and is held when it is executed. Recorded as `statement.preparation`.
 * @throws Refusal as `admit` for what the policy denies; GatewayError `trail.unavailable`
 */
export function admitPreparation(statement: Statement, ports: GatePorts): Permit {
  const judged = decide(statement, ports);
  const verdict: Verdict = judged.kind === 'hold' ? { kind: 'allow', rule: judged.rule, masks: NO_MASKS } : judged;
  ports.record(statement, verdict);
  return permitOrThrow(verdict);
}

/**
 * The permit for a statement that is the gateway's own to answer: no rule is asked, and nothing of what the client wrote goes
 * to the server under it. Recorded as an allowance of `rule`.
 * @param rule `gateway/<what>`
 * @throws GatewayError `trail.unavailable`
 */
export function admitOwn(statement: Statement, ports: GatePorts, rule: string): Permit {
  ports.record(statement, { kind: 'allow', rule, masks: NO_MASKS });
  return OWN_PERMIT;
}

/**
 * The gateway's own refusal, when no rule was asked or none objected: a pinned setting, an answer that cannot be masked.
 * Recorded as a denial. Returns the refusal for the caller to throw or show.
 * @param rule `gateway/<what>`
 * @throws GatewayError `trail.unavailable`
 */
export function refuse(
  statement: Statement,
  ports: GatePorts,
  code: ErrorCode,
  rule: string,
  message?: string,
): Refusal {
  const verdict: Verdict = message === undefined ? deny(rule, code) : { kind: 'deny', rule, code, message };
  ports.record(statement, verdict);
  return new Refusal(code, verdict);
}
