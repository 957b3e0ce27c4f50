/**
 * What a signed-in session has: who it is, its gate, its masks, its credential, its place in the record; and what it shares
 * where several connections are one session. Refuses to know messages: how a session uses it is its protocol's.
 */
import type { ErrorCode } from '@sallyport/core';
import type { MaskKey } from '@sallyport/mask';
import type {
  MaskSet,
  Resource,
  SessionInfo,
  SessionUsage,
  Statement,
  StatementOutcome,
  StatementShape,
} from '@sallyport/model';
import type { GatePorts, HoldVerdict } from './gate.ts';
import type { RecorderPort } from './recorder.ts';
import type { UpstreamCredential } from './upstream-credential.ts';

/** One connection in a session that spans several. */
export interface SessionMember {
  /** The session ends: say so and leave. Called once. */
  end(code: ErrorCode): void;
  bundleChanged(): void;
}

/** A session that several connections of one principal share: same token, resource and role. */
export interface JoinedSession {
  readonly road: SignedIn;
  readonly recorder: RecorderPort;
  /** UTC ms: after this the token opens nothing more, and what it opened goes on. */
  readonly tokenExpiresAtMs: number;
  /** This connection needs it no more. Idempotent. */
  leave(): void;
  /**
   * Something of it waits on without a connection: it stays open until what is returned is called (idempotent).
   * @param ended told when the session is ended all the same
   */
  keep(ended: (code: ErrorCode) => void): () => void;
}

/** The road of one signed-in session: judged and recorded through these alone. */
export interface SignedIn {
  readonly info: SessionInfo;
  readonly resource: Resource;
  /** Role to pin upstream, checked against grants; undefined = the credential's own. */
  readonly role: string | undefined;
  /** Every grant of this session gives only `read`: upstream must be opened and pinned read-only. */
  readonly readOnly: boolean;
  readonly gate: GatePorts;
  readonly usage: SessionUsage;
  /** Masks that would apply to this session's answers now, whatever the statement. Reference-stable between bundles. */
  masks(): MaskSet;
  /** @throws GatewayError `credential.unavailable` */
  credential(): Promise<UpstreamCredential>;
  /**
   * The server refused what `credential` gave: another value to try (the one before a rotation), or undefined.
   * Absent: there is never another one.
   */
  refused?(credential: UpstreamCredential): Promise<UpstreamCredential | undefined>;
  /** A host key that nothing is known of: true when it is the one shown here first, or may be remembered from now on. */
  hostKeyRemembered?(blob: Uint8Array): boolean;
  /** Told as soon as a hold waits: id and reason for the client's notice. Undefined before the first hold. */
  onHeld: ((held: HeldNotice) => void) | undefined;
  /** Set by the session: a statement's shape in the state the session is in. Asked for held statements alone. */
  shapes?: ((statement: Statement) => StatementShape | undefined) | undefined;
  /** Set by the session: what any statement's text means something by, beside database and role. Asked for held statements alone. */
  meanings?: (() => readonly string[]) | undefined;
  /** The requester said why; '' takes it back. Stands for what is asked from now on. */
  because?(reason: string): void;
  /**
   * What has to be fetched before a statement can be judged (a share of a budget); undefined, nearly always, when nothing has.
   * It never rejects; while it lasts nothing of the client is judged.
   */
  ready?(): Promise<void> | undefined;
  /**
   * Ends the wait of a held statement, or of all of this session: rejects it with `approval.cancelled` (the client asked, or
   * is gone), or with `approval.expired` when its transaction may not wait longer.
   */
  cancelHeld(code?: 'approval.cancelled' | 'approval.expired', statement?: Statement): void;
  /** The resource as the bundle in force has it; the session's own where it is gone. Absent: it never changes. */
  resourceInForce?(): Resource;
  /** Names of the principal's groups, as the bundle in force has them. Absent: nobody knows. */
  groups?(): readonly string[];
  /** Rules in force may hold this session's COMMITs: what its transactions do is to be kept. Absent: none do. */
  holdsCommits?(): boolean;
  /** For the record: an MCP server describes a tool in another way than at first. Digests as hex; `first` may be ''. */
  toolChanged?(tool: string, first: string, digest: string): void;
  /** What came back; may lag. Called once per judged statement that was forwarded. */
  finished(outcome: StatementOutcome): void;
  /**
   * Number of a statement given to the gate, or of the last one (from 1). PostgreSQL's and HTTP's that were not held are asked
   * for before another one is judged.
   */
  statementNumber(statement?: Statement): number;
  /** Keys masks of method `hash`; without it they read as `redact`. */
  readonly maskKey?: MaskKey | undefined;
  /** Hides what detectors find, with this session's detect masks; for error, notice and parameter texts. Pure. */
  hide(text: string): string;
}

export interface HeldNotice {
  readonly approvalId: string;
  readonly statement: Statement;
  readonly verdict: HoldVerdict;
  /** UTC ms, as the next one. */
  readonly requestedAt: number;
  readonly expiresAt: number;
}
